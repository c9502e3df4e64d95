"""The layer that CONTRIBUTING.md adds is right: its blocks are run, and the harness is asked."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import mint
import mint.activation
from oracles.configuration import Case
from oracles.draw import configurations, sample
from oracles.fill import FILLS
from oracles.judge import judge
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel, open_voice

TEXT = Path(__file__).parents[1].joinpath("CONTRIBUTING.md").read_text("utf-8")
LAYER, DEFINITION = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def operation(monkeypatch):
    layer = {**vars(importlib.import_module("mint.activation"))}
    exec(LAYER, layer)
    monkeypatch.setattr(mint, "squareplus", layer["squareplus"], raising=False)
    definition = {**vars(importlib.import_module("oracles.activation"))}
    exec(DEFINITION, definition)
    return definition["squareplus"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_harness_finds_nothing_wrong_with_it(operation):
    installed = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
    panel = Panel(NumpyVoice(operation.function), [open_voice(name) for name in installed])
    for configuration in sample(configurations(operation, ("float32", "float64", "float16")), 0, 12):
        for fill in FILLS:
            judgement = judge(operation, Case(configuration, fill, 1), panel)
            assert [verdict.message for verdict in judgement.verdicts] == []
            assert judgement.compared == installed or judgement.limitations


def test_the_harness_sees_a_slip_in_it(operation):
    def slipped(x, *, b=4.0):
        y, vjp = operation.function(x, b=b)
        return y, lambda gy: (vjp(gy)[0] * 1.0001,)

    (configuration,) = sample(configurations(operation, ("float64",)), 0, 1)
    judgement = judge(operation, Case(configuration, "normal", 1), Panel(NumpyVoice(slipped)))
    assert [verdict.tensor for verdict in judgement.verdicts] == ["gx"]


def test_its_example_prints_what_it_says(operation):
    finder = doctest.DocTestFinder().find(
        operation.function, globs={**vars(mint.activation), "squareplus": operation.function}
    )
    assert sum(len(test.examples) for test in finder) == 1
    for test in finder:
        assert doctest.DocTestRunner().run(test).failed == 0
