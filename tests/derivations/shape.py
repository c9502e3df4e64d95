"""Section 5: flatten."""

from collections.abc import Callable

import numpy as np

import mint
from tests.derivations.equation import Array, assert_same, equation, integers, tabulate


def merged(rng: np.random.Generator) -> tuple[Array, Array, Array, Array, Callable[..., tuple[int, ...]]]:
    x = integers(rng, 2, 3, 4, 2, 2)
    z, vjp = mint.flatten(x, start_dim=1, end_dim=3)
    delta = integers(rng, *z.shape)

    def position(n: int, i: int, j: int, k: int, rest: int) -> tuple[int, ...]:
        return n, (i * 4 + j) * 2 + k, rest

    return x, z, delta, vjp(delta)[0], position


@equation("5.1")
def flatten_forward(rng: np.random.Generator) -> None:
    x, z, _, _, position = merged(rng)
    assert z.shape == (2, 24, 2)
    assert_same(tabulate(x.shape, lambda *index: z[position(*index)]), x)


@equation("5.2")
def flatten_propagate(rng: np.random.Generator) -> None:
    x, _, delta, gx, position = merged(rng)
    assert_same(tabulate(x.shape, lambda *index: delta[position(*index)]), gx)
