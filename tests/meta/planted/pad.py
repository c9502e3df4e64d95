"""Slips in padding."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing


def origins(x: Array, **hyper: Any) -> Array:
    """Which element of x, counted in row-major order, each place of the padded array is a copy of; −1 for none."""
    if hyper.get("mode", "constant") == "constant":
        hyper["value"] = -1.0
    return mint.pad(np.arange(x.size, dtype=np.float64).reshape(x.shape), **hyper)[0].astype(int)


@plant(
    "pad",
    "gx",
    "x=(1,1,1,1) pad=(0,1,0,0,0,0) mode=replicate",
    "x=(1,1,1,1) pad=(0,1,0,0,0,0) mode=circular",
    "x=(1,1,1,2) pad=(0,1,0,0,0,0) mode=reflect",
    condition=("a border is put on",),
)
def last_copy_wins(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradients of an element's copies are written over each other, not added up."""
    y, vjp = mint.pad(x, **hyper)
    origin = origins(x, **hyper)

    def slip(gy: Array) -> Array:
        gx = np.zeros_like(x)
        gx.flat[origin[origin >= 0]] = gy[origin >= 0]
        return gx

    return y, replacing(vjp, 0, slip)


@plant("pad", "y", "x=(1,1,1,2) pad=(0,1,0,0,0,0) mode=reflect", condition=("mode = 'reflect'",))
def reflection_repeats_the_last_element(x: Array, *, pad: tuple[int, ...], **hyper: Any) -> tuple[Array, Vjp]:
    """Behind the last axis the reflection begins with the last element, as in mode symmetric of NumPy."""
    y, vjp = mint.pad(x, pad=pad, **hyper)
    border = x.shape[-1] + pad[0] if pad else 0
    if hyper.get("mode") == "reflect" and pad[1] > 0 and border > 0:
        y[..., border:] = y[..., border - 1 : -1].copy()
    return y, vjp


@plant(
    "pad",
    "y",
    "x=(1,1,1) pad=(0,0,0,0,0,1)",
    also=((None, "rejects-valid"),),
    condition=("more than one axis is padded",),
)
def first_axis_first(x: Array, *, pad: tuple[int, ...], **hyper: Any) -> tuple[Array, Vjp]:
    """The first pair is taken for the first axis, as in NumPy, and not for the last."""
    _, vjp = mint.pad(x, pad=pad, **hyper)
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    return mint.pad(x, pad=tuple(side for pair in reversed(pairs) for side in pair), **hyper)[0], vjp


@plant(
    "pad",
    "y",
    "x=(2,1,1) pad=(0,0,0,0,-1,0)",
    "x=(2,1,1) pad=(0,0,0,0,0,-1)",
    "x=(1,2,1,1) pad=(0,0,0,0,-1,0) mode=circular",
    condition=("something is cut off",),
)
def cut_at_the_other_end(x: Array, *, pad: tuple[int, ...], **hyper: Any) -> tuple[Array, Vjp]:
    """What is to be cut off before the elements is cut off after them, and the other way round."""
    y, vjp = mint.pad(x, pad=pad, **hyper)
    if hyper.get("mode", "constant") in ("constant", "circular"):
        for axis, (lo, hi) in enumerate(zip(pad[::2], pad[1::2], strict=True), start=1):
            x = np.take(x, np.arange(max(-hi, 0), x.shape[-axis] - max(-lo, 0)), -axis)
        y = mint.pad(x, pad=tuple(max(side, 0) for side in pad), **hyper)[0]
    return y, vjp


@plant(
    "pad", "y", "x=(1,1,1) pad=(0,1,0,0,0,0) value=1.5", "x=(1,1,1) pad=(0,1,0,0,0,0) value=nan", condition=("value",)
)
def constant_is_zero(x: Array, *, value: float | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """Whatever the value, zeros are put on."""
    return mint.pad(x, value=None if hyper.get("mode", "constant") == "constant" else value, **hyper)
