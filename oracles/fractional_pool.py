"""Fractional max-pooling: window positions from given samples: definitions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.adaptive_pool import maps, maxima, maxima_jax
from oracles.catalogue import operation
from oracles.configuration import Case, Shape
from oracles.formula import formula, value
from oracles.inputs import make_inputs
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.precision import precision
from oracles.window import each_axis, per_axis

Ints = int | tuple[int, ...]


def counts_of(size: Shape, output_size: Ints | None, output_ratio: Any) -> Shape:
    """The output size, given or as a part of the map."""
    if output_size is not None:
        return each_axis(output_size, len(size))
    return tuple(int(m * ratio) for m, ratio in zip(size, each_axis(output_ratio, len(size)), strict=True))


def draw_fractional(draw: st.DrawFn, *, axes: int) -> tuple[Shapes, Hyper]:
    """Windows that overlap, touch, leave gaps, at distances that vary or, now and then without samples, do not."""
    most_kernel, most_count, most_room = {2: (3, 5, 5), 3: (2, 3, 4)}[axes]
    kernel = [draw(st.integers(1, most_kernel)) for _ in range(axes)]
    count = [draw(st.integers(1, most_count)) for _ in range(axes)]
    if draw(st.integers(0, 31)) == 31:
        count[draw(st.integers(0, axes - 1))] = 0
    ratio = draw(st.integers(0, 2)) == 2
    # PyTorch asks for one row more in three dimensions, and for a ratio below 1
    room = [draw(st.integers(int(ratio or axes == 3), most_room)) for _ in range(axes)]
    size = tuple(max(1, n + k - 1 + more) for n, k, more in zip(count, kernel, room, strict=True))
    hyper: Hyper = {"kernel_size": per_axis(draw, kernel), "return_indices": draw(st.booleans())}
    if ratio:
        hyper["output_ratio"] = tuple((n + 0.5) / m for n, m in zip(count, size, strict=True))
    else:
        hyper["output_size"] = per_axis(draw, count)
    shape = maps(draw, size)
    shapes: Shapes = {"x": shape}
    if not fixed(size, kernel, count) or draw(st.booleans()):
        shapes["_random_samples"] = (shape[0] if len(shape) == axes + 2 else 1, shape[-axes - 1], axes)
    return shapes, hyper


def fixed(size: Sequence[int], kernel: Sequence[int], count: Sequence[int]) -> bool:
    """Whether the windows lie where they lie for any samples."""
    return all(n <= 2 or (m - k) % (n - 1) == 0 for m, k, n in zip(size, kernel, count, strict=True))


def spoil_fractional(draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int) -> tuple[str, Shapes, Hyper]:
    """Outputs that do not fit or are not told, other samples, other axes."""
    what = draw(st.sampled_from(("output_size", "output_ratio", "output", "kernel_size", "_random_samples", "x")))
    bare = {"kernel_size": hyper["kernel_size"]}
    if what == "output":
        return what, shapes, bare
    if what == "output_size":
        return what, shapes, {**bare, what: draw(st.sampled_from((-1, 99, "two", 1.5, (1,) * (axes + 1))))}
    if what == "output_ratio":
        return what, shapes, {**bare, what: draw(st.sampled_from(((2.5,) * axes, (0.1,) * (axes - 1))))}
    if what == "kernel_size":
        return what, shapes, {**hyper, what: draw(st.sampled_from((99, "two", 1.5, (1,) * (axes + 1))))}
    if what == "x":
        return what, {"x": draw(st.sampled_from(((2,) * axes, (1,) * (axes + 3))))}, hyper
    x = shapes["x"]
    batch, channels = x[0] if len(x) == axes + 2 else 1, x[-axes - 1]
    wrong = ((channels, axes), (batch, channels, axes, 1), (batch, channels, axes + 1), (batch, channels + 1, axes))
    return what, {**shapes, what: draw(st.sampled_from(wrong))}, hyper


def fraction(samples: Array) -> Array:
    """What follows the point of each number: samples of all sizes, nearly 0 and 1, and 0."""
    return np.abs(samples) % 1


def starts(u: Array, size: int, kernel: int, count: int) -> Array:
    """Where windows begin: ⌊(i + u)·(m − k)/(o − 1)⌋ − ⌊u·(m − k)/(o − 1)⌋, the last at m − k: [...] -> [..., o]."""
    i, u = np.arange(count), u[..., None]
    slack, steps = size - kernel, max(count - 1, 1)
    begin = np.floor((i + u) * slack / steps) - np.floor(u * slack / steps)
    return np.where(i == count - 1, slack, begin).astype(np.int64)


def per_map(samples: Any, lead: Shape, axes: int) -> Any:
    """The samples of each map, axis by axis: PyTorch has (W, H), but (D, H, W); not given, any will do."""
    samples = np.zeros((*lead, axes)) if samples is None else samples.reshape(*lead, axes)
    return [samples[..., axis if axes == 3 else 1 - axis] for axis in range(axes)]


@formula
def fractional_max_formula(
    x: Any,
    _random_samples: Any = None,
    *,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    axes: int,
) -> Any:
    """y[p] = max over the k elements from each window's begin."""
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts, kernel = counts_of(size, output_size, output_ratio), each_axis(kernel_size, axes)
    if _random_samples is None and not fixed(size, kernel, counts):
        raise ValueError("windows that are drawn have no equation")
    members = np.ones((*lead, 1, 1), bool)
    for u, m, k, o in zip(per_map(value(_random_samples), lead, axes), size, kernel, counts, strict=True):
        begin, q = starts(u, m, k, o)[..., None], np.arange(m)
        inside = (begin <= q) & (q < begin + k)
        # [..., p, q], [..., i, r] -> [..., p·i, q·r]
        both = members[..., :, None, :, None] & inside[..., None, :, None, :]
        members = both.reshape(*lead, members.shape[-2] * o, members.shape[-1] * m)
    return maxima(x, axes, counts, members, return_indices)


