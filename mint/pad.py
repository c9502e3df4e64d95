"""Padding: constant, reflected, replicated and circular."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.window import Index

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "pad",
]

Pairs = tuple[tuple[int, int], ...]
"""How many elements are put (before, after) each of the last axes; a negative number cuts."""
Back = Callable[[Array], Array]
"""From the gradient of the padded array to that of the array."""

COPIED = ("reflect", "replicate", "circular")
"""The modes in which a border is made of copies."""


def filled(x: Array, pairs: Pairs, value: float = 0) -> tuple[Array, Back]:
    """Cut the last axes of x and put a constant around what is left; and the adjoint."""
    sizes = x.shape[x.ndim - len(pairs) :]
    starts = [max(-before, 0) for before, _ in pairs]
    kept = [_left(n, *pair) for n, pair in zip(sizes, pairs, strict=True)]
    padded = [n + before + after for n, (before, after) in zip(sizes, pairs, strict=True)]
    inside: Index = (..., *(slice(max(lo, 0), max(lo, 0) + n) for (lo, _), n in zip(pairs, kept, strict=True)))
    left: Index = (..., *(slice(start, start + n) for start, n in zip(starts, kept, strict=True)))
    y = np.full((*x.shape[: x.ndim - len(pairs)], *padded), value, x.dtype)
    y[inside] = x[left]

    def back(gy: Array) -> Array:
        # y is x inside and constant outside; what was cut off is nowhere
        gx = np.zeros(x.shape, x.dtype)
        gx[left] = gy[inside]
        return gx

    return y, back


def bordered(op: str, name: str, x: Array, pairs: Pairs, mode: str) -> tuple[Array, Back]:
    """Put a border of copies around the last axes of x; and the adjoint.

    ``op`` and ``name`` are those of the operation and its hyper-parameter, for what is not valid.
    """
    _check_border(op, name, x, pairs, mode)
    first = x.ndim - len(pairs)
    padded = {axis: pair for axis, pair in enumerate(pairs, first) if any(pair)}
    origins = {axis: _origins(x.shape[axis], *pair, mode) for axis, pair in padded.items()}
    y = x
    for axis, origin in origins.items():
        y = np.take(y, origin, axis)

    def back(gy: Array) -> Array:
        # y[…, j, …] = x[…, o(j), …] on every axis: gx[…, i, …] = Σ gy[…, j, …] over all j with o(j) = i
        for axis, origin in origins.items():
            gy = _added(gy, origin, padded[axis][0], x.shape[axis], axis)
        return gy

    return y, back


def _origins(size: int, before: int, after: int, mode: str) -> Array:
    """Which element of an axis is found at each place of the padded one."""
    place = np.arange(size + before + after) - before
    if mode == "reflect":  # at the first and at the last element
        return size - 1 - abs(size - 1 - abs(place))
    if mode == "replicate":
        return np.clip(place, 0, size - 1)
    # around what is left when a negative width has cut
    start = max(-before, 0)
    return start + (place - start) % max(_left(size, before, after), 1)


def _left(size: int, before: int, after: int) -> int:
    return size + min(before, 0) + min(after, 0)


def _added(gy: Array, origin: Array, before: int, size: int, axis: int) -> Array:
    """The adjoint of ``take``: along an axis, the sum of what has the same origin."""
    gy = gy.swapaxes(0, axis)
    gx = np.zeros((size, *gy.shape[1:]), gy.dtype)
    own = origin == np.arange(len(origin)) - before  # an element in its own place; the others are copies of it
    gx[origin[own]] = gy[own]
    np.add.at(gx, origin[~own], gy[~own])
    return gx.swapaxes(0, axis)


def _check_border(op: str, name: str, x: Array, pairs: Pairs, mode: str) -> None:
    axes = len(pairs)
    sizes = x.shape[x.ndim - axes :]
    if not 1 <= axes <= 3 or x.ndim - axes not in (1, 2):
        raise ValueError(
            f"{op}: {name} must have two numbers for each of one to three map axes, and x one or two axes before them, "
            f"for mode {mode!r}; got {2 * axes} numbers and x {x.shape}"
        )
    # PyTorch's rules: nothing but a batch may be empty, save where the border is circular
    if mode != "circular" and 0 in x.shape[x.ndim - axes - 1 :]:
        raise ValueError(f"{op}: x must have no empty axis but the batch for mode {mode!r}; got {x.shape}")
    padded = [n + before + after for n, (before, after) in zip(sizes, pairs, strict=True)]
    if min(padded) < 0 or (mode != "circular" and max(padded) == 0):
        raise ValueError(f"{op}: {name} must leave something of the map {sizes}; got {pairs}")
    if mode == "reflect" and any(max(pair) >= n for n, pair in zip(sizes, pairs, strict=True)):
        raise ValueError(f"{op}: {name} must be smaller than the map {sizes} to reflect it; got {pairs}")
    if mode == "circular" and any(max(pair) > max(_left(n, *pair), 0) for n, pair in zip(sizes, pairs, strict=True)):
        raise ValueError(f"{op}: {name} must be at most what is left of the map {sizes} to wrap it; got {pairs}")


@differentiable(wide=True)
def pad(x: Array, *, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> tuple[Array, Vjp]:
    """Put a border around the last axes: y[…, j, …] = x[…, o(j), …], or a constant where there is no such element.

    With P elements before an axis of n, place j of y lies at i = j − P of x, and o is, for the mode

    - ``"constant"``: i; outside of 0 ≤ i < n there is the value;
    - ``"reflect"``: |i| or 2·(n − 1) − i, mirrored at the first and at the last element;
    - ``"replicate"``: 0 or n − 1, the nearest;
    - ``"circular"``: i mod n, from the other end.

    Shapes: x any for the mode constant; for the others (N, C, *map) or (C, *map) with a map of one to three axes, as
    many as pad names, of which only N may be empty (circular: any). y has P + P' more elements along an axis.
    Dtypes: those of ``differentiable``. float16, bfloat16 and float32 are added up in float64.

    pad: elements before and after the last axis, then the last but one, and so on. A negative number cuts as many
    off; circular wraps around what is left. At most n − 1 on a side to reflect, what is left to wrap.
    mode: which border. value: the constant, 0 where it is None; None or 0 in the other modes.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``: an element gets the sum of the gradients of its copies.
    Raises ValueError or TypeError for a border that is not valid.
    Source: PyTorch ``torch.nn.functional.pad``.

    As in PyTorch, save that a value too large for the dtype becomes infinite, and that to wrap more than what a cut
    has left is always an error; PyTorch returns memory that nothing was written to where nothing is left. JAX's
    names (``jax.numpy.pad``) are ``"edge"`` for replicate and ``"wrap"`` for circular; it cuts in ``lax.pad`` only,
    and reflects and wraps any number of times.

    >>> y, vjp = pad(np.array([[1.0, 2.0, 3.0]]), pad=(2, 1), mode="reflect")
    >>> y
    array([[3., 2., 1., 2., 3., 2.]])
    >>> vjp(np.array([[1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0]]))
    (array([[1.0000e+02, 1.0101e+05, 1.0001e+04]]),)
    >>> pad(np.array([1.0, 2.0, 3.0]), pad=(1, -1), value=7)[0]
    array([7., 1., 2.])
    """
    pairs = hyperparameters.trailing_pairs("pad", "pad", pad, x.ndim)
    mode = hyperparameters.choice("pad", "mode", mode, ("constant", *COPIED))
    constant = 0.0 if value is None else hyperparameters.real("pad", "value", value)
    if mode == "constant":
        sizes = x.shape[x.ndim - len(pairs) :]
        if any(_left(n, *pair) < 0 for n, pair in zip(sizes, pairs, strict=True)):
            raise ValueError(f"pad: pad must not cut more than there is of {sizes}; got {pairs}")
        y, back = filled(x, pairs, constant)
    elif constant != 0:
        raise ValueError(f"pad: value must be None or 0 for mode {mode!r}; got {value!r}")
    else:
        y, back = bordered("pad", "pad", x, pairs, mode)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        return (back(gy),)

    return y, vjp


class _Pad(Shell):
    operation = staticmethod(pad)
    axes: int
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        sides = hyperparameters.per_axis(type(self).__name__, "padding", padding, 2 * self.axes)
        super().__init__(pad=sides, mode=self.mode)


class _ConstantPad(_Pad):
    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.hyperparameters["value"] = value


class ConstantPad1d(_ConstantPad):
    """``pad`` with a constant; padding is one int for both sides, or (left, right)."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """``pad`` with a constant; padding is one int for all sides, or (left, right, top, bottom)."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """``pad`` with a constant; padding is one int for all sides, or (left, right, top, bottom, front, back)."""

    axes = 3


class ZeroPad1d(_Pad):
    """``pad`` with zeros; padding as for ``ConstantPad1d``."""

    axes = 1


class ZeroPad2d(_Pad):
    """``pad`` with zeros; padding as for ``ConstantPad2d``."""

    axes = 2


class ZeroPad3d(_Pad):
    """``pad`` with zeros; padding as for ``ConstantPad3d``."""

    axes = 3


class ReflectionPad1d(_Pad):
    """``pad`` with the map's reflection; padding as for ``ConstantPad1d``."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """``pad`` with the map's reflection; padding as for ``ConstantPad2d``."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """``pad`` with the map's reflection; padding as for ``ConstantPad3d``."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """``pad`` with the map's outermost elements; padding as for ``ConstantPad1d``."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """``pad`` with the map's outermost elements; padding as for ``ConstantPad2d``."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """``pad`` with the map's outermost elements; padding as for ``ConstantPad3d``."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """``pad`` from the map's other end; padding as for ``ConstantPad1d``."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """``pad`` from the map's other end; padding as for ``ConstantPad2d``."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """``pad`` from the map's other end; padding as for ``ConstantPad3d``."""

    axes = 3
    mode = "circular"
