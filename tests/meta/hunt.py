"""Looking for a planted bug as a campaign does, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from oracles import finding
from oracles import task as jobs
from oracles.campaign import ROUNDS, Plan
from oracles.catalogue import operation, parse
from oracles.configuration import Configuration
from oracles.finding import Finding
from oracles.judge import judge
from oracles.judgement import UNDETERMINED
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel
from oracles.subject import Subject
from oracles.voice import SUBJECT, Voice
from tests.meta.planted.bug import Planted

#: The dtypes that NumPy itself has: the hunt is the same whatever else is installed.
EVERYWHERE = ("float16", "float32", "float64", "longdouble")


def results(
    jury: Panel, op: str, dtypes: tuple[str, ...], most: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[jobs.TaskResult]:
    """What a campaign's batches find, in its own order, up to `most` cases."""
    monkeypatch.setattr(jobs, "panel", lambda _: jury)
    known = tuple(dtype for dtype in dtypes or ROUNDS if dtype in EVERYWHERE)
    plan = Plan((op,), known, (), Subject(), seed=1, seconds=None, cases=most, workers=1, command="")
    cases = 0
    for task in plan.tasks():
        result = jobs.run(task)
        cases += result.record.cases
        if cases > most:
            return
        yield result


def first_finding(bug: Planted, jury: Panel, most: int, monkeypatch: pytest.MonkeyPatch) -> Finding | None:
    """The finding that is due, if it comes; no other is made against the subject on the way."""
    for result in results(jury, bug.op, bug.dtypes, most, monkeypatch):
        # a slip is no whole layer: what it makes of invalid arguments counts where that is the slip
        counts = [f for f in result.findings if bug.verdict == "accepts-invalid" or not f.first.configuration.invalid]
        told = {found.key[2:]: found for found in counts if found.key[0] == SUBJECT}
        assert set(told) <= {(bug.tensor, bug.verdict), *bug.also}
        if (bug.tensor, bug.verdict) in told:
            return told[bug.tensor, bug.verdict]
    return None


def sizes(value: Any) -> list[float]:
    """The numbers in a shape or hyper-parameter, largest first; for a word or a flag, none."""
    if isinstance(value, tuple):
        return sorted((n for part in value for n in sizes(part)), reverse=True)
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def fits(small: Configuration, needed: Configuration) -> bool:
    """Whether every axis and hyper-parameter of `small` is in `needed`, and no larger (in some order of axes)."""
    if small.layouts or set(small.shapes) - set(needed.shapes) or set(small.hyper) - set(needed.hyper):
        return False
    shapes = ((sizes(shape), sizes(needed.shapes[name])) for name, shape in small.shapes.items())
    if any(len(a) > len(b) or any(n > m for n, m in zip(a, b, strict=False)) for a, b in shapes):
        return False
    for name, value in small.hyper.items():
        most = needed.hyper[name]
        if not sizes(most):
            if value != most:
                return False
        elif max(sizes(value)) > max(sizes(most)):
            return False
    return True


def assert_found_and_shrunk(bug: Planted, references: list[Voice], most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug is found within `most` cases, nobody else is accused, and it is shrunk and explained as it says."""
    op = operation(bug.op)
    jury = Panel(NumpyVoice(bug.subject), references)
    due = first_finding(bug, jury, most, monkeypatch)
    assert due is not None, f"not found within {most} cases"
    # nobody is accused who is not without the bug (PyTorch has bugs of its own)
    innocent = replace(jury, subject=NumpyVoice(op.function))
    accused, otherwise = ({v.key for v in judge(op, due.first, panel).verdicts} for panel in (jury, innocent))
    guilty = {guilty for guilty, *_ in accused - otherwise}
    assert SUBJECT in guilty
    assert guilty <= {SUBJECT, UNDETERMINED}

    explained = finding.explain(op, due, jury, Subject())
    assert explained.minimal is not None
    assert explained.condition is not None
    minimal = explained.minimal.configuration
    needed = [parse(f"{bug.op} {words}").configuration for words in bug.needed]
    assert any(fits(minimal, most) for most in needed), str(minimal)
    for words in bug.condition:
        assert words in explained.condition.text, f"{minimal}: {explained.condition}"
