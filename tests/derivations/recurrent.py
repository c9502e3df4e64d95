"""Section 14: recurrent networks."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, integers, over, tabulate


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def sigma_slope(x: float) -> float:
    return sigma(x) * sigma(-x)


def tanh_slope(x: float) -> float:
    return 4 * sigma_slope(2 * x)


class Sequences:
    """A relu network on small integers, and the quantities of 14.1, of which nothing is rounded.

    Indices are n, t, m as in the equations; states begin at t = 0, the steps at t = 1.
    """

    def __init__(self, rng: np.random.Generator, lengths: list[int]) -> None:
        self.lengths, self.samples, self.steps, self.n_in, self.hidden = lengths, len(lengths), max(lengths), 2, 5
        self.x = integers(rng, self.samples, self.steps, self.n_in)
        self.h_0 = integers(rng, 1, self.samples, self.hidden)
        self.w, self.v = integers(rng, self.hidden, self.n_in), integers(rng, self.hidden, self.hidden)
        self.b, self.d = integers(rng, self.hidden), integers(rng, self.hidden)
        weights = self.w, self.v, self.b, self.d
        (self.y, self.h_n), vjp = mint.rnn(
            self.x, self.h_0, np.array(lengths), None, *weights, nonlinearity="relu", batch_first=True
        )
        self.delta, self.delta_h = integers(rng, *self.y.shape), integers(rng, *self.h_n.shape)
        self.gx, self.gh_0, _, _, self.gw, self.gv, self.gb, self.gd = vjp(self.delta, self.delta_h)
        self.h = np.zeros((self.samples, self.steps + 1, self.hidden))
        self.h[:, 0] = self.h_0[0]
        for n, t, m in over(self.samples, self.steps, self.hidden):
            self.h[n, t + 1, m] = max(sum(self.sums(n, t + 1, m)), 0) if t < lengths[n] else self.h[n, t, m]
        self.eta = np.zeros_like(self.h)
        self.alpha = np.zeros_like(self.h)
        for n in range(self.samples):
            self.back(n)

    def sums(self, n: int, t: int, m: int) -> tuple[float, float]:
        """a and u of (14.1)."""
        a = sum(self.w[m, k] * self.x[n, t - 1, k] for k in range(self.n_in)) + self.b[m]
        u = sum(self.v[m, k] * self.h[n, t - 1, k] for k in range(self.hidden)) + self.d[m]
        return a, u

    def back(self, n: int) -> None:
        """η of (14.2), and α of (14.6), which for a relu is υ; λ is 0."""
        for t in range(self.steps, -1, -1):
            ended = t > self.lengths[n]
            for k in range(self.hidden):
                given = 0.0 if t == 0 or ended else self.delta[n, t - 1, k]
                if t == self.steps:
                    self.eta[n, t, k] = given + self.delta_h[0, n, k]
                elif t + 1 > self.lengths[n]:
                    self.eta[n, t, k] = given + self.eta[n, t + 1, k]
                else:
                    later = (self.v[m, k] * self.alpha[n, t + 1, m] for m in range(self.hidden))
                    self.eta[n, t, k] = given + sum(later)
                if t > 0 and not ended:
                    self.alpha[n, t, k] = self.eta[n, t, k] * (sum(self.sums(n, t, k)) > 0)

    def gathered(self, m: int, before: Any) -> float:
        """The sum over samples and steps of α times what `before` gives for n and t."""
        return sum(self.alpha[n, t + 1, m] * before(n, t + 1) for n, t in over(self.samples, self.steps))


def equally_long(rng: np.random.Generator) -> Iterator[Sequences]:
    yield Sequences(rng, [3, 3])


def of_several_lengths(rng: np.random.Generator) -> Iterator[Sequences]:
    yield Sequences(rng, [1, 4, 2])


@equation("14.1", equally_long)
def sums(s: Sequences) -> None:
    literal = tabulate(s.y.shape, lambda n, t, m: max(sum(s.sums(n, t + 1, m)), 0))
    assert_same(literal, s.y)
    assert_same(s.h[:, -1][None], s.h_n)


@equation("14.2", equally_long)
def through_time(s: Sequences) -> None:
    assert_same(s.eta[:, 0][None], s.gh_0)


@equation("14.3", equally_long)
def of_the_input_product(s: Sequences) -> None:
    literal = tabulate(s.x.shape, lambda n, t, k: sum(s.alpha[n, t + 1, m] * s.w[m, k] for m in range(s.hidden)))
    assert_same(literal, s.gx)
    assert_same(tabulate(s.w.shape, lambda m, k: s.gathered(m, lambda n, t: s.x[n, t - 1, k])), s.gw)
    assert_same(tabulate(s.b.shape, lambda m: s.gathered(m, lambda n, t: 1)), s.gb)


@equation("14.4", equally_long)
def of_the_product_with_the_state(s: Sequences) -> None:
    assert_same(tabulate(s.v.shape, lambda m, k: s.gathered(m, lambda n, t: s.h[n, t - 1, k])), s.gv)
    assert_same(tabulate(s.d.shape, lambda m: s.gathered(m, lambda n, t: 1)), s.gd)


@equation("14.5", of_several_lengths)
def past_the_end(s: Sequences) -> None:
    counts = tabulate(s.y.shape, lambda n, t, m: t < s.lengths[n])
    assert_same(s.h[:, 1:] * counts, s.y)
    assert_same(s.h[:, -1][None], s.h_n)
    through_time(s)
    of_the_input_product(s)
    of_the_product_with_the_state(s)


class Cell:
    """One step on inputs and weights of which a and u are exact: α is the gradient of b, and υ that of d."""

    def __init__(self, rng: np.random.Generator, name: str, gates: int, states: int, **hyper: str) -> None:
        self.size, n_in = 16, 2
        rows = gates * self.size
        self.x, self.before = integers(rng, n_in), [integers(rng, self.size) / 4 for _ in range(states)]
        w, v = integers(rng, rows, n_in) / 16, integers(rng, rows, self.size) / 16
        b, d = integers(rng, rows) / 16, integers(rng, rows) / 16
        y, vjp = getattr(mint, name)(self.x, *self.before, w, v, b, d, **hyper)
        self.after = y if isinstance(y, tuple) else (y,)
        self.eta, *self.gamma = (rng.standard_normal(self.size) for _ in range(states))
        gradients = vjp(self.eta, *self.gamma)
        self.of_before, (self.alpha, self.upsilon) = gradients[1 : 1 + states], gradients[-2:]
        self.v = v
        self.a = tabulate((rows,), lambda m: sum(w[m, k] * self.x[k] for k in range(n_in)) + b[m])
        self.u = tabulate((rows,), lambda m: sum(v[m, k] * self.before[0][k] for k in range(self.size)) + d[m])

    def rows(self, a: Array, gate: int) -> Array:
        return a[gate * self.size : (gate + 1) * self.size]

    def assert_elements(self, computed: Array, *terms: Any, scale: Any = None) -> None:
        """`computed` is the sum of `terms`, functions of the place, each a product of a few factors."""
        scale = scale or (lambda j: sum(abs(term(j)) for term in terms))
        literal = tabulate((self.size,), lambda j: sum(term(j) for term in terms))
        assert_near(literal, computed, tabulate((self.size,), lambda j: 2 * scale(j) + TINY))

    def through_u(self) -> list[Any]:
        """What reaches the state before by way of each row of u."""
        return [lambda j, m=m: self.v[m, j] * self.upsilon[m] for m in range(len(self.v))]


def elman(rng: np.random.Generator) -> Iterator[tuple[Cell, Any, Any]]:
    yield Cell(rng, "rnn_cell", 1, 1), math.tanh, tanh_slope
    yield Cell(rng, "rnn_cell", 1, 1, nonlinearity="relu"), lambda z: max(z, 0), lambda z: z > 0


@equation("14.6", elman)
def elman_cell(case: tuple[Cell, Any, Any]) -> None:
    cell, f, slope = case
    cell.assert_elements(cell.after[0], lambda j: f(cell.a[j] + cell.u[j]))
    cell.assert_elements(cell.alpha, lambda j: cell.eta[j] * slope(cell.a[j] + cell.u[j]))
    assert_same(cell.alpha, cell.upsilon)
    cell.assert_elements(cell.of_before[0], *cell.through_u())


class Lstm(Cell):
    """The gates of an LSTM, in the order of its rows."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng, "lstm_cell", 4, 2)
        self.i, self.f, self.g, self.o = (self.rows(self.a + self.u, gate) for gate in range(4))

    def kept(self, j: int) -> float:
        return sigma(self.f[j]) * float(self.before[1][j])

    def new(self, j: int) -> float:
        return sigma(self.i[j]) * math.tanh(self.g[j])

    def c(self, j: int) -> float:
        return self.kept(j) + self.new(j)

    def size_of_c(self, j: int) -> float:
        """What c is rounded at."""
        return abs(self.kept(j)) + abs(self.new(j))

    def through_h(self, j: int) -> float:
        return float(self.eta[j] * sigma(self.o[j]) * tanh_slope(self.c(j)))


