"""Attention: scaled dot-product and multi-head: definitions."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration, Shape
from oracles.draw import axis_length
from oracles.formula import formula, value
from oracles.norm import in_single
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes

LENGTHS = axis_length(1, 2, 3, 5, 4)


def additive(array: str, axis: int) -> Callable[[Configuration], bool]:
    """Of the two kinds of masks each has half of the lengths of an array: nothing else tells which one is meant."""
    return lambda configuration: configuration.shapes[array][axis] % 2 == 1


def attended(rng: np.random.Generator, configuration: Configuration) -> Array:
    """A boolean mask, True in two of three places."""
    return np.asarray(rng.random(configuration.shapes["attn_mask"]) < 2 / 3)


def kept(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Of every row about half, but something: a formula takes 0·NaN for 0 in a gradient."""
    mask = np.asarray(rng.random(configuration.shapes["dropout_mask"]) < 1 / 2)
    return np.asarray(mask | ((np.arange(mask.shape[-1]) == 0) & ~mask.any(-1, keepdims=True)))


def draw_dropout(draw: st.DrawFn, shapes: Shapes, shape: Shape) -> tuple[Shapes, Hyper]:
    """Now and then with a mask of this shape, or without any masks, all of which is dropped."""
    what = draw(st.sampled_from(("nothing",) * 9 + ("mask",) * 4 + ("all",)))
    if what == "nothing":
        return shapes, {}
    if what == "all":
        return {name: s for name, s in shapes.items() if not name.endswith("mask")}, {"dropout_p": 1.0}
    return {**shapes, "dropout_mask": shape}, {"dropout_p": draw(st.sampled_from((0.5, 0.1, 0.0, 0.75)))}


# --- scaled dot-product attention ---------------------------------------------------------------------------


def stretched(draw: st.DrawFn, shape: Shape) -> Shape:
    """A shape that broadcasts to this one: fewer axes, and now and then one of length 1."""
    shape = shape[draw(st.integers(0, len(shape))) :]
    return tuple(draw(st.sampled_from((n, n, 1))) for n in shape)


