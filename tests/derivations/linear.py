"""Section 2: the linear layer."""

import numpy as np

import mint
from tests.derivations.equation import Array, assert_same, equation, integers, tabulate


def linear(rng: np.random.Generator) -> tuple[Array, ...]:
    x, w, b = integers(rng, 3, 4), integers(rng, 4, 2), integers(rng, 2)
    z, vjp = mint.linear(x, w.T.copy(), b)
    delta = integers(rng, 3, 2)
    gx, gw, gb = vjp(delta)
    return x, w, b, z, delta, gx, gw.T, gb


@equation("2.1")
def linear_forward(rng: np.random.Generator) -> None:
    x, w, b, z, *_ = linear(rng)
    assert_same(tabulate(z.shape, lambda n, m: sum(x[n, k] * w[k, m] for k in range(4)) + b[m]), z)


@equation("2.2")
def linear_weight(rng: np.random.Generator) -> None:
    x, w, _, _, delta, _, gw, _ = linear(rng)
    assert_same(tabulate(w.shape, lambda i, j: sum(x[n, i] * delta[n, j] for n in range(3))), gw)
    assert_same(x.T @ delta, gw)


@equation("2.3")
def linear_bias(rng: np.random.Generator) -> None:
    _, _, b, _, delta, _, _, gb = linear(rng)
    assert_same(tabulate(b.shape, lambda j: sum(delta[n, j] for n in range(3))), gb)


@equation("2.4")
def linear_propagate(rng: np.random.Generator) -> None:
    x, w, _, _, delta, gx, _, _ = linear(rng)
    assert_same(tabulate(x.shape, lambda n, j: sum(delta[n, m] * w[j, m] for m in range(2))), gx)
    assert_same(delta @ w.T, gx)
