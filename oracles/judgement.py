"""What the judge says: verdicts, and all that is known of a case once it has been judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from oracles.compare import Comparison
from oracles.configuration import Case

Array = NDArray[Any]

#: Guilty parties besides the voices.
EQUATIONS = "equations"
UNDETERMINED = "undetermined"


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one tensor of one case, and with whom."""

    guilty: str
    verdict: str
    tensor: str | None
    message: str
    error_ratio: float | None = None
    limit: float | None = None
    element: tuple[int, ...] | None = None
    got: str | None = None
    expected: str | None = None
    allowed: float = 0.0
    #: voice -> (its value of the worst element, its worst error ratio in this tensor)
    voices: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What findings are grouped by within an operation."""
        return self.guilty, self.tensor, self.verdict


@dataclass
class Judgement:
    """All that is known of a case once it has been judged."""

    case: Case
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)  # (voice, tensor)
    verdicts: list[Verdict] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)  # references
    limitations: list[tuple[str, str]] = field(default_factory=list)  # (reference, reason)
    vacuous: bool = False
    refused: bool = False
    truth: dict[str, Array] = field(default_factory=dict)
    scale: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Array | None] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: tuple[str, ...] = ()  # outputs that the subject was given a buffer for, as `out`

    def against(self, voice: str) -> list[Verdict]:
        """The verdicts against one voice."""
        return [v for v in self.verdicts if v.guilty == voice]
