"""What the limits see: dropped terms, and no honest sum."""

from __future__ import annotations

import pytest

from oracles.power import TERMS, Power, powers


def table(terms: int, mean: float) -> dict[str, Power]:
    return {found.limit: found for found in powers(terms, sums=400, mean=mean)}


@pytest.mark.parametrize("terms", TERMS)
def test_our_limit_sees_nearly_every_dropped_term_and_accuses_no_honest_sum(terms: int) -> None:
    found = table(terms, 0.0)["8·u·G"]
    assert found.dropped >= 0.95
    assert found.honest == 0


@pytest.mark.parametrize("terms", TERMS)
def test_our_limit_accuses_no_honest_sum_of_one_sign(terms: int) -> None:
    found = table(terms, 2.0)
    assert found["8·u·G"].honest == 0


def test_the_worst_case_misses_most_dropped_terms() -> None:
    assert table(4096, 0.0)["γ_K·Σ|t|"].dropped < 0.5


def test_a_plain_limit_accuses_long_sums_of_one_sign() -> None:
    assert table(16_384, 2.0)["8·u·Σ|t|"].honest > 0.01
