"""Fills: how the values of an array are made from a seed.

Every array of a case draws from a stream of its own, so an array keeps its values when another changes its
shape. The streams are NumPy's PCG64, so they depend on neither the machine nor the Python version.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.precision import Precision

Array = NDArray[Any]
#: A fill: (generator, name of the array, shape, precision) -> float64 values, rounded to the dtype afterwards.
Fill = Callable[[np.random.Generator, str, tuple[int, ...], Precision], Array]


def _normal(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """Standard normal, with all the digits of the dtype."""
    del name
    values: Array = np.asarray(rng.standard_normal(shape))
    if p.digits <= 53:
        return values
    low = rng.standard_normal(shape)  # a float64 fills 53 of longdouble's digits; this fills the others
    return np.asarray(values.astype(p.dtype) + low.astype(p.dtype) * p.truth.type(2) ** -53)


def _integers(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """Integers from −4 to 4: products and short sums are exact, in any order."""
    del name, p
    return np.asarray(rng.integers(-4, 5, shape), np.float64)


def _cancelling(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """Magnitudes within 1 ‰ of one; x and the cotangent alternate in sign, so that their sums nearly vanish."""
    del p
    values = 1 + 1e-3 * rng.standard_normal(shape)
    if name in ("x", "gy"):
        values *= 1 - 2.0 * (np.arange(values.size).reshape(shape) % 2)
    return values


def _wide(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """Normal values times powers of two over a wide range: large terms beside small ones."""
    del name
    low, high = (-6, 4) if p.name == "float16" else (-20, 10)
    return np.asarray(np.ldexp(rng.standard_normal(shape), rng.integers(low, high + 1, shape)))


def _ties(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """One of −1, 0 and 1: maxima are tied, and kinks at 0 are met exactly."""
    del name, p
    return rng.integers(-1, 2, shape).astype(np.float64)


def _replacing(*special: float | str) -> Fill:
    """Normal values, one in eight of them replaced by one of `special`: numbers or fields of `Precision`."""

    def fill(rng: np.random.Generator, name: str, shape: tuple[int, ...], p: Precision) -> Array:
        del name
        chosen = [getattr(p, s) if isinstance(s, str) else p.truth.type(s) for s in special]
        signed = np.array([*chosen, *(-c for c in chosen)], p.truth)
        where = rng.random(shape) < 1 / 8
        return np.asarray(np.where(where, rng.choice(signed, shape), rng.standard_normal(shape)))

    return fill


FILLS: dict[str, Fill] = {
    "normal": _normal,
    "integers": _integers,
    "cancelling": _cancelling,
    "wide": _wide,
    "ties": _ties,
    # one kind each, so that what a framework documents about one kind leaves the others tested; and whether
    # infinity meets an overflow of the other sign first would be an accident of the order of summation
    "special": _replacing(0.0, np.inf, np.nan),
    "subnormal": _replacing(0.0, "smallest_subnormal", "smallest_normal"),
    "largest": _replacing(0.0, "largest"),
}

#: Fills whose errors are rounding alone: nothing overflows, underflows or is undefined.
BENIGN = ("normal", "integers", "cancelling", "wide", "ties")


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of the array called `name` in a case with this seed."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def values(fill: str, seed: int, name: str, shape: tuple[int, ...], p: Precision) -> Array:
    """The values of one array, rounded to the format `p`; a fresh contiguous array.

    >>> from oracles.precision import precision
    >>> values("integers", 1, "x", (4,), precision("float32")).dtype
    dtype('float32')
    """
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(FILLS[fill](stream(seed, name), name, shape, p)).astype(p.dtype).reshape(shape)
