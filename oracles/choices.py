"""Where Hypothesis gets its choices from when a strategy is only a source: a stream of random numbers, nothing else.

Hypothesis's own choices depend on what else the process has loaded: one integer in twenty is a constant that it read in
the source of local modules. A case is to be the same in every process, on every machine, with every Hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import isfinite
from random import Random
from typing import Any

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, PrimitiveProvider

_stream: ContextVar[int] = ContextVar("_stream")


@contextmanager
def drawing_from(number: int) -> Iterator[None]:
    """What Hypothesis draws here with `settings(backend=BACKEND)` comes from the stream with this number."""
    token = _stream.set(number)
    try:
        yield
    finally:
        _stream.reset(token)


class Uniform(PrimitiveProvider):
    """A backend of Hypothesis that makes every choice evenly; see Hypothesis's "Alternative backends"."""

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        self._random = Random(_stream.get())

    def draw_boolean(self, p: float = 0.5) -> bool:
        """True with probability `p`."""
        return self._random.random() < p

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,
    ) -> int:
        """An integer between two bounds; with one bound or none, one of sixteen bits beyond `shrink_towards`."""
        del weights  # a hint
        low = min(shrink_towards, shrink_towards if max_value is None else max_value) - 2**16
        low = low if min_value is None else min_value
        high = max(shrink_towards, low) + 2**16 if max_value is None else max_value
        return self._random.randint(low, high)

    def draw_float(
        self,
        *,
        min_value: float = -float("inf"),
        max_value: float = float("inf"),
        allow_nan: bool = True,
        smallest_nonzero_magnitude: float,
    ) -> float:
        """A number between two bounds, of moderate size where there are none."""
        del allow_nan
        low = min_value if isfinite(min_value) else min(-1e3, max_value - 1e3)
        high = max_value if isfinite(max_value) else max(1e3, low + 1e3)
        drawn = 2 * self._random.uniform(low / 2, high / 2)  # high − low may overflow
        return drawn if abs(drawn) >= smallest_nonzero_magnitude else (low if low > 0 else min(high, 0.0))

    def draw_string(self, intervals: Any, *, min_size: int = 0, max_size: int = 2**16) -> str:
        """A short text of the characters there are."""
        return "".join(chr(self._random.choice(intervals)) for _ in range(self._size(min_size, max_size)))

    def draw_bytes(self, min_size: int = 0, max_size: int = 2**16) -> bytes:
        """A few bytes."""
        return self._random.randbytes(self._size(min_size, max_size))

    def _size(self, least: int, most: int) -> int:
        return self._random.randint(least, min(most, least + 10))


#: The name of `Uniform` among Hypothesis's backends.
BACKEND = "mint"
AVAILABLE_PROVIDERS[BACKEND] = f"{Uniform.__module__}.{Uniform.__qualname__}"
