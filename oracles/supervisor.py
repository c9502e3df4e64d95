"""The supervisor of the worker processes: it knows which case each of them holds.

A child that aborts or hangs costs the case that it held and nothing else: before each call into native code
it writes that case to a file named by its job's ticket, and the supervisor reads there whom to blame.
"""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from oracles import worker
from oracles.subject import Subject
from oracles.worker import Casualty, Setup

Job = TypeVar("Job")


@dataclass(frozen=True)
class Lost:
    """A job whose process died or did not answer in time."""

    kind: str  # crash or hang
    voice: str  # who was running, or nothing if no case had begun
    descriptor: str  # the case that it held
    message: str

    @property
    def casualty(self) -> Casualty:
        """Who must not run which case again."""
        return Casualty(self.voice, self.descriptor)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Block Ctrl-C here, and for good in the threads and processes that are started here.

    A terminal sends it to the whole process group: a worker that is just starting would die of it in its own way.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # its own first start, which the first spawn would cause, unblocks the signal again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Supervisor(Generic[Job]):
    """A pool of worker processes; a context manager. Jobs are anything that tells the caller what came back."""

    def __init__(self, subject: Subject, references: tuple[str, ...], workers: int) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="mint-"))
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=worker.start,
            initargs=(Setup(subject, references, self._scratch),),
            context=multiprocessing.get_context("spawn"),  # a fork of a process with threads may deadlock
        )
        self._tickets = itertools.count()
        self._running: dict[Future[Any], tuple[int, Job]] = {}
        self._interrupted = False
        self._handler: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, *_: object) -> None:
        # raised wherever it comes, between two steps of a lock, it would leave the pool's threads waiting for ever
        self._interrupted = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._pool.stop()
            self._pool.join()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
            if self._handler is not None:
                signal.signal(signal.SIGINT, self._handler)

    @property
    def jobs(self) -> list[Job]:
        """The jobs that are running or waiting."""
        return [job for _, job in self._running.values()]

    def submit(self, job: Job, function: Callable[..., Any], *arguments: Any, seconds: float) -> None:
        """Have a worker call `function`; it is stopped if it takes longer than `seconds`."""
        ticket = next(self._tickets)
        with _deaf_to_interrupts():  # the first job starts the pool
            future = self._pool.schedule(worker.call, args=(ticket, function, arguments), timeout=seconds)
        self._running[future] = ticket, job

    def finished(self, seconds: float) -> list[tuple[Job, Any]]:
        """Jobs that ended, with their results or `Lost`; waits up to `seconds` for one.

        What a job raised in Python is raised here, and KeyboardInterrupt where Ctrl-C was pressed since.
        """
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        if self._interrupted:
            raise KeyboardInterrupt
        return [self._result(future) for future in done]

    def _result(self, future: Future[Any]) -> tuple[Job, Any]:
        ticket, job = self._running.pop(future)
        try:
            return job, future.result()
        except TimeoutError:
            return job, Lost("hang", *self._held(ticket), "no answer in the time allowed")
        except ProcessExpired as error:
            said = f"the process ended with status {error.exitcode}: {self._stderr(error.pid)}"
            return job, Lost("crash", *self._held(ticket), said)

    def _held(self, ticket: int) -> tuple[str, str]:
        file = worker.heartbeat_file(self._scratch, ticket)
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return (lines[0], lines[1]) if len(lines) >= 2 else ("", "")

    def _stderr(self, pid: int | None) -> str:
        file = worker.stderr_file(self._scratch, pid or 0)
        text = file.read_text("utf-8", "replace") if file.exists() else ""
        return " ".join(text.split())[:600] or "it said nothing"
