"""Normalisation over batches, layers, groups, instances and channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable, is_floating
from mint.module import ModuleVjp, Parameter, Shell

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CrossMapLRN2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]

Back = Callable[[Array], tuple[Array, Array | None, Array | None]]
"""From gy to the gradients of x, weight and bias."""


def unit_for_powers(a: Array, power: float = 2) -> Array:
    """What to divide numbers of magnitude a by, so that neither their powers nor sums of them overflow or underflow.

    1 where there is no such danger, else the power of two that brings a to [1, 2), dividing by which is exact.

    >>> unit_for_powers(np.array([0.0, 3.0, 1e300, np.inf])) == [1, 1, 2.0**996, 1]
    array([ True,  True,  True,  True])
    """
    reach = np.finfo(a.dtype).maxexp / (2 * max(abs(power), 2))
    finite = np.where(np.isfinite(a), a, 0)
    _, exponent = np.frexp(finite)
    return np.where(abs(exponent) < reach, 1, np.ldexp(np.ones_like(a), exponent - 1))


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    # the mean of nothing is 0: it is the mean over an axis of length 0, of which nothing is left to see
    count = math.prod(x.shape[axis] for axis in axes)
    y: Array = x.sum(axes, keepdims=True) / max(count, 1)
    return y


def _unit(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    # neither squares of x nor eps, divided by the square of this, overflow or, where they count, underflow
    largest = np.abs(x).max(axes, keepdims=True, initial=0)
    return unit_for_powers(np.maximum(largest, np.sqrt(x.dtype.type(eps))))


class _Standardised(NamedTuple):
    hat: Array  # (x − mean)/σ
    unit: Array
    root: Array  # σ/unit, σ = √(variance + eps)
    mean: Array
    variance: Array  # in units of unit²


def _standardise(x: Array, axes: tuple[int, ...], eps: float) -> _Standardised:
    # Two passes, the second of which also takes off what rounding the mean has left: digits of the spread
    # survive a mean that is larger by many orders of magnitude.
    coarse = _unit(x, axes, eps)
    z = x / coarse
    mean = _mean(z, axes)
    d = z - mean
    rest = _mean(d, axes)
    d = d - rest
    # of a constant, however large, there is no spread, and eps counts
    spread = np.minimum(np.abs(d).max(axes, keepdims=True, initial=0) * coarse, np.finfo(x.dtype).max)
    unit = unit_for_powers(np.maximum(spread, np.sqrt(x.dtype.type(eps))))
    d = d * (coarse / unit)
    variance = _mean(d * d, axes)
    root = np.sqrt(variance + x.dtype.type(eps) / unit / unit)
    mean = mean + np.where(np.isfinite(rest), rest, 0)  # an infinite mean leaves NaN
    return _Standardised(d / root, unit, root, mean * coarse, variance)


def _along(array: Array | None, shape: tuple[int, ...]) -> Array | None:
    return None if array is None else array.reshape(shape)


def _affine(hat: Array, w: Array | None, b: Array | None) -> Array:
    y = hat if w is None else hat * w
    return y if b is None else y + b


def _of_parameters(gy: Array, hat: Array, w: Array | None, b: Array | None) -> tuple[Array | None, Array | None]:
    # y = x̂·w + b: w and b have each gathered what they were broadcast to
    def gathered(g: Array, like: Array | None) -> Array | None:
        if like is None:
            return None
        axes = tuple(axis for axis, length in enumerate(like.shape) if length == 1)
        total: Array = g.sum(axes, keepdims=True)
        return total

    return gathered(gy * hat, w), gathered(gy, b)


def _normalise(
    x: Array, axes: tuple[int, ...], eps: float, w: Array | None, b: Array | None
) -> tuple[Array, Back, _Standardised]:
    """y = x̂·w + b with the statistics of x over axes; w and b have as many axes as x."""
    statistics = _standardise(x, axes, eps)
    hat, unit, root, _, _ = statistics

    def back(gy: Array) -> tuple[Array, Array | None, Array | None]:
        # x̂[i] = (x[i] − μ)/σ, ∂μ/∂x[j] = 1/n, ∂σ/∂x[j] = x̂[j]/n, so
        # ∂x̂[i]/∂x[j] = (δ[i, j] − 1/n − x̂[i]·x̂[j]/n)/σ; summed with h = gy·w:
        # gx = (h − mean h − x̂·mean(h·x̂))/σ
        h = gy if w is None else gy * w
        gx = (h - _mean(h, axes) - hat * _mean(h * hat, axes)) / (root * unit)
        return gx, *_of_parameters(gy, hat, w, b)

    return _affine(hat, w, b), back, statistics


def _normalise_with(
    x: Array, mean: Array, variance: Array, eps: float, w: Array | None, b: Array | None
) -> tuple[Array, Back]:
    """y = (x − mean)/σ·w + b with statistics that do not depend on x."""
    root = np.sqrt(variance + x.dtype.type(eps))
    hat = (x - mean) / root

    def back(gy: Array) -> tuple[Array, Array | None, Array | None]:
        # ∂y/∂x = w/σ
        return (gy if w is None else gy * w) / root, *_of_parameters(gy, hat, w, b)

    return _affine(hat, w, b), back


def _same_shape(op: str, expected: tuple[int, ...], **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None and array.shape != expected:
            raise ValueError(f"{op}: {name} must have shape {expected}; got {array.shape}")


def _eps(op: str, eps: object, *, positive: bool = False) -> float:
    number = hyperparameters.real(op, "eps", eps, least=0, most=math.inf)
    if positive and number == 0:
        raise ValueError(f"{op}: eps must be positive where the statistics are those of x; got {eps!r}")
    return number


def _with_running(
    op: str,
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    *,
    from_input: bool,
    axes: tuple[int, ...],
    momentum: float,
    eps: float,
) -> tuple[Array | tuple[Array, Array, Array], Vjp]:
    """Batch norm and instance norm, which differ in the axes that they take their statistics over."""
    channels = x.shape[1:2]
    _same_shape(op, channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{op}: running_mean and running_var must be given both or neither; got one")
    shape = (1, *channels, *(1 for _ in x.shape[2:]))
    w, b = _along(weight, shape), _along(bias, shape)
    new_mean, new_var = running_mean, running_var
    if from_input:
        y, back, statistics = _normalise(x, axes, eps, w, b)
        if running_mean is not None and running_var is not None and x.size:
            count = math.prod(x.shape[axis] for axis in axes)
            samples = tuple(axis for axis in range(x.ndim) if axis != 1)
            m = x.dtype.type(momentum)
            mean = statistics.mean * m
            # momentum comes first: what counts nothing does not overflow
            variance = statistics.variance * m * count / (count - 1) * statistics.unit * statistics.unit
            # one statistic per channel, or per sample and channel: then their mean
            new_mean = (1 - m) * running_mean + _mean(mean, samples).reshape(channels)
            new_var = (1 - m) * running_var + _mean(variance, samples).reshape(channels)
    elif running_mean is None or running_var is None:
        raise ValueError(f"{op}: running_mean and running_var must be given where the statistics are not those of x")
    else:
        y, back = _normalise_with(x, running_mean.reshape(shape), running_var.reshape(shape), eps, w, b)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # the running statistics are remembered, not learned
        gx, gw, gb = back(gy)
        return gx, None, None, _along(gw, channels), _along(gb, channels)

    return y if new_mean is None or new_var is None else (y, new_mean, new_var), vjp


@differentiable(wide=True)
def batch_norm(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array | tuple[Array, Array, Array], Vjp]:
    """Batch normalisation: y = (x − μ)/√(σ² + eps)·weight + bias, channel by channel.

    In training μ and σ² are mean and (biased) variance of x over all axes but the channels'; else they are
    running_mean and running_var. In training new_mean = (1 − momentum)·running_mean + momentum·μ, and new_var
    likewise with the unbiased variance n/(n − 1)·σ² of the n elements of a channel; else they are the old ones.

    Shapes: x and y (N, C) or (N, C, d₁, …), everything else (C,). N or a d may be 0: then the statistics stay.
    Dtypes: those of ``differentiable``; all arrays share one.

    training: whether the statistics are those of x. momentum: the part that x has in the running statistics.
    eps: added to the variance, in units of x²; at least 0, in training more.

    Returns ``y, vjp``, or ``(y, new_mean, new_var), vjp`` where running statistics are given; ``vjp(gy)`` is
    ``(gx, None, None, gweight, gbias)``.
    Raises ValueError for shapes that do not fit, for one value per channel in training, for no running
    statistics out of training, for one of them without the other; TypeError for what is no number or array of
    that kind.
    Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", 2015; PyTorch ``torch.nn.functional.batch_norm``, which writes into the running
    statistics. JAX has none.

    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> (y, mean, var), vjp = batch_norm(x, np.zeros(2), np.ones(2), training=True, momentum=0.5, eps=1e-30)
    >>> y, mean, var
    (array([[-1., -1.],
           [ 1.,  1.]]), array([ 1., 10.]), array([  1.5, 100.5]))
    """
    op = "batch_norm"
    training = hyperparameters.flag(op, "training", training)
    momentum = hyperparameters.real(op, "momentum", momentum)
    eps = _eps(op, eps, positive=training)
    if x.ndim < 2:
        raise ValueError(f"{op}: x must have shape (N, C, ...); got {x.shape}")
    axes = (0, *range(2, x.ndim))
    if training and math.prod(x.shape[axis] for axis in axes) == 1:
        raise ValueError(f"{op}: x must have more than one value per channel in training; got {x.shape}")
    return _with_running(
        op,
        x,
        running_mean,
        running_var,
        weight,
        bias,
        from_input=training,
        axes=axes,
        momentum=momentum,
        eps=eps,
    )


@differentiable(wide=True)
def instance_norm(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array | tuple[Array, Array, Array], Vjp]:
    """Instance normalisation: y = (x − μ)/√(σ² + eps)·weight + bias, each channel of each sample by itself.

    With use_input_stats μ and σ² are mean and (biased) variance of x over the axes after the channels'; else
    they are running_mean and running_var. The running statistics follow as in ``batch_norm``, with the mean
    over the samples of μ and of the unbiased variance.

    Shapes: x and y (N, C, d₁, …), everything else (C,). N or a d may be 0: then the statistics stay; PyTorch
    makes them NaN where N is 0.
    Dtypes: those of ``differentiable``; all arrays share one.

    use_input_stats: whether the statistics are those of x. momentum: the part that x has in the running
    statistics. eps: added to the variance, in units of x²; at least 0.

    Returns ``y, vjp``, or ``(y, new_mean, new_var), vjp`` where running statistics are given; ``vjp(gy)`` is
    ``(gx, None, None, gweight, gbias)``.
    Raises ValueError for shapes that do not fit, for one value per channel and sample with use_input_stats,
    for no running statistics without, for one of them without the other; TypeError for what is no number or
    array of that kind.
    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization", 2016; PyTorch ``torch.nn.functional.instance_norm``. JAX has none.

    >>> instance_norm(np.array([[[1.0, 3.0], [20.0, 10.0]]]), eps=0.0)[0]
    array([[[-1.,  1.],
            [ 1., -1.]]])
    """
    op = "instance_norm"
    use_input_stats = hyperparameters.flag(op, "use_input_stats", use_input_stats)
    momentum = hyperparameters.real(op, "momentum", momentum)
    eps = _eps(op, eps)
    if x.ndim < 2:
        raise ValueError(f"{op}: x must have shape (N, C, ...); got {x.shape}")
    if use_input_stats and math.prod(x.shape[2:]) == 1:
        raise ValueError(f"{op}: x must have more than one value per channel and sample; got {x.shape}")
    return _with_running(
        op,
        x,
        running_mean,
        running_var,
        weight,
        bias,
        from_input=use_input_stats,
        axes=tuple(range(2, x.ndim)),
        momentum=momentum,
        eps=eps,
    )


def _trailing_axes(op: str, x: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    if x.shape[-len(shape) :] != shape:
        raise ValueError(f"{op}: the last axes of x must be normalized_shape, {shape}; got {x.shape}")
    return tuple(range(x.ndim - len(shape), x.ndim))


@differentiable(wide=True)
def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: int | tuple[int, ...],
    eps: float = 1e-5,
) -> tuple[Array, Vjp]:
    """Layer normalisation: y = (x − μ)/√(σ² + eps)·weight + bias, element by element of the last axes.

    μ and σ² are mean and (biased) variance of x over the last axes, which are normalized_shape.

    Shapes: x and y (…, *normalized_shape), weight and bias normalized_shape; any axis may be 0.
    Dtypes: those of ``differentiable``; all arrays share one.
    normalized_shape: one or more lengths of axes; an int is one. eps: added to the variance, in units of x²;
    at least 0.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gweight, gbias)``.
    Raises ValueError for shapes that do not fit or a negative eps; TypeError for what is no number or array of
    that kind.
    Source: Ba, Kiros and Hinton, "Layer normalization", 2016; PyTorch ``torch.nn.functional.layer_norm``.
    ``jax.nn.standardize``, with σ² = mean(x²) − μ², loses the digits of a spread that is small beside the mean.

    >>> layer_norm(np.array([1e8 + 1, 1e8 - 1]), normalized_shape=2, eps=0.0)[0]
    array([ 1., -1.])
    """
    op = "layer_norm"
    shape = hyperparameters.sizes(op, "normalized_shape", normalized_shape)
    eps = _eps(op, eps)
    axes = _trailing_axes(op, x, shape)
    _same_shape(op, shape, weight=weight, bias=bias)
    leading = (1,) * (x.ndim - len(shape))
    y, back, _ = _normalise(x, axes, eps, _along(weight, leading + shape), _along(bias, leading + shape))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # an axis of length 1 is summed over as well, which changes nothing
        gx, gw, gb = back(gy)
        return gx, _along(gw, shape), _along(gb, shape)

    return y, vjp


@differentiable(wide=True)
def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    num_groups: int,
    eps: float = 1e-5,
) -> tuple[Array, Vjp]:
    """Group normalisation: y = (x − μ)/√(σ² + eps)·weight + bias, each group of channels of each sample by itself.

    μ and σ² are mean and (biased) variance of x over C/num_groups channels in a row and all axes after them.

    Shapes: x and y (N, C, d₁, …), any of which may be 0; weight and bias (C,).
    Dtypes: those of ``differentiable``; all arrays share one.
    num_groups: a divisor of C. eps: added to the variance, in units of x²; at least 0.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gweight, gbias)``.
    Raises ValueError for shapes that do not fit, an x of one sample with one value per group, or a negative
    eps; TypeError for what is no number or array of that kind.
    Source: Wu and He, "Group normalization", 2018; PyTorch ``torch.nn.functional.group_norm``. JAX has none.

    >>> group_norm(np.array([[1.0, 3.0, 20.0, 10.0]]), num_groups=2, eps=0.0)[0]
    array([[-1.,  1.,  1., -1.]])
    """
    op = "group_norm"
    groups = hyperparameters.integer(op, "num_groups", num_groups, least=1)
    eps = _eps(op, eps)
    if x.ndim < 2:
        raise ValueError(f"{op}: x must have shape (N, C, ...); got {x.shape}")
    batch, channels, *rest = x.shape
    if channels % groups:
        raise ValueError(f"{op}: num_groups must divide the {channels} channels of x; got {groups}")
    if batch * channels // groups * math.prod(rest) == 1:
        raise ValueError(f"{op}: x must have more than one value per group; got {x.shape}")
    _same_shape(op, (channels,), weight=weight, bias=bias)
    # [n, c, *d] -> [n, g, c/g, *d]
    parted = (groups, channels // groups)
    along = (1, *parted, *(1 for _ in rest))
    grouped = x.reshape(batch, *parted, *rest)
    axes = tuple(range(2, grouped.ndim))
    y, back, _ = _normalise(grouped, axes, eps, _along(weight, along), _along(bias, along))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # [n, c, *d] -> [n, g, c/g, *d] and back
        gx, gw, gb = back(gy.reshape(grouped.shape))
        return gx.reshape(x.shape), _along(gw, (channels,)), _along(gb, (channels,))

    return y.reshape(x.shape), vjp


@differentiable
def rms_norm(
    x: Array,
    weight: Array | None = None,
    *,
    normalized_shape: int | tuple[int, ...],
    eps: float | None = None,
) -> tuple[Array, Vjp]:
    """Root-mean-square normalisation: y = x/√(mean(x²) + eps)·weight, the mean over the last axes.

    Shapes: x and y (…, *normalized_shape), weight normalized_shape; any axis may be 0.
    Dtypes: those of ``differentiable``, computed as with ``wide``; both arrays share one.
    normalized_shape: one or more lengths of axes; an int is one. eps: in units of x², at least 0; where None,
    as in PyTorch, the distance from 1 to the next number, of float64 for float64 and longdouble, else of
    float32.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gweight)``.
    Raises ValueError for shapes that do not fit or a negative eps; TypeError for what is no number or array of
    that kind.
    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019; PyTorch
    ``torch.nn.functional.rms_norm``. JAX has none.

    >>> rms_norm(np.array([3.0, 4.0, 0.0, 0.0]), normalized_shape=4, eps=0.0)[0]
    array([1.2, 1.6, 0. , 0. ])
    """
    op = "rms_norm"
    shape = hyperparameters.sizes(op, "normalized_shape", normalized_shape)
    single = x.dtype == np.float32
    eps = float(np.finfo(np.float32 if single else np.float64).eps) if eps is None else _eps(op, eps)
    axes = _trailing_axes(op, x, shape)
    _same_shape(op, shape, weight=weight)
    if single:
        # as with wide, which would hide from which dtype it comes
        x = x.astype(np.float64)
    unit = _unit(x, axes, eps)
    z = x / unit
    root = np.sqrt(_mean(z * z, axes) + x.dtype.type(eps) / unit / unit)
    hat = z / root
    w = _along(weight, (1,) * (x.ndim - len(shape)) + shape)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # x̂[i] = x[i]/σ, ∂σ/∂x[j] = x̂[j]/n, so ∂x̂[i]/∂x[j] = (δ[i, j] − x̂[i]·x̂[j]/n)/σ; summed with h = gy·w:
        # gx = (h − x̂·mean(h·x̂))/σ
        gy = gy.astype(x.dtype)
        h = gy if w is None else gy * w
        gw, _ = _of_parameters(gy, hat, w, None)
        return (h - hat * _mean(h * hat, axes)) / (root * unit), _along(gw, shape)

    return _affine(hat, w, None), vjp


@differentiable(wide=True)
def local_response_norm(
    x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, Vjp]:
    """Local response normalisation: y[c] = x[c]/D[c]^beta, D[c] = k + alpha/size · Σ x[c']².

    The sum runs over the channels c' from c − ⌊size/2⌋ to c + ⌊(size − 1)/2⌋ that there are.

    Shapes: x and y (N, C, d₁, …), with at least one d; any may be 0. Dtypes: those of ``differentiable``.
    size: channels, at least 1. alpha and beta: any number. k: any number.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. Where D is negative y is NaN (unless beta is an integer).
    Raises ValueError for an x of fewer axes or a size below 1; TypeError for what is no number or array of
    that kind.
    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", 2012; PyTorch ``torch.nn.functional.local_response_norm``. JAX has none.

    >>> local_response_norm(np.array([[[3.0], [4.0]]]), size=2, alpha=2.0, beta=0.5, k=0.0)[0].ravel()
    array([1. , 0.8])
    """
    op = "local_response_norm"
    size = hyperparameters.integer(op, "size", size, least=1)
    alpha, beta, k = (
        hyperparameters.real(op, name, value) for name, value in (("alpha", alpha), ("beta", beta), ("k", k))
    )
    if x.ndim < 3:
        raise ValueError(f"{op}: x must have shape (N, C, d, ...); got {x.shape}")
    if x.size == 0:
        return x, lambda gy: (gy,)
    real = x.dtype.type
    share, before = real(alpha) / size, size // 2
    # one window of channels per element, in its last axis; all in units of its largest element where
    # its square would overflow: [n, c, *d] -> [n, c, *d, size]
    windows = _channels_around(x, size, before)
    unit = np.maximum(unit_for_powers(np.abs(windows).max(-1)), 1)
    d = real(k) / unit / unit + share * ((windows / unit[..., np.newaxis]) ** 2).sum(-1)
    z = x / unit
    # d^−β·unit^−2β, one unit of which is used to bring z back to x
    power = d**-beta

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂y[c]/∂x[j] = δ[c, j]·D[c]^−β − 2·β·α/size · x[c]·D[c]^(−β−1)·x[j] for c whose window holds j: a window
        # that is turned round, of the channels from j − ⌊(size − 1)/2⌋ on
        t = gy * z * (power / d) * unit ** (-2 * beta)
        u = _channels_around(unit, size, size - 1 - before)
        around = _channels_around(t, size, size - 1 - before)
        # x[j] in the units of each window, at most 2
        parts = np.where(u > 0, x[..., np.newaxis] / u, 0) * around
        return (gy * power * unit ** (-2 * beta) - 2 * beta * share * parts.sum(-1),)

    return z * power * unit ** (1 - 2 * beta), vjp


def _channels_around(x: Array, size: int, before: int) -> Array:
    widths = [(before, size - 1 - before) if axis == 1 else (0, 0) for axis in range(x.ndim)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, widths), size, axis=1)


class _Normalisation(Shell):
    """A shell whose weight begins as 1 and whose bias begins as 0; without affine it has neither."""

    weight: Parameter | None
    bias: Parameter | None

    def initialise(self, shape: tuple[int, ...], affine: object, bias: object, dtype: npt.DTypeLike) -> None:
        name = type(self).__name__
        if not is_floating(np.dtype(dtype)):
            raise TypeError(f"{name}: dtype must be a floating-point dtype; got {np.dtype(dtype)}")
        affine = hyperparameters.flag(name, "affine", affine)
        bias = hyperparameters.flag(name, "bias", bias)
        self.weight = Parameter(np.ones(shape, dtype)) if affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if affine and bias else None

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight and the bias."""
        return self.weight, self.bias


class _Tracking(_Normalisation):
    """A shell that may keep running statistics: ``running_mean``, ``running_var`` and ``num_batches_tracked``."""

    axes: tuple[str, ...]
    """The axes that x may have."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        dtype: npt.DTypeLike,
    ) -> None:
        name = type(self).__name__
        super().__init__(eps=_eps(name, eps))
        self.num_features = hyperparameters.integer(name, "num_features", num_features, least=0)
        self.momentum = None if momentum is None else hyperparameters.real(name, "momentum", momentum)
        self.track_running_stats = hyperparameters.flag(name, "track_running_stats", track_running_stats)
        self.initialise((self.num_features,), affine, bias, dtype)
        self.running_mean = np.zeros(self.num_features, dtype) if self.track_running_stats else None
        self.running_var = np.ones(self.num_features, dtype) if self.track_running_stats else None
        self.num_batches_tracked = 0

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The running statistics, the weight and the bias."""
        return self.running_mean, self.running_var, *super().owned()

    def check(self, x: Array) -> None:
        """Refuse an x with other axes or another number of channels."""
        name, shape = type(self).__name__, np.shape(x)
        fitting = [letters for letters in self.axes if len(letters) == len(shape)]
        if not fitting:
            expected = " or ".join(f"({', '.join(letters)})" for letters in self.axes)
            raise ValueError(f"{name}: x must have shape {expected}; got {shape}")
        if shape[fitting[0].index("C")] != self.num_features:
            raise ValueError(f"{name}: x must have {self.num_features} channels; got {shape}")

    def normalised(self, x: Array, **hyper: object) -> tuple[Array, ModuleVjp]:
        """The operation with these hyper-parameters; new running statistics are kept."""
        kept, self.hyperparameters = self.hyperparameters, {**self.hyperparameters, **hyper}
        try:
            result, vjp = super().forward(x)
        finally:
            self.hyperparameters = kept
        if self.running_mean is None:
            return result, vjp
        y, self.running_mean, self.running_var = result
        return y, vjp


class _BatchNorm(_Tracking):
    operation = staticmethod(batch_norm)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """Batch norm with the statistics of x while training, or if none are tracked."""
        self.check(x)
        training = self.training or not self.track_running_stats
        batches = self.num_batches_tracked + 1
        momentum = 1 / batches if self.momentum is None else self.momentum
        y, vjp = self.normalised(x, training=training, momentum=momentum)
        if self.training and self.track_running_stats:
            self.num_batches_tracked = batches
        return y, vjp


class _InstanceNorm(_Tracking):
    operation = staticmethod(instance_norm)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        bias: bool = True,
    ) -> None:
        if momentum is None:
            raise TypeError(f"{type(self).__name__}: momentum must be a number; got None")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """Instance norm with the statistics of x while training, or if none are tracked; x may be one sample."""
        self.check(x)
        use_input_stats = self.training or not self.track_running_stats
        single = x.ndim < len(self.axes[0])
        y, vjp = self.normalised(x[None] if single else x, use_input_stats=use_input_stats, momentum=self.momentum)
        return (y[0], lambda gy: vjp(gy[None])[0]) if single else (y, vjp)


