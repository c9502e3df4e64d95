"""NumPy callables as a voice, with what only memory tells: changed inputs, shared memory, writing out of bounds."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.fill import BENIGN
from oracles.guard import Guarded, guarded
from oracles.layout import junk
from oracles.operation import Operation
from oracles.precision import bits
from oracles.voice import SUBJECT, Answer, Arrays, Complaint, named_gradients

Array = NDArray[Any]


class NumpyVoice:
    """A NumPy callable: returns y, or (y, vjp); `backward(gy, *arrays, **hyper)` stands in for a vjp.

    One that has a parameter `out` gets a buffer for its output there, filled with NaN (a tuple of buffers for several
    outputs), and may return None for it: what counts is what stands in the buffer.
    """

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
        self._takes_out = takes_out(function)

    def supports(self, dtype: str) -> bool:
        """Every dtype: a subject that refuses one is told so by the verdict."""
        del dtype
        return True

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        """Call the function, with guard bands: what it writes beyond its arrays must not reach ours."""
        own = {name: None if a is None else guarded(a).array for name, a in arrays.items()}
        self._call(own, case.configuration.hyper, self._buffers(operation, case, arrays))

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        """Outputs and gradients, computed from copies of the arrays, and what was found about memory on the way."""
        hyper = case.configuration.hyper
        given = {name: guarded(a) for name, a in {**arrays, **cotangents}.items() if a is not None}
        own = {name: given[name].array if name in given else None for name in arrays}
        gys = [given[name].array for name in cotangents if name in given]
        buffers = self._buffers(operation, case, arrays)
        answer = Answer({}, written=tuple(buffers))
        with _recording(case.fill in BENIGN) as heard:
            result, vjp = self._call(own, hyper, buffers)
            answer.tensors = operation.named(result)
            answer.returned = dict(answer.tensors)
            # a cotangent that does not fit y would only make the vjp raise: y's shape is what is wrong
            shapes = [getattr(answer.tensors.get(name[1:]), "shape", ()) for name in cotangents]
            if vjp is not None and shapes == [g.shape for g in gys]:
                kept = {name: np.array(a) for name, a in answer.tensors.items() if isinstance(a, np.ndarray)}
                gradients = named_gradients(own, vjp(*gys))
                first = {name: np.array(g) if isinstance(g, np.ndarray) else g for name, g in gradients.items()}
                again = named_gradients(own, vjp(*gys))
                answer.complaints += _about_vjp(kept, answer.tensors, first, gradients, again)
                answer.complaints += [
                    ("wrong", name, f"{name} is missing: the vjp gives no gradient for {name[1:]}")
                    for name in sorted(_due_gradients(operation, case) - first.keys())
                ]
                answer.tensors |= first
                answer.returned |= gradients  # not the copies: they share no memory with an input
        answer.warnings = list(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in heard))
        answer.complaints += _about_memory(given, buffers, answer.returned)
        return answer

    def _call(self, arrays: Arrays, hyper: Mapping[str, Any], buffers: Mapping[str, Guarded]) -> tuple[Any, Any]:
        """The outputs and the vjp, or None for it."""
        out = tuple(buffer.array for buffer in buffers.values())
        more = {"out": out if len(out) > 1 else out[0]} if out else {}
        result = self.function(*arrays.values(), **hyper, **more)
        vjp = None
        if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
            result, vjp = result
        elif self.backward is not None:
            backward = self.backward

            def vjp(*gys: Array) -> Any:
                return backward(*gys, *arrays.values(), **hyper)

        return out or result, vjp

    def _buffers(self, operation: Operation, case: Case, arrays: Arrays) -> dict[str, Guarded]:
        """A buffer for each output, as Mint's own are shaped; none where Mint refuses the call."""
        if not self._takes_out:
            return {}
        try:
            outputs = operation.named(operation.function(*arrays.values(), **case.configuration.hyper)[0])
        except (ValueError, TypeError):
            return {}
        return {name: guarded(np.full(y.shape, junk(y.dtype), y.dtype)) for name, y in outputs.items()}


