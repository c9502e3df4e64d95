"""Large configurations: they are drawn now and then, fit, are computed at once, and show what small ones do not."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

import mint
from oracles.catalogue import operation, parse
from oracles.configuration import Case, Configuration
from oracles.draw import configurations, sample
from oracles.judge import judge
from oracles.large import ELEMENTS, enlarged, groups
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel
from oracles.voice import SUBJECT


def elements(configuration: Configuration) -> int:
    return max(map(prod, configuration.shapes.values()))


def large(op: str, dtype: str, count: int = 8) -> list[Configuration]:
    """Large configurations of an operation, from small ones."""
    small = sample(configurations(operation(op), (dtype,)), 1, count)
    found = [enlarged(operation(op), c, place, ELEMENTS[-1]) for place, c in enumerate(small)]
    return [c for c, before in zip(found, small, strict=True) if c != before]


def accused(op: str, subject: Callable[..., Any], drawn: list[Configuration], fill: str) -> int:
    """In how many of the configurations the subject is accused."""
    panel = Panel(NumpyVoice(subject), [])
    judgements = [judge(operation(op), Case(c, fill, 1), panel) for c in drawn]
    return sum(bool(j.against(SUBJECT)) for j in judgements)


def test_equal_axes_are_candidates_alone_in_pairs_and_together() -> None:
    found = groups(parse("linear x=(2,3) w=(5,3) b=(5,)").configuration)
    assert (("x", 1), ("w", 1)) in found
    assert (("w", 0), ("b", 0)) in found
    assert (("x", 0),) in found
    assert (("x", 0), ("x", 1)) not in found


@pytest.mark.parametrize("op", ["relu", "linear", "conv2d", "layer_norm"])
def test_most_operations_have_large_configurations_and_mint_is_right_there(op: str) -> None:
    drawn = large(op, "float32")
    assert len(drawn) >= 4
    assert all(10_000 < elements(c) < 200_000 for c in drawn)
    assert accused(op, operation(op).function, drawn, "normal") == 0


def test_a_few_in_a_hundred_are_large() -> None:
    drawn = sample(configurations(operation("relu"), ("float32",)), 1, 300)
    assert 3 <= sum(elements(c) > 1000 for c in drawn) <= 45


def test_what_is_looped_over_stays_short() -> None:
    for c in large("lstm", "float32", 4):
        assert sorted(c.shapes["x"])[-2] < 100, c  # the steps or the batch: one axis alone is long
        steps = c.shapes["x"][1 if c.hyper.get("batch_first") and len(c.shapes["x"]) == 3 else 0]
        assert steps < 100, c


def test_nothing_is_made_of_an_empty_configuration() -> None:
    empty = parse("relu x=(0,3)").configuration
    assert enlarged(operation("relu"), empty, 0, 1000) == empty


def test_a_tail_that_is_not_computed_shows_in_large_configurations_alone() -> None:
    def relu(x: Any) -> Any:
        y, vjp = mint.relu(x)
        flat = y.ravel()
        flat[32_768:] = x.ravel()[32_768:]  # what one thread is given
        return flat.reshape(y.shape), vjp

    small = sample(configurations(operation("relu"), ("float32",)), 1, 20)
    assert accused("relu", relu, [c for c in small if elements(c) < 1000], "normal") == 0
    assert accused("relu", relu, large("relu", "float32"), "normal") >= 4


def test_a_sum_in_float16_shows_in_large_configurations() -> None:
    def mse_loss(x: Any, target: Any, *, reduction: str = "mean") -> Any:
        y, vjp = mint.mse_loss(x, target, reduction=reduction)
        if reduction == "none":
            return y, vjp
        with np.errstate(over="ignore"):
            total = np.add.reduce(np.square(x - target).ravel(), dtype=x.dtype)
        return (total / x.dtype.type(max(x.size, 1)) if reduction == "mean" else total), vjp

    drawn = [c for c in large("mse_loss", "float16", 24) if c.hyper.get("reduction") != "none"]
    assert accused("mse_loss", mse_loss, drawn, "normal") >= len(drawn) / 2 >= 2
