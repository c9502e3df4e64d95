"""Slips in operations that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant


@plant("flatten", "y", "x=(1,)", verdict="shares-memory")
def view_of_the_input(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The output is a view: who writes to it writes to the input."""
    y, vjp = mint.flatten(x, **hyper)
    return x.reshape(y.shape), vjp


@plant("unflatten", "y", "x=(4,) dim=0 sizes=(2,2)")
def first_size_fastest(x: Array, *, dim: int, sizes: tuple[int, ...]) -> tuple[Array, Vjp]:
    """The sizes are filled in the order of Fortran."""
    y, vjp = mint.unflatten(x, dim=dim, sizes=sizes)
    axis = dim % x.ndim
    last = axis + len(sizes)
    back = (*range(axis), *range(last - 1, axis - 1, -1), *range(last, y.ndim))
    turned = np.transpose(y, back).shape
    return np.array(np.transpose(y.reshape(turned), back), order="C"), vjp
