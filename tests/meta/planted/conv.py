"""Slips in convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.window import reach
from oracles.window import each_axis, pad_pairs
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant(
    "conv2d",
    "gx",
    "x=(1,1,2,1) w=(1,1,2,1)",
    "x=(1,1,1,1) w=(1,1,2,1) padding=1",
    condition=("the kernel is larger than 1",),
)
def kernel_not_rotated(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The kernel is not rotated by 180° on the way to dx."""
    y, vjp = mint.conv2d(x, w, b, **hyper)
    _, of_rotated = mint.conv2d(x, w[:, :, ::-1, ::-1], b, **hyper)
    return y, replacing(vjp, 0, lambda gy: of_rotated(gy)[0])


def unreached(x: Array, w: Array, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, **_: Any) -> list[int]:
    """Per axis, how many of the map's last rows the stride never reaches."""
    axes, kernel, size = x.ndim - 2, w.shape[2:], x.shape[2:]
    strides, dilations = each_axis(stride, axes), each_axis(dilation, axes)
    pads, extents = pad_pairs(padding, kernel, dilations), reach(kernel, dilations)
    return [
        max((m + lo + hi - extent) % s - hi, 0)
        for m, s, (lo, hi), extent in zip(size, strides, pads, extents, strict=True)
    ]


