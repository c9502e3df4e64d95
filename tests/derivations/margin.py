"""Section 19: distances and margins."""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.activation import sigma
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, integers, tabulate
from tests.derivations.norm import norm, slope

DEGREES = (2.0, 1.0, 3.0, 0.5, 0.0, math.inf)


def rows(rng: np.random.Generator, count: int) -> Array:
    """Vectors of small integers: their differences are exact, coincide and are tied."""
    return rng.integers(-1, 2, (count, 3)).astype(np.float64)


def assert_gradient(literal: Array, terms: Array, computed: Array) -> None:
    """`terms` holds the terms that each element is the sum of, in its last axis."""
    assert_near(literal, computed, np.abs(terms).sum(-1) + TINY)


@equation("19.1")
def pairwise_distance(rng: np.random.Generator) -> None:
    for p, eps in itertools.product((*DEGREES, -1.0, -math.inf), (0.0, 0.25)):
        x, other, delta = rows(rng, 30), rows(rng, 30), rng.standard_normal(30)
        z, vjp = mint.pairwise_distance(x, other, p=p, eps=eps)
        d = x - other + eps
        literal = tabulate((30,), lambda n, d=d, p=p: norm(d[n], p))
        assert_near(literal, z, literal + TINY)
        gx, g_other = vjp(delta)
        if p == 0:
            assert not gx.any()
            continue
        literal = tabulate((30, 3), lambda n, m, d=d, p=p, delta=delta: delta[n] * slope(d[n], p, m))
        assert_near(literal, gx, np.abs(literal) + TINY)
        assert_near(-literal, g_other, np.abs(literal) + TINY)


@equation("19.2")
def cdist(rng: np.random.Generator) -> None:
    for p in DEGREES:
        x, other, delta = rows(rng, 4), rows(rng, 3), rng.standard_normal((4, 3))
        z, vjp = mint.cdist(x, other, p=p)
        literal = tabulate((4, 3), lambda i, j, x=x, other=other, p=p: norm(x[i] - other[j], p))
        assert_near(literal, z, literal + TINY)
        gx, g_other = vjp(delta)
        if p == 0:
            assert not gx.any()
            continue

        def term(i: int, j: int, m: int, x: Array = x, other: Array = other, p: float = p, d: Array = delta) -> float:
            return float(d[i, j] * slope(x[i] - other[j], p, m, shared=False))

        terms = tabulate((4, 3, 3), lambda i, m, j, term=term: term(i, j, m))
        assert_gradient(tabulate((4, 3), lambda i, m, t=terms: sum(t[i, m])), terms, gx)
        terms = tabulate((3, 3, 4), lambda j, m, i, term=term: -term(i, j, m))
        assert_gradient(tabulate((3, 3), lambda j, m, t=terms: sum(t[j, m])), terms, g_other)


@equation("19.3")
def pdist(rng: np.random.Generator) -> None:
    pairs = list(itertools.combinations(range(5), 2))
    for p in DEGREES:
        x, delta = rows(rng, 5), rng.standard_normal(10)
        z, vjp = mint.pdist(x, p=p)
        literal = np.array([norm(x[i] - x[j], p) for i, j in pairs])
        assert_near(literal, z, literal + TINY)
        (gx,) = vjp(delta)
        if p == 0:
            assert not gx.any()
            continue

        def term(i: int, m: int, j: int, x: Array = x, p: float = p, delta: Array = delta) -> float:
            if i == j:
                return 0.0
            return float(delta[pairs.index((min(i, j), max(i, j)))] * slope(x[i] - x[j], p, m, shared=False))

        terms = tabulate((5, 3, 5), term)
        assert_gradient(tabulate((5, 3), lambda i, m, t=terms: sum(t[i, m])), terms, gx)


def length(x: Array) -> float:
    return math.sqrt(math.fsum(float(v) ** 2 for v in x))


