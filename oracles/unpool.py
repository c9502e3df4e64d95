"""Max-unpooling: maxima put back where they were: definitions."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.adaptive_pool import maps
from oracles.catalogue import operation
from oracles.configuration import Case, Configuration, Shape
from oracles.formula import formula
from oracles.inputs import make_inputs
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.window import LARGEST, each_axis, per_axis


def unpooled_size(size: Shape, kernel: Any, stride: Any, padding: Any, output_size: Any) -> Shape:
    """(m − 1)·s + k − 2·p on each axis, unless it is given."""
    axes = len(size)
    if output_size is not None:
        return tuple(output_size[-axes:])
    steps = each_axis(kernel if stride is None else stride, axes)
    geometry = zip(size, each_axis(kernel, axes), steps, each_axis(padding, axes), strict=True)
    return tuple((m - 1) * s + k - 2 * p for m, k, s, p in geometry)


def draw_unpool(draw: st.DrawFn, *, axes: int) -> tuple[Shapes, Hyper]:
    """Windows that overlap, touch, leave gaps; an output size up to less than a stride more or less."""
    most_kernel, most_windows, most_stride, _ = LARGEST[axes]
    disjoint = draw(st.booleans())
    kernel = [draw(st.integers(1, most_kernel)) for _ in range(axes)]
    stride = [k if disjoint else draw(st.integers(1, most_stride)) for k in kernel]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    # a single window may lie in its padding altogether
    count = [draw(st.integers(2 if k == 2 * p else 1, most_windows)) for k, p in zip(kernel, padding, strict=True)]
    shape = maps(draw, tuple(count))
    hyper: Hyper = {"kernel_size": per_axis(draw, kernel), "padding": per_axis(draw, padding)}
    if stride != kernel or not disjoint:
        hyper["stride"] = per_axis(draw, stride)
    if draw(st.booleans()):
        plain = unpooled_size(tuple(count), tuple(kernel), tuple(stride), tuple(padding), None)
        size = tuple(max(1, m + draw(st.integers(1 - s, s - 1))) for m, s in zip(plain, stride, strict=True))
        whole = len(shape) == axes + 2 and draw(st.booleans())
        hyper["output_size"] = (*shape[:2], *size) if whole else size
    return {"x": shape, "indices": shape}, hyper


def spoil_unpool(draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int) -> tuple[str, Shapes, Hyper]:
    """Output sizes a stride or more away, or of other axes; hyper-parameters that are none; other indices or axes."""
    what = draw(st.sampled_from(("output_size", "kernel_size", "stride", "padding", "indices", "x")))
    if what == "indices":
        *rest, last = shapes["x"]
        return what, {**shapes, what: (*rest, last + 1)}, hyper
    if what == "x":
        shape = draw(st.sampled_from(((2,) * axes, (1,) * (axes + 3))))
        return what, {"x": shape, "indices": shape}, {"kernel_size": 2}
    if what != "output_size":
        # with an output size PyTorch does not look at the type
        hyper = {name: given for name, given in hyper.items() if name != "output_size"}
        return what, shapes, {**hyper, what: draw(st.sampled_from(("two", 2.5)))}
    size = shapes["x"][-axes:]
    plain = unpooled_size(size, hyper["kernel_size"], hyper.get("stride"), hyper.get("padding", 0), None)
    step = each_axis(hyper.get("stride", hyper["kernel_size"]), axes)
    wrong = draw(st.sampled_from((tuple(m + s for m, s in zip(plain, step, strict=True)), (*plain, 1), plain[1:])))
    return what, shapes, {**hyper, what: wrong}


def _size(configuration: Configuration) -> Shape:
    hyper, axes = configuration.hyper, _axes(configuration)
    names = ("kernel_size", "stride", "padding", "output_size")
    known = {"stride": None, "padding": 0, "output_size": None, **hyper}
    return unpooled_size(configuration.shapes["x"][-axes:], *(known[name] for name in names))


def _axes(configuration: Configuration) -> int:
    return int(configuration.op[-2])


def positions(rng: np.random.Generator, configuration: Configuration) -> Array:
    """As a max-pooling gives them, one from each window; or any that are in the map."""
    hyper, axes = configuration.hyper, _axes(configuration)
    shape = configuration.shapes["indices"]
    if configuration.invalid or "kernel_size" not in hyper:
        return np.zeros(shape, np.int64)
    size = _size(configuration)
    kernel = each_axis(hyper["kernel_size"], axes)
    stride = each_axis(hyper.get("stride", kernel), axes)
    padding = each_axis(hyper.get("padding", 0), axes)
    indices: Array = rng.integers(0, max(prod(size), 1), (prod(shape[:-axes]), prod(shape[-axes:])))
    if rng.random() < 1 / 4:
        return indices.reshape(shape)
    place = np.arange(prod(size)).reshape(size)
    for number, p in enumerate(product(*map(range, shape[-axes:]))):
        starts = [i * s - before for i, s, before in zip(p, stride, padding, strict=True)]
        window = tuple(slice(max(at, 0), max(at + k, 0)) for at, k in zip(starts, kernel, strict=True))
        taps = place[window].ravel()
        if taps.size:
            indices[:, number] = rng.choice(taps, len(indices))
    return indices.reshape(shape)


def repeats(case: Case) -> bool:
    """Whether an index occurs twice in one map."""
    indices = make_inputs(operation(case.configuration.op), case)["indices"]
    assert indices is not None
    axes = _axes(case.configuration)
    rows = indices.reshape(prod(indices.shape[:-axes]), prod(indices.shape[-axes:]))
    return any(len(set(row)) < len(row) for row in rows.tolist())


@formula
def max_unpool_formula(
    x: Any,
    indices: Array,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    axes: int,
) -> Any:
    """y[q] = x[p] for the last p whose index is q, else 0."""
    lead, maps_of_x = x.shape[:-axes], x.shape[-axes:]
    size = unpooled_size(maps_of_x, kernel_size, stride, padding, output_size)
    count = prod(maps_of_x)
    source = np.full((*lead, prod(size)), count)  # one past the last: a 0
    for plane in np.ndindex(lead):
        for p, q in enumerate(indices[plane].ravel()):
            source[plane][q] = p
    flat = np.concatenate((x.reshape(*lead, count), np.zeros((*lead, 1), x.dtype)), -1)
    return np.take_along_axis(flat, source, -1).reshape(*lead, *size)


def max_unpool_jax(
    jax: Any,
    x: Any,
    indices: Any,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    axes: int,
) -> Any:
    jnp = jax.numpy
    lead, maps_of_x = x.shape[:-axes], x.shape[-axes:]
    size = unpooled_size(maps_of_x, kernel_size, stride, padding, output_size)
    planes, count = prod(lead), prod(maps_of_x)
    flat, q = x.reshape(planes, count), indices.reshape(planes, count)
    b, p = np.ogrid[:planes, :count]
    # which of several writes remains is not specified; the largest of their places is
    source = jnp.full((planes, prod(size)), -1).at[b, q].max(p)
    y = jnp.take_along_axis(flat, jnp.maximum(source, 0), axis=-1)
    return jnp.where(source < 0, 0, y).reshape(*lead, *size)


def _max_unpool(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"max_unpool{axes}d"),
        draw=partial(draw_unpool, axes=axes),
        spoil=partial(spoil_unpool, axes=axes),
        equations=partial(max_unpool_formula, axes=axes),
        jax=partial(max_unpool_jax, axes=axes),
        integer={"indices": positions},
        exact=lambda configuration: True,
        limitations=(
            Limitation(
                "torch",
                "which of several elements with one index remains is not determined in PyTorch, and all of them get "
                "the gradient of the one that does",
                applies=repeats,
                tensors=("gx",),
            ),
        ),
    )


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(axes) for axes in (1, 2, 3))
