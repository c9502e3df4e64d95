"""Slips in sampling at the points of a grid."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

#: The module, whose name in the package is that of its function.
SAMPLING: Any = import_module("mint.grid_sample")


@plant("grid_sample", "y", "x=(1,1,2,1) grid=(1,1,1,2)", "x=(1,1,1,2) grid=(1,1,1,2)", also=wrong("gx", "ggrid"))
def row_before_column(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """A point is (v, u): the coordinate along the first axis of the map comes first."""
    y, vjp = mint.grid_sample(x, grid[..., ::-1], **hyper)

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx, ggrid = vjp(gy)
        assert ggrid is not None
        return gx, ggrid[..., ::-1].copy()

    return y, back


@plant("grid_sample", "ggrid", "x=(1,1,2,1) grid=(1,1,1,2) align_corners=True", condition=("align_corners",))
def step_between_borders(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of the grid is multiplied by W/2 also where the coordinates are those of centres."""
    y, vjp = mint.grid_sample(x, grid, **hyper)
    if not hyper.get("align_corners"):
        return y, vjp
    ratio = np.array([n / max(n - 1, 1) for n in reversed(x.shape[2:])])
    return y, replacing(vjp, 1, lambda gy: (vjp(gy)[1] * ratio).astype(x.dtype))


@plant(
    "grid_sample",
    "gx",
    "x=(1,1,1,1) grid=(1,1,1,2)",
    "x=(1,1,2,1) grid=(1,1,1,2)",
    "x=(1,1,1,1,1) grid=(1,1,1,1,3)",
)
def zeros_get_a_gradient(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """What lies beyond the map has its gradient added to the border."""
    y, vjp = mint.grid_sample(x, grid, **hyper)
    if hyper.get("padding_mode", "zeros") != "zeros":
        return y, vjp
    border = mint.grid_sample(x, grid, **{**hyper, "padding_mode": "border"})[1]
    return y, replacing(vjp, 0, lambda gy: border(gy)[0])


@plant(
    "grid_sample",
    "ggrid",
    "x=(1,1,1,1) grid=(1,1,1,2) padding_mode=border",
    "x=(1,1,1,1) grid=(1,1,1,2) padding_mode=reflection",
    "x=(1,1,2,1) grid=(1,1,1,2) padding_mode=border",
    "x=(1,1,2,1) grid=(1,1,1,2) padding_mode=reflection",
    condition=("mode = 'bilinear'",),
)
def border_falls_off_to_zero(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """On the border and beyond the slope is that to the zeros around the map: PyTorch's issue 23925 of 2019."""
    taps = SAMPLING._taps

    def without_flat(g: Array, n: int, mode: str, padding_mode: str, align_corners: bool) -> Any:
        found = taps(g, n, mode, padding_mode, align_corners)
        steepness = (n - 1) / 2 if align_corners else n / 2
        flat = (found.steepness == 0) & np.isfinite(g)
        return found._replace(steepness=np.where(flat, steepness, found.steepness))

    with patch.object(SAMPLING, "_taps", without_flat):
        return mint.grid_sample(x, grid, **hyper)


@plant(
    "grid_sample",
    "ggrid",
    "x=(1,1,2,1) grid=(1,1,1,2) padding_mode=reflection",
    condition=("padding_mode = 'reflection'",),
)
def mirror_image_not_turned(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of a coordinate that has been reflected keeps its sign."""
    reflected = SAMPLING._reflected

    def not_turned(s: Array, n: int, align_corners: bool) -> tuple[Array, Array]:
        place, sign = reflected(s, n, align_corners)
        return place, np.abs(sign)

    with patch.object(SAMPLING, "_reflected", not_turned):
        return mint.grid_sample(x, grid, **hyper)


@plant(
    "grid_sample",
    "y",
    "x=(1,1,2,1) grid=(1,1,1,2) mode=nearest",
    "x=(1,1,2,1) grid=(1,1,1,2) mode=nearest align_corners=True",
    also=wrong("gx"),
    condition=("mode = 'nearest'",),
)
def halves_are_rounded_up(x: Array, grid: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """A point just between two elements takes the second one, and not the even one."""
    with patch.object(np, "rint", lambda s: np.floor(s + 0.5)):
        return mint.grid_sample(x, grid, **hyper)


@plant(
    "affine_grid",
    "gtheta",
    "theta=(1,2,3) size=(1,1,2,1) align_corners=True",
    "theta=(1,2,3) size=(1,1,1,2) align_corners=True",
    condition=("align_corners",),
)
def aligned_corners_only_forward(theta: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient is that of a grid without aligned corners."""
    y, _ = mint.affine_grid(theta, **hyper)
    return y, mint.affine_grid(theta, **{**hyper, "align_corners": False})[1]


@plant("affine_grid", "y", "theta=(1,2,3) size=(1,1,2,1)", "theta=(1,2,3) size=(1,1,1,2)", also=wrong("gtheta"))
def matrix_for_row_before_column(theta: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The columns of theta belong to the axes of the map in their order."""
    axes = theta.shape[1]
    order = [*reversed(range(axes)), axes]
    y, vjp = mint.affine_grid(np.ascontiguousarray(theta[..., order]), **hyper)
    return y, replacing(vjp, 0, lambda gy: np.asarray(vjp(gy)[0])[..., order])
