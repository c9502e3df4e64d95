"""Comparing one tensor with the truth, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.precision import Precision

Array = NDArray[Any]


def headroom(p: Precision) -> float:
    """How far below overflow a scale must stay for its element to be judged.

    float16 has little range to spare, and is computed in float32: less is overflown on the way.
    """
    return 2.0**5 if p.name == "float16" else 2.0**12


def underflow(p: Precision) -> float:
    """How far above the smallest number what has underflowed on the way may be brought again by a factor."""
    return 2.0**5 if p.name == "float16" else 2.0 ** max(14, p.digits // 2)


@dataclass(frozen=True)
class Comparison:
    """The figures of one tensor; arrays are flat, over the elements that were judged."""

    error_ratio: Array
    ulp: Array
    relative_error: float
    wrong: int  # elements past the limit, or not equal where equality is due
    exact: int  # elements compared for equality
    unjudged: int  # elements whose scale lets them overflow on the way
    worst: tuple[int, ...] | None  # the index of the worst element, None when there is none
    got: str
    expected: str
    allowed: float  # how far the worst element may be from the truth

    @property
    def largest_ratio(self) -> float:
        """The worst error ratio; infinite for a wrong NaN or infinity."""
        return float(self.error_ratio.max(initial=0.0))


def compare(
    got: Array,
    truth: Array,
    scale: Array,
    p: Precision,
    limit: float,
    *,
    exact: bool,
    flushes: bool,
    finite_inputs: bool = False,
) -> Comparison:
    """Judge each element of `got`, in the format `p`, against `truth`.

    The error ratio is r = |got − truth| / ((u + u')·G + η): u the unit roundoff of `p` and u' that of the
    truth, G the rounding scale, and η what underflow on the way costs whatever G is: 2^14 (2^5 in float16, 2^(p/2)
    if that is more) times the smallest subnormal number, or the smallest normal one for an implementation that
    `flushes` subnormals.

    NaN and infinities must stand where the truth has them, with its sign. Where G comes within `headroom` of
    the largest finite number, an honest order of evaluation may overflow on the way (a sum before the division
    that makes it a mean): such elements are not judged; and with `finite_inputs` not where the truth is infinite or
    NaN either, because then the truth itself has overflowed (longdouble has no higher precision). With `exact`,
    elements in which G is at most 2^p must be equal, because then no order of summation rounds anything.
    """
    with np.errstate(all="ignore"):
        values, expected = np.asarray(got, p.truth).ravel(), np.asarray(truth, p.truth).ravel()
        scale = np.abs(np.broadcast_to(np.asarray(scale, p.truth), np.shape(truth)).ravel())
        finite = np.isfinite(expected)
        unjudged = (finite | finite_inputs) & ~(scale <= p.largest / headroom(p))
        error = np.abs(values - expected)
        own = np.finfo(p.truth).eps / 2
        floor = (p.smallest_normal if flushes else p.smallest_subnormal) * underflow(p)
        unit = (p.unit_roundoff + own) * scale + floor
        ratio = error / unit
        same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        ratio = np.where(finite & np.isfinite(values), ratio, np.where(same, 0, np.inf))
        equality_due = exact & finite & (scale <= 2.0**p.digits)
        wrong = (ratio > limit) | (equality_due & ~same)
        wrong &= ~unjudged
        judged = ~unjudged
        # the worst is sought among the wrong elements first: a broken equality may have a small ratio
        order = np.where(judged, ratio + np.where(wrong, 2 * limit, 0), -1)
        worst = int(order.argmax()) if order.size and judged.any() else None
        relative = np.where(judged & finite & (expected != 0), error / np.abs(expected), 0)
    where = None if worst is None else tuple(int(i) for i in np.unravel_index(worst, np.shape(truth)))
    return Comparison(
        error_ratio=ratio[judged].astype(np.float64),
        ulp=ulp_error(values, expected, p)[judged],
        relative_error=float(relative.max(initial=0.0)),
        wrong=int(wrong.sum()),
        exact=int((equality_due & judged).sum()),
        unjudged=int(unjudged.sum()),
        worst=where,
        got="" if worst is None else str(np.asarray(got).ravel()[worst]),
        expected="" if worst is None else str(expected[worst]),
        allowed=0.0 if worst is None or equality_due[worst] else float(limit * unit[worst]),
    )


def ulp_error(values: Array, expected: Array, p: Precision) -> Array:
    """|values − expected| in units in the last place of `expected`, as a number of format `p` has them.

    Zero has no last place of use (its own would be the smallest subnormal number, and what is left of a cancelled
    sum 10³⁰ of them): it is measured like the numbers from ½ to 1.
    """
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(expected)
        ulp = np.maximum(np.ldexp(p.truth.type(1), exponent - p.digits), p.smallest_subnormal)
        ulps = np.abs(values - expected) / ulp
        same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        finite = np.isfinite(values) & np.isfinite(expected)
        return np.asarray(np.where(finite, ulps, np.where(same, 0, np.inf)), np.float64)


def is_vacuous(tensor: Array) -> bool:
    """Whether a tensor proves nothing: it is empty, constant, or nine tenths of it are zero.

    >>> is_vacuous(np.zeros(3)), is_vacuous(np.array([1.0, 2.0]))
    (True, False)
    """
    flat = tensor.ravel()
    if flat.size == 0:
        return True
    zeros = np.count_nonzero(flat == 0)
    constant = flat.size > 1 and bool((flat == flat[0]).all())
    return constant or 10 * int(zeros) >= 9 * flat.size
