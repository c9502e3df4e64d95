"""Losses with a margin, on scores, embeddings and distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mint import hyperparameters
from mint.activation import _sigmoid
from mint.broadcast import common_shape, summed_to
from mint.differentiable import Array, Vjp, differentiable, is_floating
from mint.distance import check_not_empty, distance_of_pairs, scaled_length, similarity
from mint.loss import WeightedLoss, reduced
from mint.module import Shell

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

Distance = Callable[[Array, Array], tuple[Array, Callable[[Array], Any]]]
"""A distance in Mint's protocol, ``y, vjp = distance(a, b)``."""

# PyTorch adds it to the squared lengths in cosine_embedding_loss
SQUARED_FLOOR = 1e-12


def _of_target(target: Array, gradient: Callable[[], Array]) -> Array | None:
    """The gradient of a target that is made of numbers; one of integers has none."""
    return summed_to(gradient(), target.shape) if is_floating(target.dtype) else None


@differentiable(integer=("target",), floating=("target",), wide=True)
def hinge_embedding_loss(x: Array, target: Array, *, margin: float = 1.0, reduction: str = "mean") -> tuple[Array, Vjp]:
    """Hinge loss of a distance: l = x where target is 1, max(0, margin − x) where it is −1; y reduces l.

    A target other than ±1 gets both terms added up, as in PyTorch.

    Shapes: x and target broadcast to the shape of l; y () or, with "none", that of l. Dtypes: those of
    ``differentiable``; target that of x or any integer dtype.
    margin: the distance that dissimilar samples should have. reduction: "mean", "sum" or "none". The mean of
    nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``. Where x = margin the slope is −1, as in PyTorch, and 0
    where NaN meets the margin.
    Raises ValueError for shapes that do not broadcast or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.hinge_embedding_loss``.

    >>> hinge_embedding_loss(np.array([0.5, 0.25]), np.array([1, -1]), reduction="none")[0]
    array([0.5 , 0.75])
    """
    op = "hinge_embedding_loss"
    margin = hyperparameters.real(op, "margin", margin)
    reduction = hyperparameters.reduction(op, reduction)
    common_shape(op, x=x, target=target)
    rest = margin - x
    y, share = reduced(
        np.where(target != 1, np.maximum(rest, 0), 0) + np.where(target != -1, x, 0),
        reduction,
    )

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = [target ≠ −1] − [target ≠ 1 and margin − x ≥ 0]
        slope = (target != -1).astype(x.dtype) - ((target != 1) & (rest >= 0))
        return summed_to(share(gy) * slope, x.shape), None

    return y, vjp


