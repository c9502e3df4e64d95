"""Normalised vectors and weights: examples by hand, conventions at kinks, extreme magnitudes, refusals."""

import math

import numpy as np
import pytest

import mint

X = np.array([[3.0, -4.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("p", "norm"),
    [(2, 5.0), (1.0, 7.0), (math.inf, 4.0), (-math.inf, 3.0), (0, 2.0), (-1.0, 12 / 7), (3, 91 ** (1 / 3))],
)
def test_every_norm(p, norm):
    y, _ = mint.normalize(X, p=p)
    assert np.allclose(y[0], X[0] / norm, rtol=1e-15)
    assert y[1].tolist() == [0, 0]


@pytest.mark.parametrize("scale", [2.0**-1060, 2.0**-600, 1.0, 2.0**600, 2.0**1020])
def test_powers_neither_overflow_nor_underflow(scale):
    row = X[:1]
    for p in (0.5, 1, 1.5, 2, 3, 10, -1, -3):
        expected, _ = mint.normalize(row, p=p)
        assert np.allclose(mint.normalize(row * scale, p=p, eps=0.0)[0], expected, rtol=1e-14)
    assert np.allclose(mint.weight_norm(row * scale, np.array([[5.0]]))[0], row, rtol=1e-15)
    y, _ = mint.spectral_norm(row.T * scale, np.ones(2), np.ones(1), eps=0.0)
    assert np.allclose(y[0], row.T / 5, rtol=1e-15)


def test_negative_degrees_keep_the_digits_of_the_smallest():
    # the norm with p = −1 is ruled by the 1, however large the other is
    y, vjp = mint.normalize(np.array([[1.25, 1e308]]), p=-1)
    assert y.tolist() == [[1, 1e308 / 1.25]]
    assert np.isfinite(vjp(np.array([[1.0, 0.0]]))[0]).all()
    y, _ = mint.normalize(np.array([[1.25, 1e308]]), p=-math.inf)
    assert y.tolist() == [[1, 1e308 / 1.25]]


def test_the_number_of_elements_has_no_gradient_even_at_nan():
    y, vjp = mint.normalize(np.array([[np.nan, 3.0]]), p=0)
    assert y[0, 1] == 1.5
    assert vjp(np.array([[1.0, 2.0]]))[0].tolist() == [[0.5, 1]]


def test_kinks_of_normalize():
    gy = np.array([[1.0, 2.0]])
    # below eps the norm does not count, at eps it does
    assert mint.normalize(np.array([[0.5, 0.0]]), eps=1.0)[1](gy)[0].tolist() == [[1, 2]]
    assert mint.normalize(np.array([[1.0, 0.0]]), eps=1.0)[1](gy)[0].tolist() == [[0, 2]]
    # a tie shares the gradient of the largest: gm = −Σ gy·x/m² = −3/2, half of it each
    vjp = mint.normalize(np.array([[2.0, 2.0]]), p=math.inf)[1]
    assert vjp(gy)[0].tolist() == [[0.5 - 0.75, 1 - 0.75]]
    # where x is 0, |x| has the derivative 0
    assert mint.normalize(np.array([[1.0, 0.0]]), p=1)[1](gy)[0].tolist() == [[0, 2]]
    assert mint.normalize(np.array([[1.0, 0.0]]), p=0.5)[1](gy)[0].tolist() == [[0, 2]]


def test_axes_of_normalize():
    x = np.ones((2, 2, 4))
    assert np.allclose(mint.normalize(x, dim=(0, -1))[0], 1 / np.sqrt(8))
    assert np.allclose(mint.normalize(x, dim=())[0], 0.25)
    assert mint.normalize(np.array(-3.0), dim=0)[0] == -1


def test_a_direction_of_one_element_has_no_gradient_however_short():
    for v in (5e-324, 1e308):
        _, vjp = mint.weight_norm(np.array([v]), np.array([2.0]))
        assert vjp(np.array([3.0]))[0] == 0


def test_a_dim_of_minus_one_or_none_keeps_no_axis():
    v = np.array([[2.0, 4.0], [5.0, 2.0]])
    for g in (np.array(14.0), np.array([[14.0]])):
        for dim in (None, -1):
            w, vjp = mint.weight_norm(v, g, dim=dim)
            assert np.allclose(w, 2 * v, rtol=1e-15)
            gv, gg = vjp(v)
            assert np.allclose(gv, 0, atol=1e-14)
            assert gg.shape == g.shape
            assert np.allclose(gg, 7, rtol=1e-15)
    assert np.allclose(mint.weight_norm(v, np.ones((1, 2)), dim=1)[0], v / np.sqrt([29, 20]), rtol=1e-15)


def test_zeros_have_no_direction():
    assert np.isnan(mint.weight_norm(X, np.ones((2, 1)))[0]).tolist() == [[False, False], [True, True]]


def test_spectral_norm_comes_to_the_largest_singular_value():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 4, 2))
    for dim in (0, 1, -1):
        matrix = np.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1)
        u, v = np.ones(len(matrix)), np.ones(matrix.shape[1])
        (y, u, v), _ = mint.spectral_norm(weight, u, v, dim=dim, n_power_iterations=200)
        largest = np.linalg.svd(matrix)[1][0]
        assert np.allclose(y, weight / largest, rtol=1e-12)
        (again, same_u, same_v), vjp = mint.spectral_norm(weight, u, v, dim=dim, training=False)
        assert np.allclose(again, y, rtol=1e-12)
        assert (same_u.tolist(), same_v.tolist()) == (u.tolist(), v.tolist())
        # a larger weight has a larger σ: y does not change along the weight
        gy = rng.standard_normal(y.shape)
        assert abs((vjp(gy)[0] * weight).sum()) < 1e-13


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (lambda: mint.normalize(X, dim=2), r"normalize: dim must be an int in \[-2, 1\]; got 2"),
        (lambda: mint.normalize(X, dim=(0, -2)), "normalize: dim must be an int or a tuple of different axes"),
        (lambda: mint.normalize(X, p=math.nan), "normalize: p must be a number; got nan"),
        (lambda: mint.normalize(X[:, :0], p=math.inf), "normalize: the norm with p = inf needs at least one element"),
        (lambda: mint.weight_norm(X, np.ones(2)), r"weight_norm: g must have shape \(2, 1\); got \(2,\)"),
        (lambda: mint.weight_norm(np.array(1.0), np.array(1.0)), "weight_norm: v must have at least one axis"),
        (lambda: mint.spectral_norm(X[0], np.ones(2), np.ones(1)), "spectral_norm: weight must have at least two axes"),
        (lambda: mint.spectral_norm(X, np.ones(3), np.ones(2)), r"spectral_norm: u must have shape \(2,\); got \(3,\)"),
        (
            lambda: mint.spectral_norm(X, np.ones(2), np.ones(2), n_power_iterations=0),
            "spectral_norm: n_power_iterations must be an int of at least 1; got 0",
        ),
    ],
)
def test_refusals(invalid, message):
    with pytest.raises(ValueError, match=message):
        invalid()
