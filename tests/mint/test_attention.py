"""Attention: examples by hand, queries that see nothing, NaN and infinity as in PyTorch, masks, heads, refusals."""

import re

import numpy as np
import pytest

import mint
from mint.attention import WIDE
from oracles.attention import attention_formula

INF, NAN = np.inf, np.nan
Q = np.array([[1.0, 2.0], [0.5, -1.0]])
K = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
V = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
GY = np.array([[1.0, 2.0], [3.0, 4.0]])
#: What the second query only may see of the last key.
TRIANGLE = np.array([[True, True, False], [True, True, True]])


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def additive(mask):
    return np.where(mask, 0.0, -INF)


def changed(array, value, *index):
    array = array.copy()
    array[index] = value
    return array


def same(one, other):
    """Every array equal, to the last bit, or None in both."""
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)


# --- scaled dot-product attention ---------------------------------------------------------------------------


def test_by_hand():
    # scores 0 and log 3, so that the weights are 1/4 and 3/4
    q, k, v = np.array([[2.0]]), np.array([[0.0], [np.log(3.0)]]), np.array([[4.0], [8.0]])
    y, vjp = mint.scaled_dot_product_attention(q, k, v, scale=0.5)
    assert np.allclose(y, [[7]], rtol=1e-15)
    gq, gk, gv, *rest = vjp(np.array([[2.0]]))
    # w·(gw − Σ w·gw): 1/4·(8 − 14) and 3/4·(16 − 14), times the scale
    assert np.allclose(gq, [[0.5 * 1.5 * np.log(3)]], rtol=1e-15)
    assert np.allclose(gk, [[-1.5], [1.5]], rtol=1e-15)
    assert np.allclose(gv, [[0.5], [1.5]], rtol=1e-15)
    assert rest == [None, None]


def test_the_scale_is_one_over_the_root_of_the_features():
    q, k = np.tile(Q, 2), np.tile(K, 2)
    same([mint.scaled_dot_product_attention(q, k, V)[0]], [mint.scaled_dot_product_attention(q, k, V, scale=0.5)[0]])
    y, _ = mint.scaled_dot_product_attention(np.ones((2, 0)), np.ones((3, 0)), V)
    assert y.tolist() == [[3, 4]] * 2


@pytest.mark.parametrize("mask", [np.zeros((2, 3), bool), np.full((2, 3), -INF), np.array(False)])
def test_a_query_that_sees_nothing_gets_nothing_and_passes_nothing_on(mask):
    y, vjp = mint.scaled_dot_product_attention(Q, K, V, mask)
    assert not y.any()
    assert not any(g.any() for g in vjp(GY) if g is not None)
    y, vjp = mint.scaled_dot_product_attention(Q, K[:0], V[:0])
    assert y.tolist() == [[0, 0]] * 2
    assert vjp(GY)[0].tolist() == [[0, 0]] * 2


