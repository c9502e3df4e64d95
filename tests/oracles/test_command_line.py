"""The program `mint`: what it prints, its exit status, and that bad input gets one clear line."""

import json
import os
import re

import pytest
from click.testing import CliRunner

from oracles.catalogue import catalogue
from oracles.command_line import main
from oracles.subject import Subject

SUBJECTS = """
import mint

NUMBER = 7

def relu(x):
    return mint.relu(x)

def raises(x, **anything):
    raise RuntimeError("the kernel\\nfell over")

def wrong(x):
    y, vjp = mint.relu(x)
    return y, lambda gy: (gy,)

def wrong_in_batches(x):
    y, vjp = mint.relu(x)
    return y + (len(x) - 1), vjp

CALLS = []

def by_turns(x):
    y, vjp = mint.relu(x)
    CALLS.append(1)
    return y * y.dtype.type(1 + len(CALLS) * 2e-7), vjp
"""


@pytest.fixture
def subject(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(SUBJECTS, "utf-8")
    return file


def mint(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def one_line(output):
    """The line that says what was wrong; it is the last one."""
    *_, last = output.splitlines()
    assert last.startswith("mint: ")
    return last


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fuzz", "conv2"), "unknown operation 'conv2'; did you mean conv2d"),
        (("fuzz", "nonsense"), "`mint ops` lists them"),
        (("ops", "conv2"), "did you mean conv2d"),
        (("fuzz", "relu", "--time", "soon"), "--time: expected a duration such as 60s, 20m or 1.5h, got 'soon'"),
        (("fuzz", "relu", "--time", "0"), "--time: expected a duration"),
        (("fuzz", "relu", "--time", "-5s"), "--time: expected a duration"),
        (("fuzz", "relu", "--time", ""), "--time: expected a duration"),
        (("fuzz", "relu", "--cases", "0"), "--cases"),
        (("fuzz", "relu", "--cases", "many"), "--cases"),
        (("fuzz", "relu", "--seed", "-1"), "--seed"),
        (("fuzz", "relu", "--workers", "0"), "--workers"),
        (("fuzz", "relu", "--dtype", "float8"), "unknown dtype 'float8'; expected one of float32"),
        (("fuzz", "relu", "--reference", "tensorflow"), "tensorflow"),
        (("fuzz", "relu", "--framework", "fortran"), "fortran"),
        (("fuzz", "relu", "--framework", "torch"), "--framework: Mint is written in numpy"),
        (("replay", "relu x=(2,)", "--framework", "torch"), "--framework: Mint is written in numpy"),
        (("fuzz", "relu", "--frobnicate"), "--frobnicate"),
        (("frobnicate",), "frobnicate"),
        (("replay",), "DESCRIPTOR"),
        (("replay", ""), "descriptor: it is empty"),
        (("replay", "frobnicate x=(2,)"), "unknown operation 'frobnicate'"),
        (("replay", "relu x=3"), "x must be a shape such as (2,3)"),
        (("replay", "relu x=(2,) dtype=float8"), "unknown dtype 'float8'"),
        (("report",), "DIR"),
    ],
)
def test_bad_input_gets_one_line(arguments, said):
    status, output = mint(*arguments)
    assert status == 2
    assert said in one_line(output)
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("command", [("fuzz", "relu", "--cases", "1"), ("replay", "relu x=(2,)")])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("layers.py", "expected FILE.py:NAME"),
        (":relu", "expected FILE.py:NAME"),
        ("layers.py:", "expected FILE.py:NAME"),
        ("layers.py:a-b", "expected FILE.py:NAME"),
        ("nowhere.py:relu", "there is no file"),
        (".:relu", "there is no file ."),
    ],
)
def test_a_subject_that_is_not_there(command, name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.py").write_text("")
    status, output = mint(*command, "--subject", name)
    assert status == 2
    assert output.count("\n") == 1
    assert said in one_line(output)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_subject(subject):
    subject.chmod(0)
    status, output = mint("fuzz", "relu", "--subject", f"{subject}:relu")
    assert status == 2
    assert "cannot be read: Permission denied" in one_line(output)


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        (SUBJECTS, "Relu", "has no Relu; it has relu, raises, wrong"),
        ("", "relu", "has no relu; it has no function"),
        (SUBJECTS, "NUMBER", "NUMBER in FILE is a int, expected a callable"),
        ("import no_such_thing", "relu", "importing FILE raised ModuleNotFoundError: No module named 'no_such_thing'"),
        ("def relu(x:", "relu", "importing FILE raised SyntaxError"),
        ("raise SystemExit(3)", "relu", "importing FILE raised SystemExit: 3"),
        ("\0", "relu", "importing FILE raised"),
        ("raise ValueError('two\\nlines')", "relu", "importing FILE raised ValueError: two lines"),
    ],
)
def test_a_subject_that_cannot_be_used(source, name, said, subject):
    subject.write_text(source, "utf-8")
    status, output = mint("replay", "relu x=(2,)", "--subject", f"{subject}:{name}")
    assert status == 2
    assert said.replace("FILE", str(subject)) in one_line(output)
    assert output.count("\n") == 1


@pytest.mark.usefixtures("workers_without_frameworks")
@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("Relu", (), "has no Relu"),
        ("relu", ("--framework", "torch"), "PyTorch cannot be loaded: torch is broken here"),
        ("relu", ("--framework", "jax"), "JAX cannot be loaded: jax is broken here"),
    ],
)
def test_a_campaign_on_a_subject_that_cannot_be_used(name, more, said, subject, tmp_path):
    status, output = mint(
        *("fuzz", "relu", "--cases", 1, "--workers", 1, "--out", tmp_path / "out"),
        *("--subject", f"{subject}:{name}", *more),
    )
    assert status == 2
    assert said in one_line(output)


