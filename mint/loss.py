"""Losses of errors, and the cross-entropy of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable, is_floating
from mint.linear import Linear, linear
from mint.module import ModuleVjp, Parameter, Shell
from mint.softmax import log_probabilities

__all__ = [
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "SmoothL1Loss",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "smooth_l1_loss",
]


def reduced(losses: Array, reduction: str, total: Array | int | None = None) -> tuple[Array, Callable[[Array], Array]]:
    """The losses reduced, and what makes of the cotangent of that the cotangent of each loss.

    A mean divides by total, the number of the losses where that is None.
    """
    if reduction == "none":
        return losses, lambda gy: gy
    divisor = 1 if reduction == "sum" else losses.size if total is None else total
    # a sum hands gy to each loss, a mean gy/divisor: [] -> the shape of the losses
    return np.asarray(losses.sum() / divisor), lambda gy: np.broadcast_to(gy / divisor, losses.shape)


# --- errors -------------------------------------------------------------------------------------------------


def _of_error(
    op: str,
    x: Array,
    target: Array,
    weight: Array | None,
    reduction: str,
    loss: Callable[[Array], Array],
    back: Callable[[Array, Array], Array],
    *,
    mean_of_weights: bool = True,
) -> tuple[Array, Vjp]:
    """w·loss(x − target), reduced; back takes x − target and g to g·loss′."""
    reduction = hyperparameters.reduction(op, reduction)
    for name, array in (("target", target), ("weight", weight)):
        if array is not None and array.shape != x.shape:
            raise ValueError(f"{op}: {name} must have the shape of x, {x.shape}; got {array.shape}")
    d = x - target
    each = loss(d)
    by_weight = weight is not None and mean_of_weights
    total = weight.sum() if weight is not None and by_weight else None
    y, share = reduced(each if weight is None else weight * each, reduction, total)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = w·loss′(x − target) = −∂l/∂target
        g = share(gy)
        gx = back(d, g if weight is None else g * weight)
        if weight is None:
            return gx, -gx, None
        # ∂l/∂w = loss(x − target); the mean has w in its divisor as well, from where −y comes
        return gx, -gx, g * (each - y if by_weight and reduction == "mean" else each)

    return y, vjp


def _sign(d: Array) -> Array:
    # 0 at NaN, as in PyTorch
    return (d > 0).astype(d.dtype) - (d < 0)


@differentiable(wide=True)
def mse_loss(x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """Squared error: l = w·(x − target)², element by element; y is Σ l / Σ w, Σ l, or l itself.

    w is the weight (1 without).

    Shapes: x, target and weight the same (PyTorch broadcasts x and target, with a warning); y () or, with "none",
    that of x. Dtypes: those of ``differentiable``; the arrays share one.
    reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gweight None without weight.
    Raises ValueError for shapes that differ or another reduction, TypeError for what is no floating-point
    array.
    Source: PyTorch ``torch.nn.functional.mse_loss``.

    >>> y, vjp = mse_loss(np.array([1.0, 4.0]), np.array([1.0, 2.0]))
    >>> y
    array(2.)
    >>> vjp(np.array(1.0))
    (array([0., 2.]), array([-0., -2.]), None)
    """
    # doubled last: 2·d may overflow where the gradient does not
    return _of_error("mse_loss", x, target, weight, reduction, lambda d: d * d, lambda d, g: d * (2 * g))


@differentiable(wide=True)
def l1_loss(x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """Absolute error: l = w·|x − target|, element by element; y is Σ l / Σ w, Σ l, or l itself.

    w is the weight (1 without).

    Shapes: x, target and weight the same (PyTorch broadcasts x and target, with a warning); y () or, with "none",
    that of x. Dtypes: those of ``differentiable``; the arrays share one.
    reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gweight None without weight. The slope is 0 where
    x = target and at NaN, as in PyTorch; JAX has NaN there.
    Raises ValueError for shapes that differ or another reduction, TypeError for what is no floating-point
    array.
    Source: PyTorch ``torch.nn.functional.l1_loss``.

    >>> y, vjp = l1_loss(np.array([1.0, 4.0]), np.array([1.0, 2.0]))
    >>> y, vjp(np.array(1.0))[0]
    (array(1.), array([0. , 0.5]))
    """
    return _of_error("l1_loss", x, target, weight, reduction, np.abs, lambda d, g: g * _sign(d))


@differentiable(wide=True)
def smooth_l1_loss(x: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> tuple[Array, Vjp]:
    """Smooth absolute error: l = d²/(2·beta) where |d| < beta, else |d| − beta/2, with d = x − target; y reduces l.

    Shapes: x and target the same (PyTorch broadcasts them, with a warning); y () or, with "none", that of x.
    Dtypes: those of ``differentiable``; both arrays share one.
    reduction: "mean", "sum" or "none". The mean of nothing is NaN. beta: where the square passes into a line, in units
    of x, at least 0; with 0 this is ``l1_loss``.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget)``.
    Raises ValueError for shapes that differ or hyper-parameters out of range, TypeError for wrong types.
    Source: Girshick, "Fast R-CNN", 2015; PyTorch ``torch.nn.functional.smooth_l1_loss``.

    >>> y, vjp = smooth_l1_loss(np.array([0.5, 4.0]), np.array([0.0, 2.0]), reduction="none")
    >>> y, vjp(np.ones(2))[0]
    (array([0.125, 1.5 ]), array([0.5, 1. ]))
    """
    b = x.dtype.type(hyperparameters.real("smooth_l1_loss", "beta", beta, least=0, most=math.inf))

    def loss(d: Array) -> Array:
        a = np.abs(d)
        losses: Array = np.where(a < b, a * (a / b) / 2, a - b / 2)
        return losses

    def back(d: Array, g: Array) -> Array:
        gx: Array = g * (np.clip(d / b, -1, 1) if b else _sign(d))
        return gx

    y, vjp = _of_error("smooth_l1_loss", x, target, None, reduction, loss, back)

    def of_both(gy: Array) -> tuple[Array | None, ...]:
        gx, gtarget, _ = vjp(gy)
        return gx, gtarget

    return y, of_both


@differentiable(wide=True)
def huber_loss(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean", delta: float = 1.0
) -> tuple[Array, Vjp]:
    """Huber loss: l = w·d²/2 where |d| ≤ delta, else w·delta·(|d| − delta/2), with d = x − target; y reduces l.

    w is the weight (1 without). The mean divides by the number of elements, not by Σ w as ``mse_loss`` does.

    Shapes: x, target and weight the same (PyTorch broadcasts x and target, with a warning); y () or, with "none",
    that of x. Dtypes: those of ``differentiable``; the arrays share one.
    reduction: "mean", "sum" or "none". The mean of nothing is NaN. delta: where the square passes into a line, in
    units of x, greater than 0.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gweight None without weight.
    Raises ValueError for shapes that differ or hyper-parameters out of range, TypeError for wrong types.
    Source: Huber, "Robust estimation of a location parameter", 1964; PyTorch ``torch.nn.functional.huber_loss``.

    >>> y, vjp = huber_loss(np.array([0.5, 4.0]), np.array([0.0, 0.0]), reduction="none", delta=2.0)
    >>> y, vjp(np.ones(2))[0]
    (array([0.125, 6.   ]), array([0.5, 2. ]))
    """
    op = "huber_loss"
    c = x.dtype.type(hyperparameters.positive(op, "delta", delta))

    def loss(d: Array) -> Array:
        a = np.abs(d)
        losses: Array = np.where(a <= c, a * a / 2, c * (a - c / 2))
        return losses

    def back(d: Array, g: Array) -> Array:
        gx: Array = g * np.clip(d, -c, c)
        return gx

    return _of_error(op, x, target, weight, reduction, loss, back, mean_of_weights=False)


# --- classes ------------------------------------------------------------------------------------------------


def class_weight(op: str, x: Array, weight: Array | None) -> tuple[int, Array]:
    """The axis of the classes, and the weight of each of them (1 without), to be broadcast."""
    if x.ndim == 0:
        raise ValueError(f"{op}: x must have shape (N, C, ...) or (C,); got {x.shape}")
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    if weight is None:
        weight = np.ones(classes, x.dtype)
    elif weight.shape != (classes,):
        raise ValueError(f"{op}: weight must have shape ({classes},), one for each class; got {weight.shape}")
    return axis, _along(axis, weight, x.ndim)


def _along(axis: int, values: Array, ndim: int) -> Array:
    along: Array = values.reshape(-1, *(1 for _ in range(ndim - axis - 1)))
    return along


def summed_over_rows(values: Array, axis: int) -> Array:
    """[n, c] -> [c], where c is the axis of the classes, and n stands for all others."""
    total: Array = values.sum(tuple(i for i in range(values.ndim) if i != axis))
    return total


def hits(op: str, x: Array, axis: int, target: Array, ignore_index: int) -> tuple[Array, Array]:
    """Which targets count, [n, 1], and which classes they are, [n, c]."""
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(f"{op}: target must have shape {expected}; got {target.shape}")
    classes = x.shape[axis]
    counts = target != ignore_index
    outside = counts & ((target < 0) | (target >= classes))
    if outside.any():
        raise ValueError(
            f"{op}: target must lie in [0, {classes}) or equal ignore_index {ignore_index}; "
            f"got {target[outside].flat[0]}"
        )
    counts, target = np.expand_dims(counts, axis), np.expand_dims(target, axis)
    return counts, counts & (target == _along(axis, np.arange(classes), x.ndim))


def _cross_entropy(
    op: str,
    x: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> tuple[Array, Vjp]:
    reduction = hyperparameters.reduction(op, reduction)
    smoothing = hyperparameters.real(op, "label_smoothing", label_smoothing, least=0, most=1)
    axis, w = class_weight(op, x, weight)
    classes = x.shape[axis]
    real = x.dtype.type
    hard, soft = real(1) - real(smoothing), real(smoothing) / real(classes)
    probable = is_floating(target.dtype)
    if probable:
        if target.shape != x.shape:
            raise ValueError(f"{op}: target must have shape {x.shape} if it is floating-point; got {target.shape}")
        probabilities = hard * target + soft if smoothing else target
        total: Array | int = x.size // classes if classes else 0
    else:
        counts, hit = hits(op, x, axis, target, ignore_index)
        total = np.where(hit, w, 0).sum()

    def weighed(values: Array) -> Array:
        # q·values [n, c], where a class that is no target stays out even if its value is infinite
        if probable:
            return probabilities * values
        q: Array = hard * np.where(hit, values, 0)
        return q + soft * np.where(counts, values, 0) if smoothing else q

    log_p = log_probabilities(x, (axis,))
    y, share = reduced(weighed(-w * log_p).sum(axis), reduction, total)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        s = np.expand_dims(share(gy), axis)
        # l[n] = −Σ q[n, c]·w[c]·log p[n, c]: ∂l/∂log p = −q·w, then back through log_softmax: g − p·Σ g, written
        # as g·(1 − p) − p·(Σ g − g) because for one class alone the second term vanishes
        g = weighed(-w * s)
        gx = -g * np.expm1(log_p) - np.exp(log_p) * (g.sum(axis, keepdims=True) - g)
        # ∂l/∂w = −q·log p, and ∂l/∂target = −(1 − ε)·w·log p
        gw = weighed(-log_p * s)
        gtarget = None
        if probable:
            # with ε = 1 the target has no part in l, though log p may be infinite
            gtarget = hard * (-w * log_p * s) if hard else np.zeros_like(x)
        else:
            # an ignored row has no part in l, whatever it holds
            gx = np.where(counts, gx, 0)
            if reduction == "mean":
                # the divisor is made of w as well
                gw = gw - np.where(hit, s * y, 0)
        return gx, gtarget, None if weight is None else summed_over_rows(gw, axis)

    return y, vjp


@differentiable(integer=("target",), floating=("target",), wide=True)
def cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, Vjp]:
    """Cross-entropy of the logits x against classes, given as indices or as probabilities.

    With p = softmax(x) over the classes, t the target, w the weight (1 without) and ε the label smoothing,
    l = −Σ over c of w[c]·q[c]·log p[c]. q is (1 − ε)·[c = t] + ε/C for an index t, (1 − ε)·t[c] + ε/C for
    probabilities; l = 0 where the index is ignored. y is l itself, its sum, or its mean: Σ l / Σ w[t] over the indices
    that are not ignored, Σ l / N over N rows of probabilities, as in PyTorch.

    Shapes: x (N, C, d₁, …) or (C,), target (N, d₁, …) or () if it holds indices, that of x if it holds
    probabilities, weight (C,), y () or, with "none", (N, d₁, …) or ().
    Dtypes: those of ``differentiable``, x, weight and a floating-point target sharing one; indices have any integer
    dtype (PyTorch: int64 and uint8).

    ignore_index: the index that does not count; it may lie outside of [0, C), every other may not. With
    probabilities it must be negative, and nothing is ignored.
    reduction: "mean", "sum" or "none". The mean over nothing (all ignored, or weighing 0) is NaN.
    label_smoothing: ε, in [0, 1]. PyTorch takes a negative one for 0; here it is refused.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gtarget None for indices, gweight None without
    weight. A row that is ignored has gradient 0 whatever it holds, where PyTorch makes 0·NaN of a NaN. PyTorch does not
    differentiate the weight if the target holds indices.
    Raises ValueError for shapes, targets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.cross_entropy``; label smoothing after Szegedy et al., "Rethinking
    the Inception architecture", 2016.

    >>> x = np.array([[0.0, 0.0], [5.0, 7.0]])
    >>> y, vjp = cross_entropy(x, np.array([1, -100]))
    >>> y
    array(0.69314718)
    >>> vjp(np.array(1.0))[0]
    array([[ 0.5, -0.5], [ 0. , 0. ]])
    >>> cross_entropy(x, np.array([[0.25, 0.75], [0.0, 0.0]]), reduction="sum")[0]
    array(0.69314718)
    """
    op = "cross_entropy"
    ignore_index = hyperparameters.integer(op, "ignore_index", ignore_index)
    if is_floating(target.dtype) and ignore_index >= 0:
        raise ValueError(f"{op}: ignore_index must be negative if target is floating-point; got {ignore_index}")
    return _cross_entropy(op, x, target, weight, ignore_index, reduction, label_smoothing)


def _reshaped(array: Array | None, shape: tuple[int, ...]) -> Array | None:
    return None if array is None else array.reshape(shape)


@differentiable(integer=("target",), floating=("target",), wide=2**16)
def linear_cross_entropy(
    x: Array,
    linear_weight: Array,
    target: Array,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Array, Vjp]:
    """Cross-entropy of logits that are linear in x: ``cross_entropy`` of x·linear_weightᵀ + linear_bias.

    Shapes: x (N, in) or (in,), linear_weight (C, d₁, …, in), linear_bias (C, d₁, …); there are axes d only if x has
    N. The logits (N, C, d₁, …) or (C,), target, weight and y fit as in ``cross_entropy``.
    Dtypes: those of ``differentiable``, all arrays but indices sharing one.

    ignore_index, reduction, label_smoothing: those of ``cross_entropy``; an ignore_index of None is −100, and no other
    one may be given with probabilities.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, glinear_weight, gtarget, glinear_bias, gweight)``, gtarget None for
    indices, the last two None without the array. PyTorch does not differentiate weight if the target holds indices.
    Raises ValueError for shapes, targets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.linear_cross_entropy``, whose options, how to cut the logits into chunks, are
    not taken.

    >>> x, w = np.array([[1.0, 2.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> linear_cross_entropy(x, w, np.array([1]))[0]
    array(0.69314718)
    """
    op = "linear_cross_entropy"
    if ignore_index is not None:
        ignore_index = hyperparameters.integer(op, "ignore_index", ignore_index)
        if is_floating(target.dtype):
            raise ValueError(f"{op}: ignore_index must be None if target is floating-point; got {ignore_index}")
    if x.ndim not in (1, 2):
        raise ValueError(f"{op}: x must have shape (N, in) or (in,); got {x.shape}")
    if linear_weight.ndim < 2 or linear_weight.shape[-1] != x.shape[-1]:
        expected = f"(C, ..., {x.shape[-1]})"
        raise ValueError(f"{op}: linear_weight must have shape {expected}; got {linear_weight.shape}")
    outputs = linear_weight.shape[:-1]
    if x.ndim == 1 and len(outputs) > 1:
        raise ValueError(f"{op}: x must have shape (N, in) to fit linear_weight {linear_weight.shape}; got {x.shape}")
    if linear_bias is not None and linear_bias.shape != outputs:
        raise ValueError(f"{op}: linear_bias must have shape {outputs}; got {linear_bias.shape}")

    flat = linear_weight.reshape(math.prod(outputs), x.shape[-1])
    z, z_vjp = linear(x, flat, _reshaped(linear_bias, (-1,)))
    logits = z.reshape(*x.shape[:-1], *outputs)
    index = -100 if ignore_index is None else ignore_index
    y, y_vjp = _cross_entropy(op, logits, target, weight, index, reduction, label_smoothing)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        glogits, gtarget, gweight = y_vjp(gy)
        gx, gflat, gbias = z_vjp(_reshaped(glogits, z.shape))
        return gx, _reshaped(gflat, linear_weight.shape), gtarget, _reshaped(gbias, outputs), gweight

    return y, vjp


# --- modules ------------------------------------------------------------------------------------------------


class WeightedLoss(Shell):
    """A loss with a fixed weight, or with none."""

    def __init__(self, weight: Array | None, **hyperparameters: object) -> None:
        super().__init__(**hyperparameters)
        self.weight = weight

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight, which is not learned."""
        return (self.weight,)


class MSELoss(Shell):
    """``mse_loss``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(mse_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class L1Loss(Shell):
    """``l1_loss``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(l1_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class SmoothL1Loss(Shell):
    """``smooth_l1_loss``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(smooth_l1_loss)

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction, beta=beta)


class HuberLoss(Shell):
    """``huber_loss``; called on x and target, and its vjp returns the gradients of both."""

    operation = staticmethod(huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)


class CrossEntropyLoss(WeightedLoss):
    """``cross_entropy`` with a fixed weight; called on x and target, and its vjp returns ``(gx, gtarget)``."""

    operation = staticmethod(cross_entropy)

    def __init__(
        self,
        weight: Array | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)


class LinearCrossEntropyLoss(WeightedLoss):
    """``linear_cross_entropy`` that owns its ``Linear`` layer, and a fixed weight.

    Called on x and target; its vjp returns ``(gx, gtarget)``. The layer's weight is
    (num_classes·Π out_features, in_features).
    out_features: the axes d of the logits. rng and dtype: those of ``Linear``.

    >>> layer = LinearCrossEntropyLoss(5, 10, out_features=(4, 3))
    >>> y, vjp = layer(np.ones((2, 5), np.float32), np.zeros((2, 4, 3), int))
    >>> gx, _ = vjp(np.ones_like(y))
    >>> layer.linear.weight.grad.shape
    (120, 5)
    """

    operation: Callable[..., tuple[Any, Any]] = staticmethod(linear_cross_entropy)

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
        reduction: str = "mean",
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing)
        name = type(self).__name__
        classes = hyperparameters.integer(name, "num_classes", num_classes, least=0)
        rest = hyperparameters.sizes(name, "out_features", out_features) if out_features != () else ()
        self.outputs = (classes, *rest)
        self.linear = Linear(in_features, math.prod(self.outputs), bias, rng=rng, dtype=dtype)

    def forward(self, *inputs: Array) -> tuple[Array, ModuleVjp]:
        """The operation on x, the layer's parameters in the shape of the logits, and target."""
        x, target = inputs
        weight, bias = self.linear.weight, self.linear.bias
        shaped = weight.data.reshape(*self.outputs, weight.data.shape[1])
        shaped_bias = None if bias is None else bias.data.reshape(self.outputs)
        y, vjp = type(self).operation(x, shaped, target, shaped_bias, self.weight, **self.hyperparameters)

        def back(gy: Array) -> tuple[Array | None, ...]:
            gx, gweight, gtarget, gbias, _ = vjp(gy)
            for parameter, gradient in ((weight, gweight), (bias, gbias)):
                if parameter is not None:
                    parameter.accumulate(gradient.reshape(parameter.data.shape))
            return gx, gtarget

        return y, back
