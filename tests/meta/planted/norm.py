"""Slips in normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, wrong

PAIR = "x=(2,1) training=True"


@plant("batch_norm", "new_var", f"{PAIR} running_mean=(1,) running_var=(1,) momentum=1.0")
def variance_stays_biased(
    x: Array, running_mean: Array | None = None, running_var: Array | None = None, *parameters: Any, **hyper: Any
) -> tuple[Any, Vjp]:
    """The running variance gets Σd²/n, and not Σd²/(n − 1)."""
    result, vjp = mint.batch_norm(x, running_mean, running_var, *parameters, **hyper)
    if running_var is None or not hyper.get("training") or not x.size:
        return result, vjp
    y, mean, var = result
    count = x.dtype.type(x.size // x.shape[1])
    m = x.dtype.type(hyper.get("momentum", 0.1))
    kept = (1 - m) * running_var
    return (y, mean, kept + (var - kept) * (count - 1) / count), vjp


@plant(
    "batch_norm",
    "new_mean",
    f"{PAIR} running_mean=(1,) running_var=(1,) momentum=1.0",
    also=wrong("new_var"),
)
def momentum_the_other_way_round(
    x: Array, running_mean: Array | None = None, running_var: Array | None = None, *parameters: Any, **hyper: Any
) -> tuple[Any, Vjp]:
    """The momentum is the part of the old, as in Keras, and not of the new."""
    hyper["momentum"] = 1 - hyper.get("momentum", 0.1)
    return mint.batch_norm(x, running_mean, running_var, *parameters, **hyper)


@plant("batch_norm", "gx", "x=(1,1) running_mean=(1,) running_var=(1,)")
def statistics_of_x_in_evaluation(x: Array, *arrays: Any, **hyper: Any) -> tuple[Any, Vjp]:
    """The gradient in evaluation takes the statistics for those of x."""
    result, vjp = mint.batch_norm(x, *arrays, **hyper)
    if hyper.get("training"):
        return result, vjp

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx, *others = vjp(gy)
        assert gx is not None
        axes = (0, *range(2, x.ndim))
        return gx - gx.sum(axes, keepdims=True) / max(x.size // x.shape[1], 1), *others

    return result, back


@plant("layer_norm", "y", "x=(3,3) normalized_shape=3", also=wrong("gx", "gweight"), dtypes=("float32",))
def variance_by_difference_of_squares(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
) -> tuple[Array, Vjp]:
    """The variance is mean(x²) − mean(x)²: a mean that is larger than the spread takes its digits."""
    _, vjp = mint.layer_norm(x, weight, bias, normalized_shape=normalized_shape, eps=eps)
    axes = tuple(range(-len(normalized_shape), 0))
    if not x.size:
        return x.copy(), vjp
    with np.errstate(all="ignore"):
        mean = x.mean(axes, keepdims=True)
        variance = (x * x).mean(axes, keepdims=True) - mean * mean
        # not the overflow of the squares, which would be found first
        fine = np.isfinite(variance) | ~np.isfinite(x).all(axes, keepdims=True)
        y = (x - mean) / np.sqrt(np.where(fine, variance, 1) + x.dtype.type(eps))
        y = y if weight is None else y * weight
        y = y if bias is None else y + bias
    return np.where(fine, y, mint.layer_norm(x, weight, bias, normalized_shape=normalized_shape, eps=eps)[0]), vjp


@plant("group_norm", "gx", "x=(1,2) num_groups=1")
def mean_of_the_gradient_missing(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, num_groups: int, eps: float = 1e-5
) -> tuple[Array, Vjp]:
    """The mean is taken for a constant."""
    y, vjp = mint.group_norm(x, weight, bias, num_groups=num_groups, eps=eps)

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx, *others = vjp(gy)
        grouped = (x.shape[0], num_groups, -1)
        h = gy if weight is None else gy * weight.reshape(1, -1, *(1 for _ in x.shape[2:]))
        if not x.size:
            return gx, *others
        h, parts = h.reshape(grouped), x.reshape(grouped)
        lost = h.mean(-1, keepdims=True) / np.sqrt(parts.var(-1, keepdims=True) + x.dtype.type(eps))
        assert gx is not None
        return (gx.reshape(grouped) + lost).reshape(x.shape).astype(x.dtype), *others

    return y, back


@plant(
    "instance_norm",
    "gx",
    "x=(1,1,2) weight=(1,)",
    "x=(1,1) running_mean=(1,) running_var=(1,) weight=(1,) use_input_stats=False",
)
def weight_missing_in_the_gradient(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    **hyper: Any,
) -> tuple[Any, Vjp]:
    """The cotangent goes through the normalisation without having been multiplied with the weight."""
    result, vjp = mint.instance_norm(x, running_mean, running_var, weight, bias, **hyper)
    bare = mint.instance_norm(x, running_mean, running_var, **hyper)[1]
    return result, lambda gy: (bare(gy)[0], *vjp(gy)[1:])


@plant("rms_norm", "y", "x=(3,3) normalized_shape=3", also=(*wrong("gx", "gweight"), (None, "accepts-invalid")))
@differentiable(wide=True)
def eps_outside_of_the_root(
    x: Array, weight: Array | None = None, *, normalized_shape: tuple[int, ...], eps: float | None = None
) -> tuple[Array, Vjp]:
    """What is added to the root ought to be added to the square."""
    e = np.sqrt(x.dtype.type(eps or np.finfo(np.float32).eps))
    axes = tuple(range(-len(normalized_shape), 0))
    count = max(int(np.prod(normalized_shape)), 1)
    root = np.sqrt((x * x).sum(axes, keepdims=True) / count)
    hat = x / (root + e)
    w = np.ones(normalized_shape, x.dtype) if weight is None else weight

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        h = gy * w
        along = (h * hat).sum(axes, keepdims=True) / count
        gx = (h - np.where(root == 0, 0, x / root) * along) / (root + e)
        leading = tuple(range(x.ndim - w.ndim))
        return gx, None if weight is None else (gy * hat).sum(leading)

    return hat * w, vjp


@plant("local_response_norm", "y", "x=(1,2,1) size=2 alpha=1.0", also=wrong("gx"))
def even_window_on_the_other_side(x: Array, *, size: int, **hyper: Any) -> tuple[Array, Vjp]:
    """The longer half of an even window lies after the channel, and not before."""
    y, vjp = mint.local_response_norm(x[:, ::-1], size=size, **hyper)
    return np.array(y[:, ::-1], order="C"), lambda gy: (np.array(np.asarray(vjp(gy[:, ::-1])[0])[:, ::-1], order="C"),)
