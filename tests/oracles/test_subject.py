"""A subject is not wrong for what it does not have."""

import pytest

from oracles.catalogue import operation, parse
from oracles.judge import judge
from oracles.panel import Panel
from oracles.subject import Subject

KERNELS = """
import mint
import numpy as np

def no_bias(x, w, *, stride=1):
    return mint.conv2d(x, w, stride=stride)

def any_keyword(x, w, b=None, **hyper):
    return mint.conv2d(x, w, b, **hyper)

def built_of(x, *rest, **hyper):
    return mint.conv2d(x, *rest, **hyper)

def ignores(x, w, b=None, *, stride=1, **others):
    return mint.conv2d(x, w, b, stride=stride)

unreadable = max
"""
PLAIN = "conv2d x=(1,1,3,3) w=(1,1,2,2) stride=2 fill=normal seed=1"
BIAS = "conv2d x=(1,1,3,3) w=(1,1,2,2) b=(1,) fill=normal seed=1"
PADDED = "conv2d x=(1,1,3,3) w=(1,1,2,2) padding=1 fill=normal seed=1"


def judgement(tmp_path, name, descriptor):
    file = tmp_path / "kernels.py"
    file.write_text(KERNELS, "utf-8")
    subject = Subject(f"{file}:{name}")
    conv2d = operation("conv2d")
    return judge(conv2d, parse(descriptor), Panel(subject.voice(subject.load(), conv2d)))


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [
        (BIAS, "not implemented: it takes 2 arrays"),
        (PADDED, "not implemented: it takes no padding"),
    ],
    ids=["an array", "a hyper-parameter"],
)
def test_what_it_has_no_parameter_for_is_not_implemented(tmp_path, descriptor, reason):
    found = judgement(tmp_path, "no_bias", descriptor)
    assert not found.verdicts
    assert found.limitations == [("subject", reason)]


@pytest.mark.parametrize("name", ["any_keyword", "built_of"])
@pytest.mark.parametrize("descriptor", [PLAIN, BIAS, PADDED])
def test_it_gets_all_that_it_has_a_place_for(tmp_path, name, descriptor):
    found = judgement(tmp_path, name, descriptor)
    assert not found.verdicts
    assert not found.limitations
    assert found.answers["subject"]["gx"].any()


def test_an_array_that_is_left_out_is_not_passed(tmp_path):
    found = judgement(tmp_path, "no_bias", PLAIN)
    assert not found.verdicts
    assert not found.limitations


def test_what_has_no_signature_is_called_as_it_is(tmp_path):
    (verdict,) = judgement(tmp_path, "unreadable", PLAIN).verdicts
    assert verdict.key == ("subject", None, "rejects-valid")


def test_a_keyword_that_is_swallowed_is_an_invalid_argument_that_is_accepted(tmp_path):
    (verdict,) = judgement(tmp_path, "ignores", f"{PLAIN} unknown=1 invalid=unknown-keyword").verdicts
    assert verdict.key == ("subject", None, "accepts-invalid")
