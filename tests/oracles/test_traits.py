"""With what a fault goes away: each planted fault has its trait, and its honest neighbour has not."""

import itertools

import numpy as np
import pytest
import threadpoolctl

import mint
from oracles.catalogue import operation, parse
from oracles.configuration import Case
from oracles.finding import explain, findings_of
from oracles.inputs import make_inputs
from oracles.judge import judge
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel, open_voice
from oracles.subject import Subject
from oracles.trait import traits
from oracles.voice import SUBJECT

ALONE = "right when its row is alone"
ONES = "right for a cotangent of ones"
ANOTHER_ROW = "another row's NaN leaks into it"


def told(subject, descriptor, tensor="y", **more):
    """The traits of the subject's wrong tensor."""
    case = parse(descriptor)
    op = operation(case.configuration.op)
    panel = Panel(NumpyVoice(subject))
    judgement = judge(op, case, panel)
    verdict = next(v for v in judgement.verdicts if v.key == (SUBJECT, tensor, "wrong"))
    return traits(op, judgement, verdict, panel, **more)


def changed(function, change):
    """Mint's layer with its output changed by `change(y, *arrays)`."""

    def subject(*arrays, **hyper):
        y, vjp = function(*arrays, **hyper)
        y = np.array(y)
        change(y, *arrays)
        return y, vjp

    return subject


def plus_one(y, *arrays):
    del arrays
    y += 1


# --- nothing of the kind


@pytest.mark.parametrize(
    "descriptor",
    [
        "linear x=(3,4) w=(2,4) seed=1",
        "linear x=(3,4) w=(2,4) layout.x=negative layout.w=fortran layout.gy=sliced seed=1",
        "linear x=(1,4) w=(2,4) seed=1",
    ],
)
def test_what_is_always_wrong_has_no_trait(descriptor):
    assert told(changed(mint.linear, plus_one), descriptor) == []


def test_a_gradient_that_is_always_wrong_has_no_trait():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: tuple(g if g is None else g + 1 for g in vjp(gy))

    assert told(subject, "linear x=(3,4) w=(2,4) layout.x=negative seed=1", "gw") == []
    assert told(subject, "linear x=(3,4) w=(2,4) layout.x=negative seed=1", "gx") == []


def test_only_wrong_numbers_of_the_subject_have_traits():
    op, case = operation("linear"), parse("linear x=(2,3) w=(4,3) seed=1")
    panel = Panel(NumpyVoice(lambda x, w, b=None: mint.linear(x, w)[0].T))  # of another shape
    judgement = judge(op, case, panel)
    assert [traits(op, judgement, verdict, panel) for verdict in judgement.verdicts] == [[]]


# --- layout


def blind_to(*names):
    """It reads these arrays as if they were contiguous."""

    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        arrays = {"x": x, "w": w}
        if all(arrays[name].strides[-1] < 0 for name in names):
            y = y + 1
        return y.astype(x.dtype), vjp

    return subject


def test_a_fault_of_one_layout():
    descriptor = "linear x=(3,4) w=(2,4) layout.x=negative layout.w=negative layout.gy=sliced seed=1"
    assert told(blind_to("x"), descriptor) == ["wrong only for layout.x=negative"]
    together = "wrong only for layout.x=negative and layout.w=negative and layout.gy=sliced"
    assert told(blind_to("x", "w"), descriptor) == [together]


def test_a_fault_beside_a_layout_is_not_of_the_layout():
    descriptor = "linear x=(3,4) w=(2,4) layout.x=fortran seed=1"
    assert told(changed(mint.linear, plus_one), descriptor) == []


def test_a_fault_of_one_layout_in_torch():
    torch = pytest.importorskip("torch")

    def blind(x):
        return torch.relu(x) + (not x.is_contiguous())

    op, case = operation("relu"), parse("relu x=(3,4) layout.x=fortran layout.gy=fortran seed=1")
    panel = Panel(open_voice("torch", blind))
    judgement = judge(op, case, panel)
    (verdict,) = judgement.verdicts
    assert traits(op, judgement, verdict, panel) == ["wrong only for layout.x=fortran"]


# --- batch


def row_counts(y, x, *rest):
    del rest
    y[-1] += len(x) - 1  # all is well where there is one


@pytest.mark.parametrize(
    ("function", "descriptor"),
    [
        (mint.linear, "linear x=(3,4) w=(2,4) seed=1"),
        (mint.linear, "linear x=(3,4) w=(3,4) b=(3,) seed=1"),  # the weight is as long as the batch
        (mint.relu, "relu x=(3,4) layout.x=channels_last seed=1"),
        (mint.conv2d, "conv2d x=(2,2,3,3) w=(2,2,2,2) seed=1"),
        (mint.layer_norm, "layer_norm x=(4,3) weight=(3,) bias=(3,) normalized_shape=(3,) seed=1"),
        (mint.bilinear, "bilinear x1=(3,2) x2=(3,3) weight=(3,2,3) bias=(3,) seed=1"),  # two arrays carry it
    ],
)
def test_a_row_that_is_right_alone(function, descriptor):
    assert told(changed(function, row_counts), descriptor) == [ALONE]
    assert told(changed(function, plus_one), descriptor) == []