class BatchNorm1d(_BatchNorm):
    """``batch_norm`` of (N, C) or (N, C, L) with a weight, a bias and running statistics, all (C,).

    With momentum None the running statistics are the means over all batches so far. Out of training they take the
    place of those of x.

    >>> layer = BatchNorm1d(2, momentum=None)
    >>> y, vjp = layer(np.array([[1, 10], [3, 30]], np.float32))
    >>> y.round(2), layer.running_mean
    (array([[-1., -1.],
           [ 1.,  1.]], dtype=float32), array([ 2., 20.], dtype=float32))
    """

    axes = ("NC", "NCL")


class BatchNorm2d(_BatchNorm):
    """``batch_norm`` of (N, C, H, W); see ``BatchNorm1d``."""

    axes = ("NCHW",)


class BatchNorm3d(_BatchNorm):
    """``batch_norm`` of (N, C, D, H, W); see ``BatchNorm1d``."""

    axes = ("NCDHW",)


class InstanceNorm1d(_InstanceNorm):
    """``instance_norm`` of (N, C, L) or (C, L), without weight, bias and running statistics unless asked for.

    PyTorch only warns of another number of channels if there is no weight; here it is refused.
    """

    axes = ("NCL", "CL")


class InstanceNorm2d(_InstanceNorm):
    """``instance_norm`` of (N, C, H, W) or (C, H, W); see ``InstanceNorm1d``."""

    axes = ("NCHW", "CHW")


