"""Slips in unfold and fold."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import mint
from oracles.window import each_axis
from tests.meta.planted.bug import Array, Vjp, plant, replacing


def overlaps(size: Any, hyper: dict[str, Any], dtype: Any) -> Array:
    """How many windows see each element of a map."""
    ones = np.ones((1, *each_axis(size, 2)), dtype)
    return mint.fold(mint.unfold(ones, **hyper)[0], output_size=size, **hyper)[0]


@plant("unfold", "y", "x=(2,2,1) kernel_size=(2,1)", "x=(2,1,1) kernel_size=(2,1) padding=(1,0)")
def channels_vary_fastest(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The rows of a column are ordered by tap and then by channel."""
    y, vjp = mint.unfold(x, **hyper)
    *batch, _, blocks = y.shape
    taps = prod(each_axis(hyper["kernel_size"], 2))
    return y.reshape(*batch, -1, taps, blocks).swapaxes(-3, -2).reshape(y.shape) if y.size else y, vjp


@plant(
    "unfold",
    "gx",
    "x=(1,3,1) kernel_size=(2,1)",
    "x=(1,2,1) kernel_size=(2,1) padding=(1,0)",
    "x=(1,1,1) kernel_size=(2,1) padding=(1,0)",
    condition=("the windows overlap",),
)
def overlaps_averaged_in_dx(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """What several windows hand back is averaged, as one would to undo unfold."""
    y, vjp = mint.unfold(x, **hyper)
    count = overlaps(x.shape[-2:], hyper, x.dtype)
    return y, replacing(vjp, 0, lambda gy: np.asarray(vjp(gy)[0]) / np.maximum(count, 1).astype(x.dtype))


@plant(
    "fold",
    "y",
    "x=(2,2) kernel_size=(2,1) output_size=(3,1)",
    "x=(2,2) kernel_size=(1,2) output_size=(1,3)",
    "x=(2,2) kernel_size=(2,1) output_size=1 padding=(1,0)",
    condition=("the windows overlap",),
)
def last_column_wins(x: Array, *, output_size: Any, **hyper: Any) -> tuple[Array, Vjp]:
    """Blocks that overlap are written over each other, not added up."""
    y, vjp = mint.fold(x, output_size=output_size, **hyper)
    size = each_axis(output_size, 2)
    # where each tap of each window lies, counted from 1; 0 is the padding
    places = mint.unfold(1 + np.arange(float(prod(size))).reshape(1, *size), **hyper)[0].astype(int)
    flat = np.zeros((*y.shape[:-2], 1 + prod(size)), x.dtype)
    flat[..., places] = x.reshape(*y.shape[:-2], *places.shape)
    return flat[..., 1:].reshape(y.shape).copy(), vjp


@plant(
    "fold",
    "gx",
    "x=(1,2) kernel_size=1 output_size=(1,3) stride=2",
    "x=(1,2) kernel_size=1 output_size=(3,1) stride=2",
    condition=("stride > 1",),
)
def stride_forgotten_in_dx(x: Array, *, output_size: Any, stride: Any = 1, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is read from neighbouring windows, as many as there are columns."""
    y, vjp = mint.fold(x, output_size=output_size, stride=stride, **hyper)
    return y, replacing(vjp, 0, lambda gy: mint.unfold(gy, **hyper)[0][..., : x.shape[-1]])
