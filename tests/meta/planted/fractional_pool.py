"""Slips in fractional max-pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant(
    "fractional_max_pool2d",
    "y",
    "x=(1,1,4,1) _random_samples=(1,1,2) kernel_size=1 output_size=(3,1)",
    "x=(1,1,1,4) _random_samples=(1,1,2) kernel_size=1 output_size=(1,3)",
    also=wrong("gx", "indices"),
)
def samples_in_the_order_of_the_axes(x: Array, _random_samples: Array | None = None, **hyper: Any) -> tuple[Any, Vjp]:
    """The first sample is taken for the height, the second for the width."""
    swapped = None if _random_samples is None else np.ascontiguousarray(_random_samples[..., ::-1])
    return mint.fractional_max_pool2d(x, swapped, **hyper)


@plant(
    "fractional_max_pool2d",
    "indices",
    "x=(1,1,3,1) _random_samples=(1,1,2) kernel_size=1 output_size=(2,1) return_indices=True",
    "x=(1,1,1,3) _random_samples=(1,1,2) kernel_size=1 output_size=(1,2) return_indices=True",
    "x=(1,1,2,1) _random_samples=(1,1,2) kernel_size=1 output_size=1 return_indices=True",
)
def indices_in_the_batch(x: Array, _random_samples: Array | None = None, **hyper: Any) -> tuple[Any, Vjp]:
    """The indices count on from one map to the next."""
    result, vjp = mint.fractional_max_pool2d(x, _random_samples, **hyper)
    if not isinstance(result, tuple):
        return result, vjp
    y, indices = result
    maps = np.arange(int(np.prod(x.shape[:-2]))).reshape(*x.shape[:-2], 1, 1)
    return (y, indices + maps * (x.shape[-2] * x.shape[-1])), vjp


@plant("fractional_max_pool3d", "gx", "x=(1,2,2,2) kernel_size=1 output_size=1")
def gradient_to_the_whole_window(x: Array, _random_samples: Array | None = None, **hyper: Any) -> tuple[Any, Vjp]:
    """Each element that equals the maximum of a window gets its gradient."""
    result, vjp = mint.fractional_max_pool3d(x, _random_samples, **hyper)
    y = result[0] if isinstance(result, tuple) else result
    if np.isnan(x).any():
        return result, vjp

    def slip(gy: Array) -> Array:
        lead = x.shape[:-3]
        equal = x[(..., *(np.newaxis,) * 3, slice(None), slice(None), slice(None))] == y[..., None, None, None]
        return (equal * gy[..., None, None, None]).sum((-6, -5, -4)).reshape(*lead, *x.shape[-3:]).astype(x.dtype)

    return result, replacing(vjp, 0, slip)
