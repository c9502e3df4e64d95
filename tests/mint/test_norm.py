"""Normalisation: examples by hand, digits beside a large mean, extreme magnitudes, refusals, shells with state."""

import numpy as np
import pytest

import mint

X = np.array([[1.0, 10.0], [3.0, 30.0]])


def test_batch_norm_in_training():
    weight, bias = np.array([2.0, 1.0]), np.array([0.0, 5.0])
    (y, mean, var), vjp = mint.batch_norm(
        X, np.zeros(2), np.ones(2), weight, bias, training=True, momentum=0.25, eps=1e-300
    )
    assert np.allclose(y, [[-2, 4], [2, 6]], rtol=1e-15)
    assert mean.tolist() == [0.5, 5]
    assert var.tolist() == [0.75 + 0.25 * 2, 0.75 + 0.25 * 200]  # unbiased: 2·σ²
    gx, *none, gweight, gbias = vjp(np.array([[1.0, 0.0], [0.0, 0.0]]))
    # two values are always ±1: nothing that happens to them changes y
    assert np.allclose(gx, 0, atol=1e-15)
    assert none == [None, None]
    assert gweight.tolist() == [-1, 0]
    assert gbias.tolist() == [1, 0]


def test_batch_norm_in_evaluation():
    (y, mean, var), vjp = mint.batch_norm(X, np.array([1.0, 0.0]), np.array([4.0, 25.0]), eps=0.0)
    assert y.tolist() == [[0, 2], [1, 6]]
    assert (mean.tolist(), var.tolist()) == ([1, 0], [4, 25])
    assert vjp(np.ones_like(X))[0].tolist() == [[0.5, 0.2]] * 2


def test_without_running_statistics_there_is_one_result():
    assert mint.batch_norm(X, training=True)[0].shape == X.shape
    assert mint.instance_norm(X[..., None].repeat(2, 2))[0].shape == (2, 2, 2)


@pytest.mark.parametrize("shape", [(0, 2, 3), (3, 2, 0)])
def test_nothing_leaves_the_running_statistics_alone(shape):
    mean, var = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    for op, hyper in ((mint.batch_norm, {"training": True}), (mint.instance_norm, {})):
        (y, new_mean, new_var), vjp = op(np.empty(shape), mean, var, np.ones(2), np.ones(2), **hyper)
        assert y.shape == shape
        assert (new_mean.tolist(), new_var.tolist()) == ([1, 2], [3, 4])
        assert [g.tolist() for g in vjp(y)[3:]] == [[0, 0], [0, 0]]


