"""Convolution and transposed convolution, one to three axes: definitions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.configuration import Configuration
from oracles.draw import axis_length, batch_size
from oracles.formula import formula
from oracles.operation import Array, Hyper, Operation, Shapes, Vjp
from oracles.pad import flat, pad_formula, pad_jax
from oracles.window import Window, each_axis, overlap, pad_pairs, per_axis, spoil_window, window


def _padding(draw: st.DrawFn, fitted: Window, form: str) -> Any:
    """The drawn padding in one of the forms that a user may write."""
    if form in ("same", "valid"):
        return form
    if form == "pairs":
        return fitted.padding
    return per_axis(draw, [low for low, _ in fitted.padding])


def draw_convolution(draw: st.DrawFn, *, axes: int, transposed: bool) -> tuple[Shapes, Hyper]:
    """Shapes and hyper-parameters of a convolution; for a transposed one, of the convolution it is adjoint to."""
    form = draw(st.sampled_from(("ints", "ints", "pairs", "same", "valid")))
    most = {"same": 0, "valid": 0}.get(form, 3 if axes < 3 else 2)
    # padding beyond the kernel is allowed and means windows that see nothing but padding
    fitted = window(draw, axes, lambda _, span: min(span, most), unit_stride=form == "same", pairs=form == "pairs")
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    inner, outer = (groups * draw(st.integers(1, 3)) for _ in range(2))
    n = batch_size(draw)
    hyper: Hyper = {
        "stride": per_axis(draw, fitted.stride),
        "padding": _padding(draw, fitted, form),
        "dilation": per_axis(draw, fitted.dilation),
        "groups": groups,
    }
    shapes: Shapes
    if transposed:
        spans = [d * (k - 1) + 1 for d, k in zip(fitted.dilation, fitted.kernel, strict=True)]
        pads = pad_pairs(hyper["padding"], fitted.kernel, fitted.dilation)
        extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(fitted.stride, fitted.dilation, strict=True)]
        size = [draw(st.integers(1, 4 if axes < 3 else 3)) for _ in range(axes)]
        # the output, (h − 1)·s − padding + span + extra, must not be empty
        size = [
            max(h, 1 + -(-(1 + lo + hi - span - e) // s))
            for h, s, (lo, hi), span, e in zip(size, fitted.stride, pads, spans, extra, strict=True)
        ]
        hyper["output_padding"] = per_axis(draw, extra)
        shapes = {"x": (n, inner, *size), "w": (inner, outer // groups, *fitted.kernel)}
    else:
        shapes = {"x": (n, inner, *fitted.size), "w": (outer, inner // groups, *fitted.kernel)}
    if draw(st.booleans()):
        shapes["b"] = (outer,)
    if not transposed:
        mode = draw(st.sampled_from(("zeros", "zeros", "zeros", "reflect", "replicate", "circular")))
        hyper["padding_mode"] = mode
        # a map is reflected by less than itself, and wrapped once at most
        widest = [max(pair) for pair in pad_pairs(hyper["padding"], fitted.kernel, fitted.dilation)]
        least = [{"reflect": wide + 1, "circular": wide}.get(mode, 1) for wide in widest]
        shapes["x"] = (n, inner, *(max(both) for both in zip(fitted.size, least, strict=True)))
    return shapes, hyper


def spoil_convolution(
    draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int, transposed: bool
) -> tuple[str, Shapes, Hyper]:
    """A convolution with one thing wrong."""
    what = draw(st.sampled_from(("hyper", "hyper", "channels", "bias", "axes", "kernel")))
    if what == "hyper":
        more: dict[str, tuple[Any, ...]] = {
            # PyTorch lets a transposed kernel of one element have a dilation of 0
            "dilation": (-1 if transposed else 0, -2, (1,) * (axes + 1)),
            "groups": (0, -1, 7),
            "padding": (-1, "both", (0,) * (axes + 1)),
        }
        if transposed:
            more["output_padding"] = (-1, 99)
        else:
            more["padding_mode"] = ("edge", 1)
        what, hyper = spoil_window(draw, hyper, axes, **more)
        if what == "padding" and not transposed:
            # in other modes PyTorch's modules do not look at its sign
            hyper = {**hyper, "padding_mode": "zeros"}
    elif what == "channels":
        x = shapes["x"]
        shapes = {**shapes, "x": (x[0], x[1] + 1, *x[2:])}
    elif what == "bias":
        outer = shapes["w"][1] * hyper.get("groups", 1) if transposed else shapes["w"][0]
        shapes = {**shapes, "b": (outer + 1,)}
    elif what == "axes":
        shapes = {**shapes, "x": (*shapes["x"], 1, 1)}
    elif transposed:  # a crop as large as the output leaves nothing
        hyper = {**hyper, "padding": 99}
    elif hyper["padding_mode"] in ("reflect", "circular"):
        what, hyper = "padding", {**hyper, "stride": 1, "padding": 99}
    else:
        shapes = {**shapes, "w": (*shapes["w"][:2], *(99,) * axes)}
        hyper = {**hyper, "padding": 0}
    return what, shapes, hyper


def convolution_equations(
    x: Array, w: Array, b: Array | None = None, *, padding: Any = 0, padding_mode: str = "zeros", **hyper: Any
) -> tuple[Array, Vjp]:
    """The convolution (derivations, 3); in other modes than zeros that of the padded map (8)."""
    if padding_mode == "zeros":
        return equations.conv(x, w, b, padding=padding, **hyper)
    pairs = pad_pairs(padding, w.shape[2:], each_axis(hyper.get("dilation", 1), w.ndim - 2))
    padded, unpad = pad_formula(x, pad=flat(pairs), mode=padding_mode)
    y, vjp = equations.conv(padded, w, b, **hyper)

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx, gw, gb = vjp(gy)
        return *unpad(gx), gw, gb

    return y, back


def convolution_torch(
    F: Any, x: Any, w: Any, b: Any = None, *, padding: Any = 0, padding_mode: str = "zeros", **hyper: Any
) -> Any:
    axes = w.ndim - 2
    convolution = getattr(F, f"conv{axes}d")
    if padding_mode != "zeros" or (isinstance(padding, tuple) and isinstance(padding[0], tuple)):
        # PyTorch's function pads with zeros, both sides alike; its modules pad first in other modes
        pairs = pad_pairs(padding, w.shape[2:], each_axis(hyper.get("dilation", 1), axes))
        x, padding = F.pad(x, flat(pairs), "constant" if padding_mode == "zeros" else padding_mode), 0
    return convolution(x, w, b, padding=padding, **hyper)


def convolution_transpose_torch(
    F: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    padding: Any = 0,
    **hyper: Any,
) -> Any:
    axes = w.ndim - 2
    transposed = getattr(F, f"conv_transpose{axes}d")
    if not isinstance(padding, str) and not (isinstance(padding, tuple) and isinstance(padding[0], tuple)):
        return transposed(x, w, b, padding=padding, **hyper)
    # PyTorch crops both sides alike; words and unequal sides are cropped afterwards
    y = transposed(x, w, b, **hyper)
    pads = pad_pairs(padding, w.shape[2:], each_axis(hyper.get("dilation", 1), axes))
    for axis, (lo, hi) in enumerate(pads, start=2):
        y = y.narrow(axis, lo, y.shape[axis] - lo - hi)
    return y


def convolution_jax(
    jax: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Any:
    axes = w.ndim - 2
    dilation = each_axis(dilation, axes)
    pairs = pad_pairs(padding, w.shape[2:], dilation)
    if padding_mode != "zeros":
        x, pairs = pad_jax(jax, x, pad=flat(pairs), mode=padding_mode), ((0, 0),) * axes
    y = jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=each_axis(stride, axes),
        padding=pairs,
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    return y if b is None else y + b.reshape(-1, *(1,) * axes)


def convolution_transpose_jax(
    jax: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    axes = w.ndim - 2
    dilation = each_axis(dilation, axes)
    inner, outer, *kernel = w.shape
    # the adjoint: x with stride − 1 zeros between its elements, times the rotated, channel-exchanged kernel
    w = w.reshape(groups, inner // groups, outer, *kernel).swapaxes(1, 2)
    w = jax.numpy.flip(w.reshape(groups * outer, inner // groups, *kernel), range(2, 2 + axes))
    pads = pad_pairs(padding, kernel, dilation)
    y = jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=(1,) * axes,
        padding=[
            (d * (k - 1) - lo, d * (k - 1) - hi + extra)
            for d, k, (lo, hi), extra in zip(dilation, kernel, pads, each_axis(output_padding, axes), strict=True)
        ],
        lhs_dilation=each_axis(stride, axes),
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    return y if b is None else y + b.reshape(-1, *(1,) * axes)


def kernel_features(configuration: Configuration) -> dict[str, bool]:
    """Facts about kernel and padding."""
    kernel = configuration.shapes["w"][2:]
    dilation = each_axis(configuration.hyper.get("dilation", 1), len(kernel))
    pads = pad_pairs(configuration.hyper.get("padding", 0), kernel, dilation)
    return {
        "the padding differs by side": any(lo != hi for lo, hi in pads),
        "padding > 0": any(lo or hi for lo, hi in pads),
        "the kernel is larger than 1": any(k > 1 for k in kernel),
        "the kernel has one element": all(k == 1 for k in kernel),
    }


def convolution_features(configuration: Configuration) -> dict[str, bool]:
    """Facts that span several hyper-parameters."""
    hyper = configuration.hyper
    size, kernel = configuration.shapes["x"][2:], configuration.shapes["w"][2:]
    axes = len(kernel)
    stride, dilation = (each_axis(hyper.get(name, 1), axes) for name in ("stride", "dilation"))
    pads = pad_pairs(hyper.get("padding", 0), kernel, dilation)
    axis = list(zip(size, kernel, stride, dilation, pads, strict=True))
    return {
        "the windows overlap": any(overlap(*each) for each in axis),
        "the stride does not divide": any((h + lo + hi - d * (k - 1) - 1) % s for h, k, s, d, (lo, hi) in axis),
        **kernel_features(configuration),
        "the kernel is as large as the map": size == kernel,
        "there is one kernel per channel": 1 < hyper.get("groups", 1) == configuration.shapes["x"][1],
    }


def _convolution(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"conv{axes}d"),
        draw=partial(draw_convolution, axes=axes, transposed=False),
        spoil=partial(spoil_convolution, axes=axes, transposed=False),
        equations=convolution_equations,
        torch=convolution_torch,
        jax=convolution_jax,
        exact=lambda configuration: True,
        # whether 0·∞ is added at a padding tap is not specified; in x it cannot stand there
        nonfinite=("x",),
        features=convolution_features,
    )


def _transposed(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"conv_transpose{axes}d"),
        draw=partial(draw_convolution, axes=axes, transposed=True),
        spoil=partial(spoil_convolution, axes=axes, transposed=True),
        equations=getattr(equations, f"conv_transpose{axes}d"),
        torch=convolution_transpose_torch,
        jax=convolution_transpose_jax,
        exact=lambda configuration: True,
        # whether 0·∞ is added at an inserted zero or a cropped tap is not specified
        nonfinite=(),
        features=kernel_features,
    )


conv1d, conv2d, conv3d = (_convolution(axes) for axes in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed(axes) for axes in (1, 2, 3))


# --- time, batch, channel -----------------------------------------------------------------------------------


def draw_conv_tbc(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Kernels up to one longer than the padded times, which leaves nothing; now and then no batch or channels."""
    taps = draw(st.integers(1, 4))
    pad = draw(st.integers(-2, 3))
    times = max(draw(st.integers(1, 7)), taps - 1 - 2 * pad)
    inner, outer = draw(axis_length(2, 1, 3, 5)), draw(axis_length(2, 1, 3))
    return {"x": (times, batch_size(draw), inner), "w": (taps, inner, outer), "b": (outer,)}, {"pad": pad}


