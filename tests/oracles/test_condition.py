"""Conditions inferred from cases whose fate is known."""

from itertools import product

import pytest

from oracles.catalogue import operation
from oracles.condition import facts, infer
from oracles.configuration import Case

CONV = operation("conv2d")


def cases():
    """A grid in which no fact follows from another."""
    for stride, groups, padding, dilation, bias, dtype, fill in product(
        (1, 2), (1, 2), (0, 1), (1, 2), (True, False), ("float32", "float64"), ("normal", "ties")
    ):
        shapes = {"x": (2, 2, 6, 5), "w": (2, 2 // groups, 3, 2)}
        if bias:
            shapes["b"] = (2,)
        hyper = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        yield Case(CONV.configuration(shapes, hyper, dtype), fill, 0)


def hyper(case, name, default):
    return case.configuration.hyper.get(name, default)


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        (lambda c: hyper(c, "groups", 1) > 1 and hyper(c, "stride", 1) > 1, {"groups > 1", "stride > 1"}),
        (lambda c: hyper(c, "dilation", 1) > 1, {"dilation > 1"}),
        (lambda c: hyper(c, "stride", 1) == 1, {"stride = 1"}),
        (lambda c: "b" in c.configuration.shapes, {"b is given"}),
        (lambda c: "b" not in c.configuration.shapes, {"b is not given"}),
        (lambda c: c.configuration.dtype == "float64", {"dtype is float64"}),
        (
            lambda c: c.fill == "ties" and hyper(c, "groups", 1) == 1,
            {"the fill is ties", "groups = 1"},
        ),
    ],
)
def test_the_condition_is_found(fails, text):
    failing = [case for case in cases() if fails(case)]
    passing = [case for case in cases() if not fails(case)]
    condition = infer(CONV, failing, passing)
    # a grid of two values cannot tell "ties" from "not normal": the opposite wording is the same fact
    found = {"the fill is ties" if part == "the fill is not normal" else part for part in condition.text.split(" and ")}
    found = {"dtype is float64" if part == "dtype is not float32" else part for part in found}
    assert found == text
    assert (condition.failing, condition.passing) == (len(failing), len(passing))


def test_what_always_fails_fails_always():
    assert infer(CONV, list(cases()), []).text == "always"


def test_a_fact_that_does_not_decide_alone_says_how_often():
    grid = list(cases())
    strided = [case for case in grid if hyper(case, "stride", 1) > 1]
    # which ones of them fail follows from nothing that is recorded
    failing = [case for place, case in enumerate(strided) if place % 3 == 0]
    passing = [case for case in grid if case not in failing]
    condition = infer(CONV, failing, passing)
    assert condition.text.startswith("stride > 1")
    assert f"{len(failing)} of {len(strided)}" in condition.text


def test_facts_tell_tuples_and_layouts():
    configuration = CONV.configuration(
        {"x": (1, 2, 4, 4), "w": (2, 2, 1, 1)}, {"stride": (1, 3)}, layouts={"x": "fortran", "w": "read_only"}
    )
    found = facts(CONV, Case(configuration, "normal", 0))
    assert found["stride > 1"]
    assert not found["dilation > 1"]
    assert found["x is not contiguous"]
    assert found["x is fortran"]
    assert not found["w is not contiguous"]
    assert found["x.shape[1] > 1"]
    assert not found["x.shape[0] > 1"]
    assert not found["b is given"]


def test_none_in_a_tuple_is_no_number():
    pool = operation("adaptive_avg_pool2d")
    for size, above in (((None, 1), False), ((None, 2), True)):
        case = Case(pool.configuration({"x": (1, 1, 2, 2)}, {"output_size": size}), "normal", 0)
        assert facts(pool, case)["output_size > 1"] is above


def test_an_index_is_not_said_to_be_1_where_it_is_0():
    embedding = operation("embedding")

    def case(number: int, padding: int) -> Case:
        shapes = {"indices": (number,), "weight": (8, number)}
        return Case(embedding.configuration(shapes, {"padding_idx": padding}), "normal", 0)

    failing = [case(number, number % 2) for number in range(1, 13)]
    passing = [case(number, padding) for number in range(1, 13) for padding in (2, 3, 4)]
    assert infer(embedding, failing, passing).text == "padding_idx <= 1"
