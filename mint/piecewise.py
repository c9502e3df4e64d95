"""Piecewise activations: linear, clipped and thresholded."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable, is_floating
from mint.module import Parameter, Shell
from mint.sampling import SamplingShell, generator

__all__ = [
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Softshrink",
    "Threshold",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "softshrink",
    "threshold",
]


@differentiable
def relu(x: Array) -> tuple[Array, Vjp]:
    """ReLU: y = max(x, 0), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at 0 is 0, at NaN gy, as in PyTorch; JAX has 0
    at NaN.
    Raises TypeError for what is no floating-point array.
    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    >>> relu(np.array([-2.0, 0.0, 3.0]))[0]
    array([0., 0., 3.])
    """
    y = np.maximum(x, 0)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 for x > 0, else 0
        return (np.where(x <= 0, 0, gy),)

    return y, vjp


@differentiable(wide=True)
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> tuple[Array, Vjp]:
    """Leaky ReLU: y = x where x > 0, else negative_slope·x, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The slope at 0 and at NaN is negative_slope, as in PyTorch;
    JAX has 1 at 0.
    Raises TypeError for what is no floating-point array, or a negative_slope that is no number.
    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> leaky_relu(np.array([-2.0, 3.0]), negative_slope=0.5)[0]
    array([-1., 3.])
    """
    a = hyperparameters.real("leaky_relu", "negative_slope", negative_slope)
    y = np.where(x > 0, x, a * x)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 for x > 0, else a
        return (np.where(x > 0, gy, a * gy),)

    return y, vjp


@differentiable(wide=True)
def relu6(x: Array) -> tuple[Array, Vjp]:
    """ReLU6: y = min(max(x, 0), 6), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at 0 and at 6 is 0, as in PyTorch and JAX; at NaN
    it is gy, where JAX and PyTorch's vectorised loop have 0.
    Raises TypeError for what is no floating-point array.
    Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    >>> relu6(np.array([-2.0, 3.0, 7.0]))[0]
    array([0., 3., 6.])
    """
    return _clipped(x, 0, 6)


@differentiable(wide=True)
def hardtanh(x: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> tuple[Array, Vjp]:
    """Hard tanh: y = min(max(x, min_val), max_val), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    min_val, max_val: the bounds, in the units of x, min_val ≤ max_val.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at both bounds is 0, as in PyTorch, where JAX
    (``jax.nn.hard_tanh``, bounds −1 and 1) has gy; at NaN it is gy, and PyTorch's vectorised loop has 0.
    Raises ValueError for min_val > max_val, TypeError for what is no floating-point array or no number.
    Source: Collobert, "Large scale machine learning", 2004.

    >>> hardtanh(np.array([-2.0, 0.5, 3.0]), max_val=2.0)[0]
    array([-1. ,  0.5,  2. ])
    """
    low = hyperparameters.real("hardtanh", "min_val", min_val)
    high = hyperparameters.real("hardtanh", "max_val", max_val)
    _ordered("hardtanh", "min_val", low, "max_val", high)
    return _clipped(x, low, high)


def _clipped(x: Array, low: float, high: float) -> tuple[Array, Vjp]:
    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 between the bounds, else 0
        return (np.where((x <= low) | (x >= high), 0, gy),)

    return np.clip(x, low, high), vjp


def _ordered(op: str, lower_name: str, lower: float, upper_name: str, upper: float) -> None:
    if not lower <= upper:
        raise ValueError(f"{op}: {lower_name} must be at most {upper_name}; got {lower} and {upper}")


@differentiable(wide=True)
def hardsigmoid(x: Array) -> tuple[Array, Vjp]:
    """Hard sigmoid: y = min(max(x + 3, 0), 6)/6, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at −3, at 3 and at NaN is 0, as in PyTorch and JAX
    (``jax.nn.hard_sigmoid``).
    Raises TypeError for what is no floating-point array.
    Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> hardsigmoid(np.array([-4.0, 0.0, 1.5, 4.0]))[0]
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    y = np.clip(x + 3, 0, 6) / 6

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1/6 for −3 < x < 3, else 0
        return (np.where((x > -3) & (x < 3), gy / 6, 0),)

    return y, vjp


@differentiable(wide=True)
def hardswish(x: Array) -> tuple[Array, Vjp]:
    """Hard swish: y = x·min(max(x + 3, 0), 6)/6, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The slope at −3 is 0 and at 3 it is 1, as in PyTorch and JAX
    (``jax.nn.hard_swish``); at NaN it is NaN, and PyTorch has NaN in its vectorised loop and 1 in the scalar loop for
    the elements left over. At −∞ y is NaN, as in PyTorch.
    Raises TypeError for what is no floating-point array.
    Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> hardswish(np.array([-4.0, -1.5, 0.0, 4.0]))[0]
    array([-0.   , -0.375,  0.   ,  4.   ])
    """
    # the factor first: x·6 may overflow
    y = x * (np.clip(x + 3, 0, 6) / 6)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y = x·(x + 3)/6 between −3 and 3, y′ = (2x + 3)/6; y′ = 0 below and 1 above
        return (np.where(x <= -3, 0, np.where(x >= 3, gy, gy * ((2 * x + 3) / 6))),)

    return y, vjp


