"""Power-average pooling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.pool import Ints, max_over_windows, pooling_window, refuse_larger_than_map
from mint.window import Window, gather, scatter

__all__ = [
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
]

Back = Callable[[Array], Array]
"""From gy to gx."""


def _lp_pool(
    op: str, axes: int, x: Array, norm_type: float, kernel_size: Ints, stride: Ints | None, ceil_mode: bool
) -> tuple[Array, Vjp]:
    p = hyperparameters.real(op, "norm_type", norm_type, least=-math.inf, most=math.inf)
    if p == 0:
        raise ValueError(f"{op}: norm_type must be other than 0; got {norm_type!r}")
    batch = x[np.newaxis] if x.ndim == axes + 1 else x
    window = pooling_window(op, axes, batch, kernel_size, stride, 0, 1, ceil_mode)
    if math.isinf(p):
        y, back = _extreme(op, window, batch, math.copysign(1, p))
    else:
        if axes == 3:
            refuse_larger_than_map(op, window)
        # exponents that are computed, 1/p and p − 1, have the digits of the dtype
        y, back = _root_of_sum(window, batch, x.dtype.type(p))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        return (back(gy.reshape(y.shape)).reshape(x.shape),)

    return y.reshape(*x.shape[:-axes], *window.out), vjp


def _root_of_sum(window: Window, x: Array, p: Any) -> tuple[Array, Back]:
    """y = (k/m·Σ x^p)^(1/p) over the m of the kernel's k elements that lie in the map."""
    absent = 0 if p > 0 else np.inf  # its power is 0
    windows = gather(x, window, absent)
    # in units of the element that counts most no power overflows that y does not: [n, k, c, *out] -> [n, 1, c, *out]
    magnitude = np.abs(windows)
    if p > 0:
        most = magnitude.max(axis=1, keepdims=True)
    else:
        most = np.where(magnitude > 0, magnitude, np.inf).min(axis=1, keepdims=True)
    unit = _unit(most, float(p))
    z = windows / unit
    present = gather(np.ones((1, 1, *window.size), x.dtype), window).sum(axis=1, keepdims=True)
    share = math.prod(window.kernel) / present
    total = _power(z, p).sum(axis=1, keepdims=True)
    root = _power(share * total, 1 / p)

    def back(gy: Array) -> Array:
        # ∂y/∂x[q] = 1/p·(k/m·Σ x^p)^(1/p − 1)·k/m·p·x[q]^(p − 1) = k/m·x[q]^(p − 1)·y^(1 − p), in which the unit
        # cancels; none where Σ x^p is 0, or ∞ for an element of 0: y is at a kink there. The power of 0, which
        # may be ∞, is taken out of the sum over the windows
        kink = (total == 0) | (root == 0)
        slope = share * _power(root, 1 - p) * np.where(z == 0, 1, _power(z, p - 1))
        gx: Array = scatter(np.where(kink, 0, gy[:, np.newaxis] * slope), window)
        return np.where((x == 0) & (gx != 0), gx * _power(x, p - 1), gx)

    return (root * unit).squeeze(axis=1), back


def _unit(most: Array, p: float) -> Array:
    """The power of two that brings these magnitudes as near to 1 as the sum of their powers asks for."""
    reach = int(np.finfo(most.dtype).maxexp / (2 * max(abs(p), 2)))
    _, exponent = np.frexp(np.where(np.isfinite(most), most, 1))
    unit: Array = np.ldexp(np.ones_like(most), exponent - np.clip(exponent, -reach, reach))
    return unit


def _power(x: Array, exponent: Any) -> Array:
    """x^exponent: by products for a small whole exponent, which are exact where they can be, by a root for ±1/2."""
    if abs(exponent) == 0.5:
        y = np.sqrt(x)
    elif exponent.is_integer() and abs(exponent) <= 4:
        y = np.ones_like(x)
        for _ in range(int(abs(exponent))):
            y = y * x
    else:
        return np.asarray(np.power(x, exponent))
    return y if exponent > 0 else 1 / y


