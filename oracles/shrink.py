"""Shrinking: from a configuration that fails to a simplest one that fails in the same way."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from oracles.choices import drawing_from
from oracles.configuration import FAST, Configuration
from oracles.draw import SOURCE


class _StillFails(Exception):
    pass


def size(configuration: Configuration) -> tuple[int, int, int, str]:
    """What is made small: how many things are said, then what axes have beyond one element, then the text.

    An empty axis counts like one of two elements: one is the plainest.
    """
    shapes, hyper = configuration.shapes.values(), configuration.hyper
    said = len(shapes) + len(hyper) + len(configuration.layouts) + (configuration.xla != FAST)
    excess = sum(length - 1 if length else 1 for shape in shapes for length in shape)
    text = str(configuration)
    return said, excess, len(text), text


def shrink(
    strategy: st.SearchStrategy[Configuration],
    number: int,
    start: Configuration,
    fails: Callable[[Configuration], bool],
    seconds: float,
    *,
    beyond: bool,
) -> Configuration:
    """The simplest failing configuration that is found from `start` within a time budget.

    `start` is what `strategy` draws from the stream `number` (see `draw.example`): Hypothesis is made to draw it again,
    and takes its shrinking from there. What it ends with is then simplified by hand,
    with `beyond` also to what the strategy would not draw: then `fails` must be false for what is not valid.
    """
    deadline = time.monotonic() + seconds
    best = _shrunk(strategy, number, start, fails, deadline)
    tried: set[Configuration] = set()
    smaller = beyond
    while smaller:
        smaller = False
        below = {c for c in simplifications(best, start) if size(c) < size(best)}
        for candidate in sorted(below - tried, key=size):
            if time.monotonic() > deadline:
                return best
            tried.add(candidate)
            if fails(candidate):
                best, smaller = candidate, True
                break
    return best


def _shrunk(
    strategy: st.SearchStrategy[Configuration],
    number: int,
    start: Configuration,
    fails: Callable[[Configuration], bool],
    deadline: float,
) -> Configuration:
    best = start
    reached = False

    @seed(number)
    @settings(SOURCE, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False)
    @given(strategy)
    def search(configuration: Configuration) -> None:
        nonlocal best, reached
        reached = reached or configuration == start
        # before `start` comes up, nothing is judged; after the deadline nothing is
        if not reached or time.monotonic() > deadline:
            return
        if configuration == start or fails(configuration):
            best = min(best, configuration, key=size)
            raise _StillFails

    # past the deadline what failed no longer does, which Hypothesis calls flaky: `best` stands all the same
    with drawing_from(number), contextlib.suppress(Exception):
        search()
    return best


def simplifications(configuration: Configuration, start: Configuration) -> Iterator[Configuration]:
    """Configurations one step from this one: something left out, made smaller, or said in another way.

    Not all of them are valid. A hyper-parameter may also give way to one that `start` had.
    """
    yield replace(configuration, xla=FAST)
    for part in ("shapes", "hyper", "layouts"):
        said: Mapping[str, Any] = getattr(configuration, part)
        for name in said:
            less: Any = {part: {k: v for k, v in said.items() if k != name}}
            yield replace(configuration, **less)
    hyper = configuration.hyper
    for name, value in hyper.items():
        for lower in _lowered(value):
            yield replace(configuration, hyper={**hyper, name: lower})
        for other in start.hyper.keys() - hyper.keys():
            yield replace(configuration, hyper={k: v for k, v in hyper.items() if k != name} | {other: 1})
    yield from _shorter(configuration)
    yield from _axes_left_out(configuration)


def _lowered(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for place, part in enumerate(value):
            yield from ((*value[:place], lower, *value[place + 1 :]) for lower in _lowered(part))
        if len(set(value)) == 1:
            yield value[0]
    elif type(value) is int and value:
        yield value - 1 if value > 0 else value + 1


def _axes_left_out(configuration: Configuration) -> Iterator[Configuration]:
    """An axis of one element left out together with its length in a hyper-parameter, counted from the last axis."""
    for name, value in configuration.hyper.items():
        if not isinstance(value, tuple) or len(value) < 2:
            continue
        for place, part in enumerate(value):
            axis = len(value) - place
            shapes = configuration.shapes.items()
            if part == 1 and all(shape[-axis] == 1 for _, shape in shapes if len(shape) >= axis):
                yield replace(
                    configuration,
                    shapes={k: tuple(n for i, n in enumerate(shape) if i != len(shape) - axis) for k, shape in shapes},
                    hyper={**configuration.hyper, name: (*value[:place], *value[place + 1 :])},
                )


def _shorter(configuration: Configuration) -> Iterator[Configuration]:
    """Axes made shorter, one, two of one length or all of that length at a time; an axis of one element left out."""
    shapes = configuration.shapes
    places = [(name, axis) for name, shape in shapes.items() for axis in range(len(shape))]
    for length in {length for shape in shapes.values() for length in shape} - {1}:
        equal = [(name, axis) for name, axis in places if shapes[name][axis] == length]
        for group in (*combinations(equal, 1), *combinations(equal, 2), tuple(equal)):
            # less by powers of two: an axis of thousands is not made shorter one by one
            for shorter in {1, *(max(length - 2**k, 1) for k in range(length.bit_length()))}:
                yield replace(
                    configuration,
                    shapes={
                        name: tuple(shorter if (name, axis) in group else n for axis, n in enumerate(shape))
                        for name, shape in shapes.items()
                    },
                )
    for axis in range(max(map(len, shapes.values()), default=0)):
        if all(shape[axis : axis + 1] in ((1,), ()) for shape in shapes.values()):
            yield replace(configuration, shapes={k: shape[:axis] + shape[axis + 1 :] for k, shape in shapes.items()})
