"""Operations on images that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, wrong


@plant(
    "pixel_unshuffle",
    "y",
    "x=(2,2,2) downscale_factor=2",
    also=wrong("gx"),
    condition=("there are several channels", "downscale_factor > 1"),
    report="https://github.com/microsoft/onnxscript/issues/2891",
)
def space_to_depth(x: Array, *, downscale_factor: int) -> tuple[Array, Vjp]:
    """The channels of one place in the block stand together, not the places of one channel."""
    y, vjp = mint.pixel_unshuffle(x, downscale_factor=downscale_factor)
    blocks, channels = downscale_factor**2, x.shape[-3]

    def turned(a: Array, first: int, second: int) -> Array:
        split = a.reshape(*a.shape[:-3], first, second, *a.shape[-2:])
        return np.ascontiguousarray(split.swapaxes(-3, -4)).reshape(a.shape)

    return turned(y, channels, blocks), lambda gy: vjp(turned(gy, blocks, channels))


@plant(
    "grid_sample",
    "y",
    "x=(1,1,2,1) grid=(1,1,1,2)",
    "x=(1,1,1,2) grid=(1,1,1,2)",
    also=wrong("gx", "ggrid"),
    condition=("the map has unequal sides",),
    report="https://github.com/speedinghzl/AlignSeg/issues/7",
)
def height_and_width_exchanged(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """Offsets in pixels are divided by the height where it should be the width, and the other way round."""
    y, vjp = mint.grid_sample(x, grid, **hyper)
    if x.ndim != 4 or 0 in x.shape or x.shape[2] == x.shape[3]:
        return y, vjp
    scale = np.array([x.shape[3] / x.shape[2], x.shape[2] / x.shape[3]]).astype(grid.dtype)
    y, vjp = mint.grid_sample(x, (grid * scale).astype(grid.dtype), **hyper)

    def back(gy: Array) -> tuple[Array, Array]:
        gx, ggrid = vjp(gy)
        return gx, (ggrid * scale).astype(grid.dtype)

    return y, back
