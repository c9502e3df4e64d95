"""Losses that are negative logarithms of a likelihood: definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case
from oracles.distance import broadcast_pair, rounded
from oracles.draw import elementwise
from oracles.formula import Traced, constant, formula, straight_through, value, x_log_x
from oracles.loss import (
    NO_SLOPE_OF_WEIGHT,
    REDUCTIONS,
    class_indices,
    draw_classes,
    positive_weight,
    reduced,
    spoil_classes,
    spoil_reduction,
)
from oracles.operation import Array, Draw, Hyper, Limitation, Operation, Shapes, Spoil
from oracles.precision import HALF
from oracles.summation import growth

#: PyTorch's: the least logarithm of a probability in binary_cross_entropy, and the least x·(1 − x) in its gradient.
LEAST_LOG = -100
LEAST_VARIANCE = float(np.float32(1e-12))
TWO_PI = "6.2831853071795864769252867665590057683943387987502"


def has_zeros(case: Case) -> bool:
    """Whether numbers that are 0, or may be taken for it, stand in the input."""
    return case.fill in ("integers", "ties", "special", "subnormal", "largest")


# --- classes ------------------------------------------------------------------------------------------------


@formula
def nll_formula(x: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """−w_t·x_t, t the target."""
    axis = 0 if x.ndim == 1 else 1
    counts = target != ignore_index
    index = np.where(counts, target, 0)
    own = np.take_along_axis(x, np.expand_dims(index, axis), axis).reshape(target.shape)
    if weight is None:
        return reduced(np.where(counts, -own, 0), reduction, counts.sum())
    w = np.where(counts, weight[index], 0)
    return reduced(np.where(counts, -own * w, 0), reduction, w.sum())


def nll_jax(
    jax: Any, x: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    jnp = jax.numpy
    axis = 0 if x.ndim == 1 else 1
    w = jnp.ones(x.shape[axis], x.dtype) if weight is None else weight
    kept = target != ignore_index
    index = jnp.where(kept, target, 0)
    own = jnp.take_along_axis(x, jnp.expand_dims(index, axis), axis=axis).squeeze(axis)
    losses = jnp.where(kept, -own * w[index], 0)
    return reduced(losses, reduction, jnp.where(kept, w[index], 0).sum())


nll_loss = Operation(
    function=mint.nll_loss,
    draw=draw_classes,
    spoil=spoil_classes,
    equations=nll_formula,
    jax=nll_jax,
    integer={"target": class_indices},
    adjust={"weight": positive_weight},
    nonfinite=("x",),
    exact=lambda configuration: (
        configuration.hyper.get("reduction", "mean") != "mean" and "weight" not in configuration.shapes
    ),
    limitations=(Limitation("torch", NO_SLOPE_OF_WEIGHT.format("nll_loss"), tensors=("gweight",)),),
)


# --- bits ---------------------------------------------------------------------------------------------------


def draw_bits(*weights: str) -> Draw:
    """x and target of one shape, and weights that are stretched to it along some axes, or lack the first ones."""

    def drawn(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
        shapes, hyper = elementwise(reduction=REDUCTIONS)(draw)
        shapes["target"] = full = shapes["x"]
        for name in weights:
            if draw(st.booleans()):
                small = tuple(draw(st.sampled_from((n, 1))) for n in full)[draw(st.integers(0, len(full))) :]
                shapes[name] = draw(st.sampled_from((full, small)))
        return shapes, hyper

    return drawn


def spoil_bits(*weights: str) -> Spoil:
    """Another reduction, shapes that do not fit; what broadcasts is not valid either."""

    def spoil(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
        what = draw(st.sampled_from(("reduction", "target", *weights)))
        if what == "reduction":
            return spoil_reduction(draw, shapes, hyper)
        shape = draw(st.sampled_from(((2, 4), (1, 2, 3)) if what in weights else ((2, 4), (1, 3))))
        return what, {"x": (2, 3), "target": (2, 3), what: shape}, hyper

    return spoil


def probability(a: Array) -> Array:
    """Numbers in [0, 1]: 0 and 1 are met by integers, and what is nearly 1 stays so."""
    magnitude = np.asarray(np.abs(a))
    return np.asarray(np.where(magnitude > 1, 1 / np.maximum(magnitude, 1), magnitude))


def not_tiny(gy: Array) -> Array:
    """A cotangent of which no part underflows that an infinite slope, or one of 10¹², would bring back."""
    return np.asarray(np.where(gy == 0, 0, np.copysign(np.maximum(np.abs(gy), 2.0**-12), gy)))


@formula
def bce_formula(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """−w·(t·log x + (1 − t)·log(1 − x)), no logarithm below −100.

    For the slope in x, (1 − t)/(1 − x) − t/x, the two are brought to one denominator, x·(1 − x), where that is small.
    """
    p, t = x.constant, target.constant
    hit, miss = np.maximum(np.log(p), LEAST_LOG), np.maximum(np.log1p(-p), LEAST_LOG)
    small = value(p * (1 - p)) < LEAST_VARIANCE
    inner = np.where(small, 0.5, p)
    slope = np.where(small, (p - t) / LEAST_VARIANCE, (1 - t) / (1 - inner) - t / inner)
    losses = -target * hit - (1 - target) * miss
    if weight is not None:
        losses, slope = weight * losses, weight.constant * slope
    return reduced(losses + straight_through(0 * x, x, slope), reduction)


def bce_jax(jax: Any, x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    jnp = jax.numpy
    hit, miss = jnp.maximum(jnp.log(x), LEAST_LOG), jnp.maximum(jnp.log1p(-x), LEAST_LOG)
    losses = -target * hit - (1 - target) * miss
    return reduced(losses if weight is None else weight * losses, reduction)


def meets_the_ends(case: Case) -> bool:
    """Whether a probability may be 0 or 1."""
    return has_zeros(case) or case.fill == "cancelling" or case.configuration.dtype in HALF


binary_cross_entropy = Operation(
    function=mint.binary_cross_entropy,
    draw=draw_bits("weight"),
    spoil=spoil_bits("weight"),
    equations=bce_formula,
    jax=bce_jax,
    adjust={"x": probability, "target": probability, "gy": not_tiny},
    # what is no probability is refused
    nonfinite=(),
    limitations=(
        Limitation("torch", NO_SLOPE_OF_WEIGHT.format("binary_cross_entropy"), tensors=("gweight",)),
        Limitation(
            "jax",
            "the slope where x is 0 or 1 is a convention: PyTorch has (x - target)/1e-12, jnp.maximum 0 or NaN",
            applies=meets_the_ends,
            tensors=("gx",),
        ),
        Limitation(
            "torch",
            "PyTorch multiplies gy by x - target before it divides by 1e-12: what has underflowed comes back",
            applies=lambda case: case.fill == "subnormal",
            tensors=("gx",),
        ),
    ),
)


@formula
def bce_with_logits_formula(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """w·(v·t·log(1 + e^−x) + (1 − t)·log(1 + e^x))."""
    hit = target * np.logaddexp(0, -x)
    losses = (hit if pos_weight is None else pos_weight * hit) + (1 - target) * np.logaddexp(0, x)
    return reduced(losses if weight is None else weight * losses, reduction)


def bce_with_logits_scale(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, gy: Array, reduction: str = "mean"
) -> tuple[Array | None, ...]:
    """Of σ(x) and x − log σ(−x) frameworks form (v·t + 1 − t)·σ(x) − v·t and (1 − t)·x − (1 + (v − 1)·t)·log σ(x).

    G allows for these: with c = 1 + |t| + |v·t| it is |w|·c·(1 + |x|), |w|·c in x, |w|·(1 + |v|)·(1 + |x|) in t, and
    where it is summed as much more as the sum's `growth`.
    """
    w, v = np.abs(np.ones((), x.dtype) if weight is None else weight), pos_weight
    v = np.abs(np.ones((), x.dtype) if v is None else v)
    t, most = np.abs(target), 1 + np.abs(x)
    c = 1 + t + v * t
    losses = reduced(w * c * most, reduction) * (1 if reduction == "none" else growth(x.size))
    g = np.broadcast_to(np.abs(gy) / (x.size if reduction == "mean" else 1), x.shape)

    def of_weight(gradient: Array, given: Array | None) -> Array | None:
        return None if given is None else summed(gradient, given.shape) * growth(x.size / max(given.size, 1))

    return (
        np.asarray(losses),
        g * w * c,
        g * w * (1 + v) * most,
        of_weight(g * c * most, weight),
        of_weight(g * w * t * most, pos_weight),
    )


def summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The sum over what was broadcast from this shape."""
    kept = (1,) * (gradient.ndim - len(shape)) + shape
    axes = tuple(a for a, n in enumerate(kept) if n == 1)
    return np.asarray(gradient.sum(axis=axes, keepdims=True)).reshape(shape)


