"""Losses: reductions, what is ignored, and the gradient of the class weights."""

from fractions import Fraction

import numpy as np
import pytest

import mint


def test_mse_reductions():
    x, target = np.array([[1.0, 2.0], [3.0, 8.0]]), np.array([[1.0, 4.0], [0.0, 4.0]])
    d = x - target
    for reduction, y, scale in (("mean", 29 / 4, 1 / 4), ("sum", 29, 1), ("none", [[0, 4], [9, 16]], 1)):
        loss, vjp = mint.mse_loss(x, target, reduction=reduction)
        assert loss.tolist() == y
        gx, gtarget, _ = vjp(np.full_like(loss, 2))
        assert np.array_equal(gx, 4 * d * scale)
        assert np.array_equal(gtarget, -gx)


def test_the_mean_over_nothing_is_nan():
    assert np.isnan(mint.mse_loss(np.ones((0, 3)), np.ones((0, 3)))[0])
    x = np.array([[1.0, 2.0]])
    for target, weight in ((np.array([-100]), None), (np.array([1]), np.array([1.0, 0.0]))):
        assert np.isnan(mint.cross_entropy(x, target, weight)[0])
    y, vjp = mint.cross_entropy(x, np.array([-100]))
    assert vjp(np.ones_like(y))[0].tolist() == [[0, 0]]


def literal(x, target, weight, smoothing, ignore_index):
    """Per target its loss and its weight, from the formula, in longdouble."""
    n_classes = x.shape[1]
    rows = np.moveaxis(x, 1, -1).reshape(-1, n_classes).astype(np.longdouble)
    losses, weights = [], []
    for row, t in zip(rows, target.ravel(), strict=True):
        log_p = row - row.max() - np.log(np.exp(row - row.max()).sum())
        if t == ignore_index:
            losses.append(np.longdouble(0))
            weights.append(np.longdouble(0))
        else:
            losses.append(
                -(1 - smoothing) * weight[t] * log_p[t] - np.longdouble(smoothing) / n_classes * (weight * log_p).sum()
            )
            weights.append(weight[t])
    return np.array(losses), np.array(weights)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 4, 3, 2)])
def test_cross_entropy_is_its_formula_and_the_gradients_its_differences(shape, smoothing, reduction):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.longdouble)
    weight = rng.uniform(1, 2, shape[1]).astype(np.longdouble)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target.flat[0] = 7

    def loss(x, weight):
        losses, weights = literal(x, target, weight, smoothing, 7)
        reduced = {
            "none": losses.reshape(target.shape),
            "sum": losses.sum(),
            "mean": losses.sum() / weights.sum(),
        }
        return np.asarray(reduced[reduction])

    y, vjp = mint.cross_entropy(x, target, weight, ignore_index=7, reduction=reduction, label_smoothing=smoothing)
    unit = np.finfo(np.longdouble).eps / 2
    terms = 8 + x.size  # roundings of the longest chain: the sums over classes and targets
    assert (abs(y - loss(x, weight)) <= terms * unit * abs(loss(x, weight)) + terms * unit).all()

    gy = rng.standard_normal(y.shape).astype(np.longdouble)
    gx, gtarget, gw = vjp(np.asarray(gy))
    assert gtarget is None
    # a central difference over 2h errs by h²/6 of the third derivative, below ~10 here, and by rounding over
    # h
    h = np.longdouble(2) ** -20
    limit = 10 * h**2 + terms * unit / h * max(1, abs(gy).sum())
    for array, gradient, at in ((x, gx, 0), (weight, gw, 1)):
        for place in np.ndindex(array.shape):
            up, down = [x.copy(), weight.copy()], [x.copy(), weight.copy()]
            up[at][place] += h
            down[at][place] -= h
            difference = (gy * (loss(*up) - loss(*down))).sum() / (2 * h)
            assert abs(gradient[place] - difference) <= limit


