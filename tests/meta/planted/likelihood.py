"""Slips in losses that are negative logarithms of a likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

ONE = "x=(1,) target=(1,)", "x=() target=()"
ONE_CLASS = "x=(1,) target=()", "x=(1,1) target=(1,)"


# the mean over targets of one class does not depend on its weight
@plant(
    "nll_loss",
    "gx",
    *(f"{shapes} weight=(1,) reduction=sum" for shapes in ONE_CLASS),
    "x=(2,2) target=(2,) weight=(2,)",
    "x=(1,2,2) target=(1,2) weight=(2,)",
    condition=("weight",),
)
def weight_not_in_the_gradient(x: Array, target: Array, weight: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of x is that without weight."""
    y, vjp = mint.nll_loss(x, target, weight, **hyper)
    plain = mint.nll_loss(x, target, **hyper)[1]
    return y, replacing(vjp, 0, lambda gy: plain(gy)[0])


@plant(
    "nll_loss",
    "y",
    "x=(1,1,2) target=(1,2)",
    "x=(2,1,1) target=(2,1)",
    "x=(2,1) target=(2,)",
    also=wrong("gx", "gweight"),
    condition=("reduction = 'mean'",),
)
def mean_over_the_batch(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean", **hyper: Any
) -> tuple[Array, Vjp]:
    """The mean divides by N, whatever is ignored and weighs, and however many elements a sample has."""
    if reduction != "mean" or x.ndim == 1 or len(x) == 0:
        return mint.nll_loss(x, target, weight, reduction=reduction, **hyper)
    total, vjp = mint.nll_loss(x, target, weight, reduction="sum", **hyper)
    count = x.dtype.type(len(x))
    return np.asarray(total / count), lambda gy: vjp(np.asarray(gy / count))


