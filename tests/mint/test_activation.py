"""Activations: digits in the tails, no overflow, and PyTorch's conventions at kinks, infinities and NaN."""

import numpy as np
import pytest

import mint

SMOOTH = {
    "elu": ({}, lambda m, x: x if x > 0 else m.expm1(x)),
    "sigmoid": ({}, lambda m, x: 1 / (1 + m.exp(-x))),
    "tanh": ({}, lambda m, x: m.tanh(x)),
    "softplus": ({"threshold": 1000.0}, lambda m, x: m.log1p(m.exp(x))),
    "gelu": ({}, lambda m, x: x / 2 * m.erfc(-x / m.sqrt(2))),
    "gelu-tanh": (
        {"approximate": "tanh"},
        lambda m, x: x / (1 + m.exp(-m.sqrt(8 / m.pi) * (x + m.mpf("0.044715") * x**3))),
    ),
    "silu": ({}, lambda m, x: x / (1 + m.exp(-x))),
    "selu": (
        {},
        lambda m, x: (
            m.mpf("1.05070098735548049341933498529460635")
            * (x if x > 0 else m.mpf("1.67326324235437728481704299167165204") * m.expm1(x))
        ),
    ),
    "celu": ({"alpha": 2.0}, lambda m, x: x if x > 0 else 2 * m.expm1(x / 2)),
    "mish": ({}, lambda m, x: x * m.tanh(m.log1p(m.exp(x)))),
    "softsign": ({}, lambda m, x: x / (1 + (x if x > 0 else -x))),
    "logsigmoid": ({}, lambda m, x: -m.log1p(m.exp(-x))),
    "tanhshrink": ({}, lambda m, x: x - m.tanh(x)),
}
# Roundings on the way, each of half an ulp or, in exp and its relatives, one ulp, beside the one or two
# roundings that an intermediate argument suffers: those count |x·f′(x)| per rounding, or |u·df/du| for the
# cubic u of gelu-tanh.
ROUNDINGS = 12


