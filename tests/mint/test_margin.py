"""Losses with a margin: values by hand, conventions at the kinks, callables as distances, and what is refused."""

import functools
import re

import numpy as np
import pytest

import mint

ONE = np.array(1.0)


def gradients(result):
    y, vjp = result
    return vjp(np.ones_like(y))


def test_hinge_embedding():
    x, target = np.array([0.5, 0.25, 3.0]), np.array([1, -1, -1])
    for reduction, expected in (("none", [0.5, 0.75, 0]), ("sum", 1.25), ("mean", 1.25 / 3)):
        assert mint.hinge_embedding_loss(x, target, reduction=reduction)[0].tolist() == expected
    assert gradients(mint.hinge_embedding_loss(x, target, reduction="sum"))[0].tolist() == [1, -1, 0]


def test_margins_met_exactly():
    # PyTorch's clamp passes the gradient on at its bound, its losses over classes do not
    assert gradients(mint.hinge_embedding_loss(ONE, np.array(-1)))[0] == -1
    assert [g.tolist() for g in gradients(mint.margin_ranking_loss(ONE, ONE, np.array(1)))[:2]] == [-1, 1]
    x1, x2 = np.array([3.0, 0.0]), np.array([0.0, 1.0])
    assert gradients(mint.cosine_embedding_loss(x1, x2, np.array(-1)))[1] == pytest.approx([1, 0])
    anchor, positive, negative = np.array([[0.0]]), np.array([[1.0]]), np.array([[2.0]])
    triplet = gradients(mint.triplet_margin_loss(anchor, positive, negative, eps=0))
    assert [g.tolist() for g in triplet] == [[[0]], [[1]], [[-1]]]
    assert not gradients(mint.multi_margin_loss(np.array([1.0, 0.0]), np.array(0)))[0].any()
    assert not gradients(mint.multilabel_margin_loss(np.array([1.0, 0.0]), np.array([0, -1])))[0].any()


def test_swapped_negatives_that_tie_share_the_slope():
    anchor, positive, negative = np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]])
    y, vjp = mint.triplet_margin_loss(anchor, positive, negative, margin=2, eps=0, swap=True)
    assert y == 3
    assert [g.tolist() for g in vjp(ONE)] == [[[-0.5, 0]], [[0.5, 0]], [[0, 0]]]


def test_swap_takes_the_smaller_distance():
    anchor, positive, negative = np.array([[0.0]]), np.array([[2.0]]), np.array([[2.5]])
    assert mint.triplet_margin_loss(anchor, positive, negative, eps=0)[0] == 0.5
    y, vjp = mint.triplet_margin_loss(anchor, positive, negative, eps=0, swap=True)
    assert y == 2.5
    assert [g.item() for g in vjp(ONE)] == [-1, 2, -1]


def test_the_distance_may_be_a_function():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((4, 3)) for _ in range(3)]
    for swap in (False, True):
        named = mint.triplet_margin_with_distance_loss(*arrays, swap=swap)
        own = mint.triplet_margin_loss(*arrays, swap=swap)
        given = mint.triplet_margin_with_distance_loss(*arrays, swap=swap, distance_function=mint.pairwise_distance)
        for other in (own, given):
            assert named[0] == other[0]
            assert all(map(np.array_equal, gradients(named), gradients(other)))
    manhattan = functools.partial(mint.pairwise_distance, p=1)
    given = mint.triplet_margin_with_distance_loss(*arrays, distance_function=manhattan)
    assert given[0] == mint.triplet_margin_loss(*arrays, p=1)[0]
    seen = []
    mint.triplet_margin_with_distance_loss(
        *(a.astype(np.float32) for a in arrays), distance_function=lambda a, b: seen.append(a.dtype) or manhattan(a, b)
    )
    assert seen == [np.float64, np.float64]


def test_other_targets_than_signs():
    # as in PyTorch: both terms of the hinge, neither of the cosine
    assert mint.hinge_embedding_loss(np.array([0.25]), np.array([0]))[0] == 1
    assert mint.cosine_embedding_loss(np.ones((1, 2)), np.ones((1, 2)), np.array([0]))[0] == 0


def test_targets_may_be_floating_point_numbers():
    x, signs = np.array([[0.5, -2.0, 3.0], [1.0, 0.25, -1.0]]), np.array([[1, -1, 1], [-1, 1, -1]])
    for loss in (
        lambda t: mint.hinge_embedding_loss(x, t, reduction="none"),
        lambda t: mint.margin_ranking_loss(x, x[::-1], t, margin=0.5, reduction="none"),
        lambda t: mint.soft_margin_loss(x, t, reduction="none"),
        lambda t: mint.multilabel_soft_margin_loss(x, t, reduction="none"),
        lambda t: mint.cosine_embedding_loss(x, x[::-1], t[:, 0], reduction="none"),
    ):
        (y, vjp), (same, same_vjp) = loss(signs), loss(signs.astype(float))
        assert np.array_equal(y, same)
        gy = np.arange(1.0, 1 + y.size).reshape(y.shape)
        for ours, others in zip(vjp(gy), same_vjp(gy), strict=True):
            assert ours is None or np.array_equal(ours, others)