@plant(
    "binary_cross_entropy",
    "y",
    "x=(1,) target=(1,) weight=(1,)",
    "x=() target=() weight=()",
    also=wrong("gx", "gtarget", "gweight"),
    condition=("reduction = 'mean'",),
)
def mean_over_the_weights(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The mean divides by the sum of the weights, and not by the number of elements."""
    if weight is None or reduction != "mean":
        return mint.binary_cross_entropy(x, target, weight, reduction=reduction)
    total, vjp = mint.binary_cross_entropy(x, target, weight, reduction="sum")
    divisor = np.broadcast_to(weight, x.shape).sum(dtype=x.dtype)
    return np.asarray(total / divisor), lambda gy: vjp(np.asarray(gy / divisor))


@plant(
    "binary_cross_entropy",
    "gweight",
    "x=(2,) target=(2,) weight=(1,)",
    "x=(2,) target=(2,) weight=()",
)
def broadcast_weight_gets_the_mean(
    x: Array, target: Array, weight: Array | None = None, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient of a weight that was stretched is the mean of what it should sum."""
    y, vjp = mint.binary_cross_entropy(x, target, weight, **hyper)
    if weight is None or weight.size == 0:
        return y, vjp
    return y, replacing(vjp, 2, lambda gy: vjp(gy)[2] / x.dtype.type(max(x.size, 1) / weight.size))


BITS = "x=(1,) target=(1,) pos_weight=(1,)", "x=() target=() pos_weight=()"


@plant("binary_cross_entropy_with_logits", "gx", *BITS, also=wrong("gtarget"), condition=("pos_weight",))
def pos_weight_in_the_forward_only(
    x: Array, target: Array, weight: Array | None = None, pos_weight: Array | None = None, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradients of x and target are those without pos_weight."""
    y, vjp = mint.binary_cross_entropy_with_logits(x, target, weight, pos_weight, **hyper)
    plain = mint.binary_cross_entropy_with_logits(x, target, weight, **hyper)[1]
    return y, lambda gy: (*plain(gy)[:2], *vjp(gy)[2:])


@plant("binary_cross_entropy_with_logits", "y", *ONE, also=wrong("gx", "gweight", "gpos_weight", "gtarget"))
@differentiable
def exponential_overflows(
    x: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """log(1 + e^x) is formed as it stands."""
    y, vjp = mint.binary_cross_entropy_with_logits(x, target, weight, pos_weight, reduction=reduction)
    lost = np.isinf(np.exp(x))
    return np.where(lost if reduction == "none" else lost.any(), np.inf, y), vjp


@plant(
    "kl_div",
    "y",
    "x=(2,) target=(2,) reduction=batchmean",
    "x=(1,2) target=(1,2) reduction=batchmean",
    "x=(2,1) target=(2,1) reduction=batchmean",
    "x=(2,) target=(1,) reduction=batchmean",
    "x=(1,) target=(2,) reduction=batchmean",
    "x=() target=(2,) reduction=batchmean",
    "x=(2,) target=() reduction=batchmean",
    "x=(1,) target=(1,2) reduction=batchmean",
    also=wrong("gx", "gtarget"),
    condition=("reduction = 'batchmean'",),
)
def batchmean_is_the_mean(x: Array, target: Array, *, reduction: str = "mean", **hyper: Any) -> tuple[Array, Vjp]:
    """ "batchmean" divides by the number of elements."""
    return mint.kl_div(x, target, reduction=reduction.removeprefix("batch"), **hyper)


@plant("kl_div", "gtarget", *(f"{shapes} log_target=True" for shapes in ONE), condition=("log_target",))
def exponential_not_in_the_gradient(
    x: Array, target: Array, *, log_target: bool = False, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient of a log-target lacks the factor exp(target)."""
    y, vjp = mint.kl_div(x, target, log_target=log_target, **hyper)
    if not log_target:
        return y, vjp
    return y, replacing(vjp, 1, lambda gy: vjp(gy)[1] / np.exp(target))


@plant("poisson_nll_loss", "y", *(f"{shapes} full=True" for shapes in ONE), also=wrong("gtarget"), condition=("full",))
def stirling_for_every_count(x: Array, target: Array, *, full: bool = False, **hyper: Any) -> tuple[Array, Vjp]:
    """Stirling's approximation is added for counts of at most 1 as well."""
    y, vjp = mint.poisson_nll_loss(x, target, full=full, **hyper)
    if not full or y.size == 0:
        return y, vjp
    small = np.broadcast_to((target > 0) & (target <= 1), np.broadcast_shapes(x.shape, target.shape))
    t = np.where(small, target, 1)
    more = np.where(small, t * np.log(t) - t + np.log(2 * np.pi * t) / 2, 0)
    reduction = hyper.get("reduction", "mean")
    more = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](more)
    return np.asarray(y + more, y.dtype), vjp


@plant(
    "poisson_nll_loss",
    "gx",
    *(f"{shapes} log_input=False eps=0.1" for shapes in ONE),
    also=wrong("gtarget", "y"),
    condition=("log_input",),
)
def eps_left_out(x: Array, target: Array, *, eps: float = 1e-8, **hyper: Any) -> tuple[Array, Vjp]:
    """Nothing is added to the rate."""
    return mint.poisson_nll_loss(x, target, eps=eps * 0.0, **hyper)


VARIANCE = "x=(1,) target=(1,) var=(1,)", "x=() target=() var=()", "x=(1,) target=(1,) var=()"


@plant("gaussian_nll_loss", "gvar", *(f"{shapes} eps=0.5" for shapes in VARIANCE), condition=("eps",))
def clamp_differentiated(x: Array, target: Array, var: Array, *, eps: float = 1e-6, **hyper: Any) -> tuple[Array, Vjp]:
    """A variance below eps has no gradient."""
    y, vjp = mint.gaussian_nll_loss(x, target, var, eps=eps, **hyper)
    return y, replacing(vjp, 2, lambda gy: np.where(var < eps, 0, vjp(gy)[2]).astype(x.dtype))


@plant(
    "gaussian_nll_loss",
    "gvar",
    "x=(2,) target=(2,) var=(1,)",
    "x=(2,) target=(2,) var=()",
    "x=(1,2) target=(1,2) var=(1,)",
)
def variance_of_the_row_gets_one_element(x: Array, target: Array, var: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of a variance that several elements share is the mean of what it should sum."""
    y, vjp = mint.gaussian_nll_loss(x, target, var, **hyper)
    if var.size == 0:
        return y, vjp
    return y, replacing(vjp, 2, lambda gy: vjp(gy)[2] / x.dtype.type(max(x.size, 1) / var.size))
