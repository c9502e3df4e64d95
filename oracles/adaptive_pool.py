"""Adaptive average- and max-pooling: the output size is given, the windows follow from it: definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Configuration, Shape
from oracles.draw import axis_length
from oracles.formula import formula, value
from oracles.operation import Array, Hyper, Operation, Shapes
from oracles.window import per_axis

#: Longest map by the number of its axes: an output may be a little longer.
LONGEST = {1: 9, 2: 6, 3: 4}


def maps(draw: st.DrawFn, size: Shape) -> Shape:
    """The shape of a batch of such maps, or of a single sample."""
    channels = draw(st.integers(1, 3))
    if draw(st.integers(0, 3)) == 3:
        return (channels, *size)
    return (draw(axis_length(2, 1, 3)), channels, *size)


def output_sizes(size: Sequence[int], output_size: Any) -> tuple[int, ...]:
    """The output size in full: an int for all axes, or None where an axis keeps its length."""
    counts = output_size if isinstance(output_size, tuple) else (output_size,) * len(size)
    return tuple(m if n is None else n for m, n in zip(size, counts, strict=True))


def draw_adaptive(draw: st.DrawFn, *, axes: int, maximum: bool) -> tuple[Shapes, Hyper]:
    """Outputs that divide the map, do not divide it, are it, are larger, are empty."""
    size = tuple(draw(st.integers(1, LONGEST[axes])) for _ in range(axes))
    counts = [draw(st.integers(1, LONGEST[axes] + 2)) for _ in range(axes)]
    place, special = draw(st.integers(0, axes - 1)), draw(st.integers(0, 15))
    if special == 15:
        counts[place] = 0
    hyper: Hyper = {"output_size": per_axis(draw, counts)}
    if special < 4 and axes > 1 and draw(st.booleans()):
        hyper["output_size"] = (*counts[:place], None, *counts[place + 1 :])
    if maximum:
        hyper["return_indices"] = draw(st.booleans())
    return {"x": maps(draw, size)}, hyper


def spoil_adaptive(draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int) -> tuple[str, Shapes, Hyper]:
    """Outputs that are no sizes, too many or too few of them; too many or too few axes."""
    wrong = draw(st.sampled_from((-1, 2.5, "many", None, (2,) * (axes + 1), (), "axes")))
    if wrong == "axes":
        # with an output of 1 PyTorch takes the mean of any array
        return "x", {"x": draw(st.sampled_from(((3,) * axes, (1,) * (axes + 3))))}, {**hyper, "output_size": 2}
    return "output_size", shapes, {**hyper, "output_size": wrong}


# --- equations ----------------------------------------------------------------------------------------------


def adaptive_members(size: Sequence[int], counts: Sequence[int]) -> Array:
    """Whether element q is in window p, [p, q]: on each axis ⌊i·m/o⌋ ≤ q < ⌈(i + 1)·m/o⌉ for window i of o."""
    members = np.ones((1, 1), bool)
    for m, o in zip(size, counts, strict=True):
        i, q = np.arange(o)[:, None], np.arange(m)
        members = np.kron(members, (i * m // o <= q) & (q * o < (i + 1) * m))
    return members


@formula
def adaptive_avg_formula(x: Any, *, output_size: Any, axes: int) -> Any:
    """y[p] = Σ over the q in window p of x[q] / their number."""
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts = output_sizes(size, output_size)
    members = adaptive_members(size, counts)
    sums = np.where(members, x.reshape(*lead, 1, prod(size)), 0).sum(-1)
    return (sums / members.sum(-1)).reshape(*lead, *counts)


def maxima(x: Any, axes: int, counts: Shape, members: Array, return_indices: bool) -> Any:
    """y[p] = max over the q in window p of x[q]; members [p, q], or [*lead, p, q] where each map has its own."""
    lead, size = x.shape[:-axes], x.shape[-axes:]
    flat = x.reshape(*lead, prod(size))
    members = np.broadcast_to(members, (*lead, prod(counts), prod(size)))
    indices = np.zeros((*lead, prod(counts)), np.int64)
    for place in np.ndindex(indices.shape):
        inside = np.flatnonzero(members[place])
        window = value(flat)[place[:-1]][inside]
        # the first of the largest, or the last NaN
        nans = inside[np.isnan(window)]
        indices[place] = nans[-1] if nans.size else inside[window.argmax()]
    y = np.take_along_axis(flat, indices, -1).reshape(*lead, *counts)
    return (y, indices.reshape(*lead, *counts)) if return_indices else y


@formula
def adaptive_max_formula(x: Any, *, output_size: Any, return_indices: bool = False, axes: int) -> Any:
    """y[p] = max over window p."""
    counts = output_sizes(x.shape[-axes:], output_size)
    return maxima(x, axes, counts, adaptive_members(x.shape[-axes:], counts), return_indices)


# --- JAX ----------------------------------------------------------------------------------------------------


def taps_of(members: Array) -> tuple[Array, Array]:
    """Positions [p, k] of the elements of every window, and which are there: windows differ in their number."""
    number = members.sum(-1)
    # those that are in the window first; what is too much in a smaller one is its last element once more
    taps = np.argsort(~members, axis=-1, kind="stable")
    present = np.arange(number.max(initial=1)) < number[:, None]
    last = np.take_along_axis(taps, number[:, None] - 1, -1)
    return np.where(present, taps[:, : present.shape[1]], last), present


def adaptive_avg_jax(jax: Any, x: Any, *, output_size: Any, axes: int) -> Any:
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts = output_sizes(size, output_size)
    taps, present = taps_of(adaptive_members(size, counts))
    windows = jax.numpy.where(present, x.reshape(*lead, prod(size))[..., taps], 0)
    return (windows.sum(-1) / present.sum(-1).astype(x.dtype)).reshape(*lead, *counts)


def maxima_jax(jax: Any, windows: Any, places: Any, shape: Shape, return_indices: bool) -> Any:
    """The maxima of windows [..., p, k] whose elements are at flat positions of the same shape."""
    jnp = jax.numpy
    nan = jnp.isnan(windows)
    last_nan = windows.shape[-1] - 1 - jnp.argmax(nan[..., ::-1], -1)
    best = jnp.where(nan.any(-1), last_nan, jnp.argmax(windows, -1))[..., None]
    y = jnp.take_along_axis(windows, best, -1).reshape(shape)
    if not return_indices:
        return y
    return y, jnp.take_along_axis(jnp.broadcast_to(places, windows.shape), best, -1).reshape(shape)


def adaptive_max_jax(jax: Any, x: Any, *, output_size: Any, return_indices: bool = False, axes: int) -> Any:
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts = output_sizes(size, output_size)
    taps, _ = taps_of(adaptive_members(size, counts))
    return maxima_jax(jax, x.reshape(*lead, prod(size))[..., taps], taps, (*lead, *counts), return_indices)


# --- definitions --------------------------------------------------------------------------------------------


def adaptive_features(configuration: Configuration, *, axes: int) -> dict[str, bool]:
    """How the output fits the map."""
    size = configuration.shapes["x"][-axes:]
    pairs = list(zip(size, output_sizes(size, configuration.hyper["output_size"]), strict=True))
    return {
        "an output size does not divide the map": any(n and m % n for m, n in pairs),
        "the output is larger than the map": any(n > m for m, n in pairs),
        "the output is empty": any(n == 0 for _, n in pairs),
    }


def divides_exactly(configuration: Configuration, *, axes: int) -> bool:
    """Every window has a power of two of elements, so that averaging small integers rounds nothing."""
    size = configuration.shapes["x"][-axes:]
    lengths = adaptive_members(size, output_sizes(size, configuration.hyper["output_size"])).sum(-1)
    return bool((lengths & (lengths - 1) == 0).all())


def _adaptive(axes: int, kind: str, equations: Callable[..., Any], jax: Callable[..., Any], **more: Any) -> Operation:
    return Operation(
        function=getattr(mint, f"adaptive_{kind}_pool{axes}d"),
        draw=partial(draw_adaptive, axes=axes, maximum=kind == "max"),
        spoil=partial(spoil_adaptive, axes=axes),
        equations=partial(equations, axes=axes),
        jax=partial(jax, axes=axes),
        features=partial(adaptive_features, axes=axes),
        **more,
    )


def _adaptive_avg(axes: int) -> Operation:
    exact = partial(divides_exactly, axes=axes)
    return _adaptive(axes, "avg", adaptive_avg_formula, adaptive_avg_jax, exact=exact)


def _adaptive_max(axes: int) -> Operation:
    more = {"extras": ("indices",), "exact": lambda configuration: True}
    return _adaptive(axes, "max", adaptive_max_formula, adaptive_max_jax, **more)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive_avg(axes) for axes in (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive_max(axes) for axes in (1, 2, 3))
