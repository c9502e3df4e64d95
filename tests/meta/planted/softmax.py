"""Slips in what is made from softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, wrong


@plant("softmin", "gx", "x=(2,) dim=0")
def sign_lost(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """The gradient is that of −x."""
    y, vjp = mint.softmin(x, dim=dim)
    return y, lambda gy: (-np.asarray(vjp(gy)[0]),)


@plant("glu", "y", "x=(4,) dim=0", also=wrong("gx"))
@differentiable
def halves_swapped(x: Array, *, dim: int = -1) -> tuple[Array, Vjp]:
    """The first half is the gate."""
    half = mint.glu(x, dim=dim)[0].shape[dim]
    y, vjp = mint.glu(np.roll(x, half, dim), dim=dim)
    return y, lambda gy: (np.roll(np.asarray(vjp(gy)[0]), half, dim),)


@plant("gumbel_softmax", "gx", "x=(2,) noise=(2,) dim=0 tau=2")
def temperature_in_the_forward_only(
    x: Array, noise: Array | None = None, *, tau: float = 1.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient is not divided by tau."""
    y, vjp = mint.gumbel_softmax(x, noise, tau=tau, **hyper)
    return y, lambda gy: (np.asarray(vjp(gy)[0]) * tau, None)
