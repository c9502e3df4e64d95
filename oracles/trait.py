"""Traits of a wrong tensor: the subject is asked again with one thing varied, to see with what the fault goes away.

Metamorphic relations (Chen, Cheung and Yiu, 1998): a row of a batch is what it is alone, a value is what it is in any
memory layout, beside any neighbour, at every repetition and with any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.compare import compare
from oracles.configuration import Case
from oracles.guard import guarded
from oracles.inputs import make_inputs
from oracles.judge import judge_arrays
from oracles.judgement import Judgement, Verdict
from oracles.limits import limit
from oracles.operation import Operation
from oracles.panel import Panel
from oracles.precision import precision
from oracles.voice import SUBJECT, Arrays

Array = NDArray[Any]
Index = tuple[int, ...]
#: How often the same call is made again to see whether it is wrong every time.
AGAIN = 4
#: How many arrays of a batch's length are tried in all their combinations as those that carry the batch.
CARRIERS = 5
#: How many infinities and NaNs are looked at, one by one.
NONFINITE = 24


def traits(
    operation: Operation,
    judgement: Judgement,
    verdict: Verdict,
    panel: Panel,
    deadly: Callable[[Case], bool] = lambda case: False,
) -> list[str]:
    """One line for each thing without which the subject's wrong tensor is right; for other verdicts nothing.

    What is `deadly` to a process is not asked again.
    """
    if (verdict.guilty, verdict.verdict) != (SUBJECT, "wrong") or verdict.tensor is None or verdict.element is None:
        return []
    inputs = {name: a for name, a in judgement.inputs.items() if name not in operation.cotangents}
    cotangents = {name: a for name, a in judgement.inputs.items() if name in operation.cotangents and a is not None}
    fault = _Fault(operation, judgement, verdict.tensor, verdict.element, inputs, cotangents, panel, deadly)
    if any(fault.is_right() for _ in range(AGAIN)):
        return ["not every time"]  # and then another probe proves nothing
    # a row alone may be contiguous where the batch is not: that is the layout's doing
    found = (_layout(fault) or _batch(fault), _leak(fault), _cotangent(fault), _threads(fault))
    return [trait for trait in found if trait]


@dataclass(frozen=True)
class _Fault:
    """A wrong element of a judged case, and how to judge variations of the case."""

    operation: Operation
    judgement: Judgement
    tensor: str
    element: Index
    inputs: Arrays
    cotangents: Mapping[str, Array]
    panel: Panel
    deadly: Callable[[Case], bool]

    @property
    def case(self) -> Case:
        return self.judgement.case

    @property
    def truth(self) -> Array:
        return self.judgement.truth[self.tensor]

    def judged(
        self,
        inputs: Arrays | None = None,
        cotangents: Mapping[str, Array] | None = None,
        case: Case | None = None,
        *,
        asked: bool = True,
    ) -> Judgement | None:
        """The judgement of the subject on other arrays (unless it is not `asked`: the truth alone), or None."""
        case = case or self.case
        if self.deadly(case):
            return None
        panel = replace(self.panel, subject=self.panel.subject if asked else None, references=())
        try:
            return judge_arrays(
                self.operation,
                case,
                panel,
                self.inputs if inputs is None else inputs,
                self.cotangents if cotangents is None else cotangents,
            )
        except Exception:  # the equations cannot compute this variation
            return None

    def is_right(self, *varied: Any, **more: Any) -> bool:
        """Whether the tensor is right in this variation."""
        judgement = self.judged(*varied, **more)
        return judgement is not None and self.right(judgement)

    def right(self, judgement: Judgement) -> bool:
        """Whether a judgement has compared the tensor, and found it right."""
        compared = (SUBJECT, self.tensor) in judgement.comparisons
        return compared and (SUBJECT, self.tensor, "wrong") not in {v.key for v in judgement.verdicts}

    def same_truth(self, judgement: Judgement, place: Any) -> bool:
        """Whether the truth of a variation is what it was at this place."""
        got, due = judgement.truth[self.tensor], self.truth[place]
        scale = np.broadcast_to(self.judgement.scale[self.tensor], self.truth.shape)[place]
        if got.shape == self.truth.shape:
            got = got[place]
        if np.shape(got) != np.shape(due):
            return False
        dtype = self.case.configuration.dtype
        most = limit(self.operation.name, self.tensor, dtype)
        p = precision(dtype)
        return not compare(np.asarray(got), np.asarray(due), scale, p, most, exact=False, flushes=False).wrong


def _layout(fault: _Fault) -> str | None:
    """The memory layouts without which, the values being the same, the tensor is right."""
    layouts = fault.case.configuration.layouts

    def right_with(kept: set[str]) -> bool:
        configuration = replace(fault.case.configuration, layouts={n: v for n, v in layouts.items() if n in kept})
        arrays = {
            name: a if a is None or name in kept else np.array(a, order="C")
            for name, a in {**fault.inputs, **fault.cotangents}.items()
        }
        cotangents = {name: a for name in fault.cotangents if (a := arrays.pop(name)) is not None}
        return fault.is_right(arrays, cotangents, replace(fault.case, configuration=configuration))

    if not layouts or not right_with(set()):
        return None
    alone = [name for name in layouts if not right_with({name})]
    return f"wrong only for {' and '.join(f'layout.{name}={layouts[name]}' for name in alone or layouts)}"


def _batch(fault: _Fault) -> str | None:
    """Whether the row of the wrong element is right alone, where the truth of a row does not depend on the others."""
    count = fault.truth.shape[0] if fault.truth.ndim else 0
    if count < 2:
        return None
    row = slice(fault.element[0], fault.element[0] + 1)
    long = [name for name, a in fault.inputs.items() if a is not None and a.ndim and a.shape[0] == count]
    gys = {name: g[row] if g.ndim and g.shape[0] == count else g for name, g in fault.cotangents.items()}
    # which of the arrays of this length carry the batch is told by the truth
    for carriers in chain.from_iterable(combinations(long[:CARRIERS], n + 1) for n in range(len(long))):
        inputs = {name: a[row] if name in carriers and a is not None else a for name, a in fault.inputs.items()}
        shapes = {name: a.shape for name, a in inputs.items() if a is not None}
        case = replace(fault.case, configuration=replace(fault.case.configuration, shapes=shapes))
        judgement = fault.judged(inputs, gys, case)
        if judgement is not None and fault.same_truth(judgement, row):
            return "right when its row is alone" if fault.right(judgement) else None
    return None


def _leak(fault: _Fault) -> str | None:
    """Whether a finite element is lost to an infinity or a NaN on which it does not depend."""
    got = fault.judgement.answers[SUBJECT][fault.tensor][fault.element]
    if not np.isfinite(fault.truth[fault.element]) or np.isfinite(got):
        return None
    benign = make_inputs(fault.operation, replace(fault.case, fill="normal"))
    inputs = dict(fault.inputs)
    leaking: list[tuple[str, Index]] = []
    for name, index in islice(_nonfinite(fault), NONFINITE):
        plain = benign[name]
        assert plain is not None
        without = {**inputs, name: _replaced(inputs[name], index, plain[index])}
        judgement = fault.judged(without, asked=False)
        if judgement is not None and fault.same_truth(judgement, fault.element):
            inputs = without
            leaking.append((name, index))
    if not leaking or not fault.is_right(inputs):
        return None
    given = {name: np.asarray(a) for name, a in fault.inputs.items()}
    nan = any(np.isnan(given[name][index]) for name, index in leaking)
    what = "NaN" if nan else "infinity"
    if all(_in_another_row(fault, given[name].shape, index) for name, index in leaking):
        return f"another row's {what} leaks into it"
    name, index = leaking[0]
    return f"{what} in {name}[{', '.join(map(str, index))}], on which it does not depend, leaks into it"


def _nonfinite(fault: _Fault) -> Iterator[tuple[str, Index]]:
    for name, a in fault.inputs.items():
        if a is not None and a.dtype.kind not in "iub":
            for index in np.argwhere(~np.isfinite(a)):
                yield name, tuple(map(int, index))


def _in_another_row(fault: _Fault, shape: Index, index: Index) -> bool:
    return bool(shape and fault.element) and shape[0] == fault.truth.shape[0] and index[0] != fault.element[0]


def _replaced(x: Array | None, place: Any, values: Any) -> Array:
    """A copy of `x` in the same memory layout with other values at this place."""
    assert x is not None
    array = guarded(x).array
    array.flags.writeable = True
    array[place] = values
    array.flags.writeable = x.flags.writeable
    return array


def _cotangent(fault: _Fault) -> str | None:
    """Whether a gradient is right where the cotangent is all ones, as y.sum() has it."""
    is_output = fault.tensor in (*fault.operation.outputs, *fault.operation.extras)
    if is_output or all((g == 1).all() for g in fault.cotangents.values()):
        return None
    ones = {name: _replaced(g, ..., 1) for name, g in fault.cotangents.items()}
    return "right for a cotangent of ones" if fault.is_right(cotangents=ones) else None


def _threads(fault: _Fault) -> str | None:
    """Whether it is right where BLAS and OpenMP have one thread each."""
    import threadpoolctl

    if all(pool["num_threads"] == 1 for pool in threadpoolctl.threadpool_info()):
        return None
    with threadpoolctl.threadpool_limits(1):
        return "right with one thread" if fault.is_right() else None
