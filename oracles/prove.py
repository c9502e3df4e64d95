"""The mutation score of the harness: if a line of Mint were wrong, would the differential fuzz notice?

Every mutant is at home in one of the operations that run what it changes, and is judged by the cases that a campaign
would give that operation. If it survives them, other operations that run it have a try.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles import catalogue, worker
from oracles.campaign import Plan
from oracles.configuration import Case
from oracles.fill import FILLS
from oracles.inputs import make_cotangents, make_inputs
from oracles.judge import judge
from oracles.judgement import Judgement
from oracles.mutant import Mutant, all_mutants, load
from oracles.numpy_voice import NumpyVoice
from oracles.operation import Operation
from oracles.panel import Panel
from oracles.precision import available_dtypes, precision
from oracles.proof import Equivalent, Fate, Proof, Trial
from oracles.reach import Reach, reach
from oracles.rule import RULES
from oracles.subject import Subject
from oracles.supervisor import Lost, Supervisor
from oracles.task import drawn
from oracles.truth import Cotangents, Truth, find_truth
from oracles.voice import SUBJECT, Answer, Arrays, Voice

#: JAX compiles every configuration: the equations and PyTorch judge here.
JUDGES = ("torch",)
#: A trial takes a second or two; one that takes this long hangs.
TRIAL_SECONDS = 60.0
REACH_SECONDS = 600.0
#: Bytes that a worker may hold.
MOST_MEMORY = 4 * 2**30
#: Cases in which is recorded what an operation runs.
REACH_CASES = 120
#: With how many other operations a mutant is tried that survives at home.
OTHERS = 24
#: The harness itself with one thing changed.
ONES, ONE_SHAPE = "all-ones cotangent", "one shape"

Array = NDArray[Any]


@dataclass(frozen=True)
class Setting:
    """How mutants are tried."""

    seed: int = 0
    budget: int = 400
    rules: bool = True

    def cases(self, op: str) -> Iterator[Case]:
        """The cases that a campaign with this seed gives an operation, as many as the budget."""
        plan = Plan((op,), available_dtypes(), JUDGES, Subject(), self.seed, None, None, 1, "")
        every = (case for task in plan.tasks() for _, case in drawn(task))
        return itertools.islice(every, self.budget)


class _Remembering:
    """A reference that is asked once whether it accepts a case: no mutant changes that."""

    def __init__(self, voice: Voice) -> None:
        self.voice, self.name, self.version = voice, voice.name, voice.version
        self.flushes_subnormals = voice.flushes_subnormals
        self.refusals: dict[str, Exception | None] = {}

    def supports(self, dtype: str) -> bool:
        return self.voice.supports(dtype)

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        return self.voice.answer(operation, case, arrays, cotangents)

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        key = str(case)
        if key not in self.refusals:
            self.refusals[key] = None
            try:
                self.voice.accepts(operation, case, arrays)
            except Exception as error:
                self.refusals[key] = error
        if (refusal := self.refusals[key]) is not None:
            raise refusal


def _ones(operation: Operation, case: Case, outputs: Any) -> dict[str, Array]:
    dtype = precision(case.configuration.dtype).dtype
    return {f"g{name}": np.ones(np.shape(outputs[name]), dtype) for name in operation.outputs if name in outputs}


class _Evidence:
    """The cases of one operation, with what does not depend on the mutant: it is computed once for all of them."""

    def __init__(self, op: str, setting: Setting) -> None:
        self.operation = catalogue.operation(op)
        self.cases = tuple(setting.cases(op))
        jury = worker.panel(op)
        self.panel = replace(jury, references=[_Remembering(voice) for voice in jury.references])
        self.one_shape = tuple(itertools.islice(self._one_shape(), setting.budget))
        self._truths: dict[tuple[Case, Cotangents], Truth | None] = {}
        self._accepting: dict[Case, frozenset[str]] = {}

    def _one_shape(self) -> Iterator[Case]:
        """The first configuration that is not empty, with every dtype and fill, and ever new seeds."""
        valid = [case.configuration for case in self.cases if not case.configuration.invalid]
        full = (c for c in valid if all(0 not in shape for shape in c.shapes.values()))
        first = next(full, valid[0])
        for seed in itertools.count():
            for dtype, fill in itertools.product(available_dtypes(), FILLS):
                yield Case(replace(first, dtype=dtype), fill, seed)

    def truth(self, case: Case, cotangents: Cotangents = make_cotangents) -> Truth | None:
        key = case, cotangents
        if key not in self._truths:
            self._truths[key] = None
            if not case.configuration.invalid:
                inputs = make_inputs(self.operation, case)
                self._truths[key] = find_truth(self.operation, case, inputs, cotangents)
        return self._truths[key]

    def verdict(self, subject: NumpyVoice, case: Case, cotangents: Cotangents = make_cotangents) -> Judgement:
        """What the panel says; references are asked only of a subject that the equations convict: they can acquit."""
        truth = self.truth(case, cotangents)
        panel = replace(self.panel, subject=subject)
        if truth is not None:
            judgement = judge(self.operation, case, replace(panel, references=()), truth)
            if not judgement.against(SUBJECT):
                return judgement
        return judge(self.operation, case, panel, truth)

    def convicts_the_original(self, case: Case) -> bool:
        """Whether the case speaks against Mint as it is: then it tells nothing of a mutant."""
        return bool(self.verdict(NumpyVoice(self.operation.function), case).against(SUBJECT))

    def caught(self, case: Case, judgement: Judgement) -> set[str]:
        """The rules that do not accept a subject's answer, but accept Mint's own."""
        if case.configuration.invalid:
            return set()
        if case not in self._accepting:
            honest = judge(self.operation, case, Panel(NumpyVoice(self.operation.function)), self.truth(case))
            self._accepting[case] = frozenset(RULES) - self._refusing(case, honest)
        return self._refusing(case, judgement) & self._accepting[case]

    def _refusing(self, case: Case, judgement: Judgement) -> set[str]:
        got = judgement.answers.get(SUBJECT)
        if got is None:
            return set(RULES)  # it raised
        p = precision(case.configuration.dtype)
        with np.errstate(all="ignore"):
            expected = {name: t if t.dtype.kind in "iu" else t.astype(p.dtype) for name, t in judgement.truth.items()}
        return {name for name, rule in RULES.items() if not rule(got, expected, self.operation.outputs)}


@lru_cache(maxsize=1)
def _evidence(op: str, setting: Setting) -> _Evidence:
    return _Evidence(op, setting)


def reached(op: str, setting: Setting) -> Reach:
    """What an operation runs; in a worker process."""
    return reach(catalogue.operation(op), itertools.islice(setting.cases(op), REACH_CASES))


def _limit_memory() -> None:
    """A mistake in a shape may ask for all the memory there is: it gets a MemoryError instead."""
    with suppress(ImportError):  # there is no such thing on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def try_mutant(op: str, mutant: Mutant, setting: Setting) -> Trial:
    """Judge one mutant until it is convicted or the cases are spent; in a worker process."""
    _limit_memory()
    evidence = _evidence(op, setting)
    names = (*RULES, ONES, ONE_SHAPE) if setting.rules else ()
    try:
        subject = NumpyVoice(load(evidence.operation.function, mutant))
    except Exception as error:
        return Trial(op, "import", 1, "", f"{type(error).__name__}: {error}", dict.fromkeys(names, 1))
    trial = Trial(op)
    rules: dict[str, int | None] = dict.fromkeys(names)
    for number, case in enumerate(evidence.cases, 1):
        due = [name for name in RULES if name in rules and rules[name] is None]
        if trial.killed and not due:
            break
        judgement = evidence.verdict(subject, case)
        if not trial.killed and (against := judgement.against(SUBJECT)) and not evidence.convicts_the_original(case):
            trial = replace(
                trial, verdict=against[0].verdict, cases=number, descriptor=str(case), message=against[0].message
            )
        if due:
            rules |= {name: number for name in evidence.caught(case, judgement) if rules[name] is None}
    if setting.rules:
        rules[ONES] = _first(evidence, subject, evidence.cases, _ones)
        rules[ONE_SHAPE] = _first(evidence, subject, evidence.one_shape, make_cotangents)
    return replace(trial, rules=rules)


def _first(evidence: _Evidence, subject: NumpyVoice, cases: Sequence[Case], cotangents: Cotangents) -> int | None:
    numbered = enumerate(cases, 1)
    return next((n for n, case in numbered if evidence.verdict(subject, case, cotangents).against(SUBJECT)), None)


#: Told what is done: the mutants tried so far and due, and what is going on.
Progress = Callable[[int, int, str], None]


def prove(
    ops: tuple[str, ...],
    setting: Setting,
    most: int | None,
    workers: int,
    known: Sequence[Equivalent],
    progress: Progress = lambda done, due, doing: None,
) -> Proof:
    """Try the mutants that the operations run, at most so many of each operation.

    Raises `MutmutMissing` without mutmut.
    """
    mutants = all_mutants()
    with Supervisor[Any](Subject(), JUDGES, workers) as supervisor:
        run = _Run(supervisor, setting, workers, progress)
        reaches = dict(run.all([(op, reached, (op,)) for op in ops], REACH_SECONDS))
        runners = _runners(mutants, {op: reaches[op] for op in ops})
        homes = {
            mutant: random.Random(f"{setting.seed} {mutant.identity}").choice(able)
            for mutant, (able, _) in runners.items()
        }
        chosen: list[Mutant] = []
        for op in ops:
            own = [mutant for mutant, home in homes.items() if home == op]
            if most is not None and len(own) > most:
                own = random.Random(f"{setting.seed} {op}").sample(own, most)
            chosen += own
        trials = dict(run.trials([(mutant, homes[mutant]) for mutant in chosen]))
        fates = {
            mutant: Fate(
                mutant,
                runners[mutant][1],
                trials[mutant],
                reason=next((entry.reason for entry in known if entry.matches(mutant)), ""),
            )
            for mutant in chosen
        }
        again = [
            (mutant, op)
            for mutant, fate in fates.items()
            if not fate.home.killed and not fate.reason
            for op in _others(runners[mutant][0], homes[mutant], setting.seed)
        ]
        run.setting = replace(setting, rules=False)
        # by operation, so that the truth of its cases is computed once
        for mutant, trial in run.trials(sorted(again, key=lambda pair: ops.index(pair[1]))):
            fates[mutant].elsewhere.append(trial)
    return Proof(
        setting.seed,
        setting.budget,
        len(runners),
        Counter(mutant.module for mutant in mutants if mutant not in runners),
        list(fates.values()),
        [entry for entry in known if not any(entry.matches(mutant) for mutant in mutants)],
    )


def _runners(mutants: Sequence[Mutant], reaches: dict[str, Reach]) -> dict[Mutant, tuple[list[str], bool]]:
    """For each mutant the operations that run what it changes; where none was seen to, those that run its function."""
    direct = {mutant: [op for op, found in reaches.items() if found.includes(mutant)] for mutant in mutants}
    functions: dict[tuple[str, str], dict[str, None]] = {}
    for mutant, able in direct.items():
        functions.setdefault((mutant.module, mutant.function), {}).update(dict.fromkeys(able))
    found = {
        mutant: (able or list(functions[mutant.module, mutant.function]), bool(able)) for mutant, able in direct.items()
    }
    return {mutant: (able, run) for mutant, (able, run) in found.items() if able}


def _others(able: list[str], home: str, seed: int) -> list[str]:
    others = [op for op in able if op != home]
    return random.Random(f"{seed} {home}").sample(others, min(OTHERS, len(others)))


class _Run:
    """Jobs on the workers, as they are done."""

    def __init__(self, supervisor: Supervisor[Any], setting: Setting, workers: int, progress: Progress) -> None:
        self.supervisor, self.setting, self.workers, self.progress = supervisor, setting, workers, progress

    def all(self, jobs: list[tuple[Any, Callable[..., Any], tuple[Any, ...]]], seconds: float) -> Iterator[Any]:
        """Every job's result, or `Lost`."""
        waiting, done = jobs[::-1], 0
        while waiting or self.supervisor.jobs:
            while waiting and len(self.supervisor.jobs) < 2 * self.workers:
                job, function, arguments = waiting.pop()
                self.supervisor.submit(job, function, *arguments, self.setting, seconds=seconds)
            for job, result in self.supervisor.finished(1.0):
                done += 1
                yield job, result
            self.progress(done, len(jobs), "trying mutants" if seconds == TRIAL_SECONDS else "seeing what runs")

    def trials(self, pairs: list[tuple[Mutant, str]]) -> Iterator[tuple[Mutant, Trial]]:
        """Every trial; a mutant that hangs or takes its process down is killed, and any rule would have seen it."""
        jobs = [((mutant, op), try_mutant, (op, mutant)) for mutant, op in pairs]
        names = (*RULES, ONES, ONE_SHAPE) if self.setting.rules else ()
        for (mutant, op), result in self.all(jobs, TRIAL_SECONDS):
            if isinstance(result, Lost):
                result = Trial(op, result.kind, None, result.descriptor, result.message, dict.fromkeys(names, 1))
            yield mutant, result
