"""Campaigns: the same whoever does the work, and a child that dies or hangs costs the case that it held."""

import json
import os
import re
import signal
import threading
import time
import xml.etree.ElementTree as ET

import pytest

import reports
from oracles import campaign
from oracles.campaign import Plan, run_campaign
from oracles.catalogue import operation, parse
from oracles.subject import BadSubject, Subject
from oracles.voice import SUBJECT

SUBJECTS = """
import os, pathlib, time
import mint
import numpy as np

ONCE = pathlib.Path({once!r})

def aborts(x):
    if np.isnan(x).any():
        os.write(2, b"kernel\\npanic")
        os.abort()
    return mint.relu(x)

def hangs_once(x):
    if np.isnan(x).any() and not ONCE.exists():
        ONCE.touch()
        time.sleep(1000)
    return mint.relu(x)

if ONCE.with_name("exit").exists():
    os._exit(5)
"""


def plan(subject=None, *, workers=1, cases=40, seed=1, dtypes=("float32",), seconds=None, ops=("relu",)):
    # without references nothing is loaded, and a campaign takes a second
    return Plan(ops, dtypes, (), subject or Subject(), seed, seconds, cases, workers, "mint fuzz")


def silent(*told):
    del told


def run(*arguments, **more):
    return run_campaign(plan(*arguments, **more), silent)


@pytest.fixture
def subject(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(SUBJECTS.format(once=str(tmp_path / "once")), "utf-8")
    return lambda name: Subject(f"{file}:{name}")


def test_the_same_seed_gives_the_same_cases_to_one_worker_or_two():
    ops, dtypes = ("relu", "linear"), ("float32", "float64")
    alone, together = (run(workers=workers, cases=100, seed=11, ops=ops, dtypes=dtypes) for workers in (1, 2))
    for name in ops:
        assert alone.records[name].as_json(name) == together.records[name].as_json(name)
    assert alone.cases == together.cases >= 100
    assert not alone.findings


def test_another_seed_gives_other_cases():
    one, again, other = (next(plan(seed=seed).tasks()).number for seed in (1, 1, 2))
    assert one == again != other


def test_a_subject_that_aborts_costs_the_cases_it_held(subject):
    healthy, outcome = run(), run(subject("aborts"))
    (key,) = {key for key in outcome.findings if key[0] == SUBJECT}
    assert key == (SUBJECT, "relu", None, "crash")
    finding = outcome.findings[key]
    case = parse(finding.as_json()["descriptor"])
    assert case.fill == "special"
    assert case.configuration.op == "relu"
    assert "kernel panic" in finding.verdict.message
    assert outcome.subject_is_wrong
    # one in eight cases is special, and has a NaN or not
    assert healthy.cases * 7 / 8 - 1 <= outcome.cases <= healthy.cases


def test_a_subject_that_hangs_is_stopped(subject, monkeypatch):
    monkeypatch.setattr(campaign, "TASK_SECONDS", 4.0)
    begun = time.monotonic()
    outcome = run(subject("hangs_once"))
    assert time.monotonic() - begun < 60
    assert list(outcome.findings) == [(SUBJECT, "relu", None, "hang")]
    (finding,) = outcome.findings.values()
    assert parse(str(finding.first)).fill == "special"
    assert outcome.cases > 40


def test_a_subject_that_cannot_be_found(subject):
    with pytest.raises(BadSubject, match="has no Relu; it has aborts, hangs_once"):
        run(subject("Relu"))


def test_a_subject_that_ends_the_process_on_import(subject, tmp_path):
    (tmp_path / "exit").touch()
    with pytest.raises(campaign.CampaignFailed, match="the process ended with status 5") as raised:
        run(subject("aborts"))
    assert "\n" not in str(raised.value)


def test_a_time_budget_is_kept():
    begun = time.monotonic()
    outcome = run(cases=None, seconds=1.0)
    assert time.monotonic() - begun < 30
    assert outcome.elapsed >= 1
    assert not outcome.interrupted


def test_tasks_go_over_all_operations_in_one_dtype_and_then_in_the_next():
    tasks = plan(ops=("relu", "tanh"), dtypes=("float16", "float32")).tasks()
    first = [next(tasks) for _ in range(6)]
    assert [task.op for task in first] == ["relu", "tanh"] * 3
    assert [task.dtype for task in first[::2]] == ["float32", "float16", "float32"]
    assert len({(task.op, task.number) for task in first}) == 6


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
@pytest.mark.parametrize("when", ["at once", "in the middle"])
def test_ctrl_c_ends_at_once_with_what_was_done(when, start_mint, tmp_path):
    pytest.importorskip("jsonschema")
    out = tmp_path / "out"
    with start_mint("fuzz", "relu", "tanh", "--time", "100s", "--workers", 2, "--seed", 3, "--out", out) as process:
        # the end of the header tells that the campaign has begun
        wanted = "loading" if when == "at once" else "fuzzing"
        for line in process.stdout:
            if wanted in line:
                break
        time.sleep(0 if when == "at once" else 2)
        # as a terminal does: to the program and to its workers
        os.killpg(process.pid, signal.SIGINT)
        begun = time.monotonic()
        output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    assert process.returncode == 130
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    reports.validate(summary)
    assert summary["interrupted"] is True
    if when == "in the middle":
        assert summary["cases"] > 0
    assert "Report: " in output or "Results: " in output


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_is_heard_where_no_lock_is_held():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread hears signals")
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def press(*told):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(told)  # not raised here: between two steps of a lock it would block a thread for ever

    assert run_campaign(plan(cases=None, seconds=60.0), press).interrupted
    assert reached
    assert signal.getsignal(signal.SIGINT) is before


def test_everything_that_a_campaign_writes(run_mint, tmp_path):
    pytest.importorskip("jsonschema")
    out = tmp_path / "out"
    file = tmp_path / "layers.py"
    file.write_text(
        "import mint\ndef relu(x):\n    y, vjp = mint.relu(x)\n    return y, lambda gy: (2 * vjp(gy)[0],)\n"
    )
    status, output = run_mint(
        *("fuzz", "relu", "--cases", 40, "--seed", 1, "--workers", 1, "--out", out, "--subject", f"{file}:relu")
    )
    assert status == 1
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    reports.validate(summary)
    assert summary["interrupted"] is False
    assert summary["seed"] == 1
    assert summary["cases"] >= 40
    (finding,) = summary["findings"]
    assert (finding["guilty"], finding["op"], finding["tensor"], finding["verdict"]) == (
        "subject",
        "relu",
        "gx",
        "wrong",
    )
    assert re.fullmatch(r"relu x=\((1,)+1?\)( .*)?|relu x=\(\) .*", finding["descriptor"])
    assert operation("relu").parse(finding["descriptor"])
    assert (out / finding["script"]).is_file()
    junit = ET.parse(out / "junit.xml").getroot()
    assert junit.tag == "testsuites"
    assert int(junit.get("failures")) >= 1
    assert not list(out.glob("*.partial"))
    # the verdict and the place of the results stand at the end
    assert str(out) in output.splitlines()[-1]