@equation("19.4")
def cosine_similarity(rng: np.random.Generator) -> None:
    for eps in (1e-8, 1.5):
        x, other, delta = rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), rng.standard_normal(6)
        z, vjp = mint.cosine_similarity(x, other, eps=eps)
        u, v = ([row / max(length(row), eps) for row in rows_of] for rows_of in (x, other))
        terms = tabulate((6, 3), lambda n, m, u=u, v=v: u[n][m] * v[n][m])
        literal = tabulate((6,), lambda n, t=terms: sum(t[n]))
        assert_near(literal, z, np.abs(terms).sum(1))
        magnitude = np.abs(terms).sum(1)
        for vectors, own, others, computed in ((x, u, v, vjp(delta)[0]), (other, v, u, vjp(delta)[1])):
            n_of = [max(length(row), eps) for row in vectors]
            counts = [length(row) >= eps for row in vectors]
            full = tabulate(
                (6, 3, 2),
                lambda n, m, k, o=own, r=others, c=counts, n_of=n_of, z=literal, d=delta: (
                    d[n] / n_of[n] * (r[n][m], -c[n] * z[n] * o[n][m])[k]
                ),
            )
            # z itself is the sum of terms that cancel
            scale = tabulate(
                (6, 3),
                lambda n, m, o=own, r=others, n_of=n_of, d=delta, s=magnitude: (
                    abs(d[n]) / n_of[n] * (abs(r[n][m]) + s[n] * abs(o[n][m]))
                ),
            )
            assert_near(full.sum(-1), computed, scale)
    assert any(counts)
    assert not all(counts)


def reductions(delta: Array) -> Iterator[tuple[str, Array, Callable[[Array], Array], Array]]:
    """The reductions with a cotangent, what they make of losses, and what reaches each loss."""
    some = np.asarray(3.0)
    yield "none", delta, lambda losses: losses, delta
    yield "sum", some, lambda losses: np.array(sum(losses.ravel())), np.broadcast_to(some, delta.shape)
    yield "mean", some, lambda losses: np.array(sum(losses.ravel()) / losses.size), some / delta.size + 0 * delta


@equation("19.5")
def hinge_embedding_loss(rng: np.random.Generator) -> None:
    x, t, m = integers(rng, 2, 8), rng.integers(-1, 2, (2, 8)), 2.0
    x[0, 0], t[0, 0] = m, -1  # the kink
    for reduction, delta, reduced, g in reductions(integers(rng, 2, 8)):
        y, vjp = mint.hinge_embedding_loss(x, t, margin=m, reduction=reduction)
        losses = tabulate(x.shape, lambda *i: (t[i] != -1) * x[i] + (t[i] != 1) * max(0, m - x[i]))
        assert_same(reduced(losses), y)
        literal = tabulate(
            x.shape, lambda *i, g=g: g[i] * (float(t[i] != -1) - float(t[i] != 1) * float(m - x[i] >= 0))
        )
        assert_same(literal, vjp(delta)[0])


@equation("19.6")
def margin_ranking_loss(rng: np.random.Generator) -> None:
    x, other, t, m = integers(rng, 2, 8), integers(rng, 2, 8), integers(rng, 2, 8), 2.0
    x[0, 0], other[0, 0], t[0, 0] = 3, 1, 1  # the kink
    z = tabulate(x.shape, lambda *i: m - t[i] * (x[i] - other[i]))
    for reduction, delta, reduced, g in reductions(integers(rng, 2, 8)):
        y, vjp = mint.margin_ranking_loss(x, other, t, margin=m, reduction=reduction)
        assert_same(reduced(tabulate(x.shape, lambda *i: max(0, z[i]))), y)
        gx, g_other, gt = vjp(delta)
        literal = tabulate(x.shape, lambda *i, g=g: -g[i] * t[i] * (z[i] >= 0))
        assert_same(literal, gx)
        assert_same(-literal, g_other)
        assert_same(tabulate(x.shape, lambda *i, g=g: -g[i] * (x[i] - other[i]) * (z[i] >= 0)), gt)


@equation("19.7")
def soft_margin_loss(rng: np.random.Generator) -> None:
    x, t = rng.standard_normal((2, 8)), rng.standard_normal((2, 8))
    for reduction, delta, reduced, g in reductions(rng.standard_normal((2, 8))):
        y, vjp = mint.soft_margin_loss(x, t, reduction=reduction)
        losses = tabulate(x.shape, lambda *i: math.log(1 + math.exp(-t[i] * x[i])))
        assert_near(reduced(losses), y, reduced(1 + losses))
        gx, gt = vjp(delta)
        # the exponent t·x is rounded
        scale = 1 + np.abs(t * x)
        for literal, computed in (
            (tabulate(x.shape, lambda *i, g=g: -g[i] * t[i] * sigma(-t[i] * x[i])), gx),
            (tabulate(x.shape, lambda *i, g=g: -g[i] * x[i] * sigma(-t[i] * x[i])), gt),
        ):
            assert_near(literal, computed, np.abs(literal) * scale)