def test_instance_norm_remembers_the_mean_over_the_samples():
    x = np.array([[[0.0, 2.0]], [[10.0, 14.0]]])
    (y, mean, var), _ = mint.instance_norm(x, np.zeros(1), np.zeros(1), momentum=1.0, eps=0.0)
    assert y.tolist() == [[[-1, 1]], [[-1, 1]]]
    assert (mean.tolist(), var.tolist()) == ([6.5], [5.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_the_digits_of_a_spread_beside_a_large_mean(dtype):
    d = np.random.default_rng(0).standard_normal(64).astype(dtype)
    x = d + dtype(1e4)
    exact = x.astype(np.longdouble) - np.longdouble(1e4)  # exact: the numbers are near each other
    exact -= exact.mean()
    expected = exact / np.sqrt((exact * exact).mean() + np.longdouble(1e-5))
    y, _ = mint.layer_norm(x, normalized_shape=64)
    assert np.abs(y - expected).max() <= 8 * np.finfo(dtype).eps


@pytest.mark.parametrize("scale", [2.0**-1060, 2.0**-600, 1.0, 2.0**600, 2.0**1020])
def test_squares_neither_overflow_nor_underflow(scale):
    x = np.array([[3.0, -4.0, 0.0, 0.0]])
    centred = np.array([[1.0, -1.0, 3.0, -3.0]])
    for y, expected in (
        (mint.rms_norm(x * scale, normalized_shape=4, eps=0.0)[0], x / 2.5),
        (mint.layer_norm(centred * scale, normalized_shape=4, eps=0.0)[0], centred / np.sqrt(5)),
        (mint.group_norm(centred * scale, num_groups=1, eps=0.0)[0], centred / np.sqrt(5)),
        (mint.instance_norm(centred[None] * scale, eps=0.0)[0][0], centred / np.sqrt(5)),
    ):
        assert np.allclose(y, expected, rtol=1e-15)


@pytest.mark.parametrize("value", [1e308, -np.finfo(np.float64).max, 1e-300, 0.0])
def test_of_a_constant_only_eps_is_left(value):
    for n in (2, 4):
        x = np.full((1, n), value)
        y, vjp = mint.group_norm(x, num_groups=1, eps=0.25)
        assert not y.any()
        gy = np.arange(n) - (n - 1) / 2
        assert np.array_equal(vjp(gy[None])[0], [gy / 0.5])


def test_what_is_not_finite():
    x = np.array([1.0, 2.0, np.inf])
    y, vjp = mint.rms_norm(x, normalized_shape=3)
    assert np.array_equal(y, [0, 0, np.nan], equal_nan=True)
    assert np.isnan(vjp(np.ones(3))[0]).all()
    (y, mean, _), _ = mint.batch_norm(x[:, None], np.zeros(1), np.ones(1), training=True)
    assert np.isnan(y).all()
    assert mean.tolist() == [np.inf]
    y, _ = mint.local_response_norm(np.array([np.nan, 1.0, 2.0]).reshape(1, 3, 1), size=1)
    assert np.isnan(y).ravel().tolist() == [True, False, False]


def test_the_default_eps_of_rms_norm_is_that_of_the_dtype_computed_in():
    for dtype, eps in ((np.float16, 2**-23), (np.float32, 2**-23), (np.float64, 2**-52), (np.longdouble, 2**-52)):
        x = np.zeros(4, dtype)
        _, vjp = mint.rms_norm(x, normalized_shape=4)
        assert np.allclose(vjp(np.full_like(x, 1 / 64))[0].astype(float), 1 / 64 / np.sqrt(eps), rtol=1e-3)


def test_local_response_norm_sums_over_the_channels_around():
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    # an even window has its longer half before the channel
    for size, sums in ((1, [1, 4, 9, 16]), (2, [1, 5, 13, 25]), (3, [5, 14, 29, 25]), (4, [5, 14, 30, 29])):
        y, _ = mint.local_response_norm(x, size=size, alpha=float(size), beta=1.0, k=0.0)
        assert np.allclose(y.ravel(), x.ravel() / sums, rtol=1e-15)
    y, vjp = mint.local_response_norm(np.full((1, 2, 1), 1e200), size=2, k=0.0, alpha=1.0, beta=0.5)
    assert np.allclose(y.ravel(), [np.sqrt(2), 1])
    assert np.isfinite(vjp(np.ones_like(y))[0]).all()


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (lambda: mint.batch_norm(X[:1], training=True), "batch_norm: x must have more than one value per channel"),
        (lambda: mint.batch_norm(X), "batch_norm: running_mean and running_var must be given where"),
        (lambda: mint.batch_norm(X, np.zeros(2), training=True), "batch_norm: running_mean and running_var must be"),
        (lambda: mint.batch_norm(X, training=True, eps=0.0), "batch_norm: eps must be positive"),
        (
            lambda: mint.batch_norm(X, None, None, np.ones(3), training=True),
            r"weight must have shape \(2,\); got \(3,\)",
        ),
        (lambda: mint.instance_norm(X), "instance_norm: x must have more than one value per channel and sample"),
        (lambda: mint.layer_norm(X, normalized_shape=3), "layer_norm: the last axes of x must be normalized_shape"),
        (lambda: mint.layer_norm(X, normalized_shape=()), "layer_norm: normalized_shape must be an int of at least 0"),
        (lambda: mint.rms_norm(X, np.ones(1), normalized_shape=2), r"rms_norm: weight must have shape \(2,\)"),
        (lambda: mint.rms_norm(X, normalized_shape=2, eps=-1.0), r"rms_norm: eps must be a number in \[0, inf\]"),
        (lambda: mint.group_norm(X, num_groups=3), "group_norm: num_groups must divide the 2 channels of x; got 3"),
        (lambda: mint.group_norm(X[:1], num_groups=2), "group_norm: x must have more than one value per group"),
        (lambda: mint.local_response_norm(X, size=2), r"local_response_norm: x must have shape \(N, C, d, ...\)"),
        (lambda: mint.local_response_norm(X, size=0), "local_response_norm: size must be an int of at least 1"),
        (lambda: mint.GroupNorm(3, 4), "GroupNorm: num_groups must divide num_channels, 4; got 3"),
        (lambda: mint.GroupNorm(2, 4)(X), r"GroupNorm: x must have 4 channels; got \(2, 2\)"),
        (lambda: mint.BatchNorm1d(2)(X[None, None]), r"BatchNorm1d: x must have shape \(N, C\) or \(N, C, L\)"),
        (lambda: mint.BatchNorm2d(3)(X[None, None]), r"BatchNorm2d: x must have 3 channels; got \(1, 1, 2, 2\)"),
        (lambda: mint.CrossMapLRN2d(2)(X), r"CrossMapLRN2d: x must have shape \(N, C, H, W\)"),
    ],
)
def test_refusals(invalid, message):
    with pytest.raises(ValueError, match=message):
        invalid()


