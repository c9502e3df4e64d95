"""Piecewise activations: examples by hand, conventions at kinks and NaN, refusals, the state of PReLU and RReLU."""

import re

import numpy as np
import pytest

import mint

NAN = np.nan


@pytest.mark.parametrize(
    ("name", "hyper", "x", "y", "gx"),
    [
        ("relu6", {}, [-1, 0, 3, 6, 7, NAN], [0, 0, 3, 6, 6, NAN], [0, 0, 1, 0, 0, 1]),
        ("hardtanh", {}, [-2, -1, 0.5, 1, 2, NAN], [-1, -1, 0.5, 1, 1, NAN], [0, 0, 1, 0, 0, 1]),
        ("hardtanh", {"min_val": 2, "max_val": 2}, [1, 2, 3], [2, 2, 2], [0, 0, 0]),
        ("hardsigmoid", {}, [-4, -3, 0, 3, 4, NAN], [0, 0, 0.5, 1, 1, NAN], [0, 0, 1 / 6, 0, 0, 0]),
        ("hardswish", {}, [-4, -3, 0, 1.5, 3, NAN], [0, 0, 0, 1.125, 3, NAN], [0, 0, 0.5, 1, 1, NAN]),
        ("hardshrink", {}, [-0.5, 0.5, -0.75, NAN], [0, 0, -0.75, NAN], [0, 0, 1, 1]),
        ("hardshrink", {"lambd": -1}, [-0.5, 0, 2], [-0.5, 0, 2], [1, 1, 1]),
        ("softshrink", {}, [-0.5, 0.5, -0.75, 2, NAN], [0, 0, -0.25, 1.5, NAN], [0, 0, 1, 1, 1]),
        ("threshold", {"threshold": 0.5, "value": 9}, [0.5, 1, -1, NAN], [9, 1, 9, NAN], [0, 1, 0, 1]),
        ("rrelu", {"lower": 0, "upper": 1}, [-2, 0, 2, NAN], [-1, 0, 2, NAN], [0.5, 0.5, 1, 0.5]),
    ],
)
def test_by_hand(name, hyper, x, y, gx):
    got, vjp = getattr(mint, name)(np.array(x, np.float64), **hyper)
    np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(vjp(np.ones(len(x)))[0], gx)


def test_prelu_by_hand():
    x = np.array([[[-1.0, 2.0], [-3.0, 0.0]], [[-5.0, NAN], [7.0, -1.0]]])
    y, vjp = mint.prelu(x, np.array([0.5, 2.0]))
    np.testing.assert_array_equal(y, [[[-0.5, 2], [-6, 0]], [[-2.5, NAN], [7, -2]]])
    gx, gweight = vjp(np.ones_like(x))
    np.testing.assert_array_equal(gx, [[[0.5, 1], [2, 2]], [[0.5, 0.5], [1, 2]]])
    np.testing.assert_array_equal(gweight, [NAN, -4])
    for shape in ((), (1,)):
        y, vjp = mint.prelu(np.array([-2.0, 3.0]), np.full(shape, 0.25))
        gx, gweight = vjp(np.array([10.0, 1.0]))
        assert y.tolist() == [-0.5, 3]
        assert gx.tolist() == [2.5, 1]
        assert gweight.shape == shape
        assert gweight.item() == -20


def test_hardswish_does_not_overflow():
    largest = np.finfo(np.float64).max
    assert mint.hardswish(np.array([largest, -largest]))[0].tolist() == [largest, 0]


REFUSED = [
    ("hardtanh: min_val must be at most max_val; got 1.0 and -1.0", "hardtanh", {"min_val": 1.0, "max_val": -1.0}),
    ("hardtanh: min_val must be at most max_val; got nan and 1.0", "hardtanh", {"min_val": NAN}),
    ("softshrink: lambd must be a number in [0, 1.7976931348623157e+308]; got -1", "softshrink", {"lambd": -1}),
    ("rrelu: lower must be at most upper; got 0.5 and 0.25", "rrelu", {"lower": 0.5, "upper": 0.25}),
    ("rrelu: rng must be a numpy.random.Generator or None; got 3", "rrelu", {"rng": 3}),
    ("threshold: value must be a number; got 'high'", "threshold", {"threshold": 0, "value": "high"}),
]


