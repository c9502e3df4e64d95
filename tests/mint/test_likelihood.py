"""Losses that are likelihoods: values by hand, tails, what PyTorch does at the ends, and the shapes that it takes."""

import itertools
import math

import numpy as np
import pytest

import mint

ONE = np.array(1.0)


def gradients(result):
    y, vjp = result
    return vjp(np.ones_like(y))


def test_nll_picks_the_target():
    x = np.array([[-1.0, -2.0], [-4.0, -8.0], [-16.0, -32.0]])
    target, weight = np.array([1, 0, -100]), np.array([1.0, 3.0])
    for reduction, expected in (("none", [6, 4, 0]), ("sum", 10), ("mean", 2.5)):
        y, vjp = mint.nll_loss(x, target, weight, reduction=reduction)
        assert y.tolist() == expected
    gx, gtarget, gweight = vjp(np.array(4.0))
    assert gx.tolist() == [[0, -3], [-1, 0], [0, 0]]
    assert gtarget is None
    # (4 − 2.5)/4 and (2 − 2.5)/4, times 4
    assert gweight.tolist() == [1.5, -0.5]


def test_nll_of_one_sample_and_of_maps():
    x = np.arange(24.0).reshape(2, 3, 4)
    target = np.array([[0, 1, 2, 0], [1, 1, 0, 2]])
    y, _ = mint.nll_loss(x, target, reduction="none")
    assert y.tolist() == [[-x[n, target[n, d], d] for d in range(4)] for n in range(2)]
    assert mint.nll_loss(x[0, :, 1], np.array(2))[0] == -9
    assert np.isnan(mint.nll_loss(x, np.full((2, 4), -100))[0])
    assert np.isnan(mint.nll_loss(np.ones((0, 3)), np.ones(0, int))[0])


def test_nll_sees_the_target_alone():
    x = np.array([[-1.0, np.nan], [np.inf, np.nan]])
    y, vjp = mint.nll_loss(x, np.array([0, -100]))
    assert y == 1
    assert vjp(ONE)[0].tolist() == [[-1, 0], [0, 0]]


def test_no_logarithm_of_a_probability_is_below_minus_100():
    x, target = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    y, vjp = mint.binary_cross_entropy(x, target, reduction="none")
    assert y.tolist() == [100, 100, 0, 0]
    gx, gtarget, _ = vjp(np.ones(4))
    # (x − target)/10⁻¹², PyTorch's constant being a float32
    assert gx.tolist() == [-1 / np.float64(np.float32(1e-12)), 1 / np.float64(np.float32(1e-12)), 0, 0]
    assert gtarget.tolist() == [100, -100, 100, -100]


def test_small_probabilities_keep_their_digits():
    x = np.array([1e-20, 1e-5])
    y, vjp = mint.binary_cross_entropy(x, np.zeros(2), reduction="none")
    assert np.allclose(y, [1e-20, -math.log1p(-1e-5)], rtol=1e-15, atol=0)
    assert np.allclose(vjp(np.ones(2))[0][1], 1 / (1 - 1e-5), rtol=1e-15)


def test_logits_of_any_size():
    x = np.array([1000.0, -1000.0, -40.0, 40.0, 0.0])
    for target, expected in (
        (np.ones(5), [0, 1000, 40, math.exp(-40), math.log(2)]),
        (np.zeros(5), [1000, 0, math.exp(-40), 40, math.log(2)]),
    ):
        y, vjp = mint.binary_cross_entropy_with_logits(x, target, reduction="none")
        assert np.allclose(y, expected, rtol=1e-15, atol=0)
        gx, gtarget, *_ = vjp(np.ones(5))
        assert np.allclose(gx[3], -math.exp(-40) if target[0] else 1, rtol=1e-15)
        assert gtarget.tolist() == (-x).tolist()


