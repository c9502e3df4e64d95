"""The limits: the error ratio past which an element is wrong, per operation and tensor, from data."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

#: For an operation that has not been calibrated yet: eight first-order rounding errors.
UNCALIBRATED = 8.0
#: Kinds of arithmetic: in the dtype itself; in float32, rounded once to half precision; in half precision.
FULL, HALF, STEPWISE = "full", "half", "stepwise"


def kind(dtype: str, voice: str) -> str:
    """The kind of arithmetic that a voice is held to.

    float16 and bfloat16 are to be computed in float32 and rounded once; JAX, which rounds each intermediate
    result, does not promise that.
    """
    if dtype not in ("float16", "bfloat16"):
        return FULL
    return STEPWISE if voice == "jax" else HALF


@cache
def calibration() -> dict[str, Any]:
    """The record that `mint calibrate` wrote: limits with the figures that they came from."""
    record: dict[str, Any] = json.loads(files("oracles").joinpath("limits.json").read_text("utf-8"))
    return record


def limit(operation: str, tensor: str, dtype: str = "float32", voice: str = "") -> float:
    """The limit on the error ratio of one tensor of one operation, for this dtype and this voice."""
    figures = calibration()["limits"].get(operation, {}).get(tensor, {})
    return float(figures.get(kind(dtype, voice), {}).get("limit", UNCALIBRATED))
