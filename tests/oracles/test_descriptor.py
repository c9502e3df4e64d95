"""A case and its line of text are the same thing; a line that names no case gets one clear line back."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.catalogue import UnknownOperation, catalogue, parse
from oracles.configuration import BadDescriptor, Case, Configuration
from oracles.draw import cases, invalid_configurations
from oracles.precision import available_dtypes

DTYPES = available_dtypes()
OPERATIONS = pytest.mark.parametrize("operation", list(catalogue().values()), ids=lambda operation: operation.name)


def assert_round_trip(case):
    again = parse(str(case))
    assert again == case
    assert str(again) == str(case)
    # equality goes by text; the values must be the same as well, to the type
    assert repr(again.configuration.hyper) == repr(case.configuration.hyper)
    assert repr(again.configuration.shapes) == repr(case.configuration.shapes)


@OPERATIONS
@given(data=st.data())
def test_a_drawn_case_reads_back_as_itself(operation, data):
    assert_round_trip(data.draw(cases(operation, DTYPES)))


@OPERATIONS
@given(data=st.data())
def test_an_invalid_case_reads_back_as_itself(operation, data):
    configuration = data.draw(invalid_configurations(operation, DTYPES))
    assert configuration.invalid
    assert_round_trip(Case(configuration, "normal", 0))


@given(
    st.text(st.characters(codec="utf-8"), max_size=6)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none()
    | st.lists(st.integers() | st.tuples(st.integers(), st.integers())).map(tuple)
)
def test_any_hyperparameter_reads_back_as_itself(value):
    assert_round_trip(Case(Configuration("relu", {"x": ()}, {"odd": value}, invalid="odd"), "normal", 1))


ODD = ["", " ", "1", "1.0", "None", "inf", "nan", "(1,2)", "'", '"', "a b", "é", "\u2028", " 😀"]


@pytest.mark.parametrize("value", ODD)
def test_a_word_is_not_taken_for_another_value(value):
    configuration = Configuration("relu", {"x": (2,)}, {"word": value}, invalid="word")
    assert parse(f"{configuration}").configuration.hyper["word"] == value


def test_nan_reads_back_as_nan():
    assert math.isnan(parse("relu x=(2,) alpha=nan invalid=alpha").configuration.hyper["alpha"])


def test_values_that_python_thinks_equal_are_different_configurations():
    one, real, true = (Configuration("elu", {"x": (2,)}, {"alpha": value}) for value in (1, 1.0, True))
    assert len({one, real, true}) == 3


def test_what_equals_its_default_is_left_out():
    written = "conv2d x=(1,1,3,3) w=(1,1,2,2) stride=1 padding=0 groups=1 layout.x=contiguous xla=fast"
    assert str(parse(written)) == "conv2d x=(1,1,3,3) w=(1,1,2,2) dtype=float32 fill=normal seed=0"


@given(cases(catalogue()["conv2d"], DTYPES))
def test_a_case_can_be_sent_to_another_process(case):
    assert pickle.loads(pickle.dumps(case)) == case


CONV = "conv2d x=(1,1,3,3) w=(1,1,2,2)"


@pytest.mark.parametrize(
    ("descriptor", "said"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("conv2 x=(2,)", "did you mean"),
        ("frobnicate x=(2,)", "unknown operation 'frobnicate'; `mint ops` lists them"),
        ("conv2d", "the shape of x is missing"),
        ("conv2d x=(1,1,3,3)", "the shape of w is missing"),
        ("relu x", "expected name=value, got 'x'"),
        ("relu x=", "expected name=value, got 'x='"),
        ("relu =(2,)", "expected name=value, got '=(2,)'"),
        ("relu x=(2,) x=(3,)", "'x' is given twice"),
        ("relu x=3", "x must be a shape such as (2,3), got 3"),
        ("relu x=[2,3]", "x must be a shape"),
        ("relu x=(2,-1)", "x must be a shape"),
        ("relu x=(2.0,)", "x must be a shape"),
        ("relu x=(True,)", "x must be a shape"),
        ("relu x=(2,", "x must be a shape"),
        ("relu x=" + 9999 * "(", "x must be a shape"),
        ("relu x={[]:1}", "x must be a shape"),
        (f"{CONV} strides=2", "no array or hyper-parameter 'strides'"),
        (f"{CONV} gy=(2,)", "no array or hyper-parameter 'gy'"),
        (f"{CONV} dtype=int32", "unknown dtype 'int32'"),
        (f"{CONV} dtype=(1,)", "unknown dtype '(1,)'"),
        (f"{CONV} fill=random", "unknown fill 'random'"),
        (f"{CONV} fill=1", "unknown fill '1'"),
        (f"{CONV} seed=-1", "seed must be an integer of at least 0, got -1"),
        (f"{CONV} seed=1.5", "seed must be an integer"),
        (f"{CONV} seed=True", "seed must be an integer"),
        (f"{CONV} seed=one", "seed must be an integer"),
        (f"{CONV} xla=slow", "xla must be fast or default"),
        (f"{CONV} layout.x=diagonal", "unknown layout 'diagonal'"),
        (f"{CONV} layout.q=fortran", "no array 'q' to lay out"),
        (f"{CONV} layout.=fortran", "no array '' to lay out"),
        (f"{CONV} layout.x", "expected name=value"),
    ],
)
def test_a_bad_descriptor_gets_one_line(descriptor, said):
    with pytest.raises((BadDescriptor, UnknownOperation)) as raised:
        parse(descriptor)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
