"""Section 16: more activations."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mint
from tests.derivations.activation import assert_elementwise, sigma
from tests.derivations.equation import Array, assert_near, assert_same, equation, integers, tabulate

LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@equation("16.1")
def selu(rng: np.random.Generator) -> None:
    def value(x: float) -> float:
        return LAMBDA * (x if x > 0 else ALPHA * (math.exp(x) - 1))

    assert_elementwise("selu", value, lambda x: (LAMBDA * (1 if x > 0 else ALPHA * math.exp(x)),), rng)


def alphas(rng: np.random.Generator) -> Iterator[tuple[np.random.Generator, float]]:
    """Values of α, one of them negative."""
    yield from ((rng, 1.0), (rng, 0.5), (rng, -0.75))


@equation("16.2", alphas)
def celu(case: tuple[np.random.Generator, float]) -> None:
    rng, a = case

    def value(x: float) -> float:
        return x if x > 0 else a * (math.exp(x / a) - 1)

    assert_elementwise("celu", value, lambda x: (1.0 if x > 0 else math.exp(x / a),), rng, lambda x: x / a, alpha=a)


@equation("16.3")
def mish(rng: np.random.Generator) -> None:
    def t(x: float) -> float:
        return math.tanh(math.log1p(math.exp(x)))

    def terms(x: float) -> tuple[float, float, float]:
        return t(x), x * sigma(x), -x * t(x) ** 2 * sigma(x)

    assert_elementwise("mish", lambda x: x * t(x), terms, rng)


@equation("16.4")
def mish_without_cancellation(rng: np.random.Generator) -> None:
    def r(x: float) -> float:
        return math.exp(x) * (math.exp(x) + 2)

    def terms(x: float) -> tuple[float, float]:
        return r(x) / (r(x) + 2), x * 4 * math.exp(x) * (1 + math.exp(x)) / (r(x) + 2) ** 2

    assert_elementwise("mish", lambda x: x * r(x) / (r(x) + 2), terms, rng)


@equation("16.5")
def softsign(rng: np.random.Generator) -> None:
    assert_elementwise("softsign", lambda x: x / (1 + abs(x)), lambda x: (1 / (1 + abs(x)) ** 2,), rng)


@equation("16.6")
def logsigmoid(rng: np.random.Generator) -> None:
    assert_elementwise("logsigmoid", lambda x: min(x, 0) - math.log(1 + math.exp(-abs(x))), lambda x: (sigma(-x),), rng)


@equation("16.7")
def tanhshrink(rng: np.random.Generator) -> None:
    assert_elementwise("tanhshrink", lambda x: x - math.tanh(x), lambda x: (math.tanh(x) ** 2,), rng)


@equation("16.8")
def tanhshrink_as_a_fraction(rng: np.random.Generator) -> None:
    def value(x: float) -> float:
        c = 0.0
        for odd in range(61, 1, -2):
            c = x * x / (odd + c)
        return x * c / (1 + c)

    x = np.concatenate([rng.uniform(-1, 1, 20), 10 ** rng.uniform(-9, 0, 20)])
    literal = tabulate(x.shape, lambda n: value(x[n]))
    assert_near(literal, mint.tanhshrink(x)[0], abs(literal))


def assert_piecewise(
    rng: np.random.Generator,
    name: str,
    z_of: Callable[[float], float],
    slope_of: Callable[[float], float],
    *kinks: float,
    **hyper: Any,
) -> None:
    """To the last bit at quarters, among which the kinks are."""
    x = np.linspace(-8, 8, 65)
    assert set(kinks) <= set(x)
    delta = integers(rng, 65)
    z, vjp = getattr(mint, name)(x, **hyper)
    assert_same(tabulate((65,), lambda n: z_of(x[n])), z)
    assert_same(tabulate((65,), lambda n: delta[n] * slope_of(x[n])), vjp(delta)[0])


@equation("16.9")
def hardtanh(rng: np.random.Generator) -> None:
    def value(x: float, a: float, b: float) -> float:
        return min(max(x, a), b)

    for a, b in ((-1.0, 1.0), (-0.5, 2.0)):
        hyper = {"min_val": a, "max_val": b}
        assert_piecewise(
            rng, "hardtanh", lambda x, a=a, b=b: value(x, a, b), lambda x, a=a, b=b: a < x < b, a, b, **hyper
        )
    assert_piecewise(rng, "relu6", lambda x: value(x, 0, 6), lambda x: 0 < x < 6, 0, 6)


@equation("16.10")
def hardsigmoid(rng: np.random.Generator) -> None:
    x, delta = np.arange(-8.0, 9), 6 * integers(rng, 17)
    z, vjp = mint.hardsigmoid(x)
    assert_same(tabulate((17,), lambda n: min(max(x[n] + 3, 0), 6) / 6), z)
    assert_same(tabulate((17,), lambda n: delta[n] / 6 * (-3 < x[n] < 3)), vjp(delta)[0])


@equation("16.11")
def hardswish(rng: np.random.Generator) -> None:
    # multiples of 3/4: a sixth of their sums and products is exact
    x, delta = 0.75 * np.arange(-8.0, 9), 6 * integers(rng, 17)
    z, vjp = mint.hardswish(x)
    assert {-3, 3} <= set(x)

    def slope(n: int) -> float:
        return 0 if x[n] <= -3 else 1 if x[n] >= 3 else (2 * x[n] + 3) / 6

    assert_same(tabulate((17,), lambda n: x[n] * min(max(x[n] + 3, 0), 6) / 6), z)
    assert_same(tabulate((17,), lambda n: delta[n] * slope(n)), vjp(delta)[0])


@equation("16.12")
def hardshrink(rng: np.random.Generator) -> None:
    assert_piecewise(rng, "hardshrink", lambda x: x * (abs(x) > 1.5), lambda x: abs(x) > 1.5, -1.5, 1.5, lambd=1.5)


@equation("16.13")
def softshrink(rng: np.random.Generator) -> None:
    assert_piecewise(
        rng,
        "softshrink",
        lambda x: math.copysign(max(abs(x) - 1.5, 0), x),
        lambda x: abs(x) > 1.5,
        -1.5,
        1.5,
        lambd=1.5,
    )


@equation("16.14")
def threshold(rng: np.random.Generator) -> None:
    assert_piecewise(
        rng, "threshold", lambda x: x if x > 0.5 else -7.0, lambda x: x > 0.5, 0.5, threshold=0.5, value=-7.0
    )


def slopes(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, Array, Array, Array]]:
    """x, w, δ, z and the gradients of prelu, with a slope for each channel, and with one."""
    for channels in (3, 1):
        x, w, delta = integers(rng, 4, 3, 2), integers(rng, channels) / 4, integers(rng, 4, 3, 2)
        assert 0 in x
        z, vjp = mint.prelu(x, w)
        yield x, w, delta, z, *vjp(delta)


@equation("16.15", slopes)
def prelu(case: tuple[Array, ...]) -> None:
    x, w, delta, z, gx, _ = case

    def slope(n: int, c: int, q: int) -> float:
        return 1 if x[n, c, q] > 0 else w[c if len(w) > 1 else 0]

    assert_same(tabulate(x.shape, lambda *i: slope(*i) * x[i]), z)
    assert_same(tabulate(x.shape, lambda *i: delta[i] * slope(*i)), gx)


@equation("16.16", slopes)
def prelu_weight(case: tuple[Array, ...]) -> None:
    x, w, delta, _, _, gw = case
    terms = tabulate(x.shape, lambda *i: (x[i] <= 0) * delta[i] * x[i])
    of_channel = tabulate((3,), lambda c: sum(terms[n, c, q] for n in range(4) for q in range(2)))
    assert_same(of_channel if len(w) > 1 else np.array([sum(of_channel)]), gw)


@equation("16.17")
def rrelu(rng: np.random.Generator) -> None:
    x, delta, drawn = integers(rng, 40), integers(rng, 40), rng.integers(0, 5, 40) / 4
    for training, s in ((True, drawn), (False, np.full(40, (0.25 + 0.75) / 2))):
        given = (x, s) if training else (x,)
        z, vjp = mint.rrelu(*given, lower=0.25, upper=0.75, training=training)
        assert_same(tabulate((40,), lambda n, s=s: x[n] if x[n] > 0 else s[n] * x[n]), z)
        assert_same(tabulate((40,), lambda n, s=s: delta[n] * (1 if x[n] > 0 else s[n])), vjp(delta)[0])
