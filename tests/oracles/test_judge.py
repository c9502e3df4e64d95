"""Who is accused: small planted faults, and the verdict that each must get."""
# ruff: noqa: ARG001, ARG002 - the fakes have the signatures of the real ones

from dataclasses import replace

import numpy as np
import pytest

import mint
from oracles import equations
from oracles.catalogue import operation, parse
from oracles.judge import judge
from oracles.judgement import EQUATIONS, UNDETERMINED
from oracles.numpy_voice import NumpyVoice
from oracles.operation import Limitation
from oracles.panel import Panel, open_voice
from oracles.voice import SUBJECT, Answer, named_gradients

LINEAR = operation("linear")
CASE = parse("linear x=(2,3) w=(4,3) b=(4,) seed=5")
INVALID = parse("linear x=(2,4) w=(4,3) invalid=features")


class Fake:
    """A reference made of a NumPy function."""

    version = "1"
    flushes_subnormals = ()

    def __init__(self, name, function=mint.linear, dtypes=("float32", "float64")):
        self.name, self.function, self.dtypes = name, function, dtypes
        self.asked = []

    def supports(self, dtype):
        return dtype in self.dtypes

    def accepts(self, op, case, arrays):
        self.function(*arrays.values(), **case.configuration.hyper)

    def answer(self, op, case, arrays, cotangents):
        self.asked.append(case)
        y, vjp = self.function(*arrays.values(), **case.configuration.hyper)
        return Answer(op.named(y) | named_gradients(arrays, vjp(*cotangents.values())))


def off(by, tensor="y", function=mint.linear):
    """`linear` with one tensor off by so much."""

    def wrong(x, w, b=None):
        y, vjp = function(x, w, b)
        # the dtype of x, and not that of a Python number
        more = np.asarray(by, x.dtype)

        def wrong_vjp(gy):
            return tuple(g + more if tensor == name else g for name, g in zip(("gx", "gw", "gb"), vjp(gy), strict=True))

        return (y + more if tensor == "y" else y), wrong_vjp

    return wrong


def verdicts(subject=mint.linear, references=(), op=LINEAR, case=CASE):
    judgement = judge(op, case, Panel(subject and NumpyVoice(subject), references))
    return {verdict.key for verdict in judgement.verdicts}


def test_nobody_is_wrong():
    torch, jax = Fake("torch"), Fake("jax")
    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(mint.linear), [torch, jax]))
    assert judgement.verdicts == []
    assert judgement.compared == ["torch", "jax"]
    assert not judgement.vacuous
    assert judgement.comparisons.keys() == {
        (voice, tensor) for voice in (SUBJECT, "torch", "jax") for tensor in ("y", "gx", "gw", "gb")
    }
    assert len(torch.asked) == 1  # nobody is past a limit, so nobody is asked twice


@pytest.mark.parametrize("tensor", ["y", "gx", "gw", "gb"])
@pytest.mark.parametrize("references", [0, 1, 2])
def test_the_subject_is_wrong(tensor, references):
    panel = [Fake("torch"), Fake("jax")][:references]
    assert verdicts(off(1e-3, tensor), panel) == {(SUBJECT, tensor, "wrong")}


@pytest.mark.parametrize("guilty", ["torch", "jax"])
def test_a_reference_is_wrong(guilty):
    panel = [Fake(name, off(1e-3, "gw") if name == guilty else mint.linear) for name in ("torch", "jax")]
    assert verdicts(mint.linear, panel) == {(guilty, "gw", "wrong")}


def test_a_reference_that_is_wrong_in_single_precision_alone():
    def wrong(x, w, b=None):
        return (off(1e-3) if x.dtype == np.float32 else mint.linear)(x, w, b)

    torch = Fake("torch", wrong)
    assert verdicts(mint.linear, [torch, Fake("jax")]) == {("torch", "y", "wrong")}


def test_subject_and_reference_are_wrong_each_in_its_own_way():
    assert verdicts(off(1e-3), [Fake("torch", off(-2e-3)), Fake("jax")]) == {
        (SUBJECT, "y", "wrong"),
        ("torch", "y", "wrong"),
    }


def planted_equations(by):
    # the scale comes from the right equations: it is the truth that is planted
    def scale(x, w, b, gy):
        y, vjp = equations.linear(*(None if a is None else np.abs(a) for a in (x, w, b)))
        return (y, *vjp(np.abs(gy)))

    return replace(LINEAR, equations=off(by, function=equations.linear), scale=scale)


def test_the_equations_are_wrong_where_two_references_agree():
    panel = [Fake("torch"), Fake("jax")]
    assert verdicts(mint.linear, panel, planted_equations(1e-3)) == {(EQUATIONS, "y", "wrong")}


