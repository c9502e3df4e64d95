"""The truth: what a case gives in higher precision, by the equations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.inputs import alike, make_cotangents, raised
from oracles.operation import Operation
from oracles.precision import HALF, precision
from oracles.summation import Rounding, rounding
from oracles.voice import Arrays

Array = NDArray[Any]
#: From an operation, a case and its outputs, the cotangent of each.
Cotangents = Callable[[Operation, Case, Mapping[str, Array]], dict[str, Array]]


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings: what overflows on purpose is not news."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Truth:
    """Inputs and cotangents, and the outputs and gradients of them with their rounding scales, by name."""

    inputs: Arrays
    cotangents: Mapping[str, Array]
    tensors: Mapping[str, Array]
    scale: Mapping[str, Array]


def find_truth(operation: Operation, case: Case, inputs: Arrays, cotangents: Cotangents = make_cotangents) -> Truth:
    """The outputs and gradients of a valid case, the same whoever is judged by them."""
    p = precision(case.configuration.dtype)
    hyper = dict(case.configuration.hyper)
    with quiet(), rounding(Rounding(case.configuration.dtype in HALF, alike(case, inputs))):
        higher = {name: None if a is None else raised(a, p) for name, a in inputs.items()}
        y, vjp = operation.equations(*higher.values(), **hyper)
        outputs = operation.named(y)
        given = cotangents(operation, case, outputs)
        gys = [raised(g, p) for g in given.values()]
        gradients = {
            f"g{name}": g for name, g in zip(higher, vjp(*gys), strict=True) if name in operation.differentiable
        }
        tensors = {name: t for name, t in {**outputs, **gradients}.items() if t is not None}
        scales = operation.scales(tensors, higher, gys, hyper, vjp)
        # what has no scale is not rounded
        scale = {name: np.zeros(t.shape) if (g := scales.get(name)) is None else g for name, t in tensors.items()}
        return Truth(inputs, given, tensors, scale)
