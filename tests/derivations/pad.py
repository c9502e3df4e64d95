"""Section 8: padding, the convolution of a padded map, and the convolution over time."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mint
from tests.derivations.equation import Array, assert_same, at, equation, integers, over, tabulate

Origin = Callable[[int], int]


def reflected(size: int, p: int, _: int) -> Origin:
    """(8.2)."""
    return lambda j: abs(j - p) if j - p < size else 2 * (size - 1) - (j - p)


def replicated(size: int, p: int, _: int) -> Origin:
    """(8.3)."""
    return lambda j: min(max(j - p, 0), size - 1)


def wrapped(size: int, p: int, q: int) -> Origin:
    """(8.4)."""
    a, b = max(-p, 0), max(-q, 0)
    return lambda j: a + (j - p - a) % (size - a - b)


ORIGINS = {"reflect": reflected, "replicate": replicated, "circular": wrapped}
SIDES = ((1, 2), (3, 0), (0, 0), (-1, 2), (2, -2), (-1, -1))


class Padded:
    """One axis of five elements, padded by p and q."""

    def __init__(self, rng: np.random.Generator, mode: str, p: int, q: int) -> None:
        self.x = integers(rng, 2, 3, 5)
        self.mode, self.p, self.q = mode, p, q
        self.z, vjp = mint.pad(self.x, pad=(p, q), mode=mode)
        self.delta = integers(rng, *self.z.shape)
        (self.gx,) = vjp(self.delta)
        self.origin = ORIGINS[mode](5, p, q) if mode in ORIGINS else lambda j: j - p


def padded(*modes: str) -> Callable[[np.random.Generator], Iterator[Padded]]:
    """Both sides, one, none, and cuts."""
    return lambda rng: (Padded(rng, mode, p, q) for mode in modes for p, q in SIDES)


@equation("8.1", padded("constant"))
@equation("8.2", padded("reflect"))
@equation("8.3", padded("replicate"))
@equation("8.4", padded("circular"))
def padding_forward(v: Padded) -> None:
    assert v.z.shape[2] == 5 + v.p + v.q
    assert_same(tabulate(v.z.shape, lambda n, c, j: at(v.x, n, c, v.origin(j))), v.z)


@equation("8.5", padded("constant", "reflect", "replicate", "circular"))
def padding_propagate(v: Padded) -> None:
    def gx(n: int, c: int, i: int) -> Any:
        return sum(v.delta[n, c, j] for j in range(v.z.shape[2]) if v.origin(j) == i)

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("8.6")
def padding_propagate_on_two_axes(rng: np.random.Generator) -> None:
    for mode, origins in ORIGINS.items():
        x = integers(rng, 2, 1, 3, 4)
        z, vjp = mint.pad(x, pad=(2, 1, -1, 2), mode=mode)
        delta = integers(rng, *z.shape)
        of_rows, of_columns = origins(3, -1, 2), origins(4, 2, 1)

        def gx(
            n: int, c: int, i: int, k: int, delta: Array = delta, a: Origin = of_rows, b: Origin = of_columns
        ) -> Any:
            places = over(*delta.shape[2:])
            return sum(delta[n, c, j, m] for j, m in places if a(j) == i and b(m) == k)

        assert_same(tabulate(x.shape, gx), vjp(delta)[0])


class Bordered:
    """A convolution over one axis of six elements, padded by p and q."""

    def __init__(self, rng: np.random.Generator, mode: str, p: int, q: int, s: int, d: int) -> None:
        self.x, self.k, self.b = integers(rng, 2, 3, 6), integers(rng, 4, 3, 3), integers(rng, 4)
        self.s, self.d = s, d
        self.z, vjp = mint.conv1d(self.x, self.k, self.b, stride=s, dilation=d, padding=((p, q),), padding_mode=mode)
        self.delta = integers(rng, *self.z.shape)
        self.gx, self.gk, _ = vjp(self.delta)
        self.origin = ORIGINS[mode](6, p, q)


def bordered(rng: np.random.Generator) -> Iterator[Bordered]:
    """Every mode, with and without stride and dilation."""
    for mode, (p, q), s, d in itertools.product(ORIGINS, ((1, 1), (2, 3), (0, 4)), (1, 2), (1, 2)):
        yield Bordered(rng, mode, p, q, s, d)


@equation("8.7", bordered)
def border_forward(v: Bordered) -> None:
    def z(n: int, c: int, h: int) -> Any:
        return sum(v.x[n, a, v.origin(h * v.s + i * v.d)] * v.k[c, a, i] for a, i in over(3, 3)) + v.b[c]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("8.8", bordered)
def border_kernel(v: Bordered) -> None:
    def gk(c: int, a: int, i: int) -> Any:
        terms = over(2, v.z.shape[2])
        return sum(v.x[n, a, v.origin(h * v.s + i * v.d)] * v.delta[n, c, h] for n, h in terms)

    assert_same(tabulate(v.k.shape, gk), v.gk)


@equation("8.9", bordered)
def border_propagate(v: Bordered) -> None:
    def gx(n: int, c: int, h: int) -> Any:
        terms = over(4, v.z.shape[2], 3)
        return sum(v.delta[n, a, g] * v.k[a, c, i] for a, g, i in terms if v.origin(g * v.s + i * v.d) == h)

    assert_same(tabulate(v.x.shape, gx), v.gx)


class Timed:
    """A convolution over time."""

    def __init__(self, rng: np.random.Generator, p: int) -> None:
        self.x, self.k, self.b = integers(rng, 6, 2, 3), integers(rng, 3, 3, 4), integers(rng, 4)
        self.p = p
        self.z, vjp = mint.conv_tbc(self.x, self.k, self.b, pad=p)
        self.delta = integers(rng, *self.z.shape)
        self.gx, self.gk, self.gb = vjp(self.delta)


def timed(rng: np.random.Generator) -> Iterator[Timed]:
    """Padded, bare and cut."""
    return (Timed(rng, p) for p in (0, 1, 4, -1))


@equation("8.10", timed)
def time_forward(v: Timed) -> None:
    def z(t: int, n: int, c: int) -> Any:
        return sum(at(v.x, t + i - v.p, n, a) * v.k[i, a, c] for i, a in over(3, 3)) + v.b[c]

    assert len(v.z) == 6 + 2 * v.p - 3 + 1
    assert_same(tabulate(v.z.shape, z), v.z)


@equation("8.11", timed)
def time_propagate(v: Timed) -> None:
    def gx(t: int, n: int, a: int) -> Any:
        return sum(at(v.delta, t - i + v.p, n, c) * v.k[i, a, c] for i, c in over(3, 4))

    assert_same(tabulate(v.x.shape, gx), v.gx)


@equation("8.12", timed)
def time_kernel(v: Timed) -> None:
    def gk(i: int, a: int, c: int) -> Any:
        return sum(at(v.x, t + i - v.p, n, a) * v.delta[t, n, c] for t, n in over(len(v.z), 2))

    assert_same(tabulate(v.k.shape, gk), v.gk)
    assert_same(tabulate(v.b.shape, lambda c: sum(v.delta[t, n, c] for t, n in over(len(v.z), 2))), v.gb)
