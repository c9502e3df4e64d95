"""Slips in rearrangements between space and channels."""

from __future__ import annotations

from typing import Any

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant("pixel_shuffle", "y", "x=(8,1,1) upscale_factor=2", also=wrong("gx"))
def channels_last_in_the_block(x: Array, *, upscale_factor: int) -> tuple[Array, Vjp]:
    """The channels of a block vary fastest, as in TensorFlow's depth_to_space."""
    r = upscale_factor
    *batch, channels, height, width = x.shape

    def swapped(values: Array, a: int, b: int) -> Array:
        return values.reshape(*batch, a, b, height, width).swapaxes(-4, -3).reshape(x.shape)

    y, vjp = mint.pixel_shuffle(swapped(x, r * r, channels // (r * r)), upscale_factor=r)
    return y, lambda gy: (swapped(vjp(gy)[0], channels // (r * r), r * r).copy(),)


@plant("pixel_unshuffle", "gx", "x=(1,2,2) downscale_factor=2")
def rows_and_columns_exchanged_in_dx(x: Array, *, downscale_factor: int) -> tuple[Array, Vjp]:
    """The gradient takes channel c·r² + i·r + j for column i, row j of the block."""
    r = downscale_factor
    y, vjp = mint.pixel_unshuffle(x, downscale_factor=r)
    *batch, channels, height, width = y.shape

    def transposed(gy: Array) -> Any:
        blocks = gy.reshape(*batch, channels // (r * r), r, r, height, width)
        return vjp(blocks.swapaxes(-4, -3).reshape(y.shape))[0]

    return y, replacing(vjp, 0, transposed)


@plant("channel_shuffle", "gx", "x=(1,6,1) groups=2", "x=(1,6,1) groups=3")
def gradient_shuffled_again(x: Array, *, groups: int) -> tuple[Array, Vjp]:
    """The gradient is the shuffle itself, which undoes it only where there are as many groups as channels in each."""
    y, vjp = mint.channel_shuffle(x, groups=groups)
    return y, replacing(vjp, 0, lambda gy: mint.channel_shuffle(gy, groups=groups)[0])
