"""Slips in attention."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, plant, replacing, wrong

EVERYTHING = wrong("gquery", "gkey", "gvalue", "gattn_mask")


def blind(query: Array, key: Array, attn_mask: Array) -> Array:
    """Which queries may see no key, with an axis of one for the features."""
    seen = attn_mask if attn_mask.dtype == bool else attn_mask != -np.inf
    return np.asarray(~np.broadcast_to(seen, (*query.shape[:-1], key.shape[-2])).any(-1, keepdims=True))


@plant(
    "scaled_dot_product_attention",
    "gquery",
    "query=(1,2) key=(2,2) value=(2,1)",
    "query=(1,1) key=(2,1) value=(2,1) scale=2",
)
def scale_missing_in_the_gradient(query: Array, *arrays: Any, **hyper: Any) -> Any:
    """The gradient of the query is not multiplied by the scale."""
    y, vjp = mint.scaled_dot_product_attention(query, *arrays, **hyper)
    scale = hyper.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None and query.size else scale
    if not scale:
        return y, vjp
    return y, replacing(vjp, 0, lambda gy: (vjp(gy)[0].astype(np.float64) / scale).astype(query.dtype))


@plant(
    "scaled_dot_product_attention",
    "y",
    "query=(1,1) key=(2,1) value=(2,1) is_causal=True",
    also=EVERYTHING,
    condition=("is_causal",),
)
def causal_from_the_end(query: Array, key: Array, *arrays: Any, is_causal: bool = False, **hyper: Any) -> Any:
    """The last query, not the first, is taken for as late as the key in its place: the triangle is moved."""
    if not is_causal or arrays[1] is not None:
        return mint.scaled_dot_product_attention(query, key, *arrays, is_causal=is_causal, **hyper)
    length, source = query.shape[-2], key.shape[-2]
    value, _, *dropout_mask = arrays
    triangle = np.tri(length, source, source - length, dtype=bool)
    return mint.scaled_dot_product_attention(query, key, value, triangle, *dropout_mask, **hyper)


@plant("scaled_dot_product_attention", "y", "query=(1,1) key=(1,1) value=(1,1) attn_mask=(1,1)", also=EVERYTHING)
def nothing_to_see_is_not_a_number(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None, *dropout_mask: Any, **hyper: Any
) -> Any:
    """A query without keys gets 0/0."""
    y, vjp = mint.scaled_dot_product_attention(query, key, value, attn_mask, *dropout_mask, **hyper)
    if attn_mask is None or not y.size or not key.size:
        return y, vjp
    return np.where(blind(y, key, attn_mask), np.asarray(np.nan, y.dtype), y), vjp


@plant(
    "scaled_dot_product_attention",
    "y",
    "query=(1,4,1,1) key=(1,2,1,1) value=(1,2,1,1) enable_gqa=True",
    also=EVERYTHING,
)
def heads_in_turn(query: Array, key: Array, value: Array, *masks: Any, enable_gqa: bool = False, **hyper: Any) -> Any:
    """Query heads have the heads of the keys in turn, where groups of neighbours should share one."""
    if not enable_gqa or not query.size or any(query.shape[-3] % x.shape[-3] for x in (key, value)):
        return mint.scaled_dot_product_attention(query, key, value, *masks, enable_gqa=enable_gqa, **hyper)
    heads = query.shape[-3]
    places = [np.arange(heads) % x.shape[-3] for x in (key, value)]
    many = [np.take(x, p, -3) for x, p in zip((key, value), places, strict=True)]
    y, vjp = mint.scaled_dot_product_attention(query, *many, *masks, **hyper)

    def back(gy: Array) -> Any:
        gquery, *gathered, gmask, none = vjp(gy)
        sums = []
        for x, p, g in zip((key, value), places, gathered, strict=True):
            total = np.zeros_like(x)
            np.add.at(total, (..., p, slice(None), slice(None)), g)
            sums.append(total)
        return gquery, *sums, gmask, none

    return y, back


@plant(
    "scaled_dot_product_attention",
    "gattn_mask",
    "query=(1,2) key=(3,2) value=(3,1) attn_mask=(1,3)",
    "query=(1,1) key=(3,1) value=(3,1) attn_mask=(1,3) scale=2",
)
def mask_scaled_in_the_gradient(query: Array, *arrays: Any, **hyper: Any) -> Any:
    """The gradient of the mask is that of the products: multiplied by the scale."""
    y, vjp = mint.scaled_dot_product_attention(query, *arrays, **hyper)
    scale = hyper.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None and query.size else scale or 0
    return y, replacing(vjp, 3, lambda gy: (vjp(gy)[3].astype(np.float64) * scale).astype(query.dtype))


@plant(
    "scaled_dot_product_attention",
    "gvalue",
    "query=(1,1) key=(1,1) value=(1,1) dropout_mask=(1,1) dropout_p=0.75",
    "query=(1,1) key=(1,1) value=(1,1) dropout_p=1.0",
)
def dropout_missing_in_the_gradient(query: Array, key: Array, value: Array, *masks: Any, **hyper: Any) -> Any:
    """The values get back what they would without dropout."""
    y, vjp = mint.scaled_dot_product_attention(query, key, value, *masks, **hyper)
    kept = {name: setting for name, setting in hyper.items() if name != "dropout_p"}
    _, whole = mint.scaled_dot_product_attention(query, key, value, *masks[:1], **kept)
    return y, replacing(vjp, 2, lambda gy: whole(gy)[2])


# --- multi-head attention -----------------------------------------------------------------------------------

NAMES = tuple(
    name for name, p in inspect.signature(mint.multi_head_attention).parameters.items() if p.kind != p.KEYWORD_ONLY
)
ALL = wrong("weights", *(f"g{name}" for name in NAMES))
SMALL = "out_proj_weight=(1,1) in_proj_weight=(3,1)"
HEADS = "query=(1,3) key=(2,3) value=(2,3) out_proj_weight=(3,3) in_proj_weight=(9,3) num_heads=3"


@plant("multi_head_attention", "y", HEADS, also=ALL)
def scaled_by_all_features(*arrays: Any, num_heads: int, **hyper: Any) -> Any:
    """The products are divided by the root of all features, and not of those of a head."""
    given = dict(zip(NAMES, arrays, strict=True))
    parts = [name for name in ("in_proj_weight", "in_proj_bias", "q_proj_weight") if given[name] is not None]
    scale = np.float64(num_heads**-0.5)
    rows = slice(given["query"].shape[-1])

    def scaled(array: Array) -> Array:
        array = array.copy()
        array[rows] = (array[rows] * scale).astype(array.dtype)
        return array

    result, vjp = mint.multi_head_attention(
        **given | {name: scaled(given[name]) for name in parts}, num_heads=num_heads, **hyper
    )
    return result, lambda *gys: [scaled(g) if name in parts else g for name, g in zip(NAMES, vjp(*gys), strict=True)]


@plant(
    "multi_head_attention",
    "y",
    f"query=(2,1) key=(2,1) value=(2,1) {SMALL} num_heads=1 key_padding_mask=(2,)",
    also=ALL,
)
def padding_is_what_is_attended(*arrays: Any, **hyper: Any) -> Any:
    """True in the mask of the keys says that a key takes part."""
    given = dict(zip(NAMES, arrays, strict=True))
    mask = given["key_padding_mask"]
    if mask is not None and mask.dtype == bool:
        given["key_padding_mask"] = ~mask
    return mint.multi_head_attention(**given, **hyper)


@plant("multi_head_attention", "gkey", HEADS, f"{HEADS} add_zero_attn=True", also=ALL)
def mean_over_the_heads_not_undone(
    *arrays: Any, num_heads: int, average_attn_weights: bool = True, **hyper: Any
) -> Any:
    """The cotangent of the mean goes to every head as it is."""
    result, vjp = mint.multi_head_attention(
        *arrays, num_heads=num_heads, average_attn_weights=average_attn_weights, **hyper
    )
    if not average_attn_weights or not isinstance(result, tuple):
        return result, vjp
    return result, lambda gy, gweights: vjp(gy, gweights * gweights.dtype.type(num_heads))


@plant(
    "multi_head_attention",
    "gbias_k",
    f"query=(1,2,1) key=(1,2,1) value=(1,2,1) {SMALL} num_heads=1 bias_k=(1,1,1) bias_v=(1,1,1)",
    also=wrong("gbias_v"),
)
def added_key_learns_from_the_mean(*arrays: Any, **hyper: Any) -> Any:
    """The gradients of the key and the value that are added are means over the samples."""
    result, vjp = mint.multi_head_attention(*arrays, **hyper)
    samples = arrays[0].shape[1] if arrays[0].ndim == 3 else 1

    def back(*gys: Array) -> Any:
        gradients = dict(zip(NAMES, vjp(*gys), strict=True))
        for name in ("bias_k", "bias_v"):
            if gradients[name] is not None and samples:
                gradients[name] = gradients[name] / gradients[name].dtype.type(samples)
        return tuple(gradients.values())

    return result, back


@plant(
    "multi_head_attention",
    "weights",
    f"query=(1,1) key=(1,1) value=(1,1) {SMALL} num_heads=1 dropout_mask=(1,1,1) dropout_p=0.5",
)
def weights_before_dropout(*arrays: Any, **hyper: Any) -> Any:
    """The weights that are returned are those of all keys."""
    result, vjp = mint.multi_head_attention(*arrays, **hyper)
    if not isinstance(result, tuple):
        return result, vjp
    (_, weights), _ = mint.multi_head_attention(*arrays[:-1], **{**hyper, "dropout_p": 0.0})
    return (result[0], weights), vjp


@plant(
    "multi_head_attention",
    "gattn_mask",
    f"query=(1,1) key=(3,1) value=(3,1) {SMALL} num_heads=1 attn_mask=(1,3) add_zero_attn=True",
    also=wrong("gkey_padding_mask"),
)
def masks_of_what_is_added(*arrays: Any, add_zero_attn: bool = False, **hyper: Any) -> Any:
    """With a key added the gradient of a mask begins one key late."""
    result, vjp = mint.multi_head_attention(*arrays, add_zero_attn=add_zero_attn, **hyper)

    def back(*gys: Array) -> Any:
        gradients = dict(zip(NAMES, vjp(*gys), strict=True))
        for name in ("attn_mask", "key_padding_mask"):
            if add_zero_attn and gradients[name] is not None:
                gradients[name] = np.roll(gradients[name], -1, axis=-1)
        return tuple(gradients.values())

    return result, back
