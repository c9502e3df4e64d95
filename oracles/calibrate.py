"""Calibration: the limits, from the error ratios of honest implementations.

Every voice takes part: PyTorch, JAX, Mint, and the equations in the working precision, adding up as NumPy does and
naively, one term after the other; on short arrays and on long ones. A limit is a small multiple of the worst ratio that
any of them reached, and at least `LEAST`: above what honest rounding does, and not growing with the number of terms, as
the worst-case bound γ_K does, under which dropped terms hide (see `limits.growth`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil, log10
from pathlib import Path
from typing import Any

from oracles import catalogue, limits, worker
from oracles.configuration import Case
from oracles.draw import configurations, sample
from oracles.fill import BENIGN
from oracles.judge import judge
from oracles.judgement import EQUATIONS
from oracles.large import enlarged
from oracles.limits import FULL, HALF, STEPWISE, kind
from oracles.numpy_voice import NumpyVoice
from oracles.operation import Operation
from oracles.summation import one_by_one
from oracles.supervisor import Lost
from oracles.sweep import sweep
from oracles.worker import Casualty, excluded

NAIVE = "naive"
#: The least limit by kind of arithmetic; half precision rounds once a result that is nearly exact.
LEAST = {FULL: 8.0, HALF: 2.0, STEPWISE: 8.0}
#: A limit is the worst ratio times this: what a calibration sees once in 10⁵ elements, a campaign sees doubled in 10⁷.
MARGIN = {FULL: 2.0, HALF: 2.0, STEPWISE: 2.0}
#: One configuration in so many is made long, in turn as long as this.
LONG_EVERY, LENGTHS = 3, (1_024, 4_096, 16_384, 65_536)
#: A tensor with a ratio beyond this is not rounded well: it is reported, and does not widen the limit.
OUTLIER = {FULL: 16.0, HALF: 8.0, STEPWISE: 16.0}


@dataclass
class Worst:
    """The worst honest error ratio of one tensor."""

    ratio: float = 0.0
    voice: str = ""
    descriptor: str = ""
    elements: int = 0

    def merge(self, other: Worst) -> None:
        """Take in what was measured elsewhere."""
        if other.ratio > self.ratio:
            self.ratio, self.voice, self.descriptor = other.ratio, other.voice, other.descriptor
        self.elements += other.elements


@dataclass
class Calibrated:
    """What jobs measured: by tensor and kind of arithmetic, and the outliers, which are no rounding."""

    worst: dict[tuple[str, str], Worst] = field(default_factory=dict)
    outliers: list[str] = field(default_factory=list)
    lost: bool = False  # to a case that killed the process: the job is run again

    def merge(self, other: Calibrated) -> None:
        """Take in what was measured elsewhere."""
        for key, worst in other.worst.items():
            self.worst.setdefault(key, Worst()).merge(worst)
        self.outliers += other.outliers


def _naive(operation: Operation) -> NumpyVoice:
    """The equations, their sums added up one term after the other."""

    def equations(*arrays: Any, **hyper: Any) -> Any:
        with one_by_one():
            y, vjp = operation.equations(*arrays, **hyper)

        def back(*gys: Any) -> Any:
            with one_by_one():
                return vjp(*gys)

        return y, back

    return NumpyVoice(equations, name=NAIVE)


def _cases(operation: Operation, dtype: str, count: int, seed: int) -> Iterator[Case]:
    """The worst cases that are on record, `count` configurations, and one in three of these made long."""
    for figures in limits.calibration()["limits"].get(operation.name, {}).values():
        known = (catalogue.parse(figure["descriptor"]) for figure in figures.values() if figure["descriptor"])
        yield from (case for case in known if case.configuration.dtype == dtype)
    for place, configuration in enumerate(sample(configurations(operation, (dtype,)), seed, count)):
        lengths = [configuration]
        if place % LONG_EVERY == 0:
            elements = LENGTHS[place // LONG_EVERY % len(LENGTHS)]
            lengths.append(enlarged(operation, configuration, place, elements))
        for long in dict.fromkeys(lengths):
            yield from (Case(long, fill, seed + n) for n, fill in enumerate(BENIGN))


def calibrate(name: str, dtype: str, count: int, seed: int, casualties: frozenset[Casualty]) -> Calibrated:
    """The worst error ratio of each tensor over `count` configurations, those that killed a voice left out.

    Runs in a worker process.
    """
    operation, panel = catalogue.operation(name), worker.panel(name)
    found = Calibrated()
    if dtype in ("float32", "float64"):
        # the equations know no half precision: they do not choose what to accumulate in
        ours = [NumpyVoice(operation.equations, name=EQUATIONS), _naive(operation)]
        panel = replace(panel, references=[*panel.references, *ours])
    for case in _cases(operation, dtype, count, seed):
        judgement = judge(operation, case, panel.without(excluded(case, casualties)))
        for (voice, tensor), comparison in judgement.comparisons.items():
            if judgement.truth[tensor].dtype.kind in "iu":
                continue
            arithmetic, worst = kind(dtype, voice), comparison.largest_ratio
            if worst > OUTLIER[arithmetic]:
                found.outliers.append(f"{voice} {tensor} {worst:.4g}: {case}")
            else:
                seen = Worst(worst, voice, str(case), comparison.error_ratio.size)
                found.worst.setdefault((tensor, arithmetic), Worst()).merge(seen)
    return found


def measure(
    ops: tuple[str, ...], dtypes: tuple[str, ...], count: int, seed: int, workers: int
) -> Iterator[tuple[str, Calibrated]]:
    """Measure every operation in every dtype; a case that kills a process is named among the outliers."""
    for op, result in sweep(calibrate, ops, dtypes, count, seed, workers):
        if isinstance(result, Lost):
            result = Calibrated(outliers=[f"{result.voice} {result.kind}: {result.descriptor}"], lost=True)
        yield op, result


def as_limit(ratio: float, arithmetic: str) -> float:
    """The margin of this kind of arithmetic times the ratio, rounded up to two digits, and not below the least.

    >>> as_limit(0.7, FULL), as_limit(6.283, FULL)
    (8.0, 13.0)
    """
    wanted = max(LEAST[arithmetic], MARGIN[arithmetic] * ratio)
    digit = 10.0 ** (ceil(log10(wanted)) - 2)
    return round(ceil(wanted / digit - 1e-9) * digit, 6)


def as_json(
    found: dict[str, Calibrated], count: int, seed: int, dtypes: tuple[str, ...], machine: str
) -> dict[str, Any]:
    """The record that `oracles.limits` reads: every limit with what it came from, on which machine."""
    recorded: dict[str, dict[str, dict[str, Any]]] = {}
    for op, measured in found.items():
        for (tensor, arithmetic), worst in sorted(measured.worst.items()):
            recorded.setdefault(op, {}).setdefault(tensor, {})[arithmetic] = {
                "limit": as_limit(worst.ratio, arithmetic),
                "worst": round(worst.ratio, 4),
                "voice": worst.voice,
                "configurations": count,
                "seed": seed,
                "elements": worst.elements,
                "descriptor": worst.descriptor,
                "machine": machine,
            }
    return {"version": 1, "dtypes": dtypes, "margin": MARGIN, "limits": recorded}


def worse(known: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Of two sets of limits the worse ratio for each operation, tensor and kind of arithmetic.

    >>> worse({"elu": {"y": {"full": {"worst": 1.0}}}}, {"elu": {"y": {"full": {"worst": 0.5}}}})
    {'elu': {'y': {'full': {'worst': 1.0}}}}
    """
    if "worst" in known and "worst" in measured:
        return max(known, measured, key=lambda figures: figures["worst"])
    return {
        key: worse(known[key], measured[key]) if key in known and key in measured else known.get(key, measured.get(key))
        for key in {**known, **measured}
    }


def write(record: dict[str, Any], path: Path) -> None:
    """Write the record."""
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
