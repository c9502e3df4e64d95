"""The mutation score on a few mutants: killed, survived, equivalent, hung."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from oracles import prove as proving
from oracles import worker
from oracles.command_line import main
from oracles.mutant import Mutant, all_mutants
from oracles.panel import Panel
from oracles.proof import Equivalent, Fate, Trial, equivalents, score
from oracles.prove import Setting, try_mutant

SETTING = Setting(budget=60)


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "panel", lambda name: Panel(None, []))
    monkeypatch.setattr(proving, "_limit_memory", lambda: None)  # this process is not theirs


def mutant(function: str, words: str) -> Mutant:
    """The mutant of a function with these words in what is added."""
    return next(m for m in all_mutants() if m.function == function and words in m.diff.rpartition("\n")[2])


def test_a_mistake_in_a_gradient_is_killed_at_once_and_benchmarks_do_not_see_it() -> None:
    trial = try_mutant("relu", mutant("relu", "x < 0,"), SETTING)
    assert trial.killed
    assert trial.verdict == "wrong"
    assert trial.cases is not None
    assert trial.cases <= 60
    assert trial.descriptor.startswith("relu ")
    assert trial.rules["allclose 1e-2"] is None  # of outputs
    assert trial.rules["assert_close"] is not None


def test_what_changes_nothing_survives_every_case_and_every_rule() -> None:
    same = replace(mutant("relu", "x < 0,"), text="", start=0, end=0)
    trial = try_mutant("relu", same, Setting(budget=20))
    assert not trial.killed
    assert set(trial.rules.values()) == {None}


def test_a_mutant_that_cannot_be_imported_is_killed() -> None:
    broken = replace(mutant("relu", "x < 0,"), text="raise RuntimeError('broken')\n", start=0, end=0)
    assert try_mutant("relu", broken, SETTING).verdict == "import"


def test_scores_count_what_is_not_equivalent() -> None:
    one = mutant("relu", "x < 0,")
    fates = [
        Fate(one, True, Trial("relu", "wrong", 1, rules={"assert_close": None})),
        Fate(one, True, Trial("relu", "wrong", 5, rules={"assert_close": 7})),
        Fate(one, True, Trial("relu", "hang", None, rules={"assert_close": 1})),
        Fate(one, True, Trial("relu"), [Trial("relu6", "wrong", 3)]),
        Fate(one, True, Trial("relu"), reason="the same"),
        Fate(one, True, Trial("relu")),
    ]
    found = score(fates)
    assert (found.mutants, found.killed, found.elsewhere, found.lost) == (6, 4, 1, 1)
    assert (found.equivalent, found.survived) == (1, 1)
    assert found.share == 4 / 5
    assert found.median == 3
    assert found.rules == {"assert_close": 2}


def test_every_known_equivalent_is_a_mutant_and_has_a_reason() -> None:
    mutants = all_mutants()
    for entry in equivalents():
        assert any(entry.matches(m) for m in mutants), entry
        assert len(entry.reason) > 20


def test_an_entry_matches_its_mutant_whatever_the_blanks() -> None:
    one = mutant("relu", "x < 0,")
    assert Equivalent(one.module, one.function, one.diff.replace(" ", "  "), "…").matches(one)
    assert not Equivalent(one.module, "relu6", one.diff, "…").matches(one)


def test_the_command_writes_its_results(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(
        main, ["prove", "relu", "--mutants", "3", "--cases", "40", "--workers", "1", "--out", str(tmp_path)]
    )
    assert outcome.exit_code in (0, 1), outcome.output
    record = json.loads((tmp_path / "prove.json").read_text("utf-8"))
    assert record["total"]["mutants"] == 3
    assert {"assert_close", "allclose 1e-4", "allclose 1e-2", "all-ones cotangent", "one shape"} == record["total"][
        "rules"
    ].keys()
    assert "relu" in (tmp_path / "prove.md").read_text("utf-8")


def test_an_unknown_operation_is_one_line(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["prove", "rolu", "--out", str(tmp_path)])
    assert outcome.exit_code == 2
    assert "rolu" in outcome.output