def draw_attention(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Up to five axes, grouped or broadcast heads, either kind of mask, dropout with a given mask."""
    length, source, features = draw(LENGTHS), draw(LENGTHS), draw(axis_length(1, 2, 4, 3, 7))
    # PyTorch's fused kernel takes four axes, and values with as many features as the keys
    of_value = draw(st.sampled_from((features, features, 3)))
    lead = draw(st.sampled_from(((), (1, 1), (2, 2), (1, 3), (2,), (3, 2), (1, 2, 2)) * 3 + ((0, 2), (2, 0))))
    leads: tuple[Shape, ...] = (lead,) * 3
    hyper: Hyper = {"scale": draw(st.sampled_from((None, None, 1.0, 0.3, -0.5, 2)))}
    kind = draw(st.sampled_from(("equal", "grouped", "broadcast")))
    if kind == "grouped":
        heads, of_key = draw(st.sampled_from(((4, 2), (2, 1), (6, 2), (6, 3), (3, 3))))
        of_values = draw(st.sampled_from((of_key, of_key, 1)))
        leads = tuple((*lead[:-1], count) for count in (heads, of_key, of_values))
        hyper["enable_gqa"] = True
    elif kind == "broadcast" and 0 not in lead:
        leads = tuple(draw(st.permutations((lead, stretched(draw, lead), stretched(draw, lead)))))
    shapes: Shapes = {
        "query": (*leads[0], length, features),
        "key": (*leads[1], source, features),
        "value": (*leads[2], source, of_value),
    }
    of_scores = leads[0] if kind == "grouped" else np.broadcast_shapes(leads[0], leads[1])
    scores = (*of_scores, length, source)
    mask = draw(st.sampled_from(("none", "given", "given", "causal")))
    if mask == "given":
        shapes["attn_mask"] = draw(st.sampled_from((scores[-2:], scores, stretched(draw, scores))))
        # without values PyTorch looks at nothing, not even at a NaN in the mask
        shapes["value"] = (*leads[2], source, of_value or 3)
    elif mask == "causal":
        hyper["is_causal"] = True
    elif draw(st.integers(0, 4)) == 4:
        # a formula takes 0 times NaN, which a mask may hold, for 0
        hyper["scale"] = 0.0
    shapes, more = draw_dropout(draw, shapes, scores)
    return shapes, hyper | more


def spoil_attention(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes that do not fit, two masks, heads that do not divide, words and numbers out of range."""
    what = draw(st.sampled_from(("key", "axes", "attn_mask", "is_causal", "scale", "dropout_p", "enable_gqa")))
    plain = {name: shape for name, shape in shapes.items() if name in ("query", "key", "value")}
    *lead, source, features = shapes["key"]
    if what == "key":
        return what, plain | {"key": (*lead, source, features + 1)}, hyper
    if what == "axes":
        return what, plain | {"query": shapes["query"][-1:]}, {}
    if what == "attn_mask":
        return what, plain | {"attn_mask": (shapes["query"][-2] + 1, source + 1)}, {**hyper, "is_causal": False}
    if what == "is_causal":
        # with four axes PyTorch's fused kernel takes both
        two: Shapes = {"query": (2, 3), "key": (4, 3), "value": (4, 3), "attn_mask": (2, 4)}
        return what, two, {"is_causal": True}
    if what == "enable_gqa":
        return what, {"query": (1, 3, 2, 2), "key": (1, 2, 2, 2), "value": (1, 2, 2, 2)}, {"enable_gqa": True}
    wrong = {"scale": "large", "dropout_p": 1.5}
    return what, plain, {**hyper, what: wrong[what]}


def added_to_scores(mask: Any, *, attended: bool, dtype: Any) -> Any:
    """A boolean mask as 0 and −∞; an additive one as it is."""
    return np.where(mask == attended, 0, -np.inf).astype(dtype) if mask.dtype == bool else mask


def causal(length: int, source: int) -> Array:
    return np.arange(source) <= np.arange(length)[:, None]


def weights_of(query: Any, key: Any, added: Any, scale: Any, *, blind: float) -> Any:
    """softmax_s(scale·Σ_e q[l, e]·k[s, e] + added[l, s]); where all scores are −∞, 0 or NaN as is `blind`."""
    scores = query @ np.swapaxes(key, -1, -2) * scale
    if added is not None:
        scores = scores + added
    # a number taken off all exponents of a row cancels; what an infinite one leaves is NaN
    top = value(scores).max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(top == -np.inf, blind, np.where(top == np.inf, np.nan, top)))
    total = e.sum(-1, keepdims=True)
    return e / np.where(value(total) == 0, 1, total)


def factor(mask: Array | None, p: float, dtype: Any) -> Any:
    """What a weight is multiplied by."""
    if mask is None and p not in (0, 1):
        raise ValueError("without a mask the result is random")
    return dtype.type(p < 1) if mask is None or p == 1 else mask.astype(dtype) / (1 - dtype.type(p))


