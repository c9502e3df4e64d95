"""Max-pooling and average pooling in one, two and three dimensions."""

from __future__ import annotations

import math

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.window import Window, gather, reach, scatter

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Ints = int | tuple[int, ...]


def pooling_window(
    op: str,
    axes: int,
    x: Array,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> Window:
    """The checked window of a pooling of x, (N, C, *map)."""
    kernel = hyperparameters.per_axis(op, "kernel_size", kernel_size, axes, least=1)
    s = hyperparameters.per_axis(op, "stride", kernel if stride is None else stride, axes, least=1)
    before = hyperparameters.per_axis(op, "padding", padding, axes, least=0)
    d = hyperparameters.per_axis(op, "dilation", dilation, axes, least=1)
    ceil_mode = hyperparameters.flag(op, "ceil_mode", ceil_mode)
    if any(2 * p > k for p, k in zip(before, kernel, strict=True)):
        raise ValueError(f"{op}: padding must be at most half of kernel_size; got {before} for kernel_size {kernel}")
    if x.ndim != axes + 2 or 0 in x.shape[1:]:
        maps = ", ".join("DHW"[-axes:] if axes > 1 else "L")
        raise ValueError(f"{op}: x must have shape (N, C, {maps}), empty in N only; got {x.shape}")
    sizes = x.shape[2:]
    count = tuple(
        _count(m, extent, step, p, ceil_mode)
        for m, extent, step, p in zip(sizes, reach(kernel, d), s, before, strict=True)
    )
    if min(count) < 1:
        raise ValueError(f"{op}: the output map must have at least one element on every axis; got {count}")
    return Window(sizes, kernel, s, d, before, count)


def _count(size: int, extent: int, stride: int, padding: int, ceil_mode: bool) -> int:
    room = size + 2 * padding - extent
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    # a window that would begin in the padding on the far side is not taken
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def refuse_larger_than_map(op: str, window: Window) -> None:
    """Refuse a kernel larger than the map without its padding, as PyTorch does in three dimensions only."""
    if any(k > m for k, m in zip(window.kernel, window.size, strict=True)):
        raise ValueError(f"{op}: kernel_size must be at most the map {window.size}; got {window.kernel}")


def winner(windows: Array, axis: int, inside: Array | bool = True) -> Array:
    """The place of the maximum along an axis, which is kept: the first of a tie that is ``inside``, the last NaN.

    >>> winner(np.array([[2.0, 3.0, 3.0], [np.nan, np.nan, 3.0]]), 1)
    array([[1], [1]])
    """
    y = windows.max(axis=axis, keepdims=True)
    first = np.argmax((windows == y) & inside, axis=axis, keepdims=True)
    last_nan = windows.shape[axis] - 1 - np.argmax(np.flip(np.isnan(windows), axis), axis=axis, keepdims=True)
    place: Array = np.where(np.isnan(y), last_nan, first)
    return place


def max_over_windows(
    op: str, window: Window, x: Array, return_indices: bool
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Max-pooling of x, (N, C, *map)."""
    return_indices = hyperparameters.flag(op, "return_indices", return_indices)
    windows = gather(x, window, -np.inf)
    taps = windows.shape[1]
    # the position in the map of each tap of each window, −1 in the padding: [1, k, 1, *p]
    elements = np.arange(math.prod(window.size), dtype=np.int64).reshape(1, 1, *window.size)
    positions = gather(elements, window, -1)
    inside = positions >= 0

    # [n, k, c, *p] -> [n, c, *p]; the padding counts as −∞ and is never chosen, not even among −∞
    y = windows.max(axis=1, keepdims=True)
    chosen = winner(windows, 1, inside)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # the chosen tap of each window gets its gradient, and windows that overlap add up:
        # [n, c, *p] -> [n, k, c, *p] -> [n, c, *map]
        tap = np.arange(taps).reshape(1, taps, *(1 for _ in gy.shape[1:]))
        return (scatter(np.where((tap == chosen) & inside, gy[:, np.newaxis], 0), window),)

    if not return_indices:
        return y.squeeze(axis=1), vjp
    indices = np.take_along_axis(np.broadcast_to(positions, windows.shape), chosen, axis=1)
    return (y.squeeze(axis=1), indices.squeeze(axis=1)), vjp


def _avg_pool(
    op: str, window: Window, x: Array, count_include_pad: bool, divisor_override: int | None
) -> tuple[Array, Vjp]:
    count_include_pad = hyperparameters.flag(op, "count_include_pad", count_include_pad)
    if divisor_override is not None:
        divisor_override = hyperparameters.integer(op, "divisor_override", divisor_override, nonzero=True)
    divisor = _divisor(window, count_include_pad, divisor_override).astype(x.dtype)
    windows = gather(x, window)
    y = windows.sum(axis=1) / divisor

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # each tap of a window gets the same share: [n, c, *p] -> [n, k, c, *p] -> [n, c, *map]
        share = (gy / divisor)[:, np.newaxis]
        return (scatter(np.broadcast_to(share, windows.shape), window),)

    return y, vjp


def _divisor(window: Window, count_include_pad: bool, divisor_override: int | None) -> Array:
    # per window the number of its elements in the map, or in the map and its padding of equal width on both
    # sides; what ceil_mode lets a window reach beyond that never counts
    if divisor_override is not None:
        return np.array(divisor_override)
    divisor = np.array(1)
    for m, k, s, p, count in zip(window.size, window.kernel, window.stride, window.before, window.out, strict=True):
        start = np.arange(count) * s - p
        near, far = (-p, m + p) if count_include_pad else (0, m)
        divisor = np.multiply.outer(divisor, np.minimum(start + k, far) - np.maximum(start, near))
    return divisor


@differentiable
def max_pool1d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Max-pooling over one axis; see ``max_pool2d``, of which it is the case with map (L).

    Shapes: x (N, C, L), y (N, C, L').

    >>> x = np.array([[[3.0, 1.0, 3.0, 2.0]]])
    >>> (y, indices), vjp = max_pool1d(x, kernel_size=3, stride=1, return_indices=True)
    >>> y, indices
    (array([[[3., 3.]]]), array([[[0, 2]]]))
    >>> vjp(np.array([[[1.0, 10.0]]]))
    (array([[[ 1.,  0., 10.,  0.]]]),)
    """
    window = pooling_window("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode)
    return max_over_windows("max_pool1d", window, x, return_indices)


@differentiable
def max_pool2d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Max-pooling over two axes.

    y[n, c, p] = max over k of x[n, c, p·s + k·d − padding], where p, k, s, d and padding have one entry per
    axis, and x is −∞ outside of the map. A NaN in the window is the maximum.

    Shapes: x (N, C, H, W), y (N, C, H', W') with H' = ⌊(H + 2·padding − d·(k − 1) − 1) / s⌋ + 1; with
    ceil_mode ⌈·⌉, less the windows that would begin in the padding on the far side. N = 0 is taken, other
    empty axes are not.
    Dtypes: those of ``differentiable``.

    kernel_size: elements, an int or one per axis, at least 1. stride: elements, kernel_size where None.
    padding: elements on both sides, at most half of kernel_size. dilation: elements between taps, at least 1.
    ceil_mode: whether windows may reach beyond the padding. return_indices: whether the first result is
    ``(y, indices)``, indices int64, the flat position of the maximum in the map of its channel.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The first of a tie gets the gradient, of several NaNs the
    last (as in PyTorch on CPU, with contiguous memory), each window giving its own.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: PyTorch ``torch.nn.functional.max_pool2d``.

    Differences: where dilation lets a window lie in the padding altogether, y is −∞, its index −1, and its
    gradient goes nowhere; PyTorch gives it an index outside of the window, or of the map, and the gradient to
    whatever is there. JAX (``lax.reduce_window``) takes any padding, has no indices, and may give the
    gradient of a NaN to another element of its window.
    """
    window = pooling_window("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode)
    return max_over_windows("max_pool2d", window, x, return_indices)


@differentiable
def max_pool3d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Max-pooling over three axes; see ``max_pool2d``, of which it is the case with map (D, H, W).

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W').
    """
    window = pooling_window("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode)
    return max_over_windows("max_pool3d", window, x, return_indices)


@differentiable
def avg_pool1d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Array, Vjp]:
    """Average pooling over one axis; see ``avg_pool2d``, of which it is the case with map (L).

    Shapes: x (N, C, L), y (N, C, L'). PyTorch has no divisor_override here.

    >>> y, vjp = avg_pool1d(np.array([[[3.0, 1.0, 3.0, 2.0]]]), kernel_size=2)
    >>> y
    array([[[2. , 2.5]]])
    """
    window = pooling_window("avg_pool1d", 1, x, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool1d", window, x, count_include_pad, divisor_override)


@differentiable
def avg_pool2d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Array, Vjp]:
    """Average pooling over two axes.

    y[n, c, p] = 1/D[p] · Σ over k of x[n, c, p·s + k − padding], where p, k, s and padding have one entry per
    axis, and x is 0 outside of the map. D is divisor_override if given; else the number of the window's
    elements that lie in the map, or, with count_include_pad, in the map and its padding. What ceil_mode adds
    beyond the padding never counts.

    Shapes: x (N, C, H, W), y (N, C, H', W') with H' = ⌊(H + 2·padding − k) / s⌋ + 1; with ceil_mode ⌈·⌉, less
    the windows that would begin in the padding on the far side. N = 0 is taken, other empty axes are not.
    Dtypes: those of ``differentiable``.

    kernel_size: elements, an int or one per axis, at least 1. stride: elements, kernel_size where None.
    padding: elements on both sides, at most half of kernel_size. ceil_mode: whether windows may reach beyond
    it.
    divisor_override: an int other than 0.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: PyTorch ``torch.nn.functional.avg_pool2d``. JAX (``lax.reduce_window`` with addition) leaves the
    division to the caller and takes any padding.
    """
    window = pooling_window("avg_pool2d", 2, x, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool2d", window, x, count_include_pad, divisor_override)


@differentiable
def avg_pool3d(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Array, Vjp]:
    """Average pooling over three axes; see ``avg_pool2d``, of which it is the case with map (D, H, W).

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W'). As in PyTorch, and in three dimensions only, a kernel
    larger than the map without its padding is refused.
    """
    window = pooling_window("avg_pool3d", 3, x, kernel_size, stride, padding, 1, ceil_mode)
    refuse_larger_than_map("avg_pool3d", window)
    return _avg_pool("avg_pool3d", window, x, count_include_pad, divisor_override)


class _MaxPool(Shell):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            return_indices=return_indices,
            ceil_mode=ceil_mode,
        )


class _AvgPool(Shell):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )


class MaxPool1d(_MaxPool):
    """``max_pool1d`` with its hyper-parameters."""

    operation = staticmethod(max_pool1d)


class MaxPool2d(_MaxPool):
    """``max_pool2d`` with its hyper-parameters."""

    operation = staticmethod(max_pool2d)


class MaxPool3d(_MaxPool):
    """``max_pool3d`` with its hyper-parameters."""

    operation = staticmethod(max_pool3d)


class AvgPool1d(_AvgPool):
    """``avg_pool1d`` with its hyper-parameters."""

    operation = staticmethod(avg_pool1d)


class AvgPool2d(_AvgPool):
    """``avg_pool2d`` with its hyper-parameters."""

    operation = staticmethod(avg_pool2d)


class AvgPool3d(_AvgPool):
    """``avg_pool3d`` with its hyper-parameters."""

    operation = staticmethod(avg_pool3d)
