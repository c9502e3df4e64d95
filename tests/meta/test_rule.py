"""Other rules by which results are accepted, each with what it accepts and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.rule import ASSERT_CLOSE, RULES, allclose, assert_close

ONE = {"y": np.ones(3, np.float32), "gx": np.ones(3, np.float32)}


def changed(name: str, factor: float) -> dict[str, np.ndarray]:
    return {**ONE, name: (ONE[name] * np.float32(factor)).astype(np.float32)}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_what_is_expected_is_accepted(rule: object) -> None:
    assert callable(rule)
    assert rule(ONE, ONE, ("y",))


@pytest.mark.parametrize(("tolerance", "off"), [(1e-4, 1.001), (1e-2, 1.1)])
def test_benchmarks_look_at_outputs_alone(tolerance: float, off: float) -> None:
    rule = allclose(tolerance)
    assert not rule(changed("y", off), ONE, ("y",))
    assert rule(changed("gx", off), ONE, ("y",))
    assert rule(changed("y", 1 + tolerance / 2), ONE, ("y",))


def test_assert_close_looks_at_gradients_too() -> None:
    assert not assert_close(changed("gx", 1.001), ONE, ("y",))
    assert not assert_close({"y": ONE["y"]}, ONE, ("y",))
    assert not assert_close({**ONE, "y": ONE["y"].astype(np.float64)}, ONE, ("y",))


def test_the_defaults_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for name in ("float16", "bfloat16", "float32", "float64"):
        one = torch.ones(1, dtype=getattr(torch, name))
        rtol, atol = ASSERT_CLOSE[name]
        assert torch.testing._comparison.default_tolerances(one) == (rtol, atol)
