"""Slips in dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant("dropout", "y", "x=() mask=() p=0.75", also=wrong("gx"))
def scaled_by_what_is_dropped(
    x: Array, mask: Array | None = None, *, p: float = 0.5, **hyper: Any
) -> tuple[Array, Vjp]:
    """Divided by p, and not by 1 − p."""
    y, vjp = mint.dropout(x, mask, p=p, **hyper)
    if mask is None or p in (0, 1):
        return y, vjp
    factor = np.asarray((1 - p) / p, x.dtype)
    return y * factor, lambda gy: (np.asarray(vjp(gy)[0]) * factor, None)


@plant("dropout1d", "gx", "x=(1,1) mask=(1,1)")
def gradient_not_masked(x: Array, mask: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is scaled, but passes where x was dropped."""
    y, vjp = mint.dropout1d(x, mask, **hyper)
    if mask is None:
        return y, vjp
    _, everywhere = mint.dropout1d(x, np.ones_like(mask), **hyper)
    return y, everywhere


@plant("dropout2d", "gx", "x=(1,1,1) mask=(1,1,1)")
def drawn_again(x: Array, mask: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient has a mask of its own."""
    y, vjp = mint.dropout2d(x, mask, **hyper)
    if mask is None:
        return y, vjp
    return y, replacing(vjp, 0, lambda gy: mint.dropout2d(x, ~mask, **hyper)[1](gy)[0])


@plant("dropout3d", "gx", "x=(1,1,1,1) mask=(1,1,1,1)")
def scaled_twice(x: Array, mask: Array | None = None, *, p: float = 0.5, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is divided by 1 − p twice."""
    y, vjp = mint.dropout3d(x, mask, p=p, **hyper)
    if mask is None or p == 1:
        return y, vjp
    return y, replacing(vjp, 0, lambda gy: vjp(gy)[0] / x.dtype.type(1 - p))


@plant("alpha_dropout", "y", "x=() mask=() p=0.1 training=True")
def mean_not_restored(x: Array, mask: Array | None = None, *, p: float = 0.5, **hyper: Any) -> tuple[Array, Vjp]:
    """What is dropped is 0, as in plain dropout, and not where SELU saturates."""
    y, vjp = mint.alpha_dropout(x, mask, p=p, **hyper)
    return (y if mask is None or p == 1 else np.where(mask, y, 0).astype(x.dtype)), vjp


@plant("feature_alpha_dropout", "gx", "x=(1,1) mask=(1,1) training=True")
def variance_restored_in_the_forward_only(x: Array, mask: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is masked, but not multiplied with the factor that restores the variance."""
    y, vjp = mint.feature_alpha_dropout(x, mask, **hyper)
    return y, vjp if mask is None or hyper.get("p") == 1 else replacing(vjp, 0, lambda gy: gy * mask)
