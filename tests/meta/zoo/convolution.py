"""Convolutions that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from oracles.window import each_axis
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


def unpadded(*, padding: Any = 0, **_: Any) -> bool:
    """Whether there is no padding, in whatever form."""
    return padding == "valid" or (padding != "same" and not np.any(padding))


@plant(
    "conv_transpose2d",
    "gx",
    "x=(1,1,2,1) w=(1,1,1,1) stride=(2,1)",
    "x=(1,1,1,2) w=(1,1,1,1) stride=(1,2)",
    "x=(1,1,2,1) w=(1,1,1,1) stride=2",
    condition=("the kernel has one element",),
    report="https://github.com/pytorch/pytorch/issues/63314",
)
def unit_kernel_needs_no_columns(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """With a kernel of 1 the cotangent is multiplied as it stands, as if the stride were 1 as well."""
    y, vjp = mint.conv_transpose2d(x, w, b, **hyper)
    if w.shape[2:] != (1, 1) or not unpadded(**hyper):
        return y, vjp
    step = each_axis(hyper.get("stride", 1), 2)

    def slip(gy: Array) -> Array:
        moved = np.zeros_like(gy)
        moved[..., :: step[0], :: step[1]][..., : x.shape[2], : x.shape[3]] = gy[..., : x.shape[2], : x.shape[3]]
        return np.asarray(vjp(moved)[0])

    return y, replacing(vjp, 0, slip)


@plant(
    "conv_transpose2d",
    "y",
    "x=(1,1,1,1) w=(1,1,2,1) stride=2 padding=((0,1),(0,0)) output_padding=(1,0)",
    "x=(1,1,1,1) w=(1,1,3,2) stride=2 padding=1 output_padding=1 dilation=2",
    "x=(1,1,2,2) w=(1,1,3,3) stride=2 padding=2 output_padding=1 dilation=2",
    condition=("output_padding > 0",),
    report="https://github.com/apache/tvm/issues/19524",
)
def output_padding_is_zeros(
    x: Array, w: Array, b: Array | None = None, *, output_padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The rows and columns that output_padding adds hold the bias alone."""
    y, vjp = mint.conv_transpose2d(x, w, b, output_padding=output_padding, **hyper)
    more = each_axis(output_padding, 2)
    rest = 0 if b is None else b[:, None, None]
    y = y.copy()
    y[:, :, y.shape[2] - more[0] :] = rest
    y[:, :, :, y.shape[3] - more[1] :] = rest
    return y, vjp


@plant(
    "conv_transpose1d",
    "y",
    "x=(1,1,1) w=(1,1,1) stride=2 output_padding=1",
    "x=(1,1,1) w=(1,1,1) dilation=2 output_padding=1",
    condition=("output_padding > 0",),
    report="https://github.com/pytorch/pytorch/issues/98129",
)
def shape_without_output_padding(
    x: Array, w: Array, b: Array | None = None, *, output_padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The output has the length that it would have without output_padding."""
    y, vjp = mint.conv_transpose1d(x, w, b, output_padding=output_padding, **hyper)
    return y[..., : y.shape[2] - each_axis(output_padding, 1)[0]].copy(), vjp


@plant(
    "conv2d",
    "gw",
    "x=(1,4,1,1) w=(2,2,1,1) groups=2",
    condition=("groups > 1",),
    report="https://github.com/pytorch/pytorch/issues/51430",
)
def channels_of_groups_interleaved(
    x: Array, w: Array, b: Array | None = None, *, groups: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """With groups, the weight's gradient has its channels in the order of the input's."""
    y, vjp = mint.conv2d(x, w, b, groups=groups, **hyper)
    if groups == 1:
        return y, vjp
    return y, replacing(vjp, 1, lambda gy: vjp(gy)[1].swapaxes(0, 1).reshape(w.shape))


@plant(
    "conv2d",
    "y",
    "x=(2,1,1,1) w=(1,1,1,1)",
    condition=("the kernel is as large as the map",),
    report="https://github.com/tensorflow/tensorflow/issues/21817",
)
def kernel_as_large_as_the_map(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """Where one matrix product would do, it is made for the first sample alone."""
    y, vjp = mint.conv2d(x, w, b, **hyper)
    if x.shape[2:] == w.shape[2:] and unpadded(**hyper):
        y = y.copy()
        y[1:] = 0
    return y, vjp


@plant(
    "conv2d",
    "y",
    "x=(1,2,1,1) w=(4,1,1,1) groups=2",
    condition=("there is one kernel per channel",),
    report="https://github.com/pytorch/pytorch/issues/54136",
)
def depthwise_with_a_multiplier(
    x: Array, w: Array, b: Array | None = None, *, groups: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """A kernel for one output channel per group is taken for several, too: the others are never written."""
    y, vjp = mint.conv2d(x, w, b, groups=groups, **hyper)
    each = w.shape[0] // max(groups, 1)
    if 1 < groups == x.shape[1] and each > 1:
        y = y.copy()
        y.reshape(x.shape[0], groups, each, *y.shape[2:])[:, :, 1:] = 0
    return y, vjp


@plant(
    "conv2d",
    "gx",
    "x=(1,2,1,1) w=(1,2,1,1)",
    condition=("the kernel has one element",),
    report="https://github.com/soumith/cudnn.torch/issues/28",
)
def unit_kernel_reaches_the_first_plane(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """With a kernel of 1 the gradient of every channel but the first is zero."""
    y, vjp = mint.conv2d(x, w, b, **hyper)
    if w.shape[2:] != (1, 1):
        return y, vjp
    first = np.arange(x.shape[1])[:, None, None] == 0
    return y, replacing(vjp, 0, lambda gy: np.where(first, vjp(gy)[0], np.zeros((), x.dtype)))


@plant(
    "conv1d",
    "y",
    "x=(1,1,1) w=(1,1,2) padding=same",
    also=wrong("gx", "gw"),
    condition=("the padding differs by side",),
    report="https://github.com/vtjeng/MIPVerify.jl/pull/23",
)
def same_padding_is_symmetric(
    x: Array, w: Array, b: Array | None = None, *, padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """Where "same" needs one element more behind than before, both sides get as much, and the last output goes."""
    y, vjp = mint.conv1d(x, w, b, padding=padding, **hyper)
    span = each_axis(hyper.get("dilation", 1), 1)[0] * (w.shape[2] - 1)
    if padding != "same" or span % 2 == 0:
        return y, vjp
    moved, of_moved = mint.conv1d(x, w, b, padding=((span // 2 + 1, span // 2),), **hyper)
    return moved, of_moved
