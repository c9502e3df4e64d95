"""Section 13: attention."""

import inspect
import math
from collections.abc import Iterator

import numpy as np

import mint
from tests.derivations.equation import TINY, Array, assert_near, equation, over, tabulate


class Head:
    """Attention by one head, by the definitions of 13.1; `more` is a cotangent of the weights."""

    def __init__(
        self, q: Array, k: Array, v: Array, m: Array, r: Array, delta: Array, more: Array | None = None
    ) -> None:
        self.q, self.k, self.v, self.m, self.r, self.delta = q, k, v, m, r, delta
        self.more = np.zeros_like(m) if more is None else more
        self.length, self.source = m.shape
        self.alpha = q.shape[1] ** -0.5
        self.w = tabulate(m.shape, self.weight)
        self.t = tabulate(m.shape, lambda line, s: sum(self.t_terms(line, s)))
        self.eta = tabulate(m.shape, lambda line, s: sum(self.eta_terms(line, s)))
        # what is lost in an exponent, and so in a weight: the terms of scores, and the sum under the weight
        finite = np.where(np.isinf(m), 0, abs(m))
        self.lost = self.source + (self.alpha * abs(q) @ abs(k).T + finite).max(initial=0)
        t = abs(r) * (abs(self.more) + abs(delta) @ abs(v).T)
        self.eta_scale = self.lost * self.w * (t + (self.w * t).sum(1, keepdims=True)) + TINY

    def score(self, line: int, s: int) -> float:
        return float(self.alpha * sum(self.q[line, e] * self.k[s, e] for e in range(self.q.shape[1])) + self.m[line, s])

    def weight(self, line: int, s: int) -> float:
        total = math.fsum(math.exp(self.score(line, j)) for j in range(self.source))
        return math.exp(self.score(line, s)) / total if total else 0.0

    def z_terms(self, line: int, c: int) -> list[float]:
        return [self.r[line, s] * self.w[line, s] * self.v[s, c] for s in range(self.source)]

    def v_terms(self, s: int, c: int) -> list[float]:
        return [self.r[line, s] * self.w[line, s] * self.delta[line, c] for line in range(self.length)]

    def t_terms(self, line: int, s: int) -> list[float]:
        received = [self.more[line, s], *(self.delta[line, c] * self.v[s, c] for c in range(self.v.shape[1]))]
        return [self.r[line, s] * g for g in received]

    def eta_terms(self, line: int, s: int) -> list[float]:
        others = (-self.w[line, s] * self.w[line, j] * self.t[line, j] for j in range(self.source))
        return [self.w[line, s] * self.t[line, s], *others]

    def k_terms(self, s: int, e: int) -> list[float]:
        return [self.alpha * self.eta[line, s] * self.q[line, e] for line in range(self.length)]

    def q_terms(self, line: int, e: int) -> list[float]:
        return [self.alpha * self.eta[line, s] * self.k[s, e] for s in range(self.source)]


def magnitude(terms: list[float]) -> float:
    return math.fsum(map(abs, terms)) + TINY


class Call:
    """One call of Mint's attention, and the head that it is."""

    def __init__(self, rng: np.random.Generator, *, masked: bool, dropped: bool) -> None:
        q, k, v, m = (rng.standard_normal(shape) for shape in ((3, 2), (4, 2), (4, 3), (3, 4)))
        if masked:
            m[0, 2] = m[2, :] = -np.inf
        kept = np.arange(12).reshape(3, 4) % 3 != 1 if dropped else np.ones((3, 4), bool)
        p = 0.75 if dropped else 0.0
        self.z, vjp = mint.scaled_dot_product_attention(q, k, v, m, kept, dropout_p=p)
        delta = rng.standard_normal(self.z.shape)
        self.gq, self.gk, self.gv, self.gm, _ = vjp(delta)
        self.head = Head(q, k, v, m, kept / (1 - p), delta)


def calls(rng: np.random.Generator) -> Iterator[Call]:
    for masked, dropped in over(2, 2):
        yield Call(rng, masked=bool(masked), dropped=bool(dropped))


@equation("13.1", calls)
def forward(call: Call) -> None:
    head = call.head
    scale = tabulate(call.z.shape, lambda *at: magnitude(head.z_terms(*at)))
    assert_near(tabulate(call.z.shape, lambda *at: sum(head.z_terms(*at))), call.z, head.lost * scale)