def by_pytorch(math, q, k, v, mask, gy, **hyper):
    """y and the gradients, by the plain path or by the one that PyTorch chooses for four axes."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    from torch.nn.attention import SDPBackend, sdpa_kernel

    tensors = [torch.from_numpy(np.array(a))[None, None].requires_grad_() for a in (q, k, v)]
    given = None if mask is None else torch.from_numpy(mask)
    with sdpa_kernel(SDPBackend.MATH if math else SDPBackend.FLASH_ATTENTION):
        y = torch.nn.functional.scaled_dot_product_attention(*tensors, given, **hyper)
        y.backward(torch.from_numpy(gy)[None, None])
    return [y.detach().numpy()[0, 0], *(t.grad.numpy()[0, 0] for t in tensors)]


MASKS = (None, "causal", TRIANGLE, additive(TRIANGLE), np.zeros((2, 3), bool), changed(TRIANGLE, False, 1))


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("place", ["query", "key", "value", "nowhere"])
@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_what_is_not_finite_stands_where_the_plain_path_of_pytorch_has_it(mask, place, number):
    causal = isinstance(mask, str)
    mask = None if causal else mask
    q = changed(Q, number, 0, 0) if place == "query" else Q
    k = changed(K, number, 2, 0) if place == "key" else K
    v = changed(V, number, 2, 0) if place == "value" else V
    y, vjp = mint.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
    for ours, theirs in zip((y, *vjp(GY)[:3]), by_pytorch(True, q, k, v, mask, GY, is_causal=causal), strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_array_equal(np.where(np.isinf(ours), ours, 0), np.where(np.isinf(theirs), theirs, 0))


def test_both_paths_of_pytorch_give_a_query_that_sees_nothing_nothing():
    for math in (True, False):
        assert not any(tensor.any() for tensor in by_pytorch(math, Q, K, V, np.zeros((2, 3), bool), GY))


def test_the_fused_path_of_pytorch_leaves_later_keys_out():
    k = changed(K, NAN, 2, 0)
    assert np.isnan(mint.scaled_dot_product_attention(Q, k, V, is_causal=True)[0]).all()
    assert not np.isnan(by_pytorch(False, Q, k, V, None, GY, is_causal=True)[0]).any()


def test_a_boolean_mask_is_an_additive_one():
    y, vjp = mint.scaled_dot_product_attention(Q, K, V, TRIANGLE)
    other, other_vjp = mint.scaled_dot_product_attention(Q, K, V, additive(TRIANGLE))
    same([y, *vjp(GY)[:3]], [other, *other_vjp(GY)[:3]])
    assert vjp(GY)[3] is None
    assert other_vjp(GY)[3][0, 2] == 0


@pytest.mark.parametrize(("length", "source"), [(3, 3), (4, 2), (2, 4), (1, 3), (3, 1)])
def test_causal_is_a_mask_of_keys_up_to_the_query(length, source):
    q, k, v, gy = normal(0, length, 2), normal(1, source, 2), normal(2, source, 3), normal(3, length, 3)
    mask = np.arange(source) <= np.arange(length)[:, None]
    (y, vjp), (other, other_vjp) = (
        mint.scaled_dot_product_attention(q, k, v, is_causal=True),
        mint.scaled_dot_product_attention(q, k, v, mask),
    )
    same([y, *vjp(gy)], [other, *other_vjp(gy)])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (2, 1), (4, 1, 3), (1, 1, 1), (4, 2, 3)])
def test_the_gradient_of_a_mask_is_summed_over_what_it_was_broadcast_to(shape):
    q, k, v, gy = normal(0, 4, 2, 2), normal(1, 4, 3, 2), normal(2, 4, 3, 2), normal(3, 4, 2, 2)
    mask = normal(4, *shape)
    y, vjp = mint.scaled_dot_product_attention(q, k, v, mask)
    full, full_vjp = mint.scaled_dot_product_attention(q, k, v, np.broadcast_to(mask, (4, 2, 3)))
    same([y, *vjp(gy)[:3]], [full, *full_vjp(gy)[:3]])
    stretched = tuple(a for a, n in enumerate((1, 1, 1, *shape)[-3:]) if n == 1)
    assert np.allclose(vjp(gy)[3], full_vjp(gy)[3].sum(stretched, keepdims=True).reshape(shape), rtol=1e-12, atol=1e-15)


def test_leading_axes_broadcast():
    q, k, v, gy = normal(0, 4, 1, 2, 2), normal(1, 3, 5, 2), normal(2, 1, 5, 2), normal(3, 4, 3, 2, 2)
    y, vjp = mint.scaled_dot_product_attention(q, k, v)
    full, full_vjp = mint.scaled_dot_product_attention(*(np.broadcast_to(a, (4, 3, *a.shape[-2:])) for a in (q, k, v)))
    np.testing.assert_array_equal(y, full)
    gq, gk, gv, *_ = full_vjp(gy)
    for got, due in zip(vjp(gy)[:3], (gq.sum(1, keepdims=True), gk.sum(0), gv.sum((0, 1))[None]), strict=True):
        assert np.allclose(got, due, rtol=1e-12, atol=1e-15)


def test_grouped_heads_are_heads_repeated():
    q, k, v, gy = normal(0, 2, 6, 3, 4), normal(1, 2, 2, 5, 4), normal(2, 2, 3, 5, 4), normal(3, 2, 6, 3, 4)
    y, vjp = mint.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    other, other_vjp = mint.scaled_dot_product_attention(q, k.repeat(3, 1), v.repeat(2, 1))
    np.testing.assert_array_equal(y, other)
    gq, gk, gv, *_ = other_vjp(gy)
    same(vjp(gy)[:3], [gq, gk.reshape(2, 2, 3, 5, 4).sum(2), gv.reshape(2, 3, 2, 5, 4).sum(2)])


def test_dropout_scales_what_it_keeps():
    kept = np.array([[True, False, True], [False, False, False]])
    y, vjp = mint.scaled_dot_product_attention(0 * Q, K, V, None, kept, dropout_p=0.75)
    # weights 1/3, of which two times 4 are kept
    assert np.allclose(y, [[8, 32 / 3], [0, 0]], rtol=1e-15)
    assert np.allclose(vjp(GY)[2], np.outer(kept[0], GY[0]) * 4 / 3, rtol=1e-15)
    assert not mint.scaled_dot_product_attention(Q, K, V, None, ~kept, dropout_p=1)[0].any()


def test_dropout_draws_from_the_generator():
    drawn, drawn_vjp = mint.scaled_dot_product_attention(Q, K, V, dropout_p=0.5, rng=np.random.default_rng(7))
    mask = np.random.default_rng(7).random((2, 3)) >= 0.5
    given, given_vjp = mint.scaled_dot_product_attention(Q, K, V, None, mask, dropout_p=0.5)
    same([drawn, *drawn_vjp(GY)], [given, *given_vjp(GY)])
    rng = np.random.default_rng(7)
    mint.scaled_dot_product_attention(Q, K, V, rng=rng)
    assert rng.random() == np.random.default_rng(7).random()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("source", [3, WIDE // 2])
def test_scores_that_overflow_are_compared_all_the_same(dtype, source):
    large = dtype(np.finfo(dtype).max / 16)
    if dtype == np.float64 and np.finfo(np.longdouble).maxexp == np.finfo(np.float64).maxexp:
        pytest.skip("there is no wider dtype")
    q, k, v = np.full((1, 1), large), np.full((source, 1), -large), np.zeros((source, 1), dtype)
    k[1], v[1] = large, 5
    y, vjp = mint.scaled_dot_product_attention(q, k, v)
    assert y.tolist() == [[5]]
    assert [g.any() for g in vjp(np.ones((1, 1), dtype))[:3]] == [False, False, True]


def test_above_the_size_that_is_computed_in_double_precision():
    q, k, v, gy = (normal(n, *s).astype(np.float32) for n, s in enumerate([(1, 128), (260, 128), (260, 128), (1, 128)]))
    assert q.size + k.size + v.size > WIDE
    y, vjp = mint.scaled_dot_product_attention(q, k, v)
    double = [a.astype(np.float64) for a in (q, k, v)]
    truth, truth_vjp = attention_formula(*double, None, None)
    (scale,), scales = truth_vjp.scales(gy.astype(np.float64))
    results = [(y, truth, scale), *zip(vjp(gy)[:3], truth_vjp(gy)[:3], scales[:3], strict=True)]
    for got, due, g in results:
        assert (np.abs(got - due) <= 8 * 2.0**-24 * g).all()


@pytest.mark.parametrize(
    ("shapes", "hyper", "message"),
    [
        ([(2,), (3, 2), (3, 2)], {}, "query must have at least 2 axes; got (2,)"),
        ([(2, 2), (3, 2), (3, 2)], {"enable_gqa": True}, "query must have at least 3 axes; got (2, 2)"),
        ([(2, 2), (3, 1), (3, 2)], {}, "key must have shape (..., S, 2) to fit query (2, 2); got (3, 1)"),
        ([(2, 2), (3, 2), (4, 2)], {}, "value must have shape (..., 3, V) to fit key (3, 2); got (4, 2)"),
        ([(2, 2), (3, 2), (3, 2), (2, 3)], {"is_causal": True},
         "attn_mask must be None with is_causal; got one of shape (2, 3)"),
        ([(2, 2), (3, 2), (3, 2), (1, 2, 3)], {}, "attn_mask must broadcast to the scores, (2, 3); got (1, 2, 3)"),
        ([(1, 2), (3, 2), (3, 2), (4, 3)], {}, "attn_mask must broadcast to the scores, (1, 3); got (4, 3)"),
        ([(2, 2), (3, 2), (3, 2), (4,)], {}, "attn_mask must broadcast to the scores, (2, 3); got (4,)"),
        (
            [(2, 2, 2), (3, 3, 2), (3, 2)],
            {},
            "the leading axes must broadcast; got query (2, 2, 2), key (3, 3, 2), value (3, 2)",
        ),
        ([(3, 2, 2), (2, 3, 2), (3, 3, 2)], {"enable_gqa": True},
         "the heads of key must divide those of query, 3; got (2, 3, 2)"),
        ([(3, 2, 2), (3, 3, 2), (2, 3, 2)], {"enable_gqa": True},
         "the heads of value must divide those of query, 3; got (2, 3, 2)"),
        ([(2, 2), (3, 2), (3, 2)], {"dropout_p": 1.5}, "dropout_p must be a number in [0, 1]; got 1.5"),
        ([(2, 2), (3, 2), (3, 2)], {"dropout_p": -0.5}, "dropout_p must be a number in [0, 1]; got -0.5"),
        ([(2, 2), (3, 2), (3, 2)], {"scale": "1"}, "scale must be a number; got '1'"),
        ([(2, 2), (3, 2), (3, 2)], {"is_causal": 1}, "is_causal must be a bool; got 1"),
    ],
)  # fmt: skip
def test_refusals(shapes, hyper, message):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape('scaled_dot_product_attention: ' + message)}$"):
        mint.scaled_dot_product_attention(*map(np.ones, shapes), **hyper)


def test_refusals_of_masks():
    kept = np.ones((2, 3), bool)
    with pytest.raises(ValueError, match="dropout_mask and rng exclude each other; got both"):
        mint.scaled_dot_product_attention(Q, K, V, None, kept, rng=np.random.default_rng())
    with pytest.raises(ValueError, match=r"dropout_mask must have shape \(2, 3\) to fit the scores; got \(3, 3\)"):
        mint.scaled_dot_product_attention(Q, K, V, None, np.ones((3, 3), bool))
    with pytest.raises(TypeError, match="attn_mask must have the bool dtype or a floating-point one; got int64"):
        mint.scaled_dot_product_attention(Q, K, V, kept.astype(np.int64))
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator or None; got 3"):
        mint.scaled_dot_product_attention(Q, K, V, dropout_p=0.5, rng=3)


# --- multi-head attention -----------------------------------------------------------------------------------

E = 4
W_IN, B_IN, W_OUT, B_OUT = normal(10, 3 * E, E), normal(11, 3 * E), normal(12, 3, E), normal(13, 3)
X, Z = normal(14, 2, 3, E), normal(15, 5, 3, E)
IN = {"out_proj_bias": B_OUT, "in_proj_weight": W_IN, "in_proj_bias": B_IN}


def call(query=X, key=Z, value=Z, **arguments):
    return mint.multi_head_attention(query, key, value, W_OUT, **{"num_heads": 2, **IN, **arguments})


def results(arguments, **more):
    """y, weights, and all gradients for random cotangents."""
    outputs, vjp = call(**arguments, **more)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [*outputs, *vjp(*(normal(n, *y.shape) for n, y in enumerate(outputs)))]


def test_heads_are_attention_to_parts_of_the_projections():
    (y, weights), _ = call(average_attn_weights=False)
    q, k, v = (mint.linear(x, w, b)[0] for x, w, b in zip((X, Z, Z), np.split(W_IN, 3), np.split(B_IN, 3), strict=True))
    parts = []
    for head in (slice(0, 2), slice(2, 4)):
        q_i, k_i, v_i = (np.ascontiguousarray(x[..., head].swapaxes(0, 1)) for x in (q, k, v))
        parts.append(mint.scaled_dot_product_attention(q_i, k_i, v_i)[0].swapaxes(0, 1))
    due, _ = mint.linear(np.concatenate(parts, -1), W_OUT, B_OUT)
    assert np.allclose(y, due, rtol=1e-12, atol=1e-14)
    assert weights.shape == (3, 2, 2, 5)
    (_, mean), _ = call()
    same([mean], [weights.mean(1)])


def test_weights_by_hand():
    one = np.ones((1, 1))
    kinds = {f"{which}_proj_weight": one for which in "qkv"}
    x = np.array([[0.0], [np.log(3.0)]])
    (y, weights), vjp = mint.multi_head_attention(one, x, np.array([[4.0], [8.0]]), one, **kinds, num_heads=1)
    assert np.allclose(y, [[7]], rtol=1e-15)
    assert np.allclose(weights, [[0.25, 0.75]], rtol=1e-15)
    # w·(gw − Σ w·gw) of the weights' own cotangent: 1/4·(16 − 4), 3/4·(0 − 4)
    gquery, gkey, gvalue, gout, *_ = vjp(np.zeros((1, 1)), np.array([[16.0, 0.0]]))
    assert np.allclose(gkey, [[3], [-3]], rtol=1e-15)
    assert np.allclose(gquery, [[-3 * np.log(3)]], rtol=1e-15)
    assert not gvalue.any()
    assert not gout.any()


def test_weights_together_and_separate_are_the_same():
    separate = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), np.split(W_IN, 3), strict=True))
    y, weights, *gradients = results({})
    other, other_weights, *others = results({"in_proj_weight": None, **separate})
    same([y, weights, *gradients[:5], gradients[6]], [other, other_weights, *others[:5], others[6]])
    same([gradients[5]], [np.concatenate(others[7:10])])
    assert gradients[7:10] == [None] * 3
    assert others[5] is None


def test_a_single_sample_is_a_batch_of_one():
    arguments = {"attn_mask": normal(1, 2, 2, 5), "bias_k": normal(2, 1, 1, E), "bias_v": normal(3, 1, 1, E)}
    padding = normal(4, 1, 5)
    batched = results({"query": X[:, :1], "key": Z[:, :1], "value": Z[:, :1], **arguments, "key_padding_mask": padding})
    single = results({"query": X[:, 0], "key": Z[:, 0], "value": Z[:, 0], **arguments, "key_padding_mask": padding[0]})
    same([None if a is None else a.ravel() for a in batched], [None if a is None else a.ravel() for a in single])


@pytest.mark.parametrize("need_weights", [True, False])
def test_masks_of_pairs_of_samples_and_of_keys(need_weights):
    pairs = np.random.default_rng(0).random((2, 5)) < 0.4
    keys = np.random.default_rng(1).random((3, 5)) < 0.3
    both = np.where(pairs | keys[:, None], -INF, 0.0).repeat(2, 0)
    given = results({"attn_mask": pairs, "key_padding_mask": keys}, need_weights=need_weights)
    mixed = results({"attn_mask": np.where(pairs, -INF, 0.0), "key_padding_mask": keys}, need_weights=need_weights)
    merged = results({"attn_mask": both}, need_weights=need_weights)
    count = len(given) - 3
    same(given[:count], merged[:count])
    same(given[:count], mixed[:count])
    assert given[-3:] == [None] * 3
    assert mixed[-3] is None
    assert (mixed[-2].shape, merged[-2].shape) == ((2, 5), (6, 2, 5))
    assert np.allclose(mixed[-2], merged[-2].sum(0), rtol=1e-12, atol=1e-14)


def test_a_query_that_sees_nothing_is_nan_with_weights_and_the_bias_without():
    mask = np.array([[True] * 5, [False] * 5])
    (y, weights), vjp = call(attn_mask=mask)
    assert np.isnan(y[0]).all()
    assert np.isnan(weights[:, 0]).all()
    assert not np.isnan(y[1]).any()
    assert np.isnan(vjp(np.ones_like(y), np.zeros_like(weights))[1]).all()
    y, vjp = call(attn_mask=mask, need_weights=False)
    assert (y[0] == B_OUT).all()
    assert not vjp(np.ones_like(y))[0][0].any()


def test_what_is_added_to_the_source_is_never_masked():
    nothing = {"key_padding_mask": np.ones((3, 5), bool)}
    bias_k, bias_v = normal(1, 1, 1, E), normal(2, 1, 1, E)
    (y, weights), _ = call(**nothing, bias_k=bias_k, bias_v=bias_v)
    due, _ = mint.linear(bias_v[0, 0], W_OUT, B_OUT)
    assert np.allclose(y, due, rtol=1e-12)
    assert weights.tolist() == [[[0, 0, 0, 0, 0, 1]] * 2] * 3
    (y, weights), _ = call(**nothing, add_zero_attn=True)
    assert (y == B_OUT).all()
    assert weights.tolist() == [[[0, 0, 0, 0, 0, 1]] * 2] * 3
    (_, weights), _ = call(bias_k=bias_k, bias_v=bias_v, add_zero_attn=True)
    assert weights.shape == (3, 2, 7)


def test_dropout_while_training():
    drawn = results({}, dropout_p=0.5, rng=np.random.default_rng(7))
    mask = np.random.default_rng(7).random((3, 2, 2, 5)) >= 0.5
    same(drawn, results({"dropout_mask": mask}, dropout_p=0.5))
    same(results({}), results({}, dropout_p=0.5, training=False))
    (y, weights), _ = call(dropout_p=1.0)
    assert (y == B_OUT).all()
    assert not weights.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 3}, "num_heads must divide the features of query, 4; got 3"),
        ({"num_heads": 0}, "num_heads must be an int of at least 1; got 0"),
        ({"query": X[None]}, "query must have shape (L, N, E) or (L, E); got (1, 2, 3, 4)"),
        ({"key": Z[0]}, "key must have 3 axes, as query; got (3, 4)"),
        ({"value": Z[:4]}, "value must have shape (5, 3, 4); got (4, 3, 4)"),
        ({"key": Z[:, :2], "value": Z[:, :2]}, "key must have shape (5, 3, 4); got (5, 2, 4)"),
        ({"key": Z[..., :3]}, "key must have shape (5, 3, 4); got (5, 3, 3)"),
        ({"in_proj_weight": W_IN[1:]}, "in_proj_weight must have shape (12, 4); got (11, 4)"),
        ({"in_proj_bias": B_IN[1:]}, "in_proj_bias must have shape (12,); got (11,)"),
        ({"out_proj_bias": B_OUT[1:]}, "out_proj_bias must have shape (3,); got (2,)"),
        ({"bias_k": np.ones((1, 1, 4))}, "bias_k and bias_v must be given both or neither; got one"),
        ({"bias_k": np.ones(4), "bias_v": np.ones(4)}, "bias_k must have shape (1, 1, 4); got (4,)"),
        ({"attn_mask": np.ones((5, 2))}, "attn_mask must have shape (2, 5) or (6, 2, 5); got (5, 2)"),
        ({"attn_mask": np.ones((3, 2, 5))}, "attn_mask must have shape (2, 5) or (6, 2, 5); got (3, 2, 5)"),
        ({"key_padding_mask": np.ones((5, 3))}, "key_padding_mask must have shape (3, 5); got (5, 3)"),
        (
            {"in_proj_weight": None, "q_proj_weight": W_IN[:4]},
            "either in_proj_weight or q_proj_weight, k_proj_weight, v_proj_weight must be given; got q_proj_weight",
        ),
        (
            {"q_proj_weight": W_IN[:4]},
            "either in_proj_weight or q_proj_weight, k_proj_weight, v_proj_weight must be given; "
            "got in_proj_weight, q_proj_weight",
        ),
        (
            {"training": False, "dropout_mask": np.ones((3, 2, 2, 5), bool)},
            "dropout_mask must be None where training is False; got one of shape (3, 2, 2, 5)",
        ),
        (
            {"dropout_mask": np.ones((3, 2, 5), bool)},
            "dropout_mask must have shape (3, 2, 2, 5) to fit the weights; got (3, 2, 5)",
        ),
        ({"dropout_p": 2}, "dropout_p must be a number in [0, 1]; got 2"),
    ],
)  # fmt: skip
def test_multi_head_refusals(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape('multi_head_attention: ' + message)}$"):
        call(**arguments)


# --- the shell ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"bias": False}, {"add_bias_kv": True}, {"kdim": 3}, {"vdim": 5, "kdim": 2, "bias": False}, {"kdim": 6}],
)
def test_parameters_are_those_of_pytorch(settings):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    ours = {n: p.data.shape for n, p in mint.MultiheadAttention(6, 3, **settings).named_parameters()}
    theirs = torch.nn.MultiheadAttention(6, 3, **settings).named_parameters()
    assert ours == {n: tuple(p.shape) for n, p in theirs}


def test_initialisation_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    torch.manual_seed(0)
    ours = mint.MultiheadAttention(64, 2, add_bias_kv=True, kdim=32, rng=np.random.default_rng(0))
    theirs = dict(torch.nn.MultiheadAttention(64, 2, add_bias_kv=True, kdim=32).named_parameters())
    bounds = {"q_proj_weight": (6 / 128) ** 0.5, "k_proj_weight": (6 / 96) ** 0.5, "out_proj.weight": 1 / 8}
    for name, parameter in ours.named_parameters():
        for data in (parameter.data, theirs[name].detach().numpy()):
            if name in bounds:
                assert 0.99 * bounds[name] < abs(data).max() <= bounds[name]
            elif "bias_" in name:
                assert 0.7 / 8 < data.std() < 1.3 / 8
            elif name.endswith("bias"):
                assert not data.any()


def test_the_batch_first():
    def made(first):
        return mint.MultiheadAttention(4, 2, batch_first=first, rng=np.random.default_rng(0), dtype=float)

    def turned(x):
        return np.swapaxes(x, 0, 1)

    one, mask = made(True), np.eye(3, dtype=bool)
    (y, weights), vjp = one(X, X, X, attn_mask=mask)
    (due, due_weights), due_vjp = made(False)(turned(X), turned(X), turned(X), attn_mask=mask)
    gy, gweights = normal(0, *y.shape), normal(1, *weights.shape)
    same([y, weights], [turned(due), due_weights])
    same(vjp(gy, gweights), map(turned, due_vjp(turned(gy), gweights)))
    # a single sample has no batch to come first
    assert one(X[0], X[0], X[0], need_weights=False)[0].shape == (3, 4)


def test_the_shell_drops_while_training():
    layer = mint.MultiheadAttention(4, 2, dropout=0.5, rng=np.random.default_rng(0), dtype=float)
    first, second = (layer(X, Z, Z)[0][1] for _ in "ab")
    assert (first != second).any()
    layer.eval()
    first, second = (layer(X, Z, Z)[0][1] for _ in "ab")
    assert (first == second).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dim": 0}, "embed_dim must be an int of at least 1; got 0"),
        ({"num_heads": 3}, "num_heads must divide embed_dim, 4; got 3"),
        ({"dropout": 1.5}, "dropout must be a number in [0, 1]; got 1.5"),
        ({"dtype": int}, "dtype must be a floating-point dtype; got int64"),
        ({"rng": 1}, "rng must be a numpy.random.Generator or None; got 1"),
        ({"batch_first": 1}, "batch_first must be a bool; got 1"),
    ],
)
def test_shell_refusals(settings, message):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape('MultiheadAttention: ' + message)}$"):
        mint.MultiheadAttention(**{"embed_dim": 4, "num_heads": 2, **settings})
