"""Slips in pooling."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import mint
from mint.pool import pooling_window
from mint.window import gather, scatter
from oracles.window import each_axis
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


def windows(x: Array, fill: float, hyper: dict[str, Any]) -> tuple[Array, Any]:
    """The windows [n, k, c, *p] that a pooling takes, with what stands in the padding, and their geometry."""
    known = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **hyper}
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    window = pooling_window("pool", x.ndim - 2, x, *(known[name] for name in names))
    return gather(x, window, fill), window


def maxima_with_zeros(x: Array, hyper: dict[str, Any]) -> Array:
    """The maximum of each window, where the padding counts as 0; −∞ for a window of padding alone."""
    inside = windows(np.ones_like(x), 0, hyper)[0].max(axis=1) > 0
    return np.where(inside, windows(x, 0, hyper)[0].max(axis=1), -np.inf).astype(x.dtype)


def assigned(x: Array, indices: Array) -> Vjp:
    """The gradient of maxima where an element that wins several windows keeps the last one's cotangent."""
    planes, size, count = x.shape[:2], prod(x.shape[2:]), prod(indices.shape[2:])

    def back(gy: Array) -> Array:
        # index −1, of a window of padding alone, is the one place after the map
        flat = np.zeros((*planes, size + 1), x.dtype)
        np.put_along_axis(flat, indices.reshape(*planes, count), gy.reshape(*planes, count), axis=2)
        return flat[:, :, :-1].reshape(x.shape)

    return back


@plant(
    "max_pool2d",
    "y",
    "x=(1,1,1,1) kernel_size=2 stride=1 padding=1",
    "x=(1,1,1,2) kernel_size=(2,1) padding=(1,0)",
    condition=("past the map",),
)
def padded_with_zero(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """The padding counts as 0, and not as −∞."""
    result, vjp = mint.max_pool2d(x, **hyper)
    y = maxima_with_zeros(x, hyper)
    return (y, result[1]) if isinstance(result, tuple) else y, vjp


@plant("max_pool1d", "gx", "x=(1,1,2) kernel_size=2 stride=1")
def tie_gradient_to_all(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """Each of several equal maxima gets the gradient."""
    result, vjp = mint.max_pool1d(x, **hyper)
    taps, window = windows(x, np.nan, hyper)
    if np.isnan(x).any():
        return result, vjp
    chosen = taps == np.nanmax(np.where(np.isnan(taps), -np.inf, taps), axis=1, keepdims=True)
    return result, replacing(vjp, 0, lambda gy: scatter(np.where(chosen, gy[:, None], 0).astype(x.dtype), window))


@plant(
    "max_pool2d",
    "gx",
    "x=(1,1,3,1) kernel_size=2 stride=1",
    "x=(1,1,1,1) kernel_size=2 stride=1 padding=1",
    condition=("the windows overlap",),
)
def overlap_overwritten(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """Where windows share their maximum, the last one's gradient replaces the others'."""
    result, vjp = mint.max_pool2d(x, **hyper)
    (_, indices), _ = mint.max_pool2d(x, **{**hyper, "return_indices": True})
    return result, replacing(vjp, 0, assigned(x, indices))


@plant(
    "max_pool2d",
    "indices",
    "x=(1,1,1,1) kernel_size=2 stride=1 padding=1 return_indices=True",
    condition=("padding > 0",),
)
def indices_into_the_padded_map(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """The indices count the rows and columns of the padding."""
    result, vjp = mint.max_pool2d(x, **hyper)
    if not isinstance(result, tuple):
        return result, vjp
    y, indices = result
    up, left = each_axis(hyper.get("padding", 0), 2)
    row, column = np.divmod(indices, x.shape[3])
    padded = (row + up) * (x.shape[3] + 2 * left) + column + left
    return (y, np.where(indices < 0, indices, padded)), vjp


@plant(
    "avg_pool1d",
    "y",
    "x=(1,1,3) kernel_size=2 stride=2 ceil_mode=True",
    "x=(1,1,2) kernel_size=3 stride=2 padding=1 ceil_mode=True",
    condition=("ceil_mode",),
)
def ceil_mode_ignored(x: Array, *, ceil_mode: bool = False, **hyper: Any) -> tuple[Array, Vjp]:
    """The window that reaches beyond the map is left out."""
    _, vjp = mint.avg_pool1d(x, ceil_mode=ceil_mode, **hyper)
    return mint.avg_pool1d(x, **hyper)[0], vjp


@plant(
    "avg_pool2d",
    "y",
    "x=(1,1,1,1) kernel_size=2 stride=1 padding=1 count_include_pad=False",
    also=wrong("gx"),
    condition=("padding > 0",),
)
def count_include_pad_swapped(x: Array, *, count_include_pad: bool = True, **hyper: Any) -> tuple[Array, Vjp]:
    """The padding counts where it should not, and the other way round."""
    return mint.avg_pool2d(x, count_include_pad=not count_include_pad, **hyper)


@plant(
    "avg_pool3d",
    "gx",
    "x=(1,1,1,1,1) kernel_size=1 stride=1 divisor_override=2",
    "x=(1,1,1,1,2) kernel_size=(1,1,2) divisor_override=1",
    condition=("divisor_override is given",),
)
def divisor_override_ignored_in_dx(x: Array, *, divisor_override: int | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is divided by the size of the window."""
    y, _ = mint.avg_pool3d(x, divisor_override=divisor_override, **hyper)
    return y, mint.avg_pool3d(x, **hyper)[1]
