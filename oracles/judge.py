"""The judge: one case, every voice, and who is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.compare import Comparison, compare, headroom, is_vacuous
from oracles.configuration import DEFAULT, FAST, Case
from oracles.inputs import make_cotangents, make_inputs, raised
from oracles.judgement import EQUATIONS, UNDETERMINED, Judgement, Verdict
from oracles.limits import limit
from oracles.numpy_voice import NumpyVoice, difference_in_bits, share_memory
from oracles.operation import Operation
from oracles.panel import Panel
from oracles.precision import HALF, Precision, precision
from oracles.truth import Truth, find_truth, quiet
from oracles.voice import SUBJECT, Answer, Arrays, Voice

Array = NDArray[Any]

#: Where a panel does not say so of all, the subject is called twice on the cases whose seed is a multiple of this: a
#: second call costs as much as the first.
REPEATED = 4
#: Refusals: what a NumPy function raises for an argument that it does not take.
REFUSALS = (ValueError, TypeError, NotImplementedError)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]


def _raised(error: BaseException) -> str:
    return f"raised {type(error).__name__}: {_text(error)}"


def judge(operation: Operation, case: Case, panel: Panel, truth: Truth | None = None) -> Judgement:
    """Run every voice of the panel on the same bits and say who is wrong.

    A valid case's `truth` may be given, where several subjects are judged by the same one.
    """
    with quiet():
        if case.configuration.invalid:
            return _judge_refusal(operation, case, panel, make_inputs(operation, case))
        truth = truth or find_truth(operation, case, make_inputs(operation, case))
        return _Trial(operation, case, panel, truth).judgement


def judge_arrays(
    operation: Operation, case: Case, panel: Panel, inputs: Arrays, cotangents: Mapping[str, Array] | None = None
) -> Judgement:
    """Judge a valid call on arrays that are not the case's own; nothing but its configuration and its fill counts."""
    with quiet():
        given = None if cotangents is None else dict(cotangents)
        truth = find_truth(operation, case, inputs, make_cotangents if given is None else lambda *_: given)
        return _Trial(operation, case, panel, truth).judgement


def _judge_refusal(operation: Operation, case: Case, panel: Panel, inputs: Arrays) -> Judgement:
    """Invalid arguments: the subject must refuse them where a reference does, and only there."""
    judgement = Judgement(case, inputs=dict(inputs))
    refusals: dict[str, str] = {}
    for voice in panel.references:
        if not voice.supports(case.configuration.dtype):
            continue
        panel.announce(voice.name, case)
        judgement.compared.append(voice.name)
        try:
            voice.accepts(operation, case, inputs)
        except Exception as error:
            refusals[voice.name] = _raised(error)
    # without PyTorch, after which the operations are defined, the definition's word counts: JAX takes much that
    # is not valid there, such as a bias that broadcasts
    due = bool(refusals) or "torch" not in judgement.compared
    judgement.refused = due
    if panel.subject is None:
        return judgement
    what = case.configuration.invalid
    panel.announce(SUBJECT, case)
    try:
        panel.subject.accepts(operation, case, inputs)
    except Exception as error:
        # a framework's own refusals are RuntimeErrors and IndexErrors
        refusal = isinstance(error, REFUSALS) or not isinstance(panel.subject, NumpyVoice)
        if not refusal:
            message = f"invalid {what}: {_raised(error)}; expected ValueError or TypeError"
            judgement.verdicts.append(Verdict(SUBJECT, "crash", None, message))
        elif not due:
            message = f"{_raised(error)}; {' and '.join(judgement.compared)} accept it"
            judgement.verdicts.append(Verdict(SUBJECT, "rejects-valid", None, message))
    else:
        if due:
            others = "; ".join(f"{name} {raised}" for name, raised in refusals.items())
            message = f"invalid {what} is accepted" + (f"; {others}" if others else "")
            judgement.verdicts.append(Verdict(SUBJECT, "accepts-invalid", None, message[:600]))
    return judgement