def spoil_conv_tbc(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another number of channels, axes too many, a kernel too long, a pad that is no int."""
    taps, inner, outer = shapes["w"]
    what, wrong = draw(
        st.sampled_from(
            (
                ("b", (outer + 1,)),
                ("b", (outer, 1)),
                ("w", (taps, inner + 1, outer)),
                ("w", (99, inner, outer)),
                ("x", (*shapes["x"], 1)),
                ("x", shapes["x"][1:]),
            )
        )
    )
    if draw(st.booleans()):
        return "pad", shapes, {"pad": draw(st.sampled_from((0.5, "same", -99, (1, 1))))}
    return what, {**shapes, what: wrong}, hyper


@formula
def conv_tbc_formula(x: Any, w: Any, b: Any, *, pad: int = 0) -> Any:
    """y[t, n, o] = b[o] + Σ_k Σ_c x[t + k − pad, n, c]·w[k, c, o], over the times that there are."""
    taps, times = len(w), len(x)
    t, k = np.ogrid[: times + 2 * pad - taps + 1, :taps]
    at = t + k - pad
    there = (at >= 0) & (at < times)
    windows = np.where(there[:, :, None, None], x[at.clip(0, times - 1)], 0)
    return np.einsum("tknc,kco->tno", windows, w) + b


def conv_tbc_jax(jax: Any, x: Any, w: Any, b: Any, *, pad: int = 0) -> Any:
    return jax.lax.conv_general_dilated(x, w, (1,), [(pad, pad)], dimension_numbers=("WNC", "WIO", "WNC")) + b


conv_tbc = Operation(
    function=mint.conv_tbc,
    draw=draw_conv_tbc,
    spoil=spoil_conv_tbc,
    equations=conv_tbc_formula,
    jax=conv_tbc_jax,
    exact=lambda configuration: True,
    # whether 0·∞ is added at a padding tap is not specified; in x it cannot stand there
    nonfinite=("x",),
)
