"""Findings: verdicts with the same guilty party, operation and tensor; shrunk, explained, and told as a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from oracles import catalogue
from oracles.condition import Condition, infer
from oracles.configuration import Case, Configuration
from oracles.draw import configurations, invalid_configurations, sample
from oracles.fill import FILLS
from oracles.inputs import make_inputs
from oracles.judge import judge
from oracles.judgement import EQUATIONS, UNDETERMINED, Judgement, Verdict
from oracles.operation import Operation
from oracles.panel import Panel
from oracles.precision import available_dtypes
from oracles.record import finite
from oracles.script import script
from oracles.shrink import shrink
from oracles.subject import Subject
from oracles.trait import traits
from oracles.truth import quiet
from oracles.voice import SUBJECT, Arrays

#: guilty party, operation, tensor, verdict
Key = tuple[str, str, str | None, str]
#: How many seeds are tried beside the one that failed when a case is made smaller.
SEEDS = 8
#: How many random configurations are probed for the condition of a finding, and three times that in all.
PROBES = 45
#: How many such samples are drawn at most, until `ENOUGH` configurations fail and as many cases do not.
BLOCKS, ENOUGH = 8, 12
#: Verdicts whose cases may be shrunk beyond what is drawn, as long as that is valid: whoever refuses what is not is not
#: wrong.
VALID = ("wrong", "nondeterministic", "mutates-input", "shares-memory", "writes-outside", "warns")
#: Verdicts that may need a second call to be told.
REPEATING = ("nondeterministic", "shares-memory")
#: What is accepted and should not be may be shrunk to anything that all others refuse.
ACCEPTED = "accepts-invalid"
#: Time for each finding; a reference may have to compile whatever it is asked.
SHRINK_SECONDS = 8.0
PROBE_SECONDS = 8.0


@dataclass
class Finding:
    """One way in which somebody is wrong."""

    key: Key
    first: Case
    #: The number of the stream that the configuration came from.
    origin: int
    verdict: Verdict
    count: int = 1
    minimal: Case | None = None
    condition: Condition | None = None
    script: str | None = None
    #: with what the fault goes away: one line each
    traits: list[str] = field(default_factory=list)
    identifier: str = field(default="")

    def as_json(self) -> dict[str, Any]:
        """As it stands in `summary.json`."""
        guilty, op, tensor, kind = self.key
        verdict, condition = self.verdict, self.condition
        return {
            "id": self.identifier,
            "guilty": guilty,
            "op": op,
            "tensor": tensor,
            "verdict": kind,
            "condition": condition.text if condition else "",
            "support": {
                "failing": condition.failing if condition else 0,
                "passing": condition.passing if condition else 0,
            },
            "traits": self.traits,
            "descriptor": str(self.minimal or self.first),
            "first": str(self.first),
            "count": self.count,
            "error_ratio": None if verdict.error_ratio is None else finite(verdict.error_ratio),
            "limit": verdict.limit,
            "element": None if verdict.element is None else list(verdict.element),
            "got": verdict.got,
            "expected": verdict.expected,
            "voices": {
                voice: {"value": value, "error_ratio": None if ratio is None else finite(ratio)}
                for voice, (value, ratio) in verdict.voices.items()
            },
            "message": verdict.message,
            "script": f"findings/{self.identifier}.py" if self.script else None,
        }


def findings_of(operation: Operation, judgement: Judgement, origin: int) -> Iterator[Finding]:
    """The findings that one judged case makes."""
    for verdict in judgement.verdicts:
        key = (verdict.guilty, operation.name, verdict.tensor, verdict.verdict)
        yield Finding(key, judgement.case, origin, verdict)


def lost_finding(case: Case, origin: int, voice: str, kind: str, message: str, subject: Subject) -> Finding:
    """The finding of a process that died or hung: not shrunk, and its script may do the same."""
    known = catalogue.operation(case.configuration.op)
    verdict = Verdict(voice, kind, None, message)
    # with nobody on the panel no native code runs, and the arrays are made all the same
    text = script(known, judge(known, case, Panel(None)), verdict, subject)
    return Finding((voice, known.name, None, kind), case, origin, verdict, script=text)


def _witnesses(panel: Panel, guilty: str, kind: str) -> Panel:
    """The part of a panel that shows this party's guilt: shrinking asks nobody else."""
    if kind == ACCEPTED:
        return panel
    if guilty == SUBJECT:
        return replace(panel, references=())
    if guilty in (EQUATIONS, UNDETERMINED):
        return panel
    return replace(panel, subject=None, references=[v for v in panel.references if v.name == guilty])


@dataclass
class _Inquiry:
    """One accusation, asked of many cases."""

    operation: Operation
    key: tuple[str, str | None, str]
    panel: Panel
    deadly: Callable[[Case], bool]

    def verdict(self, judgement: Judgement) -> Verdict | None:
        return next((v for v in judgement.verdicts if v.key == self.key), None)

    def fails(self, case: Case) -> bool | None:
        """Whether the accusation holds of this case; None where it cannot be told."""
        if self.deadly(case):
            return None
        try:
            inputs = make_inputs(self.operation, case)
            if self.key[2] in VALID:
                # shrinking may leave what is valid: Mint says so, where the equations would compute something
                self.operation.function(*inputs.values(), **case.configuration.hyper)
            if self.key[0] == SUBJECT and not self._supports(case, inputs):
                return None
            judgement = judge(self.operation, case, self.panel)
        except Exception:  # a neighbour that the equations cannot compute is no neighbour
            return None
        if self.verdict(judgement):
            return True
        guilty, tensor, _ = self.key
        heard = guilty in judgement.answers or guilty in (EQUATIONS, UNDETERMINED)
        judged = tensor is None or guilty in (EQUATIONS, UNDETERMINED) or (guilty, tensor) in judgement.comparisons
        if case.configuration.invalid:
            return False
        # where there is nothing to get wrong, nothing is told
        telling = tensor not in judgement.truth or judgement.truth[tensor].size > 0
        return False if heard and judged and telling else None

    def _supports(self, case: Case, inputs: Arrays) -> bool:
        """Whether the subject does not say that it has no such thing: cheaper than the truth about it."""
        assert self.panel.subject is not None
        self.panel.announce(SUBJECT, case)
        try:
            with quiet():
                self.panel.subject.accepts(self.operation, case, inputs)
        except Exception as error:  # whatever else it raises is for the judge to hear
            return not isinstance(error, NotImplementedError)
        return True


