"""Losses that are negative logarithms of a likelihood: of classes, bits, distributions, counts and measurements."""

from __future__ import annotations

import numpy as np

from mint import hyperparameters
from mint.activation import _sigmoid
from mint.broadcast import common_shape, summed_to
from mint.differentiable import Array, Vjp, differentiable
from mint.loss import WeightedLoss, class_weight, hits, reduced, summed_over_rows
from mint.module import Parameter, Shell

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "GaussianNLLLoss",
    "KLDivLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "kl_div",
    "nll_loss",
    "poisson_nll_loss",
]

# PyTorch's: the least logarithm of a probability in binary_cross_entropy, and the least x·(1 − x) in its gradient
LEAST_LOG = -100
LEAST_VARIANCE = np.float32(1e-12)
TWO_PI = "6.283185307179586476925286766559005768"


@differentiable(integer=("target",), wide=True)
def nll_loss(
    x: Array, target: Array, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Negative log-likelihood of classes: l = −w[t]·x[t], where x holds log-probabilities of the classes.

    t is the target, w the weight (1 without); l = 0 where the target is ignored. y is l itself, its sum, or
    Σ l / Σ w[t] over the targets that are not ignored.

    Shapes: x (N, C, d₁, …) or (C,), target (N, d₁, …) or (), weight (C,), y () or, with "none", that of target.
    Dtypes: those of ``differentiable``, x and weight sharing one; target any integer dtype (PyTorch: int64 and uint8).
    ignore_index: the target that does not count; it may lie outside of [0, C), every other may not.
    reduction: "mean", "sum" or "none". The mean over nothing (all ignored, or weighing 0) is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None, gweight)``, gweight None without weight. PyTorch does not
    differentiate the weight.
    Raises ValueError for shapes, targets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.nll_loss``.

    >>> y, vjp = nll_loss(np.array([[-1.0, -2.0], [-4.0, -8.0]]), np.array([1, 0]))
    >>> y, vjp(np.array(1.0))[0]
    (array(3.), array([[ 0. , -0.5], [-0.5,  0. ]]))
    """
    op = "nll_loss"
    ignore_index = hyperparameters.integer(op, "ignore_index", ignore_index)
    reduction = hyperparameters.reduction(op, reduction)
    axis, w = class_weight(op, x, weight)
    _, hit = hits(op, x, axis, target, ignore_index)
    y, share = reduced(np.where(hit, -w * x, 0).sum(axis), reduction, np.where(hit, w, 0).sum())

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # l[n] = −Σ [c = t[n]]·w[c]·x[n, c]: ∂l/∂x = −[c = t]·w
        s = np.expand_dims(share(gy), axis)
        gx = np.where(hit, -w * s, 0)
        if weight is None:
            return gx, None, None
        # ∂l/∂w = −[c = t]·x, summed over n; the mean has w in its divisor as well, from where −y comes
        gw = np.where(hit, -s * (x + y if reduction == "mean" else x), 0)
        return gx, None, summed_over_rows(gw, axis)

    return y, vjp


def _checked_probabilities(op: str, **arrays: Array) -> None:
    for name, array in arrays.items():
        outside = ~((array >= 0) & (array <= 1))
        if outside.any():
            raise ValueError(f"{op}: {name} must lie in [0, 1]; got {array[outside].flat[0]}")


def _checked_shapes(op: str, x: Array, target: Array, **weights: Array | None) -> None:
    """One shape for x and target, to which the weights broadcast."""
    if x.shape != target.shape:
        raise ValueError(f"{op}: target must have the shape of x, {x.shape}; got {target.shape}")
    for name, weight in weights.items():
        if weight is not None and common_shape(op, x=x, **{name: weight}) != x.shape:
            raise ValueError(f"{op}: {name} must broadcast to the shape of x, {x.shape}; got {weight.shape}")


@differentiable(wide=True)
def binary_cross_entropy(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Cross-entropy of the probabilities x: l = −w·(target·log x + (1 − target)·log(1 − x)), element by element.

    w is the weight (1 without). Neither logarithm counts as less than −100, so that l is finite; y reduces l.

    Shapes: x and target the same, weight broadcasts to that; y () or, with "none", that of x. Dtypes: those of
    ``differentiable``; the arrays share one.
    x, target: in [0, 1]. reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gweight None without weight. As in PyTorch
    ∂l/∂x = w·(x − target)/max(x·(1 − x), 10⁻¹²), which knows nothing of the −100; ∂l/∂target does, where PyTorch
    has ±∞ at 0 and 1. PyTorch does not differentiate the weight.
    Raises ValueError for numbers outside of [0, 1], shapes that do not fit or another reduction, TypeError for
    what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.binary_cross_entropy``.

    >>> y, vjp = binary_cross_entropy(np.array([0.5, 0.0]), np.array([1.0, 1.0]), reduction="none")
    >>> y, vjp(np.ones(2))[0]
    (array([  0.69314718, 100.        ]), array([-2.e+00, -1.e+12]))
    """
    op = "binary_cross_entropy"
    reduction = hyperparameters.reduction(op, reduction)
    _checked_shapes(op, x, target, weight=weight)
    _checked_probabilities(op, x=x, target=target)
    hit, miss = np.maximum(np.log(x), LEAST_LOG), np.maximum(np.log1p(-x), LEAST_LOG)
    each = -target * hit - (1 - target) * miss
    w = x.dtype.type(1) if weight is None else weight
    y, share = reduced(w * each, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = −w·(target/x − (1 − target)/(1 − x)), ∂l/∂target = −w·(log x − log(1 − x))
        g = share(gy)
        # the quotient first: g·w may underflow
        gx = g * (w * ((x - target) / np.maximum(x * (1 - x), x.dtype.type(LEAST_VARIANCE))))
        return gx, g * w * (miss - hit), None if weight is None else summed_to(g * each, weight.shape)

    return y, vjp


@differentiable(wide=True)
def binary_cross_entropy_with_logits(
    x: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """Cross-entropy of the logits x: l = −w·(v·target·log σ(x) + (1 − target)·log σ(−x)), element by element.

    w is the weight and v the pos_weight (1 without). y reduces l. Nothing overflows, and both tails keep their digits.

    Shapes: x and target the same, weight and pos_weight broadcast to that; y () or, with "none", that of x. Dtypes:
    those of ``differentiable``; the arrays share one.
    target: the probability, as a rule 0 or 1. reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight, gpos_weight)``, the last two None without the array.
    PyTorch does not differentiate these.
    Raises ValueError for shapes that do not fit or another reduction, TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.binary_cross_entropy_with_logits``, which computes l as
    (1 − target)·x − (1 + (v − 1)·target)·log σ(x), where a small l is lost beside a large x.

    >>> x, target = np.array([0.0, 1000.0, -40.0]), np.array([1.0, 0.0, 0.0])
    >>> binary_cross_entropy_with_logits(x, target, reduction="none")[0]
    array([6.93147181e-01, 1.00000000e+03, 4.24835426e-18])
    """
    op = "binary_cross_entropy_with_logits"
    reduction = hyperparameters.reduction(op, reduction)
    _checked_shapes(op, x, target, weight=weight, pos_weight=pos_weight)
    one = x.dtype.type(1)
    w, v = one if weight is None else weight, one if pos_weight is None else pos_weight
    # −log σ(x) = max(−x, 0) + rest: for a target in [0, 1] no terms of opposite sign are added up
    rest = np.log1p(np.exp(-abs(x)))
    hit = np.maximum(-x, 0) + rest
    each = np.where(x < 0, -v * target * x, (1 - target) * x) + (1 + (v - 1) * target) * rest
    y, share = reduced(w * each, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # −(log σ(x))′ = −σ(−x): ∂l/∂x = w·((1 − target)·σ(x) − v·target·σ(−x))
        # ∂l/∂target = w·(log σ(−x) − v·log σ(x)), in which log σ(−x) = log σ(x) − x
        g = share(gy)
        gw = g * w
        gx = gw * ((1 - target) * _sigmoid(x) - v * target * _sigmoid(-x))
        return (
            gx,
            gw * ((v - 1) * hit - x),
            None if weight is None else summed_to(g * each, weight.shape),
            None if pos_weight is None else summed_to(gw * (target * hit), pos_weight.shape),
        )

    return y, vjp


@differentiable(wide=True)
def kl_div(x: Array, target: Array, *, reduction: str = "mean", log_target: bool = False) -> tuple[Array, Vjp]:
    """Kullback–Leibler divergence of exp(x) from target: l = target·(log target − x), element by element; y reduces l.

    x holds log-probabilities, target probabilities or, with log_target, log-probabilities as well:
    l = exp(target)·(target − x). A probability of 0 gives l = 0, its logarithm −∞ NaN, as in PyTorch.

    Shapes: x and target broadcast to the shape of l; y () or, with "none", that of l. Dtypes: those of
    ``differentiable``; both arrays share one.
    reduction: "mean", "sum", "none", or "batchmean": the sum divided by the first length of x, which alone makes the
    divergence of the distributions in the rows. The mean of nothing is NaN.
    log_target: whether target holds logarithms.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget)``. The slope at a target of 0 is −∞, where PyTorch and JAX have
    NaN.
    Raises ValueError for shapes that do not broadcast or another reduction, TypeError for wrong types.
    Source: Kullback and Leibler, "On information and sufficiency", 1951; PyTorch ``torch.nn.functional.kl_div``.

    >>> p = np.array([[0.5, 0.5, 0.0]])
    >>> kl_div(np.log(np.array([[0.25, 0.5, 0.25]])), p, reduction="batchmean")[0]
    array(0.34657359)
    """
    op = "kl_div"
    reduction = hyperparameters.reduction(op, reduction, "batchmean")
    log_target = hyperparameters.flag(op, "log_target", log_target)
    common_shape(op, x=x, target=target)
    p = np.exp(target) if log_target else target
    log_p = target if log_target else np.log(target)
    losses = np.where(p == 0, p * (target - x), p * (log_p - x))
    if reduction == "batchmean":
        y, share = reduced(losses, "mean", x.shape[0] if x.ndim else 1)
    else:
        y, share = reduced(losses, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = −p; l = p·log p − p·x: ∂l/∂p = 1 + log p − x, and ∂p/∂log p = p
        g = share(gy)
        total = summed_to(g, target.shape)
        # of a target of 0 the slope is infinite, yet without a cotangent there is no gradient
        gp = np.where(total == 0, 0, total * (1 + log_p)) - summed_to(g * x, target.shape)
        return summed_to(-g * p, x.shape), gp * p if log_target else gp

    return y, vjp


@differentiable(wide=True)
def poisson_nll_loss(
    x: Array,
    target: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """Negative log-likelihood of the counts target under a Poisson distribution: l = λ − target·log λ; y reduces l.

    The rate λ is exp(x) or, without log_input, x itself, with log(x + eps) for its logarithm. With full, log(target!)
    is added by Stirling's approximation target·log target − target + ½·log(2π·target), where target is above 1.

    Shapes: x and target broadcast to the shape of l; y () or, with "none", that of l. Dtypes: those of
    ``differentiable``; both arrays share one.
    log_input: whether x is the logarithm of the rate. full: whether to add what does not depend on x. eps: added to a
    rate, in units of it. reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget)``; with full, PyTorch's gtarget is NaN at a target of 0.
    Raises ValueError for shapes that do not broadcast or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.poisson_nll_loss``.

    >>> y, vjp = poisson_nll_loss(np.array([0.0, 0.0]), np.array([0.0, 3.0]), reduction="none")
    >>> y, vjp(np.ones(2))[0]
    (array([1., 1.]), array([ 1., -2.]))
    """
    op = "poisson_nll_loss"
    log_input = hyperparameters.flag(op, "log_input", log_input)
    full = hyperparameters.flag(op, "full", full)
    eps = hyperparameters.real(op, "eps", eps)
    reduction = hyperparameters.reduction(op, reduction)
    common_shape(op, x=x, target=target)
    real = x.dtype.type
    shifted = x + real(eps)
    rate, log_rate = (np.exp(x), x) if log_input else (x, np.log(shifted))
    losses = rate - target * log_rate
    several = target > 1
    if full:
        log_factorial = target * (np.log(target) - 1) + np.log(real(TWO_PI) * target) / 2
        losses = losses + np.where(several, log_factorial, 0)
    y, share = reduced(losses, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = λ − target, or 1 − target/(x + eps); ∂l/∂target = −log λ, and (log target!)′ = log target + ½/target
        g = share(gy)
        weighed = summed_to(g * target, x.shape)
        # where nothing is added up, it is nothing even of an infinite slope
        gx = summed_to(g * rate, x.shape) - weighed if log_input else summed_to(g, x.shape) - weighed / shifted
        gtarget = -summed_to(g * log_rate, target.shape)
        if full:
            slope = np.where(several, np.log(target) + 1 / (2 * target), 0)
            gtarget = gtarget + summed_to(g, target.shape) * slope
        return gx, gtarget

    return y, vjp


def _variances(op: str, x: Array, var: Array) -> Array:
    """var with an axis for each of x."""
    if var.shape == x.shape:
        return var
    if var.shape == x.shape[:-1] and x.ndim:
        return var[..., None]
    pairs = zip(x.shape, var.shape, strict=False)
    if var.ndim != x.ndim or [n for m, n in pairs if m != n] != [1]:
        expected = f"{x.shape} with or without its last axis, or with one axis of length 1"
        raise ValueError(f"{op}: var must have shape {expected}; got {var.shape}")
    return var


@differentiable(wide=True)
def gaussian_nll_loss(
    x: Array, target: Array, var: Array, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Negative log-likelihood of target under a normal distribution: l = ½·(log v + (x − target)²/v); y reduces l.

    x is the mean and v = max(var, eps) the variance. With full, ½·log 2π is added.

    Shapes: x and target broadcast to the shape of l (PyTorch too, without a warning); var has the shape of x, that
    without its last axis, or that with one axis of length 1 instead; y () or, with "none", that of l. Dtypes: those
    of ``differentiable``; the arrays share one. PyTorch takes a number for var as well.
    var: not negative. full: whether to add what depends on nothing. eps: the least variance, in units of x².
    reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gvar)``. As in PyTorch gvar is ∂l/∂v, also where var < eps.
    Raises ValueError for shapes that do not fit, a negative variance or another reduction, TypeError for wrong types.
    Source: Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994;
    PyTorch ``torch.nn.functional.gaussian_nll_loss``.

    >>> y, vjp = gaussian_nll_loss(np.array([3.0]), np.array([1.0]), np.array([1.0]))
    >>> y, vjp(np.array(1.0))
    (array(2.), (array([2.]), array([-2.]), array([-1.5])))
    """
    op = "gaussian_nll_loss"
    full = hyperparameters.flag(op, "full", full)
    eps = hyperparameters.real(op, "eps", eps)
    reduction = hyperparameters.reduction(op, reduction)
    v = _variances(op, x, var)
    common_shape(op, x=x, target=target, var=v)
    if (var < 0).any():
        raise ValueError(f"{op}: var must not be negative; got {var[var < 0].flat[0]}")
    v = np.maximum(v, x.dtype.type(eps))
    d = x - target
    losses = (np.log(v) + d * (d / v)) / 2
    if full:
        losses = losses + np.log(x.dtype.type(TWO_PI)) / 2
    y, share = reduced(losses, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = (x − target)/v = −∂l/∂target, ∂l/∂v = ½·(1 − (x − target)²/v)/v
        g = share(gy)
        gx = g * (d / v)
        gv = summed_to(g * ((1 - d * (d / v)) / (2 * v)), v.shape)
        return summed_to(gx, x.shape), summed_to(-gx, target.shape), gv.reshape(var.shape)

    return y, vjp


class NLLLoss(WeightedLoss):
    """``nll_loss`` with a fixed weight; called on x and target, and its vjp returns ``(gx, None)``."""

    operation = staticmethod(nll_loss)

    def __init__(self, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)


class NLLLoss2d(NLLLoss):
    """Another name of ``NLLLoss``, deprecated in PyTorch."""


class BCELoss(WeightedLoss):
    """``binary_cross_entropy`` with a fixed weight; called on x and target, and its vjp returns both gradients."""

    operation = staticmethod(binary_cross_entropy)

    def __init__(self, weight: Array | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """``binary_cross_entropy_with_logits`` with fixed weights; its vjp returns the gradients of x and target."""

    operation = staticmethod(binary_cross_entropy_with_logits)

    def __init__(
        self, weight: Array | None = None, *, reduction: str = "mean", pos_weight: Array | None = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.pos_weight = pos_weight

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weights, which are not learned."""
        return self.weight, self.pos_weight


class KLDivLoss(Shell):
    """``kl_div``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(kl_div)

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)


class PoissonNLLLoss(Shell):
    """``poisson_nll_loss``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(poisson_nll_loss)

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(log_input=log_input, full=full, eps=eps, reduction=reduction)


class GaussianNLLLoss(Shell):
    """``gaussian_nll_loss``; called on x, target and var, and its vjp returns the gradients of all."""

    operation = staticmethod(gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(full=full, eps=eps, reduction=reduction)
