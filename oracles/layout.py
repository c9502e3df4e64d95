"""Memory layouts: the same values, laid out in memory as real callers lay them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _fortran(x: Array) -> Array:
    return np.asfortranarray(x)


def _channels_last(x: Array) -> Array:
    """Stored as (N, *map, C), seen as (N, C, *map)."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def junk(dtype: np.dtype[Any]) -> float:
    """What stands where no element is: NaN (integers: the least), so that reading it shows."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else np.nan


def _sliced(x: Array) -> Array:
    """Every second element of a wider buffer whose other elements are `junk`."""
    buffer = np.full((*x.shape[:-1], 2 * x.shape[-1]), junk(x.dtype), x.dtype)
    buffer[..., ::2] = x
    return buffer[..., ::2]


def _negative(x: Array) -> Array:
    """Stored backwards along the last axis, so that its stride is negative."""
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def _broadcast(x: Array) -> Array:
    """Every entry of the first axis is the first one, at stride 0 (the one layout that changes the values)."""
    return np.broadcast_to(x[:1], x.shape)


def _read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def odd_strides(shape: Sequence[int], strides: Sequence[int], item: int) -> list[int]:
    """These strides, but for axes of one element, whose stride nobody may go by: there it is that of 13 items."""
    return [13 * item if length == 1 else stride for length, stride in zip(shape, strides, strict=True)]


def _odd_strides(x: Array) -> Array:
    return np.lib.stride_tricks.as_strided(x, strides=odd_strides(x.shape, x.strides, x.itemsize))


CONTIGUOUS = "contiguous"
#: name -> (least number of axes, how to lay out a contiguous array). The names stand in descriptors.
LAYOUTS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    CONTIGUOUS: (0, lambda x: x),
    "channels_last": (3, _channels_last),
    "fortran": (2, _fortran),
    "sliced": (1, _sliced),
    "negative": (1, _negative),
    "broadcast": (1, _broadcast),
    "read_only": (0, _read_only),
    "odd_strides": (1, _odd_strides),
}
#: Those whose elements lie one after the other, in the order of the indices.
IN_ORDER = frozenset({CONTIGUOUS, "read_only", "odd_strides"})


def lay_out(x: Array, layout: str) -> Array:
    """`x` in this layout; the array itself where it has too few axes for it."""
    axes, arrange = LAYOUTS[layout]
    return arrange(x) if x.ndim >= axes else x


def source(name: str, layout: str, axes: int) -> str:
    """The line of a stand-alone script that lays out the NumPy array called `name`, or nothing."""
    if axes < LAYOUTS.get(layout, LAYOUTS[CONTIGUOUS])[0]:
        return ""
    return {
        "channels_last": f"{name} = np.moveaxis(np.ascontiguousarray(np.moveaxis({name}, 1, -1)), -1, 1)",
        "fortran": f"{name} = np.asfortranarray({name})",
        "sliced": f"{name} = np.repeat({name}, 2, axis=-1)[..., ::2]",
        "negative": f"{name} = np.ascontiguousarray({name}[..., ::-1])[..., ::-1]",
        "broadcast": f"{name} = np.broadcast_to({name}[:1], {name}.shape)",
        "read_only": f"{name}.flags.writeable = False",
        "odd_strides": f"{name} = np.lib.stride_tricks.as_strided({name}, strides="
        f"[13 * {name}.itemsize if n == 1 else s for n, s in zip({name}.shape, {name}.strides)])",
    }.get(layout, "")
