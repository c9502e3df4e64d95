"""Padding: constant, reflected, replicated and circular: definitions."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Configuration
from oracles.draw import axis_length, batch_size
from oracles.formula import Traced, formula
from oracles.operation import Hyper, Operation, Shapes

MODES = ("constant", "reflect", "replicate", "circular")
VALUES = st.sampled_from((None, 1.5, -2.0, 0.1, inf, nan))


@st.composite
def padded_axes(draw: st.DrawFn, mode: str, *, cuts: bool) -> tuple[int, tuple[int, int]]:
    """The length of an axis and what is put before and after it; less than nothing only with `cuts`."""
    n = draw(axis_length(3, 2, 1, 4) if mode == "constant" else st.sampled_from((3, 2, 1, 4)))
    most = {"reflect": n - 1, "circular": n}.get(mode, n + 1)
    if not cuts:
        return n, (draw(st.integers(0, most)), draw(st.integers(0, most)))
    least = min(draw(axis_length(1)), n)  # what is left of it, mostly something
    if mode in ("reflect", "replicate"):
        before = draw(st.integers(least - n - most, most))
        return n, (before, draw(st.integers(least - n - before, most)))
    # not more is cut than there is, and circular padding wraps around what is left
    lost = draw(st.integers(0, n - least))
    if draw(st.booleans()):
        other = -draw(st.integers(0, n - lost - least))
    else:
        other = draw(st.integers(0, n - lost if mode == "circular" else most))
    return n, ((other, -lost) if draw(st.booleans()) else (-lost, other))


def draw_pad(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any number of axes for a constant, one to three for a border of copies, with a batch or without."""
    mode = draw(st.sampled_from(MODES))
    least = int(mode != "constant")
    padded = draw(st.lists(padded_axes(mode, cuts=draw(st.booleans())), min_size=least, max_size=3))
    sizes, pairs = [n for n, _ in padded], [pair for _, pair in padded]
    before: tuple[int, ...]
    if mode == "constant":
        before = tuple(draw(st.lists(axis_length(2, 1, 3), max_size=2)))
    else:
        before = (*((batch_size(draw),) if draw(st.booleans()) else ()), draw(st.integers(1, 3)))
        if mode != "circular" and not any(n + sum(pair) for n, pair in padded):
            pairs[-1] = (0, 0)  # something must be left
    value = draw(VALUES if mode == "constant" else st.sampled_from((None, 0.0)))
    return {"x": (*before, *sizes)}, {"pad": flat(pairs), "mode": mode, "value": value}


def flat(pairs: Any) -> tuple[int, ...]:
    """Pairs as PyTorch spells them: the last axis first.

    >>> flat(((1, 2), (3, 4)))
    (3, 4, 1, 2)
    """
    return tuple(side for pair in reversed(pairs) for side in pair)


def spoil_pad(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Half a pair, more pairs than axes, no ints, a cut beyond the axis, a border beyond the map, a word."""
    x, sides, mode = shapes["x"], hyper["pad"], hyper["mode"]
    wrong: list[tuple[str, Any]] = [
        ("pad", (*sides, 1)),
        ("pad", (0,) * (2 * len(x) + 2)),
        ("pad", 1),
        ("pad", (0.5, 0.5)),
        ("mode", "edge"),
        ("mode", 1),
        ("value", "much"),
    ]
    if x:
        wrong += [("pad", (-x[-1] - 1, 0, *sides[2:])), ("pad", (-x[-1], -1, *sides[2:]))]
    if mode != "constant":
        wrong += [("value", 1.5), ("pad", ()), ("pad", (*sides, *(0,) * (2 * len(x) - len(sides))))]
    if mode in ("reflect", "circular"):
        wrong += [("pad", (0, x[-1] + (mode == "circular"), *sides[2:]))]
    name, value = draw(st.sampled_from(wrong))
    return name, shapes, {**hyper, name: value}


@formula
def pad_formula(x: Any, *, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Any:
    """y[…, j, …] = x[…, i, …], i = j − P, on one axis after the other; and what is there for i < 0 and i ≥ n."""
    for count in range(len(pad) // 2):
        axis = x.ndim - 1 - count
        before, after = pad[2 * count], pad[2 * count + 1]
        n = x.shape[axis]
        kept = np.arange(max(-before, 0), n - max(-after, 0))
        i = np.arange(n + before + after) - before
        if mode == "reflect":
            origin = np.where(i < 0, -i, np.where(i >= n, 2 * (n - 1) - i, i))
        elif mode == "replicate":
            origin = np.where(i < 0, 0, np.where(i >= n, n - 1, i))
        elif mode == "circular":
            origin = np.concatenate([kept[len(kept) - max(before, 0) :], kept, kept[: max(after, 0)]])
        else:
            origin = kept
        x = np.take(x, origin, axis)
        if mode == "constant":
            near, far = (constant(x, axis, max(side, 0), value or 0) for side in (before, after))
            x = np.concatenate([near, x, far], axis)
    return x


def constant(x: Any, axis: int, count: int, number: float) -> Any:
    """So many places along an axis of x that hold a number, which is rounded once."""
    there = np.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), number, x.dtype)
    return Traced(there, abs(there))


def pad_jax(jax: Any, x: Any, *, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Any:
    jnp = jax.numpy
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if mode == "constant":
        return jax.lax.pad(x, jnp.asarray(0 if value is None else value, x.dtype), [(lo, hi, 0) for lo, hi in pairs])
    # jnp.pad does not cut: circular padding wraps around what is left, the others run on into what is cut off
    border = [(max(lo, 0), max(hi, 0)) for lo, hi in pairs]
    cut = [(max(-lo, 0), max(-hi, 0)) for lo, hi in pairs]
    y = x if mode == "circular" else jnp.pad(x, border, {"reflect": "reflect", "replicate": "edge"}[mode])
    y = y[tuple(slice(lo, n - hi) for n, (lo, hi) in zip(y.shape, cut, strict=True))]
    return jnp.pad(y, border, "wrap") if mode == "circular" else y


def pad_exact(configuration: Configuration) -> bool:
    """Whether the constant has so few digits that every dtype holds it."""
    value = configuration.hyper.get("value") or 0.0
    return float(np.float16(value)) == value or value != value


def pad_features(configuration: Configuration) -> dict[str, bool]:
    """Facts about the pairs."""
    sides = configuration.hyper["pad"]
    if not isinstance(sides, tuple):
        return {}
    pairs = list(zip(sides[::2], sides[1::2], strict=False))
    return {
        "something is cut off": any(side < 0 for side in sides),
        "a border is put on": any(side > 0 for side in sides),
        "the two sides differ": any(lo != hi for lo, hi in pairs),
        "more than one axis is padded": len(pairs) > 1,
    }


pad = Operation(
    function=mint.pad,
    draw=draw_pad,
    spoil=spoil_pad,
    equations=pad_formula,
    jax=pad_jax,
    exact=pad_exact,
    features=pad_features,
)
