"""Histograms of errors in logarithmic bins: merged, summed up, and read off.

A histogram maps k to the count of values with 2**(k/8) <= value < 2**((k+1)/8), `zero` to that of exact zeros
and `inf` to that of values that are not finite.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

BINS_PER_OCTAVE = 8

Histogram = Mapping[str, int]


def upper_edge(key: str) -> float:
    """The least value above a bin; 0 for `zero`, infinity for `inf`.

    >>> upper_edge("7"), upper_edge("-9"), upper_edge("zero"), upper_edge("inf")
    (2.0, 0.5, 0.0, inf)
    """
    if key in ("zero", "inf"):
        return 0.0 if key == "zero" else math.inf
    try:
        return math.exp2((int(key) + 1) / BINS_PER_OCTAVE)
    except OverflowError:
        return math.inf


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram over all values of several.

    >>> merged([{"zero": 1, "3": 2}, {"3": 5}])
    {'zero': 1, '3': 7}
    """
    total: Counter[str] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return dict(total)


def largest(values: Iterable[float | None]) -> float:
    """The largest figure, where None stands for infinity; 0 of none.

    >>> largest([0.5, 2.0]), largest([0.5, None]), largest([])
    (2.0, inf, 0.0)
    """
    return max((math.inf if value is None else value for value in values), default=0.0)


def quantile(histogram: Histogram, q: float, maximum: float = math.inf) -> float | None:
    """The q-quantile, at most 9 % (one bin) too large; None of an empty histogram.

    It is the upper edge of the bin that holds the value of rank ceil(q·n), but never more than the maximum.

    >>> histogram = {"zero": 50, "7": 49, "15": 1}  # 50 zeros, 49 values up to 2, one up to 4
    >>> quantile(histogram, 0.5), quantile(histogram, 0.99), quantile(histogram, 1)
    (0.0, 2.0, 4.0)
    >>> quantile(histogram, 1, maximum=3.9)
    3.9
    """
    count = sum(histogram.values())
    if not count:
        return None
    rank, below = max(1, math.ceil(q * count)), 0
    for edge, n in sorted((upper_edge(key), n) for key, n in histogram.items()):
        below += n
        if below >= rank:
            return min(edge, maximum)
    raise AssertionError("a histogram with a negative count")


def cumulative(histogram: Histogram, left: float, right: float) -> list[tuple[float, float]]:
    """The empirical distribution function on [left, right]: points (x, fraction of the values up to x).

    It is exact at each point, since points are bin edges; bins without a value add no point but the two ends
    of their flat stretch.

    >>> cumulative({"zero": 1, "7": 1}, 0.5, 4.0)
    [(0.5, 0.5), (1.834, 0.5), (2.0, 1.0), (4.0, 1.0)]
    """
    count = sum(histogram.values())
    if not count:
        return []
    width = 2 ** (1 / BINS_PER_OCTAVE)
    bins = sorted((upper_edge(key), n) for key, n in histogram.items() if n)
    below = sum(n for edge, n in bins if edge <= left)
    points = [(left, below / count)]
    for edge, n in bins:
        if left < edge <= right:
            if edge / width > points[-1][0] * 1.001:
                points.append((float(f"{edge / width:.4g}"), below / count))
            below += n
            points.append((float(f"{edge:.4g}"), below / count))
    return points if points[-1][0] >= right else [*points, (right, below / count)]
