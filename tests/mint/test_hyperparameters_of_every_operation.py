"""Every hyper-parameter of every operation: drawn, never ignored, and refused where it is not supported."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oracles.catalogue import catalogue
from oracles.configuration import Case
from oracles.draw import configurations, invalid_configurations, sample
from oracles.inputs import make_inputs

OPERATIONS = list(catalogue().values())
#: Where values come from: a configuration gives the mask or the noise itself, and so the same bits everywhere.
NOT_DRAWN = {"rng"}
#: What decides how something is computed, not what.
WITHOUT_EFFECT = {("cdist", "compute_mode")}
HYPER = [(op, name) for op in OPERATIONS for name in op.defaults if name not in NOT_DRAWN]


@functools.cache
def drawn(name):
    return sample(configurations(catalogue()[name], ("float64",)), 0, 150)


def results(operation, configuration):
    """The bits of all that the operation computes, or that it refuses."""
    arrays = make_inputs(operation, Case(configuration, "normal", 0)).values()
    try:
        y, vjp = operation.function(*arrays, **configuration.hyper)
    except (ValueError, TypeError):
        return "refused"
    outputs = operation.named(y)
    rng = np.random.default_rng(0)
    gradients = vjp(*(np.asarray(rng.standard_normal(outputs[n].shape)) for n in operation.outputs if n in outputs))
    told = [*outputs.items(), *enumerate(g for g in gradients if g is not None)]
    return [(name, value.shape, value.tobytes()) for name, value in told]


@pytest.mark.parametrize(("operation", "name"), HYPER, ids=lambda value: getattr(value, "name", value))
def test_it_is_drawn_and_has_an_effect(operation, name):
    said = [c for c in drawn(operation.name) if name in c.hyper]
    assert said, "always its default"
    if (operation.name, name) in WITHOUT_EFFECT:
        return
    for configuration in said:
        without = replace(configuration, hyper={k: v for k, v in configuration.hyper.items() if k != name})
        if results(operation, without) != results(operation, configuration):
            return
    pytest.fail("no configuration differs from the same one without it")


@pytest.mark.parametrize(("operation", "name"), HYPER, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_type_is_refused_in_one_line(operation, name):
    configuration = drawn(operation.name)[0]
    arrays = make_inputs(operation, Case(configuration, "normal", 0)).values()
    for value in (object(), {"a": 1}, 1j):
        with pytest.raises((TypeError, ValueError), match=rf"^{operation.name}: .*\b{name}\b.*; got .*$"):
            operation.function(*arrays, **{**configuration.hyper, name: value})


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@given(data=st.data())
def test_what_is_out_of_range_is_refused_in_one_line(operation, data):
    configuration = data.draw(invalid_configurations(operation, ("float64",)))
    arrays = make_inputs(operation, Case(configuration, "normal", 0)).values()
    assume(all(0 not in shape for shape in configuration.shapes.values()))
    with pytest.raises((TypeError, ValueError), match=rf"^{operation.name}: [^\n]*$"):
        operation.function(*arrays, **configuration.hyper)
