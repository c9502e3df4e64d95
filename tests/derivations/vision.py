"""Section 15: shuffles, interpolation, sampling at the points of a grid."""

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import Array, assert_near, assert_same, equation, integers, over, tabulate

# --- 15.1 shuffles ------------------------------------------------------------------------------------------


class Shuffled(NamedTuple):
    """A shuffle of Mint with its factor or groups; the channels are factor²·c, or factor·k."""

    factor: int
    x: Array
    z: Array
    delta: Array
    gx: Array


def pixel_shuffles(rng: np.random.Generator) -> Iterator[Shuffled]:
    """Shuffles, and unshuffles with x and z exchanged."""
    for r in (1, 2, 3):
        small, large = integers(rng, 2, 3 * r * r, 2, 3), integers(rng, 2, 3, 2 * r, 3 * r)
        z, vjp = mint.pixel_shuffle(small, upscale_factor=r)
        yield Shuffled(r, small, z, large, vjp(large)[0])
        z, vjp = mint.pixel_unshuffle(large, downscale_factor=r)
        yield Shuffled(r, z, large, vjp(small)[0], small)


def in_block(r: int, element: Callable[..., Any]) -> Callable[..., Any]:
    """From an element at (n, c, h·r + i, w·r + j) to that at (n, c·r² + i·r + j, h, w)."""

    def of_channels(n: int, channel: int, h: int, w: int) -> Any:
        c, block = divmod(channel, r * r)
        i, j = divmod(block, r)
        return element(n, c, h * r + i, w * r + j)

    return of_channels


@equation("15.1", pixel_shuffles)
def pixel_shuffle_forward(v: Shuffled) -> None:
    assert_same(tabulate(v.x.shape, in_block(v.factor, lambda *at: v.z[at])), v.x)


@equation("15.2", pixel_shuffles)
def pixel_shuffle_propagate(v: Shuffled) -> None:
    assert_same(tabulate(v.x.shape, in_block(v.factor, lambda *at: v.delta[at])), v.gx)


def channel_shuffles(rng: np.random.Generator) -> Iterator[Shuffled]:
    for groups, each in itertools.product((1, 2, 3), (1, 2, 4)):
        x = integers(rng, 2, groups * each, 3)
        z, vjp = mint.channel_shuffle(x, groups=groups)
        delta = integers(rng, *z.shape)
        yield Shuffled(groups, x, z, delta, vjp(delta)[0])


