"""Attention: scaled dot-product and multi-head."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.broadcast import summed_to
from mint.differentiable import Array, Vjp, differentiable
from mint.dropout import factor_of, given_or_drawn
from mint.linear import Linear, linear
from mint.module import ModuleVjp, Parameter, Shell, check_dtype
from mint.sampling import generator
from mint.softmax import _probabilities, _through_probabilities

__all__ = [
    "MultiheadAttention",
    "multi_head_attention",
    "scaled_dot_product_attention",
]

#: Up to as many elements float32 is computed in float64; above, the products of matrices are what takes the time.
WIDE = 2**16

AttentionVjp = Callable[[Array, Array | None], tuple[Array, Array, Array, Array]]
"""From the cotangents of output and weights to the gradients of query, key, value and scores."""


def _additive(mask: Array, dtype: np.dtype[Any], *, attended: bool) -> Array:
    """A mask as what is added to the scores: a boolean one as 0 where it is ``attended``, else −∞."""
    return np.where(mask == attended, dtype.type(0), dtype.type(-np.inf)) if mask.dtype == bool else mask


def _scores(q: Array, k: Array, scale: Any) -> Array:
    # scaled first: without features the scores are 0, and 1/√0 is infinite
    s: Array = (q * scale) @ k.swapaxes(-1, -2)
    if not np.isfinite(s).all() and np.isfinite(q).all() and np.isfinite(k).all():
        # they overflow, but only their differences count
        wider = np.float64 if s.dtype == np.float32 else np.longdouble
        s = (q.astype(wider) * scale) @ k.swapaxes(-1, -2).astype(wider)
    return s


def _attend(
    q: Array, k: Array, v: Array, added: Array | None, factor: Array | None, scale: Any, *, unseeing: float
) -> tuple[Array, Array, AttentionVjp]:
    """y = w·v and w = factor·softmax(scale·q·kᵀ + added); a row of scores −∞ has the probabilities ``unseeing``.

    Leading axes broadcast, and the gradients have the shapes from before.
    """
    scores = _scores(q, k, scale)
    if added is not None:
        scores = scores + added
    blind = (scores == -np.inf).all(-1, keepdims=True)
    p = np.where(blind, unseeing, _probabilities(scores, (-1,))).astype(q.dtype, copy=False)
    w = p if factor is None else p * factor

    def back(gy: Array, gw: Array | None) -> tuple[Array, Array, Array, Array]:
        # forward       [l, e] [e, s] -> [l, s], through the softmax, then  [l, s] [s, v] -> [l, v]
        # transposed    [l, v] [v, s] -> [l, s],  [s, l] [l, v] -> [s, v], back through the softmax, then
        #               [l, s] [s, e] -> [l, e],  [s, l] [l, e] -> [s, e]
        g = summed_to(gy @ v.swapaxes(-1, -2), w.shape)
        g = g if gw is None else g + gw
        g = _through_probabilities(g if factor is None else g * factor, p, (-1,))
        gq = summed_to((g @ k) * scale, q.shape)
        gk = summed_to((g.swapaxes(-1, -2) @ q) * scale, k.shape)
        gv = summed_to(w.swapaxes(-1, -2) @ gy, v.shape)
        return gq, gk, gv, g

    return w @ v, w, back


@differentiable(boolean=("attn_mask", "dropout_mask"), floating=("attn_mask",), wide=WIDE)
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_mask: Array | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Scaled dot-product attention: y = w·value, w = softmax(scale·query·keyᵀ + mask) over the keys.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, V), y (..., L, V), where the leading axes broadcast; with
    enable_gqa the third axis from the end is that of the heads, and each head of key or value serves as many heads of
    the query, one after the other, as there are more of these. attn_mask broadcasts to the scores (..., L, S),
    dropout_mask has their shape. Any axis may be empty. Dtypes: those of ``differentiable``; attn_mask may be bool,
    dropout_mask is.

    attn_mask: added to the scores; a boolean one is 0 where True (the key takes part) and −∞ where False.
    dropout_mask: True where a weight is kept; drawn from rng (a fresh generator where None), each True with probability
    1 − dropout_p, if it is not given and dropout_p is not 0. dropout_p: the probability that a weight is dropped, in
    [0, 1]; those kept are divided by 1 − dropout_p; with 1 all are dropped. is_causal: whether query l sees the keys
    s ≤ l only; excludes attn_mask. scale: what the products are multiplied by, any number; 1/√E where None.

    A query all of whose scores are −∞, or that has no key, gets 0 and passes no gradient on. What is masked has −∞
    added to it, so that NaN stays.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gquery, gkey, gvalue, gattn_mask, None)``, gattn_mask None for a boolean mask.
    Raises ValueError for shapes that do not fit, attn_mask with is_causal, heads that do not divide the query's, a
    dropout_p outside of [0, 1], dropout_mask with rng; TypeError for wrong types.
    Source: Vaswani et al., "Attention is all you need", 2017; Ainslie et al., "GQA: training generalized multi-query
    transformer models from multi-head checkpoints", 2023. PyTorch's
    ``torch.nn.functional.scaled_dot_product_attention`` draws its dropout mask itself; its fused kernel leaves later
    keys out with is_causal, NaN or not. ``jax.nn.dot_product_attention`` has the heads after the sequence, masks with a
    large negative number, so that the weights of a query without keys are even, and takes softmax in float32 always.

    >>> x = np.log(np.array([[1.0], [3.0]]))
    >>> y, vjp = scaled_dot_product_attention(np.ones((2, 1)), x, np.array([[0.0], [4.0]]), is_causal=True)
    >>> y
    array([[0.],
           [3.]])
    >>> gquery, gkey, gvalue, *_ = vjp(np.ones((2, 1)))
    >>> gvalue
    array([[1.25],
           [0.75]])
    """
    op = "scaled_dot_product_attention"
    p = hyperparameters.real(op, "dropout_p", dropout_p, least=0, most=1)
    is_causal = hyperparameters.flag(op, "is_causal", is_causal)
    grouped = hyperparameters.flag(op, "enable_gqa", enable_gqa)
    real = query.dtype.type
    arrays = {"query": query, "key": key, "value": value}
    for name, array in arrays.items():
        if array.ndim < 2 + grouped:
            raise ValueError(f"{op}: {name} must have at least {2 + grouped} axes; got {array.shape}")
    (length, features), source = query.shape[-2:], key.shape[-2]
    if key.shape[-1] != features:
        raise ValueError(f"{op}: key must have shape (..., S, {features}) to fit query {query.shape}; got {key.shape}")
    if value.shape[-2] != source:
        raise ValueError(f"{op}: value must have shape (..., {source}, V) to fit key {key.shape}; got {value.shape}")
    if is_causal and attn_mask is not None:
        raise ValueError(f"{op}: attn_mask must be None with is_causal; got one of shape {attn_mask.shape}")
    alpha = 1 / np.sqrt(real(features)) if scale is None else real(hyperparameters.real(op, "scale", scale))
    k, v = key, value
    if grouped:
        k, v = (_repeated(op, name, arrays[name], query.shape[-3]) for name in ("key", "value"))
    try:
        lead = np.broadcast_shapes(query.shape[:-2], k.shape[:-2])
        np.broadcast_shapes(lead, v.shape[:-2])
    except ValueError:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{op}: the leading axes must broadcast; got {found}") from None
    shape = (*lead, length, source)
    if attn_mask is not None and not _broadcasts_to(attn_mask.shape, shape):
        raise ValueError(f"{op}: attn_mask must broadcast to the scores, {shape}; got {attn_mask.shape}")

    mask = np.tri(length, source, dtype=bool) if is_causal else attn_mask
    added = None if mask is None else _additive(mask, query.dtype, attended=True)
    drops = p > 0 or dropout_mask is not None
    kept = given_or_drawn(op, "dropout_mask", dropout_mask, shape, "the scores", p, drops, rng)
    y, _, back = _attend(query, k, v, added=added, factor=_factor(kept, p, real), scale=alpha, unseeing=0)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        gq, gk, gv, of_scores = back(gy, None)
        if grouped:
            gk, gv = _gathered(gk, key.shape), _gathered(gv, value.shape)
        return gq, gk, gv, _of_mask(of_scores, attn_mask), None

    return y, vjp


