"""A sweep: one measurement of every operation in every dtype, on worker processes.

A case that kills its process is reported as lost, and the job is run again without the voice that died of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from oracles.subject import Subject
from oracles.supervisor import Lost, Supervisor
from oracles.voice import REFERENCES
from oracles.worker import Casualty

#: For one operation in one dtype.
JOB_SECONDS = 1800.0

T = TypeVar("T")
#: (operation, dtype, number of configurations, seed, what to leave out) -> what was measured
Measurement = Callable[[str, str, int, int, frozenset[Casualty]], T]


@dataclass(frozen=True)
class _Job:
    op: str
    dtype: str
    casualties: frozenset[Casualty] = frozenset()


def sweep(
    measurement: Measurement[T], ops: tuple[str, ...], dtypes: tuple[str, ...], count: int, seed: int, workers: int
) -> Iterator[tuple[str, T | Lost]]:
    """What was measured, by operation, in the order in which it is done."""
    again = [_Job(op, dtype) for op in reversed(ops) for dtype in reversed(dtypes)]
    with Supervisor[_Job](Subject(), REFERENCES, workers) as supervisor:
        while again or supervisor.jobs:
            while again and len(supervisor.jobs) < 2 * workers:
                job = again.pop()
                arguments = (job.op, job.dtype, count, seed, job.casualties)
                supervisor.submit(job, measurement, *arguments, seconds=JOB_SECONDS)
            for job, result in supervisor.finished(1.0):
                yield job.op, result
                if isinstance(result, Lost):
                    again.append(replace(job, casualties=job.casualties | {result.casualty}))
