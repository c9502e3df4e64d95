"""Losses with a margin, on scores, embeddings and distances: definitions."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.distance import broadcast_pair, connected, norm_formula, norm_jax, rounded, vectors
from oracles.draw import axis_length, elementwise
from oracles.formula import formula, value
from oracles.loss import REDUCTIONS, has_nan, reduced, spoil_reduction
from oracles.norm import in_single, without_tiny
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.precision import HALF

#: PyTorch adds it to the squared lengths in cosine_embedding_loss.
SQUARED_FLOOR = 1e-12
#: Added to the positive sample: distances between integers would meet a margin of 1 up to rounding. Of few digits, so
#: that sums with integers are exact, and what is tied in one precision is tied in every other.
OFF_THE_LATTICE = 5 / 128


def hinge_formula(z: Any) -> Any:
    """max(z, 0), with slope 1 at 0 and slope 0 at NaN."""
    plain = value(z)
    return np.where(plain >= 0, z, np.where(np.isnan(plain), 0 * z, 0))


def hinge_jax(jax: Any, z: Any) -> Any:
    # not jnp.maximum, which shares the slope where z = 0
    return jax.numpy.where(z < 0, 0, z)


def signs(rng: np.random.Generator, configuration: Configuration) -> Array:
    """1 and −1, and now and then 0."""
    return rng.choice((1, -1, 1, -1, 1, -1, 0), configuration.shapes["target"])


def of_numbers(configuration: Configuration) -> bool:
    """Targets may be integers or floating-point numbers: those of an odd number of elements are the latter."""
    return prod(configuration.shapes["target"]) % 2 == 1


def sums_exactly(configuration: Configuration) -> bool:
    """Nothing is divided, and the margin is an integer."""
    hyper = configuration.hyper
    return hyper.get("reduction", "mean") != "mean" and hyper.get("margin", 1.0) in (0.0, 1.0, 2.0, -1.0)


SLOPE_AT_NAN = "the slope at NaN is a convention: PyTorch's clamp has 0, jnp.where 1"


HALF_KINKS = "whether a margin is met, and which of two distances is smaller, depends on rounding to half precision"


def kinks_in_half(case: Case) -> bool:
    """Whether a kink may be passed only by rounding."""
    return case.configuration.dtype in HALF


def decided_by_rounding(*gradients: str) -> Limitation:
    """The slope next to a kink, in half precision."""
    return Limitation("torch", HALF_KINKS, applies=kinks_in_half, tensors=gradients)


# --- element by element -------------------------------------------------------------------------------------


def draw_hinge(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """x and target, which broadcast."""
    shapes, hyper = elementwise(
        margin=st.sampled_from((1.0, 0.5, 2.0, 0.3, 0.0, -1.0)),
        reduction=REDUCTIONS,
    )(draw)
    first, second = broadcast_pair(draw, shapes["x"]) if shapes["x"] else ((), ())
    return {"x": first, "target": second}, hyper


def spoil_hinge(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction, shapes that do not broadcast, a margin that is a word."""
    what = draw(st.sampled_from(("reduction", "target", "margin")))
    if what == "reduction":
        return spoil_reduction(draw, shapes, hyper)
    if what == "target":
        return what, {"x": (2, 3), "target": (2, 4)}, hyper
    return what, shapes, {**hyper, "margin": "wide"}


