"""Operations that only move elements."""

from __future__ import annotations

import math

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Module, ModuleVjp, Shell

__all__ = [
    "Flatten",
    "Identity",
    "Unflatten",
    "flatten",
    "unflatten",
]


@differentiable
def flatten(x: Array, *, start_dim: int = 0, end_dim: int = -1) -> tuple[Array, Vjp]:
    """Flatten the axes start_dim … end_dim into one, last axis fastest.

    Shapes: x (d₀, …, dₙ), y (d₀, …, Π dᵢ for i from start_dim to end_dim, …, dₙ); a 0-d x gives shape (1,).
    Dtypes: those of ``differentiable``. y is always a copy.

    start_dim, end_dim: indices of axes, counted from the end where negative; start_dim not after end_dim.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not, or start_dim after end_dim.
    Source: PyTorch ``torch.flatten``, which may return a view.

    >>> import numpy as np
    >>> y, vjp = flatten(np.zeros((2, 3, 4)), start_dim=1)
    >>> y.shape, vjp(y)[0].shape
    ((2, 12), (2, 3, 4))
    """
    start = hyperparameters.dimension("flatten", "start_dim", start_dim, x.ndim)
    end = hyperparameters.dimension("flatten", "end_dim", end_dim, x.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim must not come after end_dim; got {start_dim} and {end_dim}")
    y = x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        return (gy.reshape(x.shape),)

    return y, vjp


@differentiable
def unflatten(x: Array, *, dim: int, sizes: tuple[int, ...]) -> tuple[Array, Vjp]:
    """Unflatten axis dim into several of these sizes, the last of them fastest: ``flatten`` the other way round.

    Shapes: x (d₀, …, dₙ), y (d₀, …, *sizes, …, dₙ), where sizes stands for axis dim; any axis may be 0.
    Dtypes: those of ``differentiable``. y is always a copy.

    dim: index of the axis, counted from the end where negative. sizes: one or more lengths with the product d_dim;
    one of them may be −1, for what the others leave, unless one of these is 0.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not (a 0-d x has none) or sizes that do not fit it; TypeError for what
    is no int or tuple of them.
    Source: PyTorch ``torch.unflatten``, which may return a view.

    >>> import numpy as np
    >>> y, vjp = unflatten(np.arange(6.0), dim=0, sizes=(2, -1))
    >>> y
    array([[0., 1., 2.],
           [3., 4., 5.]])
    >>> vjp(y)[0]
    array([0., 1., 2., 3., 4., 5.])
    """
    if x.ndim == 0:
        raise ValueError(f"unflatten: x must have an axis; got {x.shape}")
    axis = hyperparameters.index("unflatten", "dim", dim, x.ndim)
    lengths = hyperparameters.factors("unflatten", "sizes", sizes, x.shape[axis])
    y = x.reshape(*x.shape[:axis], *lengths, *x.shape[axis + 1 :])

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        return (gy.reshape(x.shape),)

    return y, vjp


class Flatten(Shell):
    """``flatten``, by default of all axes but the batch."""

    operation = staticmethod(flatten)

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(start_dim=start_dim, end_dim=end_dim)


class Unflatten(Shell):
    """``unflatten`` of axis dim into unflattened_size."""

    operation = staticmethod(unflatten)

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__(dim=dim, sizes=unflattened_size)


class Identity(Module):
    """What it is called on, itself and no copy; its vjp hands gy back."""

    def __repr__(self) -> str:
        return "Identity()"

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """x, and what gives gy."""
        return x, lambda gy: gy
