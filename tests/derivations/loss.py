"""Section 7: losses."""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, integers, tabulate


def errors(rng: np.random.Generator) -> tuple[Array, Array]:
    """Eight elements, so that the mean divides exactly."""
    return integers(rng, 2, 4), integers(rng, 2, 4)


@equation("7.1")
def mse_forward(rng: np.random.Generator) -> None:
    x, t = errors(rng)
    squares = tabulate(x.shape, lambda i, j: (x[i, j] - t[i, j]) ** 2)
    assert_same(squares, mint.mse_loss(x, t, reduction="none")[0])
    assert_same(np.array(sum(squares.ravel())), mint.mse_loss(x, t, reduction="sum")[0])
    assert_same(np.array(sum(squares.ravel()) / 8), mint.mse_loss(x, t, reduction="mean")[0])


@equation("7.2")
def mse_propagate(rng: np.random.Generator) -> None:
    x, t = errors(rng)
    for reduction, shape, count in (("none", (2, 4), 1), ("sum", (), 1), ("mean", (), 8)):
        delta = np.asarray(integers(rng, *shape) + 0.5)
        gx, gt, _ = mint.mse_loss(x, t, reduction=reduction)[1](delta)
        g = np.broadcast_to(delta / count, x.shape)
        literal = tabulate(x.shape, lambda i, j, g=g: 2 * g[i, j] * (x[i, j] - t[i, j]))
        assert_same(literal, gx)
        assert_same(-literal, gt)


class CrossEntropy:
    """One call of Mint's cross-entropy, and the quantities of 7.2 by their definitions."""

    def __init__(
        self, rng: np.random.Generator, reduction: str, *, weighted: bool, smoothing: float, ignored: bool
    ) -> None:
        self.rows, self.classes, self.epsilon, self.reduction = 6, 4, smoothing, reduction
        self.x = rng.standard_normal((self.rows, self.classes))
        self.t = rng.integers(0, self.classes, self.rows)
        if ignored:
            self.t[[1, 4]] = 3
        self.counts = [not (ignored and t == 3) for t in self.t]
        self.w = rng.uniform(0.5, 2, self.classes) if weighted else np.ones(self.classes)
        self.loss, vjp = mint.cross_entropy(
            self.x,
            self.t,
            self.w if weighted else None,
            reduction=reduction,
            label_smoothing=smoothing,
            ignore_index=3 if ignored else -100,
        )
        self.delta = np.asarray(rng.standard_normal(self.loss.shape))
        self.gx, gt, self.gw = vjp(self.delta)
        assert gt is None
        self.p = tabulate(self.x.shape, self.probability)
        #: V of (7.4), and what reaches the loss of row n
        self.total = sum(self.w[t] for t, counts in zip(self.t, self.counts, strict=True) if counts)
        share = self.delta / (self.total if reduction == "mean" else 1)
        self.g = np.broadcast_to(share, (self.rows,))

    def probability(self, n: int, c: int) -> float:
        return math.exp(self.x[n, c]) / math.fsum(math.exp(v) for v in self.x[n])

    def target(self, n: int, c: int) -> float:
        """a of (7.3) without the weight of the class."""
        return self.counts[n] * ((1 - self.epsilon) * (c == self.t[n]) + self.epsilon / self.classes)

    def a(self, n: int, c: int) -> float:
        return float(self.w[c] * self.target(n, c))

    def row_loss(self, n: int) -> float:
        """ℓ of (7.3)."""
        return -sum(self.a(n, c) * math.log(self.p[n, c]) for c in range(self.classes))

    def losses(self) -> Array:
        return tabulate((self.rows,), self.row_loss)

    def weight_terms(self, c: int) -> list[float]:
        """The terms of (7.7)."""
        return [-self.g[n] * self.target(n, c) * math.log(self.p[n, c]) for n in range(self.rows)]


def entropies(
    rng: np.random.Generator,
    reductions: Sequence[str] = ("none", "sum", "mean"),
    weighted: Sequence[bool] = (False, True),
    smoothings: Sequence[float] = (0.0, 0.3, 1.0),
    ignored: Sequence[bool] = (False, True),
) -> Iterator[CrossEntropy]:
    """Cross-entropies of every combination."""
    for reduction, w, smoothing, some in itertools.product(reductions, weighted, smoothings, ignored):
        yield CrossEntropy(rng, reduction, weighted=w, smoothing=smoothing, ignored=some)


@equation("7.3", partial(entropies, reductions=("none",)))
def cross_entropy_row(v: CrossEntropy) -> None:
    # a loss of (nearly) zero is the difference of x and log Σ e^x: G is not less than the scores
    assert_near(v.losses(), v.loss, v.losses() + np.abs(v.x).max())


@equation("7.4", entropies)
def cross_entropy_reduced(v: CrossEntropy) -> None:
    total = sum(v.losses())
    reduced = {"none": v.losses(), "sum": np.array(total), "mean": np.array(total / v.total)}[v.reduction]
    assert_near(reduced, v.loss, reduced + np.abs(v.x).max())


@equation("7.5", entropies)
def cross_entropy_propagate(v: CrossEntropy) -> None:
    def terms(n: int, j: int) -> tuple[float, float]:
        return v.g[n] * v.p[n, j] * sum(v.a(n, c) for c in range(v.classes)), -v.g[n] * v.a(n, j)

    literal = tabulate(v.x.shape, lambda n, j: sum(terms(n, j)))
    assert_near(literal, v.gx, tabulate(v.x.shape, lambda n, j: sum(map(abs, terms(n, j)))) + TINY)


@equation("7.6", partial(entropies, weighted=(False,), smoothings=(0.0,), ignored=(False,)))
def cross_entropy_plain(v: CrossEntropy) -> None:
    literal = tabulate(v.x.shape, lambda n, j: v.g[n] * (v.p[n, j] - (j == v.t[n])))
    assert_near(literal, v.gx, tabulate(v.x.shape, lambda n, j: abs(v.g[n]) * (v.p[n, j] + (j == v.t[n]))))
    assert v.gw is None


@equation("7.7", partial(entropies, reductions=("none", "sum"), weighted=(True,)))
def cross_entropy_weight(v: CrossEntropy) -> None:
    literal = tabulate((v.classes,), lambda c: sum(v.weight_terms(c)))
    assert_near(literal, v.gw, tabulate((v.classes,), lambda c: sum(map(abs, v.weight_terms(c)))) + TINY)


@equation("7.8", partial(entropies, reductions=("mean",), weighted=(True,)))
def cross_entropy_weight_mean(v: CrossEntropy) -> None:
    def terms(c: int) -> list[float]:
        loss = sum(v.losses()) / v.total
        hits = sum(v.counts[n] * (v.t[n] == c) for n in range(v.rows))
        return [*v.weight_terms(c), float(-v.delta / v.total * loss * hits)]

    literal = tabulate((v.classes,), lambda c: sum(terms(c)))
    assert_near(literal, v.gw, tabulate((v.classes,), lambda c: sum(map(abs, terms(c)))) + TINY)
