"""Drawing configurations: Hypothesis draws shapes, hyper-parameters and layouts, never values.

Every strategy lists the plain choice first, because Hypothesis shrinks towards it.
"""

from __future__ import annotations

import zlib
from math import prod
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from oracles.configuration import DEFAULT, FAST, Case, Configuration
from oracles.fill import FILLS
from oracles.layout import CONTIGUOUS, LAYOUTS
from oracles.operation import Draw, Hyper, Operation, Shapes, Spoil

#: Settings under which Hypothesis is a source of configurations and not a test runner.
SOURCE = settings(
    database=None,
    deadline=None,
    derandomize=False,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def batch_size(draw: st.DrawFn) -> int:
    """Mostly one to three samples; now and then none."""
    return draw(axis_length(1, 2, 3))


def axis_length(*usual: int) -> st.SearchStrategy[int]:
    """A length that is usual, or now and then 0: an empty array proves little."""
    return st.sampled_from(usual * 4 + (0,))


def axis_lengths(draw: st.DrawFn, count: int, *usual: int) -> list[int]:
    """The lengths of so many axes, all usual; now and then one of them is 0, however many there are."""
    lengths = [draw(st.sampled_from(usual)) for _ in range(count)]
    if count and draw(st.integers(0, 15)) == 15:
        lengths[draw(st.integers(0, count - 1))] = 0
    return lengths


def elementwise(**hyper: st.SearchStrategy[Any]) -> Draw:
    """One array of any shape, up to four axes, now and then with none of its elements."""

    def drawn(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
        shape = draw(st.lists(axis_length(2, 1, 3, 5, 8, 17), max_size=4).filter(lambda s: prod(s) < 2000))
        return {"x": tuple(shape)}, {name: draw(strategy) for name, strategy in hyper.items()}

    return drawn


def unknown_keyword(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """The one thing that every operation must refuse: a hyper-parameter that it does not have."""
    del draw
    return "unknown-keyword", shapes, {**hyper, "not_a_hyperparameter": 1}


def spoil_number(name: str) -> Spoil:
    """Make the hyper-parameter called `name` a word."""

    def spoil(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
        del draw
        return name, shapes, {**hyper, name: "steep"}

    return spoil


@st.composite
def configurations(draw: st.DrawFn, operation: Operation, dtypes: tuple[str, ...]) -> Configuration:
    """Valid configurations of an operation in one of `dtypes`."""
    shapes, hyper = operation.draw(draw)
    dtype = draw(st.sampled_from(dtypes))
    layouts = {}
    if draw(st.booleans()):
        names = (*shapes, *operation.cotangents)
        layouts = {name: draw(st.sampled_from((CONTIGUOUS, *LAYOUTS))) for name in names}
        layouts = {
            name: layout
            for name, layout in layouts.items()
            if name not in shapes or LAYOUTS[layout][0] <= len(shapes[name])
        }
    # compiling the way users do takes ten times as long, and other bugs live there: one in sixteen
    xla = DEFAULT if draw(st.integers(0, 15)) == 15 else FAST
    return operation.configuration(shapes, hyper, dtype, layouts, xla=xla)


@st.composite
def invalid_configurations(draw: st.DrawFn, operation: Operation, dtypes: tuple[str, ...]) -> Configuration:
    """Configurations with exactly one thing wrong, named in `Configuration.invalid`."""
    shapes, hyper = operation.draw(draw)
    # PyTorch checks little where there is nothing to compute
    assume(all(0 not in shape for shape in shapes.values()))
    spoil = operation.spoil or unknown_keyword
    what, shapes, hyper = spoil(draw, shapes, hyper)
    return operation.configuration(shapes, hyper, draw(st.sampled_from(dtypes)), invalid=what)


@st.composite
def cases(draw: st.DrawFn, operation: Operation, dtypes: tuple[str, ...]) -> Case:
    """Whole cases, for a test under Hypothesis; about one in thirty is invalid on purpose."""
    if draw(st.integers(0, 29)) == 29:
        return Case(draw(invalid_configurations(operation, dtypes)), "normal", 0)
    configuration = draw(configurations(operation, dtypes))
    return Case(configuration, draw(st.sampled_from(sorted(FILLS))), draw(st.integers(0, 2**32 - 1)))


def stream(number: int, place: int) -> int:
    """The number of the stream that the configuration at this place of a sample comes from."""
    return zlib.crc32(f"{number} {place}".encode())


def sample(strategy: st.SearchStrategy[Configuration], number: int, count: int) -> list[Configuration]:
    """`count` configurations, each from a stream of its own; the same ones at every call."""
    return [example(strategy, stream(number, place)) for place in range(count)]


def second(strategy: st.SearchStrategy[Configuration]) -> st.SearchStrategy[Configuration]:
    """The same strategy, the second example of which is an independent one.

    Of the examples of one run, Hypothesis's first is always the simplest one, and those after the second are mostly
    mutations of earlier ones: they differ in little, and a sample of them misses what independent ones show. The second
    is random, but is made to differ from the first in its very first choice: here that is one that means nothing.
    """
    return st.tuples(st.integers(0, 2**32 - 1), strategy).map(lambda drawn: drawn[1])


def example(strategy: st.SearchStrategy[Configuration], number: int) -> Configuration:
    """The configuration of the stream with this number; the same one at every call."""
    drawn: list[Configuration] = []

    @seed(number)
    @settings(SOURCE, max_examples=2)
    @given(second(strategy))
    def collect(configuration: Configuration) -> None:
        drawn.append(configuration)

    collect()
    return drawn[-1]