def fractional_max_torch(F: Any, x: Any, _random_samples: Any = None, *, axes: int, **hyper: Any) -> Any:
    return getattr(F, f"fractional_max_pool{axes}d")(x, **hyper, _random_samples=_random_samples)


def fractional_max_jax(
    jax: Any,
    x: Any,
    _random_samples: Any = None,
    *,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    axes: int,
) -> Any:
    jnp = jax.numpy
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts, kernel = counts_of(size, output_size, output_ratio), each_axis(kernel_size, axes)
    places = jnp.zeros((*lead, 1, 1), int)
    for u, m, k, o in zip(per_map(_random_samples, lead, axes), size, kernel, counts, strict=True):
        i, u, steps = np.arange(o), u.astype(float)[..., None], max(o - 1, 1)
        begin = jnp.floor((i + u) * (m - k) / steps) - jnp.floor(u * (m - k) / steps)
        taps = jnp.where(i == o - 1, m - k, begin).astype(int)[..., None] + np.arange(k)
        places = places[..., :, None, :, None] * m + taps[..., None, :, None, :]
        places = places.reshape(*lead, places.shape[-4] * o, places.shape[-2] * k)
    windows = jnp.take_along_axis(x.reshape(*lead, 1, prod(size)), places, axis=-1)
    return maxima_jax(jax, windows, places, (*lead, *counts), return_indices)


def decided_by_rounding(case: Case) -> bool:
    """Whether a window begins elsewhere in the dtype of the case: α and its multiples rounded to it."""
    configuration = case.configuration
    shapes, hyper, p = configuration.shapes, configuration.hyper, precision(configuration.dtype)
    if "_random_samples" not in shapes:
        return p.digits <= 11
    samples = make_inputs(operation(configuration.op), case)["_random_samples"]
    assert samples is not None
    axes = samples.shape[-1]
    lead, size = shapes["x"][:-axes], shapes["x"][-axes:]
    counts = counts_of(size, hyper.get("output_size"), hyper.get("output_ratio"))
    for u, m, k, o in zip(
        per_map(samples, lead, axes), size, each_axis(hyper["kernel_size"], axes), counts, strict=True
    ):
        alpha = p.dtype.type(m - k) / p.dtype.type(max(o - 1, 1))
        i, v = np.arange(o).astype(p.dtype), u[..., None]
        rounded = np.where(i == o - 1, m - k, ((i + v) * alpha).astype(int) - (v * alpha).astype(int))
        if (rounded != starts(u.astype(p.truth), m, k, o)).any():
            return True
    return False


def _fractional(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"fractional_max_pool{axes}d"),
        draw=partial(draw_fractional, axes=axes),
        spoil=partial(spoil_fractional, axes=axes),
        equations=partial(fractional_max_formula, axes=axes),
        torch=partial(fractional_max_torch, axes=axes),
        jax=partial(fractional_max_jax, axes=axes),
        extras=("indices",),
        constant=("_random_samples",),
        adjust={"_random_samples": fraction},
        nonfinite=("x",),
        exact=lambda configuration: True,
        limitations=(
            Limitation(
                "torch",
                "PyTorch rounds the distance of the windows and its multiples to the dtype of x, and a window may "
                "begin a row off",
                applies=decided_by_rounding,
                tensors=("y", "indices", "gx"),
            ),
        ),
    )


fractional_max_pool2d, fractional_max_pool3d = (_fractional(axes) for axes in (2, 3))
