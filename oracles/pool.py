"""Max- and average-pooling, one to three axes: definitions."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.configuration import Case, Configuration
from oracles.draw import batch_size
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.window import each_axis, per_axis, shared, spoil_window, window


def draw_pooling(draw: st.DrawFn, *, axes: int, maximum: bool) -> tuple[Shapes, Hyper]:
    """Windows with padding up to half of them, which is as much as PyTorch allows."""
    disjoint = draw(st.booleans())
    fitted = window(
        draw, axes, lambda kernel, _: kernel // 2, dilated=maximum, disjoint=disjoint and draw(st.booleans())
    )
    size = fitted.size
    if axes == 3 and not maximum:
        # PyTorch's avg_pool3d alone refuses a kernel larger than the map before padding, and Mint's with it
        size = tuple(map(max, size, fitted.kernel))
    hyper: Hyper = {
        "kernel_size": per_axis(draw, fitted.kernel),
        "padding": per_axis(draw, [low for low, _ in fitted.padding]),
        "ceil_mode": draw(st.booleans()),
    }
    if fitted.stride != fitted.kernel or not disjoint:
        hyper["stride"] = per_axis(draw, fitted.stride)
    if maximum:
        hyper["dilation"] = per_axis(draw, fitted.dilation)
        hyper["return_indices"] = draw(st.booleans())
    else:
        hyper["count_include_pad"] = not draw(st.booleans())
        hyper["divisor_override"] = draw(st.sampled_from((None, None, 1, 2, 3, 7)))
    return {"x": (batch_size(draw), draw(st.integers(1, 3)), *size)}, hyper


def spoil_pooling(
    draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int, maximum: bool
) -> tuple[str, Shapes, Hyper]:
    """Windows that PyTorch refuses: padding over half the kernel, kernels larger than the map, zeros."""
    more: dict[str, tuple[Any, ...]] = {
        "kernel_size": (0, -1, 2.5, (2,) * (axes + 1), 99),
        "padding": (-1, 50, 0.5),
    }
    if maximum:
        more["dilation"] = (0, -1, 99)
        # a window of one element spans one element at any dilation
        hyper = {**hyper, "kernel_size": 2, "padding": 0}
    else:
        more["divisor_override"] = (0,)
    what, hyper = spoil_window(draw, hyper, axes, **more)
    if what == "kernel_size":
        hyper = {**hyper, "padding": 0, "ceil_mode": False}  # which may let a kernel exceed the map
    return what, shapes, hyper


def window_taps(
    size: tuple[int, ...], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[tuple[int, ...], list[Array], list[tuple[int, int]]]:
    """Output sizes; per axis the tap (window, offset) -> row of the map, −1 outside; and the padding used."""
    axes = len(size)
    kernel, padding, dilation = (each_axis(v, axes) for v in (kernel, padding, dilation))
    stride = kernel if stride is None else each_axis(stride, axes)
    out, taps, pads = [], [], []
    for h, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = h + 2 * p - d * (k - 1) - 1
        n = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (n - 1) * s >= h + p:
            n -= 1  # a window may not start in the padding on the far side
        tap = np.arange(n)[:, None] * s - p + np.arange(k)[None, :] * d
        out.append(n)
        taps.append(np.where((tap >= 0) & (tap < h), tap, -1))
        pads.append((p, max(0, (n - 1) * s + d * (k - 1) + 1 - h - p)))
    return tuple(out), taps, pads


def max_pool_jax(
    jax: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    jnp = jax.numpy
    size = x.shape[2:]
    axes = len(size)
    out, taps, pads = window_taps(size, kernel_size, stride, padding, dilation, ceil_mode)
    if not return_indices and set(each_axis(dilation, axes)) == {1}:
        kernel = each_axis(kernel_size, axes)
        return jax.lax.reduce_window(
            x,
            np.array(-np.inf, x.dtype),
            jax.lax.max,
            (1, 1, *kernel),
            (1, 1, *(kernel if stride is None else each_axis(stride, axes))),
            ((0, 0), (0, 0), *pads),
        )
    # JAX differentiates no dilated window and returns no indices: gather every window, then take its maximum
    place = np.zeros((1,) * (2 * axes), np.int64)
    inside = np.ones_like(place, bool)
    for axis, (h, tap) in enumerate(zip(size, taps, strict=True)):
        shape = [1] * (2 * axes)
        shape[axis], shape[axes + axis] = tap.shape
        place = place * h + tap.reshape(shape)
        inside = inside & (tap.reshape(shape) >= 0)
    place = np.where(inside, place, 0).reshape(*out, prod(place.shape[axes:]))
    windows = x.reshape(*x.shape[:2], prod(size))[:, :, place]
    windows = jnp.where(inside.reshape(place.shape), windows, -jnp.inf)
    best = jnp.argmax(windows, axis=-1)[..., None]
    y = jnp.take_along_axis(windows, best, axis=-1)[..., 0]
    indices = jnp.take_along_axis(jnp.broadcast_to(place, windows.shape), best, axis=-1)[..., 0]
    indices = jnp.where(inside.reshape(place.shape).any(axis=-1), indices, -1)
    return (y, indices) if return_indices else y


def avg_pool_jax(
    jax: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    size = x.shape[2:]
    axes = len(size)
    kernel = each_axis(kernel_size, axes)
    strides = kernel if stride is None else each_axis(stride, axes)
    out, taps, pads = window_taps(size, kernel, strides, padding, 1, ceil_mode)
    total = jax.lax.reduce_window(
        x,
        np.array(0, x.dtype),
        jax.lax.add,
        (1, 1, *kernel),
        (1, 1, *strides),
        ((0, 0), (0, 0), *pads),
    )
    divisor = np.ones((1,) * axes)
    for axis, (h, k, s, p) in enumerate(zip(size, kernel, strides, each_axis(padding, axes), strict=True)):
        start = np.arange(out[axis]) * s - p
        # padding counts, but only as far as it was asked for: not the rows that ceil_mode adds
        width = np.minimum(start + k, h + p) - start if count_include_pad else (taps[axis] >= 0).sum(axis=1)
        divisor = divisor * width.reshape([-1 if a == axis else 1 for a in range(axes)])
    return total / (divisor.astype(x.dtype) if divisor_override is None else divisor_override)


def avg_pool1d_torch(F: Any, x: Any, *, kernel_size: Any, divisor_override: int | None = None, **hyper: Any) -> Any:
    if divisor_override is None:
        return F.avg_pool1d(x, kernel_size, **hyper)
    # only avg_pool2d has a divisor: one row of it, as an axis of size 1
    stride = hyper.pop("stride", None)
    stride = kernel_size if stride is None else stride
    kernel_size, stride = ((1, *each_axis(value, 1)) for value in (kernel_size, stride))
    padding = (0, *each_axis(hyper.pop("padding", 0), 1))
    y = F.avg_pool2d(x[:, :, None], kernel_size, stride, padding=padding, divisor_override=divisor_override, **hyper)
    return y[:, :, 0]


def max_pool_scale(x: Array, gy: Array, **hyper: Any) -> tuple[Array, Array]:
    """Nothing is rounded in y; a gradient is a sum of cotangents, so G is that sum of their magnitudes."""
    y, vjp = getattr(equations, f"max_pool{x.ndim - 2}d")(x, **{**hyper, "return_indices": False})
    (gx,) = vjp(np.abs(gy))
    return np.abs(y), gx


def divides_exactly(configuration: Configuration) -> bool:
    """Every divisor is a power of two, so that averaging small integers rounds nothing."""
    hyper = configuration.hyper
    if hyper.get("divisor_override") is not None:
        return hyper["divisor_override"] in (1, 2, 4, 8)
    partial_windows = hyper.get("ceil_mode", False) or not hyper.get("count_include_pad", True)
    count = prod(each_axis(hyper["kernel_size"], len(configuration.shapes["x"]) - 2))
    return not partial_windows and count in (1, 2, 4, 8, 16, 32)


def has_nan(case: Case) -> bool:
    """Whether NaN may stand in the input."""
    return case.fill == "special"


def _taps(configuration: Configuration) -> list[Array]:
    hyper = configuration.hyper
    _, taps, _ = window_taps(
        configuration.shapes["x"][2:],
        hyper["kernel_size"],
        hyper.get("stride"),
        hyper.get("padding", 0),
        hyper.get("dilation", 1),
        hyper.get("ceil_mode", False),
    )
    return taps


def has_empty_window(case: Case) -> bool:
    """Whether dilation makes a window whose every tap lies in the padding."""
    return any(bool((tap < 0).all(axis=1).any()) for tap in _taps(case.configuration))


def pooling_features(configuration: Configuration) -> dict[str, bool]:
    """Facts that span several hyper-parameters."""
    taps = _taps(configuration)
    return {
        "the windows overlap": any(map(shared, taps)),
        # by padding or by ceil_mode
        "a window reaches past the map": any(bool((tap < 0).any()) for tap in taps),
    }


def _max_pool(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"max_pool{axes}d"),
        draw=partial(draw_pooling, axes=axes, maximum=True),
        spoil=partial(spoil_pooling, axes=axes, maximum=True),
        equations=getattr(equations, f"max_pool{axes}d"),
        extras=("indices",),
        jax=max_pool_jax,
        scale=max_pool_scale,
        exact=lambda configuration: True,
        features=pooling_features,
        limitations=(
            Limitation(
                "torch",
                "a dilated window may lie in the padding altogether; PyTorch gives it an index past the end of "
                "the map, where its gradient is then written: it is not called",
                applies=has_empty_window,
            ),
            Limitation(
                "jax",
                "which NaN of a window gets the gradient is not specified; XLA's select-and-scatter picks another",
                applies=has_nan,
                tensors=("indices", "gx"),
            ),
        ),
    )


def _avg_pool(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"avg_pool{axes}d"),
        draw=partial(draw_pooling, axes=axes, maximum=False),
        spoil=partial(spoil_pooling, axes=axes, maximum=False),
        equations=getattr(equations, f"avg_pool{axes}d"),
        torch=avg_pool1d_torch if axes == 1 else None,
        jax=avg_pool_jax,
        exact=divides_exactly,
        features=pooling_features,
    )


max_pool1d, max_pool2d, max_pool3d = (_max_pool(axes) for axes in (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool(axes) for axes in (1, 2, 3))
