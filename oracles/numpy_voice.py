"""NumPy callables as a voice, with what only memory tells: changed inputs, shared memory, other answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.operation import Operation
from oracles.precision import bits
from oracles.voice import SUBJECT, Answer, Arrays, named_gradients

Array = NDArray[Any]


class NumpyVoice:
    """A NumPy callable: returns y, or (y, vjp); `backward(gy, *arrays, **hyper)` stands in for a vjp."""

    flushes_subnormals: tuple[str, ...] = ()

    def __init__(
        self,
        function: Callable[..., Any],
        version: str = "",
        name: str = SUBJECT,
        backward: Callable[..., Any] | None = None,
    ) -> None:
        self.function, self.backward = function, backward
        self.name, self.version = name, version

    def supports(self, dtype: str) -> bool:
        """Every dtype: a subject that refuses one is told so by the verdict."""
        del dtype
        return True

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        """Call the function."""
        del operation
        self.function(*arrays.values(), **case.configuration.hyper)

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        """Outputs and gradients, and whether inputs were changed, shared, or answers differ when repeated."""
        hyper = case.configuration.hyper
        given = {**arrays, **cotangents}
        before = {name: bits(a) for name, a in given.items() if a is not None}
        complaints: list[tuple[str, str | None, str]] = []

        result = self.function(*arrays.values(), **hyper)
        vjp = None
        if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
            result, vjp = result
        elif self.backward is not None:
            backward = self.backward

            def vjp(*gys: Array) -> Any:
                return backward(*gys, *arrays.values(), **hyper)

        tensors = operation.named(result)
        gys = [g for g in cotangents.values() if g is not None]
        # a cotangent that does not fit y would only make the vjp raise: y's shape is what is wrong
        shapes = [getattr(tensors.get(name[1:]), "shape", ()) for name in cotangents]
        if vjp is not None and shapes == [g.shape for g in gys]:
            kept = {name: np.array(a) for name, a in tensors.items() if isinstance(a, np.ndarray)}
            own = named_gradients(arrays, vjp(*gys))
            first = {name: np.array(g) if isinstance(g, np.ndarray) else g for name, g in own.items()}
            again = named_gradients(arrays, vjp(*gys))
            returned = {**tensors, **own}  # not the copies: they share no memory with an input
            for name, before_vjp in kept.items():
                if not _same_bits(before_vjp, tensors[name]):
                    complaints.append(("nondeterministic", name, "the vjp changed the output"))
            for name, gradient in first.items():
                if isinstance(gradient, np.ndarray) and not _same_bits(gradient, again.get(name)):
                    complaints.append(("nondeterministic", name, "a second vjp call gives other values"))
            complaints += [
                ("wrong", name, f"{name} is missing: the vjp gives no gradient for {name[1:]}")
                for name in sorted(_due_gradients(operation, case) - first.keys())
            ]
            tensors |= first
        else:
            returned = tensors
        for name, array in given.items():
            if array is None:
                continue
            if bits(array) != before[name]:
                complaints.append(("mutates-input", None, f"{name} was changed in place"))
            for tensor, value in returned.items():
                if isinstance(value, np.ndarray) and value.size and np.shares_memory(value, array):
                    complaints.append(("wrong", tensor, f"shares memory with the input {name}"))
        return Answer(tensors, complaints)


def _due_gradients(operation: Operation, case: Case) -> set[str]:
    """What a vjp must give: a gradient for every floating-point input, but for what PyTorch does not differentiate."""
    exempt = {t for limitation in operation.limitations if limitation.reference == "torch" for t in limitation.tensors}
    return {f"g{name}" for name in operation.differentiated(case.configuration)} - exempt


def _same_bits(a: Any, b: Any) -> bool:
    return (
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and a.dtype == b.dtype
        and a.shape == b.shape
        and bits(a) == bits(b)
    )
