"""Section 10: pooling over windows that the output size, samples or powers make, and unpooling."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import Array, assert_near, assert_same, equation, integers, tabulate

Windows = Sequence[Sequence[int]]


def adaptive(size: int, count: int) -> list[list[int]]:
    """Ω_h of (10.1)."""

    def inside(h: int, q: int) -> bool:
        return math.floor(h * size / count) <= q < math.ceil((h + 1) * size / count)

    return [[q for q in range(size) if inside(h, q)] for h in range(count)]


def fractional(size: int, f: int, count: int, u: float) -> list[list[int]]:
    """Ω_h of (10.4)."""
    alpha = (size - f) / (count - 1)
    starts = [math.floor((h + u) * alpha) - math.floor(u * alpha) for h in range(count - 1)]
    return [list(range(s, s + f)) for s in [*starts, size - f]]


class Pool(NamedTuple):
    """One pool of Mint; `omega[n][c]` are the windows of a channel."""

    x: Array
    z: Array
    delta: Array
    gx: Array
    omega: Sequence[Sequence[Windows]]
    indices: Array | None = None

    def of(self, n: int, c: int) -> Windows:
        return self.omega[n][c]

    def winner(self, n: int, c: int, h: int) -> int:
        """a of (4.2): the first of the largest."""
        window = self.of(n, c)[h]
        largest = max(self.x[n, c, q] for q in window)
        return min(q for q in window if self.x[n, c, q] == largest)


SIZES = tuple(itertools.product((5, 6, 7), (1, 2, 3, 4, 9)))


def averages(rng: np.random.Generator) -> Iterator[Pool]:
    """Adaptive averages of multiples of all lengths of windows, so that all is exact."""
    for size, count in SIZES:
        x = 420 * integers(rng, 2, 3, size)
        z, vjp = mint.adaptive_avg_pool1d(x, output_size=count)
        delta = 420 * integers(rng, *z.shape)
        yield Pool(x, z, delta, vjp(delta)[0], [[adaptive(size, count)] * 3] * 2)


@equation("10.1", averages)
def adaptive_windows(v: Pool) -> None:
    def z(n: int, c: int, h: int) -> Any:
        window = v.of(n, c)[h]
        return sum(v.x[n, c, q] for q in window) / len(window)

    assert_same(tabulate(v.z.shape, z), v.z)
    covered = {q for window in v.of(0, 0) for q in window}
    assert covered == set(range(v.x.shape[2]))


@equation("10.2", averages)
def adaptive_avg_propagate(v: Pool) -> None:
    def gx(n: int, c: int, q: int) -> Any:
        return sum(v.delta[n, c, h] / len(window) for h, window in enumerate(v.of(n, c)) if q in window)

    assert_same(tabulate(v.x.shape, gx), v.gx)


def fractions(rng: np.random.Generator) -> Iterator[Pool]:
    """Fractional max-pools on maps full of ties, along the width of an image of one row."""
    for size, f, count in itertools.product((6, 7, 9), (1, 2, 3), (2, 3, 4)):
        x = rng.integers(1, 4, (2, 3, size)).astype(np.float64)
        samples = rng.random((2, 3, 2))
        hyper = {"kernel_size": (1, f), "output_size": (1, count), "return_indices": True}
        (z, indices), vjp = mint.fractional_max_pool2d(x[:, :, None], samples, **hyper)
        delta = integers(rng, *z.shape)
        # of the samples of a channel the first is that of the width
        omega = [[fractional(size, f, count, samples[n, c, 0]) for c in range(3)] for n in range(2)]
        yield Pool(x, z[:, :, 0], delta[:, :, 0], vjp(delta)[0][:, :, 0], omega, indices[:, :, 0])


def maxima(rng: np.random.Generator) -> Iterator[Pool]:
    """Adaptive max-pools on maps full of ties, then fractional ones."""
    for size, count in SIZES:
        x = rng.integers(1, 4, (2, 3, size)).astype(np.float64)
        (z, indices), vjp = mint.adaptive_max_pool1d(x, output_size=count, return_indices=True)
        delta = integers(rng, *z.shape)
        yield Pool(x, z, delta, vjp(delta)[0], [[adaptive(size, count)] * 3] * 2, indices)
    yield from fractions(rng)


@equation("10.3", maxima)
def max_propagate(v: Pool) -> None:
    np.testing.assert_array_equal(tabulate(v.z.shape, v.winner), v.indices)

    def gx(n: int, c: int, q: int) -> Any:
        return sum((v.winner(n, c, h) == q) * v.delta[n, c, h] for h in range(v.z.shape[2]))

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("10.4", fractions)
def fractional_windows(v: Pool) -> None:
    assert_same(tabulate(v.z.shape, lambda n, c, h: max(v.x[n, c, q] for q in v.of(n, c)[h])), v.z)


class Power(NamedTuple):
    """One power-average pool of Mint, of order p; `omega` are its windows and K the elements of its kernel."""

    x: Array
    z: Array
    delta: Array
    gx: Array
    omega: Windows
    k: int
    p: float

    def terms(self, n: int, c: int, h: int) -> list[float]:
        """The terms of V."""
        return [self.k / len(self.omega[h]) * self.x[n, c, q] ** self.p for q in self.omega[h]]


def pools(rng: np.random.Generator, orders: Sequence[float]) -> Iterator[Power]:
    """Windows that overlap, leave gaps, reach beyond the map; elements of both signs for an order that takes them."""
    for p, (size, k, s, ceil_mode) in itertools.product(orders, ((6, 3, 1, False), (7, 2, 3, False), (5, 2, 2, True))):
        x = rng.uniform(1, 3, (2, 3, size))
        if p % 2 == 0 or math.isinf(p):
            x *= rng.choice([-1, 1], x.shape)
        z, vjp = mint.lp_pool1d(x, norm_type=p, kernel_size=k, stride=s, ceil_mode=ceil_mode)
        delta = integers(rng, *z.shape) if math.isinf(p) else rng.standard_normal(z.shape)
        omega = [list(range(h * s, min(h * s + k, size))) for h in range(z.shape[2])]
        yield Power(x, z, delta, vjp(delta)[0], omega, k, p)


def powers(rng: np.random.Generator) -> Iterator[Power]:
    """Orders that are even, odd, fractions, negative."""
    return pools(rng, (2.0, 4.0, 1.0, 3.0, 1.5, 0.5, -1.0, -2.0))


@equation("10.5", powers)
def lp_forward(v: Power) -> None:
    z = tabulate(v.z.shape, lambda n, c, h: sum(v.terms(n, c, h)) ** (1 / v.p))
    assert_near(z, v.z, np.abs(z) * (1 + 2 / abs(v.p)))


@equation("10.6", powers)
def lp_propagate(v: Power) -> None:
    def terms(n: int, c: int, q: int) -> list[float]:
        windows = [h for h, window in enumerate(v.omega) if q in window]
        z = [sum(v.terms(n, c, h)) ** (1 / v.p) for h in windows]
        shares = [v.k / len(v.omega[h]) for h in windows]
        return [
            v.x[n, c, q] ** (v.p - 1) * share * norm ** (1 - v.p) * v.delta[n, c, h]
            for h, norm, share in zip(windows, z, shares, strict=True)
        ]

    def magnitude(n: int, c: int, q: int) -> float:
        return sum(map(abs, terms(n, c, q)))

    gx = tabulate(v.x.shape, lambda *index: sum(terms(*index)))
    scale = tabulate(v.x.shape, magnitude) * (1 + 2 * abs(1 - 1 / v.p))
    assert_near(gx, v.gx, scale + 2.0**-1000)


@equation("10.7", lambda rng: pools(rng, (math.inf, -math.inf)))
def lp_extreme(v: Power) -> None:
    sign = math.copysign(1, v.p)

    def winner(n: int, c: int, h: int) -> int:
        return max(v.omega[h], key=lambda q: sign * abs(v.x[n, c, q]))

    assert_same(tabulate(v.z.shape, lambda n, c, h: abs(v.x[n, c, winner(n, c, h)])), v.z)

    def gx(n: int, c: int, q: int) -> float:
        passed = sum((winner(n, c, h) == q) * v.delta[n, c, h] for h in range(len(v.omega)))
        return math.copysign(1, v.x[n, c, q]) * passed

    assert_same(tabulate(v.x.shape, gx), v.gx)


class Unpool(NamedTuple):
    """One max-unpool of Mint."""

    x: Array
    i: Array
    z: Array
    delta: Array
    gx: Array
    f: int
    s: int
    p: int

    def last(self, n: int, c: int, q: int) -> int | None:
        """The last h that goes to q, if any does."""
        return max((h for h in range(self.x.shape[2]) if self.i[n, c, h] == q), default=None)


def unpools(rng: np.random.Generator) -> Iterator[Unpool]:
    """Positions that repeat."""
    for size, f, s, p in itertools.product((3, 5), (2, 3), (1, 2, 3), (0, 1)):
        x = integers(rng, 2, 3, size)
        i = rng.integers(0, (size - 1) * s + f - 2 * p, x.shape)
        z, vjp = mint.max_unpool1d(x, i, kernel_size=f, stride=s, padding=p)
        delta = integers(rng, *z.shape)
        yield Unpool(x, i, z, delta, vjp(delta)[0], f, s, p)


@equation("10.8", unpools)
def unpool_forward(v: Unpool) -> None:
    def z(n: int, c: int, q: int) -> Any:
        h = v.last(n, c, q)
        return 0 if h is None else v.x[n, c, h]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("10.9", unpools)
def unpool_propagate(v: Unpool) -> None:
    def gx(n: int, c: int, h: int) -> Any:
        later = range(h + 1, v.x.shape[2])
        return all(v.i[n, c, other] != v.i[n, c, h] for other in later) * v.delta[n, c, v.i[n, c, h]]

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("10.10", unpools)
def unpool_size(v: Unpool) -> None:
    assert v.z.shape == (2, 3, (v.x.shape[2] - 1) * v.s + v.f - 2 * v.p)
    if 2 * v.p <= v.f:
        # the pooling has as many windows on such a map, and one less on a smaller one
        pooled, _ = mint.max_pool1d(v.z, kernel_size=v.f, stride=v.s, padding=v.p)
        assert pooled.shape == v.x.shape
        fewer, _ = mint.max_pool1d(v.z[..., :-1], kernel_size=v.f, stride=v.s, padding=v.p)
        assert fewer.shape[2] == v.x.shape[2] - 1
