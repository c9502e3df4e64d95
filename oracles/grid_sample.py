"""Sampling a map at the points of a grid, and the affine grids for it: definitions.

Rounding decides in which cell of the map a point lies that is all but on the border of two. There the bilinear kernel's
slope and the nearest element jump: which of the two is right nobody can say who has rounded, and these elements have an
infinite scale, which is to say that they are not judged. Where the place of a point is a number of few digits it is not
rounded, and all is judged, on the border as well; so it is in the fills of integers, which are halved in the grid.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.draw import axis_lengths
from oracles.fill import values
from oracles.formula import Traced, formula, traced
from oracles.interpolate import around, cubic_jax, weighted_sum, within_rounding
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.precision import HALF, precision

ALIGN_CORNERS = st.sampled_from((None, False, True))
#: More than any map that is drawn.
FAR = 1000.0
#: A value that cannot be judged.
UNKNOWN = Traced(0.0, np.inf)


def draw_grid_sample(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Maps with two axes or three, and as many points as there may be; now and then no sample, channel or point."""
    axes = draw(st.sampled_from((2, 3)))
    size = [draw(st.sampled_from((3, 2, 1, 4, 5, 8) if axes == 2 else (3, 2, 1, 4))) for _ in range(axes)]
    batch, channels, *out = axis_lengths(draw, 2 + axes, 2, 1, 3)
    hyper = {
        "mode": draw(st.sampled_from(("bilinear", "nearest", "bicubic")[: 5 - axes])),
        "padding_mode": draw(st.sampled_from(("zeros", "border", "reflection"))),
        "align_corners": draw(ALIGN_CORNERS),
    }
    return {"x": (batch, channels, *size), "grid": (batch, *out, axes)}, hyper