def test_the_subject_sides_with_the_only_reference_against_the_equations():
    assert verdicts(mint.linear, [Fake("torch")], planted_equations(1e-3)) == {(EQUATIONS, "y", "wrong")}


def test_the_subject_is_judged_by_the_references_when_the_equations_are_wrong():
    panel = [Fake("torch"), Fake("jax")]
    assert verdicts(off(-1e-3), panel, planted_equations(1e-3)) == {
        (EQUATIONS, "y", "wrong"),
        (SUBJECT, "y", "wrong"),
    }


def test_nobody_is_accused_when_no_two_agree():
    panel = [Fake("torch", off(1e-2)), Fake("jax", off(-1e-2))]
    assert verdicts(mint.linear, panel, planted_equations(1e-3)) == {(UNDETERMINED, "y", "wrong")}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda y: y[:1], "y has shape (1, 4), expected (2, 4)"),
        (lambda y: y.T, "y has shape (4, 2), expected (2, 4)"),
        (lambda y: y.astype(np.float64), "y has dtype float64, expected float32"),
        (lambda y: y.tolist(), "y is a list, expected an array"),
        (lambda y: None, "y is missing"),
    ],
)
def test_a_malformed_output(spoil, said):
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return spoil(y), vjp

    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(subject)))
    (verdict,) = judgement.verdicts
    assert (verdict.key, verdict.message) == ((SUBJECT, "y", "wrong"), said)


def test_a_malformed_gradient():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: (vjp(gy)[0].astype(np.float64), vjp(gy)[1].T, vjp(gy)[2])

    assert verdicts(subject) == {(SUBJECT, "gx", "wrong"), (SUBJECT, "gw", "wrong")}


def test_a_forward_only_subject_is_judged_by_its_output():
    def forward(x, w, b=None):
        return mint.linear(x, w, b)[0]

    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(forward)))
    assert judgement.verdicts == []
    assert list(judgement.comparisons) == [(SUBJECT, "y")]


def test_a_reference_may_not_leave_a_gradient_out():
    class Forgetful(Fake):
        def answer(self, *arguments):
            answer = super().answer(*arguments)
            del answer.tensors["gw"]
            return answer

    assert verdicts(mint.linear, [Forgetful("torch")]) == {("torch", "gw", "wrong")}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ValueError("no"), "rejects-valid"),
        (TypeError("no"), "rejects-valid"),
        (ZeroDivisionError("no"), "crash"),
        (IndexError("no"), "crash"),
        (RecursionError("no\nat all"), "crash"),
    ],
)
def test_a_subject_that_raises_on_valid_input(error, verdict):
    def subject(*arrays):
        raise error

    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(subject)))
    (found,) = judgement.verdicts
    assert found.key == (SUBJECT, None, verdict)
    assert found.message == f"raised {type(error).__name__}: {' '.join(str(error).split())}"


def test_what_a_voice_does_not_implement_is_a_limitation():
    def subject(*arrays):
        raise NotImplementedError("no bias")

    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(subject), [Fake("torch")]))
    assert judgement.verdicts == []
    assert judgement.limitations == [(SUBJECT, "not implemented: no bias")]


@pytest.mark.parametrize("missing", ["gx", "gw", "gb"])
def test_a_vjp_that_leaves_a_gradient_out(missing):
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: tuple(
            None if name == missing else g for name, g in zip(("gx", "gw", "gb"), vjp(gy), strict=True)
        )

    assert verdicts(subject) == {(SUBJECT, missing, "wrong")}


def test_a_vjp_that_stops_short():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: vjp(gy)[0]

    assert verdicts(subject) == {(SUBJECT, "gw", "wrong"), (SUBJECT, "gb", "wrong")}
    # without a bias its gradient is not due
    assert verdicts(subject, case=parse("linear x=(2,3) w=(4,3)")) == {(SUBJECT, "gw", "wrong")}


def test_what_pytorch_does_not_differentiate_may_be_left_out():
    def subject(x, target, weight=None):
        y, vjp = mint.cross_entropy(x, target, weight)
        return y, lambda gy: (vjp(gy)[0], None, None)

    case = parse("cross_entropy x=(4,3) target=(4,) weight=(3,) seed=1")
    assert verdicts(subject, op=operation("cross_entropy"), case=case) == set()


def test_a_reference_that_raises_on_valid_input():
    def refuse(*arrays):
        raise RuntimeError("not today")

    assert verdicts(mint.linear, [Fake("torch", refuse), Fake("jax")]) == {("torch", None, "rejects-valid")}


def accept(*arrays):
    return np.zeros(1), None


