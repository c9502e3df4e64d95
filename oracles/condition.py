"""The condition of a finding: which facts about a case decide whether it fails."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.configuration import FAST, Case
from oracles.layout import CONTIGUOUS, IN_ORDER
from oracles.operation import Operation

#: The most that chance may account for a fact in a condition.
CHANCE = 0.01


@dataclass(frozen=True)
class Condition:
    """A conjunction of facts, and the probes that speak for it; the text is empty if no fact decides."""

    text: str
    failing: int
    passing: int


def facts(operation: Operation, case: Case) -> dict[str, bool]:
    """Yes/no facts about a case, in words; simple ones first."""
    configuration = case.configuration
    found: dict[str, bool] = {}
    for name, default in operation.defaults.items():
        found.update(_facts_of(name, configuration.hyper.get(name, default), default))
    for name in operation.arrays:
        shape = configuration.shapes.get(name)
        if operation.defaults_to_none(name):
            found[f"{name} is given"] = shape is not None
        for axis, length in enumerate(shape or ()):
            found[f"{name}.shape[{axis}] > 1"] = length > 1
        found[f"{name}.ndim > 1"] = len(shape or ()) > 1
    found.update(operation.features(configuration))
    for name in (*operation.arrays, *operation.cotangents):
        layout = configuration.layouts.get(name, CONTIGUOUS)
        found[f"{name} is not contiguous"] = layout not in IN_ORDER
        found[f"{name} is {layout}"] = True
    found[f"dtype is {configuration.dtype}"] = True
    found[f"the fill is {case.fill}"] = True
    found["XLA's default pipeline"] = configuration.xla != FAST
    return found


def _facts_of(name: str, value: Any, default: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(default, bool):
        yield name, bool(value)
    elif isinstance(value, str):
        yield f"{name} = {value!r}", True
    elif default is None or default is inspect.Parameter.empty:
        yield f"{name} is given", value is not None
        if value is not None:
            # None in a tuple becomes NaN, which is not above 1
            yield f"{name} > 1", bool(np.any(np.asarray(value, np.float64) > 1))
    elif isinstance(default, float):
        yield f"{name} is not {default:g}", value != default
    elif isinstance(default, int):
        yield f"{name} > {default}", bool(np.any(np.asarray(value) > default))
        yield f"{name} is a tuple", isinstance(value, tuple)


def infer(operation: Operation, failing: Sequence[Case], passing: Sequence[Case]) -> Condition:
    """The shortest conjunction found that holds for every failing case and for no passing one.

    Facts that hold for all failing cases are taken one by one, each time the one that rules out the most
    passing cases, as long as that is no accident: a fact that holds for a share p of the passing cases holds
    for all k failing ones by chance with probability p^k. Where passing cases are left, the text says how often
    it fails all the same.
    """
    tables = [facts(operation, case) for case in (*failing, *passing)]
    names = list(dict.fromkeys(name for table in tables for name in table))
    optional = frozenset(name for name, default in operation.defaults.items() if default is None)
    literals: list[tuple[str, np.ndarray[Any, np.dtype[np.bool_]]]] = []
    for name in names:
        column = np.array([table.get(name, False) for table in tables])
        # a length that is not there is neither above nor at most anything; any other fact is then false
        there = np.array([name in table or " > " not in name for table in tables])
        literals += [(name, column), (_negated(name, optional), ~column & there)]
    common = [(name, column[len(failing) :]) for name, column in literals if column[: len(failing)].all()]
    distinct = len({case.configuration for case in failing})  # cases of one configuration fail together
    remaining = np.ones(len(passing), bool)
    chosen: list[str] = []
    while common and remaining.any():
        left = [int((remaining & column).sum()) + _strangeness(name) * len(passing) / 8 for name, column in common]
        name, column = common[left.index(min(left))]
        share = (remaining & column).sum() / remaining.sum()
        if share**distinct > CHANCE:
            break
        chosen.append(name)
        remaining &= column
    text = " and ".join(chosen)
    if chosen and remaining.any():
        text += f" (in {len(failing)} of {len(failing) + int(remaining.sum())} such cases)"
    elif not passing:
        text = "always"
    return Condition(text, len(failing), len(passing))


def _strangeness(name: str) -> int:
    """How much less a fact is likely to be the cause: hyper-parameters first, then sizes, then what it is not."""
    if name.endswith(" <= 1"):
        return 1
    if ".shape[" in name or ".ndim" in name:
        return 2 if name.endswith("= 1") else 1
    if " is not " in name or " != " in name or name.startswith("not "):
        return 3
    return 0


def _negated(name: str, optional: frozenset[str]) -> str:
    if " > " in name:
        left, right = name.rsplit(" > ", 1)
        # what has no default may be an index, which is 0 or below it as well
        return f"{left} = {right}" if right in ("0", "1") and left not in optional else f"{left} <= {right}"
    if " is not " in name:
        return name.replace(" is not ", " is ")
    if " is " in name:
        return name.replace(" is ", " is not ", 1)
    if " = " in name:
        return name.replace(" = ", " != ")
    return f"not {name}"