def spoil_grid_sample(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Words that are no mode, a flag that is none, shapes that do not fit each other."""
    x, grid = shapes["x"], shapes["grid"]
    spoiled = [
        ("mode", shapes, {**hyper, "mode": draw(st.sampled_from(("linear", "trilinear", 1)))}),
        ("padding_mode", shapes, {**hyper, "padding_mode": draw(st.sampled_from(("reflect", "constant", 0)))}),
        ("align_corners", shapes, {**hyper, "align_corners": draw(st.sampled_from((1, "yes")))}),
        ("grid", {**shapes, "grid": (x[0] + 1, *grid[1:])}, hyper),
        ("grid", {**shapes, "grid": (*grid[:-1], grid[-1] + 1)}, hyper),
        ("grid", {**shapes, "grid": grid[1:]}, hyper),
        ("x", {**shapes, "x": x[1:]}, hyper),
        ("x", {**shapes, "x": (*x[:2], 0, *x[3:])}, hyper),
    ]
    if len(x) == 5:
        spoiled.append(("mode", shapes, {**hyper, "mode": "bicubic"}))
    what: tuple[str, Shapes, Hyper] = draw(st.sampled_from(spoiled))
    return what


def halved(grid: Array) -> Array:
    """Integers become halves: half of them within the map, some on its borders, and all exact."""
    halves: Array = grid / 2
    return halves if (grid == np.rint(grid)).all() else grid


def few_digits(g: Array) -> Array:
    """Whether the place that g means in a small map is exact, in any precision from float32 on."""
    few: Array = (np.abs(g) < 2**8) & (np.rint(g * 2**8) == g * 2**8)
    return few


def same(g: Traced) -> Traced:
    """The pullback of what is not changed."""
    return g


def reflected(s: Any, n: int, align_corners: bool) -> Any:
    """s mirrored at the centres, or at the borders, of the outer elements until it lies between."""
    low, span = (0.0, n - 1) if align_corners else (-0.5, n)
    if not span:
        return 0 * s
    distance = abs(s - low)
    distance = distance - np.floor(distance / (2 * span)) * 2 * span
    return np.where(distance > span, 2 * span - distance, distance) + low


def clipped(s: Traced, n: int) -> Traced:
    """s between the outer elements; on these, as beyond, the slope is 0."""
    inside = (s.value > 0) & (s.value < n - 1)
    near = np.clip(s.value, 0, n - 1)
    bound = np.where(np.abs(s.value - near) > within_rounding(s), 0, s.bound)
    return Traced(near, bound, [(s, lambda g: np.where(inside, g, 0.0))])


def place(g: Traced, n: int, mode: str, padding_mode: str, align_corners: bool) -> Traced:
    """Where along an axis of n elements a point with the coordinate g lies; nowhere is −1."""
    exact = few_digits(g.value)

    def settled(s: Any) -> Traced:
        return Traced(s.value, np.where(exact, 0, s.bound), [(s, same)])

    s = settled((g + 1) / 2 * (n - 1) if align_corners else ((g + 1) * n - 1) / 2)
    lost = np.isnan(s) | (np.isinf(s) & (padding_mode == "reflection"))
    unknown = lost & np.isfinite(g)  # overflown, as it may be in longdouble, where others find it
    s = Traced(
        np.where(lost, 0 if align_corners else -0.5, s.value),
        np.where(unknown, np.inf, np.where(lost, 0, s.bound)),
        [(s, lambda d: np.where(unknown, UNKNOWN, np.where(lost, 0.0, d)))],
    )
    if mode == "bicubic" or padding_mode == "zeros":
        return s
    return clipped(settled(reflected(s, n, align_corners)) if padding_mode == "reflection" else s, n)


def taps(s: Any, mode: str, unsure: Array) -> tuple[Array, Any, Array]:
    """The elements that points at s are made of, their weights, and which count: [n, p, k] each.

    The gradient of s cannot be judged where it is `unsure`, nor where rounding decides about the cell and so the slope.
    """
    # all is the same beyond the map, but an infinity has no fraction
    s = np.where(np.isinf(s), np.where(s.value > 0, FAR, -FAR), s)
    low, reach = np.floor(s.value), within_rounding(s)
    off = np.abs(s.value - low - 0.5)
    if mode == "nearest":
        places = np.stack([low, low + 1], -1)
        chosen = places == np.rint(s.value)[..., None]
        tie = np.where(off < reach, np.inf, 0)
        return places, Traced(chosen.astype(s.dtype), tie[..., None]), chosen
    if mode == "bilinear":
        unsure = unsure | ((0.5 - off < reach) & (np.abs(s.value) < FAR))
    t = Traced(s.value, s.bound, [(s, lambda g: np.where(unsure, UNKNOWN, g))]) - low
    return around(low, t, mode)


@formula
def grid_sample_formula(
    x: Any, grid: Any, *, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """y[n, c, p] = Σ over i, j of k(v − i)·k(u − j)·x[n, c, i, j]."""
    samples, channels, *size = x.shape
    axes, align, out = len(size), bool(align_corners), grid.shape[1:-1]
    points = grid.reshape(samples, prod(out), axes)
    at: list[Array] = [*np.ogrid[tuple(slice(n) for n in (samples, channels, 1, *(1 for _ in size)))][:2]]
    # the last axis of the map comes first in a point
    places = [place(points[..., -1 - a], n, mode, padding_mode, align) for a, n in enumerate(size)]
    # an infinity times a weight of 0 is nothing or NaN, in a sum of many NaN or not: that depends on the order
    on_element = np.any([s.value == np.floor(s.value) for s in places], axis=0)
    unsure = (on_element | (mode == "bicubic")) & ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))[:, None]
    weight: Any = 1.0
    inside: Any = True
    counts: Any = True
    for a, (s, n) in enumerate(zip(places, size, strict=True)):

        def along(v: Any, a: int = a) -> Any:
            # [n, p, k] -> [n, 1, p, 1, k, 1], k in the place of the axis
            return v.reshape([v.shape[0], 1, v.shape[1], *(v.shape[2] if b == a else 1 for b in range(axes))])

        j, weights, counted = taps(s, mode, unsure)
        if mode == "bicubic" and padding_mode == "reflection":
            j = reflected(j, n, align)
        if mode == "bicubic" and padding_mode != "zeros":
            j = np.clip(j, 0, n - 1)
        weight = weight * along(weights)
        inside = inside & along((j >= 0) & (j < n))
        counts = counts & along(np.broadcast_to(counted, j.shape))
        at.append(along(np.clip(j, 0, n - 1).astype(int)))
    weight = np.where(inside, weight, 0)
    y = weighted_sum(x, tuple(at), weight, counts & inside, tuple(range(3, 3 + axes)))
    # where the error is of the size of a cell, it may be any
    lost = np.any([within_rounding(s) >= 0.5 for s in places], axis=0)
    anywhere = Traced(np.zeros((samples, 1, prod(out)), x.dtype), np.where(lost, np.inf, 0)[:, None])
    all_of_it = np.where(np.isfinite(x), abs(x), 0.0).reshape(samples, channels, prod(size)).sum(2, keepdims=True)
    y = y + (all_of_it + 1) * anywhere
    return y.reshape((samples, channels, *out))


def grid_sample_jax(
    jax: Any,
    x: Any,
    grid: Any,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    jnp, sampled = jax.numpy, jax.scipy.ndimage.map_coordinates
    dtype, axes = x.dtype, x.ndim - 2
    if dtype.itemsize == 2:
        x, grid = x.astype(np.float32), grid.astype(np.float32)

    def padded(s: Any, n: int) -> Any:
        if padding_mode == "zeros":
            return s
        if padding_mode == "reflection":
            low, span = (0.0, n - 1) if align_corners else (-0.5, n)
            # from −span to span, whose sign does not count
            s = low + jnp.abs((s - low + span) % (2 * span) - span) if span else jnp.zeros_like(s)
        # flat on the outer elements, where jnp.clip halves the slope
        return jax.lax.clamp(s.dtype.type(0), s, s.dtype.type(n - 1))

    places = []
    for a, n in enumerate(x.shape[2:]):
        g = grid[..., axes - 1 - a]
        s = (g + 1) * ((n - 1) / 2) if align_corners else (g + 1) * (n / 2) - 0.5
        if n == 1 and align_corners:
            # not NaN times 0
            s = jnp.zeros_like(g)
        lost = jnp.isnan(s) | (jnp.isinf(s) & (padding_mode == "reflection"))
        s = jnp.where(lost, 0 if align_corners else -0.5, s)
        if padding_mode != "reflection":
            # all is the same beyond the map, but an infinity has no fraction
            s = jax.lax.clamp(s.dtype.type(-FAR), s, s.dtype.type(FAR))
        places.append(s if mode == "bicubic" else padded(s, n))

    def of_map(x: Any, places: Any) -> Any:
        if mode == "nearest":
            return sampled(x, [jnp.round(s) for s in places], 0)
        if mode == "bilinear" and axes == 2:
            return sampled(x, places, 1)
        # all the elements around in one go: XLA takes minutes to compile eight of JAX's gathers, and their gradients
        k = np.arange(-1, 3) if mode == "bicubic" else np.arange(2)
        around, weights = [], []
        for a, (s, n) in enumerate(zip(places, x.shape, strict=True)):
            at = jnp.floor(s) + k.reshape(-1, *(1,) * axes)
            far = jnp.abs(s - at)
            weights.append(cubic_jax(jnp, far, -0.75) if mode == "bicubic" else 1 - far)
            at = padded(at, n) if mode == "bicubic" else at
            at = at.reshape([len(k) if b == a else 1 for b in range(axes)] + list(s.shape))
            around.append(jnp.broadcast_to(at, (len(k),) * axes + s.shape))
        values = sampled(x, around, 0)
        return jnp.einsum("ij...,i...,j...->..." if axes == 2 else "ijk...,i...,j...,k...->...", values, *weights)

    y = jax.vmap(lambda maps, places: jax.vmap(lambda one: of_map(one, places))(maps))(x, places)
    return y.astype(dtype)


def exact(configuration: Configuration) -> bool:
    """Halves in the grid make sixty-fourths of the weights, at most: too many digits for half precision."""
    mode = configuration.hyper.get("mode", "bilinear")
    return mode == "nearest" or (mode == "bilinear" and configuration.dtype not in HALF)


def rounds_the_place(case: Case) -> bool:
    """Whether half precision has not the digits of where the points lie."""
    return case.configuration.dtype in HALF and case.fill not in ("integers", "ties")


def place_not_finite(case: Case) -> bool:
    """Whether a point lies nowhere, or further away than there are numbers."""
    configuration = case.configuration
    p = precision(configuration.dtype)
    g = values(case.fill, case.seed, "grid", configuration.shapes["grid"], p).astype(p.truth)
    return not bool((np.abs(g) * max(configuration.shapes["x"][2:]) < p.largest).all())


def stays_at_infinity(case: Case) -> bool:
    """Whether a point may lie at an infinite element, or have an infinite slope, and not move with its coordinate."""
    hyper, size = case.configuration.hyper, case.configuration.shapes["x"][2:]
    clipped = hyper.get("mode", "bilinear") == "bilinear" and hyper.get("padding_mode", "zeros") != "zeros"
    return case.fill in ("special", "largest") and (clipped or (bool(hyper.get("align_corners")) and 1 in size))


grid_sample = Operation(
    function=mint.grid_sample,
    draw=draw_grid_sample,
    spoil=spoil_grid_sample,
    equations=grid_sample_formula,
    jax=grid_sample_jax,
    adjust={"grid": halved},
    exact=exact,
    features=lambda configuration: {"the map has unequal sides": len(set(configuration.shapes["x"][2:])) > 1},
    limitations=(
        Limitation(
            "torch",
            "PyTorch computes in half precision where the points lie: steps of up to a quarter of an element",
            applies=rounds_the_place,
        ),
        Limitation(
            "torch",
            "what PyTorch makes of a place that is not finite depends on mode and axes, and its gradient may end the "
            "process: https://github.com/pytorch/pytorch/issues/24823",
            applies=place_not_finite,
        ),
        Limitation(
            "torch",
            "PyTorch makes NaN of the slope at an infinite element, where the point does not move with its coordinate",
            applies=stays_at_infinity,
            tensors=("ggrid",),
        ),
        Limitation(
            "jax",
            "JAX multiplies with a weight of 0 what has overflowed",
            applies=lambda case: case.fill == "largest",
            tensors=("ggrid",),
        ),
    ),
)


# --- affine_grid --------------------------------------------------------------------------------------------


def draw_affine_grid(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two axes or three, now and then of one point."""
    axes = draw(st.sampled_from((2, 3)))
    batch, channels = draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((1, 2)))
    out = [draw(st.sampled_from((2, 1, 3, 5, 8))) for _ in range(axes)]
    hyper = {"size": (batch, channels, *out), "align_corners": draw(ALIGN_CORNERS)}
    return {"theta": (batch, axes, axes + 1)}, hyper


