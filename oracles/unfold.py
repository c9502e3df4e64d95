"""Sliding blocks as columns, and columns added back to a map: definitions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.draw import batch_size
from oracles.formula import formula
from oracles.operation import Hyper, Limitation, Operation, Shapes
from oracles.window import each_axis, per_axis, spoil_window, window


def draw_blocks(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], Hyper]:
    """The axes before a block's, the map's size, and windows that fit; padding beyond the kernel is allowed."""
    fitted = window(draw, 2, lambda _, span: min(span, 3))
    batch = (batch_size(draw),) if draw(st.booleans()) else ()
    hyper: Hyper = {
        "kernel_size": per_axis(draw, fitted.kernel),
        "dilation": per_axis(draw, fitted.dilation),
        "padding": per_axis(draw, [low for low, _ in fitted.padding]),
        "stride": per_axis(draw, fitted.stride),
    }
    return (*batch, draw(st.integers(1, 3))), fitted.size, hyper


def draw_unfold(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """A map, with a batch or without."""
    channels, size, hyper = draw_blocks(draw)
    return {"x": (*channels, *size)}, hyper


def draw_fold(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """As many columns as the map has windows."""
    (*batch, channels), size, hyper = draw_blocks(draw)
    rows, columns = (Axis(n, axis, **hyper) for axis, n in enumerate(size))
    shape = (*batch, channels * rows.taps * columns.taps, rows.windows * columns.windows)
    return {"x": shape}, {"output_size": per_axis(draw, size), **hyper}


def spoil_blocks(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A number that is none, too few or too many axes, a kernel beyond the map, columns that do not fit."""
    folds = "output_size" in hyper
    if draw(st.booleans()):
        more: dict[str, tuple[Any, ...]] = {"kernel_size": (0, 99, (2,), "all"), "dilation": (0, -2, (1, 1, 1))}
        if folds:
            more["output_size"] = (0, 99, (2, 2, 2), 2.5)
        what, hyper = spoil_window(draw, hyper, 2, **more)
        return what, shapes, hyper
    *before, rows, columns = shapes["x"]
    wrong: list[tuple[int, ...]] = [(*before, rows, columns, 1, 1), (columns,) if folds else (rows, columns)]
    if folds:
        wrong.append((*before, rows, columns + 1))
        if prod(each_axis(hyper["kernel_size"], 2)) > 1:
            wrong.append((*before, rows + 1, columns))
    return "x", {"x": draw(st.sampled_from(wrong))}, hyper


