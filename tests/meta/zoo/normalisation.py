"""Normalisation that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from oracles.norm import trailing
from tests.meta.planted.bug import Array, Vjp, plant, wrong


@plant(
    "batch_norm",
    "y",
    "x=(2,1) training=True",
    "x=(3,1) training=True",
    "x=(1,1,2) training=True",
    condition=("training",),
    dtypes=("float32",),
    report="https://github.com/tenstorrent/tt-metal/issues/45968",
)
def variance_by_mean_of_squares(
    x: Array, *arrays: Any, training: bool = False, eps: float = 1e-5, **hyper: Any
) -> tuple[Any, Vjp]:
    """σ² = E[x²] − E[x]², which cancels where the mean is large."""
    result, vjp = mint.batch_norm(x, *arrays, training=training, eps=eps, **hyper)
    if not training or not np.isfinite(x).all():
        return result, vjp
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, keepdims=True)
    variance = (x * x).mean(axes, keepdims=True) - mean * mean
    _, _, weight, bias = [*arrays, None, None, None, None][:4]
    shape = (1, -1, *(1,) * (x.ndim - 2))
    y = (x - mean) / np.sqrt(variance + x.dtype.type(eps))
    y = y if weight is None else y * weight.reshape(shape)
    y = (y if bias is None else y + bias.reshape(shape)).astype(x.dtype)
    return (y, *result[1:]) if isinstance(result, tuple) else y, vjp


@plant(
    "layer_norm",
    "y",
    "x=(3,) normalized_shape=3",
    also=wrong("gx", "gweight"),
    condition=("normalized_shape > 1",),
    report="https://github.com/microsoft/CNTK/issues/3816",
)
def eps_added_to_the_deviation(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: Any,
    eps: float = 1e-5,
) -> tuple[Array, Vjp]:
    """σ + eps, and not √(σ² + eps)."""
    y, vjp = mint.layer_norm(x, weight, bias, normalized_shape=normalized_shape, eps=eps)
    axes = tuple(range(-len(trailing(normalized_shape)), 0))
    if not axes or not x.size:
        return y, vjp
    wide = x.astype(np.float64) if x.dtype.itemsize < 8 else x
    variance = wide.var(axes, keepdims=True)
    factor = np.sqrt(variance + wide.dtype.type(eps)) / (np.sqrt(variance) + wide.dtype.type(eps))
    shift = 0 if bias is None else bias
    return ((y - shift) * factor + shift).astype(x.dtype), vjp