class Triplet(NamedTuple):
    """Three sets of vectors of integers, and a distance: exact for p = 1."""

    arrays: tuple[Array, Array, Array]
    swap: bool
    p: float

    def distance(self, a: Array, b: Array) -> float:
        return norm(a - b, self.p)

    def of(self, n: int) -> tuple[float, float, float]:
        """D(a, p), D(a, n) and D(p, n)."""
        a, p, q = (array[n] for array in self.arrays)
        return self.distance(a, p), self.distance(a, q), self.distance(p, q)

    def y(self, n: int) -> float:
        near, far, other = self.of(n)
        return 1.0 + near - (min(far, other) if self.swap else far)

    def share(self, n: int) -> float:
        """κ."""
        _, far, other = self.of(n)
        return 1.0 if not self.swap or far < other else 0.5 if far == other else 0.0

    def call(self, **hyper: Any) -> tuple[Array, Any]:
        return mint.triplet_margin_loss(*self.arrays, p=self.p, eps=0, swap=self.swap, **hyper)


def triplets(rng: np.random.Generator) -> Iterator[Triplet]:
    for swap, p in itertools.product((False, True), (1.0, 2.0)):
        yield Triplet((rows(rng, 40), rows(rng, 40), rows(rng, 40)), swap, p)


@equation("19.8", triplets)
def triplet_margin_loss(v: Triplet) -> None:
    losses = tabulate((40,), lambda n: max(0, v.y(n)))
    scale = tabulate((40,), lambda n: 1 + sum(v.of(n)))
    assert_near(losses, v.call(reduction="none")[0], scale)
    assert_near(np.array(sum(losses)), v.call(reduction="sum")[0], np.array(sum(scale)))
    named, _ = mint.triplet_margin_with_distance_loss(
        *v.arrays, distance_function=partial(mint.pairwise_distance, p=v.p, eps=0), swap=v.swap, reduction="none"
    )
    assert_near(losses, named, scale)


@equation("19.9", triplets)
def triplet_margin_propagate(v: Triplet) -> None:
    delta = np.random.default_rng(0).standard_normal(40)
    _, vjp = v.call(reduction="none")

    def first(a: Array, b: Array, m: int) -> float:
        """D₁; D₂ is its negative."""
        return slope(a - b, v.p, m)

    # √2 and the like may meet the margin up to rounding only
    clear = [n for n in range(40) if v.p == 1 or abs(v.y(n)) > 1e-9]
    assert v.p != 1 or any(v.y(n) == 0 for n in clear)

    def anchor(n: int, m: int) -> tuple[float, float]:
        a, p, q = (array[n] for array in v.arrays)
        return first(a, p, m), -v.share(n) * first(a, q, m)

    def positive(n: int, m: int) -> tuple[float, float]:
        a, p, q = (array[n] for array in v.arrays)
        return -first(a, p, m), -(1 - v.share(n)) * first(p, q, m)

    def negative(n: int, m: int) -> tuple[float, float]:
        a, p, q = (array[n] for array in v.arrays)
        return v.share(n) * first(a, q, m), (1 - v.share(n)) * first(p, q, m)

    for terms, computed in zip((anchor, positive, negative), vjp(delta), strict=True):
        literal = tabulate((40, 3), lambda n, m, terms=terms: delta[n] * (v.y(n) >= 0) * sum(terms(n, m)))
        scale = tabulate((40, 3), lambda n, m, terms=terms: abs(delta[n]) * sum(map(abs, terms(n, m))))
        assert_near(literal[clear], computed[clear], scale[clear] + TINY)


class Cosines(NamedTuple):
    """One call of cosine_embedding_loss."""

    x: Array
    other: Array
    t: Array
    margin: float

    @staticmethod
    def n(x: Array) -> float:
        return math.sqrt(math.fsum(float(v) ** 2 for v in x) + 1e-12)

    def terms(self, i: int) -> list[float]:
        n, n_other = self.n(self.x[i]), self.n(self.other[i])
        return [a / n * b / n_other for a, b in zip(self.x[i], self.other[i], strict=True)]

    def z(self, i: int) -> float:
        return math.fsum(self.terms(i))

    def call(self) -> tuple[Array, Any]:
        return mint.cosine_embedding_loss(self.x, self.other, self.t, margin=self.margin, reduction="none")


