"""JUnit XML: one testcase per op, failing for the subject's faults alone."""

import copy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import reports

Json = dict[str, Any]


def written(summary: Json, tmp_path: Path) -> ElementTree.Element:
    reports.write_junit(summary, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    return suite


def case(suite: ElementTree.Element, op: str) -> ElementTree.Element:
    found = suite.find(f"testcase[@name='{op}']")
    assert found is not None
    return found


def test_a_sound_subject_passes_every_op(sound: Json, tmp_path: Path) -> None:
    suite = written(sound, tmp_path)
    assert [c.get("name") for c in suite.iter("testcase")] == list(sound["ops"])
    assert {c.get("classname") for c in suite.iter("testcase")} == {"Mint"}
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("26", "0", "0")
    assert suite.get("timestamp") == "2026-11-01T03:31:08"
    assert not list(suite.iter("failure"))
    assert suite.findtext("system-out") == reports.verdict(sound)


def test_only_the_subjects_faults_fail(faulty: Json, tmp_path: Path) -> None:
    suite = written(faulty, tmp_path)
    assert suite.get("failures") == "2"
    failing = [c.get("name") for c in suite.iter("testcase") if c.find("failure") is not None]
    assert sorted(failing, key=str) == ["avg_pool1d", "conv2d"]
    failure = case(suite, "conv2d").find("failure")
    assert failure is not None
    assert failure.get("type") == "wrong"
    assert "gx of conv2d is wrong when groups > 1 and stride > 1" in str(failure.get("message"))
    assert "mint replay 'conv2d x=(1,2,3,3)" in str(failure.text)
    assert "\nright when its row is alone\nright with one thread\n" in str(failure.text)
    assert "JAX: conv3d crashes when any size is 0" in str(case(suite, "conv3d").findtext("system-out"))


def test_an_op_without_a_case_is_skipped_not_passed(sound: Json, tmp_path: Path) -> None:
    summary = copy.deepcopy(sound)
    summary["ops"]["gelu"]["cases"] = 0
    suite = written(summary, tmp_path)
    assert suite.get("skipped") == "1"
    assert case(suite, "gelu").find("skipped") is not None


def test_a_finding_of_an_op_without_results_is_not_lost(faulty: Json, tmp_path: Path) -> None:
    summary = copy.deepcopy(faulty)
    del summary["ops"]["conv2d"]
    assert case(written(summary, tmp_path), "conv2d").find("failure") is not None


def test_any_text_makes_well_formed_xml(faulty: Json, tmp_path: Path) -> None:
    summary = copy.deepcopy(faulty)
    summary["subject"]["name"] = "\x00<&>\ud800"
    summary["command"] = "]]>\x1b[31m"
    for finding in summary["findings"]:
        finding["message"] = 'a "quoted"\x07 <b>\ufffe'
    failure = case(written(summary, tmp_path), "conv2d").find("failure")
    assert failure is not None
    assert 'a "quoted"\ufffd <b>\ufffd' in str(failure.text)
