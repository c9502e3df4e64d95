"""Large configurations: an axis made so long that vectors, tiles, threads and accumulation have work to do."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import combinations
from math import inf, prod

from oracles.configuration import Case, Configuration
from oracles.inputs import make_inputs, raised
from oracles.operation import Operation
from oracles.precision import precision
from oracles.truth import quiet

#: How many elements the largest array of a large configuration has, about: more than one vector or tile, more than what
#: PyTorch gives one thread (32,768), and more ones than float16 can count (65,504).
ELEMENTS = (1_000, 10_000, 40_000, 70_000)
#: What is computed with them takes no more memory than so many bytes per element of the largest array, …
BYTES = 1024
#: … nor more calls than the small configuration does, but for so many.
CALLS = 100

#: So many groups of axes are tried.
TRIES = 12

#: An array's name and the number of one of its axes.
Place = tuple[str, int]


def groups(configuration: Configuration) -> list[tuple[Place, ...]]:
    """Axes that may have to be of one length: each alone, and two or all of those that are equally long."""
    places = [(name, axis) for name, shape in configuration.shapes.items() for axis in range(len(shape))]
    found: list[tuple[Place, ...]] = []
    for length in sorted({configuration.shapes[name][axis] for name, axis in places} - {0}):
        equal = [(name, axis) for name, axis in places if configuration.shapes[name][axis] == length]
        found += [*combinations(equal, 1), *combinations(equal, 2), *([tuple(equal)] if len(equal) > 2 else [])]
    return found


def lengthened(configuration: Configuration, group: tuple[Place, ...], elements: int) -> Configuration:
    """The configuration with these axes as long as makes an array of about so many elements.

    >>> str(lengthened(Configuration("linear", {"x": (2, 3), "w": (5, 3)}), (("x", 1), ("w", 1)), 1000))
    'linear x=(2,200) w=(5,200) dtype=float32'
    """
    lengths = []
    for name, shape in configuration.shapes.items():
        grown = [axis for axis in range(len(shape)) if (name, axis) in group]
        if grown:
            rest = prod(n for axis, n in enumerate(shape) if axis not in grown)
            lengths.append(round((elements / max(rest, 1)) ** (1 / len(grown))))
    shapes = {
        name: tuple(min(lengths) if (name, axis) in group else n for axis, n in enumerate(shape))
        for name, shape in configuration.shapes.items()
    }
    return replace(configuration, shapes=shapes)


class _TooMuch(Exception):
    pass


def work(operation: Operation, configuration: Configuration, most_calls: float = inf) -> tuple[int, int]:
    """How many functions Mint and the equations call, and how many bytes they hold at once.

    What computes with whole arrays makes as many calls whatever their size: more, and it is a loop over an axis.
    Raises what Mint raises for shapes that do not fit, and `_TooMuch` beyond `most_calls`.
    """
    with ThreadPoolExecutor(1) as thread:  # this thread may have a profiler already
        return thread.submit(_work, operation, configuration, most_calls).result()


def _work(operation: Operation, configuration: Configuration, most_calls: float) -> tuple[int, int]:
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "c_call"
        if calls > most_calls:
            raise _TooMuch

    with _without_collection(), _traced_memory(), quiet():
        sys.setprofile(count)
        try:
            inputs = make_inputs(operation, Case(configuration, "normal", 0)).values()
            p = precision(configuration.dtype)
            higher = [None if a is None else raised(a, p) for a in inputs]
            for function, arrays in ((operation.function, inputs), (operation.equations, higher)):
                y, vjp = function(*arrays, **configuration.hyper)
                outputs = operation.named(y)
                vjp(*(outputs[name] for name in operation.outputs if name in outputs))
        finally:
            sys.setprofile(None)
        return calls, tracemalloc.get_traced_memory()[1]


@contextmanager
def _without_collection() -> Iterator[None]:
    # what others have the garbage collector call would be counted, and `_TooMuch` raised there is lost
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _traced_memory() -> Iterator[None]:
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    tracemalloc.reset_peak()
    try:
        yield
    finally:
        if not already:
            tracemalloc.stop()


def enlarged(operation: Operation, configuration: Configuration, choice: int, elements: int) -> Configuration:
    """The configuration with one axis made long, `choice` saying which; itself where none can be.

    Which axes must grow together nobody declares: those of equal length are tried, and what Mint refuses is not taken,
    nor what it loops over: a recurrent network of ten thousand steps would take the time of hundreds of other cases.
    """
    short = {(name, axis) for name, axes in operation.short.items() for axis in axes}
    candidates = [group for group in groups(configuration) if not short & set(group)]
    if not candidates or 0 in next(iter(configuration.shapes.values())):
        return configuration
    sizes = (*(size for size in ELEMENTS if size < elements), elements)
    usual, _ = work(operation, configuration)
    for turn in range(min(TRIES, len(candidates))):
        group = candidates[(choice + turn) % len(candidates)]
        # step by step: what is far too much is a little too much in a first step
        steps = [(size, lengthened(configuration, group, size)) for size in sizes]
        with suppress(Exception):  # whatever a layer, or a maker of integers, raises for shapes that do not fit
            if all(work(operation, step, 2 * usual + CALLS)[1] <= BYTES * size for size, step in steps):
                return steps[-1][1]
    return configuration