def bce_with_logits_jax(
    jax: Any, x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    hit = target * jax.nn.log_sigmoid(x)
    losses = -(hit if pos_weight is None else pos_weight * hit) - (1 - target) * jax.nn.log_sigmoid(-x)
    return reduced(losses if weight is None else weight * losses, reduction)


binary_cross_entropy_with_logits = Operation(
    function=mint.binary_cross_entropy_with_logits,
    underflows=True,
    draw=draw_bits("weight", "pos_weight"),
    spoil=spoil_bits("weight", "pos_weight"),
    equations=bce_with_logits_formula,
    scale=bce_with_logits_scale,
    torch=lambda F, x, target, weight=None, pos_weight=None, **hyper: F.binary_cross_entropy_with_logits(
        x, target, weight, pos_weight=pos_weight, **hyper
    ),
    jax=bce_with_logits_jax,
    # 0·∞ in one way of writing is 0 in another
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            NO_SLOPE_OF_WEIGHT.format("binary_cross_entropy_with_logits"),
            tensors=("gweight", "gpos_weight"),
        ),
    ),
)


# --- distributions, counts and measurements -----------------------------------------------------------------


def draw_pair(*reductions: str, **hyper: st.SearchStrategy[Any]) -> Draw:
    """x and target, which broadcast."""

    def drawn(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
        chosen = st.sampled_from(("mean", "sum", "none", *reductions))
        shapes, drawn_hyper = elementwise(**hyper, reduction=chosen)(draw)
        first, second = broadcast_pair(draw, shapes["x"]) if shapes["x"] else ((), ())
        return {"x": first, "target": second}, drawn_hyper

    return drawn


def spoil_pair(**wrong: tuple[Any, ...]) -> Spoil:
    """Another reduction, shapes that do not broadcast, hyper-parameters that are none."""

    def spoil(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
        what = draw(st.sampled_from(("reduction", "target", *wrong)))
        if what == "reduction":
            return spoil_reduction(draw, shapes, hyper)
        if what == "target":
            return what, {"x": (2, 3), what: (2, 4)}, hyper
        return what, shapes, {**hyper, what: draw(st.sampled_from(wrong[what]))}

    return spoil


def up_to_four(a: Array) -> Array:
    """Probabilities, or logarithms of which the exponential does not overflow in half precision."""
    magnitude = np.asarray(np.abs(a))
    return np.asarray(np.where(magnitude > 4, 1 / np.maximum(magnitude, 1), magnitude))


@formula
def kl_formula(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """t·(log t − x), or e^t·(t − x)."""
    losses = np.exp(target) * (target - x) if log_target else x_log_x(target) - target * x
    if reduction == "batchmean":
        return reduced(losses, "mean", x.shape[0] if x.ndim else 1)
    return reduced(losses, reduction)


def kl_jax(jax: Any, x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    jnp = jax.numpy
    losses = jnp.exp(target) * (target - x) if log_target else jax.scipy.special.xlogy(target, target) - target * x
    if reduction == "batchmean":
        return reduced(losses, "mean", x.shape[0] if x.ndim else 1)
    return reduced(losses, reduction)


def has_no_slope(case: Case) -> bool:
    """Whether a target that is no logarithm may be 0."""
    return has_zeros(case) and not case.configuration.hyper.get("log_target", False)


kl_div = Operation(
    function=mint.kl_div,
    underflows=True,
    draw=draw_pair("batchmean", log_target=st.booleans()),
    spoil=spoil_pair(log_target=("yes",)),
    equations=kl_formula,
    jax=kl_jax,
    adjust={"target": up_to_four, "gy": not_tiny},
    nonfinite=("x",),
    limitations=tuple(
        Limitation(
            reference,
            "where the target is 0 the slope is -inf; PyTorch and JAX have 0/0 in it",
            applies=has_no_slope,
            tensors=("gtarget",),
        )
        for reference in ("torch", "jax")
    ),
)


@formula
def poisson_nll_formula(
    x: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """e^x − t·x, or x − t·log(x + ε); and t·log t − t + ½·log(2π·t) where t > 1."""
    losses = np.exp(x) - target * x if log_input else x - target * np.log(x + rounded(eps, x))
    if full:
        t: Any = np.where(value(target) > 1, target, 1)
        log_factorial = x_log_x(t) - t + np.log(constant(x, TWO_PI) * t) / 2
        losses = losses + np.where(value(target) > 1, log_factorial, 0)
    return reduced(losses, reduction)


def poisson_nll_jax(
    jax: Any,
    x: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    jnp = jax.numpy
    losses = jnp.exp(x) - target * x if log_input else x - target * jnp.log(x + eps)
    if full:
        t = jnp.where(target > 1, target, 1)
        log_factorial = t * jnp.log(t) - t + jnp.log(2 * math.pi * t) / 2
        losses = losses + jnp.where(target > 1, log_factorial, 0)
    return reduced(losses, reduction)


def moderate(a: Array) -> Array:
    """Rates, their logarithms, and variances, in [1/64, 8] or not finite: 1/x does not bring underflow back."""
    magnitude = np.asarray(np.abs(a))
    inverted = np.where((magnitude > 8) & (magnitude < np.inf), 8 / np.maximum(magnitude, 1), magnitude)
    return np.maximum(inverted, 1 / 64)


def count(a: Array) -> Array:
    """Counts."""
    return np.asarray(np.abs(a))


def rate_or_logarithm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """x and target, which broadcast; every form of the rate."""
    return draw_pair(
        log_input=st.sampled_from((True, False)), full=st.booleans(), eps=st.sampled_from((1e-8, 1e-3, 0.1))
    )(draw)


poisson_nll_loss = Operation(
    function=mint.poisson_nll_loss,
    draw=rate_or_logarithm,
    spoil=spoil_pair(log_input=("yes",), full=("no",), eps=("tiny",)),
    equations=poisson_nll_formula,
    jax=poisson_nll_jax,
    adjust={"x": moderate, "target": count},
    nonfinite=("x",),
    limitations=tuple(
        Limitation(
            reference,
            f"{said} multiplies an infinite slope with the sum of no cotangents, and makes NaN of it",
            applies=lambda case: case.fill == "special" and 0 in case.configuration.shapes["target"],
            tensors=("gx",),
        )
        for reference, said in (("torch", "PyTorch"), ("jax", "JAX"))
    ),
)


def draw_gaussian(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """x and target, which broadcast, and a variance for each element, each row, or along one axis."""
    shapes, hyper = draw_pair(full=st.booleans(), eps=st.sampled_from((1e-6, 0.1, 0.5)))(draw)
    x = shapes["x"]
    forms = [x]
    if x:
        axis = draw(st.integers(0, len(x) - 1))
        forms += [x[:-1], (*x[:axis], 1, *x[axis + 1 :])]
    return {**shapes, "var": draw(st.sampled_from(forms))}, hyper


def spoil_gaussian(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """As `spoil_pair`; variances of another shape."""
    if draw(st.booleans()):
        shape = draw(st.sampled_from(((3,), (2, 2), (1, 1), (), (2, 3, 1))))
        return "var", {"x": (2, 3), "target": (2, 3), "var": shape}, hyper
    what, spoilt, hyper = spoil_pair(eps=("tiny",))(draw, shapes, hyper)
    return what, {**spoilt, "var": spoilt["x"]}, hyper


@formula
def gaussian_nll_formula(
    x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """½·(log v + (x − t)²/v), v = max(var, ε), with the slope in var that it has in v; and ½·log 2π."""
    if var.shape != x.shape and var.shape == x.shape[:-1]:
        var = var.reshape((*var.shape, 1))
    v = straight_through(np.maximum(var, rounded(eps, x)), var)
    d = x - target
    losses = (np.log(v) + d * d / v) / 2
    if full:
        half = np.log(constant(x, TWO_PI)) / 2
        losses = losses + Traced(half, half)
    return reduced(losses, reduction)


def gaussian_nll_jax(
    jax: Any, x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    jnp = jax.numpy
    if var.shape != x.shape and var.shape == x.shape[:-1]:
        var = var[..., None]
    v = var + jax.lax.stop_gradient(jnp.maximum(var, eps) - var)
    losses = (jnp.log(v) + jnp.square(x - target) / v) / 2
    if full:
        losses = losses + math.log(2 * math.pi) / 2
    return reduced(losses, reduction)


gaussian_nll_loss = Operation(
    function=mint.gaussian_nll_loss,
    draw=draw_gaussian,
    spoil=spoil_gaussian,
    equations=gaussian_nll_formula,
    jax=gaussian_nll_jax,
    adjust={"var": moderate},
    nonfinite=("x",),
)