def refuse(*arrays):
    raise ValueError("do not fit")


def divide(*arrays):
    return 1 // 0


@pytest.mark.parametrize(
    ("subject", "references", "expected"),
    [
        (mint.linear, [], set()),
        (mint.linear, [refuse], set()),
        (accept, [], {"accepts-invalid"}),
        (accept, [refuse], {"accepts-invalid"}),
        (accept, [accept], set()),
        (accept, [accept, refuse], {"accepts-invalid"}),
        (refuse, [accept], {"rejects-valid"}),
        (refuse, [accept, accept], {"rejects-valid"}),
        (refuse, [accept, refuse], set()),
        (divide, [refuse], {"crash"}),
        (divide, [], {"crash"}),
    ],
)
def test_invalid_arguments(subject, references, expected):
    panel = [Fake(name, function) for name, function in zip(("torch", "jax"), references, strict=False)]
    judgement = judge(LINEAR, INVALID, Panel(NumpyVoice(subject), panel))
    assert {v.verdict for v in judgement.verdicts} == expected
    assert all(v.guilty == SUBJECT and v.tensor is None for v in judgement.verdicts)
    assert judgement.refused == (references == [] or refuse in references)


def test_a_subject_that_changes_its_input():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x.copy(), w, b)
        x *= 2
        return y, vjp

    def in_the_vjp(x, w, b=None):
        y, vjp = mint.linear(x, w, b)

        def careless(gy):
            gradients = vjp(gy)
            gy *= 0.5
            return gradients

        return y, careless

    assert (SUBJECT, None, "mutates-input") in verdicts(subject)
    assert (SUBJECT, None, "mutates-input") in verdicts(in_the_vjp)


def test_a_read_only_input_that_is_written_to_is_a_refusal():
    def subject(x, w, b=None):
        x *= 1
        return mint.linear(x, w, b)

    case = parse("linear x=(2,3) w=(4,3) layout.x=read_only seed=5")
    assert verdicts(subject, case=case) == {(SUBJECT, None, "rejects-valid")}


def test_a_vjp_that_can_be_called_only_once():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        calls = iter((1, 2))

        def once(gy):
            factor = np.float32(next(calls))
            return tuple(factor * g for g in vjp(gy))

        return y, once

    assert verdicts(subject) == {(SUBJECT, t, "nondeterministic") for t in ("gx", "gw", "gb")}


def test_a_vjp_that_changes_the_output():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)

        def clobbering(gy):
            gradients = vjp(gy)
            y[...] = 0
            return gradients

        return y, clobbering

    assert (SUBJECT, "y", "nondeterministic") in verdicts(subject)


def test_an_output_that_is_the_input_itself():
    flatten = operation("flatten")

    def subject(x, start_dim=0, end_dim=-1):
        return x.reshape(-1), lambda gy: (gy.reshape(x.shape),)

    assert verdicts(subject, op=flatten, case=parse("flatten x=(2,3)")) == {
        (SUBJECT, "y", "shares-memory"),
        (SUBJECT, "gx", "shares-memory"),
    }


def test_a_backward_of_its_own():
    def backward(gy, x, w, b):
        return gy @ w, gy.T @ x, gy.sum(0)

    def wrong_backward(gy, x, w, b):
        return gy @ w, gy.T @ x, gy.mean(0)

    def forward(x, w, b=None):
        return mint.linear(x, w, b)[0]

    voice = NumpyVoice(forward, backward=backward)
    assert judge(LINEAR, CASE, Panel(voice)).verdicts == []
    voice = NumpyVoice(forward, backward=wrong_backward)
    assert [v.key for v in judge(LINEAR, CASE, Panel(voice)).verdicts] == [(SUBJECT, "gb", "wrong")]


@pytest.mark.parametrize(
    ("descriptor", "vacuous"),
    [
        ("relu x=(0,3)", True),
        ("relu x=(1,) fill=ties seed=0", None),
        ("relu x=(40,)", False),
        ("relu x=(40,) fill=ties", False),
    ],
)
def test_a_case_that_proves_nothing_is_vacuous(descriptor, vacuous):
    judgement = judge(operation("relu"), parse(descriptor), Panel(NumpyVoice(mint.relu)))
    assert judgement.verdicts == []
    if vacuous is None:
        vacuous = all((t == 0).all() for t in judgement.truth.values())
    assert judgement.vacuous is vacuous


