"""Slips in linear layers and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, wrong


@plant("linear", "gx", "x=(1,) w=(1,1)", "x=(1,1) w=(1,1)", also=wrong("gw", "gb"))
def cotangent_ignored(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Vjp]:
    """The gradients are those of y.sum(): the cotangent is taken for all ones."""
    y, vjp = mint.linear(x, w, b)
    return y, lambda gy: vjp(np.ones_like(gy))


# where the gradient is 0 it adds up to the same bits, in the same memory
@plant(
    "linear",
    "gw",
    "x=(1,) w=(1,1)",
    "x=(1,1) w=(1,1)",
    verdict="nondeterministic",
    also=(("gw", "shares-memory"),),
)
def gradient_accumulated(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Vjp]:
    """The weight gradient adds up over the calls of the vjp, in the array that the first call returned."""
    y, vjp = mint.linear(x, w, b)
    total = np.zeros_like(w)

    def accumulating(gy: Array) -> tuple[Array | None, ...]:
        gx, gw, gb = vjp(gy)
        np.add(total, gw, out=total)
        return gx, total, gb

    return y, accumulating


# rounding some seventeen sums shows only now and then: a second row is a second try
@plant(
    "linear",
    "y",
    "x=(33,) w=(1,33)",
    "x=(2,33) w=(1,33)",
    "x=(1,33) w=(8,33)",
    "x=(3,33) w=(1,33)",
    dtypes=("float16",),
)
def accumulated_in_float16(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Vjp]:
    """The products are added up in float16, one after the other."""
    y, vjp = mint.linear(x, w, b)
    if x.dtype != np.float16:
        return y, vjp
    total = np.zeros_like(y)
    for column in range(w.shape[1]):
        total = total + x[..., column, None] * w[:, column]
    return total if b is None else total + b, vjp


@plant("grouped_mm", "gmat_b", "mat_a=(1,1) mat_b=(1,1,1) offs=(1,)")
def last_group_ends_with_the_axis(mat_a: Array, mat_b: Array, offs: Array | None = None) -> tuple[Array, Vjp]:
    """In the gradient the last group takes the rows beyond it as well."""
    y, vjp = mint.grouped_mm(mat_a, mat_b, offs)
    if offs is None or (mat_a.ndim, mat_b.ndim) != (2, 3):
        return y, vjp
    longer = np.array([*offs[:-1], len(mat_a)])
    _, slipped = mint.grouped_mm(mat_a, mat_b, longer)
    return y, lambda gy: (vjp(gy)[0], slipped(gy)[1], None)


@plant("bilinear", "gweight", "x1=(2,) x2=(2,) weight=(1,2,2)", "x1=(1,2) x2=(1,2) weight=(1,2,2)")
def inputs_exchanged_in_the_gradient(
    x1: Array, x2: Array, weight: Array, bias: Array | None = None
) -> tuple[Array, Vjp]:
    """The gradient of the weight has the axes of the inputs exchanged, which only shows where both are as long."""
    y, vjp = mint.bilinear(x1, x2, weight, bias)
    if weight.shape[1] != weight.shape[2]:
        return y, vjp

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx1, gx2, gw, gb = vjp(gy)
        return gx1, gx2, np.array(np.asarray(gw).swapaxes(1, 2), order="C"), gb

    return y, back


CLUSTER = "head_weight=(3,1) down0=(1,1) up0=(1,1) cutoffs=(2,)"


@plant(
    "adaptive_log_softmax",
    "ghead_weight",
    f"x=(1,1) {CLUSTER}",
    "x=(1,3) head_weight=(3,3) down0=(1,3) up0=(1,1) cutoffs=(2,)",
    also=wrong("gx", "ghead_bias"),
)
def cluster_is_certain(
    x: Array, head_weight: Array, head_bias: Array | None = None, *tail: Array, cutoffs: tuple[int, ...]
) -> tuple[Array, Vjp]:
    """The gradient of a class in a cluster does not reach the probability of the cluster."""
    y, vjp = mint.adaptive_log_softmax(x, head_weight, head_bias, *tail, cutoffs=cutoffs)

    def back(gy: Array) -> tuple[Array | None, ...]:
        frequent = gy.copy()
        frequent[:, cutoffs[0] :] = 0
        gx, _, _, *gtail = vjp(gy)
        _, ghead, gbias, *_ = vjp(frequent)
        return gx, ghead, gbias, *gtail

    return y, back


@plant(
    "adaptive_log_softmax_with_loss",
    "gx",
    f"x=(2,1) target=(2,) {CLUSTER}",
    "x=(2,2) target=(2,) head_weight=(2,2) down0=(1,2) up0=(1,1) cutoffs=(1,)",
    also=wrong("ghead_weight", "ghead_bias", "gdown0", "gup0", "gdown1", "gup1", "gdown2", "gup2"),
)
def loss_hands_back_a_sum(x: Array, target: Array, *weights: Any, cutoffs: tuple[int, ...]) -> tuple[Any, Vjp]:
    """The gradient of the loss is that of a sum over the samples, and not of their mean."""
    result, vjp = mint.adaptive_log_softmax_with_loss(x, target, *weights, cutoffs=cutoffs)
    count = x.dtype.type(target.size)
    return result, lambda gy, gloss: vjp(gy, np.asarray(gloss * count, gloss.dtype))  # type: ignore[misc]