class Axis:
    """Along one axis of a map: tap i of window p lies at p·s + i·d − P."""

    def __init__(
        self, n: int, axis: int, *, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        self.n = n
        self.taps, self.d, self.pad, self.s = (
            each_axis(value, 2)[axis] for value in (kernel_size, dilation, padding, stride)
        )
        self.windows = (n + 2 * self.pad - self.d * (self.taps - 1) - 1) // self.s + 1

    def places(self) -> tuple[Any, Any]:
        """For [i, p]: the place h in the map (0 where there is none), and whether there is one."""
        i, p = np.ogrid[: self.taps, : self.windows]
        h = p * self.s + i * self.d - self.pad
        there = (h >= 0) & (h < self.n)
        return np.where(there, h, 0), there

    def sources(self) -> tuple[Any, Any]:
        """For [i, h]: the window p whose tap i lies at h (0 where there is none), and whether there is one."""
        i, h = np.ogrid[: self.taps, : self.n]
        p, rest = np.divmod(h + self.pad - i * self.d, self.s)
        there = (rest == 0) & (p >= 0) & (p < self.windows)
        return np.where(there, p, 0), there


@formula
def unfold_formula(x: Any, **hyper: Any) -> Any:
    """y[n, (c·kH + i)·kW + j, p·W' + q] = x[n, c, p·s + i·d − P, q·s + j·d − P], where there is such an element."""
    *channels, height, width = x.shape
    rows, columns = Axis(height, 0, **hyper), Axis(width, 1, **hyper)
    (h, in_height), (w, in_width) = rows.places(), columns.places()
    # [c, i, j, p, q]
    there = in_height[:, None, :, None] & in_width[:, None, :]
    y = np.where(there, x[..., h[:, None, :, None], w[:, None, :]], 0)
    *batch, count = channels
    return y.reshape(*batch, count * rows.taps * columns.taps, rows.windows * columns.windows)


@formula
def fold_formula(x: Any, *, output_size: Any, **hyper: Any) -> Any:
    """y[n, c, h, w] = Σ_i Σ_j x[n, (c·kH + i)·kW + j, p·W' + q], p = (h + P − i·d)/s, q = (w + P − j·d)/s.

    Where p and q are whole, and those of a window.
    """
    rows, columns = (Axis(n, axis, **hyper) for axis, n in enumerate(each_axis(output_size, 2)))
    *batch, length, _ = x.shape
    count = length // (rows.taps * columns.taps)
    blocks = x.reshape(*batch, count, rows.taps, columns.taps, rows.windows, columns.windows)
    i, j = np.ogrid[: rows.taps, : columns.taps]
    (p, in_rows), (q, in_columns) = rows.sources(), columns.sources()
    # [c, i, j, h, w]
    there = in_rows[:, None, :, None] & in_columns[:, None, :]
    met = blocks[..., i[..., None, None], j[..., None, None], p[:, None, :, None], q[:, None, :]]
    return np.where(there, met, 0).sum((-4, -3))


def unfold_jax(jax: Any, x: Any, *, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    batched = x if x.ndim == 4 else x[None]
    y = jax.lax.conv_general_dilated_patches(
        batched,
        each_axis(kernel_size, 2),
        each_axis(stride, 2),
        [(p, p) for p in each_axis(padding, 2)],
        rhs_dilation=each_axis(dilation, 2),
    )
    y = y.reshape(*y.shape[:2], y.shape[2] * y.shape[3])
    return y if x.ndim == 4 else y[0]


def fold_jax(
    jax: Any, x: Any, *, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    jnp = jax.numpy
    size, kernel, d, p, s = (each_axis(v, 2) for v in (output_size, kernel_size, dilation, padding, stride))
    at = []
    for n, k, step, pad, move in zip(size, kernel, d, p, s, strict=True):
        windows = (n + 2 * pad - step * (k - 1) - 1) // move + 1
        at.append(jnp.arange(windows) * move + jnp.arange(k)[:, None] * step)
    (h, w), (kh, ph), (kw, pw) = at, at[0].shape, at[1].shape
    *batch, rows, _ = x.shape
    blocks = x.reshape(*batch, rows // (kh * kw), kh, kw, ph, pw)
    padded = jnp.zeros((*blocks.shape[:-4], *(n + 2 * pad for n, pad in zip(size, p, strict=True))), x.dtype)
    y = padded.at[..., h[:, None, :, None], w[None, :, None, :]].add(blocks)
    return y[..., p[0] : p[0] + size[0], p[1] : p[1] + size[1]]


def blocks_features(configuration: Configuration) -> dict[str, bool]:
    """Facts that span several hyper-parameters."""
    kernel, dilation, stride = (
        each_axis(configuration.hyper.get(name, 1), 2) for name in ("kernel_size", "dilation", "stride")
    )
    return {"the windows overlap": any(d * (k - 1) >= s for k, s, d in zip(kernel, stride, dilation, strict=True))}


def special(case: Case) -> bool:
    """Whether there are infinities and NaN."""
    return case.fill == "special"


unfold = Operation(
    function=mint.unfold,
    draw=draw_unfold,
    spoil=spoil_blocks,
    equations=unfold_formula,
    jax=unfold_jax,
    exact=lambda configuration: True,
    features=blocks_features,
    limitations=(
        Limitation("jax", "JAX takes blocks by a convolution with ones and zeros, and 0·∞ is NaN", applies=special),
    ),
)

fold = Operation(
    function=mint.fold,
    draw=draw_fold,
    spoil=spoil_blocks,
    equations=fold_formula,
    jax=fold_jax,
    exact=lambda configuration: True,
    features=blocks_features,
)
