"""Distances: conventions at 0 and at ties, the range of the dtype, and what is refused."""

import re

import numpy as np
import pytest

import mint

DEGREES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, np.inf)


def test_distances_worked_by_hand():
    x1, x2 = np.array([[3.0, -4.0]]), np.array([[0.0, 0.0]])
    for p, expected in ((0, 2), (0.5, 7 + 4 * np.sqrt(3)), (1, 7), (2, 5), (np.inf, 4), (-np.inf, 3), (-1, 12 / 7)):
        y, vjp = mint.pairwise_distance(x1, x2, p=p, eps=0)
        assert y == pytest.approx(expected, rel=4e-16)
        gx1, gx2 = vjp(np.array([2.0]))
        assert np.array_equal(gx1, -gx2)
        # homogeneous of degree 1 (0 for p = 0): Euler's theorem
        assert (gx1 * x1).sum() == pytest.approx(0 if p == 0 else 2 * expected, rel=8e-16)


@pytest.mark.parametrize("p", DEGREES)
def test_coincident_points_have_no_slope(p):
    x = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 2.0]])
    y, vjp = mint.pdist(x, p=p)
    gx = vjp(np.array([5.0, 0.0, 0.0]))[0]
    assert y[0] == 0
    assert not gx.any()
    assert np.array_equal(mint.cdist(x, x, p=p)[0][np.triu_indices(3, 1)], y)
    assert not mint.cdist(x[:1], x[:2], p=p)[1](np.ones((1, 2)))[0].any()


def test_tied_extremes():
    x1, x2 = np.array([[2.0, -2.0, 1.0]]), np.zeros((1, 3))
    assert mint.pairwise_distance(x1, x2, p=np.inf, eps=0)[1](np.array([1.0]))[0].tolist() == [[0.5, -0.5, 0]]
    least = mint.pairwise_distance(np.array([[2.0, -1.0, 1.0]]), x2, p=-np.inf, eps=0)
    assert least[1](np.array([1.0]))[0].tolist() == [[0, -0.5, 0.5]]
    assert mint.cdist(x1, x2, p=np.inf)[1](np.array([[1.0]]))[0].tolist() == [[1, -1, 0]]
    assert mint.pdist(np.vstack([x1, x2]), p=np.inf)[1](np.array([1.0]))[0].tolist() == [[1, -1, 0], [-1, 1, 0]]


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-600])
@pytest.mark.parametrize("p", [2.0, 3.0])
def test_no_power_overflows_or_underflows(p, scale):
    x1, x2 = np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]])
    for function, more in ((mint.pairwise_distance, {"eps": 0}), (mint.cdist, {})):
        y, vjp = function(x1, x2, p=p, **more)
        scaled, scaled_vjp = function(x1 * scale, x2, p=p, **more)
        assert np.array_equal(scaled, y * scale)
        assert np.array_equal(scaled_vjp(np.ones_like(y))[0], vjp(np.ones_like(y))[0])
    y, vjp = mint.cosine_similarity(x1 * scale, x1[:, ::-1] / scale, eps=0)
    assert y == pytest.approx(24 / 25, rel=4e-16)


