"""What a campaign keeps: it does not matter in which order workers hand in their parts."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mint
import reports
from oracles.campaign import Outcome, Plan
from oracles.catalogue import operation, parse
from oracles.judge import judge
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel
from oracles.record import OperationRecord, histogram
from oracles.subject import Subject

OP = operation("softplus")


def slightly_off(x, **hyper):
    y, vjp = mint.softplus(x, **hyper)
    return np.where(y > 1, np.nan, y).astype(y.dtype) if x.size == 5 else y, vjp


JUDGEMENTS = [
    judge(OP, parse(descriptor), Panel(NumpyVoice(slightly_off)))
    for descriptor in (
        "softplus x=(3,) seed=1",
        "softplus x=(3,) fill=special seed=2",
        "softplus x=(3,) dtype=float64 fill=wide seed=3",
        "softplus x=(3,) dtype=float64 fill=ties seed=3",
        "softplus x=(5,) seed=4",
        "softplus x=(0,) seed=4",
        "softplus x=(2,2) layout.x=fortran beta=2.0 seed=5",
        # exact zeros: the ratios are tied
        "softplus x=(1,) layout.gy=negative fill=ties threshold=-1.0 seed=1",
        "softplus x=(1,) fill=ties threshold=-1.0 seed=1",
        "softplus x=(2,) beta=steep invalid=beta",
    )
]


def record_of(judgements):
    record = OperationRecord()
    for judgement in judgements:
        record.add(judgement)
    return record


def merged(records):
    total = OperationRecord()
    for record in records:
        total.merge(record)
    return total.as_json("softplus")


@given(st.lists(st.lists(st.sampled_from(JUDGEMENTS), max_size=3), max_size=6), st.randoms(use_true_random=False))
def test_merging_is_independent_of_order_and_of_who_did_what(parts, random):
    shuffled = [list(part) for part in parts]
    for part in (*shuffled, shuffled):
        random.shuffle(part)
    whole = record_of(judgement for part in shuffled for judgement in part).as_json("softplus")
    assert merged(map(record_of, parts)) == merged(map(record_of, shuffled)) == whole


values = st.lists(st.floats(0, 1e300) | st.just(np.inf))


@given(values, values)
def test_a_histogram_counts_everything_once(some, others):
    both = histogram(np.array(some + others))
    assert histogram(np.array(some)) + histogram(np.array(others)) == both
    assert both.total() == len(some + others)


@given(st.floats(1e-300, 1e300))
def test_a_bin_holds_what_lies_between_its_edges(value):
    (k,) = map(int, histogram(np.array([value])))
    # on an edge the logarithm may be rounded to either side
    assert 2 ** (k / 8) * (1 - 1e-12) <= value <= 2 ** ((k + 1) / 8) * (1 + 1e-12)


def test_counts_of_a_record():
    told = record_of(JUDGEMENTS).as_json("softplus")
    assert told["cases"] == len(JUDGEMENTS)
    assert told["dtypes"] == {
        "float32": {"cases": 8, "references": {"equations": 7}},
        "float64": {"cases": 2, "references": {"equations": 2}},
    }
    assert told["fills"] == {"normal": 4, "special": 1, "wide": 1, "ties": 3}
    assert told["refused"] == 1
    y = told["tensors"]["y"]
    single = next(v for v in y["voices"] if v["dtype"] == "float32")
    assert single["elements"] == 3 + 3 + 5 + 0 + 4 + 1 + 1 == sum(single["error_ratio"]["histogram"].values())


def test_a_wrong_nan_is_told_as_null_and_named():
    told = record_of(JUDGEMENTS[4:5]).as_json("softplus")["tensors"]["y"]
    assert told["error_ratio"] is None
    assert told["voices"][0]["error_ratio"]["max"] is None
    assert told["voices"][0]["error_ratio"]["histogram"]["inf"] > 0
    assert told["voices"][0]["worst"] == str(JUDGEMENTS[4].case)


def test_a_record_stands_in_a_valid_summary():
    pytest.importorskip("jsonschema")
    plan = Plan(("softplus",), ("float32",), (), Subject(), 1, None, 10, 1, "mint fuzz")
    outcome = Outcome(plan, datetime.now(UTC), records={"softplus": record_of(JUDGEMENTS)})
    summary = outcome.as_json()
    reports.validate(summary)
    assert summary["cases"] == len(JUDGEMENTS)