@equation("13.2", calls)
def values(call: Call) -> None:
    head = call.head
    scale = tabulate(call.gv.shape, lambda *at: magnitude(head.v_terms(*at)))
    assert_near(tabulate(call.gv.shape, lambda *at: sum(head.v_terms(*at))), call.gv, head.lost * scale)


@equation("13.3", calls)
def scores(call: Call) -> None:
    assert_near(call.head.eta, call.gm, call.head.eta_scale)


@equation("13.4", calls)
def queries_and_keys(call: Call) -> None:
    head = call.head
    for terms, computed, scale in (
        (head.q_terms, call.gq, head.eta_scale @ abs(head.k)),
        (head.k_terms, call.gk, head.eta_scale.T @ abs(head.q)),
    ):
        literal = tabulate(computed.shape, lambda *at, terms=terms: sum(terms(*at)))
        assert_near(literal, computed, head.alpha * scale)


@equation("13.5")
def grouped(rng: np.random.Generator) -> None:
    many, few = 6, 2
    q, k, v = (rng.standard_normal(shape) for shape in ((many, 3, 2), (few, 4, 2), (few, 4, 2)))
    z, vjp = mint.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    delta = rng.standard_normal(z.shape)
    nothing, everything = np.zeros((3, 4)), np.ones((3, 4))
    shared = [h * few // many for h in range(many)]
    heads = [Head(q[h], k[g], v[g], nothing, everything, delta[h]) for h, g in enumerate(shared)]

    def terms(g: int, s: int, e: int) -> list[float]:
        return [term for h in range(many) if shared[h] == g for term in heads[h].k_terms(s, e)]

    scale = sum(head.alpha * head.eta_scale.T @ abs(head.q) for head in heads)
    assert_near(tabulate(k.shape, lambda *at: sum(terms(*at))), vjp(delta)[1], np.broadcast_to(scale, k.shape))


class MultiHead:
    """Two heads of two features; weights that project nothing and a key and a value that are added."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.count, self.heads, features = 2, 2, 4
        one = np.eye(features)
        q, k, v = (rng.standard_normal(shape) for shape in ((3, 2, 4), (4, 2, 4), (4, 2, 4)))
        bias_k, bias_v = rng.standard_normal((2, 1, 1, 4))
        kinds = dict.fromkeys(("q_proj_weight", "k_proj_weight", "v_proj_weight"), one)
        (z, weights), vjp = mint.multi_head_attention(
            q, k, v, one, **kinds, bias_k=bias_k, bias_v=bias_v, attn_mask=np.zeros((3, 4)), num_heads=self.heads
        )
        delta, of_mean = rng.standard_normal(z.shape), rng.standard_normal(weights.shape)
        named = dict(zip(inspect.signature(mint.multi_head_attention).parameters, vjp(delta, of_mean), strict=False))
        self.gm, self.gbias_k = named["attn_mask"], named["bias_k"]
        nothing, everything = np.zeros((3, 5)), np.ones((3, 5))
        k, v = (np.concatenate([x, np.broadcast_to(b, (1, 2, 4))]) for x, b in ((k, bias_k), (v, bias_v)))
        self.parts = {
            (n, h): Head(
                *(x[:, n, 2 * h : 2 * h + 2] for x in (q, k, v)),
                nothing,
                everything,
                delta[:, n, 2 * h : 2 * h + 2],
                of_mean[n] / self.heads,
            )
            for n, h in over(self.count, self.heads)
        }


def multi_heads(rng: np.random.Generator) -> Iterator[MultiHead]:
    yield MultiHead(rng)


@equation("13.6", multi_heads)
def mean_of_the_weights(call: MultiHead) -> None:
    # what the scores of all heads and samples receive, the mask has gathered
    literal = tabulate(call.gm.shape, lambda line, s: sum(part.eta[line, s] for part in call.parts.values()))
    assert_near(literal, call.gm, sum(part.eta_scale for part in call.parts.values())[:, :4])


@equation("13.7", multi_heads)
def key_that_is_added(call: MultiHead) -> None:
    def terms(e: int) -> list[float]:
        return [term for n in range(call.count) for term in call.parts[n, e * call.heads // 4].k_terms(4, e % 2)]

    scale = sum(part.alpha * part.eta_scale[:, 4].max() * abs(part.q).sum() for part in call.parts.values())
    literal = tabulate((4,), lambda e: sum(terms(e)))
    assert_near(literal, call.gbias_k.ravel(), np.full(4, scale))