@pytest.mark.parametrize(("message", "name", "hyper"), REFUSED)
def test_refuses(message, name, hyper):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        getattr(mint, name)(np.ones(3), **hyper)


@pytest.mark.parametrize(
    ("x", "weight", "fitting"), [((2, 3), (2,), 3), ((3,), (3,), 1), ((), (2,), 1), ((2, 3), (1, 1), 3)]
)
def test_prelu_refuses_weights_that_do_not_fit(x, weight, fitting):
    message = f"prelu: weight must have shape () or (1,), or ({fitting},) to fit x {x}; got {weight}"
    with pytest.raises(ValueError, match=re.escape(message)):
        mint.prelu(np.ones(x), np.ones(weight))


def test_rrelu_refuses_slopes_that_it_would_ignore():
    x = np.ones(3)
    for slope, hyper, message in (
        (x, {}, "slope must be None where training is False; got one of shape (3,)"),
        (x, {"training": True, "rng": np.random.default_rng(0)}, "slope and rng exclude each other; got both"),
        (x[:2], {"training": True}, "slope must have the shape of x, (3,); got (2,)"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"rrelu: {message}")):
            mint.rrelu(x, slope, **hyper)


def test_rrelu_draws_its_slopes_from_the_generator():
    x = np.array([-1.0, 1.0] * 500)
    y, vjp = mint.rrelu(x, lower=0.25, upper=0.5, training=True, rng=np.random.default_rng(3))
    slopes = -y[::2]
    assert (y[1::2] == 1).all()
    assert slopes.min() >= 0.25
    assert slopes.max() <= 0.5
    assert abs(slopes.mean() - 0.375) < 0.02
    gx, none = vjp(np.ones_like(x))
    assert none is None
    np.testing.assert_array_equal(gx, np.abs(y))
    again, _ = mint.rrelu(x, lower=0.25, upper=0.5, training=True, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(again, y)
    other, _ = mint.rrelu(x, lower=0.25, upper=0.5, training=True)
    assert (other != y).any()


def test_rrelu_with_pytorch_s_own_slopes():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = np.random.default_rng(0).standard_normal((4, 5))
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.nn.functional.rrelu(tx, training=True)
    ty.backward(torch.ones_like(ty))
    y, vjp = mint.rrelu(x, tx.grad.numpy(), training=True)
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-15)
    np.testing.assert_array_equal(vjp(np.ones_like(x))[0], tx.grad.numpy())


def test_prelu_module_learns_its_weight():
    layer = mint.PReLU(2, init=0.5, dtype=np.float64)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    y, vjp = layer(np.array([[-2.0, 4.0]]))
    assert y.tolist() == [[-1, 4]]
    assert vjp(np.ones((1, 2))).tolist() == [[0.5, 1]]
    assert layer.weight.grad.tolist() == [-2, 0]
    assert mint.PReLU().weight.data.tolist() == [0.25]
    with pytest.raises(ValueError, match="PReLU: num_parameters must be an int of at least 1; got 0"):
        mint.PReLU(0)
    with pytest.raises(TypeError, match="PReLU: dtype must be a floating-point dtype; got int64"):
        mint.PReLU(dtype=np.int64)


def test_rrelu_module_draws_in_training_only():
    layer, x = mint.RReLU(rng=np.random.default_rng(0)), np.full(100, -1.0)
    first, vjp = layer(x)
    np.testing.assert_array_equal(vjp(np.ones(100)), -first)
    assert (layer(x)[0] != first).all()
    np.testing.assert_array_equal(layer.eval()(x)[0], np.full(100, -(1 / 8 + 1 / 3) / 2))
    assert (layer.train()(x)[0] != first).all()
