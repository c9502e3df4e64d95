"""summary.json: its schema accepts what is promised and nothing else, and bad files get one line."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reports

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

Json = dict[str, Any]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(reports.SCHEMA)


def test_full_summaries_are_accepted(sound: Json, faulty: Json) -> None:
    reports.validate(sound)
    reports.validate(faulty)


def test_null_stands_for_what_is_missing_or_infinite(faulty: Json) -> None:
    summary = copy.deepcopy(faulty)
    summary["environment"] |= dict.fromkeys(("torch", "jax", "jaxlib", "ml_dtypes", "commit", "blas", "cpu"))
    summary["references"]["jax"] = {"version": None, "note": "not installed"}
    summary["ops"]["conv2d"]["closest_call"] = None
    summary["ops"]["conv2d"]["tensors"]["gx"]["error_ratio"] = None
    reports.validate(summary)


def every_object(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the objects of the schema are that list what they require."""
    found = [path] if isinstance(node, dict) and isinstance(node.get("required"), list) else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return found + [deeper for key, child in items for deeper in every_object(child, (*path, key))]


@pytest.mark.parametrize("path", every_object(reports.SCHEMA), ids=lambda path: "/".join(map(str, path)) or "top")
def test_every_property_is_required_and_no_other_allowed(path: tuple[Any, ...]) -> None:
    node: Any = reports.SCHEMA
    for key in path:
        node = node[key]
    assert sorted(node["required"]) == sorted(node["properties"])
    assert node["additionalProperties"] is False or path == ("properties", "environment")


def at(summary: Json, *path: Any) -> Any:
    node: Any = summary
    for key in path:
        node = node[key]
    return node


DAMAGE: dict[str, Callable[[Json], Any]] = {
    "seed": lambda s: s.pop("seed"),
    "elapsed_s": lambda s: s.update(elapsed_s="60"),
    "started": lambda s: s.update(started="yesterday"),
    "surprise": lambda s: s.update(surprise=1),
    "subject.framework": lambda s: s["subject"].update(framework="tensorflow"),
    "references": lambda s: s["references"].update(tensorflow={"version": "2", "note": None}),
    "environment": lambda s: s["environment"].pop("numpy"),
    "ops.conv2d.cases": lambda s: at(s, "ops", "conv2d").update(cases=-1),
    "ops.conv2d.tensors.gx.voices.0": lambda s: at(s, "ops", "conv2d", "tensors", "gx", "voices", 0).pop("ulp"),
    "ops.linear.tensors.y.voices.0.ulp.histogram": lambda s: at(
        s, "ops", "linear", "tensors", "y", "voices", 0, "ulp", "histogram"
    ).update({"1.5": 2}),
    "ops.conv2d.closest_call": lambda s: at(s, "ops", "conv2d").update(closest_call={"tensor": "y"}),
    "findings.0.guilty": lambda s: at(s, "findings", 0).update(guilty="somebody"),
    "findings.0.verdict": lambda s: at(s, "findings", 0).update(verdict="odd"),
    "findings.0.script": lambda s: at(s, "findings", 0).update(script="../../secret.py"),
    "findings.0.voices": lambda s: at(s, "findings", 0, "voices").update(me={"value": "1", "error_ratio": 0}),
}


@pytest.mark.parametrize("where", DAMAGE)
def test_damaged_summaries_are_rejected_in_one_line_that_says_where(where: str, faulty: Json) -> None:
    summary = copy.deepcopy(faulty)
    DAMAGE[where](summary)
    with pytest.raises(reports.BadResults) as raised:
        reports.validate(summary)
    assert where in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_what_is_written_is_read_back(faulty: Json, record: Callable[..., Path]) -> None:
    assert reports.read_summary(record(faulty)) == faulty


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no valid JSON"),
        (b'{"schema_version": 1,', "no valid JSON"),
        (b"\xff\xfe\x00", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"[]", "expected a JSON object, got list"),
        (b"{}", "schema_version: expected 1, got None"),
        (b'{"schema_version": 2}', "schema_version: expected 1, got 2"),
        (b'{"schema_version": 1}', "is a required property"),
        (b'{"schema_version": 1, "elapsed_s": NaN}', "NaN is no JSON"),
    ],
    ids=["empty", "cut short", "binary", "too deep", "list", "no version", "other version", "bare", "NaN"],
)
def test_corrupt_files_get_one_line(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(reports.BadResults) as raised:
        reports.read_summary(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'summary.json'}: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_results_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(reports.BadResults, match=r"summary\.json: no such file; expected a folder written by"):
        reports.read_summary(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(reports.BadResults, match=r"summary\.json: cannot be read: Not a directory"):
        reports.read_summary(tmp_path / "file")


def test_reading_imports_no_framework_and_no_library_of_the_page() -> None:
    program = (
        "import json, sys, reports.page, reports.junit, reports.charts; reports.verdict, reports.SCHEMA;"
        "loaded = {'torch', 'jax', 'mint', 'oracles', 'jinja2', 'altair', 'vl_convert', 'jsonschema'};"
        "print(json.dumps(sorted(loaded & set(sys.modules))))"
    )
    root = Path(reports.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []


def test_unknown_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="module 'reports' has no attribute 'nothing'"):
        _ = reports.nothing
