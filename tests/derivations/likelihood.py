"""Section 12: losses of errors, classes and likelihoods."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, integers, tabulate

SHAPE = (3, 4)
REDUCTIONS = ("none", "sum", "mean")


def shared(delta: Array, reduction: str, total: float) -> Array:
    """What reaches each loss."""
    return np.broadcast_to(delta / (total if reduction == "mean" else 1), SHAPE)


def cotangent(rng: np.random.Generator, reduction: str) -> Array:
    return np.asarray(rng.standard_normal(SHAPE if reduction == "none" else ()))


def assert_gradient(element: Callable[[int, int], list[float]], computed: Array) -> None:
    """The sum of the terms at each place is near to what is computed."""
    literal = tabulate(SHAPE, lambda i, j: sum(element(i, j)))
    assert_near(literal, computed, tabulate(SHAPE, lambda i, j: sum(map(abs, element(i, j)))) + TINY)


# --- errors -------------------------------------------------------------------------------------------------


def absolute(d: float) -> float:
    return abs(d)


def smooth(d: float) -> float:
    return d**2 / (2 * 2) if abs(d) < 2 else abs(d) - 2 / 2


def huber(d: float) -> float:
    return d**2 / 2 if abs(d) <= 2 else 2 * (abs(d) - 2 / 2)


def sign(d: float) -> float:
    return float(np.sign(d))


ERRORS = (
    (mint.l1_loss, {}, absolute, sign),
    (mint.smooth_l1_loss, {"beta": 2.0}, smooth, lambda d: min(max(d / 2, -1), 1)),
    (mint.huber_loss, {"delta": 2.0}, huber, lambda d: min(max(d, -2), 2)),
)


@equation("12.1")
def error_forward(rng: np.random.Generator) -> None:
    x, t = integers(rng, 2, 4), integers(rng, 2, 4)
    for loss, hyper, f, _ in ERRORS:
        literal = tabulate(x.shape, lambda i, j, f=f: f(x[i, j] - t[i, j]))
        assert_same(literal, loss(x, t, reduction="none", **hyper)[0])
        assert_same(np.array(sum(literal.ravel()) / 8), loss(x, t, **hyper)[0])


@equation("12.2")
def error_propagate(rng: np.random.Generator) -> None:
    x, t, w = integers(rng, 2, 4), integers(rng, 2, 4), integers(rng, 2, 4)
    for loss, hyper, _, slope in ERRORS:
        weight = () if loss is mint.smooth_l1_loss else (w,)
        for reduction, shape in (("none", (2, 4)), ("sum", ())):
            delta = np.asarray(integers(rng, *shape) + 0.5)
            gx, gt, *_ = loss(x, t, *weight, reduction=reduction, **hyper)[1](delta)
            g = np.broadcast_to(delta, x.shape)
            factor = w if weight else np.ones_like(w)
            literal = tabulate(
                x.shape, lambda i, j, g=g, factor=factor, s=slope: g[i, j] * factor[i, j] * s(x[i, j] - t[i, j])
            )
            assert np.array_equal(literal, gx)
            assert np.array_equal(-literal, gt)
            assert literal.any()


@equation("12.3")
def error_weights(rng: np.random.Generator) -> None:
    x, t = rng.standard_normal((2, *SHAPE))
    w, delta = rng.uniform(1, 2, SHAPE), 1.5
    total = sum(w.ravel())
    for loss, f in ((mint.mse_loss, lambda d: d**2), (mint.l1_loss, abs)):
        each = tabulate(SHAPE, lambda i, j, f=f: f(x[i, j] - t[i, j]))
        mean = sum((w * each).ravel()) / total
        y, vjp = loss(x, t, w)
        assert_near(np.array(mean), y, np.array(mean))
        gw = vjp(np.array(delta))[2]
        assert_gradient(lambda i, j, e=each, m=mean: [delta / total * e[i, j], -delta / total * m], gw)


# --- classes ------------------------------------------------------------------------------------------------


class Probabilities:
    """One call of cross-entropy with probabilities, and the quantities of 12.2 by their definitions."""

    def __init__(self, rng: np.random.Generator, reduction: str, smoothing: float) -> None:
        self.rows, self.classes = SHAPE
        self.x, self.t = rng.standard_normal(SHAPE), rng.dirichlet(np.ones(SHAPE[1]), SHAPE[0])
        self.w, self.epsilon = rng.uniform(0.5, 2, SHAPE[1]), smoothing
        self.reduction = reduction
        self.loss, vjp = mint.cross_entropy(self.x, self.t, self.w, reduction=reduction, label_smoothing=smoothing)
        delta = np.asarray(rng.standard_normal(self.loss.shape))
        self.gx, self.gt, self.gw = vjp(delta)
        self.g = np.broadcast_to(delta / (self.rows if reduction == "mean" else 1), (self.rows,))
        self.p = tabulate(SHAPE, lambda n, c: math.exp(self.x[n, c]) / math.fsum(map(math.exp, self.x[n])))

    def q(self, n: int, c: int) -> float:
        return float((1 - self.epsilon) * self.t[n, c] + self.epsilon / self.classes)

    def a(self, n: int, c: int) -> float:
        return float(self.w[c] * self.q(n, c))


def probabilities(rng: np.random.Generator) -> Iterator[Probabilities]:
    for reduction, smoothing in itertools.product(REDUCTIONS, (0.0, 0.3, 1.0)):
        yield Probabilities(rng, reduction, smoothing)


@equation("12.4", probabilities)
def probabilities_forward(v: Probabilities) -> None:
    rows = tabulate((v.rows,), lambda n: -sum(v.a(n, c) * math.log(v.p[n, c]) for c in range(v.classes)))
    literal = {"none": rows, "sum": np.array(sum(rows)), "mean": np.array(sum(rows) / v.rows)}[v.reduction]
    assert_near(literal, v.loss, literal + np.abs(v.x).max())


@equation("12.5", probabilities)
def probabilities_propagate(v: Probabilities) -> None:
    def terms(n: int, j: int) -> list[float]:
        others = sum(v.a(n, c) for c in range(v.classes) if c != j)
        return [v.g[n] * v.p[n, j] * others, -v.g[n] * v.a(n, j) * (1 - v.p[n, j])]

    assert_gradient(terms, v.gx)


@equation("12.6", probabilities)
def probabilities_target_and_weight(v: Probabilities) -> None:
    if v.epsilon < 1:
        assert_gradient(lambda n, c: [-(1 - v.epsilon) * v.g[n] * v.w[c] * math.log(v.p[n, c])], v.gt)
    else:
        assert not v.gt.any()
    terms = tabulate(SHAPE, lambda n, c: -v.g[n] * v.q(n, c) * math.log(v.p[n, c]))
    assert_near(sum(terms), v.gw, sum(np.abs(terms)))


class Likelihood:
    """One call of nll_loss, and the quantities of (12.7)."""

    def __init__(self, rng: np.random.Generator, reduction: str) -> None:
        self.reduction = reduction
        self.x, self.w = integers(rng, *SHAPE), np.array([1.0, 2, 1, 4])
        # V = w[0] + w[2] = 2, so that the mean divides exactly
        self.t, self.chi = np.array([0, 3, 2]), [1, 0, 1]
        self.loss, vjp = mint.nll_loss(self.x, self.t, self.w, ignore_index=3, reduction=reduction)
        delta = np.asarray(integers(rng, *self.loss.shape) + 0.5)
        self.gx, _, self.gw = vjp(delta)
        self.g = np.broadcast_to(delta / (2 if reduction == "mean" else 1), SHAPE[:1])


def likelihoods(rng: np.random.Generator) -> Iterator[Likelihood]:
    for reduction in REDUCTIONS:
        yield Likelihood(rng, reduction)


@equation("12.7", likelihoods)
def nll(v: Likelihood) -> None:
    rows = tabulate((3,), lambda n: -v.chi[n] * v.w[v.t[n]] * v.x[n, v.t[n]])
    literal = {"none": rows, "sum": np.array(sum(rows)), "mean": np.array(sum(rows) / 2)}[v.reduction]
    assert np.array_equal(literal, v.loss)
    assert_same(tabulate(SHAPE, lambda n, c: -v.g[n] * v.chi[n] * v.w[c] * (c == v.t[n])), v.gx)


@equation("12.8", likelihoods)
def nll_weight(v: Likelihood) -> None:
    mean = float(v.loss) if v.reduction == "mean" else 0.0
    literal = tabulate(
        SHAPE[1:], lambda c: -sum(v.g[n] * v.chi[n] * (c == v.t[n]) * (v.x[n, c] + mean) for n in range(3))
    )
    assert np.array_equal(literal, v.gw)
    assert v.reduction == "mean" or literal.any()


# --- bits ---------------------------------------------------------------------------------------------------


def bounded(x: float) -> float:
    return max(math.log(x), -100) if x else -100.0


@equation("12.9")
def bce(rng: np.random.Generator) -> None:
    x, t, w = rng.uniform(0, 1, SHAPE), rng.uniform(0, 1, SHAPE), rng.standard_normal(SHAPE)
    x[0, :2] = 0, 1
    for reduction in REDUCTIONS:
        y, vjp = mint.binary_cross_entropy(x, t, w, reduction=reduction)
        delta = cotangent(rng, reduction)
        g = shared(delta, reduction, x.size)
        gt = vjp(delta)[1]
        assert_gradient(
            lambda i, j, g=g: [g[i, j] * w[i, j] * bounded(1 - x[i, j]), -g[i, j] * w[i, j] * bounded(x[i, j])], gt
        )
        if reduction == "none":
            assert_gradient(
                lambda i, j: [
                    -w[i, j] * t[i, j] * bounded(x[i, j]),
                    -w[i, j] * (1 - t[i, j]) * bounded(1 - x[i, j]),
                ],
                y,
            )


@equation("12.10")
def bce_propagate(rng: np.random.Generator) -> None:
    x, t, w = rng.uniform(0, 1, SHAPE), rng.uniform(0, 1, SHAPE), rng.standard_normal(SHAPE)
    x[0] = 0, 1, 2.0**-45, 2.0**-80
    least = float(np.float32(1e-12))
    for reduction in REDUCTIONS:
        delta = cotangent(rng, reduction)
        g = shared(delta, reduction, x.size)
        gx = mint.binary_cross_entropy(x, t, w, reduction=reduction)[1](delta)[0]
        assert_gradient(
            lambda i, j, g=g: [g[i, j] * w[i, j] * (x[i, j] - t[i, j]) / max(x[i, j] * (1 - x[i, j]), least)], gx
        )


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class Logits:
    """One call with logits, weights for each row and for each column."""

    def __init__(self, rng: np.random.Generator, reduction: str) -> None:
        self.x, self.t = 3 * rng.standard_normal(SHAPE), rng.uniform(0, 1, SHAPE)
        self.w, self.v = rng.uniform(0.5, 2, (3, 1)), rng.uniform(0.5, 2, 4)
        self.reduction = reduction
        self.loss, vjp = mint.binary_cross_entropy_with_logits(self.x, self.t, self.w, self.v, reduction=reduction)
        delta = cotangent(rng, reduction)
        self.g = shared(delta, reduction, self.x.size)
        self.gx, self.gt, self.gw, self.gv = vjp(delta)

    def terms(self, i: int, j: int) -> list[float]:
        """ℓ of (12.11)."""
        x, t, w, v = self.x[i, j], self.t[i, j], self.w[i, 0], self.v[j]
        return [-w * v * t * math.log(sigma(x)), -w * (1 - t) * math.log(sigma(-x))]


def logits(rng: np.random.Generator) -> Iterator[Logits]:
    for reduction in REDUCTIONS:
        yield Logits(rng, reduction)


@equation("12.11", logits)
def bce_with_logits(c: Logits) -> None:
    if c.reduction == "none":
        # the logarithm of a σ that is nearly 1 has lost digits
        literal = tabulate(SHAPE, lambda i, j: sum(c.terms(i, j)))
        assert_near(literal, c.loss, literal + 4)
    assert_gradient(
        lambda i, j: [
            c.g[i, j] * c.w[i, 0] * (1 - c.t[i, j]) * sigma(c.x[i, j]),
            -c.g[i, j] * c.w[i, 0] * c.v[j] * c.t[i, j] * sigma(-c.x[i, j]),
        ],
        c.gx,
    )


@equation("12.12", logits)
def bce_with_logits_weights(c: Logits) -> None:
    literal = tabulate(
        SHAPE,
        lambda i, j: -c.g[i, j] * c.w[i, 0] * ((c.v[j] - 1) * math.log(sigma(c.x[i, j])) + c.x[i, j]),
    )
    assert_near(literal, c.gt, np.abs(c.g) * 4 * (1 + np.abs(c.x)))
    of_v = tabulate(SHAPE, lambda i, j: -c.g[i, j] * c.w[i, 0] * c.t[i, j] * math.log(sigma(c.x[i, j])))
    assert_near(of_v.sum(0), c.gv, (np.abs(of_v) + np.abs(c.g) * 2).sum(0))
    of_w = tabulate(SHAPE, lambda i, j: c.g[i, j] * sum(c.terms(i, j)) / c.w[i, 0])
    assert_near(of_w.sum(1, keepdims=True), c.gw, (np.abs(of_w) + np.abs(c.g) * 4).sum(1, keepdims=True))


@equation("12.13", logits)
def bce_with_logits_stable(c: Logits) -> None:
    def loss(i: int, j: int) -> list[float]:
        x, t, w, v = c.x[i, j], c.t[i, j], c.w[i, 0], c.v[j]
        linear = (1 - t) * x if x >= 0 else -v * t * x
        return [w * (1 + (v - 1) * t) * math.log1p(math.exp(-abs(x))), w * linear]

    if c.reduction == "none":
        assert_gradient(loss, c.loss)
    else:
        literal = sum(sum(loss(i, j)) for i, j in np.ndindex(SHAPE)) / (12 if c.reduction == "mean" else 1)
        assert_near(np.array(literal), c.loss, np.array(literal))


# --- distributions, counts and measurements -----------------------------------------------------------------


@equation("12.14")
def divergence(rng: np.random.Generator) -> None:
    x, t = rng.standard_normal(SHAPE), rng.uniform(0.1, 2, SHAPE)
    for reduction, log_target in itertools.product((*REDUCTIONS, "batchmean"), (False, True)):
        y, vjp = mint.kl_div(x, t, reduction=reduction, log_target=log_target)
        delta = cotangent(rng, reduction)
        g = delta / 3 * np.ones(SHAPE) if reduction == "batchmean" else shared(delta, reduction, 12)
        p = np.exp(t) if log_target else t
        log_p = t if log_target else np.log(t)
        gx, gt = vjp(delta)
        if reduction == "none":
            assert_gradient(lambda i, j, p=p, lp=log_p: [p[i, j] * lp[i, j], -p[i, j] * x[i, j]], y)
        assert_gradient(lambda i, j, g=g, p=p: [-g[i, j] * p[i, j]], gx)
        factor = p if log_target else np.ones(SHAPE)
        assert_gradient(lambda i, j, g=g * factor, lp=log_p: [g[i, j], g[i, j] * lp[i, j], -g[i, j] * x[i, j]], gt)


def counts(rng: np.random.Generator) -> Iterator[tuple[Array, Array, str, Array]]:
    for reduction in REDUCTIONS:
        x, t = rng.uniform(0.1, 3, SHAPE), rng.integers(0, 5, SHAPE).astype(float)
        yield x, t, reduction, cotangent(rng, reduction)


@equation("12.15", counts)
def poisson_of_logarithms(case: tuple[Array, Array, str, Array]) -> None:
    x, t, reduction, delta = case
    y, vjp = mint.poisson_nll_loss(x, t, reduction=reduction)
    g, (gx, gt) = shared(delta, reduction, 12), vjp(delta)
    if reduction == "none":
        assert_gradient(lambda i, j: [math.exp(x[i, j]), -t[i, j] * x[i, j]], y)
    assert_gradient(lambda i, j: [g[i, j] * math.exp(x[i, j]), -g[i, j] * t[i, j]], gx)
    assert_gradient(lambda i, j: [-g[i, j] * x[i, j]], gt)


@equation("12.16", counts)
def poisson_of_rates(case: tuple[Array, Array, str, Array]) -> None:
    x, t, reduction, delta = case
    y, vjp = mint.poisson_nll_loss(x, t, log_input=False, eps=0.25, reduction=reduction)
    g, (gx, gt) = shared(delta, reduction, 12), vjp(delta)
    if reduction == "none":
        assert_gradient(lambda i, j: [x[i, j], -t[i, j] * math.log(x[i, j] + 0.25)], y)
    assert_gradient(lambda i, j: [g[i, j], -g[i, j] * t[i, j] / (x[i, j] + 0.25)], gx)
    # near log 1 the rounding of x + ϵ counts
    literal = tabulate(SHAPE, lambda i, j: -g[i, j] * math.log(x[i, j] + 0.25))
    assert_near(literal, gt, np.abs(literal) + np.abs(g))


@equation("12.17", counts)
def stirling(case: tuple[Array, Array, str, Array]) -> None:
    x, t, reduction, delta = case
    full = mint.poisson_nll_loss(x, t, full=True, reduction="none")[0]
    plain = mint.poisson_nll_loss(x, t, reduction="none")[0]

    def terms(i: int, j: int) -> list[float]:
        n = t[i, j]
        return [n * math.log(n), -n, math.log(2 * math.pi * n) / 2] if n > 1 else [0.0]

    literal = tabulate(SHAPE, lambda i, j: sum(terms(i, j)))
    assert_near(literal, full - plain, literal + np.abs(full) + np.abs(plain))
    gt = mint.poisson_nll_loss(x, t, full=True, reduction=reduction)[1](delta)[1]
    g = shared(delta, reduction, 12)
    assert_gradient(
        lambda i, j: [
            -g[i, j] * x[i, j],
            g[i, j] * (math.log(t[i, j]) + 1 / (2 * t[i, j])) if t[i, j] > 1 else 0.0,
        ],
        gt,
    )


@equation("12.18")
def gaussian(rng: np.random.Generator) -> None:
    x, t, var = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE), rng.uniform(0, 2, SHAPE[0])
    var[0] = 0
    v = [max(one, 0.25) for one in var]
    for reduction in REDUCTIONS:
        delta = cotangent(rng, reduction)
        g = shared(delta, reduction, 12)
        y, vjp = mint.gaussian_nll_loss(x, t, var, eps=0.25, full=True, reduction=reduction)
        gx, gt, gv = vjp(delta)
        if reduction == "none":
            assert_gradient(
                lambda i, j: [math.log(v[i]) / 2, (x[i, j] - t[i, j]) ** 2 / v[i] / 2, math.log(2 * math.pi) / 2], y
            )
        assert_gradient(lambda i, j, g=g: [g[i, j] * (x[i, j] - t[i, j]) / v[i]], gx)
        assert np.array_equal(gt, -gx)
        one = tabulate(SHAPE, lambda i, j, g=g: g[i, j] / (2 * v[i]))
        two = tabulate(SHAPE, lambda i, j, one=one: -one[i, j] * (x[i, j] - t[i, j]) ** 2 / v[i])
        assert_near((one + two).sum(1), gv, (np.abs(one) + np.abs(two)).sum(1))