@differentiable(wide=True)
def hardshrink(x: Array, *, lambd: float = 0.5) -> tuple[Array, Vjp]:
    """Hard shrinkage: y = 0 where −lambd ≤ x ≤ lambd, else x, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    lambd: the threshold, in the units of x; with a negative one y is x, as in PyTorch.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at ±lambd is 0; at NaN it is gy, and PyTorch's
    vectorised loop has 0.
    Raises TypeError for what is no floating-point array, or a lambd that is no number.
    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994. JAX has none.

    >>> hardshrink(np.array([-2.0, 0.5, 0.75]))[0]
    array([-2.  ,  0.  ,  0.75])
    """
    lambd = hyperparameters.real("hardshrink", "lambd", lambd)
    gone = (x >= -lambd) & (x <= lambd)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 outside [−λ, λ], else 0
        return (np.where(gone, 0, gy),)

    return np.where(gone, 0, x), vjp


@differentiable(wide=True)
def softshrink(x: Array, *, lambd: float = 0.5) -> tuple[Array, Vjp]:
    """Soft shrinkage: y = x − lambd where x > lambd, x + lambd where x < −lambd, else 0, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    lambd: the threshold, in the units of x, at least 0 and finite.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at ±lambd is 0; at NaN it is gy, and PyTorch's
    vectorised loop has 0.
    Raises ValueError for a negative or infinite lambd, TypeError for what is no floating-point array or no number.
    Source: Donoho, "De-noising by soft-thresholding", 1995. JAX has none.

    >>> softshrink(np.array([-2.0, 0.5, 0.75]))[0]
    array([-1.5 ,  0.  ,  0.25])
    """
    lambd = hyperparameters.real("softshrink", "lambd", lambd, least=0, most=sys.float_info.max)
    gone = (x >= -lambd) & (x <= lambd)
    # in one difference: NaN stays
    y = np.where(gone, 0, x - np.copysign(x.dtype.type(lambd), x))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 outside [−λ, λ], else 0
        return (np.where(gone, 0, gy),)

    return y, vjp


@differentiable(wide=True)
def threshold(x: Array, *, threshold: float, value: float) -> tuple[Array, Vjp]:
    """Threshold: y = x where x > threshold, else value, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    threshold, value: both in the units of x.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The gradient at the threshold is 0; NaN stays, and its gradient is
    gy, as in PyTorch.
    Raises TypeError for what is no floating-point array, or a threshold or value that is no number.
    Source: PyTorch ``torch.nn.functional.threshold``. JAX has none.

    >>> threshold(np.array([-2.0, 0.5, 3.0]), threshold=0.5, value=20.0)[0]
    array([20., 20.,  3.])
    """
    bound = hyperparameters.real("threshold", "threshold", threshold)
    value = hyperparameters.real("threshold", "value", value)
    below = x <= bound

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 above the threshold, else 0
        return (np.where(below, 0, gy),)

    return np.where(below, value, x), vjp


@differentiable(wide=True)
def prelu(x: Array, weight: Array) -> tuple[Array, Vjp]:
    """PReLU: y = x where x > 0, else weight·x, with a weight that is learned.

    Shapes: y has that of x. weight () or (1) is shared by all elements; weight (C) has one for each channel, which
    is axis 1 of x (N, C, …).
    Dtypes: those of ``differentiable``; both arrays share one.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gweight)``. The slope at 0 and at NaN is weight, as in PyTorch.
    Raises ValueError where weight does not fit x, TypeError for what is no floating-point array.
    Source: He et al., "Delving deep into rectifiers", 2015. JAX has none.

    >>> y, vjp = prelu(np.array([[-2.0, -2.0, 3.0]]), np.array([0.5, 0.25, 0.5]))
    >>> y
    array([[-1. , -0.5,  3. ]])
    >>> vjp(np.ones((1, 3)))
    (array([[0.5 , 0.25, 1.  ]]), array([-2., -2.,  0.]))
    """
    per_channel = weight.size != 1
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or (per_channel and (x.ndim == 0 or weight.size != channels)):
        raise ValueError(
            f"prelu: weight must have shape () or (1,), or ({channels},) to fit x {x.shape}; got {weight.shape}"
        )
    # [C] -> [1, C, 1, …]
    w = weight.reshape(1, -1, *(1,) * (x.ndim - 2)) if per_channel else weight.reshape(())
    positive = x > 0
    y = np.where(positive, x, w * x)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # x > 0: y = x. Else y = w·x, ∂y/∂x = w and ∂y/∂w = x, summed over what shares w:
        # [N, C, …] -> [C], or -> []
        axes = tuple(a for a in range(x.ndim) if a != 1 or not per_channel)
        gw = np.where(positive, 0, gy * x).sum(axis=axes)
        return np.where(positive, gy, w * gy), gw.reshape(weight.shape)

    return y, vjp


