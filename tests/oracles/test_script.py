"""The scripts of findings: programs that stand alone and exit non-zero while the finding holds."""

import ast
import builtins
import dis
import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import oracles.linear
from oracles.catalogue import catalogue, operation, parse
from oracles.judge import judge
from oracles.layout import LAYOUTS
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel, open_voice
from oracles.precision import available_dtypes, bits, precision
from oracles.script import array_source, script
from oracles.source import function_source
from oracles.subject import Subject
from oracles.voice import SUBJECT

LINEAR = operation("linear")
PLANTED = """
import mint

def linear(x, w, b=None):
    y, vjp = mint.linear(x, w, b)
    def wrong(gy):
        gx, gw, *rest = vjp(gy)
        if x.shape[0] > 1:
            gw[1, 2] += {off}
        return gx, gw, *rest
    return y, wrong

def refuses(x, w, b=None):
    raise ValueError("no such luck")

def accepts(x, w, b=None, **anything):
    return x, None
"""


def run(program, tmp_path):
    file = tmp_path / "finding.py"
    file.write_text(program, "utf-8")
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)], capture_output=True, text=True, env=env, check=False
    )


def script_for(descriptor, name, tmp_path, off=0.5):
    file = tmp_path / "layers.py"
    file.write_text(PLANTED.format(off=off), "utf-8")
    subject = Subject(f"{file}:{name}")
    judgement = judge(LINEAR, parse(descriptor), Panel(NumpyVoice(subject.load())))
    (verdict,) = judgement.verdicts
    return file, verdict, script(LINEAR, judgement, verdict, subject)


@pytest.mark.parametrize(
    "descriptor",
    [
        "linear x=(2,3) w=(4,3) seed=1",
        "linear x=(2,3) w=(4,3) b=(4,) dtype=float64 fill=integers seed=2",
        "linear x=(2,300) w=(2,300) dtype=longdouble seed=3",
        *(f"linear x=(2,3) w=(4,3) layout.x={layout} layout.gy={layout} seed=4" for layout in LAYOUTS),
    ],
)
def test_the_script_of_a_wrong_subject_names_the_element(descriptor, tmp_path):
    file, verdict, program = script_for(descriptor, "linear", tmp_path)
    assert verdict.key == (SUBJECT, "gw", "wrong")
    assert verdict.element == (1, 2)
    ended = run(program, tmp_path)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.stderr == "wrong\n"
    element, got, *_ = re.fullmatch(r"(.*): got (.*) expected (.*) ± (.*)\n", ended.stdout).groups()
    assert element == "gw[1, 2]"
    assert float(got) == pytest.approx(float(verdict.got))
    # once it is repaired, the script says so
    file.write_text(PLANTED.format(off=0), "utf-8")
    assert run(program, tmp_path).returncode == 0


def test_the_script_of_a_refusal_raises_it(tmp_path):
    _, verdict, program = script_for("linear x=(2,3) w=(4,3)", "refuses", tmp_path)
    assert verdict.verdict == "rejects-valid"
    ended = run(program, tmp_path)
    assert ended.returncode != 0
    assert "ValueError: no such luck" in ended.stderr


def test_the_script_of_accepted_nonsense(tmp_path):
    _, verdict, program = script_for("linear x=(2,4) w=(4,3) invalid=features", "accepts", tmp_path)
    assert verdict.verdict == "accepts-invalid"
    ended = run(program, tmp_path)
    assert ended.returncode != 0
    assert "invalid arguments were accepted" in ended.stderr


def half_of_the_bias(framework, x, w, b):
    return framework.linear(x, w, b / 2)


def half_of_the_bias_jax(jax, x, w, b):
    return jax.numpy.matmul(x, w.T) + b / 2


