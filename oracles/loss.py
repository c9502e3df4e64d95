"""Losses of errors, and the cross-entropy of classes: definitions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.distance import rounded
from oracles.draw import axis_length, elementwise
from oracles.formula import formula, straight_through, value
from oracles.operation import Array, Draw, Hyper, Limitation, Operation, Shapes, Spoil
from oracles.summation import growth

REDUCTIONS = st.sampled_from(("mean", "sum", "none"))
RARELY = st.sampled_from((False, False, False, True))


def reduced(losses: Any, reduction: str, total: Any = None) -> Any:
    """The losses, their sum, or their mean: the sum divided by total, the number of losses where that is None."""
    if reduction == "mean":
        return losses.mean() if total is None else losses.sum() / total
    return losses.sum() if reduction == "sum" else losses


def spoil_reduction(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A reduction that there is not."""
    return "reduction", shapes, {**hyper, "reduction": draw(st.sampled_from(("max", "")))}


def positive_weight(weight: Array) -> Array:
    """What a mean divides by, a sum of weights, neither overflows nor vanishes."""
    return np.asarray(np.clip(np.abs(weight), 1 / 64, 1000))


def sums_exactly(configuration: Configuration) -> bool:
    """Nothing is divided, nor weighed with a fraction."""
    return configuration.hyper.get("reduction", "mean") != "mean" and "weight" not in configuration.shapes


def has_nan(case: Case) -> bool:
    """Whether NaN may stand in the input."""
    return case.fill == "special"


# --- errors -------------------------------------------------------------------------------------------------


