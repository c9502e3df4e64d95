"""The panel of a trial: the subject and the references; a framework is loaded only when its voice is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oracles.configuration import Case
from oracles.numpy_voice import NumpyVoice
from oracles.voice import SUBJECT, Voice


def open_voice(framework: str, function: Callable[..., Any] | None = None) -> Voice:
    """The reference `framework`, or with `function` a subject that is written in it.

    Raises `VoiceUnavailable` if the framework cannot be loaded.
    """
    if framework == "torch":
        from oracles.torch_voice import TorchVoice

        return TorchVoice(function)
    if framework == "jax":
        from oracles.jax_voice import JaxVoice

        return JaxVoice(function)
    assert function is not None
    return NumpyVoice(function)


def _silent(voice: str, case: Case) -> None:
    del voice, case


@dataclass
class Panel:
    """Who takes part: the subject, the references, and whom to tell before each call into native code.

    With `repeats` the subject's whole call is made again in every case, otherwise only in some.
    """

    subject: Voice | None
    references: Sequence[Voice] = ()
    announce: Callable[[str, Case], None] = _silent
    repeats: bool = False

    def without(self, names: set[str]) -> Panel:
        """The panel with these voices sent out."""
        subject = None if SUBJECT in names else self.subject
        return replace(self, subject=subject, references=[v for v in self.references if v.name not in names])

    def voices(self) -> Iterator[Voice]:
        """The subject, if there is one, then the references."""
        if self.subject is not None:
            yield self.subject
        yield from self.references