@plant("conv1d", "gx", "x=(1,1,2) w=(1,1,1) stride=2", condition=("the stride does not divide",))
def stride_remainder_dropped(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """dx ends at the last row that the stride reaches."""
    y, vjp = mint.conv1d(x, w, b, **hyper)
    (rest,) = unreached(x, w, **hyper)
    return y, replacing(vjp, 0, lambda gy: vjp(gy)[0][..., : x.shape[2] - rest])


@plant("conv2d", "gx", "x=(1,1,2,1) w=(1,1,1,1) stride=2", condition=("the stride does not divide",))
def stride_remainder_on_the_near_side(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The zero rows of dx that the stride never reaches stand before the others."""
    y, vjp = mint.conv2d(x, w, b, **hyper)
    return y, replacing(vjp, 0, lambda gy: np.roll(vjp(gy)[0], unreached(x, w, **hyper), axis=(2, 3)))


@plant(
    "conv2d",
    "gb",
    "x=(2,1,1,1) w=(1,1,1,1) b=(1,)",
    "x=(1,1,1,1) w=(2,1,1,1) b=(2,)",
)
def bias_summed_over_the_wrong_axes(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The bias gradient keeps the batch and sums the channels."""
    y, vjp = mint.conv2d(x, w, b, **hyper)
    return y, replacing(vjp, 2, lambda gy: gy.sum(axis=(1, 2, 3)))


@plant("conv3d", "gb", "x=(2,1,1,1,1) w=(1,1,1,1,1) b=(1,)", condition=("x.shape[0] > 1",))
def bias_from_the_first_sample(x: Array, w: Array, b: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The bias gradient leaves out every sample after the first."""
    y, vjp = mint.conv3d(x, w, b, **hyper)
    _, of_first = mint.conv3d(x[:1], w, b, **hyper)
    return y, replacing(vjp, 2, lambda gy: of_first(gy[:1])[2])


@plant("conv2d", "gx", "x=(1,2,1,1) w=(2,1,1,1) groups=2", condition=("groups > 1",))
def groups_ignored_in_dx(
    x: Array, w: Array, b: Array | None = None, *, groups: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """Every output channel hands its gradient to the input channels of all groups."""
    y, vjp = mint.conv2d(x, w, b, groups=groups, **hyper)
    _, of_whole = mint.conv2d(x, np.tile(w, (1, groups, 1, 1)), b, **hyper)
    return y, replacing(vjp, 0, lambda gy: of_whole(gy)[0])


@plant("conv1d", "y", "x=(1,1,3) w=(1,1,2) dilation=2", condition=("dilation > 1",))
def dilation_ignored(
    x: Array, w: Array, b: Array | None = None, *, dilation: Any = 1, padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The output has the size of a dilated convolution, but its taps lie side by side."""
    y, vjp = mint.conv1d(x, w, b, dilation=dilation, padding=padding, **hyper)
    pads = pad_pairs(padding, w.shape[2:], each_axis(dilation, 1))
    return mint.conv1d(x, w, b, padding=pads, **hyper)[0][..., : y.shape[2]].copy(), vjp


@plant(
    "conv1d",
    "y",
    "x=(1,1,1) w=(1,1,1) padding=((0,1),)",
    also=wrong("gx", "gw"),
    condition=("the padding differs by side",),
)
def padding_sides_swapped(
    x: Array, w: Array, b: Array | None = None, *, padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """A pair of paddings is read as (after, before)."""
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        padding = tuple(pair[::-1] for pair in padding)
    return mint.conv1d(x, w, b, padding=padding, **hyper)


@plant(
    "conv2d",
    "y",
    "x=(1,1,1,1) w=(1,1,2,1) padding=same",
    also=wrong("gx", "gw"),
    condition=("the padding differs by side",),
)
def same_padding_on_the_near_side(
    x: Array, w: Array, b: Array | None = None, *, padding: Any = 0, dilation: Any = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """With "same" and an even kernel the odd row of padding stands before the map."""
    if padding == "same":
        padding = tuple(pair[::-1] for pair in pad_pairs("same", w.shape[2:], each_axis(dilation, 2)))
    return mint.conv2d(x, w, b, padding=padding, dilation=dilation, **hyper)


@plant(
    "conv3d",
    "y",
    "x=(1,1,1,1,1) w=(1,1,1,1,1) padding=(0,0,1)",
    also=((None, "rejects-valid"),),
    condition=("padding",),
)
def padding_of_the_axes_reversed(
    x: Array, w: Array, b: Array | None = None, *, padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The first axis gets the padding of the last, as in torch.nn.functional.pad."""
    _, vjp = mint.conv3d(x, w, b, padding=padding, **hyper)
    reversed_ = padding[::-1] if isinstance(padding, tuple) else padding
    return mint.conv3d(x, w, b, padding=reversed_, **hyper)[0], vjp


@plant(
    "conv_transpose1d",
    "y",
    "x=(1,1,1) w=(1,1,1) stride=2 output_padding=1",
    "x=(1,1,1) w=(1,1,1) dilation=2 output_padding=1",
    condition=("output_padding > 0",),
)
def output_padding_on_the_near_side(
    x: Array, w: Array, b: Array | None = None, *, output_padding: Any = 0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The extra rows of the output stand before the others."""
    y, vjp = mint.conv_transpose1d(x, w, b, output_padding=output_padding, **hyper)
    return np.roll(y, each_axis(output_padding, 1), axis=(2,)), vjp


@plant(
    "conv_transpose2d",
    "gw",
    "x=(1,2,1,1) w=(2,1,1,1) groups=2",
    condition=("groups > 1",),
)
def groups_in_reverse_in_dw(
    x: Array, w: Array, b: Array | None = None, *, groups: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """The weight gradients of the groups are put together in the wrong order."""
    y, vjp = mint.conv_transpose2d(x, w, b, groups=groups, **hyper)
    return y, replacing(vjp, 1, lambda gy: vjp(gy)[1].reshape(groups, -1, *w.shape[1:])[::-1].reshape(w.shape))


@plant(
    "conv2d",
    None,
    "x=(1,1,1,1) w=(1,1,1,1) stride=(1,2)",
    verdict="rejects-valid",
)
def stride_must_be_an_int(
    x: Array, w: Array, b: Array | None = None, *, stride: Any = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """A stride for each axis is refused."""
    if not isinstance(stride, int):
        raise TypeError(f"conv2d: stride must be an int; got {stride!r}")
    return mint.conv2d(x, w, b, stride=stride, **hyper)


@plant(
    "conv2d",
    None,
    "x=(1,2,1,1) w=(1,1,1,1)",
    "x=(1,1,1,1) w=(1,1,1,1) groups=0",
    verdict="accepts-invalid",
    condition=("invalid",),
)
def groups_need_not_divide(
    x: Array, w: Array, b: Array | None = None, *, groups: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """Channels beyond those of the groups are left out without a word."""
    groups = max(groups, 1)
    y, vjp = mint.conv2d(x[:, : w.shape[1] * groups], w, b, groups=groups, **hyper)
    return y, vjp


@plant(
    "conv1d",
    "gx",
    "x=(1,1,1) w=(1,1,1) padding=1 padding_mode=replicate",
    "x=(1,1,1) w=(1,1,1) padding=1 padding_mode=circular",
    "x=(1,1,2) w=(1,1,1) padding=1 padding_mode=reflect",
    condition=("padding",),
)
def border_has_no_gradient(
    x: Array, w: Array, b: Array | None = None, *, padding_mode: str = "zeros", **hyper: Any
) -> tuple[Array, Vjp]:
    """What the border of copies hands back is dropped, as with a border of zeros."""
    y, vjp = mint.conv1d(x, w, b, padding_mode=padding_mode, **hyper)
    _, of_zeros = mint.conv1d(x, w, b, **hyper)
    return y, replacing(vjp, 0, lambda gy: of_zeros(gy)[0])


@plant(
    "conv2d",
    "gw",
    "x=(1,1,1,1) w=(1,1,1,1) padding=1 padding_mode=replicate",
    "x=(1,1,1,1) w=(1,1,1,1) padding=1 padding_mode=circular",
    "x=(1,1,2,1) w=(1,1,1,1) padding=(1,0) padding_mode=reflect",
    "x=(1,1,2,1) w=(1,1,2,1) padding=same padding_mode=reflect",
    condition=("padding",),
)
def border_of_zeros_in_dw(
    x: Array, w: Array, b: Array | None = None, *, padding_mode: str = "zeros", **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient of the weight sees zeros around the map, and not what was put there."""
    y, vjp = mint.conv2d(x, w, b, padding_mode=padding_mode, **hyper)
    _, of_zeros = mint.conv2d(x, w, b, **hyper)
    return y, replacing(vjp, 1, lambda gy: of_zeros(gy)[1])


@plant(
    "conv_tbc",
    "y",
    "x=(2,1,1) w=(2,1,1) b=(1,)",
    "x=(1,1,1) w=(2,1,1) b=(1,) pad=1",
)
def taps_in_reverse(x: Array, w: Array, b: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The kernel is turned, as in the convolution of signal processing."""
    _, vjp = mint.conv_tbc(x, w, b, **hyper)
    return mint.conv_tbc(x, w[::-1], b, **hyper)[0], vjp


@plant("conv_tbc", "gw", "x=(1,2,1) w=(1,1,1) b=(1,)", condition=("x.shape[1] > 1",))
def weight_from_the_first_sample(x: Array, w: Array, b: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The weight gradient leaves out every sample after the first."""
    y, vjp = mint.conv_tbc(x, w, b, **hyper)
    _, of_first = mint.conv_tbc(x[:, :1], w, b, **hyper)
    return y, replacing(vjp, 1, lambda gy: of_first(gy[:, :1])[1])
