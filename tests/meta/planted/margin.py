"""Slips in losses with a margin."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

CLASSES = "x=(2,) target=()", "x=(1,2) target=(1,)"
TRIPLETS = "anchor=(1,) positive=(1,) negative=(1,)", "anchor=(1,1) positive=(1,1) negative=(1,1)"


@plant("hinge_embedding_loss", "y", "x=() target=() margin=2.0", "x=(1,) target=(1,) margin=2.0", also=wrong("gx"))
def margin_is_always_one(x: Array, target: Array, *, margin: float = 1.0, **hyper: Any) -> tuple[Array, Vjp]:
    """The margin is not passed on."""
    del margin
    return mint.hinge_embedding_loss(x, target, **hyper)


@plant("margin_ranking_loss", "gx2", "x1=() x2=() target=()", "x1=(1,) x2=(1,) target=(1,)")
def both_gradients_alike(x1: Array, x2: Array, target: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of x2 has the sign of that of x1."""
    y, vjp = mint.margin_ranking_loss(x1, x2, target, **hyper)
    return y, replacing(vjp, 1, lambda gy: -vjp(gy)[1])


@plant("multi_margin_loss", "gx", *(f"{shapes} p=2" for shapes in CLASSES), condition=("p > 1",))
def factor_two_missing(
    x: Array, target: Array, weight: Array | None = None, *, p: int = 1, **hyper: Any
) -> tuple[Array, Vjp]:
    """The slope of a square is taken for z, and not 2·z."""
    y, vjp = mint.multi_margin_loss(x, target, weight, p=p, **hyper)
    return y, replacing(vjp, 0, lambda gy: vjp(gy)[0] / p)


@plant("multi_margin_loss", "y", "x=(1,) target=()", "x=(1,1) target=(1,)", also=wrong("gweight"))
@differentiable(integer=("target",))
def target_counted_against_itself(
    x: Array, target: Array, weight: Array | None = None, *, p: int = 1, margin: float = 1.0, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """The sum holds the target's own max(0, margin)^p."""
    arrays = x, target, weight
    y, vjp = mint.multi_margin_loss(*arrays, p=p, margin=margin, reduction=reduction)
    own = max(margin, 0) ** p / x.shape[-1] * (np.ones(target.shape) if weight is None else weight[target])
    return y + {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](own), vjp


@plant("multilabel_margin_loss", "y", "x=(2,) target=(2,)", "x=(1,2) target=(1,2)", also=wrong("gx"))
def targets_behind_the_end_counted(x: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """−1 is skipped and not taken for the end."""
    order = np.argsort(target == -1, axis=-1, kind="stable")
    return mint.multilabel_margin_loss(x, np.take_along_axis(target, order, -1), reduction=reduction)


@plant("triplet_margin_loss", "gnegative", *(f"{shapes} swap=True" for shapes in TRIPLETS), condition=("swap",))
def swapped_distance_not_differentiated(
    anchor: Array, positive: Array, negative: Array, *, swap: bool = False, **hyper: Any
) -> tuple[Array, Vjp]:
    """The negative sample receives the gradient of its distance from the anchor, which was swapped out."""
    y, vjp = mint.triplet_margin_loss(anchor, positive, negative, swap=swap, **hyper)
    _, unswapped = mint.triplet_margin_loss(anchor, positive, negative, **hyper)
    return y, replacing(vjp, 2, lambda gy: unswapped(gy)[2]) if swap else vjp


@plant("soft_margin_loss", "gx", "x=() target=()", "x=(1,) target=(1,)")
def sign_of_the_target_missing(x: Array, target: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The slope is −σ(−target·x), without the target as a factor."""
    y, vjp = mint.soft_margin_loss(x, target, **hyper)
    return y, replacing(vjp, 0, lambda gy: vjp(gy)[0] * target.astype(x.dtype))


@plant(
    "triplet_margin_with_distance_loss",
    "gpositive",
    *(f"{shapes} swap=True" for shapes in TRIPLETS),
    condition=("swap",),
)
def swapped_distance_moves_one_end_only(
    anchor: Array, positive: Array, negative: Array, *, swap: bool = False, **hyper: Any
) -> tuple[Array, Vjp]:
    """The positive sample receives nothing of the distance that was swapped in."""
    y, vjp = mint.triplet_margin_with_distance_loss(anchor, positive, negative, swap=swap, **hyper)
    _, unswapped = mint.triplet_margin_with_distance_loss(anchor, positive, negative, **hyper)
    return y, replacing(vjp, 1, lambda gy: unswapped(gy)[1]) if swap else vjp


@plant(
    "cosine_embedding_loss",
    "gx1",
    "x1=(2,) x2=(2,) target=() margin=0.359",
    "x1=(1,2) x2=(1,2) target=(1,) margin=0.359",
    also=wrong("gx2"),
    condition=("margin",),
)
def margin_in_the_forward_only(
    x1: Array, x2: Array, target: Array, *, margin: float = 0.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """The slope asks whether the cosine is positive, and not whether it is above the margin."""
    y, _ = mint.cosine_embedding_loss(x1, x2, target, margin=margin, **hyper)
    return y, mint.cosine_embedding_loss(x1, x2, target, **hyper)[1]


@plant("multilabel_soft_margin_loss", "gx", "x=(1,) target=(1,) weight=(1,)", condition=("weight",))
def weight_in_the_forward_only(x: Array, target: Array, weight: Array | None = None, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of x is not weighted."""
    y, vjp = mint.multilabel_soft_margin_loss(x, target, weight, **hyper)
    _, unweighted = mint.multilabel_soft_margin_loss(x, target, **hyper)
    return y, replacing(vjp, 0, lambda gy: unweighted(gy)[0])
