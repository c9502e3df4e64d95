"""Slips in adaptive pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


def lengths(x: Array, axes: int, output_size: Any) -> tuple[int, ...]:
    """The lengths of the map of the output."""
    counts = output_size if isinstance(output_size, tuple) else (output_size,) * axes
    return tuple(m if n is None else n for m, n in zip(x.shape[-axes:], counts, strict=True))


@plant(
    "adaptive_avg_pool1d",
    "y",
    "x=(1,3) output_size=2",
    "x=(1,2) output_size=3",
    also=wrong("gx"),
    condition=("the map",),
)
def windows_of_one_stride(x: Array, *, output_size: Any) -> tuple[Array, Vjp]:
    """The window is ⌊m/o⌋ long everywhere, and the rest of the map is left out."""
    (count,) = lengths(x, 1, output_size)
    length = x.shape[-1]
    if not count or length % count == 0:
        return mint.adaptive_avg_pool1d(x, output_size=output_size)
    step = max(length // count, 1)
    batch = x if x.ndim == 3 else x[np.newaxis]
    # what is missing of more windows than elements is the last element
    padded = np.pad(batch, ((0, 0), (0, 0), (0, max(count * step - length, 0))), mode="edge")[..., : count * step]
    y, vjp = mint.avg_pool1d(padded, kernel_size=step)

    def slip(gy: Array) -> tuple[Array, ...]:
        (g,) = vjp(gy.reshape(y.shape))
        gx = np.zeros_like(batch)
        reached = min(count * step, length)
        gx[..., :reached] = g[..., :reached]
        gx[..., -1] += g[..., reached:].sum(-1)
        return (gx.reshape(x.shape),)

    return y.reshape(*x.shape[:-1], count), slip


@plant("adaptive_avg_pool2d", "gx", "x=(1,1,2) output_size=1", "x=(1,2,1) output_size=1")
def share_not_divided(x: Array, *, output_size: Any) -> tuple[Array, Vjp]:
    """The gradient is that of the sums."""
    y, vjp = mint.adaptive_avg_pool2d(x, output_size=output_size)
    counts, size = lengths(x, 2, output_size), x.shape[-2:]
    divisor = np.ones(1)
    for m, n in zip(size, counts, strict=True):
        i = np.arange(n)
        divisor = np.multiply.outer(divisor, -(-(i + 1) * m // max(n, 1)) - i * m // max(n, 1))
    return y, replacing(vjp, 0, lambda gy: vjp((gy * divisor[0]).astype(x.dtype))[0])


@plant("adaptive_avg_pool3d", "gx", "x=(1,1,1,1) output_size=(2,1,1)", condition=("the map",))
def overlap_averaged(x: Array, *, output_size: Any) -> tuple[Array, Vjp]:
    """An element that several windows have along the first axis gets the mean of their shares."""
    y, vjp = mint.adaptive_avg_pool3d(x, output_size=output_size)
    count, _, _ = lengths(x, 3, output_size)
    depth = x.shape[-3]

    def slip(gy: Array) -> Array:
        i = np.arange(count)
        first, last = i * depth // max(count, 1), -(-(i + 1) * depth // max(count, 1))
        q = np.arange(depth)
        windows = ((first[:, None] <= q) & (q < last[:, None])).sum(0)
        (gx,) = vjp(gy)
        assert gx is not None
        return (gx / np.maximum(windows, 1)[:, None, None]).astype(x.dtype)

    return y, replacing(vjp, 0, slip)


@plant("adaptive_max_pool1d", "gx", "x=(1,2) output_size=1")
def last_of_a_tie(x: Array, *, output_size: Any, return_indices: bool = False) -> tuple[Any, Vjp]:
    """The last of several equal maxima gets the gradient, as where the map is read backwards."""
    result, vjp = mint.adaptive_max_pool1d(x, output_size=output_size, return_indices=return_indices)
    if np.isnan(x).any():
        return result, vjp
    backwards = np.ascontiguousarray(x[..., ::-1])
    _, reversed_vjp = mint.adaptive_max_pool1d(backwards, output_size=output_size)

    def slip(gy: Array) -> Array:
        return reversed_vjp(np.ascontiguousarray(gy[..., ::-1]))[0][..., ::-1]

    return result, replacing(vjp, 0, slip)


@plant("adaptive_max_pool2d", "indices", "x=(1,2,2) output_size=1 return_indices=True")
def indices_in_the_other_order(x: Array, *, output_size: Any, return_indices: bool = False) -> tuple[Any, Vjp]:
    """The indices count column by column."""
    result, vjp = mint.adaptive_max_pool2d(x, output_size=output_size, return_indices=return_indices)
    if not isinstance(result, tuple):
        return result, vjp
    y, indices = result
    row, column = np.divmod(indices, x.shape[-1])
    return (y, column * x.shape[-2] + row), vjp


@plant("adaptive_max_pool3d", "gx", "x=(1,1,1,1) output_size=2", condition=("the map",))
def shared_maximum_overwritten(x: Array, *, output_size: Any, return_indices: bool = False) -> tuple[Any, Vjp]:
    """Where windows share their maximum, the last one's gradient replaces the others'."""
    result, vjp = mint.adaptive_max_pool3d(x, output_size=output_size, return_indices=return_indices)
    (_, indices), _ = mint.adaptive_max_pool3d(x, output_size=output_size, return_indices=True)
    lead = x.shape[:-3]

    def slip(gy: Array) -> Array:
        flat = np.zeros((*lead, int(np.prod(x.shape[-3:]))), x.dtype)
        count = int(np.prod(indices.shape[-3:]))
        np.put_along_axis(flat, indices.reshape(*lead, count), gy.reshape(*lead, count), axis=-1)
        return flat.reshape(x.shape)

    return result, replacing(vjp, 0, slip)
