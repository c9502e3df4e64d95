"""Drawing configurations: Hypothesis draws shapes, hyper-parameters and layouts, never values.

Every strategy lists the plain choice first, because Hypothesis shrinks towards it.
"""

from __future__ import annotations

import zlib
from math import prod
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from oracles.choices import BACKEND, drawing_from
from oracles.configuration import DEFAULT, FAST, Case, Configuration
from oracles.fill import FILLS
from oracles.large import ELEMENTS, enlarged
from oracles.layout import CONTIGUOUS, LAYOUTS
from oracles.operation import Draw, Hyper, Operation, Shapes, Spoil

T = TypeVar("T")

#: Settings under which Hypothesis is a source of configurations and not a test runner. Its first example is always the
#: simplest there is; the second is the first one from the stream.
SOURCE = settings(
    backend=BACKEND,
    max_examples=2,
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
    drawn = operation.configuration(shapes, hyper, dtype, layouts, xla=xla)
    # real bugs live where vectors, tiles and threads are filled; one in thirty-two, as each takes several times as long
    if draw(st.integers(0, 31)) == 31:
        return enlarged(operation, drawn, draw(st.integers(0, 63)), draw(st.sampled_from(ELEMENTS)))
    return drawn


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


def sample(strategy: st.SearchStrategy[T], number: int, count: int) -> list[T]:
    """`count` values, each from a stream of its own; the same ones at every call."""
    return [example(strategy, stream(number, place)) for place in range(count)]


def example(strategy: st.SearchStrategy[T], number: int) -> T:
    """The value from the stream with this number; the same one at every call, in every process."""
    drawn: list[T] = []

    @seed(number)
    @settings(SOURCE)
    @given(strategy)
    def collect(value: T) -> None:
        drawn.append(value)

    with drawing_from(number):
        collect()
    return drawn[-1]