def spoil_affine_grid(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes that do not fit theta, or are none."""
    batch, *rest = hyper["size"]
    first, *matrix = shapes["theta"]
    plain = {**hyper, "align_corners": False}
    spoiled: tuple[str, Shapes, Hyper] = draw(
        st.sampled_from(
            (
                ("size", shapes, {**plain, "size": (batch + 1, *rest)}),
                ("size", shapes, {**plain, "size": (batch, *rest, 2)}),
                ("size", shapes, {**plain, "size": (batch, *rest[:-1], 0)}),
                ("size", shapes, {**plain, "size": (batch, *rest[:-1], -1)}),
                ("size", shapes, {**plain, "size": (batch, *rest[:-1], 2.0)}),
                ("size", shapes, {**plain, "size": rest[-1]}),
                ("align_corners", shapes, {**hyper, "align_corners": draw(st.sampled_from((1, "yes")))}),
                ("theta", {"theta": (first, matrix[0], matrix[1] + 1)}, hyper),
                ("theta", {"theta": tuple(matrix)}, hyper),
            )
        )
    )
    return spoiled


@formula
def affine_grid_formula(theta: Any, *, size: tuple[int, ...], align_corners: bool | None = None) -> Any:
    """y[n, i, j, a] = θ[n, a, 0]·u[j] + θ[n, a, 1]·v[i] + θ[n, a, 2], u[j] = (2j + 1)/W − 1 or 2j/(W − 1) − 1."""
    _, _, *out = size
    axes = len(out)
    y = theta[(slice(None), *(None,) * axes, slice(None), axes)]
    for a, n in enumerate(out):
        j = np.arange(n)
        if not align_corners:
            u = traced(2 * j + 1, theta.dtype) / n - 1
        else:
            u = traced(2 * j, theta.dtype) / max(n - 1, 1) - int(n > 1)
        # the last axis of the map comes first in a point
        along = [n if b == a else 1 for b in range(axes)]
        y = y + theta[(slice(None), *(None,) * axes, slice(None), axes - 1 - a)] * u.reshape((*along, 1))
    return y


def affine_grid_jax(jax: Any, theta: Any, *, size: tuple[int, ...], align_corners: bool | None = None) -> Any:
    jnp = jax.numpy
    _, _, *out = size
    axes = len(out)
    y = theta[(slice(None), *(None,) * axes, slice(None), axes)]
    for a, n in enumerate(out):
        ends = (1 if align_corners else 1 - 1 / n) if n > 1 else 0
        u = jnp.linspace(-ends, ends, n, dtype=theta.dtype).reshape([n if b == a else 1 for b in range(axes)])
        y = y + theta[(slice(None), *(None,) * axes, slice(None), axes - 1 - a)] * u[..., None]
    return y


affine_grid = Operation(
    function=mint.affine_grid,
    draw=draw_affine_grid,
    spoil=spoil_affine_grid,
    equations=affine_grid_formula,
    jax=affine_grid_jax,
)
