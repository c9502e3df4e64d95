"""What `mint prove` found: which mutants were killed, after how many cases, and what other rules would have done."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from oracles.mutant import Mutant

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Trial:
    """How one mutant fared with one operation."""

    op: str
    verdict: str = ""  # of the first case that convicts it: wrong, crash, …, import, hang; nothing if it survives
    cases: int | None = None  # how many cases that took, that one included; None where the process was lost
    descriptor: str = ""
    message: str = ""
    rules: Mapping[str, int | None] = field(default_factory=dict)  # after how many cases each other rule catches it

    @property
    def killed(self) -> bool:
        """Whether any case convicted it."""
        return bool(self.verdict)


@dataclass(frozen=True)
class Equivalent:
    """A mutant that computes the same as the original, and the proof."""

    module: str
    function: str
    diff: str
    reason: str

    def matches(self, mutant: Mutant) -> bool:
        """Whether it is this mutant's entry."""
        return (self.module, self.function, _bare(self.diff)) == (mutant.module, mutant.function, _bare(mutant.diff))


def _bare(diff: str) -> list[str]:
    return ["".join(line.split()) for line in diff.strip().splitlines()]


def equivalents() -> list[Equivalent]:
    """The known ones, from `equivalent.toml`."""
    record = tomllib.loads(files("oracles").joinpath("equivalent.toml").read_text("utf-8"))
    return [Equivalent(**entry) for entry in record.get("equivalent", [])]


@dataclass
class Fate:
    """What became of one mutant: its trial at home, and with other operations if it survived that."""

    mutant: Mutant
    run: bool  # whether any case was seen to run what it changes
    home: Trial
    elsewhere: list[Trial] = field(default_factory=list)
    reason: str = ""  # why it is equivalent

    @property
    def killer(self) -> Trial | None:
        """The trial that killed it."""
        return next((trial for trial in (self.home, *self.elsewhere) if trial.killed), None)

    @property
    def outcome(self) -> str:
        """`killed`, `equivalent` or `survived`; what was killed is not equivalent, whatever is said of it."""
        return "killed" if self.killer else "equivalent" if self.reason else "survived"

    def as_json(self) -> dict[str, Any]:
        """As it stands in `prove.json`."""
        killer = self.killer
        return {
            "mutant": self.mutant.identity,
            "module": self.mutant.module,
            "function": self.mutant.function,
            "line": self.mutant.lines[0],
            "diff": self.mutant.diff,
            "op": self.home.op,
            "run": self.run,
            "outcome": self.outcome,
            "killed_by": killer.op if killer else None,
            "verdict": killer.verdict if killer else None,
            "cases": killer.cases if killer else None,
            "descriptor": killer.descriptor if killer else None,
            "message": killer.message if killer else None,
            "reason": self.reason or None,
            "tried": [trial.op for trial in (self.home, *self.elsewhere)],
            "rules": dict(self.home.rules),
        }


@dataclass(frozen=True)
class Score:
    """The figures of some mutants."""

    mutants: int
    killed: int
    elsewhere: int  # of the killed: by another operation than the one at which they are at home
    equivalent: int
    survived: int
    lost: int  # of the killed: hung, or took the process down
    median: float | None  # cases to kill, at home
    p95: float | None
    rules: Mapping[str, int]  # how many each other rule catches, at home

    @property
    def share(self) -> float:
        """Killed, of those that are not equivalent."""
        return self.killed / max(self.mutants - self.equivalent, 1)

    def as_json(self) -> dict[str, Any]:
        """As it stands in `prove.json`."""
        return {**vars(self), "rules": dict(self.rules), "share": round(self.share, 4)}


