"""A few valid calls of every operation in the catalogue, for the rules that hold for all of them."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from oracles.catalogue import catalogue
from oracles.configuration import Case, Configuration
from oracles.draw import configurations, sample
from oracles.inputs import make_inputs
from oracles.operation import Operation

#: How many calls of each operation.
CALLS = 3


class Call(NamedTuple):
    """An operation and a configuration to call it in."""

    definition: Operation
    configuration: Configuration

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def hyper(self) -> dict[str, Any]:
        return dict(self.configuration.hyper)

    def arrays(self, dtype: Any = np.float64, seed: int = 0) -> list[np.ndarray | None]:
        """Normal values, and whatever integers the operation takes."""
        name = np.dtype(dtype).name
        case = Case(
            replace(self.configuration, dtype="longdouble" if name.startswith("float128") else name), "normal", seed
        )
        return list(make_inputs(self.definition, case).values())

    def __call__(self, arrays: list[np.ndarray | None]) -> tuple[dict[str, Any], Callable[..., Any]]:
        """Every output by name, and the vjp."""
        y, vjp = self.definition.function(*arrays, **self.hyper)
        return self.definition.named(y), vjp

    def cotangents(self, outputs: dict[str, Any], seed: int = 1) -> list[np.ndarray]:
        """Normal values for every differentiable output."""
        rng = np.random.default_rng(seed)
        given = [outputs[name] for name in self.definition.outputs if name in outputs]
        drawn = [np.asarray(rng.standard_normal(y.shape)).astype(y.dtype) for y in given]
        # a longdouble with digits of its own
        return [np.asarray(gy + gy * np.longdouble(2) ** -60) if gy.dtype == np.longdouble else gy for gy in drawn]


@functools.cache
def calls() -> list[Call]:
    found = []
    for operation in catalogue().values():
        drawn = sample(configurations(operation, ("float64",)), 0, 40)
        plain = dict.fromkeys(replace(c, layouts={}, xla="fast") for c in drawn if all(map(all, c.shapes.values())))
        found += [Call(operation, configuration) for configuration in list(plain)[:CALLS]]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "call" in metafunc.fixturenames:
        metafunc.parametrize("call", calls(), ids=lambda call: str(call.configuration).replace(" dtype=float64", ""))
