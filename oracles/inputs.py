"""The arrays of a case: made from its seed, laid out in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.fill import stream, values
from oracles.layout import lay_out
from oracles.operation import Operation
from oracles.precision import Precision, precision

Array = NDArray[Any]


def make_inputs(operation: Operation, case: Case) -> dict[str, Array | None]:
    """The arrays of a case by name, laid out in memory; an array that is not given is None."""
    return {name: _array(operation, case, name, shape) for name, shape in _shapes(operation, case)}


def make_cotangents(operation: Operation, case: Case, outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The random cotangent of every differentiable output that there is, by name."""
    return {
        f"g{name}": _array(operation, case, f"g{name}", np.shape(outputs[name]))
        for name in operation.outputs
        if name in outputs
    }


def raised(array: Array, p: Precision) -> Array:
    """A contiguous copy in the precision of the truth; integers stay as they are."""
    return np.array(array, order="C") if array.dtype.kind in "biu" else np.array(array, p.truth, order="C")


def alike(case: Case, inputs: Mapping[str, Array | None]) -> bool:
    """Whether sums may be of few numbers again and again: by the fill, by a stride of 0, or by indices that repeat."""
    picked = inputs.get("indices")
    repeated = picked is not None and 8 * np.unique(picked).size <= picked.size
    return case.fill in ("integers", "ties") or "broadcast" in case.configuration.layouts.values() or repeated


def _shapes(operation: Operation, case: Case) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    for name in operation.arguments(case.configuration):
        yield name, case.configuration.shapes.get(name)


def _array(operation: Operation, case: Case, name: str, shape: tuple[int, ...] | None) -> Any:
    if shape is None:
        return None
    configuration = case.configuration
    if operation.is_integer(name, configuration):
        made = operation.integer[name](stream(case.seed, name), configuration)
    else:
        fill = case.fill
        if fill in ("special", "largest") and not operation.may_be_nonfinite(name):
            fill = "normal"
        made = values(fill, case.seed, name, shape, precision(configuration.dtype))
        if name in operation.adjust:
            # NumPy does not know bfloat16 in all of its functions and may return float32, and of one number a scalar
            made = np.asarray(operation.adjust[name](made)).astype(made.dtype)
    return lay_out(made, configuration.layouts.get(name, "contiguous"))
