"""Sliding windows, for convolution and pooling: drawing them, and spelling their hyper-parameters out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracles.operation import Hyper

Pairs = tuple[tuple[int, int], ...]


def per_axis(draw: st.DrawFn, values: Sequence[int]) -> int | tuple[int, ...]:
    """A hyper-parameter in one of its two forms: an int where the axes agree, else (or also) a tuple."""
    # drawn in any case: Hypothesis takes fewer draws for simpler, and would prefer axes that differ
    spelled_out = draw(st.booleans())
    return tuple(values) if spelled_out or len(set(values)) > 1 else values[0]


@dataclass(frozen=True)
class Window:
    """One sliding window: the map's size and the hyper-parameters, per axis, that fit each other."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]


#: Largest (kernel, number of windows, stride, dilation) per axis, by the number of axes: maps stay small.
LARGEST = {1: (5, 6, 4, 3), 2: (4, 4, 3, 3), 3: (3, 3, 3, 2)}


def window(
    draw: st.DrawFn,
    axes: int,
    pad: Callable[[int, int], int],
    *,
    dilated: bool = True,
    unit_stride: bool = False,
    disjoint: bool = False,
    pairs: bool = False,
) -> Window:
    """Draw a window that fits; `pad(kernel, span)` bounds the padding; the span is the kernel's, dilated.

    `unit_stride` keeps the stride at 1 and `disjoint` at the kernel size; with `pairs` the two sides of an
    axis are padded independently.

    The map's size follows from the kernel, the number of windows and a remainder that the stride does not
    reach, so kernels as large as the map and strides that do not divide come up by construction.
    """
    most_kernel, most_windows, most_stride, most_dilation = LARGEST[axes]
    dilated = dilated and draw(st.booleans())  # half of the windows that may be: many kernels know no dilation
    # kernels as large as the map come up along one axis; along all of them they are one matrix product to many
    whole = draw(st.integers(0, 15)) == 15
    size, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(axes):
        k = draw(st.integers(1, most_kernel))
        s = 1 if unit_stride else k if disjoint else draw(st.integers(1, most_stride))
        d = draw(st.integers(1, most_dilation)) if dilated else 1
        span = d * (k - 1) + 1
        low = draw(st.integers(0, pad(k, span)))
        high = draw(st.integers(0, pad(k, span))) if pairs else low
        windows = draw(st.integers(1, most_windows))
        rest = draw(st.integers(0, s - 1))
        if whole:
            low, high, windows, rest = 0, 0, 1, 0
        size.append(max(1, (windows - 1) * s + span - low - high + rest))
        kernel.append(k)
        stride.append(s)
        padding.append((low, high))
        dilation.append(d)
    return Window(tuple(size), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))


def each_axis(value: Any, axes: int) -> tuple[int, ...]:
    """An int, or a tuple with one int per axis, as such a tuple."""
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def pad_pairs(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> Pairs:
    """Any form of `padding` as (before, after) pairs.

    >>> pad_pairs("same", (4,), (1,))
    ((1, 2),)
    """
    if padding == "valid":
        padding = 0
    if padding == "same":
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((span // 2, span - span // 2) for span in spans)
    sides = padding if isinstance(padding, tuple) else (padding,) * len(kernel)
    return tuple(side if isinstance(side, tuple) else (side, side) for side in sides)


def shared(taps: NDArray[Any]) -> bool:
    """Whether two of the taps along an axis are one element of the map; those in the padding are negative."""
    return bool(np.bincount(taps[taps >= 0]).max(initial=0) > 1)


def overlap(length: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> bool:
    """Whether two windows along an axis share an element of the map; in its padding they may.

    >>> overlap(3, 2, 1, 1, (0, 0)), overlap(1, 2, 1, 1, (0, 0)), overlap(3, 2, 1, 2, (0, 0))
    (True, False, False)
    """
    before, after = padding
    windows = max(0, (length + before + after - dilation * (kernel - 1) - 1) // stride + 1)
    taps = np.add.outer(np.arange(windows) * stride, np.arange(kernel) * dilation) - before
    return shared(taps[taps < length])


def spoil_window(draw: st.DrawFn, hyper: Hyper, axes: int, **more: Any) -> tuple[str, Hyper]:
    """One hyper-parameter of a window, made invalid; `more` adds choices: name=(invalid value, …)."""
    choices: dict[str, tuple[Any, ...]] = {
        "stride": (0, -1, 1.5, "two", (1,) * (axes + 1)),
        "padding": (-1, 0.5, (0,) * (axes + 1)),
        **more,
    }
    name = draw(st.sampled_from(sorted(choices)))
    return name, {**hyper, name: draw(st.sampled_from(choices[name]))}
