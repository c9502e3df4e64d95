"""The page as a file: self-contained, escaped, complete."""

import copy
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import reports
from reports import charts
from reports.charts import chart
from reports.wording import SUBJECT_VOICES

for library in ("jinja2", "altair", "vl_convert", "jsonschema"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'mint-oracles[report]'")

Json = dict[str, Any]
Record = Callable[..., Path]


class Page(HTMLParser):
    """Every start tag with its attributes, and the text outside of styles and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def few(summary: Json, *ops: str) -> Json:
    """The campaign with these ops alone: a chart takes its time."""
    return copy.deepcopy(summary) | {"ops": {op: copy.deepcopy(summary["ops"][op]) for op in ops}}


@pytest.fixture
def built(faulty: Json, record: Record) -> Page:
    directory = record(few(faulty, "conv2d", "max_pool2d", "cross_entropy"))
    return Page(reports.write_report([directory], directory / "report.html"))


def test_the_page_leads_nowhere(built: Page) -> None:
    links = [a[key] for _, a in built.tags for key in ("href", "src", "action", "data") if key in a]
    assert links
    assert all(link and link.startswith(("#", "data:")) for link in links)
    policy = next(a["content"] for a in built.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")
    targets = {a["id"] for _, a in built.tags if "id" in a}
    assert {str(link)[1:] for link in links if str(link).startswith("#")} <= targets


def test_no_id_stands_twice(built: Page) -> None:
    ids = [a["id"] for _, a in built.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_findings_come_subject_first_with_evidence_and_script(built: Page) -> None:
    order = [a["id"] for a in built.all("article")]
    assert order == [
        "conv2d-gx-wrong-subject-1",
        "avg_pool1d-call-accepts-invalid-subject-1",
        "max_pool2d-gx-wrong-torch-1",
        "conv3d-call-crash-jax-1",
    ]
    assert "mint replay 'conv2d x=(1,2,3,3) w=(2,1,2,2) groups=2 stride=2" in built.text
    assert "borne out by 31 failing and 88 passing cases" in built.text
    assert "import numpy as np" in built.text


def test_the_matrix_shows_the_fraction_of_the_limit(built: Page) -> None:
    past = [a for a in built.all("td") if "f4" in str(a.get("class"))]
    assert ["gx in float32: worst error ratio 12,346, limit 4;" in str(a["title"]) for a in past] == [
        True,
        False,
    ]
    assert "worst error ratio ∞" in str(past[1]["title"])
    assert "3,086" in built.text


def test_hostile_text_stays_text(faulty: Json, record: Record) -> None:
    evil = """'"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"""
    summary = few(faulty, "conv2d")
    summary["subject"]["name"] = summary["command"] = evil
    summary["environment"]["cpu"] = summary["references"]["jax"]["note"] = evil
    results = summary["ops"].pop("conv2d")
    results["closest_call"] |= {"descriptor": evil, "tensor": evil}
    results["limitations"] = [{"reference": "jax", "reason": evil, "cases": 1}]
    results["fills"] = results["layouts"] = {evil: 1}
    results["dtypes"] = {evil: results["dtypes"]["float32"]}
    results["tensors"][evil] = results["tensors"].pop("gx")
    for voice in results["tensors"][evil]["voices"]:
        voice |= {"worst": evil, "dtype": evil}
    summary["ops"][evil] = results
    for found in summary["findings"]:
        found |= dict.fromkeys(("op", "tensor", "message", "descriptor", "first", "condition", "got"), evil)
        found["voices"] = {"torch": {"value": evil, "error_ratio": None}}
        found["expected"] = evil
    directory = record(summary)
    for script in (directory / "findings").iterdir():
        script.write_text(evil)
    page = Page(reports.write_report([directory], directory / "report.html"))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not [a for _, a in page.tags for key in a if key.startswith("on")]
    assert page.text.count(evil) > 20


def test_text_that_utf8_cannot_hold_is_no_obstacle(sound: Json, record: Record) -> None:
    summary = few(sound, "flatten") | {"command": "\ud800"}
    directory = record(summary)
    assert "\\ud800" in reports.write_report([directory], directory / "report.html").read_text("utf-8")


def test_several_runs_are_a_history_of_which_the_newest_counts(
    sound: Json, faulty: Json, record: Record, tmp_path: Path
) -> None:
    old = record(few(faulty, "conv2d"), "old")
    new = record(few(sound, "conv2d") | {"started": "2026-11-09T03:31:08Z"}, "new")
    page = Page(reports.write_report([old, new], tmp_path / "made" / "for it" / "page.html"))
    assert "Mint agrees." in page.text
    assert "In the run before, and not in this one" in page.text
    assert "Mint: gx of conv2d is wrong when groups > 1 and stride > 1" in page.text
    assert page.text.index("2026-11-09 03:31") < page.text.index("2026-11-02 03:31")


def test_a_finding_says_whether_it_is_new(faulty: Json, record: Record, tmp_path: Path) -> None:
    runs = [few(faulty, "conv2d") | {"started": f"2026-11-{day:02}T00:00:00Z"} for day in (1, 2, 3)]
    runs[0]["findings"] = []
    runs[2]["findings"].append(faulty["findings"][2] | {"id": "other", "op": "linear"})
    page = Page(reports.write_report([record(run, run["started"][:10]) for run in runs], tmp_path / "page.html"))
    assert page.text.count("31 times, in 1 of 2 earlier runs") == 4
    assert page.text.count("31 times, new") == 1


def test_a_finding_says_with_what_it_goes_away(faulty: Json, record: Record, tmp_path: Path) -> None:
    page = Page(reports.write_report([record(faulty)], tmp_path / "page.html"))
    assert page.text.count("with what it goes awayright when its row is alone; right with one thread") == 1


def test_a_campaign_that_did_nothing_still_makes_a_page(sound: Json, record: Record) -> None:
    empty = copy.deepcopy(sound) | {"cases": 0, "vacuous": 0, "refused": 0, "ops": {}, "interrupted": True}
    directory = record(empty)
    page = Page(reports.write_report([directory], directory / "report.html"))
    assert "Nothing was compared, so nothing is proved." in page.text


def test_an_op_that_was_only_refused_still_makes_a_page(sound: Json, record: Record) -> None:
    summary = few(sound, "gelu", "conv2d")
    summary["ops"]["gelu"] |= {"tensors": {}, "closest_call": None, "cases": 0}
    directory = record(summary)
    assert "No error was measured." in Page(reports.write_report([directory], directory / "report.html")).text


def test_a_chart_has_a_line_per_voice_and_one_per_limit(sound: Json) -> None:
    results = copy.deepcopy(sound["ops"]["linear"])
    results["tensors"]["gx"]["limit"] = 16.0
    svg = ElementTree.fromstring(chart(results))
    strokes = [node.get("stroke") for node in svg.iter()]
    assert [strokes.count(f"var(--{voice})") for voice in SUBJECT_VOICES] == [1, 1, 1]
    assert strokes.count("var(--limit)") == 2
    assert chart({"tensors": {}}) == ""


def test_a_limit_stands_where_the_axis_says(sound: Json) -> None:
    svg = ElementTree.fromstring(chart(sound["ops"]["linear"]))

    def position(node: ElementTree.Element) -> float:
        return float(str(node.get("transform")).removeprefix("translate(").split(",")[0])

    ticks = {node.text: position(node) for node in svg.iter() if node.tag.endswith("text") and node.text}
    limit = next(position(node) for node in svg.iter() if node.get("stroke") == "var(--limit)")
    decade = ticks["1"] - ticks["0.1"]
    assert (limit - ticks["1"]) / decade == pytest.approx(0.60206, abs=0.02)  # log10(4), to a pixel


@pytest.mark.parametrize("library", ["jinja2", "altair", "vl_convert", "jsonschema"])
def test_missing_libraries_get_one_line(
    library: str, sound: Json, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = record(few(sound, "gelu"))
    monkeypatch.setitem(sys.modules, library, None)
    charts._picture.cache_clear()
    with pytest.raises(reports.MissingExtra) as raised:
        reports.write_report([directory], directory / "report.html")
    assert str(raised.value) == f"{library} is not installed: pip install 'mint-oracles[report]'"
    assert isinstance(raised.value, ImportError)


def test_no_directory_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(reports.BadResults, match="expected at least one result directory, got none"):
        reports.write_report([], tmp_path / "page.html")
