"""Campaigns: many cases on worker processes, within a budget of time or cases."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oracles.catalogue import catalogue, operation, parse
from oracles.environment import environment, version
from oracles.finding import Finding, Key, lost_finding
from oracles.judgement import EQUATIONS
from oracles.record import BINS_PER_OCTAVE, OperationRecord
from oracles.subject import Subject
from oracles.supervisor import Lost, Supervisor
from oracles.task import Task, TaskResult, explained, probe, run
from oracles.voice import REFERENCES, SUBJECT
from oracles.worker import Casualty

SCHEMA_VERSION = 1
#: The dtypes of successive rounds over the operations: the first two rounds are the ones most used.
ROUNDS = ("float32", "float64", "float16", "bfloat16", "longdouble", "float32", "float64")
#: A task of some thirty cases takes about a second; one that takes this long hangs.
TASK_SECONDS = 120.0
EXPLAIN_SECONDS = 180.0
#: How often a finding is explained again after a neighbour of it killed the process.
MOST_TRIES = 4
#: How often the display moves and the clock is looked at.
TICK_SECONDS = 0.2
#: After the budget is spent, this long is left to explain what was found.
GRACE_SECONDS = 30.0
#: Rounds over the operations that come before anything is explained: breadth first.
BREADTH = 2


@dataclass(frozen=True)
class Plan:
    """What a campaign is asked to do."""

    ops: tuple[str, ...]
    dtypes: tuple[str, ...]
    references: tuple[str, ...]
    subject: Subject
    seed: int
    seconds: float | None
    cases: int | None
    workers: int
    command: str

    def tasks(self) -> Iterator[Task]:
        """All the tasks there are, in order: every operation in one dtype, then in the next."""
        dtypes = [d for d in ROUNDS if d in self.dtypes]
        rounds = itertools.count()
        for number, dtype in zip(rounds, itertools.cycle(dtypes)):
            for op in self.ops:
                yield Task(self.seed, op, dtype, number)


@dataclass
class Outcome:
    """What a campaign found, as far as it has come."""

    plan: Plan
    started: datetime
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    records: dict[str, OperationRecord] = field(default_factory=dict)
    findings: dict[Key, Finding] = field(default_factory=dict)
    elapsed: float = 0.0
    interrupted: bool = False

    @property
    def cases(self) -> int:
        """Cases judged so far."""
        return sum(record.cases for record in self.records.values())

    @property
    def subject_is_wrong(self) -> bool:
        """Whether any finding is against the subject."""
        return any(key[0] == SUBJECT for key in self.findings)

    def take(self, result: TaskResult) -> list[Finding]:
        """Add a task's result; returns the findings that are new."""
        self.records.setdefault(result.task.op, OperationRecord()).merge(result.record)
        return [new for finding in result.findings if (new := self._meet(finding))]

    def _meet(self, finding: Finding) -> Finding | None:
        known = self.findings.get(finding.key)
        if known is not None:
            known.count += finding.count
            return None
        self.findings[finding.key] = finding
        return finding

    def as_json(self) -> dict[str, Any]:
        """`summary.json`: what stands in it is promised by `reports/summary.schema.json`."""
        references: dict[str, dict[str, str | None]] = {
            name: {"version": self.versions.get(name), "note": self.notes.get(name)} for name in REFERENCES
        }
        for name in references:
            if name not in self.plan.references:
                references[name]["note"] = "not asked for"
        references[EQUATIONS] = {"version": version("mint-oracles") or "0.1.0", "note": None}
        ordered = sorted(self.findings.values(), key=_gravity)
        for number, finding in enumerate(ordered, 1):
            guilty, op, tensor, kind = finding.key
            finding.identifier = "-".join(filter(None, (op, tensor, kind, guilty, str(number))))
        return {
            "schema_version": SCHEMA_VERSION,
            "command": self.plan.command,
            "seed": self.plan.seed,
            "started": self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "elapsed_s": round(self.elapsed, 3),
            "interrupted": self.interrupted,
            "subject": {"name": self.plan.subject.name, "framework": self.plan.subject.framework},
            "cases": self.cases,
            "vacuous": sum(record.vacuous for record in self.records.values()),
            "refused": sum(record.refused for record in self.records.values()),
            "workers": self.plan.workers,
            "references": references,
            "environment": environment(),
            "bins_per_octave": BINS_PER_OCTAVE,
            "ops": {name: self.records[name].as_json(name) for name in catalogue() if name in self.records},
            "findings": [finding.as_json() for finding in ordered],
        }

    def write(self, directory: Path) -> dict[str, Any]:
        """Write `summary.json` and the scripts; returns the summary."""
        summary = self.as_json()
        scripts = directory / "findings"
        shutil.rmtree(scripts, ignore_errors=True)
        scripts.mkdir(parents=True)
        for finding in self.findings.values():
            if finding.script:
                (scripts / f"{finding.identifier}.py").write_text(finding.script, "utf-8")
        text = json.dumps(summary, indent=1, allow_nan=False)
        partial = directory / "summary.json.partial"
        partial.write_text(text + "\n", "utf-8")
        partial.replace(directory / "summary.json")  # whole or not at all
        return summary


def _gravity(finding: Finding) -> tuple[bool, float]:
    ratio = finding.verdict.error_ratio
    return finding.key[0] != SUBJECT, -(float("inf") if ratio is None else ratio)