@differentiable(integer=("target",), floating=("target",), wide=True)
def margin_ranking_loss(
    x1: Array, x2: Array, target: Array, *, margin: float = 0.0, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Ranking loss: l = max(0, margin − target·(x1 − x2)), element by element; y reduces l.

    A target of 1 wants x1 above x2, one of −1 below it.

    Shapes: x1, x2 and target have as many axes and broadcast to the shape of l; y () or, with "none", that of
    l. Dtypes: those of ``differentiable``, x1 and x2 sharing one; target has that as well, or any integer dtype.
    margin: by how much. reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2, gtarget)``, gtarget None for a target of integers. Where the margin
    is met exactly the slope is that of the violation, as in PyTorch, and 0 at NaN.
    Raises ValueError for shapes that do not fit or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.margin_ranking_loss``.

    >>> margin_ranking_loss(np.array([3.0, 3.0]), np.array([1.0, 1.0]), np.array([1, -1]), reduction="none")[0]
    array([0., 2.])
    """
    op = "margin_ranking_loss"
    margin = hyperparameters.real(op, "margin", margin)
    reduction = hyperparameters.reduction(op, reduction)
    if not x1.ndim == x2.ndim == target.ndim:
        found = f"{x1.shape}, {x2.shape} and {target.shape}"
        raise ValueError(f"{op}: x1, x2 and target must have as many axes; got {found}")
    common_shape(op, x1=x1, x2=x2, target=target)
    sign = target.astype(x1.dtype)
    z = margin - sign * (x1 - x2)
    y, share = reduced(np.maximum(z, 0), reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # where z ≥ 0, ∂l/∂x1 = −target, ∂l/∂x2 its negative, ∂l/∂target = −(x1 − x2); else 0
        g = np.where(z >= 0, -share(gy), 0)
        gx = g * sign
        of_target = _of_target(target, lambda: np.where(g == 0, 0, g * (x1 - x2)))
        return summed_to(gx, x1.shape), summed_to(-gx, x2.shape), of_target

    return y, vjp


def _triplet(
    op: str,
    arrays: tuple[Array, Array, Array],
    distance: Distance,
    margin: float,
    swap: bool,
    reduction: str,
) -> tuple[Array, Vjp]:
    anchor, positive, negative = arrays
    if not anchor.ndim == positive.ndim == negative.ndim:
        found = f"{anchor.shape}, {positive.shape} and {negative.shape}"
        raise ValueError(f"{op}: anchor, positive and negative must have as many axes; got {found}")
    common_shape(op, anchor=anchor, positive=positive, negative=negative)
    near, near_vjp = distance(anchor, positive)
    far, far_vjp = distance(anchor, negative)
    smaller, far_share = far, np.ones_like(far)
    if swap:
        other, other_vjp = distance(positive, negative)
        smaller = np.minimum(far, other)
        # the larger one has no slope; two that are tied share it evenly
        far_share = np.where(far < other, 1, np.where(far > other, 0, 0.5)).astype(far.dtype)
    z = margin + near - smaller
    y, share = reduced(np.maximum(z, 0), reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # l = max(0, z), z = margin + d(a, p) − min(d(a, n), d(p, n)): where z ≥ 0 the cotangent goes to d(a, p),
        # its negative to the smaller of the others
        g = np.where(z >= 0, share(gy), 0)
        g_anchor, g_positive = near_vjp(summed_to(g, near.shape))
        more, g_negative = far_vjp(summed_to(-g * far_share, far.shape))
        if swap:
            more_positive, more_negative = other_vjp(summed_to(-g * (1 - far_share), other.shape))
            g_positive, g_negative = g_positive + more_positive, g_negative + more_negative
        return g_anchor + more, g_positive, g_negative

    return y, vjp


@differentiable(wide=True)
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """Triplet loss: l = max(0, margin + d(anchor, positive) − d(anchor, negative)), d the ``pairwise_distance``.

    With swap, d(anchor, negative) is replaced by d(positive, negative) where that is smaller. y reduces l.

    Shapes: the three have as many axes and broadcast to one shape (…, D); l has (…), y () or, with "none", that
    of l. Dtypes: those of ``differentiable``; the arrays share one.
    margin: greater than 0. p and eps: those of ``pairwise_distance``. reduction: "mean", "sum" or "none". The
    mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(ganchor, gpositive, gnegative)``. Where the margin is met exactly the
    slope is that of the violation, two negatives equally far share the slope, and a distance of 0 has slope 0,
    as in PyTorch.
    Raises ValueError for shapes or hyper-parameters that do not fit, TypeError for wrong types.
    Source: Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural
    networks", 2016; PyTorch ``torch.nn.functional.triplet_margin_loss``.

    >>> a, n = np.array([[0.0, 0.0]]), np.array([[0.0, 3.0]])
    >>> triplet_margin_loss(a, np.array([[2.5, 0.0]]), n, eps=0)[0]
    array(0.5)
    """
    op = "triplet_margin_loss"
    p = hyperparameters.real(op, "p", p, least=-math.inf, most=math.inf)
    eps = hyperparameters.real(op, "eps", eps)

    def distance(a: Array, b: Array) -> tuple[Array, Callable[[Array], Any]]:
        check_not_empty(op, np.broadcast_shapes(a.shape, b.shape), p)
        return _without_axis(*distance_of_pairs(a, b, p, eps))

    return _triplet(
        op,
        (anchor, positive, negative),
        distance,
        hyperparameters.positive(op, "margin", margin),
        hyperparameters.flag(op, "swap", swap),
        hyperparameters.reduction(op, reduction),
    )


def _without_axis(kept: Array, vjp: Callable[[Array], Any]) -> tuple[Array, Callable[[Array], Any]]:
    return kept[..., 0], lambda gy: vjp(gy[..., None])


def _euclidean(a: Array, b: Array) -> tuple[Array, Callable[[Array], Any]]:
    return _without_axis(*distance_of_pairs(a, b, 2, 1e-6))


def _cosine(a: Array, b: Array) -> tuple[Array, Callable[[Array], Any]]:
    y, vjp = _without_axis(*similarity(a, b, -1, 1e-8))
    return 1 - y, lambda gy: vjp(-gy)


def _distance(op: str, distance: object) -> Distance:
    if distance is None or callable(distance):
        return distance or _euclidean
    if isinstance(distance, str) and distance == "cosine":
        return _cosine
    error = ValueError if isinstance(distance, str) else TypeError
    raise error(f"{op}: distance_function must be a function, 'cosine' or None; got {distance!r}")


@differentiable(wide=True)
def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Distance | str | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """Triplet loss with any distance d: l = max(0, margin + d(anchor, positive) − d(anchor, negative)).

    With swap, d(anchor, negative) is replaced by d(positive, negative) where that is smaller. y reduces l.

    Shapes: the three have as many axes and broadcast to one shape (…, D); l has that of d, for the named distances
    (…), y () or, with "none", that of l. Dtypes: those of ``differentiable``; the arrays share one.
    distance_function: None, ``pairwise_distance`` with its defaults; "cosine", 1 − ``cosine_similarity`` over the
    last axis; or a function that follows Mint's protocol, ``y, vjp = distance_function(a, b)`` with
    ``ga, gb = vjp(gy)``. It is called on float64 arrays for float32 and half-precision ones.
    margin: greater than 0. reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(ganchor, gpositive, gnegative)``, with the conventions of
    ``triplet_margin_loss``.
    Raises ValueError for shapes or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.triplet_margin_with_distance_loss``, where the function takes two tensors,
    and has no name.

    >>> a, n = np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]])
    >>> triplet_margin_with_distance_loss(a, np.array([[3.0, 4.0]]), n, distance_function="cosine")[0]
    array(0.4)
    """
    op = "triplet_margin_with_distance_loss"
    return _triplet(
        op,
        (anchor, positive, negative),
        _distance(op, distance_function),
        hyperparameters.positive(op, "margin", margin),
        hyperparameters.flag(op, "swap", swap),
        hyperparameters.reduction(op, reduction),
    )


@differentiable(integer=("target",), floating=("target",), wide=True)
def cosine_embedding_loss(
    x1: Array, x2: Array, target: Array, *, margin: float = 0.0, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Cosine loss: l = 1 − cos(x1, x2) where target is 1, max(0, cos(x1, x2) − margin) where it is −1.

    cos = Σ x1·x2 / √((Σ x1² + 10⁻¹²)·(Σ x2² + 10⁻¹²)) over the last axis. A target other than ±1 gives l = 0, as
    in PyTorch. y reduces l.

    Shapes: x1 and x2 (N, D), target (N,), y () or, with "none", (N,); or (D,), (D,), () and (). Axes of length 1
    broadcast. Dtypes: those of ``differentiable``, x1 and x2 sharing one; target has that as well, or any integer
    dtype.
    margin: the cosine that dissimilar samples may have. reduction: "mean", "sum" or "none". The mean of nothing
    is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2, None)``. Where cos = margin the slope is that of cos, as in
    PyTorch.
    Raises ValueError for shapes that do not fit or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.cosine_embedding_loss``, whose squares overflow for long vectors.

    >>> x1, x2 = np.array([[3.0, 4.0], [3.0, 4.0]]), np.array([[4.0, 3.0], [4.0, 3.0]])
    >>> cosine_embedding_loss(x1, x2, np.array([1, -1]), margin=0.5, reduction="none")[0]
    array([0.04, 0.46])
    """
    op = "cosine_embedding_loss"
    margin = hyperparameters.real(op, "margin", margin)
    reduction = hyperparameters.reduction(op, reduction)
    if not (x1.ndim == x2.ndim == target.ndim + 1 and target.ndim <= 1):
        found = f"{x1.shape}, {x2.shape} and {target.shape}"
        raise ValueError(f"{op}: shapes must be (N, D), (N, D) and (N,), or (D,), (D,) and (); got {found}")
    common_shape(op, x1=x1, x2=x2, target=target[..., None])
    (a, n1, e1), (b, n2, e2) = (scaled_length(x, -1, math.sqrt(SQUARED_FLOOR), SQUARED_FLOOR) for x in (x1, x2))
    u, v = a / n1, b / n2
    # not Σ u·v: where Σ x1·x2 is 0 exactly, so is this
    cos = (a * b).sum(-1) / (n1 * n2)[..., 0]
    y, share = reduced(
        np.where(target == 1, 1 - cos, 0) + np.where(target == -1, np.maximum(cos - margin, 0), 0),
        reduction,
    )

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂cos = −1 or [cos ≥ margin]; cos = Σ u·v, u = x1/n1, ∂n1/∂x1 = u: ∂cos/∂x1 = (v − cos·u)/n1
        slope = np.where(target == 1, -1, np.where((target == -1) & (cos >= margin), 1, 0))
        g, c = summed_to(share(gy) * slope, cos.shape)[..., None], cos[..., None]
        g = np.where(g == 0, 0, g)
        g1 = g * np.ldexp((_gathered(v, u) - c * u) / n1, -e1)
        g2 = g * np.ldexp((_gathered(u, v) - c * v) / n2, -e2)
        return summed_to(g1, x1.shape), summed_to(g2, x2.shape), None

    return y, vjp


