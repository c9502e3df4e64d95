"""Section 6: activations."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, integers, tabulate


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def assert_elementwise(
    name: str,
    value: Callable[[float], float],
    terms: Callable[[float], tuple[float, ...]],
    rng: np.random.Generator,
    inner: Callable[[float], float] = lambda _: 0.0,
    **hyper: Any,
) -> None:
    """`value` is z, and the sum of `terms` is z', at points of which one is 0.

    The scale is the magnitude of the terms times 1 + |`inner`|: a rounding in t changes e^t by |t| roundings.
    """
    x = np.linspace(-6, 6, 97)
    z, vjp = getattr(mint, name)(x, **hyper)
    delta = rng.standard_normal(97)
    (gx,) = vjp(delta)
    # a formula written with e^x beside 1 is no better than the smaller of 1 and |x|
    literal = tabulate(x.shape, lambda n: value(x[n]))
    assert_near(literal, z, np.maximum(np.abs(literal), np.minimum(np.abs(x), 1)) + TINY)
    slope = tabulate(x.shape, lambda n: sum(terms(x[n])))
    scale = tabulate(x.shape, lambda n: sum(map(abs, terms(x[n]))) * (1 + abs(inner(x[n]))))
    assert_near(delta * slope, gx, np.abs(delta) * scale + TINY)


@equation("6.1")
def relu(rng: np.random.Generator) -> None:
    x, delta = integers(rng, 40), integers(rng, 40)
    z, vjp = mint.relu(x)
    assert 0 in x
    assert_same(tabulate((40,), lambda n: max(x[n], 0)), z)
    assert_same(tabulate((40,), lambda n: delta[n] * (x[n] > 0)), vjp(delta)[0])


@equation("6.2")
def leaky_relu(rng: np.random.Generator) -> None:
    x, delta, alpha = integers(rng, 40), integers(rng, 40), 0.25
    z, vjp = mint.leaky_relu(x, negative_slope=alpha)
    assert 0 in x
    assert_same(tabulate((40,), lambda n: x[n] if x[n] > 0 else alpha * x[n]), z)
    assert_same(tabulate((40,), lambda n: delta[n] * (1 if x[n] > 0 else alpha)), vjp(delta)[0])


@equation("6.3")
def elu(rng: np.random.Generator) -> None:
    a = rng.uniform(0.3, 2)

    def value(x: float) -> float:
        return x if x > 0 else a * (math.exp(x) - 1)

    assert_elementwise("elu", value, lambda x: (1.0 if x > 0 else a * math.exp(x),), rng, alpha=a)


@equation("6.4")
def sigmoid(rng: np.random.Generator) -> None:
    assert_elementwise("sigmoid", sigma, lambda x: (sigma(x) * sigma(-x),), rng)


@equation("6.5")
def tanh(rng: np.random.Generator) -> None:
    assert_elementwise("tanh", math.tanh, lambda x: (1.0, -(math.tanh(x) ** 2)), rng)
    assert_elementwise("tanh", math.tanh, lambda x: (4 * sigma(2 * x) * sigma(-2 * x),), rng)


def thresholds(rng: np.random.Generator) -> Iterator[tuple[np.random.Generator, float, float]]:
    """β and θ of softplus; the last switches at a point of the grid, 0."""
    yield from ((rng, 1.0, 20.0), (rng, 2.0, 5.0), (rng, 0.5, 0.0))


@equation("6.6", thresholds)
def softplus(case: tuple[np.random.Generator, float, float]) -> None:
    rng, beta, theta = case

    def value(x: float) -> float:
        return x if beta * x > theta else math.log(1 + math.exp(beta * x)) / beta

    def terms(x: float) -> tuple[float]:
        return (1.0 if beta * x > theta else sigma(beta * x),)

    assert_elementwise("softplus", value, terms, rng, beta=beta, threshold=theta)


@equation("6.7")
def silu(rng: np.random.Generator) -> None:
    assert_elementwise("silu", lambda x: x * sigma(x), lambda x: (sigma(x), x * sigma(x) * sigma(-x)), rng)


@equation("6.8")
def gelu(rng: np.random.Generator) -> None:
    assert_elementwise("gelu", lambda x: x * cdf(x), lambda x: (cdf(x), x * density(x)), rng)


@equation("6.9")
def gelu_tanh(rng: np.random.Generator) -> None:
    root = math.sqrt(8 / math.pi)

    def t(x: float) -> float:
        return root * (x + 0.044715 * x**3)

    def terms(x: float) -> tuple[float, float]:
        slope = root * (1 + 3 * 0.044715 * x**2)
        return sigma(t(x)), x * sigma(t(x)) * sigma(-t(x)) * slope

    assert_elementwise("gelu", lambda x: x * sigma(t(x)), terms, rng, t, approximate="tanh")


def row(rng: np.random.Generator) -> tuple[Array, Array, list[float], float]:
    """A row x, a cotangent, the softmax p of x, and log Σ e^x."""
    x, delta = rng.standard_normal(5), rng.standard_normal(5)
    total = math.fsum(math.exp(v) for v in x)
    return x, delta, [math.exp(v) / total for v in x], math.log(total)


@equation("6.10")
def softmax(rng: np.random.Generator) -> None:
    x, delta, p, _ = row(rng)
    z, vjp = mint.softmax(x, dim=0)
    assert_near(np.array(p), z, np.array(p))
    mean = sum(delta[k] * p[k] for k in range(5))
    magnitude = sum(abs(delta[k] * p[k]) for k in range(5))
    literal = tabulate((5,), lambda j: p[j] * (delta[j] - mean))
    assert_near(literal, vjp(delta)[0], tabulate((5,), lambda j: p[j] * (abs(delta[j]) + magnitude)))
    # from the Jacobian matrix, before it is summed
    jacobian = tabulate((5, 5), lambda k, j: p[k] * ((k == j) - p[j]))
    assert_near(delta @ jacobian, vjp(delta)[0], np.abs(delta) @ np.abs(jacobian) + p * np.abs(delta))


@equation("6.11")
def log_softmax(rng: np.random.Generator) -> None:
    x, delta, p, log_total = row(rng)
    z, vjp = mint.log_softmax(x, dim=0)
    assert_near(x - log_total, z, np.abs(x) + abs(log_total))
    literal = tabulate((5,), lambda j: delta[j] - p[j] * sum(delta))
    assert_near(literal, vjp(delta)[0], np.abs(delta) + np.array(p) * sum(abs(delta)))