def test_batch_norm_remembers():
    rng = np.random.default_rng(0)
    batches = rng.standard_normal((3, 5, 2))
    for momentum, weights in ((0.1, (0.1 * 0.9**2, 0.1 * 0.9, 0.1)), (None, (1 / 3,) * 3)):
        layer = mint.BatchNorm1d(2, momentum=momentum, dtype=np.float64)
        for x in batches:
            layer(x)
        assert layer.num_batches_tracked == 3
        assert np.allclose(layer.running_mean, np.tensordot(weights, batches.mean(1), 1), rtol=1e-14)
        variance = np.tensordot(weights, batches.var(1, ddof=1), 1) + (1 - sum(weights))
        assert np.allclose(layer.running_var, variance, rtol=1e-14)
        mean, var = layer.running_mean, layer.running_var
        y, vjp = layer.eval()(batches[0])
        assert np.allclose(y, (batches[0] - mean) / np.sqrt(var + 1e-5), rtol=1e-13)
        assert (layer.num_batches_tracked, layer.running_mean.tolist()) == (3, mean.tolist())
        vjp(np.ones_like(y))
        assert layer.bias.grad.tolist() == [5, 5]


def test_without_tracking_evaluation_uses_the_batch():
    for layer in (mint.BatchNorm1d(2, track_running_stats=False), mint.InstanceNorm1d(2)):
        x = np.random.default_rng(0).standard_normal((4, 2, 5)).astype(np.float32)
        assert layer.running_mean is None
        assert layer(x)[0].tolist() == layer.eval()(x)[0].tolist()


def test_instance_norm_takes_one_sample():
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    layer = mint.InstanceNorm2d(2, affine=True, track_running_stats=True)
    y, vjp = layer(x)
    batch, batch_vjp = mint.InstanceNorm2d(2)(x[None])
    assert y.tolist() == batch[0].tolist()
    assert vjp(x).tolist() == batch_vjp(x[None])[0].tolist()
    assert layer.running_mean.any()
    assert layer.num_batches_tracked == 0


def test_which_parameters_a_shell_owns():
    for layer, names in (
        (mint.BatchNorm3d(2), ["weight", "bias"]),
        (mint.BatchNorm2d(2, affine=False), []),
        (mint.BatchNorm2d(2, bias=False), ["weight"]),
        (mint.InstanceNorm3d(2), []),
        (mint.LayerNorm((2, 3)), ["weight", "bias"]),
        (mint.LayerNorm(3, bias=False), ["weight"]),
        (mint.LayerNorm(3, elementwise_affine=False), []),
        (mint.RMSNorm(3), ["weight"]),
        (mint.GroupNorm(2, 4), ["weight", "bias"]),
    ):
        assert [name for name, _ in layer.named_parameters()] == names
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    for layer in (mint.LayerNorm(3), mint.RMSNorm(3), mint.GroupNorm(1, 3)):
        y, vjp = layer(x)
        assert vjp(np.ones_like(y)).shape == x.shape
        assert all(parameter.grad.shape == (3,) for parameter in layer.parameters())