def test_pos_weight_weighs_positive_examples():
    x, target, pos_weight = np.zeros((2, 2)), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3.0, 5.0])
    y, vjp = mint.binary_cross_entropy_with_logits(x, target, None, pos_weight, reduction="none")
    assert np.allclose(y, np.log(2.0) * np.array([[3, 1], [1, 5]]), rtol=1e-15)
    gx, _, gweight, gpos_weight = vjp(np.ones((2, 2)))
    assert gx.tolist() == [[-1.5, 0.5], [0.5, -2.5]]
    assert gweight is None
    assert np.allclose(gpos_weight, np.log(2.0), rtol=1e-15)
    shell = mint.BCEWithLogitsLoss(np.array(2.0), pos_weight=pos_weight, reduction="none")
    z, shell_vjp = shell(x, target)
    assert np.allclose(z, 2 * y, rtol=1e-15)
    assert [g.shape for g in shell_vjp(z)] == [(2, 2), (2, 2)]


def test_divergence_of_a_distribution_from_itself_is_0():
    p = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    x = np.log(np.where(p == 0, 1, p))
    for log_target in (False, True):
        # the exponential of a logarithm is not quite the number
        target = np.log(np.maximum(p, 1e-300)) if log_target else p
        y, _ = mint.kl_div(x, target, reduction="batchmean", log_target=log_target)
        assert abs(y) < 1e-15
    q = np.log(np.array([[0.25, 0.5, 0.25]] * 2))
    assert np.allclose(mint.kl_div(q, p, reduction="batchmean")[0], (0.25 * np.log(2) + np.log(4)) / 2, rtol=1e-15)


def test_divergence_reductions():
    x, target = np.zeros((2, 3)), np.full((2, 3), np.e)
    for reduction, expected in (("sum", 6), ("mean", 1), ("batchmean", 3)):
        y, vjp = mint.kl_div(x, target, reduction=reduction)
        assert np.allclose(y, np.e * expected, rtol=1e-15)
        assert np.allclose(vjp(ONE)[1], 2 * expected / 6, rtol=1e-15)
    # by the first length of x, whatever target is stretched to; a number has none
    assert np.allclose(mint.kl_div(x[0], target, reduction="batchmean")[0], 2 * np.e, rtol=1e-15)
    assert np.allclose(mint.kl_div(np.array(0.0), target, reduction="batchmean")[0], 6 * np.e, rtol=1e-15)
    assert np.isnan(mint.kl_div(x[:0], target[:0], reduction="batchmean")[0])


def test_divergence_at_probability_0():
    x = np.array([-1.0, -np.inf, np.nan])
    y, vjp = mint.kl_div(x, np.zeros(3), reduction="none")
    assert np.array_equal(y, [0, np.nan, np.nan], equal_nan=True)
    assert vjp(np.ones(3))[1][0] == -np.inf
    assert vjp(np.zeros(3))[1][0] == 0
    y, vjp = mint.kl_div(np.full(2, -1.0), np.array([-800.0, -np.inf]), reduction="none", log_target=True)
    assert np.array_equal(y, [0, np.nan], equal_nan=True)
    assert vjp(np.ones(2))[1][0] == 0


def test_counts():
    x, target = np.array([0.0, 0.0, 1.0]), np.array([0.0, 3.0, 1.0])
    y, vjp = mint.poisson_nll_loss(x, target, reduction="none")
    assert np.allclose(y, [1, 1, np.e - 1], rtol=1e-15)
    assert np.allclose(vjp(np.ones(3)), [[1, -2, np.e - 1], [0, 0, -1]], rtol=1e-15)
    y, vjp = mint.poisson_nll_loss(np.exp(x), target, log_input=False, eps=0.0, reduction="none")
    assert np.allclose(y, [1, 1, np.e - 1], rtol=1e-15)
    assert np.allclose(vjp(np.ones(3)), [[1, -2, 1 - 1 / np.e], [0, 0, -1]], rtol=1e-15)


