"""Sums: what rounding may come to in one of K terms, and how the equations add up.

They add up as NumPy does, in pairs of blocks, or naively, one term after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: A sum of so many terms rounds like a short one.
SHORT = 16
#: float32 has so many times the digits of float16, in which sums are not added up.
SPARE = 2048


@dataclass(frozen=True)
class Rounding:
    """How sums are rounded.

    `once`: at their end, as in half precision, which is computed in float32. `alike`: the terms are few numbers again
    and again; then what one addition loses the next loses as well, and errors do not wander but drift.
    """

    once: bool = False
    alike: bool = False


_rounding: ContextVar[Rounding] = ContextVar("rounding", default=Rounding())  # noqa: B039 (it is frozen)
_one_by_one: ContextVar[bool] = ContextVar("one_by_one", default=False)


@contextmanager
def rounding(how: Rounding) -> Iterator[None]:
    """Here `growth` is that of sums which are rounded like this."""
    token = _rounding.set(how)
    try:
        yield
    finally:
        _rounding.reset(token)


def growth(terms: Any) -> Any:
    """How much more rounding may come to in a sum of K terms of one sign than in a short one: g(K) = max(1, √K / 4).

    Rounding errors wander: K additions come to about √K·u·Σ|t| (Higham & Mary, SIAM J. Sci. Comput. 41, 2019), and one
    after the other beside one large term they do; not to the worst case γ_K·Σ|t|, under which dropped terms hide. Only
    where the terms are alike they drift: g(K) = max(1, K / 16).

    >>> growth(np.array([1, 16, 1024, 16384])).tolist()
    [1.0, 1.0, 8.0, 32.0]
    >>> with rounding(Rounding(alike=True)):
    ...     growth(np.array([1, 16, 1024])).tolist()
    [1.0, 1.0, 64.0]
    """
    return np.maximum(1, _wandering(terms))


def lost(terms: Any, magnitude: Any, value: Any, squares: Any) -> Any:
    """What is lost in sums of K terms t, in units of u: max(Σ|t|, √K/4·(|Σt| + √Σt²)), and nothing of one term alone.

    Each addition rounds what has been added up so far: that is about as large as the sum, or as what wanders about 0.
    So of terms that cancel no more is lost than of few, however many there are.

    >>> lost(np.array([1, 4096, 4096]), np.array([1, 4096, 4096]), np.array([1, 0, 4096]), np.array([1, 4096, 4096]))
    array([    0.,  4096., 66560.])
    """
    partial = np.abs(value) + np.sqrt(squares)
    return np.where(np.asarray(terms) > 1, np.maximum(magnitude, _wandering(terms) * partial), 0)


def _wandering(terms: Any) -> Any:
    how = _rounding.get()
    grown = (np.asarray(terms) / SHORT) ** (1.0 if how.alike else 0.5)
    return grown / SPARE if how.once else grown


@contextmanager
def one_by_one() -> Iterator[None]:
    """Here `total` adds one term after the other, from first to last: the least that an implementation may do."""
    token = _one_by_one.set(True)
    try:
        yield
    finally:
        _one_by_one.reset(token)


def total(values: Array, axis: int | tuple[int, ...], keepdims: bool = False) -> Array:
    """The sum Σ over one axis or several, in the dtype of the values.

    >>> terms = np.array([2**24, 1, 1, 1, 1], np.float32)
    >>> with one_by_one():
    ...     print(total(terms, 0) - total(terms[:1], 0))
    0.0
    """
    if not _one_by_one.get():
        return np.asarray(values.sum(axis=axis, keepdims=keepdims))
    axes = tuple(a % values.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    if not axes:
        return values
    last = np.moveaxis(values, axes, range(-len(axes), 0))
    rows = last.reshape(*last.shape[: -len(axes)], -1)
    if rows.shape[-1] == 0:
        return np.asarray(values.sum(axis=axes, keepdims=keepdims))
    added = np.add.accumulate(rows, axis=-1, dtype=None if values.dtype.kind != "b" else int)[..., -1]
    return np.expand_dims(added, axes) if keepdims else np.asarray(added)