class CampaignFailed(RuntimeError):
    """A campaign that could not begin; the message is one line."""


#: Told after each task: the outcome so far, the seconds spent, and what is being done.
Progress = Callable[[Outcome, float, str], None]


def run_campaign(plan: Plan, progress: Progress) -> Outcome:
    """Run a campaign; Ctrl-C ends it at once with what it has.

    Raises `BadSubject` if the subject cannot be loaded, `CampaignFailed` if no worker can work.
    """
    outcome = Outcome(plan, datetime.now(UTC))
    try:
        with Supervisor[Task | Finding | None](plan.subject, plan.references, plan.workers) as supervisor:
            _Run(plan, outcome, supervisor, progress).go()
    except KeyboardInterrupt:
        outcome.interrupted = True
    return outcome


class _Run:
    """The coordinator's loop: keep the workers busy until the budget is spent, then explain what was found."""

    def __init__(
        self,
        plan: Plan,
        outcome: Outcome,
        supervisor: Supervisor[Task | Finding | None],
        progress: Progress,
    ) -> None:
        self.plan, self.outcome, self.supervisor, self.progress = plan, outcome, supervisor, progress
        self.begun = time.monotonic()
        self.tasks = plan.tasks()
        self.again: list[Task] = []
        self.unexplained: list[Finding] = []
        self.casualties: dict[Key, frozenset[Casualty]] = {}  # of explaining
        self.breadth = BREADTH * len(plan.ops)  # tasks still due before anything is explained
        self.scheduled = 0

    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def tell(self, doing: str) -> None:
        self.outcome.elapsed = self.elapsed()
        self.progress(self.outcome, self.outcome.elapsed, doing)

    def go(self) -> None:
        self.load()
        while True:
            self.fill()
            jobs = self.supervisor.jobs
            if not jobs:
                break
            for job, result in self.supervisor.finished(TICK_SECONDS):
                self.take(job, result)
            self.tell("fuzzing" if any(isinstance(job, Task) for job in jobs) else "explaining")
            if self.plan.seconds is not None and self.elapsed() > self.plan.seconds + GRACE_SECONDS:
                break  # findings that are still being explained are shown as they were found

    def load(self) -> None:
        """Have one worker load everything, so that what cannot be loaded is told before anything runs."""
        self.supervisor.submit(None, probe, self.plan.ops, seconds=TASK_SECONDS)
        found: list[tuple[Any, Any]] = []
        while not found:
            self.tell("loading the frameworks")
            found = self.supervisor.finished(TICK_SECONDS)
        (_, result), *_ = found
        if isinstance(result, Lost):
            raise CampaignFailed(f"loading the frameworks or the subject failed: {result.message}")
        self.outcome.versions, self.outcome.notes = result

    def within_budget(self) -> bool:
        if self.plan.seconds is not None and self.elapsed() >= self.plan.seconds:
            return False
        return self.plan.cases is None or self.scheduled < self.plan.cases

    def fill(self) -> None:
        """Keep one job waiting for each worker; a task that lost a case to a crash goes first."""
        while len(self.supervisor.jobs) < 2 * self.plan.workers:
            within = self.within_budget()
            explaining = sum(isinstance(job, Finding) for job in self.supervisor.jobs)
            if self.again:
                self.schedule(self.again.pop())
            elif self.unexplained and (not within or (self.breadth <= 0 and not explaining)):
                # the subject's first; and while the budget lasts, one at a time
                self.unexplained.sort(key=_gravity, reverse=True)
                self.explain(self.unexplained.pop())
            elif within:
                task = next(self.tasks)
                self.scheduled += task.cases
                self.breadth -= 1
                self.schedule(task)
            else:
                break

    def explain(self, finding: Finding) -> None:
        casualties = self.casualties.get(finding.key, frozenset())
        self.supervisor.submit(finding, explained, finding, casualties, seconds=EXPLAIN_SECONDS)

    def schedule(self, task: Task) -> None:
        self.supervisor.submit(task, run, task, seconds=TASK_SECONDS)

    def take(self, job: Task | Finding | None, result: Any) -> None:
        if isinstance(result, Lost):
            if isinstance(job, Task):
                self.blame(job, result)
            elif isinstance(job, Finding) and len(self.casualties.get(job.key, ())) < MOST_TRIES:
                # a neighbour killed the process: explain it without that one
                self.casualties[job.key] = self.casualties.get(job.key, frozenset()) | {result.casualty}
                self.explain(job)
        elif isinstance(result, Finding):
            # counted on while it was being explained
            result.count = self.outcome.findings[result.key].count
            self.outcome.findings[result.key] = result
        else:
            self.unexplained += self.outcome.take(result)

    def blame(self, task: Task, lost: Lost) -> None:
        """A worker died or hung: the case that it held is the finding, and the others are run again."""
        if not lost.descriptor:
            raise CampaignFailed(f"a worker ended before its first case: {lost.message}")
        finding = lost_finding(
            parse(lost.descriptor), task.number, lost.voice, lost.kind, lost.message, self.plan.subject
        )
        self.outcome.take(TaskResult(task, OperationRecord(), [finding]))
        self.again.append(replace(task, casualties=task.casualties | {lost.casualty}))


def check_operations(names: tuple[str, ...]) -> tuple[str, ...]:
    """The operations to fuzz: those named, or all; raises `UnknownOperation`."""
    return tuple(operation(name).name for name in names) or tuple(catalogue())
