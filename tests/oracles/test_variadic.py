"""Operations that take any number of arrays, such as the weights of a recurrent network."""

from dataclasses import replace

import numpy as np
import pytest

import mint
from oracles.catalogue import operation, parse
from oracles.configuration import BadDescriptor
from oracles.inputs import make_inputs
from oracles.judge import judge
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel, open_voice
from oracles.script import script
from oracles.subject import Subject
from oracles.voice import SUBJECT
from tests.oracles.test_script import run

RNN = operation("rnn")
#: The second direction has weights, but neither has biases.
DESCRIPTOR = (
    "rnn x=(2,3,2) lengths=(3,) weight_ih_l0=(3,2) weight_hh_l0=(3,3) weight_ih_l0_reverse=(3,2) "
    "weight_hh_l0_reverse=(3,3) bidirectional=True dtype=float64 fill=normal seed=1"
)
WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse")


def last_gradient_doubled(*arrays, **hyper):
    y, vjp = mint.rnn(*arrays, **hyper)

    def doubled(*cotangents):
        *others, last = vjp(*cotangents)
        return *others, 2 * last

    return y, doubled


def test_a_call_has_those_that_are_given():
    case = parse(DESCRIPTOR)
    assert str(case) == DESCRIPTOR
    inputs = make_inputs(RNN, case)
    assert tuple(inputs) == RNN.arguments(case.configuration) == ("x", "h_0", "lengths", "mask", *WEIGHTS)
    assert [name for name, array in inputs.items() if array is None] == ["h_0", "mask"]
    assert set(RNN.arrays) > set(inputs)


def test_a_name_that_none_may_have_is_refused():
    with pytest.raises(BadDescriptor, match="no array or hyper-parameter 'weight_ih_l7'"):
        parse(DESCRIPTOR.replace("weight_ih_l0_reverse", "weight_ih_l7"))


@pytest.mark.parametrize("reference", ["torch", "jax"])
def test_every_one_is_compared(reference):
    pytest.importorskip(reference, reason="compares with it")
    voice = open_voice(reference)
    judgement = judge(RNN, parse(DESCRIPTOR), Panel(NumpyVoice(last_gradient_doubled), [voice]))
    assert {tensor for name, tensor in judgement.comparisons if name == reference} == {
        "y",
        "h_n",
        "gx",
        *(f"g{name}" for name in WEIGHTS),
    }
    assert [verdict.key for verdict in judgement.verdicts] == [(SUBJECT, f"g{WEIGHTS[-1]}", "wrong")]


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts_name_those_that_are_given(framework, tmp_path):
    pytest.importorskip(framework, reason="the script imports it")
    judgement = judge(RNN, parse(DESCRIPTOR), Panel(NumpyVoice(last_gradient_doubled)))
    (verdict,) = judgement.verdicts
    guilty = replace(verdict, guilty=SUBJECT if framework == "numpy" else framework)
    program = script(RNN, judgement, guilty, Subject())
    ended = run(program, tmp_path)
    # nobody is guilty: the gradient that the script computes is right
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("gweight_hh_l0_reverse[")


def test_a_variadic_parameter_is_called_by_place_only():
    @mint.differentiable.differentiable
    def total(x, *others):
        return sum(others, x), lambda gy: (gy,) * (1 + len(others))

    one = np.ones(2)
    y, vjp = total(one, one, one)
    assert y.tolist() == [3, 3]
    assert len(vjp(one)) == 3
    with pytest.raises(TypeError, match=r"^total: others\[1\] must be a NumPy array; got float$"):
        total(one, one, 1.0)
