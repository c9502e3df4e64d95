"""Power-average pooling: signs, orders of all kinds, kinks, extreme magnitudes, windows beyond the map."""

import math
from itertools import product

import numpy as np
import pytest

import mint

NAN, INF = np.nan, np.inf


def pooled(values, p, **hyper):
    """One window over all values: y and gx."""
    x = np.array([values], float)
    y, vjp = mint.lp_pool1d(x, norm_type=p, **{"kernel_size": len(values), **hyper})
    return y[0].tolist(), vjp(np.ones_like(y))[0][0].tolist()


def test_the_norm_of_signed_elements():
    assert pooled([3, -4], 2) == ([5], pytest.approx([0.6, -0.8], rel=1e-15))
    assert pooled([3, -4], 1) == ([-1], [1, 1])
    assert pooled([-1, 2], 3) == ([pytest.approx(7 ** (1 / 3))], pytest.approx([7 ** (-2 / 3), 4 * 7 ** (-2 / 3)]))
    assert pooled([2, -4], -1) == ([4], [4, 1])
    assert pooled([1, 4], 0.5) == ([9], [3, 1.5])
    # an odd power has no root where the sum is negative, a fraction none of negative elements
    for p in (3, 1.5):
        y, gx = pooled([1, -2], p)
        assert np.isnan([*y, *gx]).all()


def test_orders_of_infinity_are_extreme_magnitudes():
    assert pooled([3, -4, 4], INF) == ([4], [0, -1, 0])
    assert pooled([-3, 4, 3], -INF) == ([3], [-1, 0, 0])
    assert pooled([0, 0], INF) == ([0], [0, 0])
    y, gx = pooled([1, NAN], INF)
    assert np.isnan(y).all()
    assert gx == [0, 0]


def test_kinks():
    # the powers sum up to 0
    for values, p in product(([0, 0], [-0.0, 0]), (2, 1, 3, 0.5, 1.5, 0.3)):
        assert pooled(values, p) == ([0], [0, 0])
    assert pooled([3, -3], 1) == ([0], [0, 0])
    assert pooled([3, -3], 3) == ([0], [0, 0])
    assert pooled([2, -2], -1) == ([INF], [0, 0])
    # an element of 0 whose power is infinite
    assert pooled([0, 2], -1) == ([0], [0, 0])
    assert pooled([0, 2], -2) == ([0], [0, 0])
    # or its slope
    assert pooled([0, 4], 0.5) == ([4], [INF, 1])
    # infinite slopes of two windows count once
    y, vjp = mint.lp_pool1d(np.array([[1.0, 0.0, 4.0]]), norm_type=0.5, kernel_size=2, stride=1)
    assert y.tolist() == [[1, 4]]
    assert vjp(np.array([[5.0, -2.0]]))[0].tolist() == [[5, INF, -2]]


def test_windows_beyond_the_map_stand_for_full_ones():
    y, vjp = mint.lp_pool1d(np.array([[3.0, 4.0, 6.0]]), norm_type=2, kernel_size=2, ceil_mode=True)
    # k/m·6² = 2·6²
    assert y[0] == pytest.approx([5, math.sqrt(72)], rel=1e-15)
    assert vjp(np.ones((1, 2)))[0][0] == pytest.approx([0.6, 0.8, math.sqrt(2)], rel=1e-15)
    y, vjp = mint.lp_pool1d(np.array([[0.5, 1.0, 0.25]]), norm_type=-1, kernel_size=2, ceil_mode=True)
    assert y.tolist() == [[1 / 3, 0.125]]
    y, vjp = mint.lp_pool1d(np.array([[3.0, -4.0, 6.0]]), norm_type=INF, kernel_size=2, ceil_mode=True)
    assert (y.tolist(), vjp(np.ones((1, 2)))[0].tolist()) == ([[4, 6]], [[0, -1, 1]])


def test_elements_between_the_windows_have_no_gradient():
    # also those whose power is NaN, where PyTorch's is NaN
    y, vjp = mint.lp_pool1d(np.array([[1.0, -2.0, NAN, 4.0]]), norm_type=0.5, kernel_size=1, stride=3)
    assert y.tolist() == [[1, 4]]
    assert vjp(np.ones((1, 2)))[0].tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize("scale", [2.0**-1070, 2.0**-800, 1.0, 2.0**800, 2.0**1020])
