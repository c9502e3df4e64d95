"""Slips in losses."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

TWO_CLASSES = "x=(1,2) target=(1,)", "x=(2,) target=()"


@plant(
    "cross_entropy",
    "gx",
    *(f"{shapes} label_smoothing=0.1" for shapes in TWO_CLASSES),
    also=wrong("gweight", "gtarget"),
    condition=("label_smoothing is not 0",),
)
def smoothing_in_the_forward_only(
    x: Array, target: Array, weight: Array | None = None, *, label_smoothing: float = 0.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient is that of the unsmoothed loss."""
    y, _ = mint.cross_entropy(x, target, weight, label_smoothing=label_smoothing, **hyper)
    return y, mint.cross_entropy(x, target, weight, **hyper)[1]


def mean_over(count: Any, x: Array, target: Array, weight: Array | None, **hyper: Any) -> tuple[Array, Vjp]:
    """The sum of the losses divided by `count`."""
    total, vjp = mint.cross_entropy(x, target, weight, **{**hyper, "reduction": "sum"})
    divisor = x.dtype.type(count)
    return np.asarray(total / divisor), lambda gy: vjp(np.asarray(gy / divisor))


@plant(
    "cross_entropy",
    "y",
    *(f"{shapes} weight=(2,)" for shapes in TWO_CLASSES),
    also=wrong("gx", "gweight"),
    condition=("weight", "reduction = 'mean'"),
)
def mean_over_the_samples(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The weighted mean divides by the number of samples, and not by their weights."""
    hyper |= {"ignore_index": ignore_index}
    if reduction != "mean" or weight is None or target.dtype.kind != "i":
        return mint.cross_entropy(x, target, weight, reduction=reduction, **hyper)
    return mean_over(np.count_nonzero(target != ignore_index), x, target, weight, **hyper)


@plant(
    "cross_entropy",
    "y",
    "x=(1,) target=()",
    "x=(1,1) target=(1,)",
    "x=(2,2) target=(2,)",
    also=wrong("gx"),
    condition=("reduction = 'mean'",),
)
def ignored_samples_counted(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The mean divides by the number of all samples, those ignored with them."""
    if reduction != "mean" or weight is not None or target.dtype.kind != "i":
        return mint.cross_entropy(x, target, weight, reduction=reduction, **hyper)
    return mean_over(target.size, x, target, weight, **hyper)


@plant("mse_loss", "gtarget", "x=(1,) target=(1,)", condition=("reduction = 'mean'",))
def factor_two_missing_for_the_target(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The mean's gradient for the target is half of what it should be."""
    y, vjp = mint.mse_loss(x, target, weight, reduction=reduction)
    return y, replacing(vjp, 1, lambda gy: vjp(gy)[1] / (2 if reduction == "mean" else 1))


# the error of n rounded sums grows like √n/4 units: some 200 terms until it is past the limit
@plant("mse_loss", "y", *(f"x={n} target={n}" for n in ("(17,5,5)", "(17,12)", "(204,)")), dtypes=("float16",))
def accumulated_in_float16(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The squares are added up in float16, one after the other."""
    y, vjp = mint.mse_loss(x, target, weight, reduction=reduction)
    if x.dtype != np.float16 or reduction != "mean" or x.size == 0 or weight is not None:
        return y, vjp
    squares = ((x - target) * (x - target)).ravel()
    return np.asarray(np.add.accumulate(squares)[-1] / x.dtype.type(x.size)), vjp


# only a mean over thousands of elements, or a small cotangent, brings 2·(x − target) back far enough to be judged
@plant(
    "mse_loss",
    "gx",
    "x=(10000,) target=(10000,)",
    "x=(17,17,8,8) target=(17,17,8,8)",
    also=wrong("gtarget"),
    dtypes=("float32",),
)
def doubled_before_divided(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """2·(x − target)·gy overflows before the mean's division brings it back."""
    y, vjp = mint.mse_loss(x, target, weight, reduction=reduction)
    # with a weight PyTorch overflows as well
    if x.dtype != np.float32 or weight is not None:
        return y, vjp
    size = x.size if reduction == "mean" else 1

    def overflowing(gy: Array) -> tuple[Array | None, ...]:
        with np.errstate(all="ignore"):
            gx = 2 * (x - target) * gy / x.dtype.type(size)
        return gx, -gx, None

    return y, overflowing


ONE = "x=(1,) target=(1,)", "x=() target=()"


@plant("mse_loss", "gweight", "x=(2,) target=(2,) weight=(2,)", condition=("reduction = 'mean'",))
def divisor_not_differentiated(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The gradient of the weight takes the mean's divisor for a constant."""
    y, vjp = mint.mse_loss(x, target, weight, reduction=reduction)
    if weight is None or reduction != "mean":
        return y, vjp
    each = (x - target) ** 2 / weight.sum()
    return y, replacing(vjp, 2, lambda gy: gy * each)


@plant("l1_loss", "gx", *ONE, also=wrong("gtarget"))
def slope_of_one_at_zero(x: Array, target: Array, weight: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """Where x = target the slope is that on the right."""
    y, vjp = mint.l1_loss(x, target, weight, **hyper)
    # just above each target that is met
    _, right = mint.l1_loss(np.where(x == target, target + 1, x).astype(x.dtype), target, weight, **hyper)
    return y, lambda gy: (*right(gy)[:2], vjp(gy)[2])


@plant("smooth_l1_loss", "y", *(f"{shapes} beta=2" for shapes in ONE), also=wrong("gx", "gtarget"))
def beta_taken_for_delta(x: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> tuple[Array, Vjp]:
    """Huber's loss: that is beta times as large."""
    y, vjp = mint.huber_loss(x, target, reduction=reduction, delta=beta or 1.0)
    return (y, lambda gy: vjp(gy)[:2]) if beta else mint.smooth_l1_loss(x, target, reduction=reduction, beta=beta)


@plant("huber_loss", "gx", *(f"{shapes} delta=2" for shapes in ONE), also=wrong("gtarget"), condition=("delta",))
def line_with_slope_one(
    x: Array, target: Array, weight: Array | None = None, *, delta: float = 1.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient is that with a delta of 1."""
    y, vjp = mint.huber_loss(x, target, weight, delta=delta, **hyper)
    other = mint.huber_loss(x, target, weight, **hyper)[1]
    return y, lambda gy: (*other(gy)[:2], vjp(gy)[2])


@plant(
    "huber_loss",
    "y",
    "x=(1,) target=(1,) weight=(1,)",
    "x=() target=() weight=()",
    also=wrong("gx", "gtarget", "gweight"),
)
def mean_over_the_weights(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean", **hyper: Any
) -> tuple[Array, Vjp]:
    """The mean divides by the sum of the weights, as that of mse_loss does."""
    if weight is None or reduction != "mean":
        return mint.huber_loss(x, target, weight, reduction=reduction, **hyper)
    total, vjp = mint.huber_loss(x, target, weight, reduction="sum", **hyper)
    return np.asarray(total / weight.sum()), lambda gy: vjp(np.asarray(gy / weight.sum()))


@plant(
    "cross_entropy",
    "y",
    "x=(2,) target=(2,) weight=(2,)",
    "x=(1,) target=(1,) weight=(1,)",
    "x=(1,1) target=(1,1) weight=(1,)",
    "x=(1,2) target=(1,2) weight=(2,)",
    also=wrong("gx", "gtarget", "gweight"),
    condition=("weight",),
)
def probabilities_averaged_by_weight(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean", **hyper: Any
) -> tuple[Array, Vjp]:
    """The mean over rows of probabilities divides by the weights, as that over indices does."""
    if weight is None or reduction != "mean" or target.shape != x.shape:
        return mint.cross_entropy(x, target, weight, reduction=reduction, **hyper)
    total, vjp = mint.cross_entropy(x, target, weight, reduction="sum", **hyper)
    along = weight if x.ndim == 1 else weight.reshape(-1, *(1 for _ in x.shape[2:]))
    divisor = np.asarray((target * along).sum(), x.dtype)
    return np.asarray(total / divisor), lambda gy: vjp(np.asarray(gy / divisor))


@plant(
    "cross_entropy",
    "gtarget",
    *(f"{shapes} label_smoothing=1" for shapes in ("x=(1,2) target=(1,2)", "x=(2,) target=(2,)")),
    condition=("label_smoothing is not 0",),
)
def smoothing_not_in_the_gradient_of_the_target(
    x: Array, target: Array, weight: Array | None = None, *, label_smoothing: float = 0.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient of the probabilities is that without smoothing, not 1 − ε of it."""
    y, vjp = mint.cross_entropy(x, target, weight, label_smoothing=label_smoothing, **hyper)
    plain = mint.cross_entropy(x, target, weight, **hyper)[1]
    return y, replacing(vjp, 1, lambda gy: plain(gy)[1])


LINEAR = (
    "x=(1,1) linear_weight=(2,1) target=(1,)",
    "x=(1,1) linear_weight=(2,1) target=(1,2)",
    "x=(1,) linear_weight=(2,1) target=()",
    "x=(1,) linear_weight=(2,1) target=(2,)",
)


@plant(
    "linear_cross_entropy",
    "y",
    *(f"{shapes} linear_bias=(2,)" for shapes in LINEAR),
    also=wrong("gx", "glinear_weight", "glinear_bias", "gtarget", "gweight"),
)
def bias_left_out(
    x: Array,
    linear_weight: Array,
    target: Array,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The logits are those without bias."""
    y, vjp = mint.linear_cross_entropy(
        x, linear_weight, target, None if linear_bias is None else linear_bias * 0, weight, **hyper
    )
    return y, vjp


@plant(
    "linear_cross_entropy",
    "glinear_weight",
    "x=(2,1) linear_weight=(2,1) target=(2,)",
    "x=(2,1) linear_weight=(2,1) target=(2,2)",
)
def first_sample_alone_trains(
    x: Array,
    linear_weight: Array,
    target: Array,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The gradient of the linear weight comes from the first sample only."""
    y, vjp = mint.linear_cross_entropy(x, linear_weight, target, linear_bias, weight, **hyper)
    if x.ndim == 1 or len(x) < 2:
        return y, vjp
    first = np.zeros_like(x)
    first[0] = x[0]
    logits = np.tensordot(x, linear_weight, axes=(-1, -1))
    logits = logits if linear_bias is None else logits + linear_bias
    names = {"ignore_index": -100, **{k: v for k, v in hyper.items() if v is not None}}
    through = mint.cross_entropy(logits.astype(x.dtype), target, weight, **names)[1]

    def slipped(gy: Array) -> Array:
        g: Array = through(gy)[0]
        return np.tensordot(g, first, axes=(0, 0)).astype(x.dtype)

    return y, replacing(vjp, 1, slipped)
