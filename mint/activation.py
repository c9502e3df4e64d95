"""Smooth activations, element by element."""

from __future__ import annotations

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.erf import erfc
from mint.module import Shell

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "LogSigmoid",
    "Mish",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "celu",
    "elu",
    "gelu",
    "logsigmoid",
    "mish",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]

# Constants are written in decimal and read in the dtype at hand: longdouble has more digits than a Python
# float.
SQRT_HALF = "0.70710678118654752440084436210484903928"
SQRT_2_OVER_PI = "0.79788456080286535587989211986876373695"
INVERSE_SQRT_2_PI = "0.39894228040143267793994605993438186848"
CUBIC = "0.044715"
SELU_SCALE = "1.0507009873554804934193349852946063520"
SELU_SCALE_ALPHA = "1.7580993408473768599402175208122795773"


def _sigmoid(x: Array) -> Array:
    # exp of nothing positive: no overflow, and the tail on the left keeps its digits
    e = np.exp(-abs(x))
    y: Array = np.where(x < 0, e, 1) / (1 + e)
    return y


def _sigmoid_slope(x: Array) -> Array:
    # σ′ = σ·(1 − σ) = e/(1 + e)² with e = exp(−|x|): 1 − σ would cancel
    e = np.exp(-abs(x))
    y: Array = e / (1 + e) ** 2
    return y


@differentiable(wide=True)
def elu(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """ELU: y = x where x > 0, else alpha·(exp(x) − 1), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The slope at 0 is alpha, as in PyTorch, and at NaN it is
    NaN; PyTorch has NaN in its vectorised loop and 1 in the scalar loop for the elements left over.
    Raises TypeError for what is no floating-point array, or an alpha that is no number.
    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by ELUs", 2016.

    >>> elu(np.array([-np.inf, 3.0]), alpha=2)[0]
    array([-2., 3.])
    """
    a = hyperparameters.real("elu", "alpha", alpha)
    y = np.where(x > 0, x, a * np.expm1(x))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 for x > 0, else a·exp(x)
        return (np.where(x > 0, gy, gy * (a * np.exp(x))),)

    return y, vjp


@differentiable(wide=True)
def sigmoid(x: Array) -> tuple[Array, Vjp]:
    """Logistic sigmoid: y = 1/(1 + exp(−x)), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, with e/(1 + e)², e = exp(−|x|), where PyTorch has y·(1 − y),
    whose digits are lost for large x.
    Raises TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.sigmoid``.

    >>> sigmoid(np.array([-800.0, 0.0, 800.0]))[0]
    array([0. , 0.5, 1. ])
    """
    y = _sigmoid(x)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = σ·(1 − σ)
        return (gy * _sigmoid_slope(x),)

    return y, vjp


@differentiable(wide=True)
def tanh(x: Array) -> tuple[Array, Vjp]:
    """Hyperbolic tangent, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, with 4·σ′(2x), where PyTorch has 1 − y², whose digits are
    lost for large x.
    Raises TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.tanh``.

    >>> tanh(np.array([-np.inf, 0.0]))[0]
    array([-1., 0.])
    """
    y = np.tanh(x)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # tanh(x) = 2·σ(2x) − 1, so y′ = 4·σ′(2x)
        return (gy * (4 * _sigmoid_slope(2 * x)),)

    return y, vjp


@differentiable(wide=True)
def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Vjp]:
    """Softplus: y = log(1 + exp(beta·x))/beta, or x itself where beta·x > threshold, element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, σ(beta·x)·gy, or gy where y is x.
    Raises TypeError for what is no floating-point array, or a beta or threshold that is no number.
    Source: PyTorch ``torch.nn.functional.softplus``; JAX (``jax.nn.softplus``) has neither beta nor
    threshold.

    >>> softplus(np.array([-np.inf, 50.0]))[0]
    array([ 0., 50.])
    """
    beta = hyperparameters.real("softplus", "beta", beta)
    threshold = hyperparameters.real("softplus", "threshold", threshold)
    z = beta * x
    linear = z > threshold
    y = np.where(linear, x, np.logaddexp(0, z) / beta)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = exp(βx)/(1 + exp(βx)) = σ(βx)
        return (np.where(linear, gy, gy * _sigmoid(z)),)

    return y, vjp


