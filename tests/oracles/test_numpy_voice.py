"""What memory, repetition and warnings tell of a NumPy subject: each fault is told, its honest neighbour is not."""
# ruff: noqa: ARG001 - the fakes have the signatures of the real ones

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import mint
from oracles.catalogue import operation, parse
from oracles.guard import guarded
from oracles.judge import REPEATED, judge
from oracles.layout import LAYOUTS, lay_out
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel
from oracles.precision import available_dtypes, bits, precision
from oracles.script import script
from oracles.subject import Subject

CASE = "relu x=(2,3) fill=normal seed=0"  # a seed at which the call is repeated


def told(subject, descriptor=CASE):
    """{(tensor, verdict): message} of a subject."""
    case = parse(descriptor)
    judgement = judge(operation(case.configuration.op), case, Panel(NumpyVoice(subject)))
    assert all(v.guilty == "subject" for v in judgement.verdicts)
    return {(v.tensor, v.verdict): v.message for v in judgement.verdicts}


def relu(forward=lambda y, x: y, backward=lambda gx, gy: gx, before=lambda x: None):
    """Mint's relu with something done to its output, its gradient, or before it."""

    def subject(x):
        before(x)
        y, vjp = mint.relu(x)
        return forward(y, x), lambda gy: (backward(vjp(gy)[0], gy),)

    return subject


# --- memory that is shared


def test_an_output_that_is_the_input():
    def flatten(x, *, start_dim=0, end_dim=-1):
        _, vjp = mint.flatten(x, start_dim=start_dim, end_dim=end_dim)
        return x.reshape(-1), vjp

    assert told(flatten, "flatten x=(2,3) start_dim=0 seed=1").keys() == {("y", "shares-memory")}
    assert told(lambda *a, **k: (flatten(*a, **k)[0].copy(), flatten(*a, **k)[1]), "flatten x=(2,3) seed=1") == {}


def test_a_gradient_that_is_the_cotangent():
    identity = relu(backward=lambda gx, gy: gy if (gx == gy).all() else gx)
    positive = "threshold x=(2,3) threshold=-100.0 value=0.0 seed=1"

    def threshold(x, *, threshold, value):
        y, _ = mint.threshold(x, threshold=threshold, value=value)
        return y, lambda gy: (gy,)

    assert told(threshold, positive) == {("gx", "shares-memory"): "shares memory with the input gy"}
    assert told(identity) == {}