@differentiable(wide=True)
def rrelu(
    x: Array,
    slope: Array | None = None,
    *,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Randomised leaky ReLU: y = x where x > 0, else slope·x, with one random slope for each element.

    Shapes: y has that of x, and so has slope. Dtypes: those of ``differentiable``; both arrays share one.
    slope: drawn evenly from [lower, upper] by rng (a fresh generator where None) if it is not given. Where training
    is False every slope is (lower + upper)/2, and none is given or drawn. lower, upper: finite, lower ≤ upper.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``, with the same slopes. The slope at 0 and at NaN is the one for
    x ≤ 0; in training PyTorch has 1 at NaN.
    Raises ValueError for bounds out of order or not finite, a slope of another shape, a slope beside an rng, or a
    slope where training is False; TypeError for what is no floating-point array, no number, bool or generator.
    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015. PyTorch draws
    its slopes itself and takes none; JAX has none.

    >>> rrelu(np.array([-1.0, 2.0]), lower=0.25, upper=0.75)[0]
    array([-0.5,  2. ])
    >>> rrelu(np.array([-1.0, 2.0]), np.array([0.3, 0.3]), training=True)[0]
    array([-0.3,  2. ])
    """
    largest = sys.float_info.max
    lower = hyperparameters.real("rrelu", "lower", lower, least=-largest, most=largest)
    upper = hyperparameters.real("rrelu", "upper", upper, least=-largest, most=largest)
    _ordered("rrelu", "lower", lower, "upper", upper)
    training = hyperparameters.flag("rrelu", "training", training)
    source = generator("rrelu", rng)
    if slope is None:
        real = x.dtype.type
        middle = (real(lower) + real(upper)) / 2
        slope = source.uniform(lower, upper, x.shape).astype(x.dtype) if training else np.full(x.shape, middle)
    elif rng is not None:
        raise ValueError("rrelu: slope and rng exclude each other; got both")
    elif not training:
        raise ValueError(f"rrelu: slope must be None where training is False; got one of shape {slope.shape}")
    elif slope.shape != x.shape:
        raise ValueError(f"rrelu: slope must have the shape of x, {x.shape}; got {slope.shape}")
    positive = x > 0

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 for x > 0, else slope
        return np.where(positive, gy, slope * gy), None

    return np.where(positive, x, slope * x), vjp


class ReLU(Shell):
    """``relu``."""

    operation = staticmethod(relu)


class LeakyReLU(Shell):
    """``leaky_relu`` with its slope."""

    operation = staticmethod(leaky_relu)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class ReLU6(Shell):
    """``relu6``."""

    operation = staticmethod(relu6)


class Hardtanh(Shell):
    """``hardtanh`` with its bounds."""

    operation = staticmethod(hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__(min_val=min_val, max_val=max_val)


class Hardsigmoid(Shell):
    """``hardsigmoid``."""

    operation = staticmethod(hardsigmoid)


class Hardswish(Shell):
    """``hardswish``."""

    operation = staticmethod(hardswish)


class Hardshrink(Shell):
    """``hardshrink`` with its threshold."""

    operation = staticmethod(hardshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Softshrink(Shell):
    """``softshrink`` with its threshold."""

    operation = staticmethod(softshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Threshold(Shell):
    """``threshold`` with its threshold and value."""

    operation = staticmethod(threshold)

    def __init__(self, threshold: float, value: float) -> None:
        super().__init__(threshold=threshold, value=value)


class PReLU(Shell):
    """``prelu`` that owns its weight: one for all elements, or ``num_parameters``, one for each channel.

    init: the value that each weight starts from. dtype: that of the weight.

    >>> layer = PReLU()
    >>> y, vjp = layer(np.array([-4.0, 4.0], np.float32))
    >>> y, vjp(np.ones_like(y)), layer.weight.grad
    (array([-1.,  4.], dtype=float32), array([0.25, 1.  ], dtype=float32), array([-4.], dtype=float32))
    """

    operation = staticmethod(prelu)

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        count = hyperparameters.integer("PReLU", "num_parameters", num_parameters, least=1)
        value = hyperparameters.real("PReLU", "init", init)
        if not is_floating(np.dtype(dtype)):
            raise TypeError(f"PReLU: dtype must be a floating-point dtype; got {np.dtype(dtype)}")
        self.weight = Parameter(np.full(count, value, dtype))

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight."""
        return (self.weight,)


class RReLU(SamplingShell):
    """``rrelu`` with its bounds, whose slopes ``rng`` draws (a fresh generator where None); after eval, their mean.

    >>> layer = RReLU(0.0, 1.0)
    >>> layer.eval()(np.array([-3.0, 3.0]))[0]
    array([-1.5,  3. ])
    """

    operation = staticmethod(rrelu)

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, *, rng: np.random.Generator | None = None) -> None:
        super().__init__(lower=lower, upper=upper, rng=rng)
