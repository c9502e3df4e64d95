"""Section 17: normalisation."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, assert_same, equation, over, tabulate

EPS = 0.1
Index = tuple[int, ...]


class Normalised(NamedTuple):
    """One call of Mint's, x [n, c, q]; `part` says in which S an index is, `of` to which w and b it belongs."""

    x: Array
    w: Array
    b: Array
    delta: Array
    z: Array
    gradients: tuple[Array, ...]
    part: Callable[..., Any]
    of: Callable[..., Any]

    def members(self, i: Index) -> list[Index]:
        """S."""
        return [j for j in over(*self.x.shape) if self.part(*j) == self.part(*i)]

    def mean(self, values: Array, i: Index) -> float:
        members = self.members(i)
        return math.fsum(values[j] for j in members) / len(members)

    def tabulated(self, element: Callable[[Index], Any]) -> Array:
        return tabulate(self.x.shape, lambda *i: element(i))

    @property
    def rho(self) -> Array:
        variance = self.tabulated(lambda i: self.mean((self.x - self.mean(self.x, i)) ** 2, i))
        return np.sqrt(variance + EPS)

    @property
    def hat(self) -> Array:
        return self.tabulated(lambda i: self.x[i] - self.mean(self.x, i)) / self.rho

    @property
    def h(self) -> Array:
        return self.tabulated(lambda i: self.delta[i] * self.w[self.of(*i)])

    def gathered(self, terms: Array) -> Array:
        """The sum over the elements of each w."""
        sums = np.zeros_like(self.w)
        for i in over(*self.x.shape):
            sums[self.of(*i)] += terms[i]
        return sums


def channel(n: int, c: int, q: int) -> int:
    del n, q
    return c


def normalisations(rng: np.random.Generator) -> Iterator[Normalised]:
    """The four ways of taking statistics."""
    kinds: tuple[tuple[str, dict[str, Any], Callable[..., Any], Callable[..., Any]], ...] = (
        ("batch_norm", {"training": True}, channel, channel),
        ("instance_norm", {}, lambda n, c, q: (n, c), channel),
        ("group_norm", {"num_groups": 2}, lambda n, c, q: (n, c // 2), channel),
        ("layer_norm", {"normalized_shape": (4, 3)}, lambda n, c, q: n, lambda n, c, q: (c, q)),
    )
    for name, hyper, part, of in kinds:
        x, delta = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4, 3))
        w, b = (rng.standard_normal((4, 3) if name == "layer_norm" else 4) for _ in range(2))
        statistics = (None, None) if name in ("batch_norm", "instance_norm") else ()
        z, vjp = getattr(mint, name)(x, *statistics, w, b, eps=EPS, **hyper)
        yield Normalised(x, w, b, delta, z, tuple(g for g in vjp(delta) if g is not None), part, of)


@equation("17.1", normalisations)
def forward(v: Normalised) -> None:
    literal = v.tabulated(lambda i: v.hat[i] * v.w[v.of(*i)] + v.b[v.of(*i)])
    scale = v.tabulated(lambda i: (1 + abs(v.hat[i])) * abs(v.w[v.of(*i)]) + abs(v.b[v.of(*i)]))
    assert_near(literal, v.z, scale)


@equation("17.2", normalisations)
def weight_and_bias(v: Normalised) -> None:
    _, gw, gb = v.gradients
    assert_near(v.gathered(v.delta * v.hat), gw, v.gathered(np.abs(v.delta) * (1 + np.abs(v.hat))))
    assert_near(v.gathered(v.delta), gb, v.gathered(np.abs(v.delta)))


def of_jacobian(v: Normalised, j: Index) -> Array:
    """∂x̂[i]/∂x[j]·ρ for every i, each term in its own row."""
    members = v.members(j)

    def terms(i: Index) -> list[float]:
        return [float(i == j), -1 / len(members), -v.hat[i] * v.hat[j] / len(members)]

    return np.array([[v.h[i] * term for term in terms(i)] for i in members])


@equation("17.3", normalisations)
def jacobian(v: Normalised) -> None:
    literal = v.tabulated(lambda j: of_jacobian(v, j).sum() / v.rho[j])
    scale = v.tabulated(lambda j: np.abs(of_jacobian(v, j)).sum() / v.rho[j])
    assert_near(literal, v.gradients[0], scale)