def test_a_limitation_is_counted_and_not_compared():
    limited = replace(LINEAR, limitations=(Limitation("torch", "it cannot", lambda case: case.fill == "normal"),))
    torch = Fake("torch", off(1))
    judgement = judge(limited, CASE, Panel(NumpyVoice(mint.linear), [torch, Fake("jax")]))
    assert judgement.limitations == [("torch", "it cannot")]
    assert judgement.compared == ["jax"]
    assert judgement.verdicts == []
    assert torch.asked == []
    # where it does not apply the reference is asked, and found wrong
    assert verdicts(mint.linear, [torch], limited, replace(CASE, fill="wide")) == {("torch", "y", "wrong")}


def test_a_limitation_to_some_tensors_leaves_the_others_compared():
    limited = replace(LINEAR, limitations=(Limitation("torch", "no gb", tensors=("gb",)),))
    judgement = judge(limited, CASE, Panel(NumpyVoice(mint.linear), [Fake("torch", off(1, "gb"))]))
    assert judgement.verdicts == []
    assert judgement.compared == ["torch"]
    assert ("torch", "gb") not in judgement.comparisons
    assert ("torch", "gw") in judgement.comparisons


def test_a_reference_that_flushes_subnormals_sits_out_those_cases():
    jax = Fake("jax")
    jax.flushes_subnormals = ("float32",)
    judgement = judge(LINEAR, replace(CASE, fill="subnormal"), Panel(NumpyVoice(mint.linear), [jax]))
    assert judgement.limitations == [("jax", "jax flushes subnormal numbers to zero")]
    assert jax.asked == []


def test_longdouble_is_not_compared_with_torch():
    pytest.importorskip("torch")
    judgement = judge(LINEAR, CASE.at("longdouble"), Panel(NumpyVoice(mint.linear), [open_voice("torch")]))
    assert judgement.limitations == [("torch", "torch has no longdouble")]
    assert judgement.compared == []
    assert judgement.verdicts == []
    assert (SUBJECT, "y") in judgement.comparisons


def test_every_voice_is_announced_before_it_runs():
    heard = []
    panel = Panel(NumpyVoice(mint.linear), [Fake("torch")], lambda voice, case: heard.append((voice, str(case))))
    judge(LINEAR, CASE, panel)
    judge(LINEAR, INVALID, panel)
    assert sorted(heard) == sorted((voice, str(case)) for voice in (SUBJECT, "torch") for case in (CASE, INVALID))


def test_the_verdict_shows_all_voices_at_the_worst_element():
    judgement = judge(LINEAR, CASE, Panel(NumpyVoice(off(1e-3)), [Fake("torch")]))
    (verdict,) = judgement.verdicts
    assert verdict.voices.keys() == {SUBJECT, "torch", EQUATIONS}
    assert verdict.voices[SUBJECT] == (verdict.got, verdict.error_ratio)
    assert verdict.voices[EQUATIONS] == (verdict.expected, 0.0)
    assert verdict.error_ratio > verdict.limit
    i, j = verdict.element
    assert float(verdict.got) - float(judgement.truth["y"][i, j]) == pytest.approx(1e-3, rel=1e-2)


def torch_told(function, descriptor="relu x=(2,3) seed=0"):
    voice = open_voice("torch", function)
    return {v.key[1:]: v.message for v in judge(operation("relu"), parse(descriptor), Panel(voice)).verdicts}


def test_a_subject_in_torch_is_heard_on_memory_and_repetition():
    torch = pytest.importorskip("torch")
    buffer, calls = torch.zeros(2, 3), []

    def overwrites(x):
        y = torch.relu(x)
        x.data.mul_(2)
        return y

    def cached(x):
        buffer.copy_(torch.relu(x).detach())
        return Kept.apply(x)

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return buffer

        @staticmethod
        def backward(ctx, gy):
            (x,) = ctx.saved_tensors
            return gy * (x > 0)

    def wanders(x):
        calls.append(1)
        return torch.relu(x) * (1 + len(calls) * 2e-7)

    assert torch_told(torch.relu) == {}
    assert torch_told(overwrites) == {(None, "mutates-input"): "x was changed in place"}
    assert torch_told(cached).keys() == {("y", "shares-memory")}
    assert ("y", "nondeterministic") in torch_told(wanders)


def test_a_small_error_in_a_long_sum_is_said_to_be_within_the_worst_case_of_rounding():
    case = parse("linear x=(1,4096) w=(1,4096) seed=5")
    unit = 2.0**-24

    def said(by):
        verdicts = judge(LINEAR, case, Panel(NumpyVoice(off(by)), [])).against(SUBJECT)
        return [verdict.message for verdict in verdicts]

    (small,) = said(4096 * 20 * unit)
    assert small.endswith("at worst, rounding in a sum of 4,096 terms could do that")
    (large,) = said(4096 * 5000 * unit)
    assert "at worst" not in large