def lstm(rng: np.random.Generator) -> Iterator[Lstm]:
    yield Lstm(rng)


@equation("14.7", lstm)
def lstm_forward(cell: Lstm) -> None:
    h, c = cell.after
    cell.assert_elements(c, cell.kept, cell.new)
    cell.assert_elements(
        h,
        lambda j: sigma(cell.o[j]) * math.tanh(cell.c(j)),
        scale=lambda j: sigma(cell.o[j]) * cell.size_of_c(j),
    )


@equation("14.8", lstm)
def lstm_state(cell: Lstm) -> None:
    f = [sigma(z) for z in cell.f]
    cell.assert_elements(cell.of_before[1], lambda j: cell.gamma[0][j] * f[j], lambda j: cell.through_h(j) * f[j])


@equation("14.9", lstm)
def lstm_gates(cell: Lstm) -> None:
    def of_c(gate: int, factor: Any) -> None:
        alpha = cell.rows(cell.alpha, gate)
        cell.assert_elements(alpha, lambda j: cell.gamma[0][j] * factor(j), lambda j: cell.through_h(j) * factor(j))

    of_c(0, lambda j: math.tanh(cell.g[j]) * sigma_slope(cell.i[j]))
    of_c(1, lambda j: cell.before[1][j] * sigma_slope(cell.f[j]))
    of_c(2, lambda j: sigma(cell.i[j]) * tanh_slope(cell.g[j]))
    cell.assert_elements(
        cell.rows(cell.alpha, 3),
        lambda j: cell.eta[j] * math.tanh(cell.c(j)) * sigma_slope(cell.o[j]),
        scale=lambda j: abs(cell.eta[j]) * cell.size_of_c(j) * sigma_slope(cell.o[j]),
    )
    assert_same(cell.alpha, cell.upsilon)


