"""Slips in max-unpooling."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing


def flat(x: Array, axes: int) -> tuple[int, int]:
    """The number of maps and of the elements of each."""
    return int(np.prod(x.shape[:-axes])), int(np.prod(x.shape[-axes:]))


@plant("max_unpool1d", "gx", "x=(1,1,2) indices=(1,1,2) kernel_size=1", "x=(1,2) indices=(1,2) kernel_size=2 stride=1")
def gradient_to_all_with_one_index(x: Array, indices: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """Each of several elements with one index gets the gradient, as in PyTorch."""
    y, vjp = mint.max_unpool1d(x, indices, **hyper)
    maps, count = flat(x, 1)
    if not x.size:
        return y, vjp

    def slip(gy: Array) -> Array:
        return np.take_along_axis(gy.reshape(maps, -1), indices.reshape(maps, count), 1).reshape(x.shape)

    return y, replacing(vjp, 0, slip)


@plant("max_unpool2d", "y", "x=(1,1,2,1) indices=(1,1,2,1) kernel_size=1", "x=(2,1) indices=(2,1) kernel_size=1")
def added_up(x: Array, indices: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """Of several elements with one index the sum remains."""
    y, vjp = mint.max_unpool2d(x, indices, **hyper)
    maps, count = flat(x, 2)
    sums = np.zeros((maps, int(np.prod(y.shape[-2:]))), x.dtype)
    np.add.at(sums, (np.arange(maps)[:, np.newaxis], indices.reshape(maps, count)), x.reshape(maps, count))
    return sums.reshape(y.shape), vjp


@plant(
    "max_unpool3d",
    "y",
    "x=(1,1,1,1,1) indices=(1,1,1,1,1) kernel_size=1 stride=2 output_size=(2,1,1)",
    "x=(1,1,1,1,1) indices=(1,1,1,1,1) kernel_size=2 output_size=(1,1,1)",
    "x=(1,1,1,1) indices=(1,1,1,1) kernel_size=(2,1,1) output_size=(3,1,1)",
    condition=("output_size is given",),
)
def output_size_ignored(x: Array, indices: Array, *, output_size: Any = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The output has the size that follows from the kernel; what does not fit into it is left out."""
    y, vjp = mint.max_unpool3d(x, indices, output_size=output_size, **hyper)
    size = mint.max_unpool3d(x, np.zeros_like(indices), **hyper)[0].shape[-3:]
    if output_size is None or size == y.shape[-3:]:
        return y, vjp
    kept = np.zeros((*x.shape[:-3], *size), x.dtype)
    common = (..., *(slice(min(n, m)) for n, m in zip(size, y.shape[-3:], strict=True)))
    kept[common] = y[common]
    return kept, vjp
