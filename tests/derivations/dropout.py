"""Section 18: chance and choice."""

import math
from itertools import product

import numpy as np

import mint
from tests.derivations.activation import sigma
from tests.derivations.equation import Array, assert_near, assert_same, equation, integers, tabulate

SATURATION = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@equation("18.1")
def dropout(rng: np.random.Generator) -> None:
    x, delta, m = integers(rng, 3, 4), integers(rng, 3, 4), rng.random((3, 4)) < 0.5
    z, vjp = mint.dropout(x, m, p=0.75)
    assert_same(tabulate((3, 4), lambda i, j: m[i, j] * x[i, j] / (1 - 0.75)), z)
    assert_same(tabulate((3, 4), lambda i, j: m[i, j] * delta[i, j] / (1 - 0.75)), vjp(delta)[0])
    # one element of the mask for each channel
    z, vjp = mint.dropout1d(x[None], m[None, :, :1], p=0.75)
    assert_same(tabulate((1, 3, 4), lambda _, i, j: m[i, 0] * x[i, j] / (1 - 0.75)), z)
    assert_same(tabulate((1, 3, 4), lambda _, i, j: m[i, 0] * delta[i, j] / (1 - 0.75)), vjp(delta[None])[0])


@equation("18.2")
def alpha_dropout(rng: np.random.Generator) -> None:
    s, p = SATURATION, 0.3
    a = 1 / math.sqrt((1 - p) * (1 + p * s * s))
    x, delta, m = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.random((3, 4)) < 0.5

    def terms(i: int, j: int) -> tuple[float, float, float]:
        return a * m[i, j] * x[i, j], a * (1 - m[i, j]) * s, -a * p * s

    z, vjp = mint.alpha_dropout(x, m, p=p, training=True)
    scale = tabulate((3, 4), lambda i, j: sum(map(abs, terms(i, j))))
    assert_near(tabulate((3, 4), lambda i, j: sum(terms(i, j))), z, scale)
    literal = tabulate((3, 4), lambda i, j: a * m[i, j] * delta[i, j])
    assert_near(literal, vjp(delta)[0], a * np.abs(delta))


@equation("18.3")
def alpha_dropout_keeps_mean_and_variance(rng: np.random.Generator) -> None:
    del rng
    # x is 1 or −1, with the mean 0 and the variance 1
    for p in (0.1, 0.5, 0.8):
        chances = [(x, kept, (1 - p if kept else p) / 2) for x, kept in product((-1.0, 1.0), (True, False))]
        drawn = [
            (chance, float(mint.alpha_dropout(np.array(x), np.array(kept), p=p, training=True)[0]))
            for x, kept, chance in chances
        ]
        mean, square = (sum(chance * z**power for chance, z in drawn) for power in (1, 2))
        # both have terms of the magnitude 1
        assert_near(np.array([1 + mean, square]), np.ones(2), np.ones(2))


def probabilities(x: Array) -> Array:
    return tabulate(x.shape, lambda k: math.exp(x[k]) / math.fsum(math.exp(v) for v in x))


def through(delta: Array, p: Array) -> tuple[Array, Array]:
    """p·(δ − Σδ·p), and the magnitude of its terms."""
    mean = sum(d * q for d, q in zip(delta, p, strict=True))
    return p * (delta - mean), p * (np.abs(delta) + np.abs(delta) @ p)


@equation("18.4")
def softmin(rng: np.random.Generator) -> None:
    x, delta = rng.standard_normal(5), rng.standard_normal(5)
    z, vjp = mint.softmin(x, dim=0)
    p = probabilities(-x)
    assert_near(p, z, p)
    literal, scale = through(delta, p)
    assert_near(-literal, vjp(delta)[0], scale)


@equation("18.5")
def gumbel_softmax(rng: np.random.Generator) -> None:
    for tau in (0.5, 2.0, -1.0):
        x, noise, delta = rng.standard_normal(5), rng.gumbel(size=5), rng.standard_normal(5)
        y, vjp = mint.gumbel_softmax(x, noise, tau=tau)
        p = probabilities((x + noise) / tau)
        # the rounding of an exponent counts with its size
        spread = 1 + np.abs(x + noise).max() / abs(tau)
        assert_near(p, y, p * spread)
        literal, scale = through(delta, p)
        assert_near(literal / tau, vjp(delta)[0], scale * spread / abs(tau))


@equation("18.6")
def gumbel_softmax_hard(rng: np.random.Generator) -> None:
    x, delta = np.array([0.0, 2.0, 1.0, 2.0]), rng.standard_normal(4)
    noise = np.zeros(4)
    soft, of_soft = mint.gumbel_softmax(x, noise, tau=0.5)
    hard, of_hard = mint.gumbel_softmax(x, noise, tau=0.5, hard=True)
    first = min(j for j in range(4) if soft[j] == max(soft))
    assert_same(tabulate((4,), lambda k: k == first), hard)
    assert_same(of_soft(delta)[0], of_hard(delta)[0])


@equation("18.7")
def glu(rng: np.random.Generator) -> None:
    x, delta = rng.standard_normal((2, 6)), rng.standard_normal((2, 3))
    z, vjp = mint.glu(x, dim=1)
    a, b = x[:, :3], x[:, 3:]
    literal = tabulate((2, 3), lambda i, j: a[i, j] * sigma(b[i, j]))
    assert_near(literal, z, np.abs(literal))
    of_a = tabulate((2, 3), lambda i, j: delta[i, j] * sigma(b[i, j]))
    of_b = tabulate((2, 3), lambda i, j: delta[i, j] * a[i, j] * sigma(b[i, j]) * sigma(-b[i, j]))
    literal = np.concatenate([of_a, of_b], axis=1)
    assert_near(literal, vjp(delta)[0], np.abs(literal))
