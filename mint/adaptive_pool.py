"""Adaptive average- and max-pooling: the output size is given, the windows follow from it.

Also what other pooling shares with it whose windows are not those of one stride: the maximum over any windows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.pool import winner

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]

OutputSize = int | tuple[int | None, ...]
Spans = list[tuple[int, int]]


def check_maps(op: str, x: Array, axes: int, *, empty_channels: bool = False) -> None:
    """Refuse what is no batch of maps and no single one: (N, C, *map) or (C, *map), empty on the first axis only."""
    solid = x.shape[-axes:] if empty_channels else x.shape[1:]
    if x.ndim not in (axes + 1, axes + 2) or 0 in solid:
        maps = ", ".join("DHW"[-axes:] if axes > 1 else "L")
        where = "N and C" if empty_channels else "the first axis"
        raise ValueError(f"{op}: x must have shape (N, C, {maps}) or (C, {maps}), empty in {where} only; got {x.shape}")


def max_over(x: Array, taps: Sequence[Array], return_indices: bool) -> tuple[Array | tuple[Array, Array], Vjp]:
    """The maximum over windows of any shape and place, and its gradient.

    ``taps`` holds for each axis of the map the rows that its windows take, [1, o, k], or [b, o, k] where each of
    the b maps has windows of its own; a row may be there twice. The first of a tie is chosen, of several NaNs the
    last.

    >>> y, _ = max_over(np.array([[3.0, 1.0, 3.0]]), [np.array([[[0, 1, 2], [1, 1, 1]]])], True)
    >>> y
    (array([[3., 1.]]), array([[0, 1]]))
    """
    axes = len(taps)
    lead, size = x.shape[:-axes], x.shape[-axes:]
    out = tuple(tap.shape[1] for tap in taps)
    planes = x.reshape(math.prod(lead), math.prod(size))
    places = _flat_positions(size, taps)
    # [b, m], [b, p, k] -> [b, p, k]
    windows = np.take_along_axis(planes[:, np.newaxis], places, axis=-1)
    chosen = winner(windows, -1)
    indices = np.take_along_axis(places, chosen, axis=-1).squeeze(axis=-1)
    y = np.take_along_axis(windows, chosen, axis=-1).reshape(*lead, *out)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # each window gives its gradient to the element that it chose, and windows that chose the same add up:
        # [b, p] -> [b, m]
        gx = np.zeros_like(planes)
        np.add.at(gx, (np.arange(len(planes))[:, np.newaxis], indices), gy.reshape(indices.shape))
        return (gx.reshape(x.shape),)

    return (y, indices.reshape(y.shape)) if return_indices else y, vjp


def _flat_positions(size: tuple[int, ...], taps: Sequence[Array]) -> Array:
    # per axis [b, o, k] -> [b, o₁·o₂·…, k₁·k₂·…], row-major
    axes = len(taps)
    flat = np.zeros((1,) * (1 + 2 * axes), np.int64)
    for axis, (m, tap) in enumerate(zip(size, taps, strict=True)):
        b, o, k = tap.shape
        before, after = (1,) * axis, (1,) * (axes - 1 - axis)
        flat = flat * m + tap.reshape(b, *before, o, *after, *before, k, *after)
    return flat.reshape(flat.shape[0], math.prod(flat.shape[1 : 1 + axes]), math.prod(flat.shape[1 + axes :]))


def _spans(size: int, count: int) -> Spans:
    # window i of o: from ⌊i·m/o⌋ to before ⌈(i + 1)·m/o⌉, so that all elements are covered and none is far
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _windows(op: str, axes: int, x: Array, output_size: OutputSize) -> list[Spans]:
    size = x.shape[-axes:]
    if axes == 1:
        counts = hyperparameters.per_axis(op, "output_size", output_size, axes, least=0)
    else:
        counts = hyperparameters.output_size(op, "output_size", output_size, size)
    return [_spans(m, count) for m, count in zip(size, counts, strict=True)]


def _adaptive_avg_pool(op: str, axes: int, x: Array, output_size: OutputSize) -> tuple[Array, Vjp]:
    check_maps(op, x, axes, empty_channels=axes < 3)
    windows = _windows(op, axes, x, output_size)
    lengths = [np.array([stop - start for start, stop in spans], x.dtype) for spans in windows]
    divisor = functools.reduce(np.multiply.outer, lengths)

    # a window is the product of one span per axis: sum along one axis after the other
    total = x
    for axis, spans in enumerate(windows, x.ndim - axes):
        total = _sum_along(total, axis, spans)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # each element of a window gets the same share, and windows that overlap add up
        gx = gy / divisor
        for axis, spans in enumerate(windows, x.ndim - axes):
            gx = _spread_along(gx, axis, spans, x.shape[axis])
        return (gx,)

    return total / divisor, vjp


def _sum_along(x: Array, axis: int, spans: Spans) -> Array:
    rows = np.moveaxis(x, axis, -1)
    sums = np.empty((*rows.shape[:-1], len(spans)), x.dtype)
    for place, (start, stop) in enumerate(spans):
        sums[..., place] = rows[..., start:stop].sum(axis=-1)
    return np.moveaxis(sums, -1, axis)


def _spread_along(sums: Array, axis: int, spans: Spans, size: int) -> Array:
    # the adjoint of _sum_along
    shares = np.moveaxis(sums, axis, -1)
    rows = np.zeros((*shares.shape[:-1], size), sums.dtype)
    for place, (start, stop) in enumerate(spans):
        rows[..., start:stop] += shares[..., place, np.newaxis]
    return np.moveaxis(rows, -1, axis)


def _adaptive_max_pool(
    op: str, axes: int, x: Array, output_size: OutputSize, return_indices: bool
) -> tuple[Array | tuple[Array, Array], Vjp]:
    return_indices = hyperparameters.flag(op, "return_indices", return_indices)
    check_maps(op, x, axes)
    return max_over(x, [_taps(spans) for spans in _windows(op, axes, x, output_size)], return_indices)


def _taps(spans: Spans) -> Array:
    # all as long as the longest window: a shorter one takes its last row again, which changes no maximum
    bounds = np.array(spans, np.int64).reshape(len(spans), 2)
    start, stop = bounds[:, :1], bounds[:, 1:]
    longest = (stop - start).max(initial=1)
    return np.minimum(start + np.arange(longest), stop - 1)[np.newaxis]


@differentiable(wide=True)
def adaptive_avg_pool1d(x: Array, *, output_size: OutputSize) -> tuple[Array, Vjp]:
    """Adaptive average pooling over one axis; see ``adaptive_avg_pool2d``, with map (L).

    Shapes: x (N, C, L) or (C, L), y (N, C, L') or (C, L'). As in PyTorch None is no output_size here.

    >>> y, vjp = adaptive_avg_pool1d(np.array([[1.0, 2.0, 6.0]]), output_size=2)
    >>> y, vjp(np.array([[1.0, 10.0]]))[0]
    (array([[1.5, 4. ]]), array([[0.5, 5.5, 5. ]]))
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


