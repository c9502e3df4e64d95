"""The jobs of a campaign: batches of cases that any worker can draw, and findings to be explained."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from oracles.catalogue import operation
from oracles.configuration import Case
from oracles.draw import configurations, example, invalid_configurations, stream
from oracles.fill import FILLS
from oracles.finding import Finding, explain, findings_of
from oracles.judge import judge
from oracles.record import OperationRecord
from oracles.worker import Casualty, excluded, opened, panel

#: Configurations in a task; each is judged with every other fill.
CONFIGURATIONS = 8
#: In the first rounds over the operations a task has fewer, with every fill: a short campaign is to reach them all.
FIRST_ROUNDS, FIRST_CONFIGURATIONS = 2, 2


@dataclass(frozen=True)
class Task:
    """A batch of cases that any worker can draw: an operation, a dtype, and the number of the batch."""

    seed: int
    op: str
    dtype: str
    index: int
    casualties: frozenset[Casualty] = frozenset()

    @property
    def configurations(self) -> int:
        """How many valid configurations there are in it."""
        return FIRST_CONFIGURATIONS if self.index < FIRST_ROUNDS else CONFIGURATIONS

    @property
    def cases(self) -> int:
        """How many cases there are in it."""
        return sum(len(self.fills(place)) for place in range(self.configurations)) + self.invalid

    @property
    def invalid(self) -> int:
        """How many configurations there are that are not valid: every tenth case, each with one thing to refuse."""
        return 2 if self.index < FIRST_ROUNDS else 4

    def fills(self, place: int) -> tuple[str, ...]:
        """The fills of the configuration at this place."""
        return tuple(FILLS) if self.index < FIRST_ROUNDS else tuple(FILLS)[place % 2 :: 2]

    @property
    def number(self) -> int:
        """The number of this batch's sample, from (campaign seed, op, dtype, index) alone."""
        return zlib.crc32(f"{self.seed} {self.op} {self.dtype} {self.index}".encode())


@dataclass
class TaskResult:
    """What a batch found."""

    task: Task
    record: OperationRecord = field(default_factory=OperationRecord)
    findings: list[Finding] = field(default_factory=list)


def probe(ops: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Open everything once: versions of the references, and why those that are missing are.

    Raises `BadSubject` if the subject cannot be loaded.
    """
    state = opened()
    panel(ops[0])
    return {voice.name: voice.version for voice in state.references}, state.notes


def drawn(task: Task) -> Iterator[tuple[int, Case]]:
    """The cases of a batch, each with the number of the stream that its configuration came from."""
    op, dtypes = operation(task.op), (task.dtype,)
    strategy = configurations(op, dtypes)
    for place in range(task.configurations):
        origin = stream(task.number, place)
        configuration = example(strategy, origin)
        for fill in task.fills(place):
            yield origin, Case(configuration, fill, task.number + place)
    for place in range(task.configurations, task.configurations + task.invalid):
        origin = stream(task.number, place)
        yield origin, Case(example(invalid_configurations(op, dtypes), origin), "normal", task.number)


def run(task: Task) -> TaskResult:
    """Judge one batch of cases."""
    op = operation(task.op)
    jury = panel(task.op)
    result = TaskResult(task)
    result.record.configurations = task.configurations
    seen: dict[Any, Finding] = {}
    for origin, case in drawn(task):
        judgement = judge(op, case, jury.without(excluded(case, task.casualties)))
        result.record.add(judgement)
        for finding in findings_of(op, judgement, origin):
            if finding.key in seen:
                seen[finding.key].count += 1
            else:
                seen[finding.key] = finding
    result.findings = list(seen.values())
    return result


def explained(finding: Finding, casualties: frozenset[Casualty]) -> Finding:
    """Shrink and explain one finding; the cases that killed an earlier try are left alone."""
    state = opened()
    op = operation(finding.key[1])
    return explain(op, finding, panel(op.name), state.subject, lambda case: bool(excluded(case, casualties)))
