"""The harness itself under test: it finds every planted bug, names the guilty, and shrinks to the heart of it."""

from __future__ import annotations

import pytest

from oracles.catalogue import operation
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel
from oracles.voice import SUBJECT, Voice
from tests.meta.hunt import assert_found_and_shrunk, results
from tests.meta.planted import BUGS
from tests.meta.planted.bug import Planted

#: A bug must be found within as many cases.
CASES = 300


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.op}-{bug.name}")
def test_a_planted_bug_is_found_and_shrunk(
    bug: Planted, references: list[Voice], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_found_and_shrunk(bug, references, CASES, monkeypatch)


@pytest.mark.parametrize("op", sorted({bug.op for bug in BUGS}))
def test_without_a_bug_nothing_is_found(op: str, references: list[Voice], monkeypatch: pytest.MonkeyPatch) -> None:
    jury = Panel(NumpyVoice(operation(op).function), references)
    found = [one for result in results(jury, op, (), CASES, monkeypatch) for one in result.findings]
    assert [f"{one.first}: {one.verdict.message}" for one in found if one.key[0] == SUBJECT] == []