def test_the_gradients_of_targets():
    t = np.array([0.5, -1.5])
    _, vjp = mint.margin_ranking_loss(np.array([3.0, 1.0]), np.array([1.0, 2.0]), t, margin=1, reduction="none")
    assert vjp(np.array([10.0, 100.0]))[2].tolist() == [-20, 0]
    x = np.array([2.0, 0.0])
    _, vjp = mint.soft_margin_loss(x, t, reduction="sum")
    assert vjp(ONE)[1] == pytest.approx([-2 / (1 + np.exp(1.0)), 0])
    assert mint.hinge_embedding_loss(x, t)[1](ONE)[1] is None
    assert mint.cosine_embedding_loss(x, x, np.array(1.0))[1](ONE)[2] is None


def test_multilabel_soft_margin_sums_over_the_axis_of_the_classes():
    x, targets = np.array([1.0, -2.0]), np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    rows = np.tile(x, (3, 1))
    # one sample for many targets: PyTorch takes the first axis for that of the classes
    y, vjp = mint.multilabel_soft_margin_loss(x, targets, reduction="none")
    each = np.log1p(np.exp(np.where(targets > 0, -rows, rows)))
    assert y == pytest.approx(each.sum(0) / 2)
    assert vjp(np.ones(2))[0] == pytest.approx((1 / (1 + np.exp(-rows)) - targets).sum(0) / 2)
    y, vjp = mint.multilabel_soft_margin_loss(rows, targets[0], reduction="none")
    assert y == pytest.approx(np.log1p(np.exp(np.where(targets[0] > 0, -rows, rows))).mean(1))
    assert vjp(np.ones(3))[1] == pytest.approx(-3 * x / 2)


def test_a_vector_of_one_element_is_stretched():
    # with the length of one element: cos = x1·(3 + 4)/(x1·5)
    y, vjp = mint.cosine_embedding_loss(np.array([2.0]), np.array([3.0, 4.0]), np.array(1))
    assert y == pytest.approx(1 - 7 / 5)
    gx1, gx2, _ = vjp(ONE)
    assert gx1 == pytest.approx([0], abs=1e-11)
    assert gx2 == pytest.approx([-(1 / 5 - 7 * 3 / 125), -(1 / 5 - 7 * 4 / 125)])


def test_vectors_of_zeros_and_of_the_largest():
    zero, one = np.zeros((1, 2)), np.array([[1.0, 1.0]])
    y, vjp = mint.cosine_embedding_loss(zero, one, np.array([1]))
    assert y == 1
    assert all(np.isfinite(g).all() for g in vjp(ONE)[:2])
    for large in (1e200, 1e300):
        y, _ = mint.cosine_embedding_loss(one * large, one * large, np.array([1]))
        assert y == pytest.approx(0, abs=1e-15)


def test_logistic_losses_do_not_overflow():
    x = np.array([1000.0, -1000.0])
    y, vjp = mint.soft_margin_loss(x, np.array([-1, 1]), reduction="none")
    assert y.tolist() == [1000, 1000]
    assert vjp(np.ones(2))[0].tolist() == [1, -1]
    y, vjp = mint.multilabel_soft_margin_loss(x, np.array([0.0, 1.0]))
    assert y == 1000
    gx, gtarget, gweight = vjp(ONE)
    assert gx.tolist() == [0.5, -0.5]
    assert gtarget.tolist() == [-500, 500]
    assert gweight is None
    # the tail of a class that is right keeps its digits
    y, vjp = mint.multilabel_soft_margin_loss(np.array([50.0]), np.array([1.0]))
    assert y == pytest.approx(np.exp(-50.0), rel=1e-15)
    assert vjp(ONE)[0] == pytest.approx(-np.exp(-50.0), rel=1e-15)


def test_multi_margin_and_the_gradient_of_its_weight():
    x, target, weight = np.array([[0.0, 0.5, 2.0], [3.0, 0.0, 0.0]]), np.array([1, 0]), np.array([1.0, 4.0, 8.0])
    y, vjp = mint.multi_margin_loss(x, target, weight, reduction="none")
    assert y == pytest.approx([4 * (0.5 + 2.5) / 3, 0])
    gx, gtarget, gweight = vjp(np.ones(2))
    assert gx == pytest.approx(np.array([[4, -8, 4], [0, 0, 0]]) / 3)
    assert gtarget is None
    assert gweight == pytest.approx([0, 1, 0])
    assert mint.multi_margin_loss(x, target, weight, p=2, reduction="sum")[0] == pytest.approx(4 * (0.25 + 6.25) / 3)
    # the slope 2·z/C is finite where 2·z is not
    _, vjp = mint.multi_margin_loss(np.array([0.0, 1.5e308, 0.0, 0.0]), np.array(0), p=2)
    assert vjp(ONE)[0][1] == 0.75e308


