"""What a campaign keeps of its cases: counts, histograms and worst cases, which merge in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.compare import Comparison
from oracles.configuration import Case
from oracles.judgement import EQUATIONS, Judgement
from oracles.limits import limit
from oracles.voice import SUBJECT

#: Histograms have this many bins to a factor of two, so a quantile read off one is right to within 9 %.
BINS_PER_OCTAVE = 8
#: Counted under these keys: exact zeros, and wrong NaNs and infinities.
ZERO, INFINITE = "zero", "inf"


def histogram(values: NDArray[np.float64]) -> Counter[str]:
    """Counts by k = floor(8·log2 v).

    >>> histogram(np.array([0.0, 1.0, 1.01, 2.0, np.inf])) == {"zero": 1, "0": 2, "8": 1, "inf": 1}
    True
    """
    counts: Counter[str] = Counter()
    positive = values[(values > 0) & np.isfinite(values)]
    bins, number = np.unique(np.floor(BINS_PER_OCTAVE * np.log2(positive)).astype(int), return_counts=True)
    counts.update({str(k): int(n) for k, n in zip(bins, number, strict=True)})
    for key, count in ((ZERO, (values == 0).sum()), (INFINITE, np.isinf(values).sum())):
        if count:
            counts[key] = int(count)
    return counts


@dataclass
class VoiceRecord:
    """One voice's figures for one tensor in one dtype."""

    elements: int = 0
    exact: int = 0
    error_ratio: float = 0.0
    ulp: float = 0.0
    relative_error: float = 0.0
    worst: str = ""
    ratios: Counter[str] = field(default_factory=Counter)
    ulps: Counter[str] = field(default_factory=Counter)

    def add(self, comparison: Comparison, case: Case) -> None:
        """Take in the figures of one case."""
        if comparison.error_ratio.size:
            self._meet(comparison.largest_ratio, str(case))
        self.elements += comparison.error_ratio.size
        self.exact += comparison.exact
        self.ulp = max(self.ulp, float(comparison.ulp.max(initial=0.0)))
        self.relative_error = max(self.relative_error, comparison.relative_error)
        self.ratios.update(histogram(comparison.error_ratio))
        self.ulps.update(histogram(comparison.ulp))

    def merge(self, other: VoiceRecord) -> None:
        """Take in another record."""
        self._meet(other.error_ratio, other.worst)
        self.elements += other.elements
        self.exact += other.exact
        self.ulp = max(self.ulp, other.ulp)
        self.relative_error = max(self.relative_error, other.relative_error)
        self.ratios.update(other.ratios)
        self.ulps.update(other.ulps)

    def _meet(self, error_ratio: float, descriptor: str) -> None:
        # of cases with the same ratio the last in the alphabet, so that the order of merging does not matter
        self.error_ratio, self.worst = max((self.error_ratio, self.worst), (error_ratio, descriptor))


@dataclass(order=True)
class Call:
    """How near a case came to its limit; the nearest one is the closest call."""

    nearness: float
    tensor: str
    error_ratio: float
    limit: float
    descriptor: str


@dataclass
class OperationRecord:
    """All that a campaign keeps of one operation."""

    cases: int = 0
    configurations: int = 0
    vacuous: int = 0
    refused: int = 0
    references: Counter[str] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    references_by_dtype: Counter[tuple[str, str]] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    layouts: Counter[str] = field(default_factory=Counter)
    limitations: Counter[tuple[str, str]] = field(default_factory=Counter)
    voices: dict[tuple[str, str, str], VoiceRecord] = field(default_factory=dict)  # (tensor, voice, dtype)
    closest: Call | None = None

    def add(self, judgement: Judgement) -> None:
        """Take in one judged case."""
        case = judgement.case
        configuration = case.configuration
        self.cases += 1
        self.vacuous += judgement.vacuous
        self.refused += judgement.refused and not judgement.verdicts
        compared = [*judgement.compared, *([EQUATIONS] if judgement.truth else [])]
        self.references.update(compared)
        self.dtypes[configuration.dtype] += 1
        self.references_by_dtype.update((configuration.dtype, name) for name in compared)
        self.limitations.update(set(judgement.limitations))
        if configuration.invalid:
            return
        self.fills[case.fill] += 1
        self.layouts.update(set(configuration.layouts.values()) or {"contiguous"})
        for (voice, tensor), comparison in judgement.comparisons.items():
            key = (tensor, voice, configuration.dtype)
            self.voices.setdefault(key, VoiceRecord()).add(comparison, case)
            if voice == SUBJECT and not comparison.wrong and comparison.error_ratio.size:
                ratio, most = comparison.largest_ratio, limit(configuration.op, tensor, configuration.dtype)
                call = Call(ratio / most, tensor, ratio, most, str(case))
                self.closest = max(filter(None, (self.closest, call)))

    def merge(self, other: OperationRecord) -> None:
        """Take in another record of the same operation."""
        self.cases += other.cases
        self.configurations += other.configurations
        self.vacuous += other.vacuous
        self.refused += other.refused
        for name in ("references", "dtypes", "references_by_dtype", "fills", "layouts", "limitations"):
            getattr(self, name).update(getattr(other, name))
        for key, voice in other.voices.items():
            self.voices.setdefault(key, VoiceRecord()).merge(voice)
        if other.closest is not None:
            self.closest = max(filter(None, (self.closest, other.closest)))

    def as_json(self, operation: str) -> dict[str, Any]:
        """As it stands in `summary.json`."""
        tensors: dict[str, Any] = {}
        for (tensor, voice, dtype), record in sorted(self.voices.items()):
            entry = tensors.setdefault(tensor, {"limit": limit(operation, tensor), "error_ratio": 0.0, "voices": []})
            if voice == SUBJECT and entry["error_ratio"] is not None:
                worst = finite(record.error_ratio)
                entry["error_ratio"] = None if worst is None else max(entry["error_ratio"], worst)
            entry["voices"].append(
                {
                    "voice": voice,
                    "dtype": dtype,
                    "elements": record.elements,
                    "exact": record.exact,
                    "error_ratio": {"max": finite(record.error_ratio), "histogram": dict(record.ratios)},
                    "ulp": {"max": finite(record.ulp), "histogram": dict(record.ulps)},
                    "relative_error": finite(record.relative_error),
                    "worst": record.worst,
                }
            )
        closest = self.closest
        return {
            "cases": self.cases,
            "configurations": self.configurations,
            "vacuous": self.vacuous,
            "refused": self.refused,
            "references": dict(self.references),
            "dtypes": {
                dtype: {
                    "cases": cases,
                    "references": {name: n for (d, name), n in sorted(self.references_by_dtype.items()) if d == dtype},
                }
                for dtype, cases in self.dtypes.items()
            },
            "fills": dict(self.fills),
            "layouts": dict(self.layouts),
            "tensors": tensors,
            "closest_call": closest
            and {
                "tensor": closest.tensor,
                "error_ratio": closest.error_ratio,
                "limit": closest.limit,
                "descriptor": closest.descriptor,
            },
            "limitations": [
                {"reference": reference, "reason": reason, "cases": cases}
                for (reference, reason), cases in sorted(self.limitations.items())
            ],
        }


def finite(value: float) -> float | None:
    """The number as JSON has it: None for one that is infinite or NaN."""
    return float(value) if np.isfinite(value) else None