def test_a_single_sample_has_no_batch():
    y, vjp = mint.cross_entropy(np.zeros(4), np.array(2))
    assert y.shape == ()
    assert vjp(np.array(4.0))[0].tolist() == [1, 1, -3, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_targets_of_any_integer_dtype(dtype):
    target = np.array([1, 0], dtype)
    ignored = int(np.iinfo(dtype).max)
    x = np.zeros((2, 2))
    assert mint.cross_entropy(x, target, reduction="sum")[0] == 2 * np.log(2.0)
    target[0] = ignored
    assert mint.cross_entropy(x, target, ignore_index=ignored, reduction="sum")[0] == np.log(2.0)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_an_ignored_row_holds_reaches_neither_the_loss_nor_the_gradient(bad):
    x = np.array([[0.0, 0.0], [bad, 0.0]])
    y, vjp = mint.cross_entropy(x, np.array([0, -100]), reduction="sum", label_smoothing=0.5)
    assert y == np.log(2.0)
    assert vjp(np.array(1.0))[0][1].tolist() == [0, 0]


def test_hard_targets_do_not_see_other_classes():
    # a class of probability 0 costs nothing where it is not the target, and everything with label smoothing
    x = np.array([[0.0, 0.0, -np.inf]])
    assert mint.cross_entropy(x, np.array([0]))[0] == np.log(2.0)
    assert mint.cross_entropy(x, np.array([0]), label_smoothing=0.5)[0] == np.inf


def test_the_mean_weighs_by_the_targets():
    weight = np.array([1.0, 3.0])
    y, vjp = mint.cross_entropy(np.zeros((2, 2)), np.array([0, 1]), weight)
    assert y == np.log(2.0)
    gx, _, gw = vjp(np.array(1.0))
    assert [[Fraction(v) for v in row] for row in gx.tolist()] == [
        [Fraction(-1, 8), Fraction(1, 8)],
        [Fraction(3, 8), Fraction(-3, 8)],
    ]
    # all losses are equal, so that their weighted mean does not depend on the weights
    assert gw.tolist() == [0, 0]


def test_the_gradient_keeps_its_digits_where_the_class_is_nearly_certain():
    x = np.array([0.0, -40.0])
    for target in (np.array(0), np.array([1.0, 0.0])):
        gx = mint.cross_entropy(x, target)[1](np.array(1.0))[0]
        assert np.allclose(gx, [-np.exp(-40.0), np.exp(-40.0)], rtol=1e-15, atol=0)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
def test_probabilities_that_are_certain_are_indices(smoothing, reduction):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 3, 2)), rng.uniform(1, 2, 3)
    index = rng.integers(0, 3, (4, 2))
    certain = (index[:, None] == np.arange(3)[:, None]).astype(float)
    hyper = {"reduction": reduction, "label_smoothing": smoothing}
    y, vjp = mint.cross_entropy(x, index, weight, **hyper)
    same, same_vjp = mint.cross_entropy(x, certain, weight, **hyper)
    assert np.allclose(y, same, rtol=1e-14)
    gy = np.asarray(rng.standard_normal(y.shape))
    for place in (0, 2):
        assert np.allclose(vjp(gy)[place], same_vjp(gy)[place], rtol=1e-13)
    assert vjp(gy)[1] is None


def test_the_mean_over_probabilities_counts_rows():
    x, weight = np.zeros((2, 2)), np.array([1.0, 3.0])
    y, vjp = mint.cross_entropy(x, np.array([[1.0, 0.0], [0.5, 0.5]]), weight)
    assert y == (np.log(2.0) + 2 * np.log(2.0)) / 2
    _, gtarget, gweight = vjp(np.array(1.0))
    assert gtarget.tolist() == [[np.log(2.0) / 2, 1.5 * np.log(2.0)]] * 2
    assert gweight.tolist() == [0.75 * np.log(2.0), 0.25 * np.log(2.0)]
    for shape, total in (((0, 3), 0), ((2, 0), 0), ((0,), 0)):
        assert np.isnan(mint.cross_entropy(np.ones(shape), np.ones(shape))[0])
        assert mint.cross_entropy(np.ones(shape), np.ones(shape), reduction="sum")[0] == total


