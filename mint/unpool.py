"""Max-unpooling: maxima put back where they were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mint import hyperparameters
from mint.adaptive_pool import check_maps
from mint.differentiable import Array, Vjp, differentiable
from mint.module import ModuleVjp, Shell
from mint.pool import Ints

__all__ = [
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _max_unpool(
    op: str,
    axes: int,
    x: Array,
    indices: Array,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    output_size: tuple[int, ...] | None,
) -> tuple[Array, Vjp]:
    check_maps(op, x, axes)
    if indices.shape != x.shape:
        raise ValueError(f"{op}: indices must have the shape of x, {x.shape}; got {indices.shape}")
    size = _size(op, axes, x, kernel_size, stride, padding, output_size)
    planes, positions = math.prod(x.shape[:-axes]), math.prod(size)
    if indices.size and not 0 <= indices.min() <= indices.max() < positions:
        wrong = indices[(indices < 0) | (indices >= positions)][0]
        raise ValueError(f"{op}: indices must lie in [0, {positions - 1}], the output map {size}; got {wrong}")

    # [b, p] each: plane b has position q[b, p] of its output from x[b, p]; of several with one q the last
    q = indices.reshape(planes, math.prod(x.shape[-axes:])).astype(np.int64)
    b, p = np.ogrid[: q.shape[0], : q.shape[1]]
    y = np.zeros((planes, positions), x.dtype)
    y[b, q] = x.reshape(q.shape)
    last = np.zeros((planes, positions), np.int64)
    last[b, q] = p
    kept = last[b, q] == p

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # [b, m] -> [b, p]: what is not in y has no gradient
        return np.where(kept, gy.reshape(y.shape)[b, q], 0).reshape(x.shape), None

    return y.reshape(*x.shape[:-axes], *size), vjp


def _size(
    op: str,
    axes: int,
    x: Array,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    output_size: tuple[int, ...] | None,
) -> tuple[int, ...]:
    kernel = hyperparameters.per_axis(op, "kernel_size", kernel_size, axes, least=1)
    steps = hyperparameters.per_axis(op, "stride", kernel if stride is None else stride, axes, least=1)
    before = hyperparameters.per_axis(op, "padding", padding, axes, least=0)
    maps = x.shape[-axes:]
    size = tuple((m - 1) * s + k - 2 * p for m, s, k, p in zip(maps, steps, kernel, before, strict=True))
    if output_size is not None:
        given = hyperparameters.sizes(op, "output_size", output_size)
        # the shape of what was pooled, or that of its map
        chosen = given[2:] if len(given) == axes + 2 and given[:2] == x.shape[:-axes] else given
        if len(chosen) != axes or any(abs(n - m) >= s for n, m, s in zip(chosen, size, steps, strict=True)):
            raise ValueError(f"{op}: output_size must be nearer to {size} than stride {steps}; got {output_size!r}")
        size = chosen
    if min(size) < 0:
        raise ValueError(f"{op}: padding must leave an output map of at least 0 elements per axis; got {size}")
    return size


@differentiable(integer=("indices",))
def max_unpool1d(
    x: Array,
    indices: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: tuple[int, ...] | None = None,
) -> tuple[Array, Vjp]:
    """Max-unpooling over one axis; see ``max_unpool2d``, with map (L).

    Shapes: x (N, C, L) or (C, L), y (N, C, L') or (C, L').

    >>> y, vjp = max_unpool1d(np.array([[5.0, 6.0]]), np.array([[1, 2]]), kernel_size=2)
    >>> y, vjp(np.array([[1.0, 2.0, 3.0, 4.0]]))[0]
    (array([[0., 5., 6., 0.]]), array([[2., 3.]]))
    """
    return _max_unpool("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


@differentiable(integer=("indices",))
def max_unpool2d(
    x: Array,
    indices: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: tuple[int, ...] | None = None,
) -> tuple[Array, Vjp]:
    """Max-unpooling over two axes, a partial inverse of ``max_pool2d``.

    y[n, c, indices[n, c, p]] = x[n, c, p], where an index is the flat position in the map of y, and 0 elsewhere.
    Of several elements with one index, as windows that overlap give them, y has the last.

    Shapes: x and indices (N, C, H, W) or (C, H, W), y (N, C, H', W') or (C, H', W'), with
    H' = (H − 1)·stride + kernel_size − 2·padding. The first axis of x may be empty, no other.
    Dtypes: those of ``differentiable``; indices of any integer dtype.

    kernel_size, stride, padding: those of the pooling. output_size: H' and W' where the pooling had some other map
    of less than a stride more or less, as (H', W') or as the shape of what was pooled, (N, C, H', W').

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``, without gradient for an element that another one has
    replaced.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit, and for indices that are not
    in the map of y.
    Source: PyTorch ``torch.nn.functional.max_unpool2d``. JAX has none.

    Differences: in PyTorch it is not determined which of several elements with one index y has, and all of them get
    the gradient. It takes strides and kernels of 0 and negative paddings, and ignores the batch and the channels in
    output_size; here they are refused where they do not fit.
    """
    return _max_unpool("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


@differentiable(integer=("indices",))
def max_unpool3d(
    x: Array,
    indices: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: tuple[int, ...] | None = None,
) -> tuple[Array, Vjp]:
    """Max-unpooling over three axes; see ``max_unpool2d``, with map (D, H, W).

    Shapes: x and indices (N, C, D, H, W) or (C, D, H, W), y with (D', H', W') in place of (D, H, W).
    """
    return _max_unpool("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)


class _MaxUnpool(Shell):
    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        super().__init__(kernel_size=kernel_size, stride=stride, padding=padding)

    def forward(  # type: ignore[override]
        self, x: Array, indices: Array, output_size: tuple[int, ...] | None = None
    ) -> tuple[Any, ModuleVjp]:
        """The operation, with the output size of this call."""
        return self.operate((x, indices), {**self.settings(), "output_size": output_size})


class MaxUnpool1d(_MaxUnpool):
    """``max_unpool1d`` with its hyper-parameters; called on x, indices and, where it must be told, output_size."""

    operation = staticmethod(max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """``max_unpool2d``, as ``MaxUnpool1d``."""

    operation = staticmethod(max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """``max_unpool3d``, as ``MaxUnpool1d``."""

    operation = staticmethod(max_unpool3d)