@differentiable(wide=True)
def gelu(x: Array, *, approximate: str = "none") -> tuple[Array, Vjp]:
    """GELU: y = x·Φ(x), with Φ the distribution function of the normal distribution, element by element.

    With approximate "none" Φ(x) = erfc(−x/√2)/2; with "tanh" Φ is replaced by
    (1 + tanh(u))/2 = σ(2u), u = √(2/π)·(x + 0.044715·x³). In these forms the tail on the left keeps its
    digits.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. At −∞ both are NaN, as in PyTorch.
    Raises ValueError for another approximate, TypeError for what is no floating-point array.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016. JAX (``jax.nn.gelu``) has
    approximate=True as default, which is "tanh".

    >>> gelu(np.array([-10.0, 0.0, 10.0]))[0]
    array([-7.61985302e-23, 0.00000000e+00, 1.00000000e+01])
    """
    approximate = hyperparameters.choice("gelu", "approximate", approximate, ("none", "tanh"))
    return _gelu(x) if approximate == "none" else _gelu_tanh(x)


def _gelu(x: Array) -> tuple[Array, Vjp]:
    real = x.dtype.type
    twice_phi = erfc(-x * real(SQRT_HALF))
    y = x / 2 * twice_phi

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = Φ(x) + x·φ(x), φ(x) = exp(−x²/2)/√(2π)
        density = np.exp(-x * x / 2) * real(INVERSE_SQRT_2_PI)
        return (gy * (twice_phi / 2 + x * density),)

    return y, vjp


def _gelu_tanh(x: Array) -> tuple[Array, Vjp]:
    real = x.dtype.type
    c, a = real(SQRT_2_OVER_PI), real(CUBIC)
    u = c * (x + a * x * x * x)
    s = _sigmoid(2 * u)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = σ(2u) + x·σ′(2u)·2u′, u′ = c·(1 + 3a·x²); x²·0 rather than ∞·0 where x² overflows
        t = _sigmoid_slope(2 * u) * x
        return (gy * (s + 2 * c * (t + 3 * a * (t * x * x))),)

    return x * s, vjp


@differentiable(wide=True)
def silu(x: Array) -> tuple[Array, Vjp]:
    """SiLU: y = x·σ(x), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. At −∞ both are NaN, as in PyTorch.
    Raises TypeError for what is no floating-point array.
    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function
    approximation", 2017.

    >>> silu(np.array([-800.0, 0.0, 800.0]))[0]
    array([ -0., 0., 800.])
    """
    s = _sigmoid(x)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = σ + x·σ′
        return (gy * (s + x * _sigmoid_slope(x)),)

    return x * s, vjp


@differentiable(wide=True)
def selu(x: Array) -> tuple[Array, Vjp]:
    """SELU: y = λ·x where x > 0, else λ·α·(exp(x) − 1), element by element.

    λ ≈ 1.0507 and α ≈ 1.6733 are the ones that keep mean 0 and variance 1.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The slope at 0 is λ·α, as in PyTorch, and at NaN it is NaN; PyTorch
    has NaN in its vectorised loop and λ in the scalar loop for the elements left over.
    Raises TypeError for what is no floating-point array.
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> selu(np.array([-np.inf, 0.0, 1.0]))[0]
    array([-1.75809934,  0.        ,  1.05070099])
    """
    real = x.dtype.type
    scale, saturation = real(SELU_SCALE), real(SELU_SCALE_ALPHA)
    y = np.where(x > 0, scale * x, saturation * np.expm1(x))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = λ for x > 0, else λ·α·exp(x)
        return (gy * np.where(x > 0, scale, saturation * np.exp(x)),)

    return y, vjp


