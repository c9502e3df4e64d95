"""Rearrangements between space and channels: pixel shuffle and its inverse, and channel shuffle."""

from __future__ import annotations

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell

__all__ = [
    "ChannelShuffle",
    "PixelShuffle",
    "PixelUnshuffle",
    "channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _to_space(x: Array, r: int) -> Array:
    # [*b, c·r·r, h, w] -> [*b, c, h·r, w·r]
    *batch, channels, height, width = x.shape
    n = len(batch)
    blocks = x.reshape(*batch, channels // (r * r), r, r, height, width)
    moved = blocks.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*batch, channels // (r * r), height * r, width * r)


def _to_channels(x: Array, r: int) -> Array:
    # [*b, c, h·r, w·r] -> [*b, c·r·r, h, w]
    *batch, channels, height, width = x.shape
    n = len(batch)
    blocks = x.reshape(*batch, channels, height // r, r, width // r, r)
    moved = blocks.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return moved.reshape(*batch, channels * r * r, height // r, width // r)


def _check_map(op: str, x: Array) -> None:
    if x.ndim < 3:
        raise ValueError(f"{op}: x must have shape (..., C, H, W); got {x.shape}")


@differentiable
def pixel_shuffle(x: Array, *, upscale_factor: int) -> tuple[Array, Vjp]:
    """Move channels into space: every r² channels become one of r times the height and width.

    y[..., c, h·r + i, w·r + j] = x[..., c·r² + i·r + j, h, w] with r = upscale_factor.

    Shapes: x (..., C·r², H, W) with any batch axes or none, y (..., C, H·r, W·r); empty axes are taken.
    Dtypes: those of ``differentiable``. y is always a copy.

    upscale_factor: an int of at least 1 whose square divides the channels.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, the inverse move.
    Raises ValueError or TypeError for an upscale_factor or a shape that does not fit.
    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", 2016; ``torch.nn.functional.pixel_shuffle``. JAX has none; TensorFlow's
    ``depth_to_space`` orders the channels otherwise, i·r·C + j·C + c.

    >>> import numpy as np
    >>> pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), upscale_factor=2)[0]
    array([[[0., 1.],
            [2., 3.]]])
    """
    r = hyperparameters.integer("pixel_shuffle", "upscale_factor", upscale_factor, least=1)
    _check_map("pixel_shuffle", x)
    if x.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle: the channels of x must be divisible by upscale_factor² {r * r}; got {x.shape}"
        )
    y = _to_space(x, r)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y is x in another order: [*b, c, h·r, w·r] -> [*b, c·r·r, h, w]
        return (_to_channels(gy, r),)

    return y, vjp


@differentiable
def pixel_unshuffle(x: Array, *, downscale_factor: int) -> tuple[Array, Vjp]:
    """Move space into channels: the inverse of ``pixel_shuffle``.

    y[..., c·r² + i·r + j, h, w] = x[..., c, h·r + i, w·r + j] with r = downscale_factor.

    Shapes: x (..., C, H·r, W·r) with any batch axes or none, y (..., C·r², H, W); empty axes are taken.
    Dtypes: those of ``differentiable``. y is always a copy.

    downscale_factor: an int of at least 1 that divides height and width.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, the inverse move.
    Raises ValueError or TypeError for a downscale_factor or a shape that does not fit.
    Source: ``torch.nn.functional.pixel_unshuffle``.

    >>> import numpy as np
    >>> pixel_unshuffle(np.arange(4.0).reshape(1, 2, 2), downscale_factor=2)[0].ravel()
    array([0., 1., 2., 3.])
    """
    r = hyperparameters.integer("pixel_unshuffle", "downscale_factor", downscale_factor, least=1)
    _check_map("pixel_unshuffle", x)
    if x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: height and width must be divisible by downscale_factor {r}; got {x.shape}")
    y = _to_channels(x, r)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y is x in another order: [*b, c·r·r, h, w] -> [*b, c, h·r, w·r]
        return (_to_space(gy, r),)

    return y, vjp


def _deal(x: Array, groups: int) -> Array:
    # [n, g·k, *map] -> [n, k·g, *map]: one channel of each group in turn
    split = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return split.swapaxes(1, 2).reshape(x.shape)


@differentiable
def channel_shuffle(x: Array, *, groups: int) -> tuple[Array, Vjp]:
    """Shuffle the channels of groups: first the first of each group, then the second of each, ….

    y[n, k·g + i] = x[n, i·K + k] with g = groups, K = C/g channels in each, i < g and k < K.

    Shapes: x (N, C, ...) with at least one axis after C, y the same; empty axes are taken.
    Dtypes: those of ``differentiable``. y is always a copy.

    groups: an int of at least 1 that divides C.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, the shuffle with C/g groups.
    Raises ValueError or TypeError for groups or a shape that does not fit.
    Source: Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network for mobile
    devices", 2018; ``torch.nn.functional.channel_shuffle``.

    >>> import numpy as np
    >>> channel_shuffle(np.arange(6.0).reshape(1, 6, 1), groups=2)[0].ravel()
    array([0., 3., 1., 4., 2., 5.])
    """
    groups = hyperparameters.integer("channel_shuffle", "groups", groups, least=1)
    if x.ndim < 3:
        raise ValueError(f"channel_shuffle: x must have shape (N, C, ...) and at least 3 axes; got {x.shape}")
    channels = x.shape[1]
    if channels % groups:
        raise ValueError(f"channel_shuffle: the channels of x must be divisible by groups {groups}; got {x.shape}")
    y = _deal(x, groups)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # dealing to K = C/g hands undoes dealing to g: [n, k·g, *map] -> [n, g·k, *map]
        return (_deal(gy, channels // groups) if gy.size else gy,)

    return y, vjp


class PixelShuffle(Shell):
    """``pixel_shuffle`` with its hyper-parameter."""

    operation = staticmethod(pixel_shuffle)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(upscale_factor=upscale_factor)


class PixelUnshuffle(Shell):
    """``pixel_unshuffle`` with its hyper-parameter."""

    operation = staticmethod(pixel_unshuffle)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(downscale_factor=downscale_factor)


class ChannelShuffle(Shell):
    """``channel_shuffle`` with its hyper-parameter."""

    operation = staticmethod(channel_shuffle)

    def __init__(self, groups: int) -> None:
        super().__init__(groups=groups)