def draw_error(*, weighted: bool, **hyper: st.SearchStrategy[Any]) -> Draw:
    """Two arrays of one shape, now and then a long one, as errors are; or three, with a weight."""

    def drawn(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
        shapes, chosen = elementwise(reduction=REDUCTIONS, **hyper)(draw)
        if weighted and draw(st.sampled_from((False, False, True))):
            return dict.fromkeys(("x", "target", "weight"), shapes["x"]), chosen
        return dict.fromkeys(("x", "target"), (10_000,) if draw(RARELY) else shapes["x"]), chosen

    return drawn


def spoil_error(*, weighted: bool, **wrong: tuple[Any, ...]) -> Spoil:
    """Another reduction, shapes that do not fit, a number out of its range."""

    def spoil(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
        what = draw(st.sampled_from(("reduction", "target", *(["weight"] if weighted else []), *wrong)))
        if what == "reduction":
            return spoil_reduction(draw, shapes, hyper)
        if what in wrong:
            return what, shapes, {**hyper, what: draw(st.sampled_from(wrong[what]))}
        # not one that broadcasts: PyTorch takes it, with a warning
        return what, {"x": (2, 3), "target": (2, 3), what: (2, 4)}, hyper

    return spoil


def weighed(losses: Any, weight: Any, reduction: str) -> Any:
    """w·l, reduced; the mean divides by Σ w."""
    if weight is None:
        return reduced(losses, reduction)
    return reduced(weight * losses, reduction, weight.sum())


@formula
def mse_formula(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """w·(x − t)²."""
    return weighed((x - target) * (x - target), weight, reduction)


def mse_scale(
    x: Array, target: Array, weight: Array | None, gy: Array, reduction: str = "mean"
) -> tuple[Array, Array, Array, Array | None]:
    """Squares add up without cancelling, x − t is one rounding: G = g·y, |gx|, |gtarget|, g the `growth` of the sum.

    The mean's gweight is (l − y)·gy/Σw: (l + g·y)·|gy|/Σw.
    """
    y, vjp = mse_formula(x, target, weight, reduction=reduction)
    gx, gtarget, gweight = vjp(np.abs(gy))
    assert gx is not None
    assert gtarget is not None
    most = y if reduction == "none" else y * growth(x.size)
    if gweight is not None and weight is not None and reduction == "mean":
        gweight = gweight + 2 * most * np.abs(gy) / weight.sum()
    return np.abs(most), np.abs(gx), np.abs(gtarget), gweight


mse_loss = Operation(
    function=mint.mse_loss,
    draw=draw_error(weighted=True),
    spoil=spoil_error(weighted=True),
    equations=mse_formula,
    torch=lambda F, x, target, weight=None, **hyper: F.mse_loss(x, target, weight=weight, **hyper),
    jax=lambda jax, x, target, weight=None, reduction="mean": weighed(jax.numpy.square(x - target), weight, reduction),
    scale=mse_scale,
    adjust={"weight": positive_weight},
    exact=sums_exactly,
    # two numbers that are the largest have no difference
    nonfinite=("x",),
)


def magnitude(d: Any) -> Any:
    """|d|, with the slope 0 at 0."""
    return np.sign(value(d)) * d


def magnitude_jax(jax: Any, d: Any) -> Any:
    # not jnp.abs, whose slope at 0 is 1
    return jax.numpy.sign(d) * d


@formula
def l1_formula(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """w·|x − t|; the slope at NaN is 0."""
    d = x - target
    return weighed(np.where(np.isnan(d), value(d), magnitude(d)), weight, reduction)


l1_loss = Operation(
    function=mint.l1_loss,
    draw=draw_error(weighted=True),
    spoil=spoil_error(weighted=True),
    equations=l1_formula,
    torch=lambda F, x, target, weight=None, **hyper: F.l1_loss(x, target, weight=weight, **hyper),
    jax=lambda jax, x, target, weight=None, reduction="mean": weighed(
        magnitude_jax(jax, x - target), weight, reduction
    ),
    adjust={"weight": positive_weight},
    exact=sums_exactly,
    nonfinite=("x",),
    limitations=(
        Limitation(
            "jax",
            "the slope at NaN is a convention: PyTorch has 0, jnp.sign NaN",
            applies=has_nan,
            tensors=("gx", "gtarget"),
        ),
    ),
)


@formula
def smooth_l1_formula(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d²/2β where |d| < β, else |d| − β/2."""
    d, b = x - target, rounded(beta, x)
    if beta == 0:
        return reduced(np.where(np.isnan(d), value(d), magnitude(d)), reduction)
    return reduced(np.where(np.abs(value(d)) < beta, d * d / (2 * b), magnitude(d) - b / 2), reduction)


def smooth_l1_jax(jax: Any, x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    jnp = jax.numpy
    d = x - target
    near = jnp.abs(d) < beta
    # the branch not taken gets a harmless argument, so that its gradient is not inf·0
    square = jnp.square(jnp.where(near, d, 0)) / (2 * beta) if beta else 0
    return reduced(jnp.where(near, square, magnitude_jax(jax, d) - beta / 2), reduction)


smooth_l1_loss = Operation(
    function=mint.smooth_l1_loss,
    draw=draw_error(weighted=False, beta=st.sampled_from((1.0, 0.0, 0.5, 2, 0.3))),
    spoil=spoil_error(weighted=False, beta=(-1.0, "wide")),
    equations=smooth_l1_formula,
    jax=smooth_l1_jax,
    nonfinite=("x",),
    limitations=(
        Limitation(
            "jax",
            "the slope at NaN is a convention: PyTorch has 0, jnp.sign NaN",
            applies=lambda case: has_nan(case) and case.configuration.hyper.get("beta") == 0,
            tensors=("gx", "gtarget"),
        ),
    ),
)


@formula
def huber_formula(x: Any, target: Any, weight: Any = None, reduction: str = "mean", delta: float = 1.0) -> Any:
    """w·d²/2 where |d| ≤ δ, else w·δ·(|d| − δ/2)."""
    d, b = x - target, rounded(delta, x)
    losses = np.where(np.abs(value(d)) <= delta, d * d / 2, b * (magnitude(d) - b / 2))
    return reduced(losses if weight is None else weight * losses, reduction)


def huber_jax(jax: Any, x: Any, target: Any, weight: Any = None, reduction: str = "mean", delta: float = 1.0) -> Any:
    jnp = jax.numpy
    d = x - target
    near = jnp.abs(d) <= delta
    losses = jnp.where(near, jnp.square(jnp.where(near, d, 0)) / 2, delta * (magnitude_jax(jax, d) - delta / 2))
    return reduced(losses if weight is None else weight * losses, reduction)


huber_loss = Operation(
    function=mint.huber_loss,
    draw=draw_error(weighted=True, delta=st.sampled_from((1.0, 0.5, 2, 0.3))),
    spoil=spoil_error(weighted=True, delta=(0.0, -1.0, "wide")),
    equations=huber_formula,
    torch=lambda F, x, target, weight=None, **hyper: F.huber_loss(x, target, weight=weight, **hyper),
    jax=huber_jax,
    nonfinite=("x",),
)


# --- classes ------------------------------------------------------------------------------------------------


def draw_classes(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """(N, C), (N, C, d1, …) or (C,) with indices, with and without class weights."""
    classes = draw(st.sampled_from((2, 1, 3, 10, 33)))
    batch = draw(st.sampled_from((1, 2, 3, 5, 2, 3, 5, 0, None)))
    rest = () if batch is None else tuple(draw(st.lists(axis_length(1, 2, 3), max_size=2)))
    shapes: Shapes = {
        "x": (classes,) if batch is None else (batch, classes, *rest),
        "target": () if batch is None else (batch, *rest),
    }
    if draw(st.booleans()):
        shapes["weight"] = (classes,)
    return shapes, {
        "reduction": draw(REDUCTIONS),
        "ignore_index": draw(st.sampled_from((-100, 0, classes - 1, 255))),
    }


def draw_cross_entropy(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Indices, or probabilities, with which nothing is ignored."""
    shapes, hyper = draw_classes(draw)
    # 1 would multiply an infinite loss of the index by 0
    smoothing = draw(st.sampled_from((0.0, 0.1, 0.5, 0.9)))
    if draw(st.booleans()):
        shapes["target"] = shapes["x"]
        hyper["ignore_index"] = draw(st.sampled_from((-100, -1)))
        smoothing = draw(st.sampled_from((smoothing, 1)))
    return shapes, {**hyper, "label_smoothing": smoothing}


def spoil_classes(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A wrong reduction, weights for other classes, targets of another shape."""
    what = draw(st.sampled_from(("reduction", "weight", "target")))
    if what == "reduction":
        return spoil_reduction(draw, shapes, hyper)
    if what == "weight":
        classes = shapes["x"][0 if len(shapes["x"]) == 1 else 1]
        return what, {**shapes, what: (classes + 1,)}, hyper
    return what, {**shapes, what: (*shapes["target"], 2, 2)}, hyper


def spoil_cross_entropy(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """As `spoil_classes`; a smoothing out of range, a class to be ignored among probabilities."""
    what = draw(st.sampled_from(("label_smoothing", "ignore_index", "")))
    if what == "label_smoothing":
        # not −0.1: PyTorch ignores a negative smoothing, Mint refuses it
        return what, shapes, {**hyper, what: draw(st.sampled_from((1.5, "some")))}
    if what == "ignore_index":
        return what, {**shapes, "target": shapes["x"]}, {**hyper, what: draw(st.sampled_from((0, 255)))}
    return spoil_classes(draw, shapes, hyper)


def holds_probabilities(configuration: Configuration) -> bool:
    """Whether the target has a number for each class."""
    return configuration.shapes["target"] == configuration.shapes["x"]


def some_ignored(rng: np.random.Generator, shape: tuple[int, ...], classes: int, ignore_index: int) -> Array:
    """Classes, one in five of them to be ignored."""
    indices = rng.integers(0, classes, shape)
    ignored = rng.random(shape) < 1 / 5
    return np.asarray(np.where(ignored, ignore_index, indices))


def class_indices(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Classes of the scores x, one in five to be ignored."""
    x, shape = configuration.shapes["x"], configuration.shapes["target"]
    return some_ignored(rng, shape, x[0 if len(x) == 1 else 1], configuration.hyper.get("ignore_index", -100))


def cross_entropy_of(
    x: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """−Σ_c w_c q_c log p_c, q_c = (1 − ε)·t_c + ε/C, where t is 1 for the class that is the target, else 0."""
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    along = [-1 if a == axis else 1 for a in range(x.ndim)]
    w = (np.ones(classes, x.dtype) if weight is None else weight).reshape(along)
    shifted = x - value(x).max(axis, keepdims=True, initial=-np.inf)
    # a NaN is there for all of its row, also for what e^−∞ = 0 would keep out of it
    undefined = np.isnan(value(shifted)).any(axis, keepdims=True)
    shifted = straight_through(np.where(undefined, np.nan, shifted), shifted)
    log_p = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    smoothing = rounded(label_smoothing, x)
    if target.shape == x.shape:
        total = prod(n for a, n in enumerate(x.shape) if a != axis)
        q = target if label_smoothing == 0 else (1 - smoothing) * target + smoothing / classes
        return reduced(-(q * w * log_p).sum(axis), reduction, total)
    counts = np.expand_dims(target != ignore_index, axis)
    hit = counts & (np.expand_dims(target, axis) == np.arange(classes).reshape(along))
    losses = np.where(hit, -w * log_p, 0).sum(axis)
    if label_smoothing:
        losses = (1 - smoothing) * losses + smoothing / classes * np.where(counts, -w * log_p, 0).sum(axis)
    # of weights, or if there are none of targets
    return reduced(losses, reduction, np.where(hit, w, 0).sum())


@formula
def cross_entropy_formula(
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """See `cross_entropy_of`."""
    return cross_entropy_of(x, target, weight, ignore_index, reduction, label_smoothing)


def cross_entropy_jax(
    jax: Any,
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    jnp = jax.numpy
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    w = jnp.ones(classes, x.dtype) if weight is None else weight
    along = w.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    if target.shape == x.shape:
        q = (1 - label_smoothing) * target + label_smoothing / classes
        losses = -(q * along * jax.nn.log_softmax(x, axis=axis)).sum(axis=axis)
        return reduced(losses, reduction)
    kept = target != ignore_index
    target = jnp.where(kept, target, 0)
    # an ignored sample adds nothing, whatever it holds: 0·NaN would
    logarithms = jax.nn.log_softmax(jnp.where(jnp.expand_dims(kept, axis), x, 0), axis=axis)
    loss = -jnp.take_along_axis(logarithms, jnp.expand_dims(target, axis), axis=axis).squeeze(axis)
    loss = loss * w[target]
    if label_smoothing:
        smooth = -(logarithms * along).sum(axis=axis)
        loss = (1 - label_smoothing) * loss + label_smoothing / classes * smooth
    loss = jnp.where(kept, loss, 0)
    return reduced(loss, reduction, jnp.where(kept, w[target], 0).sum())


NO_SLOPE_OF_WEIGHT = "PyTorch does not differentiate {} with respect to the class weights"

cross_entropy = Operation(
    function=mint.cross_entropy,
    underflows=True,
    draw=draw_cross_entropy,
    spoil=spoil_cross_entropy,
    equations=cross_entropy_formula,
    jax=cross_entropy_jax,
    integer={"target": class_indices},
    floating={"target": holds_probabilities},
    adjust={"weight": positive_weight},
    nonfinite=("x",),
    limitations=(
        Limitation(
            "torch",
            NO_SLOPE_OF_WEIGHT.format("cross_entropy of indices"),
            applies=lambda case: not holds_probabilities(case.configuration),
            tensors=("gweight",),
        ),
        Limitation(
            "torch",
            "PyTorch multiplies what an ignored row holds by 0, and makes NaN of NaN and infinity",
            applies=lambda case: has_nan(case) and not holds_probabilities(case.configuration),
            tensors=("gx",),
        ),
    ),
)


def draw_linear_cross_entropy(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """As `draw_cross_entropy`, the logits a product of x and a weight; with and without bias."""
    shapes, hyper = draw_cross_entropy(draw)
    logits = shapes["x"]
    if hyper["ignore_index"] in (-100, -1):
        hyper["ignore_index"] = None
    inner = draw(axis_length(3, 1, 2, 8, 17))
    batch = logits[: len(logits) > 1]
    made: Shapes = {"x": (*batch, inner), "linear_weight": (*logits[len(batch) :], inner), "target": shapes["target"]}
    if draw(st.booleans()):
        made["linear_bias"] = logits[len(batch) :]
    if "weight" in shapes:
        made["weight"] = shapes["weight"]
    return made, hyper


def logits_shape(configuration: Configuration) -> tuple[int, ...]:
    """(N, C, d1, …) or (C,)."""
    return (*configuration.shapes["x"][:-1], *configuration.shapes["linear_weight"][:-1])


def spoil_linear_cross_entropy(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Shapes that do not fit; a class to be ignored among probabilities."""
    logits = (*shapes["x"][:-1], *shapes["linear_weight"][:-1])
    what = draw(st.sampled_from(("linear_weight", "linear_bias", "x", "ignore_index", "label_smoothing", "")))
    if what == "linear_weight":
        *rest, inner = shapes[what]
        return what, {**shapes, what: (*rest, inner + 1)}, hyper
    if what == "linear_bias":
        first, *rest = shapes["linear_weight"][:-1]
        return what, {**shapes, what: (first + 1, *rest)}, hyper
    if what == "x":
        return what, {**shapes, what: (1, 1, *shapes["x"])}, hyper
    if what == "ignore_index":
        return what, {**shapes, "target": logits}, {**hyper, what: draw(st.sampled_from((-100, 0)))}
    if what == "label_smoothing":
        return what, shapes, {**hyper, what: draw(st.sampled_from((1.5, "some")))}
    what, spoilt, hyper = spoil_classes(draw, {**shapes, "x": logits}, hyper)
    return what, {**spoilt, "x": shapes["x"]}, hyper


def indices_of_logits(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Classes of the logits, one in five to be ignored."""
    classes = configuration.shapes["linear_weight"][0]
    ignored = configuration.hyper.get("ignore_index")
    return some_ignored(rng, configuration.shapes["target"], classes, -100 if ignored is None else ignored)


@formula
def linear_cross_entropy_formula(
    x: Any,
    linear_weight: Any,
    target: Any,
    linear_bias: Any = None,
    weight: Any = None,
    *,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of z_nc = Σ_i x_ni·W_ci + b_c."""
    outputs = linear_weight.shape[:-1]
    z = x @ linear_weight.reshape((prod(outputs), x.shape[-1])).T
    logits = z.reshape((*x.shape[:-1], *outputs))
    if linear_bias is not None:
        logits = logits + linear_bias
    index = -100 if ignore_index is None else ignore_index
    return cross_entropy_of(logits, target, weight, index, reduction, label_smoothing)


def linear_cross_entropy_torch(
    F: Any, x: Any, linear_weight: Any, target: Any, linear_bias: Any = None, weight: Any = None, **hyper: Any
) -> Any:
    return F.linear_cross_entropy(x, linear_weight, target, linear_bias=linear_bias, weight=weight, **hyper)


def linear_cross_entropy_jax(
    jax: Any,
    x: Any,
    linear_weight: Any,
    target: Any,
    linear_bias: Any = None,
    weight: Any = None,
    *,
    ignore_index: int | None = None,
    **hyper: Any,
) -> Any:
    logits = jax.numpy.tensordot(x, linear_weight, axes=(-1, -1))
    logits = logits if linear_bias is None else logits + linear_bias
    index = -100 if ignore_index is None else ignore_index
    return cross_entropy_jax(jax, logits, target, weight, ignore_index=index, **hyper)


def is_indexed(case: Case) -> bool:
    """Whether the target holds classes."""
    return case.configuration.shapes["target"] != logits_shape(case.configuration)


linear_cross_entropy = Operation(
    function=mint.linear_cross_entropy,
    underflows=True,
    draw=draw_linear_cross_entropy,
    spoil=spoil_linear_cross_entropy,
    equations=linear_cross_entropy_formula,
    torch=linear_cross_entropy_torch,
    jax=linear_cross_entropy_jax,
    integer={"target": indices_of_logits},
    floating={"target": lambda configuration: configuration.shapes["target"] == logits_shape(configuration)},
    adjust={"weight": positive_weight},
    # what two infinite products add up to is an accident
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            NO_SLOPE_OF_WEIGHT.format("linear_cross_entropy of indices"),
            applies=is_indexed,
            tensors=("gweight",),
        ),
    ),
)