@differentiable(wide=True)
def celu(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """CELU: y = x where x > 0, else alpha·(exp(x/alpha) − 1), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    alpha: other than 0; a negative one makes y fall without bound, as in PyTorch.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. The slope at NaN is NaN; PyTorch has NaN in its vectorised loop and
    1 in the scalar loop for the elements left over.
    Raises ValueError for an alpha of 0, TypeError for what is no floating-point array, or an alpha that is no number.
    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    >>> celu(np.array([-np.inf, 3.0]), alpha=2)[0]
    array([-2.,  3.])
    """
    a = hyperparameters.real("celu", "alpha", alpha)
    if a == 0:
        raise ValueError("celu: alpha must be a number other than 0; got 0")
    z = x / x.dtype.type(a)
    y = np.where(x > 0, x, a * np.expm1(z))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 for x > 0, else exp(x/a)
        return (np.where(x > 0, gy, gy * np.exp(z)),)

    return y, vjp


@differentiable(wide=True)
def mish(x: Array) -> tuple[Array, Vjp]:
    """Mish: y = x·tanh(log(1 + exp(x))), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. At −∞ both are NaN, at ∞ gx is, as in PyTorch.
    Raises TypeError for what is no floating-point array.
    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2020.

    >>> mish(np.array([-800.0, 0.0, 800.0]))[0]
    array([ -0.,   0., 800.])
    """
    # with w = exp(x)·(exp(x) + 2) the tanh is t = w/(w + 2); e = exp(−|x|) does not overflow, and for x > 0 it is
    # 1/exp(x), by which the fraction is expanded
    e = np.exp(-abs(x))
    right = x > 0
    bottom = np.where(right, 1 + 2 * e + 2 * e * e, 2 + 2 * e + e * e)
    t = np.where(right, 1 + 2 * e, e * (e + 2)) / bottom

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = t + x·t′, t′ = 2·w′/(w + 2)² and w′ = 2·exp(x)·(exp(x) + 1)
        slope = 4 * np.where(right, e * e, e) * (1 + e) / (bottom * bottom)
        return (gy * (t + x * slope),)

    return x * t, vjp


@differentiable(wide=True)
def softsign(x: Array) -> tuple[Array, Vjp]:
    """Softsign: y = x/(1 + |x|), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, with 1/(1 + |x|)², which PyTorch and JAX have as a difference. At ±∞
    both are NaN, as in PyTorch.
    Raises TypeError for what is no floating-point array.
    Source: Bergstra et al., "Quadratic polynomials learn better image features", 2009.

    >>> softsign(np.array([-3.0, 0.0, 1.0]))[0]
    array([-0.75,  0.  ,  0.5 ])
    """
    d = 1 + abs(x)
    y = x / d

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = (1 + |x| − x·sign(x))/(1 + |x|)² = 1/(1 + |x|)²
        return (np.where(np.isnan(y), y, gy / d / d),)

    return y, vjp


@differentiable(wide=True)
def logsigmoid(x: Array) -> tuple[Array, Vjp]:
    """Logarithm of the logistic sigmoid: y = −log(1 + exp(−x)), element by element.

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.logsigmoid``; ``jax.nn.log_sigmoid``.

    >>> logsigmoid(np.array([-800.0, 0.0, 800.0]))[0]
    array([-8.00000000e+02, -6.93147181e-01,  0.00000000e+00])
    """
    y = np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = exp(−x)/(1 + exp(−x)) = σ(−x)
        return (gy * _sigmoid(-x),)

    return y, vjp


@differentiable(wide=True)
def tanhshrink(x: Array) -> tuple[Array, Vjp]:
    """Tanh shrinkage: y = x − tanh(x), element by element.

    For |x| < 1, where the difference would cancel, y = x·c/(1 + c) with the continued fraction
    tanh(x) = x/(1 + c), c = x²/(3 + x²/(5 + x²/(7 + …))).

    Shapes: y has that of x. Dtypes: those of ``differentiable``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, with tanh(x)². PyTorch has the differences in both, whose digits are
    lost for small x.
    Raises TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.tanhshrink``; the fraction is Abramowitz and Stegun, 4.5.70. JAX has none.

    >>> tanhshrink(np.array([-np.inf, 1e-5, 3.0]))[0]
    array([           -inf, 3.33333333e-16, 2.00494525e+00])
    """
    t = np.tanh(x)
    near = np.clip(x, -1, 1)
    square = near * near
    c = np.zeros_like(square)
    for odd in range(25, 1, -2):
        c = square / (odd + c)
    y = np.where(abs(x) < 1, near * (c / (1 + c)), x - t)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = 1 − (1 − tanh²)
        return (gy * (t * t),)

    return y, vjp


class ELU(Shell):
    """``elu`` with its alpha."""

    operation = staticmethod(elu)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class Sigmoid(Shell):
    """``sigmoid``."""

    operation = staticmethod(sigmoid)


class Tanh(Shell):
    """``tanh``."""

    operation = staticmethod(tanh)


class Softplus(Shell):
    """``softplus`` with its beta and threshold."""

    operation = staticmethod(softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class GELU(Shell):
    """``gelu`` in the form ``approximate``, "none" or "tanh"."""

    operation = staticmethod(gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(Shell):
    """``silu``."""

    operation = staticmethod(silu)


class SELU(Shell):
    """``selu``."""

    operation = staticmethod(selu)


class CELU(Shell):
    """``celu`` with its alpha."""

    operation = staticmethod(celu)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class Mish(Shell):
    """``mish``."""

    operation = staticmethod(mish)


class Softsign(Shell):
    """``softsign``."""

    operation = staticmethod(softsign)


class LogSigmoid(Shell):
    """``logsigmoid``."""

    operation = staticmethod(logsigmoid)


class Tanhshrink(Shell):
    """``tanhshrink``."""

    operation = staticmethod(tanhshrink)