def test_a_buffer_that_the_next_call_uses_again():
    buffers = {}

    def cached(y, x):
        buffer = buffers.setdefault((y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer

    (found,) = told(relu(cached)).items()
    assert found[0] == ("y", "shares-memory")
    assert "the next call returns the same memory" in found[1]
    assert told(relu(lambda y, x: cached(y, x).copy())) == {}


def test_a_gradient_that_the_next_vjp_call_uses_again():
    def subject(x):
        y, vjp = mint.relu(x)
        gx = np.empty_like(x)

        def back(gy):
            gx[...] = vjp(gy)[0]
            return (gx,)

        return y, back

    assert told(subject) == {("gx", "shares-memory"): "a second vjp call returns the same memory"}


# --- repetition


def test_a_call_that_differs_when_it_is_repeated():
    calls = itertools.count()
    wandering = relu(lambda y, x: y * np.float32(1 + next(calls) * 2**-23))
    assert told(wandering)["y", "nondeterministic"].startswith("y differs when the whole call is made again: ")
    # rounding alone is no fault, and is not seen where it is not asked twice
    assert told(wandering, CASE.replace("seed=0", f"seed={REPEATED + 1}")).keys() <= {("y", "wrong")}


def test_a_call_that_fails_when_it_is_repeated():
    calls = itertools.count()

    def once(x):
        if next(calls):
            raise RuntimeError("used up")

    message = "the call made a second time raised RuntimeError: used up"
    assert told(relu(before=once)) == {(None, "nondeterministic"): message}


# --- warnings


def overflowing_sigmoid(x):
    y, vjp = mint.sigmoid(x)
    np.exp(-1000 * x)
    return y, vjp


def test_a_floating_point_exception_on_benign_input():
    assert told(overflowing_sigmoid, "sigmoid x=(2,3) fill=normal seed=1") == {
        (None, "warns"): "on benign input it warns: RuntimeWarning: overflow encountered in exp"
    }
    # what overflows on purpose, and what underflows, is no news
    assert told(overflowing_sigmoid, "sigmoid x=(2,3) fill=largest seed=1") == {}
    assert told(relu(before=lambda x: np.exp(-1000 * np.abs(x))), CASE) == {}


def test_a_warning_of_any_kind():
    def deprecated(x):
        warnings.warn("use gelu", DeprecationWarning, stacklevel=1)

    assert told(relu(before=deprecated)) == {(None, "warns"): "on benign input it warns: DeprecationWarning: use gelu"}


def test_a_warning_in_the_vjp():
    careless = relu(backward=lambda gx, gy: gx + 0 * np.log(np.zeros_like(gx) + 1) + (0 * np.sqrt(-np.abs(gy)) > 0))
    assert (
        told(careless)[None, "warns"] == "on benign input it warns: RuntimeWarning: invalid value encountered in sqrt"
    )


def test_a_warning_where_the_truth_is_not_finite_or_the_result_is_wrong():
    def logsigmoid(x):  # its numbers are wrong: that is the finding
        y, vjp = mint.logsigmoid(x)
        return y + np.log(0 * x), vjp

    assert told(logsigmoid, "logsigmoid x=(2,3) seed=1").keys() == {("y", "wrong")}


# --- guard bands


def beyond(x, by=1):
    """`x` with a further element after its last."""
    return as_strided(x.reshape(-1), (x.size + by,))


@pytest.mark.parametrize("place", [-1, "before"])
def test_what_is_written_outside_an_input(place):
    def trespass(x):
        if place == "before":
            as_strided(x[::-1, ::-1], (x.shape[0] + 1, x.shape[1]))[-1, 0] = 7
        else:
            beyond(x)[place] = 7

    (found,) = told(relu(before=trespass)).items()
    assert found[0] == (None, "writes-outside")
    assert "around x were written" in found[1]
    assert told(relu(before=lambda x: beyond(x)[-1])) == {}  # reading is no writing


def test_what_is_written_between_the_elements():
    def fill(x):
        as_strided(x, (2, 2 * x.shape[-1] - 1), (x.strides[0], x.itemsize))[:, 1::2] = 0

    sliced = "relu x=(2,3) layout.x=sliced fill=normal seed=1"
    assert told(relu(before=fill), sliced).keys() == {(None, "writes-outside")}


@given(
    st.sampled_from(available_dtypes()),
    st.sampled_from(sorted(LAYOUTS)),
    st.lists(st.integers(0, 3), max_size=4),
    st.booleans(),
)
def test_a_guarded_copy_is_the_array(dtype, layout, shape, integer):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(np.int64 if integer else precision(dtype).dtype)
    x = lay_out(x, layout)
    guard = guarded(x)
    assert bits(guard.array) == bits(x)
    assert (guard.array.strides, guard.array.flags.writeable) == (x.strides, x.flags.writeable)
    assert (guard.changed, guard.outside) == (False, 0)
    if x.size:
        guard.array.flags.writeable = True
        guard.array[(0,) * x.ndim] += 1
        assert (guard.changed, guard.outside) == (True, 0)
    for place in (0, -1):
        guard.memory[place] = 1
    assert guard.outside > 0


# --- an output that is written into


def into(x, *, out, write=lambda y, out: np.copyto(out, y)):
    y, vjp = mint.relu(x)
    write(y, out)
    return None, vjp


def test_a_subject_that_writes_into_out():
    assert told(into) == {}
    assert told(lambda x, out=None: into(x, out=out)[0]) == {}  # forward only
    assert told(lambda x, out=None: (out, into(x, out=out)[1])) == {}


def test_an_element_of_out_that_is_not_written():
    lazy = told(lambda x, out: into(x, out=out, write=lambda y, out: np.copyto(out[:1], y[:1])))
    assert lazy.keys() == {("y", "wrong")}
    assert "y[1, 0] is nan" in lazy["y", "wrong"]


def test_what_is_written_beyond_out():
    def trespass(y, out):
        out[...] = y
        beyond(out)[-1] = 0

    assert told(lambda x, out: into(x, out=out, write=trespass)).keys() == {("y", "writes-outside")}


@pytest.mark.parametrize("indices", [True, False])
def test_several_outputs_are_a_tuple_of_buffers(indices):
    def max_pool2d(x, *, kernel_size, return_indices=False, out):
        result, vjp = mint.max_pool2d(x, kernel_size=kernel_size, return_indices=return_indices)
        if not return_indices:
            out[...] = result
            return None, vjp
        for buffer, values in zip(out, result, strict=True):
            buffer[...] = values
        return None, vjp

    assert told(max_pool2d, f"max_pool2d x=(1,1,4,4) kernel_size=2 return_indices={indices} seed=1") == {}


def test_out_is_no_place_for_an_input(tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text("import mint\ndef linear(x, w, out=None):\n    out[...] = mint.linear(x, w)[0]\n", "utf-8")
    subject = Subject(f"{file}:linear")
    linear = operation("linear")
    panel = Panel(subject.voice(subject.load(), linear))
    assert judge(linear, parse("linear x=(2,3) w=(4,3) seed=1"), panel).verdicts == []
    judgement = judge(linear, parse("linear x=(2,3) w=(4,3) b=(4,) seed=1"), panel)
    assert judgement.limitations == [("subject", "not implemented: it takes 2 arrays")]
    refused = judge(linear, parse("linear x=(2,4) w=(4,3) invalid=features"), panel)
    assert refused.verdicts == []  # there is no output to make a buffer for


# --- the scripts of these findings

KERNELS = """
import mint
import numpy as np
from numpy.lib.stride_tricks import as_strided

FAULTY = {faulty}
BUFFER = {{}}
CALLS = []

def cached(x):
    y, vjp = mint.relu(x)
    if FAULTY:
        buffer = BUFFER.setdefault(y.shape, np.empty_like(y))
        buffer[...] = y
        y = buffer
    return y, vjp

def wandering(x):
    y, vjp = mint.relu(x)
    CALLS.append(1)
    return y * np.float32(1 + FAULTY * len(CALLS) * 2e-7), vjp

def trespassing(x):
    if FAULTY:
        as_strided(x.reshape(-1), (x.size + 1,))[-1] = 7
    return mint.relu(x)

def trespassing_out(x, out):
    out[...] = mint.relu(x)[0]
    if FAULTY:
        as_strided(out.reshape(-1), (out.size + 1,))[-1] = 7

def lazy(x, out):
    out[FAULTY:] = mint.relu(x)[0][FAULTY:]

def warning(x):
    np.sqrt(-FAULTY * np.abs(x))
    return mint.relu(x)
"""


@pytest.mark.parametrize(
    ("name", "tensor", "kind"),
    [
        ("cached", "y", "shares-memory"),
        ("wandering", "y", "nondeterministic"),
        ("trespassing", None, "writes-outside"),
        ("trespassing_out", "y", "writes-outside"),
        ("lazy", "y", "wrong"),
        ("warning", None, "warns"),
    ],
)
def test_the_script_fails_until_the_subject_is_repaired(name, tensor, kind, tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text(KERNELS.format(faulty=1), "utf-8")
    subject = Subject(f"{file}:{name}")
    op, case = operation("relu"), parse("relu x=(9,) fill=normal seed=4")
    judgement = judge(op, case, Panel(subject.voice(subject.load(), op)))
    (verdict,) = judgement.verdicts
    assert verdict.key == ("subject", tensor, kind)
    program = tmp_path / "finding.py"
    program.write_text(script(op, judgement, verdict, subject), "utf-8")
    for faulty in (1, 0):
        file.write_text(KERNELS.format(faulty=faulty), "utf-8")
        ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
        assert (ended.returncode != 0) == bool(faulty), ended.stderr + program.read_text("utf-8")
        assert ("Traceback" in ended.stderr) == (faulty and kind == "warns"), ended.stderr