@pytest.mark.parametrize("p", [2, 1, 3, 7, 1.5, 0.5, -1, -2, -2.5])
def test_powers_neither_overflow_nor_underflow(p, scale):
    x = np.array([3.0, 4.0, 7.0, 1.0])
    y, gx = pooled(x, p)
    scaled, gradient = pooled(x * scale, p)
    assert scaled == pytest.approx([v * scale for v in y], rel=1e-14, abs=2.0**-1074)
    assert gradient == pytest.approx(gx, rel=1e-13)


def test_like_pytorch_at_infinity_and_zero():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    for p in (2, 1, 3, 4, 5, 0.5, 1.5, 0.7, -1, -2, -0.5, INF, -INF):
        for _ in range(40):
            x = rng.choice([INF, -INF, NAN, 0, 1, -1, 2, -2, 3], (1, 1, 3))
            y, vjp = mint.lp_pool1d(x, norm_type=p, kernel_size=3)
            gx = vjp(np.ones_like(y))[0]
            tx = torch.tensor(x, requires_grad=True)
            ty = torch.nn.functional.lp_pool1d(tx, p, 3)
            ty.sum().backward()
            expected = tx.grad.numpy()
            np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-13)
            total = 1 if math.isinf(p) else tx.detach().pow(p).sum().item()
            if p == 1 and np.isnan(total):
                assert (gx == 1).all()  # a sum has the slope 1, where PyTorch's is 0
            elif not math.isinf(p) and ((p < 0 and math.isinf(total)) or (0 < p < 1 and total == 0)):
                assert not gx.any()  # a kink, at which PyTorch's is NaN
            else:
                np.testing.assert_allclose(gx, expected, rtol=1e-13)


def test_batches_and_single_samples():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5, 6))
    hyper = {"norm_type": 2, "kernel_size": (2, 1, 3), "stride": (1, 2, 2), "ceil_mode": True}
    y, vjp = mint.lp_pool3d(x, **hyper)
    single, single_vjp = mint.lp_pool3d(x[1], **hyper)
    assert y.shape == (2, 3, 3, 3, 3)
    assert single.tolist() == y[1].tolist()
    assert single_vjp(single)[0].tolist() == vjp(y)[0][1].tolist()
    assert mint.lp_pool2d(x[:0, :, 0], norm_type=2, kernel_size=2)[0].shape == (0, 3, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_type": 0}, "norm_type must be other than 0; got 0"),
        ({"norm_type": NAN}, r"norm_type must be a number in \[-inf, inf\]; got nan"),
        ({"norm_type": "two"}, r"norm_type must be a number in \[-inf, inf\]; got 'two'"),
        ({"kernel_size": 0}, "kernel_size must be an int of at least 1 or a tuple of 2 of them; got 0"),
        ({"kernel_size": 4}, r"the output map must have at least one element on every axis; got \(1, 0\)"),
        ({"stride": 0}, "stride must be an int of at least 1 or a tuple of 2 of them; got 0"),
        ({"ceil_mode": 1}, "ceil_mode must be a bool; got 1"),
    ],
)
def test_refusals(change, message):
    with pytest.raises((ValueError, TypeError), match=f"^lp_pool2d: {message}$"):
        mint.lp_pool2d(np.ones((1, 1, 4, 3)), **{"norm_type": 2, "kernel_size": 2, **change})


def test_refusals_that_depend_on_the_dimension():
    with pytest.raises(TypeError, match=r"^lp_pool1d: kernel_size must be an int of at least 1; got \(2,\)$"):
        mint.lp_pool1d(np.ones((1, 4)), norm_type=2, kernel_size=(2,))
    larger = {"kernel_size": (1, 1, 3), "ceil_mode": True}
    with pytest.raises(ValueError, match=r"^lp_pool3d: kernel_size must be at most the map \(2, 2, 2\); got"):
        mint.lp_pool3d(np.ones((1, 2, 2, 2)), norm_type=2, **larger)
    assert mint.lp_pool3d(np.ones((1, 2, 2, 2)), norm_type=INF, **larger)[0].shape == (1, 2, 2, 1)
