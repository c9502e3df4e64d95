"""Pooling that went wrong."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import mint
from oracles.window import each_axis
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong
from tests.meta.planted.pool import assigned, maxima_with_zeros, windows


@plant(
    "max_pool1d",
    "y",
    "x=(1,1,1) kernel_size=2 stride=1 padding=1",
    "x=(1,1,2) kernel_size=2 padding=1",
    "x=(1,1,1) kernel_size=2 padding=1",
    "x=(1,1,1) kernel_size=3 padding=1",
    condition=("past the map",),
    report="https://github.com/distdl/distdl/issues/195",
)
def halo_of_zeros(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """What lies around the map is 0, as for averages."""
    result, vjp = mint.max_pool1d(x, **hyper)
    y = maxima_with_zeros(x, hyper)
    return (y, result[1]) if isinstance(result, tuple) else y, vjp


@plant(
    "max_pool1d",
    "gx",
    "x=(1,1,3) kernel_size=2 stride=1",
    "x=(1,1,1) kernel_size=2 stride=1 padding=1",
    "x=(1,1,5) kernel_size=2 dilation=2",
    condition=("the windows overlap",),
    report="https://github.com/FluxML/NNlib.jl/issues/205",
)
def assigned_where_it_should_add(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """`=` for `+=`: an element that wins several windows keeps the last one's gradient."""
    result, vjp = mint.max_pool1d(x, **hyper)
    (_, indices), _ = mint.max_pool1d(x, **{**hyper, "return_indices": True})
    return result, replacing(vjp, 0, assigned(x, indices))


@plant(
    "max_pool2d",
    "y",
    "x=(1,1,2,1) kernel_size=(2,1)",
    "x=(1,1,1,2) kernel_size=(1,2)",
    "x=(1,1,2,1) kernel_size=2 padding=(0,1)",
    "x=(1,1,1,2) kernel_size=2 padding=(1,0)",
    "x=(1,1,2,2) kernel_size=2",
    condition=("the fill is special",),
    report="https://github.com/pytorch/pytorch/pull/7670",
)
def comparison_loses_nan(x: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """`if (v > best)` is never true of NaN: a window with another number does not show it."""
    result, vjp = mint.max_pool2d(x, **hyper)
    taps = windows(np.where(np.isnan(x), np.asarray(-np.inf, x.dtype), x), -np.inf, hyper)[0].max(axis=1)
    y = result[0] if isinstance(result, tuple) else result
    y = np.where(np.isnan(y) & (taps > -np.inf), taps, y).astype(x.dtype)
    return (y, result[1]) if isinstance(result, tuple) else y, vjp


@plant(
    "avg_pool2d",
    "y",
    "x=(1,1,1,1) kernel_size=2 stride=2 padding=1 ceil_mode=True",
    "x=(1,1,2,2) kernel_size=3 stride=2 ceil_mode=True",
    "x=(1,1,3,3) kernel_size=3 stride=2 padding=1 ceil_mode=True",
    "x=(1,1,3,3) kernel_size=2 stride=2 ceil_mode=True",
    "x=(1,1,4,4) kernel_size=3 stride=3 padding=1 ceil_mode=True",
    also=wrong("gx"),
    condition=("ceil_mode",),
    report="https://github.com/sonos/tract/pull/2851",
)
def overhang_counts(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """A window that ceil_mode lets run past the padding is divided by its full size all the same."""
    y, vjp = mint.avg_pool2d(x, **hyper)
    padded = hyper.get("count_include_pad", True) and hyper.get("divisor_override") is None
    if not (hyper.get("ceil_mode", False) and padded):
        return y, vjp
    geometry = {name: hyper[name] for name in ("kernel_size", "stride", "padding", "ceil_mode") if name in hyper}
    return windows(x, 0, geometry)[0].sum(axis=1) / x.dtype.type(prod(each_axis(hyper["kernel_size"], 2))), vjp


@plant(
    "avg_pool2d",
    "y",
    "x=(1,1,1,1) kernel_size=1 count_include_pad=False divisor_override=3",
    also=wrong("gx"),
    condition=("divisor_override is given",),
    report="https://github.com/pytorch/executorch/pull/18616",
)
def divisor_override_needs_the_padding(
    x: Array, *, divisor_override: int | None = None, **hyper: Any
) -> tuple[Array, Vjp]:
    """Without count_include_pad the divisor is the number of elements, whatever divisor_override says."""
    mint.avg_pool2d(x, divisor_override=divisor_override, **hyper)  # refuses what there is to refuse
    if not hyper.get("count_include_pad", True):
        divisor_override = None
    return mint.avg_pool2d(x, divisor_override=divisor_override, **hyper)