@equation("14.10")
def lstm_projection(rng: np.random.Generator) -> None:
    # one step from zeros: m is h of the same cell without R, and α, the gradient of b, is linear in what reaches it
    x, w, v, r = (rng.standard_normal(shape) for shape in ((1, 3), (16, 3), (16, 2), (2, 4)))
    b, none = np.zeros(16), [np.zeros((1, size)) for size in (2, 4)]
    (m, _, _), plain_vjp = mint.lstm(x, None, None, None, None, w, np.zeros((16, 4)), b, b)
    (h, _, _), vjp = mint.lstm(x, None, None, None, None, w, v, b, b, r)
    slope = plain_vjp(np.ones((1, 4)), none[1], none[1])[7]
    eta = rng.standard_normal(2)
    *_, alpha, _, of_r = vjp(eta[None], *none)

    def projected(p: int) -> list[float]:
        return [r[p, j] * m[0, j] for j in range(4)]

    def handed_on(row: int) -> list[float]:
        return [eta[p] * r[p, row % 4] * slope[row] for p in range(2)]

    for terms, computed in ((projected, h[0]), (handed_on, alpha)):
        literal = tabulate(computed.shape, lambda k, terms=terms: sum(terms(k)))
        assert_near(literal, computed, tabulate(computed.shape, lambda k, terms=terms: sum(map(abs, terms(k)))) + TINY)
    assert_same(tabulate(r.shape, lambda p, j: eta[p] * m[0, j]), of_r)


class Gru(Cell):
    """The gates of a GRU, in the order of its rows."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng, "gru_cell", 3, 1)
        self.zr, self.zz = (self.rows(self.a, gate) + self.rows(self.u, gate) for gate in range(2))
        self.un = self.rows(self.u, 2)
        self.zn = tabulate((self.size,), lambda j: self.rows(self.a, 2)[j] + sigma(self.zr[j]) * self.un[j])

    def size_of_n(self, j: int) -> float:
        """What the argument of n is rounded at."""
        return float(abs(self.rows(self.a, 2)[j]) + sigma(self.zr[j]) * abs(self.un[j]))

    def alpha_n(self, j: int) -> float:
        return float(self.eta[j] * sigma(-self.zz[j]) * tanh_slope(self.zn[j]))


def gru(rng: np.random.Generator) -> Iterator[Gru]:
    yield Gru(rng)


@equation("14.11", gru)
def gru_forward(cell: Gru) -> None:
    (h,) = cell.after
    cell.assert_elements(
        h,
        lambda j: sigma(-cell.zz[j]) * math.tanh(cell.zn[j]),
        lambda j: sigma(cell.zz[j]) * cell.before[0][j],
        scale=lambda j: sigma(-cell.zz[j]) * cell.size_of_n(j) + sigma(cell.zz[j]) * abs(cell.before[0][j]),
    )


@equation("14.12", gru)
def gru_gates(cell: Gru) -> None:
    r = [sigma(z) for z in cell.zr]
    h, n = cell.before[0], [math.tanh(z) for z in cell.zn]
    cell.assert_elements(cell.rows(cell.alpha, 2), cell.alpha_n)
    cell.assert_elements(cell.rows(cell.upsilon, 2), lambda j: cell.alpha_n(j) * r[j])
    for of_reset, of_update, _ in (np.split(g, 3) for g in (cell.alpha, cell.upsilon)):
        cell.assert_elements(of_reset, lambda j: cell.alpha_n(j) * cell.un[j] * sigma_slope(cell.zr[j]))
        cell.assert_elements(
            of_update,
            lambda j: cell.eta[j] * h[j] * sigma_slope(cell.zz[j]),
            lambda j: -cell.eta[j] * n[j] * sigma_slope(cell.zz[j]),
            scale=lambda j: abs(cell.eta[j]) * (abs(h[j]) + cell.size_of_n(j)) * sigma_slope(cell.zz[j]),
        )
    cell.assert_elements(cell.of_before[0], lambda j: cell.eta[j] * sigma(cell.zz[j]), *cell.through_u())
