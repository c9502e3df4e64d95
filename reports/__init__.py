"""From the recorded results of campaigns to one HTML page and machine-readable files.

    >>> import reports
    >>> sorted(reports.__all__)
    ['BadResults', 'MissingExtra', 'SCHEMA', 'read_summary',
     'validate', 'verdict', 'write_junit', 'write_report']

Reads `DIR/summary.json` only; imports neither a framework nor the harness. The page needs the extra `report`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.extra import MissingExtra
    from reports.junit import write_junit
    from reports.page import write_report
    from reports.results import SCHEMA, BadResults, read_summary, validate
    from reports.wording import verdict

__all__ = [
    "SCHEMA",
    "BadResults",
    "MissingExtra",
    "read_summary",
    "validate",
    "verdict",
    "write_junit",
    "write_report",
]

_HOME = {
    "MissingExtra": "extra",
    "write_junit": "junit",
    "write_report": "page",
    "SCHEMA": "results",
    "BadResults": "results",
    "read_summary": "results",
    "validate": "results",
    "verdict": "wording",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    return getattr(import_module(f"reports.{_HOME[name]}"), name)
