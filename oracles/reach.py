"""Which lines of Mint an operation runs: what a mistake there could change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from oracles.configuration import Case
from oracles.inputs import make_cotangents, make_inputs
from oracles.mutant import PACKAGE, Mutant, load
from oracles.operation import Operation
from oracles.truth import quiet


@dataclass(frozen=True)
class Reach:
    """The lines that were run and the global names that the functions there use, both with their module."""

    lines: frozenset[tuple[str, int]]
    names: frozenset[tuple[str, str]]

    def includes(self, mutant: Mutant) -> bool:
        """Whether what a mutant changes was run."""
        if mutant.is_constant:
            return (mutant.module, mutant.function) in self.names
        first, last = mutant.lines
        return any((mutant.module, line) in self.lines for line in range(first, last + 1))


def reach(operation: Operation, cases: Iterable[Case]) -> Reach:
    """What Mint's function runs in these cases, forwards and backwards, in a Mint that has nothing cached yet."""
    function = load(operation.function)
    folder = str(Path(function.__code__.co_filename).parent)
    lines: set[tuple[str, int]] = set()
    names: set[tuple[str, str]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        del argument
        file = frame.f_code.co_filename
        if not file.startswith(folder):
            return None
        module = f"{PACKAGE}.{Path(file).stem}"
        if event == "call":
            names.update((module, name) for name in frame.f_code.co_names)
        lines.add((module, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for case in cases:
            with quiet(), suppress(Exception):  # an invalid case is refused
                y, vjp = function(*make_inputs(operation, case).values(), **case.configuration.hyper)
                vjp(*make_cotangents(operation, case, operation.named(y)).values())
    finally:
        sys.settrace(before)
    return Reach(frozenset(lines), frozenset(names))