def test_absolute_errors():
    x, target = np.array([1.0, -4.0, 0.0, np.nan, np.inf]), np.zeros(5)
    y, vjp = mint.l1_loss(x, target, reduction="none")
    assert np.array_equal(y, [1, 4, 0, np.nan, np.inf], equal_nan=True)
    assert vjp(np.full(5, 2.0))[0].tolist() == [2, -2, 0, 0, 2]
    y, vjp = mint.smooth_l1_loss(x, target, reduction="none", beta=2)
    assert np.array_equal(y, [0.25, 3, 0, np.nan, np.inf], equal_nan=True)
    assert np.array_equal(vjp(np.full(5, 2.0))[0], [1, -2, 0, np.nan, 2], equal_nan=True)
    y, vjp = mint.huber_loss(x, target, reduction="none", delta=2.0)
    assert np.array_equal(y, [0.5, 6, 0, np.nan, np.inf], equal_nan=True)
    assert np.array_equal(vjp(np.full(5, 2.0))[0], [2, -4, 0, np.nan, 4], equal_nan=True)
    for gradients in (vjp(np.ones(5)), mint.smooth_l1_loss(x, target, reduction="none")[1](np.ones(5))):
        assert np.array_equal(gradients[0], -gradients[1], equal_nan=True)


def test_without_a_bend_smooth_l1_is_l1():
    x, target = np.array([1.0, -4.0, 0.0, np.nan]), np.zeros(4)
    y, vjp = mint.smooth_l1_loss(x, target, reduction="none", beta=0)
    same, same_vjp = mint.l1_loss(x, target, reduction="none")
    assert np.array_equal(y, same, equal_nan=True)
    assert vjp(np.ones(4))[0].tolist() == same_vjp(np.ones(4))[0].tolist()


def test_squares_that_a_division_brings_back_do_not_overflow():
    x, target = np.array([1e200]), np.zeros(1)
    assert np.allclose(mint.smooth_l1_loss(x, target, beta=1e300)[0], 5e99, rtol=1e-15)
    assert mint.huber_loss(x, target, delta=1.0)[0] == 1e200


def test_weighted_errors():
    x, target, weight = np.array([1.0, 3.0]), np.zeros(2), np.array([1.0, 3.0])
    for op, losses, mean in ((mint.mse_loss, [1, 9], 7), (mint.l1_loss, [1, 3], 2.5)):
        assert op(x, target, weight, reduction="none")[0].tolist() == [losses[0], 3 * losses[1]]
        assert op(x, target, weight, reduction="sum")[0] == losses[0] + 3 * losses[1]
        y, vjp = op(x, target, weight)
        assert y == mean
        # the divisor is made of weights as well
        assert vjp(np.array(4.0))[2].tolist() == [losses[0] - mean, losses[1] - mean]
    # Huber's mean divides by the number of elements, as in PyTorch
    y, vjp = mint.huber_loss(x, target, weight, delta=4.0)
    assert y == (0.5 + 3 * 4.5) / 2
    assert [g.tolist() for g in vjp(np.array(2.0))] == [[1, 9], [-1, -9], [0.5, 4.5]]


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("probable", [False, True])
def test_linear_cross_entropy_is_linear_and_cross_entropy(unbatched, probable):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((4, 5)), rng.standard_normal((3, 2, 5)), rng.standard_normal((3, 2))
    weight = rng.uniform(1, 2, 3)
    if unbatched:
        x, w, b = x[0], w[:, 0], b[:, 0]
    logits, z_vjp = mint.linear(x, w.reshape(-1, 5), b.ravel())
    shape = (*x.shape[:-1], *w.shape[:-1])
    target = rng.uniform(0, 1, shape) if probable else rng.integers(0, 3, (*x.shape[:-1], *w.shape[1:-1]))
    y, vjp = mint.linear_cross_entropy(x, w, target, b, weight, label_smoothing=0.1, reduction="none")
    same, l_vjp = mint.cross_entropy(logits.reshape(shape), target, weight, label_smoothing=0.1, reduction="none")
    assert np.array_equal(y, same)
    gy = np.asarray(rng.standard_normal(y.shape))
    glogits, gtarget, gweight = l_vjp(gy)
    gx, gw, gb = z_vjp(glogits.reshape(logits.shape))
    due = gx, gw.reshape(w.shape), gtarget, gb.reshape(b.shape), gweight
    for got, expected in zip(vjp(gy), due, strict=True):
        assert (got is None) == (expected is None)
        assert got is None or np.array_equal(got, expected)