@formula
def attention_formula(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_mask: Any = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """y[l] = Σ_s w[l, s]·v[s], w = softmax_s(scale·Σ_e q[l, e]·k[s, e] + mask[l, s])·factor[l, s]."""
    dtype, features = query.dtype, query.shape[-1]
    if enable_gqa:
        heads = np.arange(query.shape[-3])
        key, value = (np.take(x, heads * x.shape[-3] // query.shape[-3], -3) for x in (key, value))
    mask = causal(query.shape[-2], key.shape[-2]) if is_causal else attn_mask
    added = None if mask is None else added_to_scores(mask, attended=True, dtype=dtype)
    if scale is None:
        # over no features the sum is 0, whatever the scale
        scale = 1 / np.sqrt(dtype.type(features)) if features else 0
    w = weights_of(query, key, added, dtype.type(scale), blind=0)
    return w * factor(dropout_mask, dropout_p, dtype) @ value


def attention_torch(
    F: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_mask: Any = None,
    dropout_p: float = 0.0,
    **hyper: Any,
) -> Any:
    if dropout_mask is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, **hyper)
    # PyTorch draws the mask itself; its weights are what it makes of the values of an identity
    identity = key.new_zeros((*key.shape[:-2], key.shape[-2], key.shape[-2]))
    identity.diagonal(0, -2, -1).fill_(1)
    single = query.dtype if query.dtype.itemsize > 2 else query.float().dtype
    mask = attn_mask.to(single) if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
    w = F.scaled_dot_product_attention(query.to(single), key.to(single), identity.to(single), mask, **hyper)
    kept = dropout_mask.to(single) * (0 if dropout_p == 1 else 1 / (1 - dropout_p))
    if hyper.get("enable_gqa"):
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    return (w * kept @ value.to(single)).to(query.dtype)


def softmax_jax(jax: Any, scores: Any) -> Any:
    """Zeros in a row of −∞."""
    blind = (scores == -jax.numpy.inf).all(-1, keepdims=True)
    return jax.numpy.where(blind, 0, jax.nn.softmax(jax.numpy.where(blind, 0, scores), -1))


def factor_jax(mask: Any, p: float) -> Any:
    return float(p < 1) if mask is None or p == 1 else mask / (1 - p)


def attention_jax(
    jax: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_mask: Any = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    jnp, dtype = jax.numpy, query.dtype
    if enable_gqa:
        key, value = (jnp.repeat(x, query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    (length, features), source = query.shape[-2:], key.shape[-2]
    mask = causal(length, source) if is_causal else attn_mask
    added = jnp.zeros((1, source), dtype) if mask is None else mask
    if added.dtype == bool:
        added = jnp.where(added, 0, -jnp.inf).astype(dtype)
    # its own function takes the softmax in float32 always, drops nothing, and has one number of features
    dropped = dropout_mask is not None or dropout_p > 0
    if dtype != "float64" and not dropped and value.shape[-1] == features and 0 not in key.shape:
        return own_attention_jax(jax, query, key, value, added, scale)
    query, key, value, added = in_single(jax, query, key, value, added)
    scale = 1 / np.sqrt(max(features, 1)) if scale is None else scale
    w = softmax_jax(jax, query * scale @ jnp.swapaxes(key, -1, -2) + added)
    return (w * factor_jax(dropout_mask, dropout_p) @ value).astype(dtype)


def own_attention_jax(jax: Any, query: Any, key: Any, value: Any, added: Any, scale: float | None) -> Any:
    """`jax.nn.dot_product_attention`, which has (N, L, H, E), and no zeros for a query without keys."""
    jnp = jax.numpy
    lead = np.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))

    def four(x: Any) -> Any:
        full = jnp.broadcast_to(x, (*lead, *x.shape[-2:]))
        return full.reshape(prod(lead[:-1]), *lead[-1:] or (1,), *x.shape[-2:])

    (length, features), source = query.shape[-2:], key.shape[-2]
    q, k, v = (four(x).swapaxes(1, 2) for x in (query, key, value))
    bias = four(jnp.broadcast_to(added, (*added.shape[:-2], length, source)))
    blind = (bias == -jnp.inf).all(-1, keepdims=True)
    y = jax.nn.dot_product_attention(q, k, v, bias=jnp.where(blind, 0, bias), scale=scale).swapaxes(1, 2)
    return (y * ~blind).reshape(*lead, length, features)


def largely_masked(mask: Array) -> Array:
    """What is less than −1 is −∞, as in masks that people make."""
    return np.where(mask < -1, -np.inf, mask)


scaled_dot_product_attention = Operation(
    function=mint.scaled_dot_product_attention,
    draw=draw_attention,
    spoil=spoil_attention,
    equations=attention_formula,
    torch=attention_torch,
    jax=attention_jax,
    integer={"attn_mask": attended, "dropout_mask": kept},
    floating={"attn_mask": additive("key", -2)},
    adjust={"attn_mask": largely_masked},
    # a formula's gradient takes NaN times 0 for 0
    nonfinite=("attn_mask",),
    underflows=True,
)


# --- multi-head attention -----------------------------------------------------------------------------------


def draw_multi_head(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Both kinds of weights, a batch or a single sample, keys and values that are added, masks, dropout."""
    heads, of_head = draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((1, 2, 3)))
    length, source, features = draw(LENGTHS), draw(LENGTHS), heads * of_head
    batch = draw(st.sampled_from(((), (1,), (2,), (3,)) * 5 + ((0,),)))
    separate = draw(st.booleans())
    of_key, of_value = (draw(st.sampled_from((features, 1, 4))) if separate else features for _ in "kv")
    out = draw(st.sampled_from((features, features, 2)))
    shapes: Shapes = {
        "query": (length, *batch, features),
        "key": (source, *batch, of_key),
        "value": (source, *batch, of_value),
        "out_proj_weight": (out, features),
    }
    if draw(st.booleans()):
        shapes["out_proj_bias"] = (out,)
    if separate:
        sizes = {"q": features, "k": of_key, "v": of_value}
        shapes |= {f"{which}_proj_weight": (features, size) for which, size in sizes.items()}
    else:
        shapes["in_proj_weight"] = (3 * features, features)
    if draw(st.booleans()):
        shapes["in_proj_bias"] = (3 * features,)
    hyper: Hyper = {"num_heads": heads, "add_zero_attn": draw(st.sampled_from((False, False, True)))}
    more = draw(st.sampled_from((False, False, True)))
    if more:
        shapes |= {"bias_k": (1, 1, features), "bias_v": (1, 1, features)}
    if draw(st.booleans()):
        shapes["key_padding_mask"] = (*batch, source)
    pairs = draw(st.sampled_from(((), (length, source), (prod(batch) * heads, length, source))))
    if pairs:
        shapes["attn_mask"] = pairs
    total = source + more + hyper["add_zero_attn"]
    hyper["need_weights"], hyper["average_attn_weights"] = not draw(st.booleans()), not draw(st.booleans())
    shapes, dropout = draw_dropout(draw, shapes, (*batch, heads, length, total))
    if "dropout_mask" not in shapes and draw(st.booleans()):
        # nothing is dropped then
        dropout = {"dropout_p": draw(st.sampled_from((0.5, 1.0))), "training": False}
    return shapes, hyper | dropout


def spoil_multi_head(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes that do not fit, weights of no kind, one half of a pair, numbers out of range."""
    what = draw(st.sampled_from(("key", "axes", "attn_mask", "key_padding_mask", "num_heads", "weights", "bias_k")))
    length, *batch, features = shapes["query"]
    source = shapes["key"][0]
    if what == "key":
        return what, {**shapes, "key": (source, *batch, shapes["key"][-1] + 1)}, hyper
    if what == "axes":
        return what, {**shapes, "query": (length, 1, 1, features)}, hyper
    if what == "attn_mask":
        return what, {**shapes, "attn_mask": (length + 1, source)}, hyper
    if what == "key_padding_mask":
        return what, {**shapes, "key_padding_mask": (*batch, source + 1)}, hyper
    if what == "num_heads":
        return what, shapes, {**hyper, "num_heads": features + 1}
    if what == "weights":
        return what, {name: s for name, s in shapes.items() if name not in ("in_proj_weight", "q_proj_weight")}, hyper
    return what, {**{name: s for name, s in shapes.items() if name != "bias_v"}, "bias_k": (1, 1, features)}, hyper


def projected(x: Any, w: Any, b: Any) -> Any:
    y = x @ w.T
    return y if b is None else y + b


@formula
def multi_head_formula(
    query: Any,
    key: Any,
    value: Any,
    out_proj_weight: Any,
    out_proj_bias: Any,
    in_proj_weight: Any,
    in_proj_bias: Any,
    q_proj_weight: Any,
    k_proj_weight: Any,
    v_proj_weight: Any,
    bias_k: Any,
    bias_v: Any,
    key_padding_mask: Any,
    attn_mask: Any,
    dropout_mask: Any,
    *,
    num_heads: int,
    add_zero_attn: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
    need_weights: bool = True,
    average_attn_weights: bool = True,
) -> Any:
    """Projections of query, key and value; attention by each head to its part of them; the projection of all parts."""
    dtype, features, single = query.dtype, query.shape[-1], query.ndim == 2
    if single:
        query, key, value = query[:, None], key[:, None], value[:, None]
    (length, batch, _), source = query.shape, len(key)
    ws = (q_proj_weight, k_proj_weight, v_proj_weight)
    if in_proj_weight is not None:
        ws = tuple(in_proj_weight[n * features : (n + 1) * features] for n in range(3))
    bs = tuple(None if in_proj_bias is None else in_proj_bias[n * features : (n + 1) * features] for n in range(3))
    q, k, v = map(projected, (query, key, value), ws, bs)
    if bias_k is not None:
        k, v = (np.concatenate([x, np.broadcast_to(b, (1, batch, features))]) for x, b in ((k, bias_k), (v, bias_v)))
    if add_zero_attn:
        k, v = (np.concatenate([x, np.zeros((1, batch, features), dtype)]) for x in (k, v))
    more = len(k) - source

    def of_heads(x: Any) -> Any:
        return x.reshape(len(x), batch, num_heads, features // num_heads).transpose(1, 2, 0, 3)

    added: Any = np.zeros((1, 1, 1, len(k)), dtype)
    if attn_mask is not None:
        lead = (1, 1) if attn_mask.ndim == 2 else (batch, num_heads)
        mask = added_to_scores(attn_mask, attended=False, dtype=dtype).reshape(*lead, length, source)
        added = added + np.pad(mask, ((0, 0), (0, 0), (0, 0), (0, more)))
    if key_padding_mask is not None:
        mask = added_to_scores(key_padding_mask, attended=False, dtype=dtype).reshape(batch, 1, 1, source)
        added = added + np.pad(mask, ((0, 0), (0, 0), (0, 0), (0, more)))
    scale = 1 / np.sqrt(dtype.type(features // num_heads))
    w = weights_of(of_heads(q), of_heads(k), added, scale, blind=np.nan if need_weights else 0)
    if training and (dropout_mask is not None or dropout_p == 1):
        kept = factor(dropout_mask, dropout_p, dtype)
        w = w * (kept if np.ndim(kept) == 0 else kept.reshape(w.shape))
    together = (w @ of_heads(v)).transpose(2, 0, 1, 3).reshape(length, batch, features)
    y = projected(together, out_proj_weight, out_proj_bias)
    weights = w.mean(1) if average_attn_weights else w
    if single:
        y, weights = y[:, 0], weights[0]
    return (y, weights) if need_weights else y


def multi_head_torch(
    F: Any,
    query: Any,
    key: Any,
    value: Any,
    out_proj_weight: Any,
    out_proj_bias: Any = None,
    in_proj_weight: Any = None,
    in_proj_bias: Any = None,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    bias_k: Any = None,
    bias_v: Any = None,
    key_padding_mask: Any = None,
    attn_mask: Any = None,
    dropout_mask: Any = None,
    *,
    num_heads: int,
    add_zero_attn: bool = False,
    dropout_p: float = 0.0,
    need_weights: bool = True,
    **hyper: Any,
) -> Any:
    def forward(p: float) -> Any:
        return F.multi_head_attention_forward(
            query,
            key,
            value,
            query.shape[-1],
            num_heads,
            in_proj_weight,
            in_proj_bias,
            bias_k,
            bias_v,
            add_zero_attn,
            p,
            out_proj_weight,
            out_proj_bias,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=in_proj_weight is None,
            q_proj_weight=q_proj_weight,
            k_proj_weight=k_proj_weight,
            v_proj_weight=v_proj_weight,
            **hyper,
        )

    if dropout_mask is None:
        y, weights = forward(dropout_p)
        return (y, weights) if need_weights else y

    # PyTorch draws the mask itself, in one of two functions
    own = mock.Mock(scaled_dot_product_attention=F.scaled_dot_product_attention)

    def dropout(w: Any, **_: Any) -> Any:
        return w * (dropout_mask.reshape(w.shape).to(w.dtype) * (0 if dropout_p == 1 else 1 / (1 - dropout_p)))

    def attention(q: Any, k: Any, v: Any, mask: Any, *_: Any) -> Any:
        kept = dropout_mask.reshape(*q.shape[:-1], k.shape[-2])
        return attention_torch(own, q, k, v, mask, kept, dropout_p)

    with mock.patch.multiple(F, dropout=dropout, scaled_dot_product_attention=attention):
        y, weights = forward(0.5)
    return (y, weights) if need_weights else y


def multi_head_jax(
    jax: Any,
    query: Any,
    key: Any,
    value: Any,
    out_proj_weight: Any,
    out_proj_bias: Any = None,
    in_proj_weight: Any = None,
    in_proj_bias: Any = None,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    bias_k: Any = None,
    bias_v: Any = None,
    key_padding_mask: Any = None,
    attn_mask: Any = None,
    dropout_mask: Any = None,
    *,
    num_heads: int,
    add_zero_attn: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
    need_weights: bool = True,
    average_attn_weights: bool = True,
) -> Any:
    jnp, given, features, single = jax.numpy, query.dtype, query.shape[-1], query.ndim == 2
    # as Flax does it where it is asked to: half precision cannot hold all scores
    query, key, value, out_proj_weight, out_proj_bias = in_single(
        jax, query, key, value, out_proj_weight, out_proj_bias
    )
    dtype = query.dtype
    if single:
        query, key, value = query[:, None], key[:, None], value[:, None]
    (length, batch, _), source = query.shape, key.shape[0]
    ws: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    ws = ws if in_proj_weight is None else jnp.split(in_proj_weight, 3)
    bs: Any = (0, 0, 0) if in_proj_bias is None else jnp.split(in_proj_bias, 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), ws, bs, strict=True))
    if bias_k is not None:
        k, v = (jnp.concatenate([x, jnp.tile(b, (1, batch, 1))]) for x, b in ((k, bias_k), (v, bias_v)))
    if add_zero_attn:
        k, v = (jnp.pad(x, ((0, 1), (0, 0), (0, 0))) for x in (k, v))
    of_head = features // num_heads
    q, k, v = (x.reshape(len(x), batch, num_heads, of_head).transpose(1, 2, 0, 3) for x in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(of_head).astype(dtype)
    lead = (1, 1) if attn_mask is None or attn_mask.ndim == 2 else (batch, num_heads)
    for mask, shape in ((attn_mask, (*lead, length, source)), (key_padding_mask, (batch, 1, 1, source))):
        if mask is not None:
            each = jnp.where(mask, -jnp.inf, 0).astype(dtype) if mask.dtype == bool else mask
            beyond = ((0, 0), (0, 0), (0, 0), (0, k.shape[-2] - source))
            scores = scores + jnp.pad(each.reshape(shape), beyond)
    w = jax.nn.softmax(scores, -1) if need_weights else softmax_jax(jax, scores)
    if training:
        kept = dropout_mask if dropout_mask is None else dropout_mask.reshape(w.shape)
        w = (w * factor_jax(kept, dropout_p)).astype(dtype)
    y = (w @ v).transpose(2, 0, 1, 3).reshape(length, batch, features) @ out_proj_weight.T
    y = y if out_proj_bias is None else y + out_proj_bias
    weights = w.mean(1) if average_attn_weights else w
    if single:
        y, weights = y[:, 0], weights[0]
    return (y.astype(given), weights.astype(given)) if need_weights else y.astype(given)


def masked_keys(array: str) -> Callable[[np.random.Generator, Configuration], Array]:
    """True for a third of the keys, but never for the first where a query without keys would make all of them NaN."""

    def drawn(rng: np.random.Generator, configuration: Configuration) -> Array:
        mask = np.asarray(rng.random(configuration.shapes[array]) < 1 / 3)
        if configuration.hyper.get("need_weights", True):
            mask[..., :1] = False
        return mask

    return drawn


def quarter(mask: Array) -> Array:
    """What does not overflow where both masks are added."""
    return np.asarray(mask / 4)


def has_large_scores(case: Case) -> bool:
    """Whether half precision may not hold a score, or only digits before its point."""
    return case.configuration.dtype in ("float16", "bfloat16") and case.fill in ("integers", "wide", "largest")


multi_head_attention = Operation(
    function=mint.multi_head_attention,
    draw=draw_multi_head,
    spoil=spoil_multi_head,
    equations=multi_head_formula,
    torch=multi_head_torch,
    jax=multi_head_jax,
    outputs=("y", "weights"),
    integer={
        "key_padding_mask": masked_keys("key_padding_mask"),
        "attn_mask": masked_keys("attn_mask"),
        "dropout_mask": kept,
    },
    floating={"key_padding_mask": additive("query", 0), "attn_mask": additive("key", 0)},
    adjust={"key_padding_mask": quarter, "attn_mask": quarter},
    # a formula's gradient takes NaN times 0 for 0
    nonfinite=("key_padding_mask", "attn_mask"),
    underflows=True,
    limitations=(
        Limitation(
            "torch",
            "PyTorch rounds the scores of multi-head attention to half precision, in which large ones overflow or keep "
            "no digit after the point",
            applies=has_large_scores,
        ),
        *(
            Limitation(
                reference,
                "where scores of unlike sizes cancel, what rounding leaves of them decides the softmax",
                applies=lambda case: case.fill == "wide",
            )
            for reference in ("torch", "jax")
        ),
    ),
)