def test_stirling_is_for_counts_above_1():
    target = np.array([-1.0, 0.0, 0.5, 1.0, 30.0])
    plain, plain_vjp = mint.poisson_nll_loss(np.zeros(5), target, reduction="none")
    y, vjp = mint.poisson_nll_loss(np.zeros(5), target, full=True, reduction="none")
    assert np.allclose(y[4] - plain[4], math.lgamma(31), rtol=1e-4)
    assert y[:4].tolist() == plain[:4].tolist()
    # where PyTorch makes NaN of 0·log 0
    slopes = vjp(np.ones(5))[1] - plain_vjp(np.ones(5))[1]
    assert slopes[:4].tolist() == [0, 0, 0, 0]
    assert np.allclose(slopes[4], math.log(30) + 1 / 60, rtol=1e-15)


def test_measurements():
    x, target, var = np.array([[3.0, 1.0]]), np.array([[1.0, 1.0]]), np.array([[1.0, 4.0]])
    y, vjp = mint.gaussian_nll_loss(x, target, var, reduction="none")
    assert np.allclose(y, [[2, math.log(2)]], rtol=1e-15)
    assert [g.tolist() for g in vjp(np.ones((1, 2)))] == [[[2, 0]], [[-2, 0]], [[-1.5, 0.125]]]
    full = mint.gaussian_nll_loss(x, target, var, full=True, reduction="none")[0]
    assert np.allclose(full - y, math.log(2 * math.pi) / 2, rtol=1e-15)


def test_the_clamp_of_the_variance_is_not_differentiated():
    y, vjp = mint.gaussian_nll_loss(np.array([3.0]), np.array([1.0]), np.array([0.0]), eps=0.5)
    assert y == (math.log(0.5) + 8) / 2
    assert vjp(ONE)[2].tolist() == [(1 - 8) / 2 / 0.5]
    assert np.isnan(mint.gaussian_nll_loss(np.ones(1), np.ones(1), np.array([np.nan]))[0])


def test_a_variance_that_elements_share_gets_the_sum():
    x, target = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    each = gradients(mint.gaussian_nll_loss(x, target, np.ones((2, 3)), reduction="sum"))[2]
    for shape, axes in (((2,), 1), ((2, 1), 1), ((1, 3), 0)):
        shared = gradients(mint.gaussian_nll_loss(x, target, np.ones(shape), reduction="sum"))[2]
        assert shared.shape == shape
        assert shared.ravel().tolist() == each.sum(axes).tolist()


def test_no_square_overflows_that_the_variance_brings_back():
    y, vjp = mint.gaussian_nll_loss(np.array([1e200]), np.zeros(1), np.array([1e300]))
    assert np.allclose(y, 5e99, rtol=1e-15)
    assert np.allclose(vjp(ONE)[0], 1e-100, rtol=1e-15)


X = np.full((2, 3), 0.5)


@pytest.mark.parametrize(
    ("line", "invalid"),
    [
        (r"nll_loss: target must lie in \[0, 3\) or equal ignore_index -100; got 3",
         lambda: mint.nll_loss(X, np.array([0, 3]))),
        (r"nll_loss: target must have shape \(2,\); got \(3,\)", lambda: mint.nll_loss(X, np.zeros(3, int))),
        (r"nll_loss: weight must have shape \(3,\), one for each class; got \(2,\)",
         lambda: mint.nll_loss(X, np.zeros(2, int), np.ones(2))),
        (r"binary_cross_entropy: x must lie in \[0, 1\]; got 1.5", lambda: mint.binary_cross_entropy(3 * X, X)),
        (r"binary_cross_entropy: target must lie in \[0, 1\]; got nan",
         lambda: mint.binary_cross_entropy(X, X * np.nan)),
        (r"binary_cross_entropy: target must have the shape of x, \(2, 3\); got \(3,\)",
         lambda: mint.binary_cross_entropy(X, X[0])),
        (r"binary_cross_entropy: weight must broadcast to the shape of x, \(2, 3\); got \(1, 2, 3\)",
         lambda: mint.binary_cross_entropy(X, X, X[None])),
        (r"binary_cross_entropy_with_logits: the shapes must broadcast; got x \(2, 3\), pos_weight \(2,\)",
         lambda: mint.binary_cross_entropy_with_logits(X, X, None, np.ones(2))),
        ("kl_div: reduction must be one of 'mean', 'sum', 'none', 'batchmean'; got 'all'",
         lambda: mint.kl_div(X, X, reduction="all")),
        (r"poisson_nll_loss: the shapes must broadcast; got x \(2, 3\), target \(2,\)",
         lambda: mint.poisson_nll_loss(X, np.ones(2))),
        ("gaussian_nll_loss: var must not be negative; got -0.5", lambda: mint.gaussian_nll_loss(X, X, -X)),
        (r"gaussian_nll_loss: var must have shape \(2, 3\) with or without its last axis, or with one axis of length 1;"
         r" got \(1, 1\)",
         lambda: mint.gaussian_nll_loss(X, X, np.ones((1, 1)))),
    ],
)  # fmt: skip
def test_refusals(line, invalid):
    with pytest.raises(ValueError, match=f"^{line}$"):
        invalid()


