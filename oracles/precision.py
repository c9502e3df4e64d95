"""Floating-point formats: what rounding costs in each, and where the truth is computed for it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = ("float32", "float64", "float16", "bfloat16", "longdouble")


#: Half precision, which is to be computed in float32 and rounded once.
HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Precision:
    """One binary floating-point format, in Higham's terms (*Accuracy and Stability*, 2002, §2.1)."""

    name: str
    dtype: np.dtype[Any]
    digits: int  # significand bits, the hidden one included
    largest: Any  # largest finite number, in the dtype of the truth
    smallest_normal: Any
    smallest_subnormal: Any
    truth: np.dtype[Any]  # the higher precision in which the truth for this format is computed

    @property
    def unit_roundoff(self) -> Any:
        """u = 2^−p: the relative error of one rounding to nearest."""
        return self.truth.type(2) ** -self.digits


@cache
def precision(name: str) -> Precision:
    """The format called `name`: one of `DTYPES`.

    >>> float(precision("float32").unit_roundoff) == 2**-24
    True

    Raises `LookupError` for a dtype that is unknown or, for bfloat16, whose package is not installed.
    """
    if name not in DTYPES:
        raise LookupError(f"unknown dtype {name!r}; expected one of {', '.join(DTYPES)}")
    if name == "bfloat16":
        if importlib.util.find_spec("ml_dtypes") is None:
            raise LookupError("bfloat16 needs the package ml_dtypes: pip install ml_dtypes")
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        digits, emin, emax = 8, -126, 127
    else:
        info = np.finfo(name)
        dtype = np.dtype(name)
        digits, emin, emax = info.nmant + 1, int(info.minexp), int(info.maxexp) - 1
        if name == "longdouble":
            # x87 stores its leading bit; nmant counts the fraction alone in every format
            digits = int(-np.log2(info.eps)) + 1
    truth = np.dtype(np.longdouble if digits >= 53 else np.float64)
    two = truth.type(2)
    return Precision(
        name=name,
        dtype=dtype,
        digits=digits,
        largest=two ** (emax - digits + 1) * (two**digits - 1),
        smallest_normal=two**emin,
        smallest_subnormal=two ** (emin - digits + 1),
        truth=truth,
    )


def available_dtypes() -> tuple[str, ...]:
    """The dtypes that this installation can fuzz (bfloat16 needs ml_dtypes)."""
    return tuple(d for d in DTYPES if d != "bfloat16" or importlib.util.find_spec("ml_dtypes") is not None)


def bits(array: NDArray[Any]) -> bytes:
    """The bits of an array's values in order; equal for equal bits, whatever the memory layout.

    x87's longdouble has six bytes of padding behind its ten: they hold anything, and are left out.

    >>> bits(np.array([1, 2], np.uint8)) == bytes([1, 2])
    True
    """
    if array.dtype != np.longdouble or array.itemsize <= 10 or np.finfo(np.longdouble).nmant != 63:
        return array.tobytes()
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return raw.reshape(array.size, array.itemsize)[:, :10].tobytes()
