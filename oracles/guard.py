"""Guard bands: arrays inside larger buffers, so that what is written beyond or between their elements shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.layout import junk
from oracles.precision import bits

Array = NDArray[Any]
#: Elements before and after: whole cache lines, so that the array stays as aligned as it was.
BAND = 64


@dataclass(frozen=True)
class Guarded:
    """An array that lies in a buffer of its own, between two bands of `junk`."""

    array: Array
    memory: Array  # the whole buffer
    start: int  # where in it the first element is, in elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    before: bytes

    @property
    def changed(self) -> bool:
        """Whether an element of the array has other bits than at first."""
        if self.memory.tobytes() == self.before:
            return False
        return bits(self._seen(self.before)) != bits(self._seen(self.memory.view(np.uint8)))

    @property
    def outside(self) -> int:
        """How many bytes have changed before, after and between the elements."""
        after = self.memory.tobytes()
        if after == self.before:
            return 0
        raw = np.zeros(len(after), np.uint8)
        inside = self._seen(raw, np.dtype((np.void, self.memory.itemsize)))
        inside[...] = b"\xff" * self.memory.itemsize
        differs = np.frombuffer(after, np.uint8) != np.frombuffer(self.before, np.uint8)
        return int((differs & (raw == 0)).sum())

    def _seen(self, memory: Any, dtype: np.dtype[Any] | None = None) -> Array:
        """The array's elements in a buffer of this size."""
        start = self.start * self.memory.itemsize
        return np.ndarray(self.shape, dtype or self.memory.dtype, memory, start, self.strides)


def guarded(x: Array) -> Guarded:
    """A copy of `x` with its strides and its flag `writeable`, in a buffer with guard bands.

    >>> inside = guarded(np.zeros(3, np.float32))
    >>> np.lib.stride_tricks.as_strided(inside.array, (4,))[3] = 1
    >>> inside.changed, inside.outside > 0
    (False, True)
    """
    array, memory, start = banded(x)
    return Guarded(array, memory, start, x.shape, x.strides, memory.tobytes())


def banded(x: Array) -> tuple[Array, Array, int]:
    """The copy, the buffer that it lies in, and where in it the first element is."""
    steps = [(n - 1) * stride // x.itemsize for n, stride in zip(x.shape, x.strides, strict=True)] if x.size else []
    before, behind = (sum(step for step in steps if sign * step > 0) for sign in (-1, 1))
    start = BAND - before
    memory = np.full(start + behind + 1 + BAND, junk(x.dtype), x.dtype)
    array: Array = np.ndarray(x.shape, x.dtype, memory.view(np.uint8), start * x.itemsize, x.strides)
    array[...] = x
    array.flags.writeable = x.flags.writeable
    return array, memory, start
