"""Slips in resizing."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

#: The module, whose name in the package is that of its function.
RESIZING: Any = import_module("mint.interpolate")


@plant(
    "interpolate",
    "y",
    "x=(1,1,2) mode=linear size=3",
    "x=(1,1,2) mode=linear scale_factor=2",
    "x=(1,1,2,1) mode=bilinear size=(3,1)",
    "x=(1,1,2,1) mode=bicubic size=(3,1)",
    "x=(1,1,2,1,1) mode=trilinear size=(3,1,1)",
    "x=(1,1,1,2) mode=bilinear scale_factor=2",
    also=wrong("gx"),
)
def corners_instead_of_centres(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """Output i lies at i·r, and not at (i + ½)·r − ½."""

    def between(n: int, out: int, scale: float | None, align_corners: bool, **_: bool) -> tuple[Array, Array, Array]:
        a, b = RESIZING._ratio(n, out, scale, align_corners)
        before, rest = np.divmod(np.arange(out) * a, b)
        return before.astype(np.int64), rest / b, (b - rest) / b

    with patch.object(RESIZING, "_between", between):
        return mint.interpolate(x, **hyper)


@plant(
    "interpolate",
    "gx",
    "x=(1,1,2) mode=linear size=3 align_corners=True",
    "x=(1,1,2,1) mode=bilinear size=(3,1) align_corners=True",
    "x=(1,1,2,1) mode=bicubic size=(3,1) align_corners=True",
    "x=(1,1,2,1,1) mode=trilinear size=(3,1,1) align_corners=True",
    "x=(1,1,2) mode=linear scale_factor=2 align_corners=True",
    "x=(1,1,2,1) mode=bilinear scale_factor=2 align_corners=True",
    "x=(1,1,2,1) mode=bicubic scale_factor=2 align_corners=True",
    "x=(1,1,2,1,1) mode=trilinear scale_factor=2 align_corners=True",
    condition=("align_corners",),
)
def aligned_corners_forgotten_in_dx(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is that without align_corners."""
    y, vjp = mint.interpolate(x, **hyper)
    return y, mint.interpolate(x, **{**hyper, "align_corners": False})[1] if hyper.get("align_corners") else vjp


@plant(
    "interpolate",
    "y",
    "x=(1,1,3,1) mode=bicubic size=(2,1)",
    "x=(1,1,2,1) mode=bicubic size=(3,1)",
    "x=(1,1,2,1) mode=bicubic scale_factor=2",
    also=wrong("gx"),
    condition=("mode = 'bicubic'",),
)
def steepness_of_the_filter(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """Keys's kernel has a = −½ also where nothing is filtered, as in Pillow."""
    weights = RESIZING.cubic_weights
    with patch.object(RESIZING, "cubic_weights", lambda t, to_next, a: weights(t, to_next, a * 2 / 3)):
        return mint.interpolate(x, **hyper)


@plant(
    "interpolate",
    "gx",
    "x=(1,1,3,1) mode=bilinear size=(3,1) antialias=True align_corners=True",
    "x=(1,1,3,1) mode=bilinear scale_factor=2 antialias=True align_corners=True",
    condition=("antialias",),
)
def filter_forgotten_in_dx(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is that of interpolation between neighbours."""
    y, vjp = mint.interpolate(x, **hyper)
    if hyper.get("mode") != "bilinear":
        return y, vjp
    return y, mint.interpolate(x, **{**hyper, "antialias": False})[1]


@plant("interpolate", "y", "x=(1,1,3) mode=nearest size=2", "x=(1,1,3) size=2", also=wrong("gx"))
def nearest_is_rounded(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The neighbour is the one whose centre is nearest, in mode nearest as in nearest-exact."""
    if hyper.get("mode", "nearest") != "nearest":
        return mint.interpolate(x, **hyper)
    return mint.interpolate(x, **{**hyper, "mode": "nearest-exact"})


@plant(
    "interpolate",
    "gx",
    "x=(1,1,2) mode=area size=1",
    "x=(1,1,2) mode=area size=3",
    "x=(1,1,1,2) mode=area scale_factor=(1,0.5)",
    condition=("mode = 'area'",),
)
def mean_forgotten_in_dx(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of a mean is that of a sum."""
    y, vjp = mint.interpolate(x, **hyper)
    if hyper.get("mode") != "area" or 0 in y.shape:
        return y, vjp
    count = np.ones((), x.dtype)
    for n, m in zip(x.shape[2:], y.shape[2:], strict=True):
        i = np.arange(m)
        count = count[..., None] * (-(-(i + 1) * n // m) - i * n // m).astype(x.dtype)
    return y, replacing(vjp, 0, lambda gy: vjp(gy * count)[0])