def _factor(kept: Array | None, p: float, real: type) -> Array | None:
    return None if kept is None else factor_of(kept, p, real)


def _of_mask(of_scores: Array, mask: Array | None, shape: tuple[int, ...] | None = None) -> Array | None:
    # added to the scores, in this shape: what they receive, summed over what it was broadcast to
    if mask is None or mask.dtype == bool:
        return None
    return summed_to(of_scores, mask.shape if shape is None else shape).reshape(mask.shape)


def _repeated(op: str, name: str, x: Array, heads: int) -> Array:
    # [..., h, s, e] -> [..., h·r, s, e]
    own = x.shape[-3]
    if own == 0 or heads % own:
        raise ValueError(f"{op}: the heads of {name} must divide those of query, {heads}; got {x.shape}")
    return np.repeat(x, heads // own, axis=-3)


def _gathered(gradient: Array, shape: tuple[int, ...]) -> Array:
    # [..., h·r, s, e] -> [..., h, r, s, e] -> [..., h, s, e]
    *lead, heads, length, features = shape
    gathered: Array = gradient.reshape(*lead, heads, gradient.shape[-3] // heads, length, features).sum(-3)
    return gathered


def _broadcasts_to(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, other) == other
    except ValueError:
        return False


def _expect(op: str, name: str, array: Array | None, *shapes: tuple[int, ...]) -> None:
    if array is not None and array.shape not in shapes:
        raise ValueError(f"{op}: {name} must have shape {' or '.join(map(str, shapes))}; got {array.shape}")


@differentiable(
    boolean=("key_padding_mask", "attn_mask", "dropout_mask"),
    floating=("key_padding_mask", "attn_mask"),
    wide=WIDE,
    outputs=2,
)
def multi_head_attention(
    query: Array,
    key: Array,
    value: Array,
    out_proj_weight: Array,
    out_proj_bias: Array | None = None,
    in_proj_weight: Array | None = None,
    in_proj_bias: Array | None = None,
    q_proj_weight: Array | None = None,
    k_proj_weight: Array | None = None,
    v_proj_weight: Array | None = None,
    bias_k: Array | None = None,
    bias_v: Array | None = None,
    key_padding_mask: Array | None = None,
    attn_mask: Array | None = None,
    dropout_mask: Array | None = None,
    *,
    num_heads: int,
    add_zero_attn: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Multi-head attention: y = concat(w₁·v₁, …, w_h·v_h)·W_oᵀ + b_o with w_i = softmax(q_i·k_iᵀ/√(E/h) + mask).

    q = query·W_qᵀ + b_q, k and v likewise of key and value; head i of h = num_heads has part i of their features.

    Shapes: query (L, N, E), key (S, N, K), value (S, N, V) and y (L, N, O), all of them without N for a single sample.
    out_proj_weight (O, E), out_proj_bias (O,). Either in_proj_weight (3E, E), the rows of W_q, W_k and W_v, where
    K = V = E; or q_proj_weight (E, E), k_proj_weight (E, K) and v_proj_weight (E, V). in_proj_bias (3E,) with either.
    bias_k and bias_v (1, 1, E): one more key, and its value. key_padding_mask (N, S), without N for a single sample.
    attn_mask (L, S), or (N·h, L, S), all heads of a sample before the next sample's. weights (N, L, T), or (N, h, L, T)
    without average_attn_weights, where T is S and one more each with bias_k and with add_zero_attn; dropout_mask
    (N, h, L, T). L, N and S may be 0. Dtypes: those of ``differentiable``; the masks may be bool, dropout_mask is.

    key_padding_mask, attn_mask: added to the scores; a boolean one is −∞ where True (the key takes no part), else 0,
    contrary to ``scaled_dot_product_attention``. dropout_mask, dropout_p, rng: as there, while training is True; else
    nothing is dropped. num_heads: divides E. add_zero_attn: whether to add a key and a value of zeros. need_weights:
    whether to return the weights, as they are after dropout. average_attn_weights: whether as the mean over the heads.

    A query all of whose keys are masked gets b_o without need_weights, but NaN with it, as in PyTorch.

    Returns ``(y, weights), vjp``, and ``vjp(gy, gweights)`` is one gradient per array, None for one that is boolean or
    not given; without need_weights ``y, vjp``, and ``vjp(gy)``.
    Raises ValueError for shapes that do not fit, projection weights of both kinds or neither, bias_k or bias_v alone, a
    num_heads that does not divide E, a dropout_p outside of [0, 1]; TypeError for wrong types.
    Source: Vaswani et al., "Attention is all you need", 2017. PyTorch's
    ``torch.nn.functional.multi_head_attention_forward`` has is_causal besides, the promise that attn_mask is the causal
    one, which changes nothing if it holds, and static_k and static_v. JAX has none.

    >>> w, x = np.ones((1, 1)), np.array([[1.0], [3.0]])
    >>> (y, weights), vjp = multi_head_attention(
    ...     np.zeros((1, 1)), x, x, w, q_proj_weight=w, k_proj_weight=w, v_proj_weight=w, num_heads=1
    ... )
    >>> y, weights
    (array([[2.]]), array([[0.5, 0.5]]))
    >>> gquery, gkey, gvalue, *others = vjp(np.ones((1, 1)), np.zeros((1, 2)))
    >>> gquery, gvalue
    (array([[1.]]), array([[0.5],
           [0.5]]))
    """
    op = "multi_head_attention"
    heads = hyperparameters.integer(op, "num_heads", num_heads, least=1)
    add_zero_attn = hyperparameters.flag(op, "add_zero_attn", add_zero_attn)
    p = hyperparameters.real(op, "dropout_p", dropout_p, least=0, most=1)
    training = hyperparameters.flag(op, "training", training)
    need_weights = hyperparameters.flag(op, "need_weights", need_weights)
    average = hyperparameters.flag(op, "average_attn_weights", average_attn_weights)
    if query.ndim not in (2, 3):
        raise ValueError(f"{op}: query must have shape (L, N, E) or (L, E); got {query.shape}")
    for name, array in (("key", key), ("value", value)):
        if array.ndim != query.ndim:
            raise ValueError(f"{op}: {name} must have {query.ndim} axes, as query; got {array.shape}")
    length, *batch, features = query.shape
    source, n = len(key), math.prod(batch)
    if features == 0 or features % heads:
        raise ValueError(f"{op}: num_heads must divide the features of query, {features}; got {heads}")
    _expect(op, "key", key, (source, *batch, key.shape[-1]))
    _expect(op, "value", value, (source, *batch, value.shape[-1]))
    inputs, separate = (query, key, value), (q_proj_weight, k_proj_weight, v_proj_weight)
    projections = _projections(op, inputs, in_proj_weight, separate)
    _expect(op, "in_proj_bias", in_proj_bias, (3 * features,))
    biases = [None] * 3 if in_proj_bias is None else np.split(in_proj_bias, 3)
    _expect(op, "out_proj_weight", out_proj_weight, (*out_proj_weight.shape[:1], features))
    _expect(op, "out_proj_bias", out_proj_bias, out_proj_weight.shape[:1])
    _expect(op, "bias_k", bias_k, (1, 1, features))
    _expect(op, "bias_v", bias_v, (1, 1, features))
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"{op}: bias_k and bias_v must be given both or neither; got one")
    _expect(op, "key_padding_mask", key_padding_mask, (*batch, source))
    _expect(op, "attn_mask", attn_mask, (length, source), (n * heads, length, source))
    total = source + (bias_k is not None) + add_zero_attn
    shape = (n, heads, length, total)
    drops = training and (p > 0 or dropout_mask is not None)
    kept = given_or_drawn(op, "dropout_mask", dropout_mask, (*batch, *shape[1:]), "the weights", p, drops, rng)
    factor = _factor(kept, p, query.dtype.type)

    def split(x: Array) -> Array:
        # [l, n, h·d] -> [n, h, l, d]
        return x.reshape(len(x), n, heads, features // heads).transpose(1, 2, 0, 3)

    def joined(x: Array) -> Array:
        # [n, h, l, d] -> [l, n, h·d]
        return x.transpose(2, 0, 1, 3).reshape(x.shape[2], *batch, features)

    def lengthened(x: Array, bias: Array | None) -> Array:
        # by the bias, then by zeros
        longer = np.zeros((total, *batch, features), x.dtype)
        longer[:source] = x
        if bias is not None:
            longer[source] = bias.reshape(features)
        return longer

    each = (n, heads) if attn_mask is not None and attn_mask.ndim == 3 else (1, 1)
    masks = [(attn_mask, (*each, length, source)), (key_padding_mask, (n, 1, 1, source))]
    added = [_additive(m, query.dtype, attended=False).reshape(own) for m, own in masks if m is not None]
    # nothing masks what has been added to the source
    beyond = ((0, 0), (0, 0), (0, 0), (0, total - source))

    (q, of_query), (k, of_key), (v, of_value) = map(linear, inputs, projections, biases)
    attended, w, back = _attend(
        split(q),
        split(lengthened(k, bias_k)),
        split(lengthened(v, bias_v)),
        added=np.pad(sum(added), beyond) if added else None,
        factor=None if factor is None else factor.reshape(shape),
        scale=1 / np.sqrt(query.dtype.type(features // heads)),
        unseeing=np.nan if need_weights else 0,
    )
    y, of_attended = linear(joined(attended), out_proj_weight, out_proj_bias)
    weights = w.mean(1) if average else w

    def vjp(gy: Array, gweights: Array | None = None) -> tuple[Array | None, ...]:
        # each step undone, the last first: the projection of what was attended, attention, what was added to the
        # source, the projections of the inputs
        g, gw_out, gb_out = of_attended(gy)
        assert g is not None
        if gweights is not None:
            # a mean over the heads hands each its part
            gweights = gweights.reshape(n, 1, length, total) / heads if average else gweights.reshape(shape)
        gq, gk, gv, of_scores = back(split(g), gweights)
        gk, gv = joined(gk), joined(gv)
        of_inputs: Any = (of_query(joined(gq)), of_key(gk[:source]), of_value(gv[:source]))
        g_inputs, g_weights, g_biases = zip(*of_inputs, strict=True)
        g_more = [None if b is None else g[source].reshape(n, features).sum(0) for b, g in ((bias_k, gk), (bias_v, gv))]
        g_masks = [_of_mask(of_scores[..., :source], m, own) for m, own in reversed(masks)]
        return (
            *g_inputs,
            gw_out,
            gb_out,
            None if in_proj_weight is None else np.concatenate(g_weights),
            None if in_proj_bias is None else np.concatenate(g_biases),
            *((None,) * 3 if in_proj_weight is not None else g_weights),
            *(None if g is None else g.reshape(1, 1, features) for g in g_more),
            *g_masks,
            None,
        )

    return ((y, weights.reshape(*batch, *weights.shape[1:])) if need_weights else y), vjp


def _projections(
    op: str,
    inputs: tuple[Array, Array, Array],
    together: Array | None,
    separate: tuple[Array | None, Array | None, Array | None],
) -> list[Array]:
    """The weights that query, key and value are multiplied with, given together or one by one."""
    features = inputs[0].shape[-1]
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    given = [w for w in separate if w is not None]
    if len(given) != (3 if together is None else 0):
        every = zip(("in_proj_weight", *names), (together, *separate), strict=True)
        found = ", ".join(name for name, w in every if w is not None) or "none"
        raise ValueError(f"{op}: either in_proj_weight or {', '.join(names)} must be given; got {found}")
    if together is None:
        for name, x, w in zip(names, inputs, given, strict=True):
            _expect(op, name, w, (features, x.shape[-1]))
        return given
    for name, x in zip(("key", "value"), inputs[1:], strict=True):
        _expect(op, name, x, (*x.shape[:-1], features))
    _expect(op, "in_proj_weight", together, (3 * features, features))
    return np.split(together, 3)


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Initial weights of shape (out, in, ...) from U(−b, b), b = √(6/(fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    n_out, n_in, *kernel = shape
    bound = math.sqrt(6 / ((n_out + n_in) * math.prod(kernel)))
    return rng.uniform(-bound, bound, shape).astype(dtype)


class MultiheadAttention(Shell):
    """``multi_head_attention`` that owns its projections; called on query, key and value.

    With batch_first these, and the result, have the batch as their first axis. The masks are taken for constants: the
    vjp returns ``(gquery, gkey, gvalue)``. dropout is the probability that a weight is dropped while ``training``.
    rng: the ``numpy.random.Generator`` that draws the parameters, and then what is dropped; a fresh one where None.
    dtype: that of the parameters.

    >>> layer = MultiheadAttention(4, 2, batch_first=True, rng=np.random.default_rng(0))
    >>> x = np.ones((3, 5, 4), np.float32)
    >>> (y, weights), vjp = layer(x, x, x)
    >>> y.shape, weights.shape, [g.shape for g in vjp(y, weights)]
    ((3, 5, 4), (3, 5, 5), [(3, 5, 4), (3, 5, 4), (3, 5, 4)])
    >>> [name for name, _ in layer.named_parameters()]
    ['in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias']
    """

    operation = staticmethod(multi_head_attention)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        name = "MultiheadAttention"
        features = hyperparameters.integer(name, "embed_dim", embed_dim, least=1)
        heads = hyperparameters.integer(name, "num_heads", num_heads, least=1)
        if features % heads:
            raise ValueError(f"{name}: num_heads must divide embed_dim, {features}; got {heads}")
        of_key, of_value = (
            features if size is None else hyperparameters.integer(name, which, size, least=0)
            for which, size in (("kdim", kdim), ("vdim", vdim))
        )
        super().__init__(
            num_heads=heads,
            dropout_p=hyperparameters.real(name, "dropout", dropout, least=0, most=1),
            add_zero_attn=hyperparameters.flag(name, "add_zero_attn", add_zero_attn),
        )
        self.batch_first = hyperparameters.flag(name, "batch_first", batch_first)
        self.rng = generator(name, rng)
        check_dtype(name, dtype)

        def drawn(*shape: int) -> Parameter:
            return Parameter(xavier_uniform(self.rng, shape, dtype))

        together = of_key == of_value == features
        self.in_proj_weight = drawn(3 * features, features) if together else None
        self.q_proj_weight = None if together else drawn(features, features)
        self.k_proj_weight = None if together else drawn(features, of_key)
        self.v_proj_weight = None if together else drawn(features, of_value)
        bias = hyperparameters.flag(name, "bias", bias)
        self.in_proj_bias = Parameter(np.zeros(3 * features, dtype)) if bias else None
        self.bias_k = self.bias_v = None
        if hyperparameters.flag(name, "add_bias_kv", add_bias_kv):
            # xavier_normal: fan_in and fan_out of (1, 1, features) are both its features
            self.bias_k, self.bias_v = (
                Parameter(self.rng.normal(0, features**-0.5, (1, 1, features)).astype(dtype)) for _ in "kv"
            )
        self.out_proj = Linear(features, features, bias, rng=self.rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data = np.zeros(features, dtype)

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The projections of the result, those of the inputs, and the key and value that are added."""
        return (
            self.out_proj.weight,
            self.out_proj.bias,
            self.in_proj_weight,
            self.in_proj_bias,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
            self.bias_k,
            self.bias_v,
        )

    def forward(  # type: ignore[override]
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array | None = None,
        need_weights: bool = True,
        attn_mask: Array | None = None,
        average_attn_weights: bool = True,
    ) -> tuple[Any, ModuleVjp]:
        """The result, and with need_weights the weights, which drop something while training."""
        swapped = self.batch_first and np.ndim(query) == 3

        def turned(x: Array) -> Array:
            return np.swapaxes(x, 0, 1) if swapped else x

        more = {
            "key_padding_mask": key_padding_mask,
            "attn_mask": attn_mask,
            "need_weights": need_weights,
            "average_attn_weights": average_attn_weights,
            "training": self.training,
            "rng": self.rng,
        }
        result, vjp = self.operate((turned(query), turned(key), turned(value)), {**self.settings(), **more})

        def back(gy: Array, *gweights: Array) -> tuple[Array, ...]:
            return tuple(map(turned, vjp(turned(gy), *gweights)))

        return ((turned(result[0]), result[1]) if need_weights else turned(result)), back