@pytest.mark.parametrize(("framework", "dtype"), [("torch", "bfloat16"), ("jax", "float32")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_script_of_a_wrong_reference_needs_nothing_of_ours(framework, dtype, tmp_path):
    for needed in (framework, "ml_dtypes"):
        pytest.importorskip(needed)
    wrong = replace(LINEAR, torch=half_of_the_bias, jax=half_of_the_bias_jax)
    case = parse(f"linear x=(2,3) w=(4,3) b=(4,) dtype={dtype} fill=integers seed=1")
    judgement = judge(wrong, case, Panel(NumpyVoice(LINEAR.function), [open_voice(framework)]))
    assert {v.key for v in judgement.verdicts} == {(framework, "y", "wrong"), (framework, "gb", "wrong")}
    (verdict,) = (v for v in judgement.verdicts if v.tensor == "y")
    program = script(wrong, judgement, verdict, Subject())
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imported <= {framework, "numpy", "ml_dtypes", "base64"}
    ended = run(program, tmp_path)
    assert ended.stderr == "wrong\n"
    assert ended.returncode != 0
    assert ended.stdout.startswith(f"y[{', '.join(map(str, verdict.element))}]: got")


def test_nobody_writes_a_script_against_the_equations():
    judgement = judge(LINEAR, parse("linear x=(2,3) w=(4,3)"), Panel(NumpyVoice(LINEAR.function)))
    verdict = type("Verdict", (), {"guilty": "equations"})
    assert script(LINEAR, judgement, verdict, Subject()) is None


def functions():
    for op in catalogue().values():
        for framework, function in (("torch", op.torch), ("jax", op.jax)):
            if function is not None:
                yield pytest.param(function, id=f"{op.name}-{framework}")


def constants(code):
    return [constants(c) if inspect.iscode(c) else c for c in code.co_consts]


@pytest.mark.parametrize("function", list(functions()))
def test_every_reference_can_be_told_as_source(function):
    names = {"np": np}
    exec("from __future__ import annotations\nimport numpy as np\n" + function_source(function, "told"), names)
    told, function = (getattr(f, "func", f) for f in (names["told"], function))  # of a partial
    told = told.__code__
    assert told.co_varnames[: told.co_argcount] == function.__code__.co_varnames[: function.__code__.co_argcount]
    # not the bytecode: CPython 3.11 calls a method in either of two ways, by how the lines fall
    assert told.co_names == function.__code__.co_names
    assert constants(told) == constants(function.__code__)
    # everything that it calls by name is there
    used = {step.argval for step in dis.get_instructions(told) if step.opname == "LOAD_GLOBAL"}
    assert used - names.keys() <= set(dir(builtins))


def test_a_function_of_another_name_is_bound():
    source = function_source(oracles.linear.linear_jax, "call")
    assert source.startswith("def linear_jax(")
    assert source.endswith("\n\n\ncall = linear_jax")


def values(dtype, size):
    p = precision(dtype)
    normal = np.random.default_rng(0).standard_normal(size) / 3
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])[:size]
    figures = np.array([p.largest, p.smallest_subnormal, -p.smallest_normal, 1 + 2 * p.unit_roundoff], p.truth)
    return np.concatenate([normal, special, figures]).astype(p.dtype)


# NumPy reads the largest longdouble from its decimal text rightly, and warns of an overflow all the same
@pytest.mark.filterwarnings("ignore:overflow encountered in conversion from string")
@pytest.mark.parametrize("size", [5, 500])
@pytest.mark.parametrize("dtype", available_dtypes())
def test_an_array_is_told_bit_for_bit(dtype, size):
    given = values(dtype, size)
    for array in (
        given,
        given[:0].reshape(0, 3),
        given[:0].reshape(2, 0),
        given[:0],
        given[0].reshape(()),
        given[:4].reshape(2, 2),
    ):
        assert_told(array)


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.array([], np.int32), np.array(7), np.arange(400)])
def test_integers_are_told(array):
    assert_told(array)


def assert_told(array):
    source = array_source(array)
    names = {"np": np, "inf": np.inf, "nan": np.nan}
    exec("import base64", names)
    if "ml_dtypes" in source:
        exec("import ml_dtypes", names)
    again = eval(source, names)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.flags.writeable
    assert bits(again) == bits(array)