SHAPES = ((), (1,), (3,), (2,), (2, 3), (2, 1), (1, 3), (1, 1), (2, 3, 1), (0, 3), (2, 0), (0,))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "places", "count"),
    [
        ("kl_div", (0, 1), 2),
        ("poisson_nll_loss", (0, 1), 2),
        ("gaussian_nll_loss", (0, 2), 3),
        ("binary_cross_entropy", (0, 2), 3),
        ("binary_cross_entropy_with_logits", (0, 3), 4),
    ],
)
def test_shapes_are_taken_where_pytorch_takes_them(name, places, count):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")

    def theirs(x, target, weight=None, pos_weight=None):
        more = {} if pos_weight is None else {"pos_weight": pos_weight}
        weights = () if weight is None else (weight,)
        return getattr(torch.nn.functional, name)(x, target, *weights, **more, reduction="none")

    for two in itertools.product(SHAPES, repeat=2):
        shapes = [two[0]] * count
        for place, shape in zip(places, two, strict=True):
            shapes[place] = shape
        arrays = [np.full(shape, 0.5) for shape in shapes]
        if count == 4:
            arrays[2] = None
        try:
            taken = getattr(mint, name)(*arrays, reduction="none")[0].shape
        except ValueError:
            taken = None
        try:
            due = tuple(theirs(*(None if a is None else torch.from_numpy(a) for a in arrays)).shape)
        except (RuntimeError, ValueError, IndexError):
            due = None
        assert taken == due, shapes


def test_the_shells_hand_on_what_they_are_made_with():
    rng = np.random.default_rng(0)
    x, target, weight = rng.uniform(0.1, 0.9, (3, 2, 2))
    index = np.array([0, 1])
    for shell, arrays, call in (
        (mint.NLLLoss(weight[0], ignore_index=1, reduction="sum"), (x, index),
         lambda: mint.nll_loss(x, index, weight[0], ignore_index=1, reduction="sum")),
        (mint.BCELoss(weight, reduction="none"), (x, target),
         lambda: mint.binary_cross_entropy(x, target, weight, reduction="none")),
        (mint.KLDivLoss(reduction="batchmean", log_target=True), (x, target),
         lambda: mint.kl_div(x, target, reduction="batchmean", log_target=True)),
        (mint.PoissonNLLLoss(False, True, eps=0.1, reduction="sum"), (x, target),
         lambda: mint.poisson_nll_loss(x, target, log_input=False, full=True, eps=0.1, reduction="sum")),
        (mint.GaussianNLLLoss(full=True, eps=0.5, reduction="none"), (x, target, weight),
         lambda: mint.gaussian_nll_loss(x, target, weight, full=True, eps=0.5, reduction="none")),
    ):  # fmt: skip
        (y, vjp), (expected, expected_vjp) = shell(*arrays), call()
        assert np.array_equal(y, expected)
        for got, due in zip(vjp(y), expected_vjp(y), strict=False):
            assert (got is None and due is None) or np.array_equal(got, due)
