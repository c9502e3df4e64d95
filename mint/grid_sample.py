"""Sampling a map at the points of a grid, and the affine grids for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.interpolate import cubic_slopes, cubic_weights

__all__ = [
    "affine_grid",
    "grid_sample",
]

MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")


class _Taps(NamedTuple):
    """Along one axis, the elements that a point is made of: arrays [n, p, k], k taps for each of p points."""

    place: Array  # −1 outside of the map
    weight: Array
    slope: Array  # of the weight, per element that the point moves
    steepness: Array  # [n, p]: elements that the point moves, per unit of its coordinate in the grid


def _reflected(s: Array, n: int, align_corners: bool) -> tuple[Array, Array]:
    """The place s mirrored until it is within the outer elements, at their centres or their borders; and its slope."""
    low, span = (0.0, n - 1) if align_corners else (-0.5, n)
    if span == 0:
        return np.zeros_like(s), np.zeros_like(s)
    distance = np.fmod(np.abs(s - low), 2 * span)
    back = distance > span
    return np.where(back, 2 * span - distance, distance) + low, np.where(back ^ (s < low), -1, 1).astype(s.dtype)


def _taps(g: Array, n: int, mode: str, padding_mode: str, align_corners: bool) -> _Taps:
    scale, shift = ((n - 1) / 2, 0.0) if align_corners else (n / 2, 0.5)
    s = (g + 1) * scale - shift
    # what points nowhere is read as −1
    lost = np.isnan(s) | (np.isinf(s) & (padding_mode == "reflection"))
    s = np.where(lost, -shift, s)
    steepness = np.where(lost, 0, scale).astype(g.dtype)
    if mode != "bicubic" and padding_mode != "zeros":
        if padding_mode == "reflection":
            s, sign = _reflected(s, n, align_corners)
            steepness = steepness * sign
        # flat on the border, as beyond
        steepness = steepness * ((s > 0) & (s < n - 1))
        s = np.clip(s, 0, n - 1)
    if padding_mode != "reflection":
        # all is the same three elements away from the map; an infinity has no fraction
        near = np.clip(s, -3, n + 2)
        s, steepness = near, np.where(near == s, steepness, 0)
    before = np.floor(s)
    t = s - before
    if mode == "nearest":
        place, weight, slope = np.rint(s)[..., np.newaxis], np.ones((*s.shape, 1)), np.zeros((*s.shape, 1))
    elif mode == "bilinear":
        place, weight = before[..., np.newaxis] + np.arange(2), np.stack([1 - t, t], axis=-1)
        slope = np.broadcast_to([-1, 1], weight.shape)
    else:
        place, a = before[..., np.newaxis] + np.arange(-1, 3), g.dtype.type("-0.75")
        weight, slope = cubic_weights(t, 1 - t, a), cubic_slopes(t, 1 - t, a)
        if padding_mode == "reflection":
            place, _ = _reflected(place, n, align_corners)
        if padding_mode != "zeros":
            place = np.clip(place, 0, n - 1)
    place = np.where((place >= 0) & (place < n), place, -1).astype(np.int64)
    return _Taps(place, weight, slope, steepness)


@differentiable(wide=True)
def grid_sample(
    x: Array,
    grid: Array,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> tuple[Array, Vjp]:
    """Sample maps at the points of a grid: y[n, c, p] = Σ over i, j of k(u − j)·k(v − i)·x[n, c, i, j].

    The point p of sample n lies at (u, v), in elements of the map: along an axis of W elements the coordinate g is
    u = ((g + 1)·W − 1)/2, so that −1 and 1 are the outer borders of the outer elements, or with align_corners
    u = (g + 1)/2·(W − 1), their centres. And k is

    - ``"bilinear"``: k(d) = 1 − |d| for |d| < 1, else 0 (over three axes that is trilinear);
    - ``"nearest"``: 1 for the nearest element, the even one of two, else 0;
    - ``"bicubic"``: Keys's kernel with a = −3/4, that of ``interpolate``.

    Shapes: x (N, C, H, W), grid (N, H′, W′, 2), y (N, C, H′, W′); or x (N, C, D, H, W), grid (N, D′, H′, W′, 3),
    y (N, C, D′, H′, W′). A point is (u, v) or (u, v, w): along the last axis of the map first. N, C and the axes of
    the grid may be 0, those of the map not.
    Dtypes: those of ``differentiable``; x and grid share one.

    mode: as above, "bicubic" for two axes only. padding_mode, where the map is left: "zeros"; "border", the nearest
    element; "reflection", mirrored at what −1 and 1 are, as often as need be. align_corners: None is False.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, ggrid)``. At an element, where the slope of "bilinear" jumps, it is that
    towards the next element; but on the outer elements it is 0 with padding "border" and "reflection", as beyond. The
    gradient of the grid is 0 in mode "nearest".
    Raises ValueError or TypeError for shapes or hyper-parameters that do not fit.
    Source: Jaderberg et al., "Spatial transformer networks", 2015; ``torch.nn.functional.grid_sample``.

    A coordinate of NaN, and with "reflection" an infinite one, counts as −1, as PyTorch's documentation has it, and
    its gradient is 0. An infinite one is beyond the map otherwise: 0 with "zeros".

    Differences: with a coordinate that is not finite PyTorch's results on the CPU are of many kinds (NaN with "zeros"
    and "bicubic", the last element and no gradient on three axes, a crash of the gradient with "border" and
    "reflection"). It computes places in half precision for float16 and bfloat16, where here they are exact.
    ``jax.scipy.ndimage.map_coordinates`` takes u and v themselves, rounds halves away from zero in its nearest mode,
    and its slopes on the outer elements are not 0.

    >>> x = np.array([[[[1.0, 2.0], [3.0, 5.0]]]])
    >>> grid_sample(x, np.array([[[[0.0, 0.0], [0.5, -0.5]]]]), align_corners=True)[0]
    array([[[[2.75  , 2.4375]]]])
    """
    op = "grid_sample"
    mode = hyperparameters.choice(op, "mode", mode, MODES)
    padding_mode = hyperparameters.choice(op, "padding_mode", padding_mode, PADDING_MODES)
    align = align_corners is not None and hyperparameters.flag(op, "align_corners", align_corners)
    axes = x.ndim - 2
    if axes not in (2, 3) or grid.shape[:1] + grid.shape[-1:] != (x.shape[0], axes) or grid.ndim != x.ndim:
        expected = "x (N, C, H, W) and grid (N, H', W', 2), or x (N, C, D, H, W) and grid (N, D', H', W', 3)"
        raise ValueError(f"{op}: shapes must be {expected}; got {x.shape} and {grid.shape}")
    if 0 in x.shape[2:]:
        raise ValueError(f"{op}: x must be empty in N and C only; got shape {x.shape}")
    if mode == "bicubic" and axes == 3:
        raise ValueError(f"{op}: mode 'bicubic' needs x (N, C, H, W); got shape {x.shape}")
    samples, channels, *size = x.shape
    out = grid.shape[1:-1]
    points = grid.reshape(samples, math.prod(out), axes)
    # the last axis of the map comes first in a point
    taps = [_taps(points[..., axes - 1 - a], n, mode, padding_mode, align) for a, n in enumerate(size)]
    flat = x.reshape(samples, channels, math.prod(size))

    def elements() -> Iterator[tuple[tuple[int, ...], Array, Array, Array]]:
        """One tap along each axis: which, where that is in the flat map, whether within it, and the elements there."""
        for ks in itertools.product(*(range(tap.place.shape[-1]) for tap in taps)):
            places = [tap.place[..., k] for tap, k in zip(taps, ks, strict=True)]
            within = np.all([place >= 0 for place in places], axis=0)[:, np.newaxis]
            at = np.where(within, np.ravel_multi_index(places, size, mode="clip")[:, np.newaxis], 0)
            yield ks, at, within, np.where(within, np.take_along_axis(flat, at, 2), 0)

    def weight(ks: tuple[int, ...], slope_of: int | None = None) -> Array:
        """The product of the weights of taps, of one of them its slope: [n, 1, p]."""
        factors = (
            (tap.slope if a == slope_of else tap.weight)[..., k]
            for a, (tap, k) in enumerate(zip(taps, ks, strict=True))
        )
        product: Array = math.prod(factors, start=np.ones(points.shape[:2], x.dtype))
        return product[:, np.newaxis]

    y = np.zeros((samples, channels, points.shape[1]), x.dtype)
    for ks, _, _, values in elements():
        y = y + values * weight(ks)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y[n, c, p] = Σ_k w[n, p, k]·x[n, c, at(n, p, k)], w the product of one weight per axis:
        # gx[n, c, q] = Σ over p, k with at(n, p, k) = q of w[n, p, k]·gy[n, c, p]
        # ggrid[n, p, a] = ∂s/∂grid·Σ_c gy[n, c, p]·Σ_k ∂w/∂s·x[n, c, at(n, p, k)], s the place along axis a
        gy = gy.reshape(y.shape)
        gx, ggrid = np.zeros_like(flat), np.zeros_like(points)
        n, c = np.ogrid[:samples, :channels]
        for ks, at, within, values in elements():
            np.add.at(gx, (n[..., np.newaxis], c[..., np.newaxis], at), np.where(within, gy * weight(ks), 0))
            if mode != "nearest":
                for a in range(axes):
                    ggrid[..., axes - 1 - a] += (gy * (values * weight(ks, slope_of=a))).sum(axis=1)
        for a, tap in enumerate(taps):
            # what does not move with its coordinate has no gradient, also where an element is infinite
            g = ggrid[..., axes - 1 - a]
            g[...] = np.where(tap.steepness == 0, 0, g * tap.steepness)
        return gx.reshape(x.shape), ggrid.reshape(grid.shape)

    return y.reshape(samples, channels, *out), vjp


@differentiable(wide=True)
def affine_grid(theta: Array, *, size: tuple[int, ...], align_corners: bool | None = None) -> tuple[Array, Vjp]:
    """The grid that samples a map under an affine transformation: y[n, i, j] = θ[n]·(u[j], v[i], 1)ᵀ.

    Along an axis of W points u[j] = (2j + 1)/W − 1, or with align_corners u[j] = 2j/(W − 1) − 1, 0 if W = 1.

    Shapes: theta (N, 2, 3), y (N, H, W, 2) for a size of (N, C, H, W); theta (N, 3, 4), y (N, D, H, W, 3) for a
    size of (N, C, D, H, W). Dtypes: those of ``differentiable``.

    size: that of the result of ``grid_sample``, 4 or 5 ints of at least 1; C does not matter.
    align_corners: as for ``grid_sample``.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gtheta,)``.
    Raises ValueError or TypeError for a theta or a size that does not fit.
    Source: Jaderberg et al., "Spatial transformer networks", 2015; ``torch.nn.functional.affine_grid``, which takes
    an empty size as well where it warns of an axis of one point with align_corners. JAX has none.

    >>> affine_grid(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.25]]]), size=(1, 1, 1, 2))[0]
    array([[[[-0.5 ,  0.25],
             [ 0.5 ,  0.25]]]])
    """
    op = "affine_grid"
    sizes = hyperparameters.sizes(op, "size", size)
    align = align_corners is not None and hyperparameters.flag(op, "align_corners", align_corners)
    if len(sizes) not in (4, 5) or min(sizes) < 1:
        raise ValueError(f"{op}: size must be 4 or 5 ints of at least 1; got {size!r}")
    samples, _, *out = sizes
    axes = len(out)
    if theta.shape != (samples, axes, axes + 1):
        raise ValueError(f"{op}: theta must have shape {(samples, axes, axes + 1)} to fit size; got {theta.shape}")

    def coordinates(n: int) -> Array:
        count = n - 1 if align else n
        # integers, divided once
        numerator = 2 * np.arange(n) - (n - 1)
        return numerator.astype(theta.dtype) / max(count, 1)

    along = np.meshgrid(*map(coordinates, out), indexing="ij")
    # [p, a + 1]: the last axis of the map first, and 1
    points = np.stack([*(u.ravel() for u in reversed(along)), np.ones(math.prod(out), theta.dtype)], axis=-1)
    y = points @ theta.swapaxes(1, 2)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # forward [p, k] [n, a, k] -> [n, p, a], transposed [n, p, a] [p, k] -> [n, a, k]
        return (gy.reshape(y.shape).swapaxes(1, 2) @ points,)

    return y.reshape(samples, *out, axes), vjp
