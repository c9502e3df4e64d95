"""Section 20: connectionist temporal classification."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import mint
from tests.derivations.equation import Array, assert_near, equation, tabulate

BLANK = 0


def spelt(path: tuple[int, ...]) -> tuple[int, ...]:
    """𝓑: runs of one class made one, and then no blanks."""
    heads = [c for place, c in enumerate(path) if place == 0 or path[place - 1] != c]
    return tuple(c for c in heads if c != BLANK)


class Sample(NamedTuple):
    """One sample: x, its labels, Mint's loss and gradient for the cotangent g."""

    x: Array
    labels: tuple[int, ...]
    loss: Array
    g: Array
    gx: Array

    @property
    def states(self) -> tuple[int, ...]:
        return (BLANK, *itertools.chain(*((label, BLANK) for label in self.labels)))

    def alignments(self) -> list[tuple[int, ...]]:
        steps, classes = self.x.shape
        return [path for path in itertools.product(range(classes), repeat=steps) if spelt(path) == self.labels]

    def product(self, path: tuple[int, ...]) -> float:
        return math.prod(math.exp(self.x[t, c]) for t, c in enumerate(path))

    @property
    def likelihood(self) -> float:
        return sum(map(self.product, self.alignments()))

    def share(self, t: int, c: int) -> float:
        """p of (20.2)."""
        return sum(self.product(path) for path in self.alignments() if path[t] == c) / self.likelihood

    def skips(self, s: int) -> bool:
        """χ of 20."""
        return s >= 3 and s % 2 == 1 and self.states[s] != self.states[s - 2]

    def alpha(self) -> Array:
        steps, count = len(self.x), len(self.states)
        alpha = np.zeros((steps, count))
        for t, s in itertools.product(range(steps), range(count)):
            before = [alpha[t - 1, s], s >= 1 and alpha[t - 1, s - 1], self.skips(s) and alpha[t - 1, s - 2]]
            alpha[t, s] = math.exp(self.x[t, self.states[s]]) * (sum(before) if t else s <= 1)
        return alpha

    def beta(self) -> Array:
        steps, count = len(self.x), len(self.states)
        beta = np.zeros((steps, count))
        for t, s in itertools.product(reversed(range(steps)), range(count)):
            after = [s + d for d in range(3) if s + d < count and (d < 2 or self.skips(s + 2))]
            beta[t, s] = (
                sum(math.exp(self.x[t + 1, self.states[q]]) * beta[t + 1, q] for q in after)
                if t + 1 < steps
                else s >= 2 * len(self.labels) - 1
            )
        return beta


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Labels that repeat, that differ, and none."""
    for labels in ((1, 2), (1, 1), (2, 1, 2), ()):
        x, g = rng.standard_normal((5, 3)), np.asarray(rng.standard_normal())
        arrays = np.array(labels, int), np.array(5), np.array(len(labels))
        loss, vjp = mint.ctc_loss(x, *arrays, reduction="sum")
        yield Sample(x, labels, loss, g, vjp(g)[0])


# e^x loses |x| roundings, and there is one factor for each step
SCALE = 30.0


@equation("20.1", samples)
def loss(v: Sample) -> None:
    assert_near(np.array(-math.log(v.likelihood)), v.loss, np.array(SCALE))


@equation("20.2", samples)
def propagate(v: Sample) -> None:
    literal = tabulate(v.x.shape, lambda t, c: -v.g * v.share(t, c))
    assert_near(literal, v.gx, np.full(v.x.shape, SCALE * abs(v.g)))


@equation("20.3", samples)
def forward_recursion(v: Sample) -> None:
    ends = v.alpha()[-1][-2:] if v.labels else v.alpha()[-1]
    assert_near(np.array(sum(ends)), np.array(v.likelihood), np.array(SCALE * v.likelihood))
    assert_near(np.array(-math.log(sum(ends))), v.loss, np.array(SCALE))


@equation("20.4", samples)
def backward_recursion(v: Sample) -> None:
    # what may follow, before the first step: the likelihood again
    starts = [math.exp(v.x[0, v.states[s]]) * v.beta()[0, s] for s in range(len(v.states)) if s <= 1]
    assert_near(np.array(sum(starts)), np.array(v.likelihood), np.array(SCALE * v.likelihood))
    assert_near(np.array(-math.log(sum(starts))), v.loss, np.array(SCALE))


@equation("20.5", samples)
def shares_by_recursion(v: Sample) -> None:
    both = v.alpha() * v.beta()

    def share(t: int, c: int) -> Any:
        return sum(both[t, s] for s, e in enumerate(v.states) if e == c) / v.likelihood

    shares = tabulate(v.x.shape, share)
    assert_near(-v.g * shares, v.gx, np.full(v.x.shape, SCALE * abs(v.g)))
    for t in range(len(v.x)):
        assert_near(np.array(sum(both[t])), np.array(v.likelihood), np.array(SCALE * v.likelihood))
        assert_near(np.array(sum(shares[t])), np.array(1.0), np.array(SCALE))


@equation("20.6")
def mean_over_samples(rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 3, 3))
    rows, steps, lengths = np.array([[1, 2], [1, 0], [0, 0]]), np.array([5, 4, 3]), np.array([2, 1, 0])
    mean, vjp = mint.ctc_loss(x, rows, steps, lengths)
    delta = np.asarray(rng.standard_normal())
    (gx, *_) = vjp(delta)
    apart = [
        Sample(x[: steps[n], n], tuple(rows[n, : lengths[n]].tolist()), mean, delta, gx[: steps[n], n])
        for n in range(3)
    ]
    divisors = [3 * max(length, 1) for length in lengths]
    literal = sum(-math.log(v.likelihood) / d for v, d in zip(apart, divisors, strict=True))
    assert_near(np.array(literal), mean, np.array(SCALE))
    for n, v in enumerate(apart):
        literal = tabulate(v.x.shape, lambda t, c, v=v, n=n: -delta / divisors[n] * v.share(t, c))
        assert_near(literal, v.gx, np.full(v.x.shape, SCALE * abs(delta)))
        assert not gx[steps[n] :, n].any()


@equation("20.7")
def behind_a_log_softmax(rng: np.random.Generator) -> None:
    a, g = rng.standard_normal((5, 3)), np.asarray(rng.standard_normal())
    x, back = mint.log_softmax(a, dim=1)
    loss, vjp = mint.ctc_loss(x, np.array([1, 2]), np.array(5), np.array(2), reduction="sum")
    v = Sample(x, (1, 2), loss, g, vjp(g)[0])
    literal = tabulate(x.shape, lambda t, c: g * (math.exp(x[t, c]) - v.share(t, c)))
    assert_near(literal, back(v.gx)[0], np.full(x.shape, SCALE * abs(g)))
