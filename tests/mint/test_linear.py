"""Grouped products, bilinear layers and the adaptive softmax: examples by hand, edges, refusals, shells."""

import itertools

import numpy as np
import pytest

import mint


def integers(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, shape).astype(np.float64) for shape in shapes]


# --- grouped product ----------------------------------------------------------------------------------------

OFFS = np.array([2, 2, 5])


def test_groups_side_by_side_are_groups_of_their_own():
    """Each of the three ways to put groups side by side, against the product of each group; the last place is free."""
    whole = slice(None)
    spans = [slice(0, 2), slice(2, 2), slice(2, 5)]
    for shape_a, shape_b, at in (
        ((6, 4), (3, 4, 2), lambda g: (spans[g], g, spans[g])),
        ((3, 2, 4), (4, 6), lambda g: (g, (whole, spans[g]), (whole, spans[g]))),
        ((2, 6), (6, 4), lambda g: ((whole, spans[g]), spans[g], g)),
    ):
        a, b = integers(0, shape_a, shape_b)
        y, vjp = mint.grouped_mm(a, b, OFFS)
        (gy,) = integers(1, y.shape)
        ga, gb, none = vjp(gy)
        assert none is None
        expected = np.zeros_like(y), np.zeros_like(a), np.zeros_like(b)
        for of_a, of_b, out in map(at, range(3)):
            expected[0][out] = a[of_a] @ b[of_b]
            expected[1][of_a] = gy[out] @ b[of_b].T
            expected[2][of_b] = a[of_a].T @ gy[out]
        for got, due in zip((y, ga, gb), expected, strict=True):
            assert np.array_equal(got, due)


@pytest.mark.parametrize(
    ("shapes", "offs", "message"),
    [
        (((2,), (2, 2)), [1], "must have 2 or 3 axes"),
        (((2, 3), (1, 4, 2)), [2], "last axis must fit"),
        (((2, 4), (1, 4, 2)), None, "offs must be None exactly where both"),
        (((1, 2, 4), (1, 4, 2)), [2], "offs must be None exactly where both"),
        (((1, 2, 4), (2, 4, 2)), None, "as many groups; got 1 and 2"),
        (((2, 4), (2, 4, 2)), [2], r"offs must have shape \(2,\); got \(1,\)"),
        (((2, 4), (4, 2)), [], r"offs must have shape \(G,\)"),
        (((2, 4), (2, 4, 2)), [2, 1], r"offs must not decrease and lie in \[0, 2\]; got \(2, 1\)"),
        (((2, 4), (2, 4, 2)), [1, 3], "offs must not decrease"),
        (((2, 4), (2, 4, 2)), [-1, 2], "offs must not decrease"),
    ],
)
def test_groups_that_do_not_fit_are_refused(shapes, offs, message):
    with pytest.raises(ValueError, match=message):
        mint.grouped_mm(*map(np.ones, shapes), None if offs is None else np.array(offs, np.int64))


# --- bilinear -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)])
def test_bilinear_is_the_sum_over_all_pairs(lead):
    x1, x2, w, b = integers(0, (*lead, 3), (*lead, 4), (2, 3, 4), (2,))
    y, vjp = mint.bilinear(x1, x2, w, b)
    assert np.array_equal(y, np.einsum("...i,kij,...j->...k", x1, w, x2) + b)
    (gy,) = integers(1, y.shape)
    gx1, gx2, gw, gb = vjp(gy)
    assert np.array_equal(gx1, np.einsum("...k,kij,...j->...i", gy, w, x2))
    assert np.array_equal(gx2, np.einsum("...k,kij,...i->...j", gy, w, x1))
    assert np.array_equal(gw, np.einsum("nk,ni,nj->kij", *(a.reshape(-1, a.shape[-1]) for a in (gy, x1, x2))))
    assert np.array_equal(gb, gy.reshape(-1, 2).sum(0))
    assert mint.bilinear(x1, x2, w)[1](gy)[3] is None


def test_bilinear_without_outputs():
    y, vjp = mint.bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((0, 3, 4)))
    assert y.shape == (2, 0)
    assert [g.shape for g in vjp(y)[:3]] == [(2, 3), (2, 4), (0, 3, 4)]
    assert not any(g.any() for g in vjp(y)[:3])


def test_the_bound_of_bilinear_counts_the_first_input_alone():
    layer = mint.Bilinear(16, 25, 40, rng=np.random.default_rng(0))
    for parameter in layer.parameters():
        assert abs(parameter.data).max() <= 1 / 4
        assert abs(parameter.data).max() > 0.9 / 4


# --- adaptive softmax ---------------------------------------------------------------------------------------


def weights(seed, features, cutoffs, classes, hidden, bias=True):
    """The weights of head and tail, from N(0, 1)."""
    rng = np.random.default_rng(seed)
    heads = cutoffs[0] + len(cutoffs)
    tail = []
    for h, (begin, end) in zip(hidden, itertools.pairwise((*cutoffs, classes)), strict=True):
        tail += [rng.standard_normal((h, features)), rng.standard_normal((end - begin, h))]
    return rng.standard_normal((heads, features)), rng.standard_normal(heads) if bias else None, *tail


