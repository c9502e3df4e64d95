"""What a campaign records: `DIR/summary.json`, its schema, and how it is read back."""

import json
from pathlib import Path
from typing import Any, Never

from reports.extra import extra

Summary = dict[str, Any]

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("summary.schema.json").read_text("utf-8"))


class BadResults(ValueError):
    """Recorded results that are missing, damaged or of another version; the message is one line."""


def validate(summary: Any) -> None:
    """Check a summary against `SCHEMA`.

    Raises: BadResults naming the place and the fault; MissingExtra if jsonschema is not installed.

    >>> validate({"schema_version": 7})
    Traceback (most recent call last):
        ...
    reports.results.BadResults: schema_version: expected 1, got 7
    """
    if not isinstance(summary, dict):
        raise BadResults(f"expected a JSON object, got {type(summary).__name__}")
    version, expected = summary.get("schema_version"), SCHEMA["properties"]["schema_version"]["const"]
    if version != expected:  # first, since another version has other keys as well
        raise BadResults(f"schema_version: expected {expected}, got {version!r}")
    jsonschema = extra("jsonschema")
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(summary))
    if fault is not None:
        where = ".".join(map(str, fault.absolute_path)) or "the top level"
        raise BadResults(f"{where}: {_one_line(fault.message)}")


def read_summary(directory: Path) -> Summary:
    """The validated `summary.json` of a result directory.

    Raises: BadResults, in one line, if it is missing, unreadable, no JSON, of another version or damaged.
    """
    path = Path(directory) / "summary.json"
    try:
        summary = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
        validate(summary)
    except FileNotFoundError:
        raise BadResults(f"{path}: no such file; expected a folder written by mint fuzz --out DIR") from None
    except OSError as error:
        raise BadResults(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadResults(f"{path}: no valid JSON: {_one_line(str(error))}") from None
    except BadResults as error:
        raise BadResults(f"{path}: {error}") from None
    assert isinstance(summary, dict)
    return summary


def _no_constant(name: str) -> Never:
    raise BadResults(f"{name} is no JSON; expected null for what is not finite")


def _one_line(text: str, width: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[:width]} …"
