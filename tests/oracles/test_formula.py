"""Formulas: gradients against central differences, rounding bounds against rounding itself."""

import numpy as np
import pytest

from oracles.formula import constant, formula, value

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(0.5, 2, (3, 4)), RNG.uniform(0.5, 2, (3, 4))
W = RNG.uniform(0.5, 2, (4, 5))

FORMULAS = {
    "arithmetic": lambda x, y, w: (x + y) * (x - y) / (1 + x * x) - -y,
    "reflected": lambda x, y, w: 2 - 1 / x + 3 * y**2 - 2.0 * x**0.5,
    "broadcast": lambda x, y, w: x * y[0] + y[:, :1] / x[None],
    "functions": lambda x, y, w: np.exp(-x) + np.log(y) + np.log1p(x) * np.expm1(y) + np.sqrt(x) * np.tanh(y),
    "circular": lambda x, y, w: np.sin(x) * np.cos(y) + np.square(x),
    "where": lambda x, y, w: np.where(x > y, x * y, np.minimum(x, 1) + np.maximum(y, 1.2)) + abs(x - y),
    "clip": lambda x, y, w: np.clip(x, 0.8, 1.5) * y + np.logaddexp(x, y),
    "sums": lambda x, y, w: (x.sum(axis=1, keepdims=True) * y).mean(axis=0) + np.sum(x) + np.cumsum(y, axis=0),
    "extrema": lambda x, y, w: x.max(axis=1) * y.min(axis=0)[:3] + np.max(x) + np.min(y, axis=(0, 1), keepdims=True),
    "products": lambda x, y, w: x @ w + np.einsum("ij,jk->ik", y, w) + np.einsum("...j,jk->...k", x[0], w),
    "einsum": lambda x, y, w: np.einsum("ij,ij,jk->ki", x, y, w) + (w.T @ x.T),
    "vectors": lambda x, y, w: (x[0] @ y[1]) + x @ y[2] + w.T @ x[1] @ np.ones(5),
    "indexing": lambda x, y, w: x[[0, 0, 2], 1:3] * y[::-1, :2] + x[1, [3, 3]] + np.take(x, [1, 1], axis=1),
    "along": lambda x, y, w: np.take_along_axis(x, np.argsort(value(y), axis=1), 1) * np.flip(y, 1),
    "shapes": lambda x, y, w: (
        np.concatenate([x.reshape(2, 6), y.T.reshape(2, 6)]).swapaxes(0, 1)
        + np.stack([x, y], axis=-1).reshape(-1)[:24].reshape((6, 4))
    ),
    "axes": lambda x, y, w: np.moveaxis(x[None] * y[:, None], 0, 2).transpose(2, 0, 1) * np.roll(x, 1, 0),
    "padding": lambda x, y, w: np.pad(x, ((1, 0), (0, 2)))[:3, :4] * y + np.broadcast_to(x[0], (3, 4)),
    "squeezed": lambda x, y, w: np.squeeze(np.expand_dims(x, 1), 1) * y + sum(x) + constant(x, "0.1"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient_is_that_of_central_differences(name):
    equations = formula(FORMULAS[name])
    inputs = [a.astype(np.longdouble) for a in (X, Y, W)]
    y, vjp = equations(*inputs)
    gy = np.random.default_rng(1).standard_normal(y.shape).astype(np.longdouble)
    step = np.longdouble(2) ** -20
    for place, gradient in enumerate(vjp(gy)):
        assert gradient.shape == inputs[place].shape
        for at in np.ndindex(gradient.shape):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() for a in inputs]
                moved[place][at] += sign * step
                sides.append((equations(*moved)[0] * gy).sum())
            # the error of a central difference is step²·y‴/6, and what rounding leaves of 2·step
            assert abs((sides[0] - sides[1]) / (2 * step) - gradient[at]) < 1e-9


@pytest.mark.parametrize("name", FORMULAS)
def test_rounding_stays_within_a_few_units_of_the_bound(name):
    equations = formula(FORMULAS[name])
    exact = [a.astype(np.float32) for a in (X, Y, W)]
    wide = [a.astype(np.float64) for a in exact]
    y, vjp = equations(*exact)
    truth, true_vjp = equations(*wide)
    gy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    (of_y,), of_gradients = true_vjp.scales(gy.astype(np.float64))
    pairs = zip((y, *vjp(gy)), (truth, *true_vjp(gy.astype(np.float64))), (of_y, *of_gradients), strict=True)
    for got, expected, scale in pairs:
        assert got.dtype == np.float32
        # to first order; a constant that float32 does not hold adds its own rounding
        assert np.all(abs(got - expected) <= 2 * 2.0**-24 * scale)


def test_a_bound_is_what_the_elementary_operations_add():
    _, vjp = formula(lambda x: (x + 1) * x)(np.array([2.0]))
    # |x + 1|·|x| from the sum, and again from the product; the gradient is x + (x + 1), each with one product by gy
    (bound,), (of_gradient,) = vjp.scales(np.array([1.0]))
    assert bound == [12.0]
    assert of_gradient == [2 + (3 + 3) + 5]


def test_moving_elements_rounds_nothing():
    _, vjp = formula(lambda x: np.concatenate([x[::-1], np.where(x > 1, x, 0)]))(X)
    (bound,), _ = vjp.scales(np.ones((6, 4)))
    assert not bound.any()


def test_the_branch_not_taken_gets_no_gradient_whatever_it_is():
    with np.errstate(all="ignore"):
        _, vjp = formula(lambda x: np.where(x > 0, np.log(x), 1 / x))(np.array([1.0, -1.0, 0.0]))
    gradient = vjp(np.ones(3))[0]
    assert gradient[:2].tolist() == [1, -1]
    _, vjp = formula(lambda x: np.where(x > 0, np.sqrt(x) / x, 0))(np.array([0.0]))
    assert vjp(np.ones(1))[0] == [0]


def test_what_is_not_used_has_a_zero_gradient_and_integers_none():
    y, vjp = formula(lambda x, w, index: x[index])(X, W, np.array([2, 0]))
    gx, gw, none = vjp(np.ones_like(y))
    assert gx.sum(axis=1).tolist() == [4, 0, 4]
    assert not gw.any()
    assert gw.shape == W.shape
    assert none is None


def test_several_outputs_take_a_cotangent_each():
    (a, b), vjp = formula(lambda x: (x * 2, x.sum(axis=0)))(X)
    assert np.array_equal(vjp(np.ones_like(a), np.full_like(b, 3))[0], np.full_like(X, 5))


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda x: np.sort(x), "np.sort is not known here"),
        (lambda x: np.arctan2(x, x), "np.arctan2 is not known here"),
        (lambda x: np.asarray(x), "formula.value"),
        (lambda x: x[x], "formula.value"),
        (lambda x: x**x, "exponent must be constant"),
        (lambda x: np.pad(x, 1, mode="reflect"), "np.pad with mode 'reflect'"),
    ],
)
def test_what_would_lose_the_gradient_is_refused(forward, said):
    with pytest.raises(TypeError, match=said):
        formula(forward)(X)
