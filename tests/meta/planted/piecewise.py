"""Slips in piecewise activations."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

SCALAR = "x=(1,)"


@plant("hardtanh", "gx", f"{SCALAR} min_val=1 max_val=2")
@differentiable
def gradient_at_the_bound(x: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> tuple[Array, Vjp]:
    """The lower bound itself passes the gradient on."""
    y, vjp = mint.hardtanh(x, min_val=min_val, max_val=max_val)
    return y, lambda gy: (np.where(x == min_val, gy, vjp(gy)[0]),)


@plant("relu6", "gx", SCALAR)
@differentiable
def gradient_above_the_bound(x: Array) -> tuple[Array, Vjp]:
    """The gradient is that of ReLU: it passes above 6 as well."""
    return mint.relu6(x)[0], mint.relu(x)[1]


@plant("hardsigmoid", "gx", SCALAR)
@differentiable
def upper_kink_included(x: Array) -> tuple[Array, Vjp]:
    """The slope at 3 is 1/6: a comparison with ≤ for <."""
    return mint.hardsigmoid(x)[0], lambda gy: (np.where((x > -3) & (x <= 3), gy / 6, 0),)


@plant("hardswish", "gx", SCALAR)
@differentiable
def upper_kink_missed(x: Array) -> tuple[Array, Vjp]:
    """The slope at 3 is that of the parabola, 3/2, and not 1: a comparison with ≤ for <."""
    y, vjp = mint.hardswish(x)
    return y, lambda gy: (np.where(x == 3, gy * 3 / 2, vjp(gy)[0]),)


@plant("softshrink", "y", SCALAR)
@differentiable
def one_sign_for_both_sides(x: Array, *, lambd: float = 0.5) -> tuple[Array, Vjp]:
    """The threshold is taken off on the left as well, where it is to be added."""
    y, vjp = mint.softshrink(x, lambd=lambd)
    return np.where(x < -lambd, x - lambd, y), vjp


@plant("hardshrink", "y", f"{SCALAR} lambd=1.0", also=wrong("gx"))
@differentiable
def threshold_kept(x: Array, *, lambd: float = 0.5) -> tuple[Array, Vjp]:
    """What lies on the threshold is kept."""
    gone = abs(x) < lambd
    return np.where(gone, 0, x), lambda gy: (np.where(gone, 0, gy),)


@plant("threshold", "gx", f"{SCALAR} threshold=2 value=20.0")
@differentiable
def gradient_of_the_value(x: Array, *, threshold: float, value: float) -> tuple[Array, Vjp]:
    """The gradient asks whether y is the value, and not whether x was below: it stops where x is the value."""
    y, _ = mint.threshold(x, threshold=threshold, value=value)
    return y, lambda gy: (np.where(y == value, 0, gy),)


@plant("prelu", "gweight", f"{SCALAR} weight=(1,)")
def both_sides_counted(x: Array, weight: Array) -> tuple[Array, Vjp]:
    """The weight's gradient sums over positive elements as well."""
    y, vjp = mint.prelu(x, weight)
    _, everywhere = mint.prelu(np.asarray(-abs(x)), weight)
    return y, replacing(vjp, 1, lambda gy: everywhere(np.asarray(-gy * np.sign(x), x.dtype))[1])


@plant("rrelu", "gx", f"{SCALAR} slope=(1,) training=True", condition=("training",))
def mean_slope_in_training(x: Array, slope: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient has the mean slope, and not those that y was made with."""
    _, vjp = mint.rrelu(x, **{**hyper, "training": False})
    return mint.rrelu(x, slope, **hyper)[0], lambda gy: (vjp(gy)[0], None)