def takes_out(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `out` that may be given by keyword."""
    try:
        parameter = inspect.signature(function).parameters.get("out")
    except (TypeError, ValueError):  # a builtin or an extension may have none to read
        return False
    return parameter is not None and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)


@contextmanager
def _recording(wanted: bool) -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of, floating-point exceptions among it; nothing where it is not wanted.

    Underflow is no exception here, as NumPy itself has it: a result that rounds to zero is a result.
    """
    if not wanted:
        yield []
        return
    with (
        warnings.catch_warnings(record=True) as heard,
        np.errstate(divide="warn", over="warn", invalid="warn", under="ignore"),
    ):
        warnings.simplefilter("always")
        yield heard


def _about_vjp(
    kept: Mapping[str, Array],
    outputs: Mapping[str, Any],
    first: Mapping[str, Any],
    gradients: Mapping[str, Any],
    again: Mapping[str, Any],
) -> Iterator[Complaint]:
    """What two calls of the vjp tell: `kept` and `first` are copies of what the outputs and gradients were at first."""
    for name, before in kept.items():
        if not same_bits(before, outputs[name]):
            yield "nondeterministic", name, "the vjp changed the output"
    for name, gradient in first.items():
        if isinstance(gradient, np.ndarray):
            if not same_bits(gradient, again.get(name)):
                yield "nondeterministic", name, "a second vjp call gives other values"
            elif share_memory(gradients[name], again[name]):
                yield "shares-memory", name, "a second vjp call returns the same memory"


def _about_memory(
    given: Mapping[str, Guarded], buffers: Mapping[str, Guarded], returned: Mapping[str, Any]
) -> Iterator[Complaint]:
    """What became of the memory of inputs, cotangents and buffers."""
    for name, guard in given.items():
        if guard.changed:
            yield "mutates-input", None, f"{name} was changed in place"
        if guard.outside:
            yield "writes-outside", None, f"{guard.outside} bytes around {name} were written"
        for tensor, value in returned.items():
            if share_memory(value, guard.array):
                yield "shares-memory", tensor, f"shares memory with the input {name}"
    for name, guard in buffers.items():
        if guard.outside:
            yield "writes-outside", name, f"{guard.outside} bytes around the buffer of {name} were written"


def _due_gradients(operation: Operation, case: Case) -> set[str]:
    """What a vjp must give: a gradient for every floating-point input, but for what PyTorch does not differentiate."""
    exempt = {t for limitation in operation.limitations if limitation.reference == "torch" for t in limitation.tensors}
    return {f"g{name}" for name in operation.differentiated(case.configuration)} - exempt


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays agree in dtype, shape and every bit."""
    return (
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and a.dtype == b.dtype
        and a.shape == b.shape
        and bits(a) == bits(b)
    )


def difference_in_bits(a: Array, b: Any) -> str:
    """Where two results differ in a bit, in words; nothing where they do not.

    >>> difference_in_bits(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    '1 of 2 elements, [1] was 2.0 and is 3.0'
    """
    if same_bits(a, b):
        return ""
    if not isinstance(b, np.ndarray) or (a.dtype, a.shape) != (b.dtype, b.shape):
        return "it has another type, dtype or shape"
    mine, other = (np.frombuffer(bits(x), np.uint8).reshape(a.size, -1) for x in (a, b))
    places = np.flatnonzero((mine != other).any(1))
    first = np.unravel_index(places[0], a.shape)
    where = ", ".join(map(str, first))
    return f"{len(places)} of {a.size} elements, [{where}] was {a[first]} and is {b[first]}"


def share_memory(a: Any, b: Any) -> bool:
    """Whether two arrays have an element in common."""
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.size > 0 and np.shares_memory(a, b)