def dealt(v: Shuffled, values: Array) -> Array:
    """values[n, k·G + g], by n and g·K + k."""
    each = v.x.shape[1] // v.factor
    return tabulate(v.x.shape, lambda n, c, i: values[n, c % each * v.factor + c // each, i])


@equation("15.3", channel_shuffles)
def channel_shuffle_forward(v: Shuffled) -> None:
    assert_same(dealt(v, v.z), v.x)


@equation("15.4", channel_shuffles)
def channel_shuffle_propagate(v: Shuffled) -> None:
    assert_same(dealt(v, v.delta), v.gx)
    again, _ = mint.channel_shuffle(v.delta, groups=v.x.shape[1] // v.factor)
    assert_same(again, v.gx)


# --- 15.2 interpolation -------------------------------------------------------------------------------------

SIZES = tuple(itertools.product((1, 2, 3, 5, 8), (1, 2, 3, 4, 7)))


def matrix(rows: int, columns: int, element: Callable[[int, int], Any]) -> Array:
    return tabulate((rows, columns), lambda i, j: float(element(i, j)))


def step(before: int, after: int, aligned: bool) -> Fraction:
    """r."""
    if not aligned:
        return Fraction(before, after)
    return Fraction(before - 1, after - 1) if after > 1 else Fraction(0)


def place(i: int, r: Fraction, aligned: bool) -> Fraction:
    """s_i."""
    half = Fraction(1, 2)
    return i * r if aligned else (i + half) * r - half


def clip(s: Any, n: int) -> Any:
    return min(max(s, 0), n - 1)


def tent(d: Any) -> Any:
    return max(0, 1 - abs(d))


def keys(d: Any, a: Fraction) -> Any:
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0


def lanczos(d: Any) -> float:
    x = math.pi * float(d)
    return 1.0 if x == 0 else math.sin(x) / x * math.sin(x / 3) / (x / 3) if abs(d) < 3 else 0.0


def linear(n: int, m: int, aligned: bool) -> Array:
    r = step(n, m, aligned)
    return matrix(m, n, lambda i, j: tent(clip(place(i, r, aligned), n) - j))


def cubic(n: int, m: int, aligned: bool) -> Array:
    r, a = step(n, m, aligned), Fraction(-3, 4)

    def weight(i: int, j: int) -> Any:
        s = place(i, r, aligned)
        around = range(math.floor(s) - 1, math.floor(s) + 3)
        return sum(keys(s - q, a) for q in around if clip(q, n) == j)

    return matrix(m, n, weight)


def filtered(n: int, m: int, kernel: Callable[[Any], Any]) -> Array:
    r = step(n, m, False)

    def f(i: int, j: int) -> Any:
        return kernel((place(i, r, False) - j) / max(r, 1))

    return matrix(m, n, lambda i, j: f(i, j) / sum(f(i, q) for q in range(n)))


def check_interpolation(a: Array, scale: Array, rng: np.random.Generator, **hyper: Any) -> None:
    """That Mint's interpolation along one axis is z = A·x, and its gradient Aᵀ·δ; G is |A| with `scale` for A."""
    m, n = a.shape
    two = hyper["mode"] in ("bicubic", "bilinear", "lanczos")
    # the second axis, where there must be one, keeps its size
    x = integers(rng, 2, 2, n, *([2] if two else []))
    z, vjp = mint.interpolate(x, size=(m, 2) if two else m, **hyper)
    delta = integers(rng, *z.shape)
    if not np.any(x) or not np.any(delta):
        return
    x, z, delta, gx = (v if two else v[..., None] for v in (x, z, delta, vjp(delta)[0]))

    def along(matrix: Array, values: Array) -> Array:
        shape = (*values.shape[:2], len(matrix), values.shape[3])
        return tabulate(
            shape, lambda b, c, i, w: sum(matrix[i, j] * values[b, c, j, w] for j in range(matrix.shape[1]))
        )

    def same(literal: Array, computed: Array, bound: Array) -> None:
        if np.any(literal):
            assert_near(literal, computed, bound + 2.0**-1000)

    same(along(a, x), z, along(scale, abs(x)))
    same(along(a.T, delta), gx, along(scale.T, abs(delta)))


@equation("15.5")
@equation("15.6")
@equation("15.9")
def nearest(rng: np.random.Generator) -> None:
    for n, m in SIZES:
        r = step(n, m, False)
        a = matrix(m, n, lambda i, j, r=r: j == math.floor(i * r))
        check_interpolation(a, a, rng, mode="nearest")
        a = matrix(m, n, lambda i, j, r=r: j == math.floor((i + Fraction(1, 2)) * r))
        check_interpolation(a, a, rng, mode="nearest-exact")


@equation("15.10")
def area(rng: np.random.Generator) -> None:
    for n, m in SIZES:
        first = [i * n // m for i in range(m)]
        last = [-(-(i + 1) * n // m) for i in range(m)]
        a = matrix(m, n, lambda i, j, f=first, e=last: (f[i] <= j < e[i]) / (e[i] - f[i]))
        check_interpolation(a, a, rng, mode="area")


@equation("15.8")
@equation("15.11")
def linear_matrix(rng: np.random.Generator) -> None:
    for (n, m), aligned in itertools.product(SIZES, (False, True)):
        a = linear(n, m, aligned)
        check_interpolation(a, a, rng, mode="linear", align_corners=aligned)


@equation("15.12")
def cubic_matrix(rng: np.random.Generator) -> None:
    for (n, m), aligned in itertools.product(SIZES, (False, True)):
        # four weights of at most 1 may meet on the border
        check_interpolation(cubic(n, m, aligned), np.full((m, n), 4.0), rng, mode="bicubic", align_corners=aligned)


@equation("15.14")
def filter_matrix(rng: np.random.Generator) -> None:
    kernels: dict[str, Callable[[Any], Any]] = {
        "bilinear": tent,
        "bicubic": lambda d: keys(d, Fraction(-1, 2)),
        "lanczos": lanczos,
    }
    for (n, m), mode in itertools.product(SIZES, kernels):
        a = filtered(n, m, kernels[mode])
        check_interpolation(a, np.full((m, n), 4.0), rng, mode=mode, antialias=True)


@equation("15.13")
def factored_kernel(rng: np.random.Generator) -> None:
    del rng
    for a, t in itertools.product((Fraction(-3, 4), Fraction(-1, 2)), [Fraction(i, 16) for i in range(17)]):
        assert keys(t, a) == (1 - t) * (1 + t - (a + 2) * t * t)
        assert keys(1 + t, a) == a * t * (1 - t) ** 2


@equation("15.7")
def two_axes(rng: np.random.Generator) -> None:
    for (h, h_out), (w, w_out) in (((3, 5), (4, 2)), ((2, 4), (3, 3)), ((5, 1), (1, 4))):
        a, b = linear(h, h_out, False), linear(w, w_out, False)
        _, vjp = mint.interpolate(integers(rng, 2, 3, h, w), size=(h_out, w_out), mode="bilinear")
        delta = integers(rng, 2, 3, h_out, w_out)

        def gx(n: int, c: int, i: int, j: int, a: Array = a, b: Array = b, delta: Array = delta) -> Any:
            return sum(a[p, i] * b[q, j] * delta[n, c, p, q] for p, q in over(len(a), len(b)))

        bound = tabulate((2, 3, h, w), lambda *at, gx=gx, delta=delta: gx(*at, delta=abs(delta)))
        assert_near(tabulate((2, 3, h, w), gx), vjp(delta)[0], bound + 2.0**-1000)


# --- 15.3 sampling at the points of a grid --------------------------------------------------------------------


def tent_slope(d: Any) -> int:
    return (-1 <= d < 0) - (0 <= d < 1)


def keys_slope(d: Any) -> Any:
    a, e = Fraction(-3, 4), abs(d)
    if e <= 1:
        return (3 * (a + 2) * e**2 - 2 * (a + 3) * e) * ((d > 0) - (d < 0))
    return (3 * a * e**2 - 10 * a * e + 8 * a) * ((d > 0) - (d < 0)) if e < 2 else 0


def mirrored(u: Any, n: int, aligned: bool) -> tuple[Any, int]:
    """û and û′."""
    a, b = (Fraction(0), n - 1) if aligned else (Fraction(-1, 2), n)
    q = abs(u - a) % (2 * b)
    m, sign = min(q, 2 * b - q), (u > a) - (u < a)
    return a + m, sign if m == q else -sign


class Sampling(NamedTuple):
    """One grid_sample of Mint at places that are exact; `rows[n][p]` and `columns[n][p]` are weights and slopes.

    G is their magnitudes' sums, below 2 and 6σ along an axis, times those of x and δ, at most 4.
    """

    x: Array
    z: Array
    delta: Array
    gx: Array
    ggrid: Array
    rows: list[list[list[tuple[Any, Any]]]]
    columns: list[list[list[tuple[Any, Any]]]]


def weights(g: Any, n: int, mode: str, padding: str, aligned: bool) -> list[tuple[Any, Any]]:
    """Of each element along an axis: its weight at the place that g means, and the slope of that over g."""
    sigma = Fraction(n - 1 if aligned else n, 2)
    u = g * sigma + Fraction(n - 1, 2)
    slope: Any = 1
    if mode == "bilinear" and padding != "zeros":
        if padding == "reflection":
            u, slope = mirrored(u, n, aligned)
        slope *= 0 < u < n - 1
        u = clip(u, n)
    if mode == "bilinear":
        return [(tent(u - j), tent_slope(u - j) * slope * sigma) for j in range(n)]

    def back(j: int) -> int:
        if padding == "reflection":
            return int(clip(mirrored(Fraction(j), n, aligned)[0], n))
        return int(clip(j, n)) if padding == "border" else j

    around = range(math.floor(u) - 1, math.floor(u) + 3)
    a = Fraction(-3, 4)
    return [
        (
            sum(keys(u - q, a) for q in around if back(q) == j),
            sum(keys_slope(u - q) * sigma for q in around if back(q) == j),
        )
        for j in range(n)
    ]


def samplings(rng: np.random.Generator) -> Iterator[Sampling]:
    """Points at eighths, on elements and borders and far beyond."""
    paddings = ("zeros", "border", "reflection")
    for mode, padding, aligned in itertools.product(("bilinear", "bicubic"), paddings, (False, True)):
        h, w = 4, 5
        x, grid = integers(rng, 2, 3, h, w), rng.integers(-20, 21, (2, 6, 1, 2)) / 8
        z, vjp = mint.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=aligned)
        delta = integers(rng, *z.shape)
        gx, ggrid = vjp(delta)
        assert gx is not None
        assert ggrid is not None
        rows, columns = (
            [[weights(Fraction(p[0, k]), n, mode, padding, aligned) for p in sample] for sample in grid]
            for k, n in ((1, h), (0, w))
        )
        yield Sampling(x, z[..., 0], delta[..., 0], gx, ggrid[:, :, 0], rows, columns)


def sampled(v: Sampling, n: int, c: int, p: int, of_row: int = 0, of_column: int = 0) -> float:
    """Σ over i, j of the weights (0) or slopes (1) times x."""
    rows, columns = v.rows[n][p], v.columns[n][p]
    terms = (
        rows[i][of_row] * columns[j][of_column] * Fraction(v.x[n, c, i, j]) for i, j in over(len(rows), len(columns))
    )
    return float(sum(terms))


@equation("15.15", samplings)
def sample_forward(v: Sampling) -> None:
    assert_near(tabulate(v.z.shape, lambda n, c, p: sampled(v, n, c, p)), v.z, np.full(v.z.shape, 2 * 2 * 4.0))


@equation("15.16", samplings)
def sample_map(v: Sampling) -> None:
    def gx(n: int, c: int, i: int, j: int) -> float:
        points = range(v.delta.shape[2])
        terms = (v.rows[n][p][i][0] * v.columns[n][p][j][0] * Fraction(v.delta[n, c, p]) for p in points)
        return float(sum(terms))

    assert_near(tabulate(v.x.shape, gx), v.gx, np.full(v.x.shape, 2 * 2 * 4.0))


@equation("15.17", samplings)
@equation("15.18", samplings)
@equation("15.19", samplings)
@equation("15.20", samplings)
@equation("15.21", samplings)
def sample_grid(v: Sampling) -> None:
    def ggrid(n: int, p: int, k: int) -> float:
        channels = range(v.x.shape[1])
        return float(sum(v.delta[n, c, p] * sampled(v, n, c, p, of_row=k == 1, of_column=k == 0) for c in channels))

    assert_near(tabulate(v.ggrid.shape, ggrid), v.ggrid, np.full(v.ggrid.shape, 2 * 6 * 4 * 4.0))


# --- 15.4 affine grids ----------------------------------------------------------------------------------------


class Affine(NamedTuple):
    """One affine_grid of Mint, and the coordinates u, v along its axes."""

    theta: Array
    z: Array
    delta: Array
    gtheta: Array
    u: list[float]
    v: list[float]


def affine_grids(rng: np.random.Generator) -> Iterator[Affine]:
    for h, w, aligned in itertools.product((2, 3, 4), (2, 5), (False, True)):
        theta = integers(rng, 2, 2, 3)
        z, vjp = mint.affine_grid(theta, size=(2, 1, h, w), align_corners=aligned)
        delta = integers(rng, *z.shape)
        gtheta = vjp(delta)[0]
        assert gtheta is not None
        u, v = ([float(Fraction(2 * i + (not aligned), n - aligned) - 1) for i in range(n)] for n in (w, h))
        yield Affine(theta, z, delta, gtheta, u, v)


@equation("15.22", affine_grids)
def affine_forward(a: Affine) -> None:
    def z(n: int, h: int, w: int, k: int) -> Any:
        return a.theta[n, k, 0] * a.u[w] + a.theta[n, k, 1] * a.v[h] + a.theta[n, k, 2]

    assert_near(tabulate(a.z.shape, z), a.z, np.full(a.z.shape, 12.0))


@equation("15.23", affine_grids)
def affine_theta(a: Affine) -> None:
    _, height, width, _ = a.delta.shape

    def gtheta(n: int, k: int, column: int) -> Any:
        return sum(a.delta[n, h, w, k] * (a.u[w], a.v[h], 1)[column] for h, w in over(height, width))

    assert_near(tabulate(a.gtheta.shape, gtheta), a.gtheta, np.full(a.gtheta.shape, 4.0 * height * width))
