"""Slips in power-average pooling."""

from __future__ import annotations

from math import isinf
from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant("lp_pool1d", "y", "x=(1,1,1) norm_type=3.0 kernel_size=1", also=wrong("gx"))
def powers_of_magnitudes(x: Array, *, norm_type: float, **hyper: Any) -> tuple[Array, Vjp]:
    """The norm is that of |x|, as in a p-norm."""
    y, vjp = mint.lp_pool1d(np.abs(x), norm_type=norm_type, **hyper)
    slope = np.where(np.isnan(x), 1, np.where(x < 0, -1, 1))
    return y, replacing(vjp, 0, lambda gy: (slope * vjp(gy)[0]).astype(x.dtype))


@plant(
    "lp_pool2d",
    "y",
    "x=(1,1,1,1) norm_type=2 kernel_size=(2,1) stride=1 ceil_mode=True",
    "x=(1,1,1,1) norm_type=2 kernel_size=(2,1) stride=2 ceil_mode=True",
    also=wrong("gx"),
    condition=("ceil_mode",),
)
def incomplete_windows_are_not_scaled_up(x: Array, *, norm_type: float, **hyper: Any) -> tuple[Array, Vjp]:
    """A window that reaches beyond the map sums the powers of what is there."""
    y, vjp = mint.lp_pool2d(x, norm_type=norm_type, **hyper)
    if isinf(norm_type):
        return y, vjp
    with np.errstate(all="ignore"):
        # what it is of ones, (k/m·m)^(1/p) where the powers are scaled up
        ones, _ = mint.lp_pool2d(np.ones_like(x, np.float64), norm_type=1, **hyper)
        counts, _ = mint.avg_pool2d(
            np.ones((1, 1, *x.shape[-2:])),
            **{name: value for name, value in hyper.items() if name != "norm_type"},
            divisor_override=1,
        )
        factor = (counts[0, 0] / ones) ** (1 / norm_type)
        return (y * factor).astype(x.dtype), replacing(vjp, 0, lambda gy: vjp((gy * factor).astype(x.dtype))[0])


@plant("lp_pool2d", "gx", "x=(1,1,2,1) norm_type=2 kernel_size=(2,1)", "x=(1,1,1,1) norm_type=2 kernel_size=1")
def root_not_differentiated(x: Array, *, norm_type: float, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is that of the p-th power of the norm, over p."""
    y, vjp = mint.lp_pool2d(x, norm_type=norm_type, **hyper)
    if isinf(norm_type) or norm_type < 0:
        return y, vjp
    with np.errstate(all="ignore"):
        power = np.power(y, norm_type - 1)
        return y, replacing(vjp, 0, lambda gy: vjp((gy * power).astype(x.dtype))[0])


@plant("lp_pool3d", "gx", "x=(1,1,1,1,1) norm_type=inf kernel_size=1")
def sign_lost_at_infinity(x: Array, *, norm_type: float, **hyper: Any) -> tuple[Array, Vjp]:
    """For p = ±∞ the gradient is that of the largest |x|, not of x."""
    y, vjp = mint.lp_pool3d(x, norm_type=norm_type, **hyper)
    if not isinf(norm_type):
        return y, vjp
    return y, replacing(vjp, 0, lambda gy: np.where(x < 0, -1, 1).astype(x.dtype) * vjp(gy)[0])


@plant(
    "lp_pool3d",
    "y",
    "x=(1,1,1,1,1) norm_type=4.0 kernel_size=1",
    "x=(1,1,1,1,1) norm_type=5 kernel_size=1",
    "x=(1,1,1,1,1) norm_type=-3.0 kernel_size=1",
    also=wrong("gx"),
    dtypes=("float64",),
)
def powers_overflow(x: Array, *, norm_type: float, **hyper: Any) -> tuple[Array, Vjp]:
    """The powers are formed as they are."""
    y, vjp = mint.lp_pool3d(x, norm_type=norm_type, **hyper)
    if isinf(norm_type) or abs(norm_type) < 3:
        return y, vjp
    with np.errstate(all="ignore"):
        finite = np.isfinite(np.power(y, norm_type)) | ~np.isfinite(y)
        return np.where(finite, y, np.inf if norm_type > 0 else 0).astype(x.dtype), vjp