def test_linear_cross_entropy_of_much_is_computed_in_the_dtype_at_hand():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((300, 200)).astype(np.float32), rng.standard_normal((100, 200)).astype(np.float32)
    y, _ = mint.linear_cross_entropy(x, w, rng.integers(0, 100, 300))
    assert y.dtype == np.float32
    assert np.isfinite(y)


def test_linear_cross_entropy_loss_owns_a_linear_layer():
    layer = mint.LinearCrossEntropyLoss(5, 3, out_features=(2,), bias=True, weight=np.ones(3), dtype=float)
    assert [name for name, _ in layer.named_parameters()] == ["linear.weight", "linear.bias"]
    y, vjp = layer(np.ones((4, 5)), np.zeros((4, 2), int))
    gx, gtarget = vjp(np.ones_like(y))
    assert gx.shape == (4, 5)
    assert gtarget is None
    first = layer.linear.weight.grad
    vjp(np.ones_like(y))
    assert np.array_equal(layer.linear.weight.grad, 2 * first)
    assert layer.linear.bias.grad.shape == (6,)
    assert mint.LinearCrossEntropyLoss(5, 3).linear.bias is None


X, TARGET = np.zeros((2, 3)), np.zeros(2, int)


@pytest.mark.parametrize(
    ("error", "line", "invalid"),
    [
        (ValueError, r"l1_loss: weight must have the shape of x, \(2, 3\); got \(3,\)",
         lambda: mint.l1_loss(X, X, np.ones(3))),
        (ValueError, r"smooth_l1_loss: beta must be a number in \[0, inf\]; got -1",
         lambda: mint.smooth_l1_loss(X, X, beta=-1)),
        (ValueError, "huber_loss: delta must be a number greater than 0; got 0",
         lambda: mint.huber_loss(X, X, delta=0)),
        (ValueError, r"cross_entropy: target must have shape \(2, 3\) if it is floating-point; got \(2,\)",
         lambda: mint.cross_entropy(X, np.ones(2))),
        (ValueError, "cross_entropy: ignore_index must be negative if target is floating-point; got 0",
         lambda: mint.cross_entropy(X, X, ignore_index=0)),
        (TypeError, "cross_entropy: target must have an integer dtype or a floating-point one; got bool",
         lambda: mint.cross_entropy(X, TARGET > 0)),
        (TypeError, "cross_entropy: the arrays must have one common dtype; got x float64, target float32",
         lambda: mint.cross_entropy(X, X.astype(np.float32))),
        (ValueError, r"linear_cross_entropy: x must have shape \(N, in\) or \(in,\); got \(1, 2, 3\)",
         lambda: mint.linear_cross_entropy(X[None], X, TARGET)),
        (ValueError, r"linear_cross_entropy: linear_weight must have shape \(C, ..., 3\); got \(3,\)",
         lambda: mint.linear_cross_entropy(X, X[0], TARGET)),
        (ValueError, r"linear_cross_entropy: x must have shape \(N, in\) to fit linear_weight \(1, 2, 3\); got \(3,\)",
         lambda: mint.linear_cross_entropy(X[0], X[None], TARGET)),
        (ValueError, r"linear_cross_entropy: linear_bias must have shape \(2,\); got \(3,\)",
         lambda: mint.linear_cross_entropy(X, X, TARGET, X[0])),
        (ValueError, "linear_cross_entropy: ignore_index must be None if target is floating-point; got -100",
         lambda: mint.linear_cross_entropy(X, X, np.ones((2, 2)), ignore_index=-100)),
    ],
)  # fmt: skip
def test_refusals(error, line, invalid):
    with pytest.raises(error, match=f"^{line}$"):
        invalid()


def test_a_target_that_has_no_part_in_the_loss_has_gradient_zero():
    # the difference of these logits overflows: log p is −∞, of which 0 times is NaN
    largest = np.finfo(np.float64).max
    _, vjp = mint.cross_entropy(np.array([[-largest, largest]]), np.array([[0.5, 0.5]]), label_smoothing=1.0)
    assert vjp(np.array(1.0))[1].tolist() == [[0, 0]]
