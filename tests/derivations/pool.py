"""Section 4: pooling."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import Array, assert_same, equation, integers, over, tabulate


def pools(dilations: Sequence[int]) -> Iterator[tuple[int, int, int, int, int, bool]]:
    """Valid pools of one axis: (H^(l−1), F, S, P, D, ceil_mode)."""
    for size, f, s, d, ceil_mode in itertools.product((5, 6, 7), (2, 3), (1, 2, 3), dilations, (False, True)):
        for p in range(f // 2 + 1):
            if size + 2 * p >= d * (f - 1) + 1:
                yield size, f, s, p, d, ceil_mode


def covered(h: int, size: int, f: int, s: int, p: int, d: int) -> list[int]:
    """Ω_h."""
    return [q for i in range(f) if 0 <= (q := h * s + i * d - p) < size]


@equation("4.1")
def pool_size(rng: np.random.Generator) -> None:
    for size, f, s, p, d, ceil_mode in pools((1, 2)):
        t = size + 2 * p - d * (f - 1) - 1
        rounded_up = -(-t // s)
        rows = rounded_up + 1 - (rounded_up * s >= size + p) if ceil_mode else t // s + 1
        x = integers(rng, 1, 2, size)
        hyper = {"kernel_size": f, "stride": s, "padding": p, "ceil_mode": ceil_mode}
        assert mint.max_pool1d(x, dilation=d, **hyper)[0].shape == (1, 2, rows)
        if d == 1:
            assert mint.avg_pool1d(x, **hyper)[0].shape == (1, 2, rows)


class MaxPool(NamedTuple):
    """One max-pool of Mint; `omega` are the Ω_h."""

    x: Array
    z: Array
    indices: Array
    delta: Array
    gx: Array
    omega: list[list[int]]

    def winners(self, n: int, c: int, h: int) -> list[int]:
        """The elements of window h that are equal to its maximum."""
        largest = max(self.x[n, c, q] for q in self.omega[h])
        return [q for q in self.omega[h] if self.x[n, c, q] == largest]


def maxima(rng: np.random.Generator) -> Iterator[MaxPool]:
    """Max-pools that overlap, on maps full of ties."""
    for size, f, s, p, d, ceil_mode in pools((1, 2)):
        if s >= d * (f - 1) + 1:
            continue
        x = rng.choice([-2.0, -1.0], (2, 3, size))
        hyper = {"kernel_size": f, "stride": s, "padding": p, "dilation": d, "ceil_mode": ceil_mode}
        (z, indices), vjp = mint.max_pool1d(x, return_indices=True, **hyper)
        delta = rng.integers(1, 5, z.shape).astype(np.float64)
        omega = [covered(h, size, f, s, p, d) for h in range(z.shape[2])]
        yield MaxPool(x, z, indices, delta, vjp(delta)[0], omega)


@equation("4.2", maxima)
def max_pool_forward(v: MaxPool) -> None:
    assert_same(tabulate(v.z.shape, lambda n, c, h: max(v.x[n, c, q] for q in v.omega[h])), v.z)
    first = tabulate(v.z.shape, lambda n, c, h: min(v.winners(n, c, h)))
    np.testing.assert_array_equal(first, v.indices)
    assert any(len(v.winners(*index)) > 1 for index in over(*v.z.shape)), "no tie"


@equation("4.3", maxima)
def max_pool_propagate(v: MaxPool) -> None:
    def gx(n: int, c: int, q: int) -> Any:
        return sum((min(v.winners(n, c, h)) == q) * v.delta[n, c, h] for h in range(len(v.omega)))

    assert_same(tabulate(v.x.shape, gx), v.gx)


class AvgPool(NamedTuple):
    """One average pool of Mint; `omega` are the Ω_h and `divisors` the r_h of (4.5)."""

    x: Array
    z: Array
    delta: Array
    gx: Array
    omega: list[list[int]]
    divisors: list[int]


def averages(rng: np.random.Generator) -> Iterator[AvgPool]:
    """Average pools under each rule for the divisor, on multiples of all divisors, so all is exact."""
    for size, f, s, p, _, ceil_mode in pools((1,)):
        for included, override in ((True, None), (False, None), (True, 5)):
            x = 60 * integers(rng, 2, 2, size)
            hyper = {"kernel_size": f, "stride": s, "padding": p, "ceil_mode": ceil_mode}
            hyper |= {"count_include_pad": included, "divisor_override": override}
            z, vjp = mint.avg_pool1d(x, **hyper)
            delta = 60 * integers(rng, *z.shape)
            omega = [covered(h, size, f, s, p, 1) for h in range(z.shape[2])]
            counted = [min(h * s - p + f, size + p) - (h * s - p) for h in range(z.shape[2])]
            divisors = counted if included else [len(rows) for rows in omega]
            if override is not None:
                divisors = [override] * z.shape[2]
            yield AvgPool(x, z, delta, vjp(delta)[0], omega, divisors)


@equation("4.4", averages)
@equation("4.5", averages)
def avg_pool_forward(v: AvgPool) -> None:
    def z(n: int, c: int, h: int) -> Any:
        return sum(v.x[n, c, q] for q in v.omega[h]) / v.divisors[h]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("4.6", averages)
def avg_pool_propagate(v: AvgPool) -> None:
    def gx(n: int, c: int, q: int) -> Any:
        windows = (h for h, rows in enumerate(v.omega) if q in rows)
        return sum(v.delta[n, c, h] / v.divisors[h] for h in windows)

    assert_same(tabulate(v.x.shape, gx), v.gx)
