"""Broadcasting: the shape that arrays have in common, and the way back of a gradient."""

from __future__ import annotations

import math

import numpy as np

from mint.differentiable import Array


def common_shape(op: str, **arrays: Array) -> tuple[int, ...]:
    """The shape to which these arrays broadcast.

    >>> common_shape("kl_div", x=np.zeros((2, 3)), target=np.zeros(2))
    Traceback (most recent call last):
    ValueError: kl_div: the shapes must broadcast; got x (2, 3), target (2,)
    """
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{op}: the shapes must broadcast; got {found}") from None


def summed_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Undo a broadcast from this shape: the transposed map sums over every axis that was stretched.

    >>> summed_to(np.ones((4, 2, 3)), (2, 1))
    array([[12.], [12.]])
    """
    if gradient.shape == shape:
        return gradient
    lengths = (1,) * (gradient.ndim - len(shape)) + shape
    kept = [axis for axis, n in enumerate(lengths) if n == gradient.shape[axis]]
    summed = [axis for axis in range(gradient.ndim) if axis not in kept]
    # NumPy adds pairwise along the last axis, along others one after the other, which loses more digits
    rows = gradient.transpose(kept + summed)
    total: Array = rows.reshape(*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :])).sum(-1).reshape(shape)
    return total
