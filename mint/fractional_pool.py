"""Fractional max-pooling: windows at random places, from given samples or a generator."""

from __future__ import annotations

import math

import numpy as np

from mint import hyperparameters
from mint.adaptive_pool import check_maps, max_over
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell
from mint.pool import Ints
from mint.sampling import generator

__all__ = [
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
]

Ratio = float | tuple[float, ...]


def _fractional_max_pool(
    op: str,
    axes: int,
    x: Array,
    samples: Array | None,
    kernel_size: Ints,
    output_size: Ints | None,
    output_ratio: Ratio | None,
    return_indices: bool,
    rng: np.random.Generator | None,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    return_indices = hyperparameters.flag(op, "return_indices", return_indices)
    check_maps(op, x, axes)
    size = x.shape[-axes:]
    kernel = hyperparameters.per_axis(op, "kernel_size", kernel_size, axes, least=1)
    count = _count(op, size, output_size, output_ratio)
    # PyTorch asks for one row more in three dimensions
    rows = tuple(n + k - 1 + (axes == 3) for n, k in zip(count, kernel, strict=True))
    if any(m < least for m, least in zip(size, rows, strict=True)):
        raise ValueError(
            f"{op}: the map must have at least {rows} elements for kernel_size {kernel} and output {count}; got {size}"
        )
    drawn = _samples(op, axes, x, samples, rng).reshape(math.prod(x.shape[:-axes]), axes).astype(x.dtype)
    # as in PyTorch: (W, H), but (D, H, W)
    columns = drawn.T[::-1] if axes == 2 else drawn.T
    starts = [_starts(u, m, k, n) for u, m, k, n in zip(columns, size, kernel, count, strict=True)]
    taps = [start[..., np.newaxis] + np.arange(k) for start, k in zip(starts, kernel, strict=True)]
    y, vjp = max_over(x, taps, return_indices)
    return y, lambda gy: (*vjp(gy), None)


def _count(op: str, size: tuple[int, ...], output_size: Ints | None, output_ratio: Ratio | None) -> tuple[int, ...]:
    axes = len(size)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(
            f"{op}: one of output_size and output_ratio must be given; got {output_size!r} and {output_ratio!r}"
        )
    if output_ratio is None:
        return hyperparameters.per_axis(op, "output_size", output_size, axes, least=0)
    ratios = hyperparameters.positive_per_axis(op, "output_ratio", output_ratio, axes)
    return tuple(int(m * ratio) for m, ratio in zip(size, ratios, strict=True))


def _samples(op: str, axes: int, x: Array, samples: Array | None, rng: np.random.Generator | None) -> Array:
    source = generator(op, rng)
    batch = x.shape[0] if x.ndim == axes + 2 else 1
    shape = (batch, x.shape[-axes - 1], axes)
    if samples is None:
        drawn: Array = source.random(shape)
        return drawn
    if rng is not None:
        raise ValueError(f"{op}: _random_samples and rng exclude each other; got both")
    if samples.shape != shape:
        raise ValueError(f"{op}: _random_samples must have shape {shape} to fit x {x.shape}; got {samples.shape}")
    outside = samples[~((samples >= 0) & (samples <= 1))]
    if outside.size:
        raise ValueError(f"{op}: _random_samples must lie in [0, 1]; got {outside[0]}")
    return samples


def _starts(u: Array, size: int, kernel: int, count: int) -> Array:
    # where the windows of each channel begin, [b] -> [b, count]: ⌊(i + u)·α⌋ − ⌊u·α⌋ with α = slack/steps, which is
    # not rounded, as the floor of a quotient is exact; the last one ends with the map
    slack, steps = size - kernel, max(count - 1, 1)
    u = u[:, np.newaxis]
    starts: Array = ((np.arange(count) + u) * slack // steps - u * slack // steps).astype(np.int64)
    starts[:, -1:] = slack
    return starts


@differentiable(wide=True)
def fractional_max_pool2d(
    x: Array,
    _random_samples: Array | None = None,
    *,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Fractional max-pooling over two axes: windows of one size whose distances vary at random.

    y[n, c, i, j] = max of x[n, c, h, w] over a[i] ≤ h < a[i] + k and likewise w, where, per axis and channel,
    a[i] = ⌊(i + u)·α⌋ − ⌊u·α⌋ with α = (H − k)/(H' − 1) and a sample u; the last window ends with the map. A NaN
    in the window is the maximum.

    Shapes: x (N, C, H, W) or (C, H, W), _random_samples (N, C, 2) or (1, C, 2), y (N, C, H', W') or (C, H', W')
    with H' + k − 1 ≤ H. The first axis of x may be empty, no other.
    Dtypes: those of ``differentiable``; _random_samples has that of x and no gradient.

    _random_samples: u for W and for H, in this order, in [0, 1]; drawn from rng (a fresh generator where None),
    uniformly, if not given. kernel_size: k, elements, an int or one per axis, at least 1. output_size: (H', W'),
    an int of at least 0 or one per axis; output_ratio: a number above 0 or one per axis, of which ⌊H·ratio⌋ is
    the output size; one of the two. return_indices: whether the first result is ``(y, indices)``, indices int64,
    the flat position of the maximum in the map of its channel.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``. The first of a tie gets the gradient, of several NaNs the
    last, each window giving its own.
    Raises ValueError or TypeError for hyper-parameters, samples or shapes that do not fit.
    Source: Graham, "Fractional max-pooling", 2014; PyTorch ``torch.nn.functional.fractional_max_pool2d``. JAX has
    none.

    Differences: α and its multiples are exact; in PyTorch they are rounded to the dtype of x, and a window may begin
    a row off. PyTorch ignores output_ratio beside output_size, samples beyond the batch, and what lies outside of
    [0, 1]; here they are refused.

    >>> x = np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]])
    >>> for u in (0.0, 0.5):
    ...     fractional_max_pool2d(x, np.array([[[u, 0.0]]]), kernel_size=(1, 2), output_size=(1, 3))[0]
    array([[[3., 3., 5.]]])
    array([[[3., 5., 5.]]])
    """
    return _fractional_max_pool(
        "fractional_max_pool2d", 2, x, _random_samples, kernel_size, output_size, output_ratio, return_indices, rng
    )


@differentiable(wide=True)
def fractional_max_pool3d(
    x: Array,
    _random_samples: Array | None = None,
    *,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array | tuple[Array, Array], Vjp]:
    """Fractional max-pooling over three axes; see ``fractional_max_pool2d``, with map (D, H, W).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), _random_samples (N, C, 3) or (1, C, 3), for D, H and W in this order,
    y with (D', H', W') in place of (D, H, W). As in PyTorch the map must be larger than in two dimensions,
    D' + k − 1 < D.
    """
    return _fractional_max_pool(
        "fractional_max_pool3d", 3, x, _random_samples, kernel_size, output_size, output_ratio, return_indices, rng
    )


class _FractionalMaxPool(Shell):
    def __init__(
        self,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Ratio | None = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            output_size=output_size,
            output_ratio=output_ratio,
            return_indices=return_indices,
            rng=generator(type(self).__name__, rng) if _random_samples is None else rng,
        )
        self._random_samples = _random_samples

    def owned(self) -> tuple[Array | None, ...]:
        """The samples, if every call is to have the same."""
        return (self._random_samples,)


class FractionalMaxPool2d(_FractionalMaxPool):
    """``fractional_max_pool2d`` with its hyper-parameters; every call draws anew unless _random_samples are given."""

    operation = staticmethod(fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """``fractional_max_pool3d``, as ``FractionalMaxPool2d``."""

    operation = staticmethod(fractional_max_pool3d)
