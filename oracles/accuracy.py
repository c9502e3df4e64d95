"""Accuracy: how far Mint, PyTorch and JAX are from the truth, in ULP, on the same cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oracles import catalogue, worker
from oracles.configuration import Case
from oracles.draw import configurations, sample
from oracles.judge import judge
from oracles.supervisor import Lost
from oracles.sweep import sweep
from oracles.voice import REFERENCES, SUBJECT
from oracles.worker import Casualty, excluded

#: Fills whose errors are rounding alone; small integers, where nothing is rounded, would only flatter.
FILLS = ("normal", "wide", "cancelling")
VOICES = (SUBJECT, *REFERENCES)

Ulps = NDArray[np.float64]


@dataclass
class Row:
    """The errors in one tensor of one operation, by voice, over the cases in which all of these voices answered."""

    op: str
    tensor: str
    errors: dict[str, list[Ulps]] = field(default_factory=dict)

    def figures(self, voice: str) -> tuple[float, float] | None:
        """The largest error and the 99th percentile, in ULP; None for a voice that did not take part."""
        if voice not in self.errors:
            return None
        errors = np.concatenate(self.errors[voice])
        if not errors.size:
            return 0.0, 0.0
        return float(errors.max()), float(np.quantile(errors, 0.99, method="higher"))

    @property
    def best(self) -> bool:
        """Whether Mint's figures are both at most the better of the references'."""
        own = self.figures(SUBJECT)
        others = [figures for voice in REFERENCES if (figures := self.figures(voice))]
        return own is not None and all(own[i] <= min(f[i] for f in others) for i in (0, 1) if others)


def accuracy(name: str, dtype: str, count: int, seed: int, casualties: frozenset[Casualty]) -> list[Row]:
    """The rows of one operation over `count` configurations. Runs in a worker process."""
    operation, panel = catalogue.operation(name), worker.panel(name)
    gathered: dict[str, list[dict[str, Ulps]]] = {}
    for configuration in sample(configurations(operation, (dtype,)), seed, count):
        for place, fill in enumerate(FILLS):
            case = Case(configuration, fill, seed + place)
            judgement = judge(operation, case, panel.without(excluded(case, casualties)))
            for tensor, truth in judgement.truth.items():
                if truth.dtype.kind in "iu":
                    continue
                found = {v: judgement.comparisons.get((v, tensor)) for v in VOICES}
                # what one voice gets wrong altogether (a finding) is no matter of accuracy
                if not any(c is not None and c.wrong for c in found.values()):
                    gathered.setdefault(tensor, []).append({v: c.ulp for v, c in found.items() if c is not None})
    return [_row(name, tensor, cases) for tensor, cases in gathered.items()]


def _row(name: str, tensor: str, cases: list[dict[str, Ulps]]) -> Row:
    """The cases in which every voice took part that takes part in any; elements that none left unjudged."""
    voices = [v for v in VOICES if any(v in case for case in cases)]
    common = [
        case for case in cases if len({case[v].size for v in voices if v in case}) == 1 and len(case) == len(voices)
    ]
    return Row(name, tensor, {v: [case[v] for case in common] for v in voices})


def measure(ops: tuple[str, ...], dtype: str, count: int, seed: int, workers: int) -> Iterator[tuple[str, list[Row]]]:
    """The rows of every operation, as they are done."""
    for op, result in sweep(accuracy, ops, (dtype,), count, seed, workers):
        if not isinstance(result, Lost):
            yield op, result


def share(rows: Iterable[Row]) -> tuple[int, int]:
    """In how many rows Mint is at least as accurate as the better of PyTorch and JAX, and of how many."""
    compared = [row for row in rows if any(voice in row.errors for voice in REFERENCES)]
    return sum(row.best for row in compared), len(compared)
