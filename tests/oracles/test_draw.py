"""What is drawn is a function of the number of the stream alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from oracles.draw import example, sample

PARTS = st.tuples(st.integers(0, 99), st.booleans(), st.sampled_from("abc"), st.lists(st.integers(0, 9), max_size=4))
#: The first values of stream 1.
SAMPLE = [(69, False, "b", [2]), (31, True, "b", [3, 8, 0, 4]), (67, False, "c", [])]


def test_the_same_values_in_every_process_on_every_python_with_every_hypothesis() -> None:
    assert sample(PARTS, 1, 3) == SAMPLE


def test_the_values_do_not_depend_on_the_modules_that_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hypothesis's own backend reads the constants of local modules, and draws them
    def drawn() -> list[int]:
        return [example(st.integers(0, 2**40), number) for number in range(100)]

    before = drawn()
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "full_of_constants.py").write_text("CONSTANTS = " + repr(list(range(10**9, 10**9 + 500))))
    __import__("full_of_constants")
    assert drawn() == before
    del sys.modules["full_of_constants"]


@pytest.mark.parametrize(
    ("strategy", "within"),
    [
        (st.integers(-3, 3), lambda n: -3 <= n <= 3),
        (st.integers(min_value=5), lambda n: n >= 5),
        (st.integers(max_value=-5), lambda n: n <= -5),
        (st.integers(), lambda n: isinstance(n, int)),
        (st.floats(0.25, 0.75), lambda x: 0.25 <= x <= 0.75),
        (st.floats(min_value=2e3), lambda x: x >= 2e3),
        (st.floats(max_value=-2e3), lambda x: x <= -2e3),
        (st.floats(), lambda x: isinstance(x, float)),
        (st.text("ab", min_size=1, max_size=3), lambda s: 1 <= len(s) <= 3 and set(s) <= set("ab")),
        (st.binary(max_size=3), lambda b: len(b) <= 3),
    ],
    ids=lambda value: str(value) if isinstance(value, st.SearchStrategy) else "",  # a function's text has an address
)
def test_values_are_those_of_the_strategy_and_differ(strategy: st.SearchStrategy[object], within: object) -> None:
    drawn = sample(strategy, 2, 40)
    assert callable(within)
    assert all(within(value) for value in drawn)
    assert len({repr(value) for value in drawn}) > 3
