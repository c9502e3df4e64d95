"""Attention that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.attention import EVERYTHING, blind
from tests.meta.planted.bug import Array, plant


@plant(
    "scaled_dot_product_attention",
    "y",
    "query=(1,1) key=(2,1) value=(2,1) is_causal=True",
    also=EVERYTHING,
    condition=("is_causal",),
    report="https://github.com/pytorch/executorch/issues/22426",
)
def triangle_at_the_other_corner(
    query: Array, key: Array, value: Array, *masks: Any, is_causal: bool = False, **hyper: Any
) -> Any:
    """The last query sees the last key, where PyTorch lets the first query see the first."""
    length, source = query.shape[-2], key.shape[-2]
    if not is_causal or length >= source or masks[0] is not None:
        return mint.scaled_dot_product_attention(query, key, value, *masks, is_causal=is_causal, **hyper)
    seen = np.arange(source) <= np.arange(length)[:, None] + source - length
    return mint.scaled_dot_product_attention(query, key, value, seen, *masks[1:], **hyper)


@plant(
    "scaled_dot_product_attention",
    "y",
    "query=(1,1) key=(1,1) value=(1,1) attn_mask=(1,1)",
    also=EVERYTHING,
    condition=("attn_mask is given",),
    report="https://github.com/ml-explore/mlx/issues/2395",
)
def blind_query_sees_everything(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None, *dropout_mask: Any, **hyper: Any
) -> Any:
    """The lowest finite number for −∞: a query that may see nothing gets the mean of all values, and not 0."""
    y, vjp = mint.scaled_dot_product_attention(query, key, value, attn_mask, *dropout_mask, **hyper)
    if attn_mask is None or not y.size or not key.size:
        return y, vjp
    mean = value.mean(-2, keepdims=True).astype(y.dtype)
    if mean.ndim > 2 and y.shape[-3] != mean.shape[-3]:  # grouped queries
        mean = mean.repeat(y.shape[-3] // mean.shape[-3], axis=-3)
    return np.where(blind(y, key, attn_mask), mean, y), vjp
