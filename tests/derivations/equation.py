"""Writing an equation down in plain Python, and registering the test that bears its number.

A sum is written with the indices of the equation, one element at a time. Where an equation only adds and multiplies,
the arrays hold small integers: every order of summation is exact, and equality is to the last bit. Elsewhere the
error ratio |error|/(u·G) stays within `ROUNDINGS`, u the unit roundoff of float64 and G the sum of the magnitudes of
the terms.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: A test of an equation takes one case; `Cases` makes all of them from random numbers.
Check = Callable[[Any], None]
Cases = Callable[[np.random.Generator], Iterator[Any]]

UNIT_ROUNDOFF = 2.0**-53
#: Roundings of first order that a formula and Mint may differ by, where neither is exact.
ROUNDINGS = 8.0
#: Keeps a scale of zero, where both sides must be zero, from dividing.
TINY = 2.0**-1000
CHECKS: dict[str, tuple[Check, Cases]] = {}


def once(rng: np.random.Generator) -> Iterator[np.random.Generator]:
    """The random numbers themselves: for a test that makes its only case from them."""
    yield rng


def equation(number: str, cases: Cases = once) -> Callable[[Check], Check]:
    """Register the test of one numbered equation; it is called for each of `cases`."""

    def register(check: Check) -> Check:
        assert number not in CHECKS, f"({number}) has two tests"
        CHECKS[number] = check, cases
        return check

    return register


def integers(rng: np.random.Generator, *shape: int) -> Array:
    """Small integers as float64, so that sums of products are exact in any order."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def tabulate(shape: Sequence[int], element: Callable[..., Any]) -> Array:
    """The array whose elements are `element(*index)`."""
    values = [element(*index) for index in itertools.product(*map(range, shape))]
    return np.array(values, np.float64).reshape(shape)


def over(*sizes: int) -> Iterator[tuple[int, ...]]:
    """The indices of a sum, each from 0 to below its size."""
    return itertools.product(*map(range, sizes))


def at(a: Array, *index: int) -> Any:
    """An element, or 0 if the index is not within the array's size."""
    return a[index] if all(0 <= i < n for i, n in zip(index, a.shape, strict=True)) else 0.0


def assert_same(literal: Array, computed: Array) -> None:
    """Equal to the last bit, and not for want of numbers."""
    assert np.any(literal)
    np.testing.assert_array_equal(literal, computed, strict=True)


def assert_near(literal: Array, computed: Array, scale: Array) -> None:
    """Equal to within a few roundings of terms of the magnitude `scale`."""
    assert np.any(literal)
    assert literal.shape == computed.shape
    ratio = np.max(np.abs(literal - computed) / (UNIT_ROUNDOFF * scale))
    assert ratio <= ROUNDINGS, f"error ratio {ratio:.3g}"
