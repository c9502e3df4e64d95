"""Softmax and its kin: examples by hand, the largest numbers, Gumbel noise, refusals."""

import re

import numpy as np
import pytest

import mint


def test_softmin_is_the_softmax_of_minus_x():
    x = np.array([[0.0, np.log(3.0)], [-1000.0, 1000.0]])
    y, vjp = mint.softmin(x, dim=1)
    np.testing.assert_allclose(y, [[0.75, 0.25], [1, 0]], rtol=1e-15)
    # −y·(gy − Σ gy·y)
    np.testing.assert_allclose(vjp(np.array([[4.0, 0.0], [1.0, 0.0]]))[0], [[-0.75, 0.75], [0, 0]], atol=1e-15)


def test_glu_by_hand():
    x = np.array([[1.0, 2.0], [0.0, np.inf], [8.0, 8.0], [np.log(3.0), -np.inf]])
    y, vjp = mint.glu(x, dim=0)
    np.testing.assert_array_equal(y, [[0.5 + y[0, 0] - 0.5, 2 * mint.sigmoid(np.array(8.0))[0]], [0, np.nan]])
    y, vjp = mint.glu(np.array([4.0, 6.0, 0.0, np.log(3.0)]))
    np.testing.assert_allclose(y, [2, 4.5])
    np.testing.assert_allclose(vjp(np.array([1.0, 2.0]))[0], [0.5, 1.5, 1, 2.25])
    assert mint.glu(np.ones((2, 0)))[0].shape == (2, 0)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_glu_refuses_what_has_no_half(shape):
    axis = max(len(shape) - 1, 0)
    with pytest.raises(ValueError, match=re.escape(f"glu: axis {axis} of x must have an even length; got {shape}")):
        mint.glu(np.ones(shape))


def test_gumbel_softmax_straight_through():
    x, noise, gy = np.array([1.0, 3.0, 3.0]), np.zeros(3), np.array([1.0, 10.0, 100.0])
    soft, soft_vjp = mint.gumbel_softmax(x, noise, tau=2)
    hard, hard_vjp = mint.gumbel_softmax(x, noise, tau=2, hard=True)
    np.testing.assert_allclose(soft, mint.softmax(x / 2, dim=0)[0], rtol=1e-15)
    assert hard.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(hard_vjp(gy)[0], soft_vjp(gy)[0])
    assert hard_vjp(gy)[1] is None
    np.testing.assert_allclose(soft_vjp(gy)[0], mint.softmax(x / 2, dim=0)[1](gy)[0] / 2, rtol=1e-15)
    assert np.isnan(mint.gumbel_softmax(np.array([np.nan, 1.0]), np.zeros(2), hard=True)[0]).all()
    assert mint.gumbel_softmax(np.array(3.0), np.array(1.0), hard=True)[0] == 1


def test_gumbel_softmax_does_not_overflow():
    largest = np.finfo(np.float64).max
    x = np.array([largest, -largest])
    assert mint.gumbel_softmax(x, np.zeros(2), tau=0.01)[0].tolist() == [1, 0]
    assert mint.gumbel_softmax(x, np.zeros(2), tau=-0.01)[0].tolist() == [0, 1]


def test_gumbel_softmax_at_any_temperature():
    x, gy = np.array([1.0, 2.0, 4.0]), np.array([1.0, 10.0, 100.0])
    y, vjp = mint.gumbel_softmax(x, np.zeros(3), tau=-2)
    least, least_vjp = mint.softmin(x / 2, dim=0)
    np.testing.assert_array_equal(y, least)
    np.testing.assert_array_equal(vjp(gy)[0], least_vjp(gy)[0] / 2)
    assert np.isnan(mint.gumbel_softmax(x, np.zeros(3), tau=0)[0]).all()


def test_gumbel_softmax_samples_the_categorical_distribution():
    p = np.array([0.5, 0.3, 0.2])
    x = np.tile(np.log(p), (4000, 1))
    y, _ = mint.gumbel_softmax(x, hard=True, rng=np.random.default_rng(0))
    assert abs(y.mean(axis=0) - p).max() < 0.03
    again, _ = mint.gumbel_softmax(x, hard=True, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(y, again)
    assert (mint.gumbel_softmax(x)[0] != mint.gumbel_softmax(x)[0]).any()


REFUSED = [
    ("noise and rng exclude each other; got both", ((3,), (3,)), {"rng": np.random.default_rng(0)}),
    ("noise must have the shape of x, (3,); got (2,)", ((3,), (2,)), {}),
    ("with hard, axis dim of x must have an element; got (2, 0)", ((2, 0),), {"hard": True}),
    ("hard must be a bool; got 1", ((3,),), {"hard": 1}),
    ("rng must be a numpy.random.Generator or None; got 0", ((3,),), {"rng": 0}),
    ("dim must be an int in [-1, 0]; got 1", ((3,),), {"dim": 1}),
]


@pytest.mark.parametrize(("message", "shapes", "hyper"), REFUSED)
def test_gumbel_softmax_refuses(message, shapes, hyper):
    with pytest.raises((ValueError, TypeError), match=re.escape(f"gumbel_softmax: {message}")):
        mint.gumbel_softmax(*map(np.ones, shapes), **hyper)


def test_softmax2d_takes_the_channels():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    layer = mint.Softmax2d()
    np.testing.assert_array_equal(layer(x)[0], mint.softmax(x, dim=1)[0])
    np.testing.assert_array_equal(layer(x[0])[0], mint.softmax(x[0], dim=0)[0])
    with pytest.raises(
        ValueError, match=re.escape("Softmax2d: x must have shape (N, C, H, W) or (C, H, W); got (3, 2)")
    ):
        layer(np.ones((3, 2)))
