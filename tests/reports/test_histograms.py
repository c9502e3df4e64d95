"""Quantiles and distribution functions read off logarithmic bins, against the values themselves."""

import math
import random
from collections import Counter

import pytest

from reports.histograms import cumulative, merged, quantile, upper_edge


def binned(values: list[float]) -> dict[str, int]:
    return dict(Counter("zero" if v == 0 else str(math.floor(8 * math.log2(v))) for v in values))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_is_at_most_nine_percent_too_large(q: float) -> None:
    rng = random.Random(0)
    values = sorted(math.exp2(rng.gauss(-3, 4)) for _ in range(999))
    true = values[math.ceil(q * len(values)) - 1]
    read = quantile(binned(values), q)
    assert read is not None
    assert true < read <= true * 2 ** (1 / 8)
    assert quantile(binned(values), q, maximum=true) == true


def test_zeros_and_infinities_have_their_place() -> None:
    histogram = {"inf": 1, "zero": 98, "7": 1}
    assert quantile(histogram, 0.98) == 0
    assert quantile(histogram, 0.99) == 2
    assert quantile(histogram, 1) == math.inf


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({"3": 0}, 0.5) is None
    assert cumulative({}, 0.1, 10) == []


def test_edges_too_large_for_a_float_are_infinite() -> None:
    assert upper_edge("99999") == math.inf


def test_merging_counts_every_value() -> None:
    assert merged([{"zero": 1, "-3": 2}, {"-3": 3}, {}]) == {"zero": 1, "-3": 5}


def test_the_distribution_function_is_exact_at_its_points() -> None:
    rng = random.Random(1)
    values = [0.0] * 50 + [math.exp2(rng.gauss(-3, 3)) for _ in range(500)]
    points = cumulative(binned(values), 2**-7, 8.0)
    assert points[0][0] == 2**-7
    assert points[-1][0] == 8.0
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    for x, y in points:
        # Points are printed with four digits, bin edges are not: a value may lie between the two.
        assert sum(v < x * 0.999 for v in values) / 550 <= y <= sum(v < x * 1.001 for v in values) / 550


def test_what_is_not_finite_never_reaches_one() -> None:
    assert cumulative({"zero": 3, "inf": 1}, 0.5, 4.0) == [(0.5, 0.75), (4.0, 0.75)]