@equation("17.4", normalisations)
def propagate(v: Normalised) -> None:
    def terms(j: Index) -> tuple[float, float, float]:
        return v.h[j], -v.mean(v.h, j), -v.hat[j] * v.mean(v.h * v.hat, j)

    literal = v.tabulated(lambda j: sum(terms(j)) / v.rho[j])
    magnitude, of_hat = np.abs(v.h), np.abs(v.h * v.hat)
    scale = v.tabulated(
        lambda j: (magnitude[j] + v.mean(magnitude, j) + (1 + abs(v.hat[j])) * v.mean(of_hat, j)) / v.rho[j]
    )
    assert_near(literal, v.gradients[0], scale)


@equation("17.5")
def running_statistics(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 2, 3))
    r, q, m = rng.standard_normal(2), rng.uniform(1, 2, 2), 0.3

    def statistics(values: Array) -> tuple[float, float]:
        mean = math.fsum(values.ravel()) / values.size
        return mean, math.fsum((values - mean).ravel() ** 2) / values.size

    for op, hyper, parts, count in (
        (mint.batch_norm, {"training": True}, [[x[:, c]] * 4 for c in range(2)], 12),
        (mint.instance_norm, {}, [list(x[:, c]) for c in range(2)], 3),
    ):
        (_, new_mean, new_var), _ = op(x, r, q, momentum=m, **hyper)
        means = [math.fsum(statistics(part)[0] for part in of_channel) / 4 for of_channel in parts]
        variances = [
            math.fsum(count / (count - 1) * statistics(part)[1] for part in of_channel) / 4 for of_channel in parts
        ]
        literal = tabulate((2,), lambda c, means=means: (1 - m) * r[c] + m * means[c])
        assert_near(literal, new_mean, (1 - m) * np.abs(r) + m * np.abs(x).max())
        literal = tabulate((2,), lambda c, variances=variances: (1 - m) * q[c] + m * variances[c])
        assert_near(literal, new_var, literal)


@equation("17.6")
def evaluation(rng: np.random.Generator) -> None:
    x, delta = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4))
    r, q, w, b = rng.standard_normal(3), rng.uniform(1, 2, 3), rng.standard_normal(3), rng.standard_normal(3)
    for op, hyper in ((mint.batch_norm, {}), (mint.instance_norm, {"use_input_stats": False})):
        (z, *_), vjp = op(x, r, q, w, b, eps=EPS, **hyper)
        literal = tabulate(x.shape, lambda n, c, i: (x[n, c, i] - r[c]) / math.sqrt(q[c] + EPS) * w[c] + b[c])
        scale = tabulate(x.shape, lambda n, c, i: (abs(x[n, c, i]) + abs(r[c])) * abs(w[c]) + abs(b[c]))
        assert_near(literal, z, scale)
        literal = tabulate(x.shape, lambda n, c, i: delta[n, c, i] * w[c] / math.sqrt(q[c] + EPS))
        assert_near(literal, vjp(delta)[0], np.abs(literal))


class RootMeanSquare(NamedTuple):
    """One call of rms_norm over the last axis."""

    x: Array
    w: Array
    delta: Array
    z: Array
    gradients: tuple[Array, ...]

    @property
    def rho(self) -> Array:
        return np.array([math.sqrt(math.fsum(row * row) / len(row) + EPS) for row in self.x])

    @property
    def hat(self) -> Array:
        return tabulate(self.x.shape, lambda n, i: self.x[n, i] / self.rho[n])


def root_mean_squares(rng: np.random.Generator) -> Iterator[RootMeanSquare]:
    x, w, delta = rng.standard_normal((3, 5)), rng.standard_normal(5), rng.standard_normal((3, 5))
    z, vjp = mint.rms_norm(x, w, normalized_shape=5, eps=EPS)
    yield RootMeanSquare(x, w, delta, z, vjp(delta))


@equation("17.7", root_mean_squares)
def rms_forward(v: RootMeanSquare) -> None:
    literal = tabulate(v.x.shape, lambda n, i: v.hat[n, i] * v.w[i])
    assert_near(literal, v.z, np.abs(literal))


@equation("17.8", root_mean_squares)
def rms_gradients(v: RootMeanSquare) -> None:
    h = v.delta * v.w
    of_hat = np.array([math.fsum(row) / 5 for row in h * v.hat])
    literal = tabulate(v.x.shape, lambda n, j: (h[n, j] - v.hat[n, j] * of_hat[n]) / v.rho[n])
    magnitude = np.abs(h * v.hat).mean(1)
    scale = tabulate(v.x.shape, lambda n, j: (abs(h[n, j]) + abs(v.hat[n, j]) * magnitude[n]) / v.rho[n])
    gx, gw = v.gradients
    assert_near(literal, gx, scale)
    terms = v.delta * v.hat
    assert_near(tabulate((5,), lambda i: sum(terms[:, i])), gw, np.abs(terms).sum(0))