class InstanceNorm3d(_InstanceNorm):
    """``instance_norm`` of (N, C, D, H, W) or (C, D, H, W); see ``InstanceNorm1d``."""

    axes = ("NCDHW", "CDHW")


class LayerNorm(_Normalisation):
    """``layer_norm`` over the last axes, with a weight and a bias of their shape."""

    operation = staticmethod(layer_norm)

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        shape = hyperparameters.sizes("LayerNorm", "normalized_shape", normalized_shape)
        super().__init__(normalized_shape=shape, eps=_eps("LayerNorm", eps))
        self.initialise(shape, elementwise_affine, bias, dtype)


class RMSNorm(_Normalisation):
    """``rms_norm`` over the last axes, with a weight of their shape."""

    operation = staticmethod(rms_norm)

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        shape = hyperparameters.sizes("RMSNorm", "normalized_shape", normalized_shape)
        super().__init__(normalized_shape=shape, eps=eps if eps is None else _eps("RMSNorm", eps))
        self.initialise(shape, elementwise_affine, False, dtype)

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight."""
        return (self.weight,)


class GroupNorm(_Normalisation):
    """``group_norm`` of num_channels in num_groups, with a weight and a bias per channel."""

    operation = staticmethod(group_norm)

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        bias: bool = True,
    ) -> None:
        groups = hyperparameters.integer("GroupNorm", "num_groups", num_groups, least=1)
        self.num_channels = hyperparameters.integer("GroupNorm", "num_channels", num_channels, least=0)
        if self.num_channels % groups:
            raise ValueError(f"GroupNorm: num_groups must divide num_channels, {num_channels}; got {num_groups}")
        super().__init__(num_groups=groups, eps=_eps("GroupNorm", eps))
        self.initialise((self.num_channels,), affine, bias, dtype)

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """Group norm of an x with num_channels."""
        if np.shape(x)[1:2] != (self.num_channels,):
            raise ValueError(f"GroupNorm: x must have {self.num_channels} channels; got {np.shape(x)}")
        return super().forward(x)


class LocalResponseNorm(Shell):
    """``local_response_norm`` with its hyper-parameters."""

    operation = staticmethod(local_response_norm)

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(size=size, alpha=alpha, beta=beta, k=k)


class CrossMapLRN2d(LocalResponseNorm):
    """``local_response_norm`` of (N, C, H, W).

    PyTorch's running sum over the channels never drops the first one again, and for an even size takes in one channel
    less than it divides by.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """Local response norm of four axes."""
        if np.ndim(x) != 4:
            raise ValueError(f"CrossMapLRN2d: x must have shape (N, C, H, W); got {np.shape(x)}")
        return super().forward(x)