@formula
def hinge_embedding_formula(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """x where the target is not −1, plus max(0, margin − x) where it is not 1."""
    return reduced(
        np.where(target != -1, x, 0) + np.where(target != 1, hinge_formula(rounded(margin, x) - x), 0), reduction
    )


def hinge_embedding_jax(jax: Any, x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    jnp, dtype = jax.numpy, x.dtype
    (x,) = in_single(jax, x)
    losses = jnp.where(target != -1, x, 0) + jnp.where(target != 1, hinge_jax(jax, margin - x), 0)
    return reduced(losses, reduction).astype(dtype)


hinge_embedding_loss = Operation(
    function=mint.hinge_embedding_loss,
    draw=draw_hinge,
    spoil=spoil_hinge,
    equations=hinge_embedding_formula,
    jax=hinge_embedding_jax,
    integer={"target": signs},
    floating={"target": of_numbers},
    # it is compared with ±1, and has no gradient
    constant=("target",),
    adjust={"target": np.sign},
    exact=sums_exactly,
    limitations=(Limitation("jax", SLOPE_AT_NAN, applies=has_nan, tensors=("gx",)),),
)


def draw_ranking(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Three arrays with as many axes, one of them stretched now and then."""
    shapes, hyper = elementwise(margin=st.sampled_from((0.0, 1.0, 0.5, 0.3, -1.0)), reduction=REDUCTIONS)(draw)
    full = shapes["x"]
    made = dict.fromkeys(("x1", "x2", "target"), full)
    if full and draw(st.integers(0, 2)) == 2:
        made[draw(st.sampled_from(tuple(made)))] = tuple(draw(st.sampled_from((n, 1))) for n in full)
    return made, hyper


def spoil_ranking(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction, another number of axes."""
    if draw(st.booleans()):
        return spoil_reduction(draw, shapes, hyper)
    return "ndim", {**shapes, "x2": (1, *shapes["x2"])}, hyper


@formula
def margin_ranking_formula(x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """max(0, margin − target·(x1 − x2))."""
    return reduced(hinge_formula(rounded(margin, x1) - target * (x1 - x2)), reduction)


def margin_ranking_jax(jax: Any, x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    dtype = x1.dtype
    x1, x2 = in_single(jax, x1, x2)
    return reduced(hinge_jax(jax, margin - target.astype(x1.dtype) * (x1 - x2)), reduction).astype(dtype)


margin_ranking_loss = Operation(
    function=mint.margin_ranking_loss,
    draw=draw_ranking,
    spoil=spoil_ranking,
    equations=margin_ranking_formula,
    jax=margin_ranking_jax,
    integer={"target": signs},
    floating={"target": of_numbers},
    # a product with less than 1 may underflow, and then its sign no longer tells where the slope is
    adjust={"target": lambda t: np.where(np.abs(t) < 1, np.sign(t), t)},
    exact=sums_exactly,
    # two numbers that are the largest have no difference
    nonfinite=("x1",),
    limitations=(
        decided_by_rounding("gx1", "gx2", "gtarget"),
        Limitation("jax", SLOPE_AT_NAN, applies=has_nan, tensors=("gx1", "gx2", "gtarget")),
        Limitation(
            "torch",
            "PyTorch multiplies a slope of 0 with an infinite difference, which makes NaN of no gradient",
            applies=has_nan,
            tensors=("gtarget",),
        ),
    ),
)


def draw_soft_margin(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """x, and target of its shape or stretched to it."""
    shapes, hyper = elementwise(reduction=REDUCTIONS)(draw)
    target = shapes["x"]
    if target and draw(st.integers(0, 2)) == 2:
        target = tuple(draw(st.sampled_from((n, 1))) for n in target)[draw(st.integers(0, len(target))) :]
    return {**shapes, "target": target}, hyper


@formula
def soft_margin_formula(x: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + e^(−target·x))."""
    return reduced(np.logaddexp(0, -target * x), reduction)


def soft_margin_jax(jax: Any, x: Any, target: Any, reduction: str = "mean") -> Any:
    dtype = x.dtype
    x, target = in_single(jax, x, target)
    return reduced(jax.nn.softplus(-target.astype(x.dtype) * x), reduction).astype(dtype)


soft_margin_loss = Operation(
    function=mint.soft_margin_loss,
    underflows=True,
    draw=draw_soft_margin,
    spoil=spoil_reduction,
    equations=soft_margin_formula,
    jax=soft_margin_jax,
    integer={"target": signs},
    floating={"target": of_numbers},
    # what 0·∞ makes of a target of 0, and where the exponential's slope at ∞ is NaN, is an accident
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            "PyTorch does not differentiate soft_margin_loss with respect to the target",
            applies=lambda case: of_numbers(case.configuration),
            tensors=("gtarget",),
        ),
    ),
)


# --- triplets -----------------------------------------------------------------------------------------------


def draw_triplet(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Three arrays of vectors with as many axes, one of them stretched now and then."""
    full = vectors(draw)
    shapes: Shapes = dict.fromkeys(("anchor", "positive", "negative"), full)
    if draw(st.integers(0, 3)) == 3:
        shapes[draw(st.sampled_from(tuple(shapes)))] = tuple(draw(st.sampled_from((n, 1))) for n in full)
    return shapes, {
        "margin": draw(st.sampled_from((1.0, 0.3, 2.0))),
        "swap": draw(st.booleans()),
        "reduction": draw(REDUCTIONS),
    }


def draw_triplet_margin(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """As `draw_triplet`, with every degree."""
    shapes, hyper = draw_triplet(draw)
    degrees = (2.0, 1.0, inf, 0.0, 3.0, 1.5, -1.0)
    return shapes, {
        **hyper,
        "p": draw(st.sampled_from(degrees)),
        "eps": draw(st.sampled_from((1e-6, 0.1, 0.0))),
    }


def draw_triplet_with_distance(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """As `draw_triplet`, with every named distance."""
    shapes, hyper = draw_triplet(draw)
    return shapes, {"distance_function": draw(st.sampled_from((None, "cosine"))), **hyper}


def spoil_triplet(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction, no margin, another number of axes."""
    what = draw(st.sampled_from(("reduction", "margin", "ndim")))
    if what == "reduction":
        return spoil_reduction(draw, shapes, hyper)
    if what == "margin":
        return what, shapes, {**hyper, what: draw(st.sampled_from((0.0, -1.0)))}
    return what, {**shapes, "negative": (1, *shapes["negative"])}, hyper


def triplet_formula(distance: Any, arrays: tuple[Any, Any, Any], margin: float, swap: bool, reduction: str) -> Any:
    """max(0, margin + d(a, p) − min(d(a, n), d(p, n)))."""
    anchor, positive, negative = arrays
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        least = np.where(value(far) < value(other), far, other)
        far = np.where(value(far) == value(other), (far + other) / 2, least)
    return reduced(hinge_formula(rounded(margin, anchor) + near - far), reduction)


def triplet_jax(
    jax: Any, distance: Any, arrays: tuple[Any, Any, Any], margin: float, swap: bool, reduction: str
) -> Any:
    dtype = arrays[0].dtype
    anchor, positive, negative = in_single(jax, *arrays)
    far = distance(anchor, negative)
    if swap:
        far = jax.numpy.minimum(far, distance(positive, negative))
    return reduced(hinge_jax(jax, margin + distance(anchor, positive) - far), reduction).astype(dtype)


@formula
def triplet_margin_formula(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """With d(a, b) = ‖a − b + ε‖ₚ."""

    def distance(a: Any, b: Any) -> Any:
        return norm_formula(a - b + rounded(eps, a), p, share_ties=True)

    return triplet_formula(distance, (anchor, positive, negative), margin, swap, reduction)


def triplet_margin_jax(
    jax: Any,
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    def distance(a: Any, b: Any) -> Any:
        return norm_jax(jax, a - b + eps, p)

    return triplet_jax(jax, distance, (anchor, positive, negative), margin, swap, reduction)


def triplet_margin_torch(F: Any, anchor: Any, positive: Any, negative: Any, **hyper: Any) -> Any:
    return connected(F.triplet_margin_loss(anchor, positive, negative, **hyper), anchor, positive, negative)


TRIPLET = {"positive": lambda a: a + OFF_THE_LATTICE}
GRADIENTS = ("ganchor", "gpositive", "gnegative")
NEARLY_PARALLEL = "of nearly parallel vectors 1 − cos has no digits left: which distance is smaller is an accident"


def nearly_parallel(case: Case) -> bool:
    """Whether all vectors have nearly one direction, and the smaller of two distances is taken."""
    hyper = case.configuration.hyper
    return case.fill == "cancelling" and hyper.get("distance_function") == "cosine" and hyper.get("swap", False)


def _triplet(**more: Any) -> Operation:
    return Operation(
        adjust=TRIPLET,
        # infinite vectors have no distance
        nonfinite=(),
        limitations=(
            decided_by_rounding(*GRADIENTS),
            *more.pop("limitations", ()),
        ),
        spoil=spoil_triplet,
        **more,
    )


triplet_margin_loss = _triplet(
    function=mint.triplet_margin_loss,
    draw=draw_triplet_margin,
    equations=triplet_margin_formula,
    torch=triplet_margin_torch,
    jax=triplet_margin_jax,
)


@formula
def triplet_with_distance_formula(
    anchor: Any,
    positive: Any,
    negative: Any,
    distance_function: str | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """With d(a, b) = ‖a − b + 10⁻⁶‖, or 1 − Σ a·b/(max(‖a‖, 10⁻⁸)·max(‖b‖, 10⁻⁸))."""

    def euclidean(a: Any, b: Any) -> Any:
        return norm_formula(a - b + rounded(1e-6, a), 2, share_ties=True)

    def length(x: Any) -> Any:
        squares = (x * x).sum(-1)
        short = np.sqrt(value(squares)) < 1e-8
        return np.where(short, 1e-8, np.sqrt(np.where(short, 1, squares)))

    def cosine(a: Any, b: Any) -> Any:
        shape = np.broadcast_shapes(a.shape, b.shape)
        a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
        return 1 - (a * b).sum(-1) / (length(a) * length(b))

    chosen = {None: euclidean, "cosine": cosine}[distance_function]
    return triplet_formula(chosen, (anchor, positive, negative), margin, swap, reduction)


def triplet_with_distance_jax(
    jax: Any,
    anchor: Any,
    positive: Any,
    negative: Any,
    distance_function: str | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    jnp = jax.numpy

    def euclidean(a: Any, b: Any) -> Any:
        return norm_jax(jax, a - b + 1e-6, 2)

    def unit(x: Any) -> Any:
        squares = jnp.square(x).sum(axis=-1, keepdims=True)
        short = squares < 1e-16
        return x / jnp.where(short, 1e-8, jnp.sqrt(jnp.where(short, 1, squares)))

    def cosine(a: Any, b: Any) -> Any:
        a, b = jnp.broadcast_arrays(a, b)
        return 1 - (unit(a) * unit(b)).sum(-1)

    chosen = {None: euclidean, "cosine": cosine}[distance_function]
    return triplet_jax(jax, chosen, (anchor, positive, negative), margin, swap, reduction)


def triplet_with_distance_torch(
    F: Any, anchor: Any, positive: Any, negative: Any, distance_function: str | None = None, **hyper: Any
) -> Any:
    chosen = {None: None, "cosine": lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1)}[distance_function]
    return F.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=chosen, **hyper)


triplet_margin_with_distance_loss = _triplet(
    function=mint.triplet_margin_with_distance_loss,
    draw=draw_triplet_with_distance,
    equations=triplet_with_distance_formula,
    torch=triplet_with_distance_torch,
    jax=triplet_with_distance_jax,
    limitations=(
        Limitation("torch", NEARLY_PARALLEL, applies=nearly_parallel, tensors=GRADIENTS),
        Limitation("jax", NEARLY_PARALLEL, applies=nearly_parallel, tensors=GRADIENTS),
    ),
)


# --- embeddings ---------------------------------------------------------------------------------------------


def draw_cosine_embedding(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """(N, D), (N, D) and (N,), or (D,), (D,) and (); now and then one of them is stretched."""
    length = draw(axis_length(3, 1, 2, 8, 33))
    batch = draw(st.sampled_from((2, 3, 1, 5, 17, 0, None)))
    if batch is None:
        shapes: Shapes = {"x1": (length,), "x2": (length,), "target": ()}
    else:
        shapes = {"x1": (batch, length), "x2": (batch, length), "target": (batch,)}
        if draw(st.integers(0, 4)) == 4:
            name = draw(st.sampled_from(tuple(shapes)))
            shapes[name] = (1, *shapes[name][1:])
    if draw(st.integers(0, 7)) == 7:
        name = draw(st.sampled_from(("x1", "x2")))
        shapes[name] = (*shapes[name][:-1], 1)
    # a cosine of 0 is met exactly by integers, those of the other margins are not
    return shapes, {"margin": draw(st.sampled_from((0.0, 0.359, -0.231))), "reduction": draw(REDUCTIONS)}


def spoil_cosine_embedding(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction, another number of axes."""
    if draw(st.booleans()):
        return spoil_reduction(draw, shapes, hyper)
    return "ndim", {**shapes, "x1": (1, *shapes["x1"])}, hyper


@formula
def cosine_embedding_formula(x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 − cos, or max(0, cos − margin)."""
    floor = x1.dtype.type(SQUARED_FLOOR)
    lengths = np.sqrt((x1 * x1).sum(-1) + floor) * np.sqrt((x2 * x2).sum(-1) + floor)
    cos = (x1 * x2).sum(-1) / lengths
    losses = np.where(target == 1, 1 - cos, 0) + np.where(target == -1, hinge_formula(cos - rounded(margin, x1)), 0)
    return reduced(losses, reduction)


def cosine_embedding_jax(jax: Any, x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    jnp, dtype = jax.numpy, x1.dtype
    x1, x2 = in_single(jax, x1, x2)
    first, second = jnp.square(x1).sum(-1) + SQUARED_FLOOR, jnp.square(x2).sum(-1) + SQUARED_FLOOR
    cos = (x1 * x2).sum(-1) / jnp.sqrt(first * second)
    losses = jnp.where(target == 1, 1 - cos, 0) + jnp.where(target == -1, hinge_jax(jax, cos - margin), 0)
    return reduced(losses, reduction).astype(dtype)


cosine_embedding_loss = Operation(
    function=mint.cosine_embedding_loss,
    draw=draw_cosine_embedding,
    spoil=spoil_cosine_embedding,
    equations=cosine_embedding_formula,
    jax=cosine_embedding_jax,
    integer={"target": signs},
    floating={"target": of_numbers},
    # as in hinge_embedding_loss
    constant=("target",),
    # on which side of its kink a cosine of 0 lies is not for underflow to decide
    adjust={"target": np.sign, "x1": without_tiny, "x2": without_tiny},
    # an infinite vector has no direction
    nonfinite=(),
    limitations=(decided_by_rounding("gx1", "gx2"),),
)


# --- classes ------------------------------------------------------------------------------------------------


def draw_scores(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """(N, C) or (C,)."""
    classes = draw(st.sampled_from((4, 2, 1, 3, 8, 10, 33)))
    batch = draw(st.sampled_from((2, 1, 3, 5, 2, 3, 5, 17, 0, None)))
    return {"x": (classes,) if batch is None else (batch, classes)}, {"reduction": draw(REDUCTIONS)}


def draw_multi_margin(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Scores, with and without class weights."""
    shapes, hyper = draw_scores(draw)
    shapes["target"] = shapes["x"][:-1]
    if draw(st.booleans()):
        shapes["weight"] = shapes["x"][-1:]
    return shapes, {
        "p": draw(st.sampled_from((1, 2))),
        "margin": draw(st.sampled_from((1.0, 0.5, 2.0, 0.3, -1.0))),
        **hyper,
    }


def spoil_multi_margin(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction or degree, weights for other classes, targets of another shape."""
    what = draw(st.sampled_from(("reduction", "p", "weight", "target")))
    if what == "reduction":
        return spoil_reduction(draw, shapes, hyper)
    if what == "p":
        return what, shapes, {**hyper, what: draw(st.sampled_from((3, 0)))}
    classes = shapes["x"][-1]
    if what == "weight":
        return what, {**shapes, what: (classes + 1,)}, hyper
    return what, {**shapes, what: (*shapes["target"], 3)}, hyper


def classes_of(rng: np.random.Generator, configuration: Configuration) -> Array:
    """One class for each sample."""
    return np.asarray(rng.integers(0, configuration.shapes["x"][-1], configuration.shapes["target"]))


@formula
def multi_margin_formula(
    x: Any, target: Any, weight: Any = None, p: int = 1, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """w[t]/C·Σ over c ≠ t of max(0, margin − x[t] + x[c])^p, where only what is above 0 counts."""
    classes = x.shape[-1]
    own = np.take_along_axis(x, target[..., None], -1)
    z = rounded(margin, x) - own + x
    counts = (value(z) > 0) & (np.arange(classes) != target[..., None])
    losses = (np.where(counts, z, 0) ** p).sum(-1) / classes
    if weight is not None:
        losses = losses * weight[target]
    return reduced(losses, reduction)


def multi_margin_jax(
    jax: Any, x: Any, target: Any, weight: Any = None, p: int = 1, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    jnp, dtype = jax.numpy, x.dtype
    x, weight = in_single(jax, x, weight)
    classes = x.shape[-1]
    z = margin - jnp.take_along_axis(x, target[..., None], axis=-1) + x
    counts = (z > 0) & (jnp.arange(classes) != target[..., None])
    losses = (jnp.where(counts, z, 0) ** p).sum(-1) / classes
    if weight is not None:
        losses = losses * weight[target]
    return reduced(losses, reduction).astype(dtype)


multi_margin_loss = Operation(
    function=mint.multi_margin_loss,
    draw=draw_multi_margin,
    spoil=spoil_multi_margin,
    equations=multi_margin_formula,
    torch=lambda F, x, target, weight=None, **hyper: F.multi_margin_loss(x, target, weight=weight, **hyper),
    jax=multi_margin_jax,
    integer={"target": classes_of},
    # two scores that are the largest, or infinite, have no difference
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            "PyTorch does not differentiate multi_margin_loss with respect to the class weights",
            tensors=("gweight",),
        ),
    ),
)


def draw_multilabel_margin(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Scores, and as many targets."""
    shapes, hyper = draw_scores(draw)
    return {**shapes, "target": shapes["x"]}, hyper


def spoil_multilabel_margin(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another reduction, targets of another shape."""
    if draw(st.booleans()):
        return spoil_reduction(draw, shapes, hyper)
    return "target", {**shapes, "target": (*shapes["target"][:-1], shapes["target"][-1] + 1)}, hyper


def padded_classes(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Classes, possibly repeated, up to a −1 at any place; behind it anything that is allowed."""
    shape = configuration.shapes["target"]
    targets = rng.integers(-1, shape[-1], shape)
    end = rng.integers(0, shape[-1] + 1, shape[:-1])[..., None]
    listed = np.arange(shape[-1]) < end
    return np.asarray(np.where(listed, np.maximum(targets, 0), np.where(np.arange(shape[-1]) == end, -1, targets)))


@formula
def multilabel_margin_formula(x: Any, target: Any, reduction: str = "mean") -> Any:
    """1/C·Σ over the targets t and the classes c that are none of max(0, 1 − x[t] + x[c])."""
    classes = x.shape[-1]
    rows = []
    for place in np.ndindex(target.shape[:-1]):
        listed = list(target[place])
        listed = listed[: listed.index(-1)] if -1 in listed else listed
        others = [c for c in range(classes) if c not in listed]
        z = 1 - x[place][np.array(listed, int)][:, None] + x[place][np.array(others, int)]
        rows.append(np.where(value(z) > 0, z, 0).sum((0, 1)) / classes)
    if target.ndim == 1:
        return reduced(rows[0], reduction)
    return reduced(np.stack(rows) if rows else x.sum(-1), reduction)


def multilabel_margin_jax(jax: Any, x: Any, target: Any, reduction: str = "mean") -> Any:
    jnp, dtype = jax.numpy, x.dtype
    (x,) = in_single(jax, x)
    classes = x.shape[-1]
    listed = jnp.cumsum(target == -1, axis=-1) == 0
    own = jnp.take_along_axis(x, jnp.where(listed, target, 0), axis=-1)
    hit = (target[..., None] == jnp.arange(classes)) & listed[..., None]
    z = 1 - own[..., :, None] + x[..., None, :]
    counts = listed[..., :, None] & ~hit.any(axis=-2)[..., None, :] & (z > 0)
    return reduced(jnp.where(counts, z, 0).sum((-2, -1)) / classes, reduction).astype(dtype)


multilabel_margin_loss = Operation(
    function=mint.multilabel_margin_loss,
    draw=draw_multilabel_margin,
    spoil=spoil_multilabel_margin,
    equations=multilabel_margin_formula,
    jax=multilabel_margin_jax,
    integer={"target": padded_classes},
    # two scores that are the largest, or infinite, have no difference
    nonfinite=(),
)


def draw_multilabel_soft(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """(…, C), with and without weights; now and then the target is stretched, or stretches x."""
    shape = (*draw(st.lists(axis_length(2, 1, 3, 5), max_size=2)), draw(axis_length(3, 1, 2, 10)))
    shapes: Shapes = {"x": shape, "target": draw(st.sampled_from((shape,) * 6 + (shape[-1:], (2, *shape))))}
    weight = draw(st.sampled_from((None, shape[-1:], shape, (1,))))
    if weight is not None:
        shapes["weight"] = weight
    return shapes, {"reduction": draw(REDUCTIONS)}


@formula
def multilabel_soft_formula(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """−1/C·Σ w·(target·log σ(x) + (1 − target)·log σ(−x))."""
    losses = target * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x)
    if weight is not None:
        losses = losses * weight
    classes = x.shape[-1]
    total = losses.sum(x.ndim - 1)
    return reduced(total / classes if classes else total * np.nan, reduction)


def multilabel_soft_jax(jax: Any, x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    dtype = x.dtype
    x, target, weight = in_single(jax, x, target, weight)
    losses = -(target * jax.nn.log_sigmoid(x) + (1 - target) * jax.nn.log_sigmoid(-x))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(x.ndim - 1) / x.shape[-1], reduction).astype(dtype)


multilabel_soft_margin_loss = Operation(
    function=mint.multilabel_soft_margin_loss,
    underflows=True,
    draw=draw_multilabel_soft,
    spoil=spoil_reduction,
    equations=multilabel_soft_formula,
    jax=multilabel_soft_jax,
    integer={"target": lambda rng, configuration: rng.integers(0, 2, configuration.shapes["target"])},
    floating={"target": of_numbers},
    # 0·∞ in one way of writing is 0 in another
    nonfinite=(),
)