class LocalResponse(NamedTuple):
    """One call of local_response_norm; `windows` are the Ω_c."""

    x: Array
    delta: Array
    z: Array
    gx: Array
    size: int

    alpha, beta, k = 0.7, 0.75, 1.5

    def window(self, c: int) -> list[int]:
        channels = self.x.shape[1]
        return [j for j in range(c - self.size // 2, c + (self.size - 1) // 2 + 1) if 0 <= j < channels]

    def d(self, n: int, c: int, q: int) -> float:
        return self.k + self.alpha / self.size * math.fsum(self.x[n, j, q] ** 2 for j in self.window(c))


def local_responses(rng: np.random.Generator) -> Iterator[LocalResponse]:
    """Odd and even windows, one as wide as there are channels."""
    for size in (1, 2, 3, 6):
        x, delta = rng.standard_normal((2, 6, 2)), rng.standard_normal((2, 6, 2))
        z, vjp = mint.local_response_norm(
            x, size=size, alpha=LocalResponse.alpha, beta=LocalResponse.beta, k=LocalResponse.k
        )
        yield LocalResponse(x, delta, z, vjp(delta)[0], size)


@equation("17.9", local_responses)
def local_response_forward(v: LocalResponse) -> None:
    literal = tabulate(v.x.shape, lambda n, c, q: v.x[n, c, q] * v.d(n, c, q) ** -v.beta)
    assert_near(literal, v.z, np.abs(literal))


@equation("17.10", local_responses)
def local_response_propagate(v: LocalResponse) -> None:
    def terms(n: int, j: int, q: int) -> list[float]:
        own = v.delta[n, j, q] * v.d(n, j, q) ** -v.beta
        around = [c for c in range(6) if j in v.window(c)]
        factor = -2 * v.alpha * v.beta / v.size * v.x[n, j, q]
        return [own, *(factor * v.delta[n, c, q] * v.x[n, c, q] * v.d(n, c, q) ** (-v.beta - 1) for c in around)]

    literal = tabulate(v.x.shape, lambda *i: sum(terms(*i)))
    assert_near(literal, v.gx, tabulate(v.x.shape, lambda *i: sum(map(abs, terms(*i)))))


def norm(x: Array, p: float) -> float:
    """‖x‖ of (17.11)."""
    sizes = [abs(float(v)) for v in x]
    if p == 0:
        return float(sum(v != 0 for v in sizes))
    if math.isinf(p):
        return max(sizes) if p > 0 else min(sizes)
    if p < 0 and 0 in sizes:
        return 0.0
    return math.fsum(v**p for v in sizes if v) ** (1 / p)


def slope(x: Array, p: float, j: int, *, shared: bool = True) -> float:
    """∂‖x‖/∂x[j] of (17.12); not `shared`, each of a tie has all of it."""
    length = norm(x, p)
    if math.isinf(p):
        tied = sum(abs(v) == length for v in x) if shared else 1
        return math.copysign(1, x[j]) * (abs(x[j]) == length != 0) / tied
    if p == 0 or x[j] == 0 or length == 0:
        return 0.0
    return math.copysign((abs(x[j]) / length) ** (p - 1), x[j])


class UnitVector(NamedTuple):
    """One call of normalize on one vector."""

    x: Array
    p: float
    eps: float
    delta: Array
    z: Array
    gx: Array


def unit_vectors(rng: np.random.Generator) -> Iterator[UnitVector]:
    """All kinds of norm, with ties and zeros, with ε smaller and larger than the norm."""
    for p in (2.0, 1.0, 3.0, 0.5, -1.0, 0.0, math.inf, -math.inf):
        for x in (rng.standard_normal(4), np.array([2.0, -2.0, 0.0, 1.0]), np.array([-3.0, 3.0, 3.0, -3.0])):
            for eps in (1e-12, 30.0):
                delta = rng.standard_normal(4)
                z, vjp = mint.normalize(x, p=p, dim=0, eps=eps)
                yield UnitVector(x, p, eps, delta, z, vjp(delta)[0])


@equation("17.11", unit_vectors)
def unit_vector(v: UnitVector) -> None:
    literal = v.x / max(norm(v.x, v.p), v.eps)
    assert_near(literal, v.z, np.abs(literal) + TINY)


@equation("17.12", unit_vectors)
@equation("17.13", unit_vectors)
def unit_vector_propagate(v: UnitVector) -> None:
    m = max(norm(v.x, v.p), v.eps)
    z = v.x / m
    chosen = norm(v.x, v.p) >= v.eps

    def terms(j: int) -> tuple[float, float]:
        return v.delta[j] / m, -chosen / m * math.fsum(v.delta * z) * slope(v.x, v.p, j)

    magnitude = float(np.abs(v.delta * z).sum())
    scale = tabulate((4,), lambda j: abs(v.delta[j]) / m + chosen / m * magnitude * abs(slope(v.x, v.p, j)))
    assert_near(tabulate((4,), lambda j: sum(terms(j))), v.gx, scale)


class WeightNorm(NamedTuple):
    """One call of weight_norm, a row a slice."""

    v: Array
    g: Array
    delta: Array
    z: Array
    gv: Array
    gg: Array

    @property
    def u(self) -> Array:
        return np.array([row / math.sqrt(math.fsum(row * row)) for row in self.v])


def weight_norms(rng: np.random.Generator) -> Iterator[WeightNorm]:
    v, g, delta = rng.standard_normal((3, 4)), rng.standard_normal((3, 1)), rng.standard_normal((3, 4))
    z, vjp = mint.weight_norm(v, g)
    yield WeightNorm(v, g, delta, z, *vjp(delta))


@equation("17.14", weight_norms)
def weight_norm(v: WeightNorm) -> None:
    literal = tabulate((3, 4), lambda i, j: v.g[i, 0] * v.u[i, j])
    assert_near(literal, v.z, np.abs(literal))


@equation("17.15", weight_norms)
def weight_norm_gradients(v: WeightNorm) -> None:
    along = np.array([math.fsum(row) for row in v.delta * v.u])
    magnitude = np.abs(v.delta * v.u).sum(1)
    assert_near(along[:, None], v.gg, magnitude[:, None])
    factor = [v.g[i, 0] / math.sqrt(math.fsum(v.v[i] ** 2)) for i in range(3)]
    literal = tabulate((3, 4), lambda i, j: factor[i] * (v.delta[i, j] - v.u[i, j] * along[i]))
    scale = tabulate((3, 4), lambda i, j: abs(factor[i]) * (abs(v.delta[i, j]) + abs(v.u[i, j]) * magnitude[i]))
    assert_near(literal, v.gv, scale)


@equation("17.16")
def power_iteration(rng: np.random.Generator) -> None:
    w = rng.integers(-3, 4, (3, 4)).astype(np.float64)
    u, v = rng.standard_normal(3), rng.standard_normal(4)
    for eps in (1e-12, 50.0):
        (_, new_u, new_v), _ = mint.spectral_norm(w, u, v, n_power_iterations=2, eps=eps)
        a, b = u, v
        for _ in range(2):
            a = tabulate((3,), lambda i, b=b: math.fsum(w[i] * b))
            a = a / max(norm(a, 2), eps)
            b = tabulate((4,), lambda j, a=a: math.fsum(w[:, j] * a))
            b = b / max(norm(b, 2), eps)
        # four products with a matrix, one after the other
        assert_near(a, new_u, np.full(3, 4 * norm(a, 2)))
        assert_near(b, new_v, np.full(4, 4 * norm(b, 2)))


@equation("17.17")
def spectral_norm(rng: np.random.Generator) -> None:
    w, delta = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    u, v = rng.standard_normal(3), rng.standard_normal(4)
    (z, new_u, new_v), vjp = mint.spectral_norm(w, u, v, training=False)
    assert_same(u, new_u)
    assert_same(v, new_v)
    products = np.abs(np.outer(u, v) * w).sum()
    s = math.fsum(u[i] * w[i, j] * v[j] for i, j in over(3, 4))
    # what s has lost by cancellation
    lost = products / abs(s)
    literal = tabulate((3, 4), lambda i, j: w[i, j] / s)
    assert_near(literal, z, np.abs(literal) * lost)
    along = math.fsum(delta[k] * literal[k] for k in over(3, 4))
    magnitude = np.abs(delta * literal).sum()
    scale = tabulate((3, 4), lambda i, j: (abs(delta[i, j]) + abs(u[i] * v[j]) * magnitude) / abs(s) * lost)
    assert_near(tabulate((3, 4), lambda i, j: (delta[i, j] - u[i] * v[j] * along) / s), vjp(delta)[0], scale)