def score(fates: Sequence[Fate]) -> Score:
    """Count."""
    killed = [fate for fate in fates if fate.outcome == "killed"]
    cases = [fate.home.cases for fate in killed if fate.home.cases is not None]
    names = dict.fromkeys(name for fate in fates for name in fate.home.rules)
    return Score(
        mutants=len(fates),
        killed=len(killed),
        elsewhere=sum(not fate.home.killed for fate in killed),
        equivalent=sum(fate.outcome == "equivalent" for fate in fates),
        survived=sum(fate.outcome == "survived" for fate in fates),
        lost=sum(fate.home.killed and fate.home.cases is None for fate in killed),
        median=float(np.median(cases)) if cases else None,
        p95=float(np.percentile(cases, 95)) if cases else None,
        rules={name: sum(fate.home.rules.get(name) is not None for fate in fates) for name in names},
    )


@dataclass
class Proof:
    """Everything that was found."""

    seed: int
    budget: int  # cases per mutant
    population: int  # mutants that these operations run
    not_run: Mapping[str, int]  # by module: mutants of functions that no operation runs
    fates: list[Fate] = field(default_factory=list)
    unmatched: list[Equivalent] = field(default_factory=list)  # entries that are no mutant's

    @property
    def ops(self) -> list[str]:
        """The operations, in their order."""
        return list(dict.fromkeys(fate.home.op for fate in self.fates))

    def of(self, op: str) -> Score:
        """The figures of the mutants that are at home in one operation."""
        return score([fate for fate in self.fates if fate.home.op == op])

    @property
    def total(self) -> Score:
        """The figures of all; every mutant is at home once."""
        return score(self.fates)

    @property
    def survivors(self) -> list[Fate]:
        """What the fuzz did not notice."""
        return [fate for fate in self.fates if fate.outcome == "survived"]

    @property
    def refuted(self) -> list[Fate]:
        """What is said to be equivalent, and was killed."""
        return [fate for fate in self.fates if fate.reason and fate.outcome == "killed"]

    def as_json(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """`prove.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "seed": self.seed,
            "cases": self.budget,
            "environment": dict(about),
            "population": self.population,
            "not_run": dict(self.not_run),
            "total": self.total.as_json(),
            "ops": {op: self.of(op).as_json() for op in self.ops},
            "unmatched": [vars(entry) for entry in self.unmatched],
            "mutants": [fate.as_json() for fate in self.fates],
        }

    def as_markdown(self) -> str:
        """The tables, the survivors and the equivalents as a page."""
        total = self.total
        lines = [
            f"{total.mutants} of {self.population} mutants, seed {self.seed}, at most {self.budget} cases each.",
            "",
            *_table(HEADER, [row("total", total), *(row(op, self.of(op)) for op in self.ops)]),
            "",
            *_table(("rule", "catches", "of the killed"), rule_rows(total)),
        ]
        for title, outcome in (("Survivors", "survived"), ("Equivalent", "equivalent")):
            found = [fate for fate in self.fates if fate.outcome == outcome]
            lines += ["", f"## {title}: {len(found)}"]
            for fate in found:
                lines += ["", f"`{fate.mutant.identity}`, line {fate.mutant.lines[0]}, {fate.home.op}", ""]
                lines += [fate.reason, ""] if fate.reason else []
                lines += ["```diff", fate.mutant.diff, "```"]
        return "\n".join(lines) + "\n"


HEADER = ("op", "mutants", "killed", "elsewhere", "hang", "equivalent", "survived", "score", "median", "p95")


def row(name: str, of: Score) -> tuple[str, ...]:
    """One line of the table of operations, under `HEADER`."""
    counts = (of.mutants, of.killed, of.elsewhere, of.lost, of.equivalent, of.survived)
    cases = ("–" if figure is None else f"{figure:g}" for figure in (of.median, of.p95))
    return (name, *map(str, counts), f"{100 * of.share:.1f} %", *cases)


def rule_rows(of: Score) -> list[tuple[str, ...]]:
    """What each other rule catches, beside the harness."""
    rows = [("the harness", of.killed - of.elsewhere), *of.rules.items()]
    return [(name, str(count), f"{100 * count / max(of.killed - of.elsewhere, 1):.1f} %") for name, count in rows]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(header)
    return ["| " + " | ".join(line) + " |" for line in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]
