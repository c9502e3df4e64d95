"""Voices: implementations that are asked for an operation's outputs and gradients.

The subject is one voice and each framework is another: `oracles.numpy_voice`, `torch_voice`, `jax_voice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.operation import Operation

Array = NDArray[Any]
Arrays = Mapping[str, Array | None]

#: What a voice is found to do, beside its numbers: verdict, tensor (None: the whole call), message.
Complaint = tuple[str, str | None, str]

SUBJECT = "subject"
#: The references besides the equations, which are always there.
REFERENCES = ("torch", "jax")
FRAMEWORKS = ("numpy", *REFERENCES)


class VoiceUnavailable(RuntimeError):
    """A framework that is not installed or cannot be loaded; its message is one line."""


@dataclass
class Answer:
    """What a voice returns: its outputs, what comes with them (pooling's `indices`), and one gradient per input.

    A tensor that the voice does not compute (a forward-only subject's gradients) is missing.
    `complaints` are about how it was computed, `warnings` are what was warned of on the way. `returned` are the very
    arrays that came, where `tensors` holds copies; `written` names the outputs that were written into buffers given as
    `out`.
    """

    tensors: dict[str, Any]
    complaints: list[Complaint] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    returned: dict[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = ()


class Voice(Protocol):
    """An implementation under comparison."""

    name: str
    version: str
    #: whether results below the smallest normal number may come back as zero, by dtype
    flushes_subnormals: tuple[str, ...]

    def supports(self, dtype: str) -> bool:
        """Whether it computes in this dtype at all."""

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        """Outputs and gradients; whatever the implementation raises is passed on."""

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        """Compute the outputs alone; returns if the implementation takes these arguments, else raises."""


def named_gradients(arrays: Iterable[str], gradients: Any) -> dict[str, Any]:
    """The gradients that a vjp returned for these arrays, by name; those that are None are left out."""
    if not isinstance(gradients, tuple | list):
        gradients = (gradients,)
    return {f"g{name}": g for name, g in zip(arrays, gradients, strict=False) if g is not None}