def _extreme(op: str, window: Window, x: Array, sign: float) -> tuple[Array, Back]:
    """The largest magnitude, or for the order −∞ the smallest."""
    y, pool_vjp = max_over_windows(op, window, sign * np.abs(x), return_indices=False)
    assert not isinstance(y, tuple)

    def back(gy: Array) -> Array:
        # the chosen element gets the gradient, with its sign: none at 0, nor, as in PyTorch, at NaN
        (gx,) = pool_vjp(gy)
        return np.where(np.isnan(x), 0, np.sign(x)) * gx

    return sign * y, back


@differentiable(wide=True)
def lp_pool1d(
    x: Array, *, norm_type: float, kernel_size: int, stride: Ints | None = None, ceil_mode: bool = False
) -> tuple[Array, Vjp]:
    """Power-average pooling over one axis; see ``lp_pool2d``, with map (L).

    Shapes: x (N, C, L) or (C, L), y (N, C, L') or (C, L'). As in PyTorch kernel_size is an int, no tuple.

    >>> y, vjp = lp_pool1d(np.array([[3.0, -4.0, 0.0]]), norm_type=2, kernel_size=2, stride=1)
    >>> y, vjp(np.array([[1.0, 10.0]]))[0]
    (array([[5., 4.]]), array([[  0.6, -10.8,   0. ]]))
    """
    kernel_size = hyperparameters.integer("lp_pool1d", "kernel_size", kernel_size, least=1)
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode)


@differentiable(wide=True)
def lp_pool2d(
    x: Array, *, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> tuple[Array, Vjp]:
    """Power-average pooling over two axes.

    y[n, c, o] = (k/m·Σ x[n, c, q]^p)^(1/p) over the elements q of window o, p = norm_type: k elements as in
    ``avg_pool2d`` without padding, of which m lie in the map (all of them without ceil_mode). The powers are
    of x itself, not of |x|: for odd p they may cancel, a negative sum has no root (NaN) unless 1/p is whole,
    and a negative element has no power (NaN) unless p is. For p = ∞ y is the largest of |x[q]|, for p = −∞
    the smallest.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W') or (C, H', W'), with H' as in ``avg_pool2d``. N = 0 is
    taken, other empty axes are not.
    Dtypes: those of ``differentiable``.

    norm_type: p, a number other than 0. kernel_size: elements, an int or one per axis, at least 1. stride:
    elements, kernel_size where None. ceil_mode: whether windows may reach beyond the map.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. Where the powers sum up to 0, and where an element of 0 makes
    y 0 (p < 0), the gradient is 0; for p = ±∞ the first of several extreme elements gets it.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: Sermanet et al., "Convolutional neural networks applied to house numbers digit classification", 2012;
    PyTorch ``torch.nn.functional.lp_pool2d``. JAX has none.

    Differences: no power overflows, or loses digits to underflow, where y does not; PyTorch's do. Where no gradient
    arrives at an element, at these kinks and between the windows, PyTorch's is NaN if the power has no finite slope
    there. For p = 1 PyTorch gives a window with a NaN no gradient; here its slopes are 1, as of any sum.
    """
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode)


@differentiable(wide=True)
def lp_pool3d(
    x: Array, *, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> tuple[Array, Vjp]:
    """Power-average pooling over three axes; see ``lp_pool2d``, with map (D, H, W).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y with (D', H', W') in place of (D, H, W). As in PyTorch, a kernel
    larger than the map is refused in three dimensions unless norm_type is ±∞.
    """
    return _lp_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode)


class _LPPool(Shell):
    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__(norm_type=norm_type, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)


class LPPool1d(_LPPool):
    """``lp_pool1d`` with its hyper-parameters."""

    operation = staticmethod(lp_pool1d)


class LPPool2d(_LPPool):
    """``lp_pool2d`` with its hyper-parameters."""

    operation = staticmethod(lp_pool2d)


class LPPool3d(_LPPool):
    """``lp_pool3d`` with its hyper-parameters."""

    operation = staticmethod(lp_pool3d)