@differentiable(wide=True)
def adaptive_avg_pool2d(x: Array, *, output_size: OutputSize) -> tuple[Array, Vjp]:
    """Adaptive average pooling over two axes: the mean over windows that share the map out evenly.

    y[n, c, i, j] = mean of x[n, c, h, w] over ⌊i·H/H'⌋ ≤ h < ⌈(i + 1)·H/H'⌉, and w likewise. Where H' does not
    divide H, windows differ in length by one and may overlap by one row; where it is larger, rows are repeated.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W') or (C, H', W'). N and C may be 0, H and W not.
    Dtypes: those of ``differentiable``.

    output_size: (H', W'), each an int of at least 0, or None for the size of x; or an int for both.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError or TypeError for an output_size or a shape that does not fit.
    Source: He et al., "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014;
    PyTorch ``torch.nn.functional.adaptive_avg_pool2d``. JAX has none.

    >>> adaptive_avg_pool2d(np.arange(6.0).reshape(1, 2, 3), output_size=(1, None))[0]
    array([[[1.5, 2.5, 3.5]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


@differentiable(wide=True)
def adaptive_avg_pool3d(x: Array, *, output_size: OutputSize) -> tuple[Array, Vjp]:
    """Adaptive average pooling over three axes; see ``adaptive_avg_pool2d``, with map (D, H, W).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y with (D', H', W') in place of (D, H, W). As in PyTorch, and in three
    dimensions only, C may not be 0 beside an N.
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size)


@differentiable(wide=True)
def adaptive_max_pool1d(
    x: Array, *, output_size: OutputSize, return_indices: bool = False
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Adaptive max-pooling over one axis; see ``adaptive_max_pool2d``, with map (L).

    Shapes: x (N, C, L) or (C, L), y (N, C, L') or (C, L'). As in PyTorch None is no output_size here.

    >>> (y, indices), vjp = adaptive_max_pool1d(np.array([[1.0, 6.0, 2.0]]), output_size=2, return_indices=True)
    >>> y, indices, vjp(np.array([[1.0, 10.0]]))[0]
    (array([[6., 6.]]), array([[1, 1]]), array([[ 0., 11.,  0.]]))
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size, return_indices)


@differentiable(wide=True)
def adaptive_max_pool2d(
    x: Array, *, output_size: OutputSize, return_indices: bool = False
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Adaptive max-pooling over two axes: the maximum over the windows of ``adaptive_avg_pool2d``.

    A NaN in the window is the maximum.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W') or (C, H', W'). The first axis of x may be empty, no other.
    Dtypes: those of ``differentiable``.

    output_size: (H', W'), each an int of at least 0, or None for the size of x; or an int for both.
    return_indices: whether the first result is ``(y, indices)``, indices int64, the flat position of the maximum
    in the map of its channel.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The first of a tie gets the gradient, of several NaNs the last,
    each window giving its own.
    Raises ValueError or TypeError for an output_size or a shape that does not fit.
    Source: PyTorch ``torch.nn.functional.adaptive_max_pool2d``. JAX has none.
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size, return_indices)


@differentiable(wide=True)
def adaptive_max_pool3d(
    x: Array, *, output_size: OutputSize, return_indices: bool = False
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Adaptive max-pooling over three axes; see ``adaptive_max_pool2d``, with map (D, H, W).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y with (D', H', W') in place of (D, H, W).
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices)


class _AdaptiveAvgPool(Shell):
    def __init__(self, output_size: OutputSize) -> None:
        super().__init__(output_size=output_size)


class _AdaptiveMaxPool(Shell):
    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size=output_size, return_indices=return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """``adaptive_avg_pool1d`` with its output size."""

    operation = staticmethod(adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """``adaptive_avg_pool2d`` with its output size."""

    operation = staticmethod(adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """``adaptive_avg_pool3d`` with its output size."""

    operation = staticmethod(adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """``adaptive_max_pool1d`` with its hyper-parameters."""

    operation = staticmethod(adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """``adaptive_max_pool2d`` with its hyper-parameters."""

    operation = staticmethod(adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """``adaptive_max_pool3d`` with its hyper-parameters."""

    operation = staticmethod(adaptive_max_pool3d)
