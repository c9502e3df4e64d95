"""Sums: what rounding may come to in one of K terms, and how the equations add up.

They add up as NumPy does, in pairs of blocks, or naively, one term after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: A sum of so many terms rounds like a short one.
SHORT = 16

_one_by_one: ContextVar[bool] = ContextVar("one_by_one", default=False)
_once: ContextVar[bool] = ContextVar("once", default=False)


@contextmanager
def rounding(*, once: bool) -> Iterator[None]:
    """Whether sums are rounded `once`, at their end, as in half precision, which is computed in float32."""
    token = _once.set(once)
    try:
        yield
    finally:
        _once.reset(token)


def growth(terms: Any) -> Any:
    """How much more rounding may come to in a sum of K terms than in a short one: g(K) = max(1, √(K / 16)).

    Rounding errors wander: K additions come to √K·u·Σ|t| at most (Higham & Mary, SIAM J. Sci. Comput. 41, 2019), and
    one after the other beside one large term they do; not to the worst case γ_K·Σ|t|, under which dropped terms hide.

    >>> growth(np.array([1, 16, 1024, 16384])).tolist()
    [1.0, 1.0, 8.0, 32.0]
    """
    return np.ones(np.shape(terms)) if _once.get() else np.maximum(1, np.sqrt(np.asarray(terms) / SHORT))


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