def exact(mpmath, value):
    """A NumPy scalar of up to 64 digits as an mpmath number."""
    mantissa, exponent = np.frexp(value)
    return mpmath.ldexp(int(np.ldexp(mantissa.astype(np.longdouble), 64)), int(exponent) - 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("name", SMOOTH)
def test_value_and_gradient_keep_their_digits(name, dtype):
    mpmath = pytest.importorskip("mpmath", reason="the truth to many digits needs mpmath")
    hyper, formula = SMOOTH[name]
    rng = np.random.default_rng(0)
    # no further to the left, where float32 would run into its subnormals
    x = np.concatenate([rng.uniform(-8, 12, 60), rng.uniform(-1e-3, 1e-3, 10)]).astype(dtype)
    y, vjp = getattr(mint, name.removesuffix("-tanh"))(x, **hyper)
    (gx,) = vjp(np.ones_like(x))
    unit = mpmath.mpf(2) ** -(np.finfo(dtype).nmant + 1)
    with mpmath.workdps(150):
        for at, value, slope in zip(x, y, gx, strict=True):
            p = exact(mpmath, at)
            truth, first, second = mpmath.taylor(lambda q: formula(mpmath, q), p, 2)
            # the cubic's argument has condition 3 where the cube dominates
            reach = 3 * abs(p)
            assert abs(exact(mpmath, value) - truth) <= ROUNDINGS * unit * (abs(truth) + reach * abs(first))
            terms = abs(first) + reach * abs(2 * second) + abs(truth / p)
            assert abs(exact(mpmath, slope) - first) <= ROUNDINGS * unit * terms


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_nothing_overflows_where_the_result_is_finite(dtype):
    largest = np.finfo(dtype).max
    x = np.array([-largest, -1e4, 1e4, largest], dtype)
    ones, zeros = [0, 0, 1, 1], [0, 0, 0, 0]
    limits = {
        "relu": ([0, 0, *x[2:]], ones),
        "elu": ([-1, -1, *x[2:]], ones),
        "sigmoid": (ones, zeros),
        "tanh": ([-1, -1, 1, 1], zeros),
        "softplus": ([0, 0, *x[2:]], ones),
        "gelu": ([0, 0, *x[2:]], ones),
        "silu": ([0, 0, *x[2:]], ones),
    }
    if dtype is np.longdouble:
        # its exp(−10⁴) is not 0 yet
        x[1:3] = [-largest / 2, largest / 2]
        limits = {name: ([*y[:2], *(x[2:] if y[3] == largest else y[2:])], g) for name, (y, g) in limits.items()}
    for name, (values, slopes) in limits.items():
        for hyper in ({}, {"approximate": "tanh"}) if name == "gelu" else ({},):
            y, vjp = getattr(mint, name)(x, **hyper)
            assert y.tolist() == values, name
            assert vjp(np.ones_like(x))[0].tolist() == slopes, name
    assert mint.softmax(x, dim=0)[0].tolist() == [0, 0, 0, 1]
    assert mint.softplus(x, threshold=np.inf)[0][2:].tolist() == x[2:].tolist()


def test_the_largest_log_probability_keeps_its_digits():
    y, _ = mint.log_softmax(np.array([0.0, -60.0]), dim=0)
    assert y.tolist() == [-np.exp(-60.0), -60.0]


def test_small_arguments_of_tanhshrink_keep_their_digits():
    for dtype in (np.float32, np.float64, np.longdouble):
        x = np.array([1e-9, -1e-5], dtype)
        y, vjp = mint.tanhshrink(x)
        np.testing.assert_allclose(y, x**3 / 3 - 2 * x**5 / 15, rtol=8 * np.finfo(dtype).eps)
        np.testing.assert_allclose(vjp(np.ones_like(x))[0], x**2 - 2 * x**4 / 3, rtol=8 * np.finfo(dtype).eps)


def test_softsign_where_the_difference_of_slopes_would_be_nothing():
    x = np.array([-1e20, 1e20])
    y, vjp = mint.softsign(x)
    assert y.tolist() == [-1, 1]
    np.testing.assert_allclose(vjp(np.ones(2))[0], [1e-40, 1e-40], rtol=1e-15)


@pytest.mark.parametrize("alpha", [0, 0.0, np.float32(0)])
def test_celu_refuses_an_alpha_of_nothing(alpha):
    with pytest.raises(ValueError, match="celu: alpha must be a number other than 0; got 0"):
        mint.celu(np.ones(2), alpha=alpha)


@pytest.mark.parametrize(
    ("name", "hyper", "slope"),
    [
        ("relu", {}, 0),
        ("selu", {}, 1.7580993408473768),
        ("celu", {"alpha": 3}, 1),
        ("leaky_relu", {"negative_slope": 0.25}, 0.25),
        ("leaky_relu", {"negative_slope": -2}, -2),
        ("elu", {"alpha": 3}, 3),
        ("softplus", {"threshold": 0}, 0.5),
        ("softplus", {"threshold": -1}, 1),
    ],
)
def test_slope_at_zero(name, hyper, slope):
    _, vjp = getattr(mint, name)(np.zeros(1), **hyper)
    assert vjp(np.ones(1))[0].tolist() == [slope]


def test_elu_at_infinities_and_nan():
    # apart from the comparison with PyTorch, whose slope at NaN depends on the length of the array
    y, vjp = mint.elu(np.array([-np.inf, np.inf, np.nan]), alpha=0.5)
    assert y.tolist()[:2] == [-0.5, np.inf]
    assert vjp(np.ones(3))[0].tolist()[:2] == [0, 1]
    assert np.isnan([y[2], vjp(np.ones(3))[0][2]]).all()


def test_zero_dimensional_and_empty_rows():
    assert mint.softmax(np.array(3.0), dim=-1)[0].tolist() == 1
    assert mint.log_softmax(np.array(3.0), dim=0)[0].tolist() == 0
    y, vjp = mint.log_softmax(np.ones((3, 0)), dim=1)
    assert y.shape == vjp(y)[0].shape == (3, 0)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("relu", {}),
        ("leaky_relu", {"negative_slope": 0.0}),
        ("leaky_relu", {"negative_slope": -0.5}),
        ("sigmoid", {}),
        ("tanh", {}),
        ("softplus", {"beta": -2.0}),
        ("gelu", {"approximate": "none"}),
        ("gelu", {"approximate": "tanh"}),
        ("silu", {}),
        ("mish", {}),
        ("softsign", {}),
        ("logsigmoid", {}),
        ("tanhshrink", {}),
        ("threshold", {"threshold": 0.5, "value": 2.0}),
        ("softmax", {"dim": 1}),
        ("log_softmax", {"dim": 1}),
        ("softmin", {"dim": 1}),
        ("glu", {"dim": 1}),
    ],
)
def test_infinities_and_nan_lie_where_pytorch_has_them(name, hyper):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = np.array([[-np.inf, 1, 2, 0], [np.inf, 1, 0, -1], [np.nan, 0, 1, 2], [-np.inf] * 4, [0, -0.0, 5, -5]])
    y, vjp = getattr(mint, name)(x, **hyper)
    tx = torch.tensor(x, requires_grad=True)
    ty = getattr(torch.nn.functional, name)(tx, **hyper)
    ty.backward(torch.ones_like(ty))
    for ours, theirs in ((y, ty.detach().numpy()), (vjp(np.ones_like(y))[0], tx.grad.numpy())):
        special = ~np.isfinite(theirs)
        assert np.array_equal(special, ~np.isfinite(ours))
        assert np.array_equal(ours[special], theirs[special], equal_nan=True)
