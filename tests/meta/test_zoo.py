"""Bugs that real projects have had, written anew: each is found, blamed on the right party, and explained."""

from __future__ import annotations

import pytest

from oracles.voice import Voice
from tests.meta.hunt import assert_found_and_shrunk
from tests.meta.planted.bug import Planted
from tests.meta.zoo import ZOO

#: A bug must be found within as many cases.
CASES = 1000


@pytest.mark.parametrize("bug", ZOO, ids=lambda bug: f"{bug.op}-{bug.name}")
def test_a_real_bug_is_found_and_explained(
    bug: Planted, references: list[Voice], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_found_and_shrunk(bug, references, CASES, monkeypatch)


def test_each_stands_for_a_report_of_its_own() -> None:
    assert len(ZOO) >= 20
    assert all(bug.report.startswith("https://") for bug in ZOO)
    assert len({bug.report for bug in ZOO}) == len(ZOO)