def test_multilabel_targets_end_at_the_first_minus_one():
    x = np.array([0.1, 0.2, 0.4, 0.8])
    y, vjp = mint.multilabel_margin_loss(x, np.array([3, 0, -1, 1]))
    assert y == pytest.approx(0.85)
    assert vjp(ONE)[0].tolist() == [-0.5, 0.5, 0.5, -0.5]
    # a class that is listed twice counts twice, and none costs nothing
    assert gradients(mint.multilabel_margin_loss(x, np.array([3, 3, -1, 1])))[0].tolist() == [0.5, 0.5, 0.5, -1.5]
    assert mint.multilabel_margin_loss(x, np.array([-1, 3, 0, 1]))[0] == 0


def test_the_mean_over_no_samples_is_nan():
    x, none = np.ones((0, 3)), np.ones(0, int)
    assert np.isnan(mint.multi_margin_loss(x, none)[0])
    assert np.isnan(mint.multilabel_margin_loss(x, none.reshape(0, 3))[0])
    assert mint.multi_margin_loss(x, none, reduction="sum")[0] == 0
    assert mint.multilabel_margin_loss(x, none.reshape(0, 3), reduction="sum")[0] == 0


X, CLASSES = np.ones((2, 3)), np.array([0, 1])


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: mint.hinge_embedding_loss(X, CLASSES), "hinge_embedding_loss: the shapes must broadcast"),
        (
            lambda: mint.margin_ranking_loss(X, X[0], CLASSES),
            "margin_ranking_loss: x1, x2 and target must have as many",
        ),
        (
            lambda: mint.cosine_embedding_loss(X, X, X.astype(int)),
            "cosine_embedding_loss: shapes must be (N, D), (N, D)",
        ),
        (
            lambda: mint.soft_margin_loss(X[0], X.astype(int)),
            "soft_margin_loss: target must broadcast to the shape of x",
        ),
        (lambda: mint.triplet_margin_loss(X, X, X, margin=0), "margin must be a number greater than 0; got 0"),
        (lambda: mint.triplet_margin_loss(X, X, X[0]), "anchor, positive and negative must have as many axes"),
        (lambda: mint.triplet_margin_with_distance_loss(X, X, X, distance_function="l2"), "'cosine' or None"),
        (lambda: mint.multi_margin_loss(X, CLASSES, p=3), "multi_margin_loss: p must be 1 or 2; got 3"),
        (lambda: mint.multi_margin_loss(X, CLASSES + 2), "target must lie in [0, 3); got 3"),
        (lambda: mint.multi_margin_loss(X, CLASSES, X[0, :2]), "weight must have shape (3,)"),
        (lambda: mint.multi_margin_loss(X[:, :0], CLASSES), "C at least 1; got (2, 0)"),
        (lambda: mint.multilabel_margin_loss(X, X.astype(int) - 3), "target must lie in [-1, 3); got -2"),
        (lambda: mint.multilabel_soft_margin_loss(ONE, X[0]), "x must have shape (..., C); got ()"),
        (lambda: mint.multilabel_soft_margin_loss(X, X, X[:, :2]), "the shapes must broadcast"),
    ],
)
def test_refusals(refused, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        refused()


def test_wrong_types():
    with pytest.raises(TypeError, match="multi_margin_loss: target must have an integer dtype; got float64"):
        mint.multi_margin_loss(X, X[:, 0])
    with pytest.raises(TypeError, match="hinge_embedding_loss: target must have an integer dtype or a floating-point"):
        mint.hinge_embedding_loss(X, X > 0)
    with pytest.raises(TypeError, match="triplet_margin_with_distance_loss: distance_function must be a function"):
        mint.triplet_margin_with_distance_loss(X, X, X, distance_function=2)


def test_shells():
    weight = np.array([1.0, 2.0, 3.0])
    y, vjp = mint.MultiMarginLoss(2, 0.5, weight)(X, CLASSES)
    assert y == mint.multi_margin_loss(X, CLASSES, weight, p=2, margin=0.5)[0]
    gx, gtarget = vjp(ONE)
    assert gx.shape == X.shape
    assert gtarget is None
    assert len(mint.MultiLabelSoftMarginLoss(weight, reduction="sum")(X, X)[1](ONE)) == 2
    assert mint.HingeEmbeddingLoss()(X, np.full((2, 3), -1))[0] == 0
    assert mint.MarginRankingLoss(2.0)(ONE, ONE, np.array(1))[0] == 2
    assert mint.CosineEmbeddingLoss()(X, X, CLASSES - 1)[0] == pytest.approx(0.5)
    assert mint.TripletMarginLoss(2.0, 1, 0, True)(X, X, X)[0] == 2
    assert mint.TripletMarginWithDistanceLoss(distance_function="cosine")(X, X, X)[0] == 1
    assert mint.MultiLabelMarginLoss()(X, np.full((2, 3), -1))[0] == 0
    assert mint.SoftMarginLoss()(X, np.ones((2, 3), int))[0] == pytest.approx(np.log1p(np.exp(-1.0)))
