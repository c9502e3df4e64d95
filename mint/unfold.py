"""Sliding blocks as columns, and columns added back to a map."""

from __future__ import annotations

import math

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.window import Window, gather, reach, scatter

__all__ = [
    "Fold",
    "Unfold",
    "fold",
    "unfold",
]

Ints = int | tuple[int, int]

# unfold copies the block of window p, tap by tap, into column p; fold adds every column back to where its block lies.
# Each is the adjoint of the other, and so its gradient:
#
#     columns   [*n, c, *map] -> [*n, c·k, p]
#     maps      [*n, c·k, p] -> [*n, c, *map]


def columns(x: Array, window: Window) -> Array:
    """The blocks of the windows, as columns."""
    *batch, channels, _, _ = x.shape
    taps = gather(x.reshape(math.prod(batch) * channels, 1, *window.size), window)
    return taps.reshape(*batch, channels * math.prod(window.kernel), math.prod(window.out))


def maps(x: Array, window: Window) -> Array:
    """Columns, added where the blocks of the windows lie."""
    *batch, rows, _ = x.shape
    channels = rows // math.prod(window.kernel)
    taps = x.reshape(math.prod(batch) * channels, math.prod(window.kernel), 1, *window.out)
    return scatter(taps, window).reshape(*batch, channels, *window.size)


def _window(op: str, size: tuple[int, ...], kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Window:
    k = hyperparameters.per_axis(op, "kernel_size", kernel_size, 2, least=1)
    d = hyperparameters.per_axis(op, "dilation", dilation, 2, least=1)
    p = hyperparameters.per_axis(op, "padding", padding, 2, least=0)
    s = hyperparameters.per_axis(op, "stride", stride, 2, least=1)
    padded = tuple(m + 2 * side for m, side in zip(size, p, strict=True))
    extents = reach(k, d)
    if any(extent > m for extent, m in zip(extents, padded, strict=True)):
        raise ValueError(f"{op}: the dilated kernel must fit into the padded map {padded}; got a kernel of {extents}")
    out = tuple((m - extent) // step + 1 for m, extent, step in zip(padded, extents, s, strict=True))
    return Window(size, k, s, d, p, out)


@differentiable(wide=True)
def unfold(
    x: Array, *, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> tuple[Array, Vjp]:
    """Sliding blocks as columns (im2col): y[n, (c·kH + i)·kW + j, p·W' + q] = x[n, c, p·s + i·d − P, q·s + j·d − P].

    x is 0 outside of the map, and s, d and P have one entry per axis.

    Shapes: x (N, C, H, W) or (C, H, W), of which only N may be empty; y (N, C·kH·kW, H'·W') or (C·kH·kW, H'·W') with
    H' = ⌊(H + 2·P − d·(kH − 1) − 1) / s⌋ + 1.
    Dtypes: those of ``differentiable``. float16, bfloat16 and float32 are added up in float64.

    kernel_size, stride, dilation: elements of the map, an int or one per axis, at least 1.
    padding: zeros at both sides of the map, in elements, an int or one per axis.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, that is ``fold(gy)``.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: PyTorch ``torch.nn.functional.unfold``.

    JAX's ``lax.conv_general_dilated_patches`` multiplies with ones and zeros: infinities and NaN spread in a block.

    >>> import numpy as np
    >>> y, vjp = unfold(np.arange(6.0).reshape(1, 2, 3), kernel_size=2)
    >>> y
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    >>> vjp(np.ones_like(y))
    (array([[[1., 2., 1.],
            [1., 2., 1.]]]),)
    """
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"unfold: x must have shape (N, C, H, W) or (C, H, W), empty in N only; got {x.shape}")
    window = _window("unfold", x.shape[-2:], kernel_size, dilation, padding, stride)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # what was copied adds up where it was copied from
        return (maps(gy, window),)

    return columns(x, window), vjp


@differentiable(wide=True)
def fold(
    x: Array, *, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> tuple[Array, Vjp]:
    """Columns added back to a map (col2im), where ``unfold`` takes them from.

    y[n, c, h, w] = Σ of x[n, (c·kH + i)·kW + j, p·W' + q] over all i, j, p, q with p·s + i·d − P = h and
    q·s + j·d − P = w: blocks that overlap add up.

    Shapes: x (N, C·kH·kW, H'·W') or (C·kH·kW, H'·W'), of which only N may be empty; y (N, C, H, W) or (C, H, W) with
    (H, W) = output_size, whose windows are H' = ⌊(H + 2·P − d·(kH − 1) − 1) / s⌋ + 1 by W'.
    Dtypes: those of ``differentiable``. float16, bfloat16 and float32 are added up in float64.

    output_size: of the map, in elements, an int or one per axis, at least 1.
    kernel_size, stride, dilation, padding: as of ``unfold``.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, that is ``unfold(gy)``.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: PyTorch ``torch.nn.functional.fold``; JAX has none.

    >>> import numpy as np
    >>> y, vjp = fold(np.ones((4, 2)), output_size=(2, 3), kernel_size=2)
    >>> y
    array([[[1., 2., 1.],
            [1., 2., 1.]]])
    """
    size = hyperparameters.per_axis("fold", "output_size", output_size, 2, least=1)
    window = _window("fold", size, kernel_size, dilation, padding, stride)
    taps, blocks = math.prod(window.kernel), math.prod(window.out)
    fits = x.ndim in (2, 3) and x.shape[-1] == blocks and x.shape[-2] > 0 and x.shape[-2] % taps == 0
    if not fits:
        raise ValueError(
            f"fold: x must have shape (N, C·{taps}, {blocks}) or (C·{taps}, {blocks}), empty in N only; got {x.shape}"
        )

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # what was added to an element has its gradient
        return (columns(gy, window),)

    return maps(x, window), vjp


class Unfold(Shell):
    """``unfold`` with its hyper-parameters."""

    operation = staticmethod(unfold)

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> None:
        super().__init__(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


class Fold(Shell):
    """``fold`` with its hyper-parameters."""

    operation = staticmethod(fold)

    def __init__(
        self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        super().__init__(
            output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
        )
