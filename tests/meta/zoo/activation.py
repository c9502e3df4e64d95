"""Activations that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant

ROOT = 0.7978845608028654  # √(2/π)


def _inner(x: Array) -> Array:
    return x.dtype.type(ROOT) * (x + x.dtype.type(0.044715) * x * x * x)


@plant(
    "gelu",
    "y",
    "x=() approximate=tanh",
    condition=("approximate = 'tanh'",),
    dtypes=("float32",),
    report="https://github.com/pytorch/executorch/issues/22323",
)
def tanh_argument_not_clamped(x: Array, *, approximate: str = "none") -> tuple[Array, Vjp]:
    """tanh u as (eᵘ − e⁻ᵘ)/(eᵘ + e⁻ᵘ), where both overflow."""
    y, vjp = mint.gelu(x, approximate=approximate)
    if approximate != "tanh":
        return y, vjp
    u = _inner(x)
    overflown = np.isinf(np.exp(np.abs(u))) & np.isfinite(x)
    return np.where(overflown, np.asarray(np.nan, x.dtype), y), vjp


@plant(
    "tanh",
    "y",
    "x=()",
    condition=("the fill is",),
    dtypes=("float32", "float64"),
    report="https://github.com/deeplearning4j/deeplearning4j/issues/7382",
)
def exponentials_divided(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """(e²ˣ − 1)/(e²ˣ + 1), NaN where e²ˣ overflows."""
    y, vjp = mint.tanh(x, **hyper)
    return np.where(np.isinf(np.exp(2 * x)) & np.isfinite(x), np.asarray(np.nan, x.dtype), y), vjp


@plant(
    "relu",
    "y",
    "x=()",
    condition=("the fill is special",),
    report="https://github.com/apache/mxnet/issues/11115",
)
def nan_clipped_to_zero(x: Array) -> tuple[Array, Vjp]:
    """x > 0 ? x : 0."""
    _, vjp = mint.relu(x)
    return np.where(x > 0, x, np.zeros((), x.dtype)), vjp
