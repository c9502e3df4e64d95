"""Section 9: unfold and fold."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

import mint
from tests.derivations.equation import assert_same, at, equation, integers, over, tabulate

F, CHANNELS, SIZE = 2, 3, (6, 7)


class Blocks:
    """Unfold of a map, and fold of as many columns."""

    def __init__(self, rng: np.random.Generator, s: int, d: int, p: int) -> None:
        self.hyper: dict[str, Any] = {"kernel_size": F, "stride": s, "dilation": d, "padding": p}
        self.s, self.d, self.p = s, d, p
        self.out = tuple((n + 2 * p - d * (F - 1) - 1) // s + 1 for n in SIZE)
        self.map, self.columns = (
            integers(rng, 2, CHANNELS, *SIZE),
            integers(rng, 2, CHANNELS * F * F, np.prod(self.out)),
        )

    def place(self, h: int, w: int, i: int, j: int) -> tuple[int, int]:
        """Where tap (i, j) of window (h, w) lies in the map."""
        return h * self.s + i * self.d - self.p, w * self.s + j * self.d - self.p

    def unfolded(self) -> Any:
        """The right side of (9.1) and (9.5)."""

        def z(n: int, row: int, column: int) -> Any:
            (rest, j), (h, w) = divmod(row, F), divmod(column, self.out[1])
            c, i = divmod(rest, F)
            return at(self.map, n, c, *self.place(h, w, i, j))

        return tabulate(self.columns.shape, z)

    def folded(self) -> Any:
        """The right side of (9.3) and (9.4)."""

        def x(n: int, c: int, q: int, r: int) -> Any:
            taps = over(*self.out, F, F)
            return sum(
                self.columns[n, (c * F + i) * F + j, h * self.out[1] + w]
                for h, w, i, j in taps
                if self.place(h, w, i, j) == (q, r)
            )

        return tabulate(self.map.shape, x)


def blocks(rng: np.random.Generator) -> Iterator[Blocks]:
    """Blocks that overlap, lie apart, are dilated, and reach into the padding."""
    for s, d, p in itertools.product((1, 2, 3), (1, 2), (0, 1, 3)):
        yield Blocks(rng, s, d, p)


@equation("9.1", blocks)
def unfold_forward(v: Blocks) -> None:
    assert_same(v.unfolded(), mint.unfold(v.map, **v.hyper)[0])


@equation("9.2", blocks)
def convolution_by_columns(v: Blocks) -> None:
    k = integers(np.random.default_rng(0), 2, CHANNELS, F, F)
    z, _ = mint.unfold(v.map, **v.hyper)

    def y(n: int, c: int, h: int, w: int) -> Any:
        terms = over(CHANNELS, F, F)
        return sum(k[c, a, i, j] * z[n, (a * F + i) * F + j, h * v.out[1] + w] for a, i, j in terms)

    convolved, _ = mint.conv2d(v.map, k, stride=v.s, dilation=v.d, padding=v.p)
    assert_same(tabulate(convolved.shape, y), convolved)


@equation("9.3", blocks)
def unfold_propagate(v: Blocks) -> None:
    assert_same(v.folded(), mint.unfold(v.map, **v.hyper)[1](v.columns)[0])


@equation("9.4", blocks)
def fold_forward(v: Blocks) -> None:
    assert_same(v.folded(), mint.fold(v.columns, output_size=SIZE, **v.hyper)[0])


@equation("9.5", blocks)
def fold_propagate(v: Blocks) -> None:
    assert_same(v.unfolded(), mint.fold(v.columns, output_size=SIZE, **v.hyper)[1](v.map)[0])