def _gathered(v: Array, u: Array) -> Array:
    """∂(Σ u·v)/∂u: what one element of u meets that is stretched over the whole of v."""
    return v.sum(-1, keepdims=True) if u.shape[-1] == 1 else v


@differentiable(integer=("target",), wide=True)
def multi_margin_loss(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    p: int = 1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> tuple[Array, Vjp]:
    """Multi-class hinge loss: l = w[t]/C · Σ over the classes c ≠ t of max(0, margin − x[t] + x[c])^p.

    t is the target, C the number of classes and w the weight (1 without); y reduces l, the mean dividing by the
    number of samples.

    Shapes: x (N, C) or (C,), target (N,) or (), weight (C,), y () or, with "none", that of target. There must be
    a class. Dtypes: those of ``differentiable``, x and weight sharing one; target any integer dtype (PyTorch:
    int64).
    p: 1 or 2. margin: by how much the target's score should lead. reduction: "mean", "sum" or "none". The mean
    of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None, gweight)``, gweight None without weight; PyTorch does not
    differentiate the weight. Where the margin is met exactly the slope is 0, and a NaN counts as being within the
    margin, as in PyTorch.
    Raises ValueError for shapes, targets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.multi_margin_loss``, where p and margin come before weight, and the mean
    and sum over no samples are 0 or whatever the memory held.

    >>> multi_margin_loss(np.array([[0.0, 0.5, 2.0]]), np.array([1]), reduction="sum")[0]
    array(1.)
    """
    op = "multi_margin_loss"
    if hyperparameters.integer(op, "p", p) not in (1, 2):
        raise ValueError(f"{op}: p must be 1 or 2; got {p!r}")
    margin = hyperparameters.real(op, "margin", margin)
    reduction = hyperparameters.reduction(op, reduction)
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ValueError(f"{op}: x must have shape (N, C) or (C,), C at least 1; got {x.shape}")
    classes = x.shape[-1]
    if target.shape != x.shape[:-1]:
        raise ValueError(f"{op}: target must have shape {x.shape[:-1]} to fit x {x.shape}; got {target.shape}")
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{op}: weight must have shape ({classes},) to fit x {x.shape}; got {weight.shape}")
    _check_classes(op, target, classes, 0)
    hit = np.arange(classes) == target[..., None]
    z = margin - np.where(hit, x, 0).sum(-1, keepdims=True) + x
    counts = ~hit & (z > 0)
    z = np.where(counts, z, 0)
    w = x.dtype.type(1) if weight is None else weight[target]
    unweighted = (z if p == 1 else z * z).sum(-1) / classes
    y, share = reduced(np.asarray(w * unweighted), reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x[c] = p·w[t]/C·z[c]^(p−1) where z[c] > 0 and c ≠ t; x[t] receives minus their sum
        g = share(gy)
        each = (p * g * w / classes)[..., None] * (counts if p == 1 else z)
        gx = np.where(hit, -each.sum(-1, keepdims=True), each)
        if weight is None:
            return gx, None, None
        # ∂l/∂w[c] = [t = c]·l/w: [n] -> [n, c] -> [c]
        return gx, None, np.where(hit, (g * unweighted)[..., None], 0).reshape(-1, classes).sum(0)

    return y, vjp


def _check_classes(op: str, target: Array, classes: int, least: int) -> None:
    outside = (target < least) | (target >= classes)
    if outside.any():
        raise ValueError(f"{op}: target must lie in [{least}, {classes}); got {target[outside].flat[0]}")


@differentiable(integer=("target",), wide=True)
def multilabel_margin_loss(x: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """Multi-label hinge loss: l = 1/C · Σ over targets t and all classes c that are none of max(0, 1 − x[t] + x[c]).

    A row of target lists the sample's classes up to the first −1; what follows does not count. A class that is
    listed twice counts twice. y reduces l, the mean dividing by the number of samples.

    Shapes: x and target (N, C) or (C,), y () or, with "none", (N,) or (). There must be a class. Dtypes: those of
    ``differentiable``; target any integer dtype (PyTorch: int64).
    reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``. Where the margin is met exactly the slope is 0, and a NaN
    counts as being within the margin, as in PyTorch.
    Raises ValueError for shapes, targets or a reduction that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.multilabel_margin_loss``, where the mean and sum over no samples are
    whatever the memory held.

    >>> x = np.array([[0.0, 0.5, 2.0, 0.25]])
    >>> multilabel_margin_loss(x, np.array([[2, 1, -1, 0]]))[0]
    array(0.3125)
    """
    op = "multilabel_margin_loss"
    reduction = hyperparameters.reduction(op, reduction)
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ValueError(f"{op}: x must have shape (N, C) or (C,), C at least 1; got {x.shape}")
    if target.shape != x.shape:
        raise ValueError(f"{op}: target must have the shape of x, {x.shape}; got {target.shape}")
    classes = x.shape[-1]
    _check_classes(op, target, classes, -1)
    listed = np.logical_and.accumulate(target != -1, axis=-1)
    # times[n, c]: how often c is a target of n, [n, k] -> [n, k, c] -> [n, c]
    times = ((target[..., None] == np.arange(classes)) & listed[..., None]).sum(-2)
    # z[n, t, c] for a target t and another class c
    z = 1 - x[..., :, None] + x[..., None, :]
    counts = (times > 0)[..., :, None] & (times == 0)[..., None, :] & (z > 0)
    y, share = reduced((np.where(counts, z, 0) * times[..., :, None]).sum((-2, -1)) / classes, reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x[c] = 1/C for each z[t, c] > 0, ∂l/∂x[t] = −1/C likewise: [n, t, c] -> [n, c] and [n, t]
        pairs = counts * times[..., :, None]
        return (share(gy) / classes)[..., None] * (pairs.sum(-2) - pairs.sum(-1)), None

    return y, vjp


@differentiable(integer=("target",), floating=("target",), wide=True)
def multilabel_soft_margin_loss(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> tuple[Array, Vjp]:
    """Multi-label logistic loss: l = −1/C · Σ over c of w[c]·(target[c]·log σ(x[c]) + (1 − target[c])·log σ(−x[c])).

    w is the weight (1 without). y reduces l. In the form max(x, 0) − target·x + log(1 + exp(−|x|)) nothing
    overflows.

    Shapes: x (…, C) with at least one axis, target and weight the same as a rule, or (C,); what they broadcast to is
    summed over the axis of x's classes, which leaves the shape of l. y () or, with "none", that of l. Dtypes: those of
    ``differentiable``, x and weight sharing one; target has that as well, or any integer dtype.
    target: for each class the probability that it applies, as a rule 0 or 1. reduction: "mean", "sum" or "none".
    The mean of nothing, and a loss over no classes, is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget, gweight)``, gtarget None for a target of integers, gweight None
    without weight.
    Raises ValueError for shapes that do not fit or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.multilabel_soft_margin_loss``.

    >>> multilabel_soft_margin_loss(np.array([[0.0, 1000.0]]), np.array([[1.0, 1.0]]), reduction="sum")[0]
    array(0.34657359)
    """
    op = "multilabel_soft_margin_loss"
    reduction = hyperparameters.reduction(op, reduction)
    if x.ndim == 0:
        raise ValueError(f"{op}: x must have shape (..., C); got {x.shape}")
    w = np.ones(1, x.dtype) if weight is None else weight
    shape = common_shape(op, x=x, target=target, weight=w)
    axis, classes = x.ndim - 1, x.shape[-1]
    t = target.astype(x.dtype)
    each = np.where(x > 0, (1 - t) * x, -t * x) + np.log1p(np.exp(-abs(x)))
    y, share = reduced(np.asarray((w * each).sum(axis) / classes), reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = w/C·(σ(x) − target) = w/C·((1 − target)·σ(x) − target·σ(−x)), ∂l/∂target = −w·x/C
        g = np.broadcast_to(np.expand_dims(share(gy) / classes, axis), shape)
        gx = g * w * ((1 - t) * _sigmoid(x) - t * _sigmoid(-x))
        of_target = _of_target(target, lambda: g * w * -x)
        return summed_to(gx, x.shape), of_target, None if weight is None else summed_to(g * each, weight.shape)

    return y, vjp


@differentiable(integer=("target",), floating=("target",), wide=True)
def soft_margin_loss(x: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Vjp]:
    """Logistic loss: l = log(1 + exp(−target·x)), element by element; y reduces l.

    Shapes: target broadcasts to the shape of x; y () or, with "none", that of x. Dtypes: those of
    ``differentiable``; target, as a rule ±1, that of x or any integer dtype.
    reduction: "mean", "sum" or "none". The mean of nothing is NaN.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gtarget)``, gtarget None for a target of integers; PyTorch does not
    differentiate the target.
    Raises ValueError for shapes that do not fit or another reduction, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.soft_margin_loss``, in which the exponential overflows.

    >>> soft_margin_loss(np.array([0.0, 1000.0]), np.array([1, -1]), reduction="none")[0]
    array([6.93147181e-01, 1.00000000e+03])
    """
    op = "soft_margin_loss"
    reduction = hyperparameters.reduction(op, reduction)
    if common_shape(op, x=x, target=target) != x.shape:
        raise ValueError(f"{op}: target must broadcast to the shape of x, {x.shape}; got {target.shape}")
    t = target.astype(x.dtype)
    z = -t * x
    # log(1 + e^z) = max(z, 0) + log(1 + e^−|z|)
    y, share = reduced(np.maximum(z, 0) + np.log1p(np.exp(-abs(z))), reduction)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂x = −target·σ(−target·x), ∂l/∂target = −x·σ(−target·x)
        g = share(gy) * _sigmoid(z)
        return -t * g, _of_target(target, lambda: -x * g)

    return y, vjp


class _MarginLoss(Shell):
    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """``hinge_embedding_loss``; called on x and target, and its vjp returns ``(gx, None)``."""

    operation = staticmethod(hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(margin, reduction=reduction)


class MarginRankingLoss(_MarginLoss):
    """``margin_ranking_loss``; called on x1, x2 and target, and its vjp returns their gradients."""

    operation = staticmethod(margin_ranking_loss)


class CosineEmbeddingLoss(_MarginLoss):
    """``cosine_embedding_loss``; called on x1, x2 and target, and its vjp returns ``(gx1, gx2, None)``."""

    operation = staticmethod(cosine_embedding_loss)


class TripletMarginLoss(Shell):
    """``triplet_margin_loss``; called on anchor, positive and negative, and its vjp returns their gradients."""

    operation = staticmethod(triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class TripletMarginWithDistanceLoss(Shell):
    """``triplet_margin_with_distance_loss``, called like ``TripletMarginLoss``."""

    operation = staticmethod(triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Distance | str | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(distance_function=distance_function, margin=margin, swap=swap, reduction=reduction)


class MultiMarginLoss(WeightedLoss):
    """``multi_margin_loss`` with a fixed weight; called on x and target, and its vjp returns ``(gx, None)``."""

    operation = staticmethod(multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Array | None = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, p=p, margin=margin, reduction=reduction)


class MultiLabelMarginLoss(Shell):
    """``multilabel_margin_loss``; called on x and target, and its vjp returns ``(gx, None)``."""

    operation = staticmethod(multilabel_margin_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """``multilabel_soft_margin_loss`` with a fixed weight; its vjp returns the gradients of x and target."""

    operation = staticmethod(multilabel_soft_margin_loss)

    def __init__(self, weight: Array | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)


class SoftMarginLoss(Shell):
    """``soft_margin_loss``; called on x and target, and its vjp returns their gradients."""

    operation = staticmethod(soft_margin_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
