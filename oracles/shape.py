"""Operations that only move elements: definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.draw import axis_length
from oracles.formula import formula
from oracles.operation import Hyper, Operation, Shapes


def draw_flatten(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any run of axes, counted from either end."""
    shape = draw(st.lists(axis_length(2, 1, 3, 4), min_size=1, max_size=5))
    start = draw(st.integers(0, len(shape) - 1))
    end = draw(st.integers(start, len(shape) - 1))
    hyper = {
        name: axis - len(shape) if draw(st.booleans()) else axis
        for name, axis in (("start_dim", start), ("end_dim", end))
    }
    return {"x": tuple(shape)}, hyper


def spoil_flatten(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Axes that are not there, in the wrong order, or no integers."""
    axes = len(shapes["x"])
    name = draw(st.sampled_from(("start_dim", "end_dim")))
    return name, shapes, {**hyper, name: draw(st.sampled_from((axes, -axes - 1, 0.5, "first")))}


def flatten_torch(F: Any, x: Any, *, start_dim: int = 0, end_dim: int = -1) -> Any:  # noqa: ARG001
    return x.flatten(start_dim, end_dim)


def flatten_jax(jax: Any, x: Any, *, start_dim: int = 0, end_dim: int = -1) -> Any:
    start, end = start_dim % x.ndim, end_dim % x.ndim
    size = math.prod(x.shape[start : end + 1])
    return jax.numpy.reshape(x, (*x.shape[:start], size, *x.shape[end + 1 :]))


flatten = Operation(
    function=mint.flatten,
    draw=draw_flatten,
    spoil=spoil_flatten,
    equations=equations.flatten,
    torch=flatten_torch,
    jax=flatten_jax,
    exact=lambda configuration: True,
)


def draw_unflatten(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any axis, counted from either end, as a product; one factor is left to be found, now and then."""
    before, after = (draw(st.lists(axis_length(2, 1, 3), max_size=2)) for _ in range(2))
    sizes = draw(st.lists(axis_length(2, 3, 1, 4), min_size=1, max_size=3))
    shape = (*before, math.prod(sizes), *after)
    place = draw(st.integers(0, len(sizes) - 1))
    # the others must tell what is left
    if draw(st.booleans()) and all(sizes[:place] + sizes[place + 1 :]):
        sizes[place] = -1
    dim = len(before) - (len(shape) if draw(st.booleans()) else 0)
    return {"x": shape}, {"dim": dim, "sizes": tuple(sizes)}


def spoil_unflatten(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there, sizes that do not fit it, or none, or no integers."""
    axes, length = len(shapes["x"]), shapes["x"][hyper["dim"]]
    what = draw(st.sampled_from(("dim", "sizes")))
    wrong: dict[str, tuple[Any, ...]] = {
        "dim": (axes, -axes - 1, 0.5),
        "sizes": ((), length, (length, 2), (length + 1, -1), (-1, -1), (-1, 0), (-2, length), (float(length),)),
    }
    return what, shapes, {**hyper, what: draw(st.sampled_from(wrong[what]))}


@formula
def unflatten_formula(x: Any, *, dim: int, sizes: tuple[int, ...]) -> Any:
    """y[…, i, j, …, k, …] = x[…, (i·s₁ + j)·s₂ + … + k, …] with the sizes s₀, s₁, …."""
    axis = dim % x.ndim
    known = -math.prod(sizes)
    lengths = [x.shape[axis] // known if size == -1 else size for size in sizes]
    place: Any = 0
    for length, index in zip(lengths, np.ogrid[tuple(slice(length) for length in lengths)], strict=True):
        place = place * length + index
    return x[(*(slice(None),) * axis, place)]


def unflatten_jax(jax: Any, x: Any, *, dim: int, sizes: tuple[int, ...]) -> Any:
    axis = dim % x.ndim
    known = -math.prod(sizes)
    lengths = [x.shape[axis] // known if size == -1 else size for size in sizes]
    return jax.numpy.reshape(x, (*x.shape[:axis], *lengths, *x.shape[axis + 1 :]))


unflatten = Operation(
    function=mint.unflatten,
    draw=draw_unflatten,
    spoil=spoil_unflatten,
    equations=unflatten_formula,
    torch=lambda F, x, *, dim, sizes: F.torch.unflatten(x, dim, sizes),
    jax=unflatten_jax,
    exact=lambda configuration: True,
)
