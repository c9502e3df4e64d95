"""Live progress of a campaign: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from oracles.campaign import Outcome, Plan
from oracles.voice import SUBJECT

#: Seconds between lines where there is no terminal.
LINE_EVERY = 10.0


class Display:
    """Shows how far a campaign has come; a context manager."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._console = Console()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("starting", total=1.0, told="")
        self._next_line = 0.0
        self._said = ""

    def __enter__(self) -> Self:
        plan = self._plan
        budget = f"{plan.seconds:g} s" if plan.seconds is not None else f"{plan.cases} cases"
        self._console.print(
            f"mint fuzz: {len(plan.ops)} operations, subject {plan.subject.name}, "
            f"seed {plan.seed}, {budget}, {plan.workers} workers",
            highlight=False,
            soft_wrap=True,
        )
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def update(self, outcome: Outcome, elapsed: float, doing: str) -> None:
        """Show the state of the campaign."""
        plan = self._plan
        parts = [elapsed / plan.seconds] if plan.seconds else []
        parts += [outcome.cases / plan.cases] if plan.cases else []
        against = sum(key[0] == SUBJECT for key in outcome.findings)
        told = (
            f"{outcome.cases} cases, {against} findings against {plan.subject.name}, "
            f"{len(outcome.findings) - against} against others"
        )
        self._bar.update(self._task, description=doing, completed=min(1.0, max(parts)), told=told)
        if not self._console.is_terminal and (elapsed >= self._next_line or doing != self._said):
            self._console.print(f"{elapsed:5.0f} s  {doing}: {told}", highlight=False, soft_wrap=True)
            self._next_line, self._said = elapsed + LINE_EVERY, doing
