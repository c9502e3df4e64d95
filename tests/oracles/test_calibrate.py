"""What `mint calibrate` keeps of what is known, and what it forgets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oracles import limits
from oracles.command_line import main

#: Of another machine: a worst ratio that cannot be, an operation and a tensor that are not measured here.
KNOWN = {"worst": 15.5, "limit": 31.0, "machine": "another", "descriptor": ""}
ELSEWHERE = {"relu": {"y": {"full": KNOWN}}, "elu": {"y": {"full": {**KNOWN, "worst": 0.5}}}}


@pytest.mark.parametrize("afresh", [False, True])
def test_calibrations_add_up_unless_begun_afresh(afresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "calibration", lambda: {"limits": ELSEWHERE})
    file = tmp_path / "limits.json"
    options = ["--configurations", "1", "--workers", "1", "--out", str(file), *(["--afresh"] if afresh else [])]
    assert CliRunner().invoke(main, ["calibrate", "relu", *options]).exit_code == 0
    written = json.loads(file.read_text())["limits"]
    assert written["elu"] == ELSEWHERE["elu"]
    assert (written["relu"]["y"]["full"] == KNOWN) is not afresh
    measured = written["relu"]["gx"]["full"]
    assert measured["machine"] != "another"
    assert 0 <= measured["worst"] < KNOWN["worst"]
