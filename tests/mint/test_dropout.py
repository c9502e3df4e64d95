"""Dropout: PyTorch's own with its masks recovered, masks drawn and given, p of 0 and 1, refusals, the modules."""

import re

import numpy as np
import pytest

import mint

OPERATIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
SHAPES = {
    "dropout": [(), (7,), (3, 4, 5)],
    "dropout1d": [(3, 6, 4), (8, 5)],
    "dropout2d": [(3, 6, 2, 2), (3, 6, 4)],
    "dropout3d": [(3, 6, 2, 1, 2), (8, 2, 2, 2)],
    "alpha_dropout": [(), (3, 4, 5)],
    "feature_alpha_dropout": [(5, 6), (3, 6, 2, 2)],
}
MASKS = {
    "dropout": [(), (7,), (3, 4, 5)],
    "dropout1d": [(3, 6, 1), (8, 1)],
    "dropout2d": [(3, 6, 1, 1), (3, 6, 1)],
    "dropout3d": [(3, 6, 1, 1, 1), (8, 1, 1, 1)],
    "alpha_dropout": [(), (3, 4, 5)],
    "feature_alpha_dropout": [(5, 6), (3, 6, 1, 1)],
}
CASES = [(n, s, m) for n in OPERATIONS for s, m in zip(SHAPES[n], MASKS[n], strict=True)]


@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input")
@pytest.mark.parametrize("p", [0.25, 0.7])
@pytest.mark.parametrize(("name", "shape", "mask_shape"), CASES)
def test_pytorch_s_own_with_its_mask(name, shape, mask_shape, p):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal(shape), rng.standard_normal(shape)
    tx = torch.tensor(x, requires_grad=True)
    ty = getattr(torch.nn.functional, name)(tx, p, training=True)
    ty.backward(torch.tensor(gy))
    # a kept element is one that passes the gradient on
    first = tuple(slice(0, n) for n in mask_shape)
    mask = np.asarray(tx.grad.numpy()[first] != 0)
    y, vjp = getattr(mint, name)(x, mask, p=p, training=True)
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(vjp(gy)[0], tx.grad.numpy(), rtol=1e-13)
    assert vjp(gy)[1] is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_mask_drawn_from_the_generator(name):
    x = np.ones((20, 50, *(1,) * {"dropout1d": 1, "dropout2d": 2, "dropout3d": 3}.get(name, 0)))
    operation = getattr(mint, name)
    y, vjp = operation(x, p=0.3, training=True, rng=np.random.default_rng(1))
    (gx, _) = vjp(np.ones_like(x))
    assert abs((gx != 0).mean() - 0.7) < 0.05
    assert (y[gx != 0] == y.max()).all()
    np.testing.assert_array_equal(operation(x, gx != 0, p=0.3, training=True)[0], y)
    np.testing.assert_array_equal(operation(x, p=0.3, training=True, rng=np.random.default_rng(1))[0], y)
    assert (operation(x, p=0.3, training=True)[0] != y).any()


@pytest.mark.parametrize("name", ["dropout2d", "feature_alpha_dropout"])
def test_a_channel_is_dropped_as_a_whole(name):
    x = np.random.default_rng(0).standard_normal((4, 10, 3, 3))
    _, vjp = getattr(mint, name)(x, training=True, rng=np.random.default_rng(0))
    kept = vjp(np.ones_like(x))[0] != 0
    assert (kept == kept[:, :, :1, :1]).all()
    assert 0 < kept.mean() < 1


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).standard_normal(200_000)
    y, _ = mint.alpha_dropout(x, p=0.4, training=True, rng=np.random.default_rng(1))
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.02


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_and_everything(name):
    axes = {"dropout1d": 1, "dropout3d": 3}.get(name, 2)
    x = np.array([-1.0, 2.0]).reshape(1, 2, *(1,) * axes)
    operation = getattr(mint, name)
    for hyper, factor in (({"p": 0}, 1), ({"p": 1}, 0), ({"training": False}, 1)):
        y, vjp = operation(x, **{"training": True, **hyper})
        np.testing.assert_array_equal(y, factor * x)
        np.testing.assert_array_equal(vjp(x)[0], factor * x)
        assert not np.shares_memory(y, x)
    everything = np.ones((*x.shape[:2], *(1,) * (x.ndim - 2)), bool)
    assert not operation(x, everything, p=1, training=True)[0].any()