X = np.random.default_rng(7).standard_normal((6, 4))
WEIGHTS = weights(0, 4, (2, 3), 6, (2, 3))
TARGET = np.array([0, 1, 2, 5, 4, 3])
ROUNDINGS = 64 * np.finfo(float).eps


def test_adaptive_softmax_by_hand():
    # all scores are 0: a half for class 0, a half for the cluster, a third of it for each of its classes
    x, head, down, up = np.ones((1, 1)), np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((3, 1))
    y, vjp = mint.adaptive_log_softmax(x, head, None, down, up, cutoffs=(1,))
    assert np.abs(np.exp(y) - [[1 / 2, 1 / 6, 1 / 6, 1 / 6]]).max() <= ROUNDINGS
    gx, ghead, none, gdown, gup = vjp(np.array([[0.0, 1.0, 0.0, 0.0]]))
    assert none is None
    assert np.abs(ghead.ravel() - [-1 / 2, 1 / 2]).max() <= ROUNDINGS
    assert not np.concatenate([gx.ravel(), gdown.ravel(), gup.ravel()]).any()  # all other weights are 0


def test_the_probabilities_are_those_of_a_distribution():
    y, vjp = mint.adaptive_log_softmax(X, *WEIGHTS, cutoffs=(2, 3))
    assert y.shape == (6, 6)
    assert np.abs(np.exp(y).sum(1) - 1).max() <= ROUNDINGS
    # what does not change their sum has no gradient
    assert all(np.abs(g).max() <= ROUNDINGS for g in vjp(np.exp(y)))


def test_the_loss_takes_the_probabilities_of_the_targets():
    every, every_vjp = mint.adaptive_log_softmax(X, *WEIGHTS, cutoffs=(2, 3))
    (y, loss), vjp = mint.adaptive_log_softmax_with_loss(X, TARGET, *WEIGHTS, cutoffs=(2, 3))
    assert np.abs(y - every[np.arange(6), TARGET]).max() <= ROUNDINGS
    assert abs(loss + y.mean()) <= ROUNDINGS
    gy, gloss = np.random.default_rng(1).standard_normal(6), np.array(1.5)
    of_every = np.zeros_like(every)
    of_every[np.arange(6), TARGET] = gy - gloss / 6
    gx, none, *others = vjp(gy, gloss)
    assert none is None
    for g, due in zip([gx, *others], every_vjp(of_every), strict=True):
        assert np.abs(g - due).max() <= ROUNDINGS


def test_a_cluster_without_a_target_learns_nothing_from_the_loss():
    (_, loss), vjp = mint.adaptive_log_softmax_with_loss(X[:2], TARGET[:2], *WEIGHTS, cutoffs=(2, 3))
    *_, down0, up0, down1, up1 = vjp(np.zeros(2), np.ones_like(loss))
    assert not np.concatenate([g.ravel() for g in (down0, up0, down1, up1)]).any()


def test_one_sample_and_none():
    (y, loss), vjp = mint.adaptive_log_softmax_with_loss(X[3], TARGET[3:4].reshape(()), *WEIGHTS, cutoffs=(2, 3))
    assert (y.shape, loss.shape) == ((), ())
    assert y == -loss
    assert vjp(y, loss)[0].shape == (4,)
    (y, loss), vjp = mint.adaptive_log_softmax_with_loss(X[:0], TARGET[:0], *WEIGHTS, cutoffs=(2, 3))
    assert y.shape == (0,)
    assert np.isnan(loss)
    assert not any(g.any() for g in vjp(y, loss)[2:])


def test_a_probability_that_is_nearly_one_keeps_its_digits():
    head, tail = np.array([[40.0], [0.0]]), (np.ones((1, 1)), np.ones((1, 1)))
    (y, _), _ = mint.adaptive_log_softmax_with_loss(np.ones((1, 1)), np.array([0]), head, None, *tail, cutoffs=(1,))
    assert y[0] == -np.exp(-40.0)


def test_what_is_not_finite_stays_in_its_row():
    x = X.copy()
    x[1, 0] = np.nan
    (y, loss), vjp = mint.adaptive_log_softmax_with_loss(x, TARGET, *WEIGHTS, cutoffs=(2, 3))
    assert np.isnan(y).tolist() == [False, True, False, False, False, False]
    assert np.isnan(loss)
    gx = vjp(np.ones(6), np.array(0.0))[0]
    assert np.isnan(gx).all(1).tolist() == np.isnan(y).tolist()


def call(x=X, cutoffs=(2, 3), replace=(), tail=True):
    arrays = list(WEIGHTS if tail else WEIGHTS[:-1])
    for place, array in replace:
        arrays[place] = array
    return mint.adaptive_log_softmax(x, *arrays, cutoffs=cutoffs)


