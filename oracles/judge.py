"""The judge: one case, every voice, and who is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.compare import Comparison, compare, is_vacuous
from oracles.configuration import DEFAULT, FAST, Case
from oracles.inputs import make_cotangents, make_inputs
from oracles.judgement import EQUATIONS, UNDETERMINED, Judgement, Verdict
from oracles.limits import limit
from oracles.numpy_voice import NumpyVoice
from oracles.operation import Operation
from oracles.panel import Panel
from oracles.precision import Precision, precision
from oracles.voice import SUBJECT, Answer, Arrays, Voice

Array = NDArray[Any]

#: Refusals: what a NumPy function raises for an argument that it does not take.
REFUSALS = (ValueError, TypeError, NotImplementedError)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings: what overflows on purpose is not news."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]


def _raised(error: BaseException) -> str:
    return f"raised {type(error).__name__}: {_text(error)}"


#: From an operation, a case and its outputs, the cotangent of each.
Cotangents = Callable[[Operation, Case, Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True)
class Truth:
    """What a case gives in higher precision, by the equations: the same whoever is judged."""

    inputs: Mapping[str, Array | None]
    cotangents: Mapping[str, Array]
    tensors: Mapping[str, Array]
    scale: Mapping[str, Array]
    make_cotangents: Cotangents


def find_truth(operation: Operation, case: Case, cotangents: Cotangents = make_cotangents) -> Truth:
    """Outputs and gradients of a valid case with their rounding scales; by default for the case's own cotangents."""
    with quiet():
        p = precision(case.configuration.dtype)
        inputs = make_inputs(operation, case)
        hyper = dict(case.configuration.hyper)
        higher = {name: None if a is None else _raise_precision(a, p) for name, a in inputs.items()}
        y, vjp = operation.equations(*higher.values(), **hyper)
        outputs = operation.named(y)
        given = cotangents(operation, case, outputs)
        gys = [_raise_precision(g, p) for g in given.values()]
        gradients = {
            f"g{name}": g for name, g in zip(higher, vjp(*gys), strict=True) if name in operation.differentiable
        }
        tensors = {k: v for k, v in {**outputs, **gradients}.items() if v is not None}
        scales = operation.scales(higher, gys, hyper, vjp)
        # what has no scale is not rounded
        scale = {k: np.zeros(v.shape) if (found := scales.get(k)) is None else found for k, v in tensors.items()}
        return Truth(inputs, given, tensors, scale, cotangents)


def judge(operation: Operation, case: Case, panel: Panel, truth: Truth | None = None) -> Judgement:
    """Run every voice of the panel on the same bits and say who is wrong.

    A valid case's `truth` may be given, where several subjects are judged by the same one.
    """
    with quiet():
        if case.configuration.invalid:
            return _judge_refusal(operation, case, panel, make_inputs(operation, case))
        return _Trial(operation, case, panel, truth or find_truth(operation, case)).judgement


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
        self.cotangents, self.make_cotangents = truth.cotangents, truth.make_cotangents
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
        self.doubtful = self._compare_all()
        self._second_opinion()
        if self.doubtful:
            self._arbitrate()
        self._accuse()
        self.judgement.answers = {name: answer.tensors for name, answer in self.answers.items()}
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
        inputs, cotangents = self._arrays(), dict(self.cotangents)
        if voice.name == SUBJECT:
            # arrays of its own: what it does to them must not reach the others
            inputs, cotangents = make_inputs(operation, case), self.make_cotangents(operation, case, judgement.truth)
        try:
            self.answers[voice.name] = voice.answer(operation, case, inputs, cotangents)
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
            arrays = {
                name: None if a is None else _raise_precision(a, self.p) for name, a in self.judgement.inputs.items()
            }
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
                    f"{comparison.wrong} of {comparison.error_ratio.size} elements are wrong",
                    error_ratio=ratio,
                    limit=most,
                    element=index,
                    got=comparison.got,
                    expected=comparison.expected,
                    allowed=comparison.allowed,
                    voices=self._side_by_side(name, index or ()),
                )
            )

    def _side_by_side(self, name: str, index: tuple[int, ...]) -> dict[str, tuple[str, float | None]]:
        told: dict[str, tuple[str, float | None]] = {}
        for voice, answer in self.answers.items():
            comparison = self.judgement.comparisons.get((voice, name))
            if comparison is not None:
                told[voice] = (str(np.asarray(answer.tensors[name])[index]), comparison.largest_ratio)
        told[EQUATIONS] = (str(self.judgement.truth[name][index]), 0.0)
        return told


def _raise_precision(array: Array, p: Precision) -> Array:
    """A contiguous copy in the precision of the truth; integers stay as they are."""
    return np.array(array, order="C") if array.dtype.kind in "biu" else np.array(array, p.truth, order="C")