def test_slopes_where_the_distance_itself_overflows():
    largest = np.finfo(np.float64).max
    x1, x2, gy = np.full((1, 4), largest), np.zeros((1, 4)), np.ones(1)
    for p, slope in ((2.0, 0.5), (3.0, 4 ** (-2 / 3)), (1.5, 4 ** (-1 / 3)), (0.5, 4.0)):
        y, vjp = mint.pairwise_distance(x1, x2, p=p, eps=0)
        assert np.isinf(y)
        assert vjp(gy)[0] == pytest.approx(slope, rel=1e-12)
    y, vjp = mint.cosine_similarity(x1, np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert y == 0.5
    assert vjp(gy)[1] == pytest.approx(np.array([[0.0, 0.5, 0.5, 0.5]]))
    x1[0, 1:] = 0
    assert mint.cosine_similarity(x1, x1)[0] == 1
    assert mint.cosine_similarity(x1 / largest * 5e-324, x1, eps=1e-300)[0] == 5e-324 / 1e-300


def test_near_points_do_not_cancel():
    x = np.array([[1e4, 1.0]], np.float32)
    for mode in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        assert mint.cdist(x, x + np.float32([0, 1]), compute_mode=mode)[0].tolist() == [[1]]


@pytest.mark.parametrize("p", DEGREES)
def test_nan_is_nan_at_any_place(p):
    for place in range(3):
        x = np.ones((1, 3))
        x[0, place] = np.nan
        assert np.isnan(mint.cdist(x, np.zeros((1, 3)), p=p)[0])


def test_a_vector_shorter_than_eps_is_divided_by_eps():
    x1, x2 = np.array([3.0, 4.0]), np.array([1.0, 0.0])
    y, vjp = mint.cosine_similarity(x1, x2, dim=0, eps=10)
    assert y == pytest.approx(3 / 100)
    # linear in both: the gradient is the other vector over eps², where PyTorch differentiates the norms
    gx1, gx2 = vjp(np.array(1.0))
    assert gx1 == pytest.approx([1 / 100, 0])
    assert gx2 == pytest.approx([3 / 100, 4 / 100])


def test_what_was_broadcast_is_summed():
    x1, x2 = np.zeros((2, 3)), np.ones(3)
    y, vjp = mint.pairwise_distance(x1, x2, p=1, eps=0, keepdim=True)
    assert y.tolist() == [[3], [3]]
    gx1, gx2 = vjp(np.array([[1.0], [10.0]]))
    assert gx1.tolist() == [[-1, -1, -1], [-10, -10, -10]]
    assert gx2.tolist() == [11, 11, 11]
    y, vjp = mint.cdist(np.zeros((2, 1, 4, 3)), np.ones((5, 2, 3)), p=1)
    gx1, gx2 = vjp(np.ones_like(y))
    assert (y.shape, gx1.shape, gx2.shape) == ((2, 5, 4, 2), (2, 1, 4, 3), (5, 2, 3))
    assert (gx1 == -10).all()
    assert (gx2 == 8).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_no_pairs(rows):
    y, vjp = mint.pdist(np.ones((rows, 3)))
    assert y.shape == (0,)
    assert vjp(y)[0].tolist() == [[0, 0, 0]] * rows


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda x: mint.cdist(x, x[:, :2]), "cdist: x1 (..., P, M) and x2 (..., R, M) must agree in M"),
        (lambda x: mint.cdist(x[0], x), "cdist: x1 (..., P, M)"),
        (lambda x: mint.cdist(x, x, p=-1), "cdist: p must be a number in [0, inf]; got -1"),
        (lambda x: mint.cdist(x, x, compute_mode="mm"), "cdist: compute_mode must be one of"),
        (lambda x: mint.pdist(x[0]), "pdist: x must have shape (N, M); got (3,)"),
        (lambda x: mint.pdist(x, p=float("nan")), "pdist: p must be a number"),
        (lambda x: mint.pairwise_distance(x, x[:, :2]), "pairwise_distance: the shapes must broadcast"),
        (lambda x: mint.pairwise_distance(x[:, :0], x[:, :0], p=np.inf), "the last axis must not be empty"),
        (lambda x: mint.cosine_similarity(x, x, dim=2), "cosine_similarity: dim must be an int in [-2, 1]"),
        (lambda x: mint.cosine_similarity(x, x, eps=-1), "cosine_similarity: eps must be a number in [0, inf]"),
    ],
)
def test_refusals(refused, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        refused(np.ones((2, 3)))


def test_shells():
    x1, x2 = np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]])
    assert mint.PairwiseDistance(1, 0, True)(x1, x2)[0].tolist() == [[7]]
    assert mint.CosineSimilarity(1)(x1, x1)[0] == pytest.approx(1)
