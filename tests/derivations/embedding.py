"""Section 11: tables, products of two inputs, clusters of classes."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import Array, assert_near, assert_same, at, equation, integers, over, tabulate

ROWS, DIM = 5, 3
PADDING = 1
PICKED = np.array([3, 0, 3, 1, 4, 1, 3, 0])


def table(rng: np.random.Generator) -> tuple[Array, Array]:
    """w and δ."""
    return integers(rng, ROWS, DIM), integers(rng, PICKED.size, DIM)


@equation("11.1")
def embedding(rng: np.random.Generator) -> None:
    w, _ = table(rng)
    z, _ = mint.embedding(PICKED, w)
    assert_same(tabulate(z.shape, lambda n, d: w[PICKED[n], d]), z)


@equation("11.2")
def embedding_weight(rng: np.random.Generator) -> None:
    w, delta = table(rng)
    for by_frequency in (False, True):
        _, vjp = mint.embedding(PICKED, w, padding_idx=PADDING, scale_grad_by_freq=by_frequency)

        def gw(v: int, d: int, by_frequency: bool = by_frequency) -> Any:
            f = max(sum(v == PICKED), 1) if by_frequency else 1
            return (v != PADDING) / f * sum((PICKED[n] == v) * delta[n, d] for n in range(PICKED.size))

        literal = tabulate(w.shape, gw)
        assert_near(literal, vjp(delta)[1], np.abs(literal) + 1)


@equation("11.3")
def shortened(rng: np.random.Generator) -> None:
    # long rows and short ones
    w = rng.standard_normal((ROWS, DIM)) * np.array([[10], [0.01], [1], [0.01], [10]])
    delta = rng.standard_normal((PICKED.size, DIM))
    for p, most in ((2.0, 1.0), (1.0, 1.5), (3.0, 0.7)):
        z, vjp = mint.embedding(PICKED, w, max_norm=most, norm_type=p)
        norms = [math.fsum(abs(w[v, d]) ** p for d in range(DIM)) ** (1 / p) for v in range(ROWS)]
        factors = [most / (norm + 1e-7) if norm > most else 1 for norm in norms]
        assert min(factors) < max(factors) == 1
        assert_near(tabulate(z.shape, lambda n, d, f=factors: w[PICKED[n], d] * f[PICKED[n]]), z, 4 * np.abs(z))
        # the factor is not differentiated
        plain = mint.embedding(PICKED, w)[1]
        assert_same(np.asarray(plain(delta)[1]), vjp(delta)[1])


class Bags(NamedTuple):
    """One call of a bag of embeddings."""

    mode: str
    w: Array
    p: Array
    members: list[list[int]]
    delta: Array
    z: Array
    gw: Array
    gp: Array | None


OFFSETS = np.array([0, 3, 3, 5])


def bags(rng: np.random.Generator) -> Iterator[Bags]:
    """Every mode; the second bag is empty."""
    for mode in ("sum", "mean", "max"):
        w, delta = integers(rng, ROWS, DIM), integers(rng, OFFSETS.size, DIM)
        p = integers(rng, PICKED.size) if mode == "sum" else np.ones(PICKED.size)
        given = p if mode == "sum" else None
        z, vjp = mint.embedding_bag(PICKED, w, OFFSETS, given, mode=mode, padding_idx=PADDING)
        _, gw, _, gp = vjp(delta)
        ends = [*OFFSETS[1:], PICKED.size]
        members = [[n for n in range(a, b) if PICKED[n] != PADDING] for a, b in zip(OFFSETS, ends, strict=True)]
        yield Bags(mode, w, p, members, delta, z, gw, gp)


@equation("11.4", bags)
def bag(v: Bags) -> None:
    def z(b: int, d: int) -> Any:
        terms = [v.p[n] * v.w[PICKED[n], d] for n in v.members[b]]
        if not terms:
            return 0
        return {"sum": sum(terms), "mean": sum(terms) / len(terms), "max": max(terms)}[v.mode]

    assert [] in v.members
    assert_same(tabulate(v.z.shape, z), v.z)


def linear_bags(rng: np.random.Generator) -> Iterator[Bags]:
    """Sum and mean."""
    return (v for v in bags(rng) if v.mode != "max")


@equation("11.5", linear_bags)
def bag_gradients(v: Bags) -> None:
    def share(b: int) -> int:
        return len(v.members[b]) if v.mode == "mean" else 1

    def gw(row: int, d: int) -> Any:
        return sum(
            (PICKED[n] == row) * v.p[n] / share(b) * v.delta[b, d] for b in range(OFFSETS.size) for n in v.members[b]
        )

    def gp(n: int) -> Any:
        return sum(
            (n in v.members[b]) * sum(v.w[PICKED[n], d] * v.delta[b, d] for d in range(DIM))
            for b in range(OFFSETS.size)
        )

    literal = tabulate(v.w.shape, gw)
    assert_near(literal, v.gw, np.abs(literal) + 1)
    if v.gp is not None:
        assert_same(literal, v.gw)
        assert_same(tabulate(v.gp.shape, gp), v.gp)


@equation("11.6", bags)
def bag_of_maxima(v: Bags) -> None:
    if v.mode != "max":
        return

    def winner(b: int, d: int) -> int:
        return min(n for n in v.members[b] if v.w[PICKED[n], d] == v.z[b, d])

    def gw(row: int, d: int) -> Any:
        filled = (b for b in range(OFFSETS.size) if v.members[b])
        return sum((PICKED[winner(b, d)] == row) * v.delta[b, d] for b in filled)

    assert_same(tabulate(v.w.shape, gw), v.gw)


class Bilinear(NamedTuple):
    """One call of the bilinear layer."""

    x: Array
    y: Array
    w: Array
    b: Array
    delta: Array
    z: Array
    gradients: tuple[Array, ...]

    def g(self, n: int, i: int, j: int) -> Any:
        return sum(self.delta[n, k] * self.w[k, i, j] for k in range(len(self.w)))


def bilinear_call(rng: np.random.Generator) -> Iterator[Bilinear]:
    x, y, w, b = integers(rng, 4, 3), integers(rng, 4, 2), integers(rng, 5, 3, 2), integers(rng, 5)
    z, vjp = mint.bilinear(x, y, w, b)
    delta = integers(rng, *z.shape)
    yield Bilinear(x, y, w, b, delta, z, vjp(delta))


@equation("11.7", bilinear_call)
def bilinear(v: Bilinear) -> None:
    def z(n: int, k: int) -> Any:
        return sum(v.x[n, i] * v.w[k, i, j] * v.y[n, j] for i, j in over(3, 2)) + v.b[k]

    assert_same(tabulate(v.z.shape, z), v.z)


@equation("11.8", bilinear_call)
def bilinear_weight(v: Bilinear) -> None:
    _, _, gw, gb = v.gradients
    assert_same(tabulate(v.w.shape, lambda k, i, j: sum(v.delta[n, k] * v.x[n, i] * v.y[n, j] for n in range(4))), gw)
    assert_same(tabulate(v.b.shape, lambda k: sum(v.delta[n, k] for n in range(4))), gb)


@equation("11.9", bilinear_call)
def bilinear_propagate(v: Bilinear) -> None:
    gx, gy, *_ = v.gradients
    assert_same(tabulate(v.x.shape, lambda n, i: sum(v.g(n, i, j) * v.y[n, j] for j in range(2))), gx)
    assert_same(tabulate(v.y.shape, lambda n, j: sum(v.g(n, i, j) * v.x[n, i] for i in range(3))), gy)


class Clusters(NamedTuple):
    """One call of the adaptive softmax: s = 2 frequent classes, and clusters that begin with 2 and 5."""

    x: Array
    a: Array
    b: Array
    d: list[Array]
    u: list[Array]
    delta: Array
    z: Array
    gradients: tuple[Array, ...]

    begins = (2, 5)
    ends = (5, 7)

    @property
    def h(self) -> Array:
        return log_softmax(self.x @ self.a.T + self.b)

    def q(self, k: int) -> Array:
        return log_softmax(self.x @ self.d[k].T @ self.u[k].T)

    def cluster(self, c: int) -> int:
        """The k of the cluster that class c is in, −1 where it is frequent."""
        return next((k for k in range(2) if self.begins[k] <= c < self.ends[k]), -1)

    def gh(self) -> Array:
        """∂L/∂h of (11.11)."""

        def element(n: int, c: int) -> Any:
            if c < 2:
                return self.delta[n, c]
            return sum(self.delta[n, j] for j in range(self.begins[c - 2], self.ends[c - 2]))

        return tabulate(self.h.shape, element)

    def gq(self, k: int) -> Array:
        """∂L/∂q of (11.11)."""
        return tabulate(self.q(k).shape, lambda n, j: self.delta[n, self.begins[k] + j])


def log_softmax(scores: Array) -> Array:
    return tabulate(scores.shape, lambda n, c: scores[n, c] - math.log(math.fsum(map(math.exp, scores[n]))))


def through(g: Array, log_p: Array) -> Array:
    """From the gradient of a log-softmax to that of its scores: (6.11)."""
    return tabulate(g.shape, lambda n, c: g[n, c] - math.exp(log_p[n, c]) * math.fsum(g[n]))


def clusters(rng: np.random.Generator) -> Iterator[Clusters]:
    x, a, b = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal(4)
    d = [rng.standard_normal((2, 3)), rng.standard_normal((1, 3))]
    u = [rng.standard_normal((3, 2)), rng.standard_normal((2, 1))]
    z, vjp = mint.adaptive_log_softmax(x, a, b, d[0], u[0], d[1], u[1], cutoffs=Clusters.begins)
    delta = rng.standard_normal(z.shape)
    yield Clusters(x, a, b, d, u, delta, z, vjp(delta))


@equation("11.10", clusters)
def adaptive_softmax(v: Clusters) -> None:
    def z(n: int, c: int) -> Any:
        k = v.cluster(c)
        return v.h[n, c] if k == -1 else v.h[n, 2 + k] + v.q(k)[n, c - v.begins[k]]

    # the scores are sums of a few terms of the magnitude 1, as are the logarithms
    assert_near(tabulate(v.z.shape, z), v.z, 4 + np.abs(v.z))


@equation("11.11", clusters)
def adaptive_softmax_head(v: Clusters) -> None:
    # the gradient of the bias is what of ∂L/∂h comes through the softmax of the head
    literal = through(v.gh(), v.h).sum(0)
    assert_near(literal, v.gradients[2], np.full(literal.shape, np.abs(v.delta).sum()))


@equation("11.12", clusters)
def adaptive_softmax_weights(v: Clusters) -> None:
    gx, ga, _, *tail = v.gradients
    head = through(v.gh(), v.h)
    scores = [through(v.gq(k), v.q(k)) for k in range(2)]
    size = 4 * np.abs(v.delta).sum() * max(np.abs(m).max() for m in (v.x, v.a, *v.d, *v.u)) ** 3
    pairs = [(head.T @ v.x, ga), (head @ v.a + sum(scores[k] @ v.u[k] @ v.d[k] for k in range(2)), gx)]
    for k in range(2):
        pairs += [((scores[k] @ v.u[k]).T @ v.x, tail[2 * k]), (scores[k].T @ v.x @ v.d[k].T, tail[2 * k + 1])]
    for literal, computed in pairs:
        assert_near(literal, computed, np.full(literal.shape, size))


@equation("11.13", clusters)
def adaptive_loss(v: Clusters) -> None:
    target = np.array([0, 6, 3, 1])
    arrays = v.a, v.b, v.d[0], v.u[0], v.d[1], v.u[1]
    (y, loss), vjp = mint.adaptive_log_softmax_with_loss(v.x, target, *arrays, cutoffs=v.begins)
    every, back = mint.adaptive_log_softmax(v.x, *arrays, cutoffs=v.begins)
    assert_near(tabulate((4,), lambda n: v.z[n, target[n]]), y, 4 + np.abs(y))
    assert_near(np.array(-sum(y) / 4), loss, np.abs(loss))
    delta, lam = v.delta[:, 0], v.delta[0, 1]
    of_every = tabulate(every.shape, lambda n, c: (c == target[n]) * (delta[n] - lam / 4))
    gx, _, *others = vjp(delta, np.array(lam))
    for literal, computed in zip(back(of_every), (gx, *others), strict=True):
        assert_near(np.asarray(literal), computed, np.full(np.shape(literal), 32.0))


@equation("11.14")
def unflatten(rng: np.random.Generator) -> None:
    x = integers(rng, 2, 12, 3)
    z, vjp = mint.unflatten(x, dim=1, sizes=(2, -1, 3))
    delta = integers(rng, *z.shape)
    assert z.shape == (2, 2, 2, 3, 3)
    assert_same(tabulate(z.shape, lambda n, i, j, k, c: at(x, n, (i * 2 + j) * 3 + k, c)), z)

    def gx(n: int, m: int, c: int) -> Any:
        return next(delta[n, i, j, k, c] for i, j, k in over(2, 2, 3) if (i * 2 + j) * 3 + k == m)

    assert_same(tabulate(x.shape, gx), vjp(delta)[0])
