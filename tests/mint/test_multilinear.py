"""linear, convolution and average pooling on small integers: sums are exact, equality is to the last bit."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mint


def inner(a, b):
    """⟨a, b⟩ without any rounding."""
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    return sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(0))


def integers(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.integers(-4, 5, shape).astype(np.float64) for shape in shapes]


def assert_adjoint(function, *arrays, seed):
    """⟨gy, f(…, a, …) − f(…, 0, …)⟩ = ⟨ga, a⟩ for each array a in which f is affine."""
    y, vjp = function(*arrays)
    (gy,) = integers(seed + 1, y.shape)
    for place, (array, gradient) in enumerate(zip(arrays, vjp(gy), strict=True)):
        without, _ = function(*arrays[:place], np.zeros_like(array), *arrays[place + 1 :])
        assert inner(gy, y - without) == inner(gradient, array)


seeds = st.integers(0, 2**32 - 2)


@st.composite
def convolutions(draw, transposed):
    """An operation's name, the shapes of its three arrays and its hyper-parameters, mostly valid."""
    axes = draw(st.integers(1, 3))

    def per_axis(least, most):
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    groups = draw(st.integers(1, 3))
    n, c, o = draw(st.integers(0, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = per_axis(1, 3)
    hyper = {"stride": per_axis(1, 3), "dilation": per_axis(1, 3), "groups": groups}
    padding = draw(st.sampled_from(["ints", "pairs", "same", "valid"]))
    if padding == "same":
        hyper["stride"] = 1
    hyper["padding"] = {
        "ints": per_axis(0, 2),
        "pairs": tuple(zip(per_axis(0, 2), per_axis(0, 2), strict=True)),
    }.get(padding, padding)
    if transposed:
        hyper["output_padding"] = per_axis(0, 2)
        weight = (c * groups, o, *kernel)
    else:
        weight = (o * groups, c, *kernel)
    name = f"conv_transpose{axes}d" if transposed else f"conv{axes}d"
    return name, ((n, c * groups, *per_axis(1, 5)), weight, (o * groups,)), hyper


def accepted(operation, arrays, hyper):
    try:
        return operation(*arrays, **hyper)
    except ValueError:
        assume(False)


@given(convolutions(transposed=False) | convolutions(transposed=True), seeds)
def test_convolution_gradients_are_adjoint(configuration, seed):
    name, shapes, hyper = configuration
    operation, arrays = getattr(mint, name), integers(seed, *shapes)
    accepted(operation, arrays, hyper)
    assert_adjoint(lambda *a: operation(*a, **hyper), *arrays, seed=seed)


@given(convolutions(transposed=True), seeds)
def test_transposed_convolution_is_the_gradient_of_convolution(configuration, seed):
    name, (x_shape, w_shape, _), hyper = configuration
    x, w = integers(seed, x_shape, w_shape)
    # less than a stride, so that the convolution has as many windows as x has elements
    hyper["output_padding"] = tuple(
        min(extra, stride - 1)
        for extra, stride in zip(hyper["output_padding"], np.broadcast_to(hyper["stride"], x.ndim - 2), strict=True)
    )
    y, vjp = accepted(getattr(mint, name), (x, w), hyper)
    (gy,) = integers(seed + 1, y.shape)
    gx, gw, _ = vjp(gy)

    del hyper["output_padding"]
    z, convolution_vjp = accepted(getattr(mint, name.replace("_transpose", "")), (gy, w), hyper)
    assert np.array_equal(gx, z)
    assert np.array_equal(y, convolution_vjp(x)[0])
    assert np.array_equal(gw, convolution_vjp(x)[1])


@given(st.lists(st.integers(0, 3), max_size=2), st.integers(0, 4), st.integers(0, 4), seeds)
def test_linear_gradients_are_adjoint(lead, n_in, n_out, seed):
    assert_adjoint(mint.linear, *integers(seed, (*lead, n_in), (n_out, n_in), (n_out,)), seed=seed)


@given(st.integers(1, 3), st.integers(0, 2), st.sampled_from([1, 2, 4]), st.integers(1, 3), st.booleans(), seeds)
def test_avg_pool_gradient_is_adjoint(axes, n, kernel, stride, padded, seed):
    hyper = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2 if padded else 0}
    (x,) = integers(seed, (n, 2, *(5, 4, 6)[:axes]))
    assert_adjoint(lambda a: getattr(mint, f"avg_pool{axes}d")(a, **hyper), x, seed=seed)


def test_flatten_gradient_is_adjoint():
    assert_adjoint(lambda a: mint.flatten(a, start_dim=1, end_dim=2), *integers(0, (2, 3, 4, 2)), seed=0)


def test_the_stride_leaves_rows_that_get_no_gradient():
    x = np.ones((1, 1, 6))
    y, vjp = mint.conv1d(x, np.ones((1, 1, 2)), stride=3)
    assert y.shape == (1, 1, 2)
    assert vjp(np.ones_like(y))[0].tolist() == [[[1, 1, 0, 1, 1, 0]]]


def test_same_puts_the_odd_zero_on_the_far_side():
    y, _ = mint.conv1d(np.array([[[1.0, 2.0, 3.0]]]), np.array([[[1.0, 10.0]]]), padding="same")
    assert y.tolist() == [[[21, 32, 3]]]


def test_output_padding_adds_rows_on_the_far_side():
    x, w, b = np.array([[[1.0, 2.0]]]), np.array([[[1.0]]]), np.array([5.0])
    y, _ = mint.conv_transpose1d(x, w, b, stride=3, output_padding=2)
    assert y.tolist() == [[[6, 5, 5, 7, 5, 5]]]


def test_no_channels_leave_the_bias():
    y, vjp = mint.conv1d(np.ones((2, 0, 3)), np.ones((1, 0, 2)), np.array([7.0]))
    assert y.tolist() == [[[7, 7]], [[7, 7]]]
    assert [g.shape for g in vjp(y)] == [(2, 0, 3), (1, 0, 2), (1,)]


@pytest.mark.parametrize(
    ("hyper", "expected"),
    [
        ({"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}, [0.5, 2.5, 4.5]),
        ({"kernel_size": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}, [1, 2.5, 4.5]),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, [1.5, 3, 4.5]),
        ({"kernel_size": 4, "stride": 4, "ceil_mode": True}, [2.5, 5]),
        ({"kernel_size": 4, "stride": 4, "ceil_mode": True, "divisor_override": 8}, [1.25, 0.625]),
    ],
)
def test_avg_pool_divides_by_what_counts(hyper, expected):
    y, _ = mint.avg_pool1d(np.array([[[1.0, 2, 3, 4, 5]]]), **hyper)
    assert y.tolist() == [[expected]]
