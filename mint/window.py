"""The geometry that convolution and pooling share: a kernel-sized window that moves over a map.

Along one axis with ``before`` rows of padding, kernel k, stride s and dilation d, tap i of window o lies at
the padded position o·s + i·d, which is position o·s + i·d − before of the map. Everything here follows from
that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from types import EllipsisType
from typing import NamedTuple

import numpy as np

from mint.differentiable import Array

Index = tuple[EllipsisType | slice, ...]


class Window(NamedTuple):
    """A window and the places it takes; each field has one int per axis, in elements of the map."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    out: tuple[int, ...]


def reach(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """The extent of a dilated kernel: d·(k − 1) + 1.

    >>> reach((3, 1), (2, 5))
    (5, 1)
    """
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def span(window: Window) -> tuple[int, ...]:
    """The extent of the padded map that the windows touch: (out − 1)·s + d·(k − 1) + 1, or 0 without any."""
    extents = reach(window.kernel, window.dilation)
    return tuple(
        (out - 1) * s + extent if out else 0 for out, s, extent in zip(window.out, window.stride, extents, strict=True)
    )


def taps(window: Window) -> Iterator[Index]:
    """For each kernel offset, first axis slowest, where in the padded map the windows have that tap."""
    for offset in product(*map(range, window.kernel)):
        starts = [i * d for i, d in zip(offset, window.dilation, strict=True)]
        yield (
            ...,
            *(
                slice(start, start + max((out - 1) * s + 1, 0), s)
                for start, s, out in zip(starts, window.stride, window.out, strict=True)
            ),
        )


def gather(x: Array, window: Window, fill: float = 0) -> Array:
    """The windows, tap by tap: [a, b, *map] -> [a, k, b, *out], ``fill`` where a tap lies in the padding.

    >>> w = Window(size=(4,), kernel=(2,), stride=(2,), dilation=(1,), before=(1,), out=(3,))
    >>> gather(np.arange(1, 5).reshape(1, 1, 4), w)[0, :, 0].T
    array([[0, 1], [2, 3], [4, 0]])
    """
    a, b = x.shape[:2]
    padded = np.full((a, b, *span(window)), fill, x.dtype)
    in_padded, in_map = _overlap(window)
    padded[in_padded] = x[in_map]
    windows = np.empty((a, np.prod(window.kernel, dtype=int), b, *window.out), x.dtype)
    for k, tap in enumerate(taps(window)):
        windows[:, k] = padded[tap]
    return windows


def scatter(windows: Array, window: Window) -> Array:
    """The adjoint of ``gather`` with fill 0: [a, k, b, *out] -> [a, b, *map], adding where windows overlap.

    Taps in the padding are dropped; elements of the map that no window reaches are 0.

    >>> w = Window(size=(4,), kernel=(2,), stride=(2,), dilation=(1,), before=(1,), out=(2,))
    >>> scatter(np.array([[5, 7], [6, 8]]).reshape(1, 2, 1, 2), w)[0, 0]
    array([6, 7, 8, 0])
    """
    a, _, b = windows.shape[:3]
    padded = np.zeros((a, b, *span(window)), windows.dtype)
    for k, tap in enumerate(taps(window)):
        padded[tap] += windows[:, k]
    x = np.zeros((a, b, *window.size), windows.dtype)
    in_padded, in_map = _overlap(window)
    x[in_map] = padded[in_padded]
    return x


def _overlap(window: Window) -> tuple[Index, Index]:
    # the part of the map that the windows reach, in coordinates of the padded map and of the map
    sizes = [
        max(min(m, touched - lo), 0) for m, touched, lo in zip(window.size, span(window), window.before, strict=True)
    ]
    in_padded = (slice(lo, lo + size) for lo, size in zip(window.before, sizes, strict=True))
    in_map = (slice(0, size) for size in sizes)
    return (..., *in_padded), (..., *in_map)