class _Trial:
    """The judgement of one valid case, step by step."""

    def __init__(self, operation: Operation, case: Case, panel: Panel, truth: Truth) -> None:
        self.operation, self.case, self.panel = operation, case, panel
        self.p = precision(case.configuration.dtype)
        self.cotangents = dict(truth.cotangents)
        self.judgement = Judgement(
            case,
            inputs={**truth.inputs, **truth.cotangents},
            truth=dict(truth.tensors),
            scale=dict(truth.scale),
        )
        self.answers: dict[str, Answer] = {}
        self.malformed: dict[tuple[str, str], str] = {}
        for voice in panel.voices():
            self._ask(voice)
        if panel.subject is not None and (panel.repeats or case.seed % REPEATED == 0):
            self._repeat(panel.subject)
        self.doubtful = self._compare_all()
        self._second_opinion()
        if self.doubtful:
            self._arbitrate()
        self._accuse()
        self._warn()
        self.judgement.answers = {name: answer.tensors for name, answer in self.answers.items()}
        if SUBJECT in self.answers:
            self.judgement.written = self.answers[SUBJECT].written
        tensors = self.judgement.truth.values()
        floating = [t for t in tensors if t.dtype.kind not in "iu"]
        self.judgement.vacuous = all(map(is_vacuous, floating or tensors))

    def _ask(self, voice: Voice) -> None:
        operation, case, judgement = self.operation, self.case, self.judgement
        dtype = case.configuration.dtype
        if not voice.supports(dtype):
            judgement.limitations.append((voice.name, f"{voice.name} has no {dtype}"))
            return
        if case.fill == "subnormal" and voice.name != SUBJECT and dtype in voice.flushes_subnormals:
            judgement.limitations.append((voice.name, f"{voice.name} flushes subnormal numbers to zero"))
            return
        for limitation in operation.limitations_of(voice.name, case):
            judgement.limitations.append((voice.name, limitation.reason))
            if not limitation.tensors:
                return
        self.panel.announce(voice.name, case)
        try:
            self.answers[voice.name] = voice.answer(operation, case, self._arrays(), self.cotangents)
        except Exception as error:
            if isinstance(error, NotImplementedError):
                # its own word that it has no such thing, where a ValueError says that there is none
                judgement.limitations.append((voice.name, f"not implemented: {_text(error)}"))
                return
            kind = "rejects-valid" if voice.name != SUBJECT or isinstance(error, REFUSALS) else "crash"
            judgement.verdicts.append(Verdict(voice.name, kind, None, _raised(error)))
            return
        if voice.name != SUBJECT:
            judgement.compared.append(voice.name)

    def _repeat(self, voice: Voice) -> None:
        """Make the subject's whole call again: it must give the same bits, in memory of its own."""
        answer = self.answers.get(voice.name)
        if answer is None:
            return
        before = {name: np.array(t) for name, t in answer.tensors.items() if isinstance(t, np.ndarray)}
        try:
            again = voice.answer(self.operation, self.case, self._arrays(), self.cotangents)
        except Exception as error:
            answer.complaints.append(("nondeterministic", None, f"the call made a second time {_raised(error)}"))
            return
        told = {(kind, name) for kind, name, _ in answer.complaints}
        returned, another = (a.returned or a.tensors for a in (answer, again))
        for name, first in before.items():
            difference = difference_in_bits(first, again.tensors.get(name))
            if share_memory(returned.get(name), another.get(name)):
                found = "shares-memory", name, "the next call returns the same memory: what was returned before changes"
            elif difference:
                found = "nondeterministic", name, f"{name} differs when the whole call is made again: {difference}"
            else:
                continue
            if found[:2] not in told:
                answer.complaints.append(found)

    def _arrays(self) -> dict[str, Array | None]:
        return {name: a for name, a in self.judgement.inputs.items() if name not in self.cotangents}

    def _left_out(self, voice: str) -> set[str]:
        limitations = self.operation.limitations_of(voice, self.case)
        return {tensor for limitation in limitations for tensor in limitation.tensors}

    def _compare_all(self) -> set[str]:
        """Compare every tensor of every answer; returns the tensors in which somebody is past the limit."""
        doubtful = set()
        for voice in self.panel.voices():
            if voice.name not in self.answers:
                continue
            tensors = self.answers[voice.name].tensors
            skip = self._left_out(voice.name)
            for name, truth in self.judgement.truth.items():
                if name in skip or (
                    name not in tensors and voice.name == SUBJECT and name not in self.operation.outputs
                ):
                    continue  # a limitation, or a gradient that a forward-only subject does not compute
                malformed = self._malformed(name, tensors.get(name), truth)
                if malformed:
                    self.malformed[voice.name, name] = malformed
                    continue
                comparison = self._compare(name, tensors[name], truth, voice)
                self.judgement.comparisons[voice.name, name] = comparison
                if comparison.wrong:
                    doubtful.add(name)
        return doubtful

    def _second_opinion(self) -> None:
        """What XLA's fast pipeline alone gets wrong is not JAX's fault: users compile with the default one."""
        wrong = {voice for (voice, _), comparison in self.judgement.comparisons.items() if comparison.wrong}
        if self.case.configuration.xla != FAST:
            return
        for voice in self.panel.references:
            if voice.name == "jax" and voice.name in wrong:
                case = replace(self.case, configuration=replace(self.case.configuration, xla=DEFAULT))
                self.panel.announce(voice.name, case)
                self.answers[voice.name] = voice.answer(self.operation, case, self._arrays(), self.cotangents)
                self.doubtful = self._compare_all()

    def _malformed(self, name: str, got: Any, truth: Array) -> str:
        """What is wrong with the type, shape or dtype of a tensor, or nothing."""
        if got is None:
            return f"{name} is missing"
        if not isinstance(got, np.ndarray | np.generic):
            return f"{name} is a {type(got).__name__}, expected an array"
        if got.shape != truth.shape:
            return f"{name} has shape {got.shape}, expected {truth.shape}"
        if truth.dtype.kind in "iu":
            return "" if got.dtype.kind in "iu" else f"{name} has dtype {got.dtype}, expected an integer"
        if got.dtype != self.p.dtype:
            return f"{name} has dtype {got.dtype}, expected {self.p.dtype}"
        return ""

    def _compare(self, name: str, got: Any, truth: Array, voice: Voice) -> Comparison:
        dtype = self.case.configuration.dtype
        # float16 is computed in float32, where its exponentials do not underflow
        flushes = dtype in voice.flushes_subnormals or (self.operation.underflows and dtype != "float16")
        return self._measure(name, got, truth, self.p, flushes=flushes, voice=voice.name)

    def _measure(
        self, name: str, got: Any, truth: Array, p: Precision, *, flushes: bool, voice: str = SUBJECT
    ) -> Comparison:
        scale = self.judgement.scale[name]
        exact = self.case.fill in ("integers", "ties") and self.operation.exact(self.case.configuration)
        most = limit(self.operation.name, name, p.name, voice)
        return compare(
            got,
            truth,
            scale,
            p,
            most,
            exact=exact and p is self.p,
            flushes=flushes,
            # what overflows in the truth itself tells nothing; only longdouble has no higher precision
            finite_inputs=self.case.fill != "special" and p.name == "longdouble",
        )

    def _arbitrate(self) -> None:
        """Ask the references in float64 as well: where two of the three agree, that is the truth."""
        witnesses = self._witnesses()
        double = precision("float64")
        for name in sorted(self.doubtful):
            truth = self.judgement.truth[name]
            heard = {w: t[name] for w, t in witnesses.items() if name in t and name not in self._left_out(w)}
            heard = {w: t for w, t in heard.items() if np.shape(t) == truth.shape}

            def agree(a: Array, b: Array, name: str = name) -> bool:
                return not self._measure(name, a, b, double, flushes=True).wrong

            subject = self.judgement.comparisons.get((SUBJECT, name))
            if not heard or any(agree(t, truth) for t in heard.values()) or (subject and not subject.wrong):
                continue
            first, *rest = heard.values()
            others = [*rest]
            if subject is not None and not self._against(name, first).wrong:
                others.append(first)  # the subject sides with the reference
            if not any(agree(t, first) for t in others):
                verdict = Verdict(UNDETERMINED, "wrong", name, "no two of the equations and the references agree")
                self.judgement.verdicts.append(verdict)
                self._drop(name)
                continue
            message = f"the equations differ from {' and '.join(heard)}, which agree"
            self.judgement.verdicts.append(Verdict(EQUATIONS, "wrong", name, message))
            self.judgement.truth[name] = np.asarray(first, truth.dtype)
            self._recompare(name)

    def _against(self, name: str, truth: Array) -> Comparison:
        got = self.answers[SUBJECT].tensors[name]
        return self._measure(name, got, np.asarray(truth, self.p.truth), self.p, flushes=False)

    def _witnesses(self) -> dict[str, dict[str, Any]]:
        """The references' answers in float64; for a float64 case they are there already."""
        dtype = self.case.configuration.dtype
        if dtype == "longdouble":
            return {}
        found = {}
        for voice in self.panel.references:
            if voice.name not in self.answers or self.operation.limitations_of(voice.name, self.case, as_witness=True):
                continue
            if dtype == "float64":
                found[voice.name] = self.answers[voice.name].tensors
                continue
            case = self.case.at("float64")
            arrays = {name: None if a is None else raised(a, self.p) for name, a in self.judgement.inputs.items()}
            cotangents = {name: arrays.pop(name) for name in self.cotangents}
            self.panel.announce(voice.name, case)
            try:
                found[voice.name] = voice.answer(self.operation, case, arrays, cotangents).tensors
            except Exception:
                continue
        return found

    def _recompare(self, name: str) -> None:
        for voice in self.panel.voices():
            if (voice.name, name) in self.judgement.comparisons:
                got = self.answers[voice.name].tensors[name]
                comparison = self._compare(name, got, self.judgement.truth[name], voice)
                self.judgement.comparisons[voice.name, name] = comparison

    def _drop(self, name: str) -> None:
        for voice in self.panel.voices():
            self.judgement.comparisons.pop((voice.name, name), None)

    def _accuse(self) -> None:
        judgement = self.judgement
        for voice, answer in self.answers.items():
            judgement.verdicts += [Verdict(voice, kind, t, message) for kind, t, message in answer.complaints]
        judgement.verdicts += [Verdict(voice, "wrong", t, said) for (voice, t), said in self.malformed.items()]
        for (voice, name), comparison in judgement.comparisons.items():
            if not comparison.wrong:
                continue
            ratio = comparison.largest_ratio
            index = comparison.worst
            most = limit(self.operation.name, name, self.p.name, voice)
            judgement.verdicts.append(
                Verdict(
                    voice,
                    "wrong",
                    name,
                    f"{name}[{', '.join(map(str, index or ()))}] is {comparison.got}, expected "
                    f"{comparison.expected}; error ratio {ratio:.4g}, limit {most:g}; "
                    f"{comparison.wrong} of {comparison.error_ratio.size} elements are wrong{self._worst_case(ratio)}",
                    error_ratio=ratio,
                    limit=most,
                    element=index,
                    got=comparison.got,
                    expected=comparison.expected,
                    allowed=comparison.allowed,
                    voices=self._side_by_side(name, index or ()),
                )
            )

    def _warn(self) -> None:
        """A warning where the numbers are right and nothing comes near an overflow accuses the subject.

        Beside a wrong number it is its symptom, and no finding of its own.
        """
        judgement, answer = self.judgement, self.answers.get(SUBJECT)
        if answer is None or not answer.warnings or judgement.against(SUBJECT):
            return
        largest = self.p.largest / headroom(self.p)
        floating = {name: t for name, t in judgement.truth.items() if t.dtype.kind not in "iub"}
        if all(np.isfinite(t).all() and (judgement.scale[name] <= largest).all() for name, t in floating.items()):
            message = " ".join(f"on benign input it warns: {'; '.join(answer.warnings)}".split())[:600]
            judgement.verdicts.append(Verdict(SUBJECT, "warns", None, message))

    def _worst_case(self, ratio: float) -> str:
        """Whether the bound γ_K of rounding in a sum of as many terms as there may be is not exceeded: a hint."""
        arrays = (*self.judgement.inputs.values(), *self.judgement.truth.values())
        terms = max(a.size for a in arrays if a is not None)
        if ratio > terms or self.p.name in HALF:
            return ""
        return f"; at worst, rounding in a sum of {terms:,} terms could do that"

    def _side_by_side(self, name: str, index: tuple[int, ...]) -> dict[str, tuple[str, float | None]]:
        told: dict[str, tuple[str, float | None]] = {}
        for voice, answer in self.answers.items():
            comparison = self.judgement.comparisons.get((voice, name))
            if comparison is not None:
                told[voice] = (str(np.asarray(answer.tensors[name])[index]), comparison.largest_ratio)
        told[EQUATIONS] = (str(self.judgement.truth[name][index]), 0.0)
        return told