REFUSALS = [
    ("bilinear: weight must have shape (K, I, J) with I and J at least 1; got (2, 3, 0)",
     lambda: mint.bilinear(np.ones((1, 3)), np.ones((1, 0)), np.ones((2, 3, 0)))),
    ("bilinear: x2 must have shape (..., 4) to fit weight (2, 3, 4); got (3,)",
     lambda: mint.bilinear(np.ones(3), np.ones(3), np.ones((2, 3, 4)))),
    ("bilinear: x1 and x2 must agree in all axes but the last; got (2, 3) and (1, 4)",
     lambda: mint.bilinear(np.ones((2, 3)), np.ones((1, 4)), np.ones((2, 3, 4)))),
    ("bilinear: bias must have shape (2,) to fit weight (2, 3, 4); got (1,)",
     lambda: mint.bilinear(np.ones(3), np.ones(4), np.ones((2, 3, 4)), np.ones(1))),
    ("Bilinear: in2_features must be an int of at least 1; got 0", lambda: mint.Bilinear(1, 0, 1)),
    ("adaptive_log_softmax: x must have shape (N, F); got (4,)", lambda: call(X[0])),
    ("adaptive_log_softmax: cutoffs must be a tuple of increasing ints of at least 1; got (0, 3)",
     lambda: call(cutoffs=(0, 3))),
    ("adaptive_log_softmax: cutoffs must be a tuple of increasing ints of at least 1; got ()",
     lambda: call(cutoffs=())),
    ("adaptive_log_softmax: head_weight must have shape (3, 4); got (4, 4)", lambda: call(cutoffs=(2,))),
    ("adaptive_log_softmax: head_bias must have shape (4,); got (1,)", lambda: call(replace=[(1, np.ones(1))])),
    ("adaptive_log_softmax: tail must be two weights for each of the cutoffs (2, 3); got 3",
     lambda: call(tail=False)),
    ("adaptive_log_softmax: tail[0] and tail[1] must have shapes (H, 4) and (1, H); got (2, 4) and (2, 2)",
     lambda: call(replace=[(3, np.ones((2, 2)))])),
    ("adaptive_log_softmax: tail[2] and tail[3] must have shapes (H, 4) and (1, H); got (3, 4) and (0, 3)",
     lambda: call(replace=[(5, np.ones((0, 3)))])),
    ("adaptive_log_softmax_with_loss: target must lie in [0, 6); got 6",
     lambda: mint.adaptive_log_softmax_with_loss(X, TARGET + 1, *WEIGHTS, cutoffs=(2, 3))),
    ("adaptive_log_softmax_with_loss: x and target must have shapes (N, F) and (N), or (F) and (); got (6, 4), (2,)",
     lambda: mint.adaptive_log_softmax_with_loss(X, TARGET[:2], *WEIGHTS, cutoffs=(2, 3))),
    ("AdaptiveLogSoftmaxWithLoss: n_classes must be an int of at least 4; got 3",
     lambda: mint.AdaptiveLogSoftmaxWithLoss(4, 3, (2, 3))),
    ("AdaptiveLogSoftmaxWithLoss: div_value must be a number greater than 0; got 0",
     lambda: mint.AdaptiveLogSoftmaxWithLoss(4, 6, (2, 3), 0)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "bad_call"), REFUSALS, ids=[line for line, _ in REFUSALS])
def test_refusals(line, bad_call):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole line is compared
        bad_call()
    assert str(caught.value) == line


def test_the_adaptive_shell_tells_all_probabilities_and_the_best_class():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours = mint.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], 2.0, head_bias=True, dtype=np.float64)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], 2.0, head_bias=True, dtype=torch.float64)
    for name, parameter in ours.named_parameters():
        parameter.data = np.random.default_rng(len(name)).standard_normal(parameter.data.shape)
        theirs.get_parameter(name).data = torch.from_numpy(parameter.data)
    x = np.random.default_rng(0).standard_normal((50, 8))
    y, vjp = ours.log_prob(x)
    assert np.abs(y - theirs.log_prob(torch.from_numpy(x)).detach().numpy()).max() <= ROUNDINGS * abs(y).max()
    assert ours.predict(x).tolist() == theirs.predict(torch.from_numpy(x)).tolist()
    assert set(ours.predict(x)) > {0, 3, 6}  # of all clusters

    (picked, _), loss_vjp = ours(x, y.argmax(1))
    gx, none = loss_vjp(np.ones_like(picked), np.array(0.0))
    assert none is None
    of_loss = [parameter.grad for parameter in ours.parameters()]
    ours.zero_grad()
    gy = np.zeros_like(y)
    gy[np.arange(50), y.argmax(1)] = 1
    assert np.abs(vjp(gy) - gx).max() <= ROUNDINGS * abs(gx).max()
    for parameter, gradient in zip(ours.parameters(), of_loss, strict=True):
        assert np.abs(parameter.grad - gradient).max() <= ROUNDINGS * abs(gradient).max()