def test_a_row_of_a_gradient_that_is_right_alone():
    def subject(x, w, b=None):
        y, vjp = mint.linear(x, w, b)

        def back(gy):
            gx, *rest = vjp(gy)
            gx[-1] += len(x) - 1
            return gx, *rest

        return y, back

    assert ALONE in told(subject, "linear x=(3,4) w=(2,4) seed=1", "gx")


def test_where_the_rows_depend_on_one_another_no_row_is_asked_alone():
    assert told(changed(mint.softmax, row_counts), "softmax x=(3,4) dim=0 seed=1") == []
    assert told(changed(mint.softmax, row_counts), "softmax x=(3,4) dim=1 seed=1") == [ALONE]


# --- neighbours


def one_nan_everywhere(y, x, *rest):
    del rest
    y += 0 * x.sum()


def test_a_nan_of_another_row():
    # a seed with a NaN in one row
    descriptor = "relu x=(4,3) fill=special seed={}"
    seeds = [s for s in range(60) if nans(descriptor.format(s)) == 1]
    leaks = [told(changed(mint.relu, one_nan_everywhere), descriptor.format(s)) for s in seeds[:3]]
    assert leaks
    assert all(found[0] in (ALONE, ANOTHER_ROW) and ANOTHER_ROW in found for found in leaks)


def nans(descriptor):
    """How many NaNs stand in x; none where there is an infinity as well."""
    x = make_inputs(operation("relu"), parse(descriptor))["x"]
    return 0 if np.isinf(x).any() else np.isnan(x).sum()


def test_a_nan_in_the_same_row():
    descriptor = "relu x=(1,6) fill=special seed={}"
    seed = next(s for s in range(200) if nans(descriptor.format(s)) == 1)
    (found,) = told(changed(mint.relu, one_nan_everywhere), descriptor.format(seed))
    assert found.startswith("NaN in x[0, ")
    assert found.endswith("], on which it does not depend, leaks into it")


def test_a_result_that_is_wrong_beside_a_nan_is_no_leak():
    descriptor = "relu x=(4,3) fill=special seed={}"
    seed = next(s for s in range(60) if nans(descriptor.format(s)) == 1)
    assert told(changed(mint.relu, plus_one), descriptor.format(seed)) == []


@pytest.mark.parametrize("fill", ["normal", "special"])
def test_a_number_alone_has_no_neighbours(fill):
    seed = next(s for s in range(60) if nans(f"relu x=() fill={fill} seed={s}") == (fill == "special"))

    def lost(y, x):
        y[...] = 1 if np.isnan(x) else np.nan

    assert told(changed(mint.relu, lost), f"relu x=() fill={fill} seed={seed}") == []


def test_a_nan_that_is_due_is_no_leak():
    # softmax over the row: its NaN is every element's
    descriptor = "softmax x=(4,3) dim=1 fill=special seed={}"
    seed = next(s for s in range(60) if nans(f"relu x=(4,3) fill=special seed={s}") == 1)
    assert told(changed(mint.softmax, lambda y, x: np.nan_to_num(y, copy=False)), descriptor.format(seed)) == []


# --- cotangent


def test_a_gradient_for_a_cotangent_of_ones():
    def summed(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: vjp(np.ones_like(gy))

    def doubled(x, w, b=None):
        y, vjp = mint.linear(x, w, b)
        return y, lambda gy: vjp(2 * gy)

    descriptor = "linear x=(3,4) w=(2,4) layout.gy=broadcast seed=1"
    for tensor in ("gx", "gw"):
        assert told(summed, descriptor, tensor) == [ONES]
        assert told(doubled, descriptor, tensor) == []
    # an output knows no cotangent
    assert ONES not in told(changed(mint.linear, plus_one), descriptor)


# --- repetition


def test_a_result_that_is_not_wrong_every_time():
    calls = itertools.count()
    flaky = changed(mint.relu, lambda y, x: plus_one(y) if next(calls) % 2 == 0 else None)
    assert told(flaky, "relu x=(3,4) seed=1") == ["not every time"]


# --- threads


def test_a_result_that_is_right_with_one_thread():
    pools = threadpoolctl.ThreadpoolController()
    if not pools.info():
        pytest.skip("this NumPy has no pool of threads")

    def racing(y, x):
        del x
        y += max(pool["num_threads"] for pool in pools.info()) - 1

    with threadpoolctl.threadpool_limits(2):
        if all(pool["num_threads"] == 1 for pool in pools.info()):
            pytest.skip("its pools have one thread only")
        assert told(changed(mint.relu, racing), "relu x=(3,4) seed=1") == ["right with one thread"]
        assert told(changed(mint.relu, plus_one), "relu x=(3,4) seed=1") == []
    with threadpoolctl.threadpool_limits(1):
        assert told(changed(mint.relu, plus_one), "relu x=(3,4) seed=1") == []


# --- findings


def test_what_is_deadly_is_not_asked_again():
    deadly: list[Case] = []

    def remember(case):
        deadly.append(case)
        return True

    assert told(changed(mint.relu, row_counts), "relu x=(3,4) seed=1", deadly=remember) == []
    assert deadly


def test_a_finding_carries_its_traits():
    op = operation("relu")
    panel = Panel(NumpyVoice(changed(mint.relu, row_counts)))
    (finding,) = findings_of(op, judge(op, parse("relu x=(3,4) seed=1"), panel), 1)
    assert finding.as_json()["traits"] == []
    explained = explain(op, finding, panel, Subject())
    assert explained.key == finding.key
    assert explained.as_json()["traits"] == [ALONE]