def explain(
    operation: Operation,
    finding: Finding,
    panel: Panel,
    subject: Subject,
    deadly: Callable[[Case], bool] = lambda case: False,
) -> Finding:
    """Shrink a finding, infer its condition, find its traits and write its script.

    What is `deadly` to a process is not run.
    """
    guilty, _, tensor, kind = finding.key
    first = finding.first
    panel = replace(panel, repeats=kind in REPEATING)
    inquiry = _Inquiry(operation, (guilty, tensor, kind), _witnesses(panel, guilty, kind), deadly)
    if not inquiry.fails(first):
        inquiry.panel = panel  # the guilt shows only against the whole panel: whoever arbitrates is needed
    # one seed alone may happen to cancel
    plain = (
        f
        for f in ("integers", "ties", "normal")
        for seed in range(SEEDS)
        if inquiry.fails(replace(first, fill=f, seed=seed))
    )
    fill = next(plain, first.fill)

    def failing(configuration: Configuration) -> Case | None:
        # other shapes have other values: one seed may miss what another shows, and the fewer values the more so
        most = max(map(prod, configuration.shapes.values()), default=1)
        seeds = (first.seed, *range(SEEDS * max(1, 8 // max(most, 1))))
        cases = (Case(configuration, fill, seed) for seed in seeds)
        return next((case for case in cases if inquiry.fails(case)), None)

    smallest = shrink(
        _strategy(operation, first.configuration),
        finding.origin,
        first.configuration,
        lambda configuration: failing(configuration) is not None,
        SHRINK_SECONDS,
        beyond=kind in VALID or (kind == ACCEPTED and bool(panel.references)),
    )
    minimal = failing(smallest) or first
    judgement = judge(operation, minimal, panel)
    verdict = inquiry.verdict(judgement)
    if verdict is None:  # not against the whole panel: then it is shown as it was found
        minimal, verdict = first, finding.verdict
        judgement = judge(operation, first, panel)
    return replace(
        finding,
        minimal=minimal,
        verdict=verdict,
        condition=_condition(inquiry, finding, minimal),
        script=script(operation, judgement, verdict, subject),
        traits=traits(operation, judgement, verdict, panel, deadly),
    )


def _strategy(operation: Operation, configuration: Configuration) -> Any:
    drawn = invalid_configurations if configuration.invalid else configurations
    return drawn(operation, (configuration.dtype,))


def _condition(inquiry: _Inquiry, finding: Finding, minimal: Case) -> Condition:
    """Probe random configurations and the minimal case's neighbours, and say what the failing ones share."""
    if finding.first.configuration.invalid:
        return Condition(f"{finding.first.configuration.invalid} is invalid", 1, 0)
    cases: dict[bool | None, list[Case]] = {True: [minimal, finding.first], False: [], None: []}
    deadline = time.monotonic() + PROBE_SECONDS
    for case in neighbours(inquiry.operation, minimal):
        cases[inquiry.fails(case)].append(case)
    for block in range(BLOCKS):
        for case in _probes(inquiry.operation, finding.origin + block, minimal):
            cases[inquiry.fails(case)].append(case)
            if time.monotonic() > deadline:
                break
        different = {case.configuration for case in cases[True]}  # one fails for all fills and seeds alike
        if time.monotonic() > deadline or min(len(different), len(cases[False])) >= ENOUGH:
            break
    return infer(inquiry.operation, cases[True], cases[False])


def _probes(operation: Operation, number: int, minimal: Case) -> Iterator[Case]:
    """Random configurations: two in its own dtype and fill for one in any."""
    own = sample(configurations(operation, (minimal.configuration.dtype,)), number, 2 * PROBES)
    others = sample(configurations(operation, available_dtypes()), number, PROBES)
    fills = dict.fromkeys((minimal.fill, "normal", "integers", "ties", "special"))
    for place, other in enumerate(others):
        for configuration in own[2 * place : 2 * place + 2]:
            yield from (Case(configuration, minimal.fill, minimal.seed + more) for more in (0, 1))
        yield from (Case(other, fill, minimal.seed) for fill in fills)


def neighbours(operation: Operation, case: Case) -> Sequence[Case]:
    """Cases that differ from `case` in one thing: a fill, a dtype, a layout, the compilation pipeline."""
    configuration = case.configuration
    found = [replace(case, fill=fill) for fill in FILLS if fill != case.fill]
    found += [case.at(dtype) for dtype in available_dtypes() if dtype != configuration.dtype]
    plain = operation.configuration(configuration.shapes, configuration.hyper, configuration.dtype)
    return [*found, replace(case, configuration=plain)] if plain != configuration else found