def cosines(rng: np.random.Generator) -> Iterator[Cosines]:
    yield Cosines(rng.standard_normal((30, 3)), rng.standard_normal((30, 3)), rng.integers(-1, 2, 30), 0.25)


@equation("19.10", cosines)
def cosine_embedding_loss(v: Cosines) -> None:
    literal = tabulate((30,), lambda i: (v.t[i] == 1) * (1 - v.z(i)) + (v.t[i] == -1) * max(0, v.z(i) - v.margin))
    assert_near(literal, v.call()[0], tabulate((30,), lambda i: 1 + sum(map(abs, v.terms(i)))))


@equation("19.11", cosines)
def cosine_embedding_propagate(v: Cosines) -> None:
    delta = np.random.default_rng(0).standard_normal(30)
    g1, g2, _ = v.call()[1](delta)
    for x, other, computed in ((v.x, v.other, g1), (v.other, v.x, g2)):

        def terms(i: int, m: int, x: Array = x, other: Array = other) -> tuple[float, float]:
            n, n_other = v.n(x[i]), v.n(other[i])
            return other[i, m] / n_other / n, -v.z(i) * x[i, m] / n / n

        def literal(i: int, m: int, terms: Any = terms) -> float:
            s = float(v.t[i] == -1) * float(v.z(i) >= v.margin) - float(v.t[i] == 1)
            return float(delta[i] * s * sum(terms(i, m)))

        def scale(i: int, m: int, x: Array = x, other: Array = other) -> float:
            n, n_other = v.n(x[i]), v.n(other[i])
            lost = sum(map(abs, v.terms(i)))
            return float(abs(delta[i]) / n * (abs(other[i, m]) / n_other + lost * abs(x[i, m]) / n))

        assert_near(tabulate((30, 3), literal), computed, tabulate((30, 3), scale))


class Scores(NamedTuple):
    """Integer scores of four classes for eight samples, so that the mean and a quarter are exact."""

    x: Array
    t: Array
    w: Array
    p: int
    delta: Array

    margin = 1.0

    def y(self, n: int, c: int) -> float:
        return float(self.margin - self.x[n, self.t[n]] + self.x[n, c])

    def others(self, n: int) -> list[int]:
        return [c for c in range(4) if c != self.t[n]]

    def call(self) -> tuple[Array, Any]:
        return mint.multi_margin_loss(self.x, self.t, self.w, p=self.p, margin=self.margin, reduction="none")

    def unweighted(self, n: int) -> float:
        return sum(max(0, self.y(n, c)) ** self.p for c in self.others(n)) / 4


def scores(rng: np.random.Generator) -> Iterator[Scores]:
    for p in (1, 2):
        x, t = integers(rng, 8, 4), rng.integers(0, 4, 8)
        x[0, :2], t[0] = (1, 0), 0  # the kink
        yield Scores(x, t, integers(rng, 4), p, integers(rng, 8))


@equation("19.12", scores)
def multi_margin_loss(v: Scores) -> None:
    assert v.y(0, 1) == 0
    literal = tabulate((8,), lambda n: v.w[v.t[n]] * v.unweighted(n))
    assert_same(literal, v.call()[0])
    for reduction, divisor in (("sum", 1), ("mean", 8)):
        y, _ = mint.multi_margin_loss(v.x, v.t, v.w, p=v.p, margin=v.margin, reduction=reduction)
        assert_same(np.array(sum(literal) / divisor), y)


@equation("19.13", scores)
def multi_margin_propagate(v: Scores) -> None:
    def of_other(n: int, c: int) -> float:
        y = v.y(n, c)
        return float(v.delta[n] * v.w[v.t[n]] / 4 * v.p * (y ** (v.p - 1) if y > 0 else 0))

    def literal(n: int, c: int) -> float:
        return of_other(n, c) if c != v.t[n] else -sum(of_other(n, k) for k in v.others(n))

    assert_same(tabulate((8, 4), literal), v.call()[1](v.delta)[0])


