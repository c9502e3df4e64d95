"""What runs in a worker process: native code, which may abort or hang, is called nowhere else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oracles.catalogue import operation
from oracles.configuration import Case
from oracles.panel import Panel, open_voice
from oracles.subject import BadSubject, Subject
from oracles.voice import Voice, VoiceUnavailable


@dataclass(frozen=True)
class Casualty:
    """A voice that took its process down, and the case it held."""

    voice: str
    descriptor: str


def excluded(case: Case, casualties: frozenset[Casualty]) -> set[str]:
    """The voices that must not run this case: those that it killed, and those that its configuration killed twice.

    What aborts in a compiler does so for every fill of a configuration; what hangs on a value does not.
    """
    configuration = f"{case.configuration} "
    found = [c for c in casualties if c.descriptor.startswith(configuration)]
    twice = {c.voice for c in found if sum(other.voice == c.voice for other in found) > 1}
    return twice | {c.voice for c in found if c.descriptor == str(case)}


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before its first task."""

    subject: Subject
    references: tuple[str, ...]
    scratch: Path


@dataclass
class _State:
    subject: Subject
    function: Callable[..., Any] | None
    references: list[Voice]
    notes: dict[str, str]
    panels: dict[str, Panel] = field(default_factory=dict)


_setup: Setup | None = None
_state: _State | None = None
_heartbeat: int | None = None


def heartbeat_file(scratch: Path, ticket: int) -> Path:
    """Where the worker that runs the job with this ticket writes what it is about to run."""
    return scratch / f"{ticket}.now"


def stderr_file(scratch: Path, pid: int) -> Path:
    """Where what the worker with this process id prints goes."""
    return scratch / f"{pid}.log"


def start(setup: Setup) -> None:
    """Prepare this process: its output goes to a file, Ctrl-C is the coordinator's business."""
    global _setup
    _setup = setup
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = os.open(stderr_file(setup.scratch, os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):  # native code writes to the descriptors, not to Python's streams
        os.dup2(log, stream)


def call(ticket: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Run one job; what it announces goes to its heartbeat file, which a job that ends takes away."""
    global _heartbeat
    assert _setup is not None
    file = heartbeat_file(_setup.scratch, ticket)
    _heartbeat = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        return function(*arguments)
    finally:
        os.close(_heartbeat)
        _heartbeat = None
        file.unlink(missing_ok=True)


def opened() -> _State:
    """The voices, opened at the first job so that a failure is that job's result."""
    global _state
    if _state is None:
        assert _setup is not None
        references: list[Voice] = []
        notes: dict[str, str] = {}
        for name in _setup.references:
            try:
                references.append(open_voice(name))
            except VoiceUnavailable as error:
                notes[name] = str(error)
        _state = _State(_setup.subject, _setup.subject.load(), references, notes)
    return _state


def _announce(voice: str, case: Case) -> None:
    if _heartbeat is not None:
        os.pwrite(_heartbeat, f"{voice}\n{case}\n".encode().ljust(4096), 0)


def panel(name: str) -> Panel:
    """The panel that judges the operation called `name`."""
    state = opened()
    if name not in state.panels:
        try:
            subject = state.subject.voice(state.function, operation(name))
        except VoiceUnavailable as error:
            raise BadSubject(f"subject: {error}") from None
        state.panels[name] = Panel(subject, state.references, _announce)
    return state.panels[name]