def test_a_subject_without_the_operation_that_it_implements(subject):
    status, output = mint("fuzz", "--subject", f"{subject}:relu")
    assert status == 2
    assert "name the operation that it implements" in one_line(output)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_unwritable_folder(place, tmp_path):
    (tmp_path / "file").write_text("")  # not even root can make a folder here
    status, output = mint("fuzz", "relu", "--out", tmp_path / place)
    assert status == 2
    assert re.fullmatch(r"mint: --out: cannot write to .*: (File exists|Not a directory)\n", output)


def results(folder):
    return json.loads((folder / "summary.json").read_text("utf-8"))


@pytest.mark.usefixtures("workers_without_frameworks")
def test_a_subject_that_raises_on_every_call(subject, tmp_path):
    out = tmp_path / "out"
    status, output = mint(
        *("fuzz", "relu", "--cases", 9, "--seed", 1, "--workers", 1, "--dtype", "float32"),
        *("--out", out, "--subject", f"{subject}:raises"),
    )
    assert status == 1
    findings = results(out)["findings"]
    assert {(f["guilty"], f["verdict"]) for f in findings} == {("subject", "crash")}
    assert "raised RuntimeError: the kernel fell over" in {f["message"] for f in findings}
    assert all("\n" not in finding["message"] for finding in findings)
    # both frameworks are missing, and it says so
    assert "without torch: PyTorch cannot be loaded: torch is broken here" in output
    assert "without jax: JAX cannot be loaded: jax is broken here" in output


def test_replaying_twice_prints_the_same(run_mint):
    arguments = ("replay", "relu x=(3,4) dtype=longdouble seed=7")
    first, second = run_mint(*arguments), run_mint(*arguments)
    assert first == second
    status, output = first
    assert status == 0
    assert re.search(r"^inputs   [0-9a-f]{16}$", output, re.MULTILINE)
    assert re.search(r"^subject  [0-9a-f]{16}$", output, re.MULTILINE)
    assert output.endswith("ok\n")


def test_replaying_shapes_that_do_not_fit(run_mint):
    status, output = run_mint("replay", "linear x=(2,3) w=(4,5)")
    assert status == 2
    assert "the equations cannot compute this case" in one_line(output)


def test_replaying_a_case_in_which_the_subject_is_wrong(subject, run_mint):
    status, output = run_mint("replay", "relu x=(30,) seed=7", "--subject", f"{subject}:wrong")
    assert status == 1
    assert "subject: wrong: gx[" in output


def test_replaying_says_with_what_a_fault_goes_away(subject, run_mint):
    status, output = run_mint("replay", "relu x=(3,4) seed=7", "--subject", f"{subject}:wrong_in_batches")
    assert status == 1
    assert "subject: wrong: y[" in output
    assert output.endswith("\n  y: right when its row is alone\n")


def test_replaying_repeats_the_call(subject, run_mint):
    status, output = run_mint("replay", "relu x=(3,4) seed=7", "--subject", f"{subject}:by_turns")
    assert status == 1
    assert "subject: nondeterministic: y differs when the whole call is made again" in output


@pytest.mark.parametrize("missing", ["torch", "jax"])
def test_with_one_framework_missing_the_other_goes_on(missing, blocked, run_mint):
    other = {"torch": "jax", "jax": "torch"}[missing]
    pytest.importorskip(other)
    status, output = run_mint("replay", "relu x=(30,) seed=7", path=blocked(missing))
    assert status == 0
    assert re.search(
        rf"^without {missing}: (PyTorch|JAX) cannot be loaded: {missing} is broken here$", output, re.MULTILINE
    )
    assert re.search(rf"^{other} +[0-9a-f]{{16}}$", output, re.MULTILINE)


def test_a_campaign_goes_on_with_the_other_framework(blocked, run_mint, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "out"
    status, output = run_mint(
        *("fuzz", "relu", "--cases", 9, "--workers", 1, "--seed", 1, "--dtype", "float32", "--out", out),
        path=blocked("jax"),
    )
    assert status == 0
    assert "without jax: JAX cannot be loaded: jax is broken here" in output
    summary = results(out)
    assert summary["references"]["torch"] == {"version": summary["environment"]["torch"], "note": None}
    assert summary["references"]["jax"] == {"version": None, "note": "JAX cannot be loaded: jax is broken here"}
    assert summary["ops"]["relu"]["references"].keys() == {"torch", "equations"}


def test_the_catalogue():
    status, output = mint("ops")
    assert status == 0
    assert [line.split()[0] for line in output.splitlines()] == list(catalogue())


@pytest.mark.parametrize("name", list(catalogue()))
def test_all_about_one_operation(name):
    status, output = mint("ops", name)
    assert status == 0
    for word in (*catalogue()[name].arrays, *catalogue()[name].defaults, "limits", "PyTorch", "JAX"):
        assert word in output


def test_a_report_of_nothing(tmp_path):
    status, output = mint("report", tmp_path / "nowhere")
    assert status == 2
    assert "no such file; expected a folder written by mint fuzz" in one_line(output)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 99}', "\udcff"])
def test_a_report_of_something_corrupt(content, tmp_path):
    (tmp_path / "summary.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    status, output = mint("report", tmp_path)
    assert status == 2
    assert str(tmp_path / "summary.json") in one_line(output)
    assert len(output.splitlines()) == 1


def test_a_subject_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_the_subject.py").write_text("from mint import relu")
    file = tmp_path / "layer_with_a_neighbour.py"
    file.write_text("from neighbour_of_the_subject import relu")
    assert Subject(f"{file}:relu").load().__name__ == "relu"