def test_a_dropped_nan_stays():
    y, _ = mint.dropout(np.array([np.nan, np.inf, 1.0]), np.zeros(3, bool))
    np.testing.assert_array_equal(y, [np.nan, np.nan, 0])


REFUSED = [
    ("dropout: p must be a number in [0, 1]; got 1.5", "dropout", (3,), None, {"p": 1.5}),
    ("dropout: p must be a number in [0, 1]; got nan", "dropout", (3,), None, {"p": np.nan}),
    ("dropout: training must be a bool; got 1", "dropout", (3,), None, {"training": 1}),
    ("dropout: rng must be a numpy.random.Generator or None; got 5", "dropout", (3,), None, {"rng": 5}),
    ("dropout: mask must have shape (3,) to fit x (3,); got (2,)", "dropout", (3,), (2,), {}),
    (
        "dropout: mask must be None where training is False; got one of shape (3,)",
        "dropout",
        (3,),
        (3,),
        {"training": False},
    ),
    ("dropout: mask and rng exclude each other; got both", "dropout", (3,), (3,), {"rng": np.random.default_rng(0)}),
    ("dropout2d: mask must have shape (2, 3, 1, 1) to fit x (2, 3, 4, 4)", "dropout2d", (2, 3, 4, 4), (2, 3, 4, 4), {}),
    ("dropout1d: x must have shape (N, C, L) or (C, L); got (3,)", "dropout1d", (3,), None, {}),
    ("dropout2d: x must have shape (N, C, H, W) or (N, C, L); got (2, 3)", "dropout2d", (2, 3), None, {}),
    ("dropout3d: x must have shape (N, C, D, H, W) or (C, D, H, W); got (2,)", "dropout3d", (2,), None, {}),
    ("feature_alpha_dropout: x must have shape (N, C, ...); got (2,)", "feature_alpha_dropout", (2,), None, {}),
]


@pytest.mark.parametrize(("message", "name", "shape", "mask", "hyper"), REFUSED)
def test_refuses(message, name, shape, mask, hyper):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        getattr(mint, name)(np.ones(shape), None if mask is None else np.ones(mask, bool), **hyper)


def test_mask_must_be_bool():
    with pytest.raises(TypeError, match="dropout: mask must have the bool dtype; got int64"):
        mint.dropout(np.ones(3), np.ones(3, np.int64))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (mint.Dropout, (50,)),
        (mint.Dropout1d, (5, 10, 2)),
        (mint.Dropout2d, (5, 10, 2, 1)),
        (mint.Dropout3d, (5, 10, 2, 1, 1)),
        (mint.AlphaDropout, (50,)),
        (mint.FeatureAlphaDropout, (5, 10, 2)),
    ],
)
def test_modules_draw_in_training_only(module, shape):
    x = np.ones(shape, np.float32)
    layer = module(0.4, rng=np.random.default_rng(0))
    first, vjp = layer(x)
    assert ((vjp(x) == 0) == (first == first.min())).all()
    assert (layer(x)[0] != first).any()  # a call draws anew
    y, vjp = layer.eval()(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(vjp(x), x)
    np.testing.assert_array_equal(module(0.4, rng=np.random.default_rng(0))(x)[0], first)
    with pytest.raises(ValueError, match=re.escape(f"{module.__name__}: p must be a number in [0, 1]; got 2")):
        module(2)
    with pytest.raises(TypeError, match=f"{module.__name__}: rng must be"):
        module(rng=0)


def test_modules_inside_a_sequential_follow_its_mode():
    model = mint.Sequential(mint.Dropout(rng=np.random.default_rng(0)), mint.RReLU())
    x = -np.ones(10)
    assert (model(x)[0] == 0).any()
    assert len(set(model.eval()(x)[0].tolist())) == 1