@equation("19.14", scores)
def multi_margin_weight(v: Scores) -> None:
    literal = tabulate((4,), lambda c: sum(v.delta[n] * (v.t[n] == c) * v.unweighted(n) for n in range(8)))
    assert_same(literal, v.call()[1](v.delta)[2])


class Lists(NamedTuple):
    """Integer scores of four classes for eight samples, each with a list of classes."""

    x: Array
    target: Array

    def listed(self, n: int) -> list[int]:
        return list(itertools.takewhile(lambda c: c != -1, self.target[n].tolist()))

    def pairs(self, n: int) -> list[tuple[int, int, float]]:
        """t, c and y[t, c]."""
        listed = self.listed(n)
        return [(t, c, float(1 - self.x[n, t] + self.x[n, c])) for t in listed for c in range(4) if c not in listed]


def lists(rng: np.random.Generator) -> Iterator[Lists]:
    yield Lists(integers(rng, 8, 4), rng.integers(-1, 4, (8, 4)))


@equation("19.15", lists)
def multilabel_margin_loss(v: Lists) -> None:
    literal = tabulate((8,), lambda n: sum(max(0, y) for _, _, y in v.pairs(n)) / 4)
    assert_same(literal, mint.multilabel_margin_loss(v.x, v.target, reduction="none")[0])


@equation("19.16", lists)
def multilabel_margin_propagate(v: Lists) -> None:
    delta = np.arange(1.0, 9)

    def literal(n: int, j: int) -> float:
        return float(delta[n] / 4 * sum((int(j == c) - int(j == t)) * (y > 0) for t, c, y in v.pairs(n)))

    _, vjp = mint.multilabel_margin_loss(v.x, v.target, reduction="none")
    assert_same(tabulate((8, 4), literal), vjp(delta)[0])


class Labels(NamedTuple):
    """One call of multilabel_soft_margin_loss."""

    x: Array
    t: Array
    w: Array
    delta: Array

    def each(self, n: int, c: int) -> tuple[float, float]:
        """t·log σ(x) and (1 − t)·log σ(−x)."""
        x, t = self.x[n, c], self.t[n, c]
        return t * math.log(sigma(x)), (1 - t) * math.log(sigma(-x))

    def call(self) -> tuple[Array, Any]:
        return mint.multilabel_soft_margin_loss(self.x, self.t, self.w, reduction="none")


def labels(rng: np.random.Generator) -> Iterator[Labels]:
    yield Labels(rng.standard_normal((5, 3)), rng.random((5, 3)), rng.standard_normal(3), rng.standard_normal(5))


# log σ of what is not large is a logarithm of a number near 1
LOGARITHM = 2.0


@equation("19.17", labels)
def multilabel_soft_margin_loss(v: Labels) -> None:
    terms = tabulate((5, 3), lambda n, c: -v.w[c] / 3 * sum(v.each(n, c)))
    assert_near(tabulate((5,), lambda n: sum(terms[n])), v.call()[0], (np.abs(terms) + LOGARITHM).sum(1))


@equation("19.18", labels)
def multilabel_soft_margin_propagate(v: Labels) -> None:
    gx, gt, _ = v.call()[1](v.delta)
    factor = tabulate((5, 3), lambda n, c: v.delta[n] * v.w[c] / 3)

    def terms(n: int, c: int) -> tuple[float, float]:
        x, t = v.x[n, c], v.t[n, c]
        return factor[n, c] * (1 - t) * sigma(x), -factor[n, c] * t * sigma(-x)

    scale = tabulate((5, 3), lambda n, c: sum(map(abs, terms(n, c))))
    assert_near(tabulate((5, 3), lambda n, c: sum(terms(n, c))), gx, scale)
    literal = tabulate((5, 3), lambda n, c: -factor[n, c] * v.x[n, c])
    assert_near(literal, gt, np.abs(literal))


@equation("19.19", labels)
def multilabel_soft_margin_weight(v: Labels) -> None:
    terms = tabulate((3, 5), lambda c, n: -v.delta[n] / 3 * sum(v.each(n, c)))
    scale = (np.abs(terms) + LOGARITHM * np.abs(v.delta) / 3).sum(1)
    assert_near(tabulate((3,), lambda c: sum(terms[c])), v.call()[1](v.delta)[2], scale)
