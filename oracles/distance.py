"""Distances and similarities between vectors: definitions."""

from __future__ import annotations

import math
from math import inf
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.draw import axis_length
from oracles.formula import Traced, formula, value
from oracles.norm import in_single
from oracles.operation import Hyper, Limitation, Operation, Shapes
from oracles.precision import HALF

#: Degrees of a norm that cdist and pdist take.
DEGREES = (2.0, 1.0, inf, 0.0, 3.0, 1.5, 0.5)
#: Neither NaN, infinities nor the largest numbers: the slope at a NaN differs in PyTorch from degree to degree, and in
#: PyTorch and JAX alike the squares of large differences overflow.
UNJUDGED: tuple[str, ...] = ()


def broadcast_pair(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """This shape twice, or one of the two stretched along some of its axes, or lacking the first ones."""
    if draw(st.sampled_from((True, True, False))):
        return shape, shape
    small = tuple(draw(st.sampled_from((n, 1))) for n in shape)[draw(st.integers(0, len(shape) - 1)) :]
    return (shape, small) if draw(st.booleans()) else (small, shape)


def vectors(draw: st.DrawFn) -> tuple[int, ...]:
    """(…, D) with up to two axes before the last."""
    before = draw(st.lists(axis_length(2, 3, 1, 5), max_size=2))
    return (*before, draw(st.sampled_from((3, 1, 2, 8, 33))))


def rounded(number: float, like: Any) -> Any:
    """A hyper-parameter that need not be a number of the dtype at hand, and is rounded to it once."""
    return Traced(np.asarray(number, like.dtype), abs(number))


def norm_formula(d: Any, p: float, *, share_ties: bool) -> Any:
    """(Σ |d|^p)^(1/p) over the last axis; 0 where all of d is 0, with no slope there."""
    # longdouble has no higher precision in which the powers of its smallest numbers do not underflow or overflow: such
    # vectors are measured in a power of two near the element that rules the sum, and their norm is so many of it, with
    # the same slope; in a unit far from it, the rounding of 1/p would count as often as the sum has octaves
    a, least, one = abs(value(d)), np.finfo(d.dtype).minexp, d.dtype.type(1)
    tiny = a < np.ldexp(one, least // 2)
    far = (tiny.all(-1) if p > 0 else tiny.any(-1)) & (p != 0) & (not math.isinf(p))
    ruling = a.max(-1, initial=0) if p > 0 else a.min(-1, initial=np.inf)
    unit = np.ldexp(one, np.where(far, np.frexp(ruling)[1], 0))
    scaled = Traced(d.value / unit[..., None], d.bound / unit[..., None], [(d, lambda g: g)])
    y = _norm_formula(scaled, p, share_ties=share_ties)
    return Traced(y.value * unit, y.bound * unit, [(y, lambda g: g)])


def _norm_formula(d: Any, p: float, *, share_ties: bool) -> Any:
    plain = value(d)
    a = np.sign(plain) * d  # |d|, whose slope at 0 is 0
    if p == 0:
        return np.where(np.isnan(plain), d * 0, (plain != 0).astype(plain.dtype)).sum(-1)
    if math.isinf(p):
        extreme = (np.max(abs(plain), -1, initial=0) if p > 0 else np.min(abs(plain), -1))[..., None]
        hit = (abs(plain) == extreme) | np.isnan(plain)
        if share_ties:
            return np.where(hit, a, 0).sum(-1) / np.maximum(hit.sum(-1), 1)
        # every one of the tied has the whole slope: their sum, less what was counted too often
        level = np.where(np.isfinite(extreme), extreme, 0)
        return np.where(hit, a - level, 0).sum(-1) + level[..., 0]
    absent = plain == 0
    powers = np.where(absent, 0, np.where(absent, 1, a) ** p)
    total = powers.sum(-1)
    nothing = absent.any(-1) if p < 0 else value(total) == 0
    safe = np.where(nothing, 1, total)
    root = np.sqrt(safe) if p == 2 else safe ** (plain.dtype.type(1) / plain.dtype.type(p))
    return np.where(nothing, 0, root)


def norm_jax(jax: Any, d: Any, p: float) -> Any:
    jnp = jax.numpy
    a = jnp.where(d == 0, 0, jnp.abs(d))  # jnp.abs has the slope 1 at 0
    if p == 0:
        return jnp.where(jnp.isnan(d), d * 0, (d != 0).astype(d.dtype)).sum(-1)
    if p == inf:
        return a.max(-1, initial=0)
    if p == -inf:
        return a.min(-1)
    if p == 1:
        return a.sum(-1)
    # the branch not taken gets a harmless argument, so that its gradient is not inf·0
    absent = a == 0
    powers = jnp.where(absent, 0, jnp.where(absent, 1, a) ** p)
    total = powers.sum(-1)
    nothing = absent.any(-1) if p < 0 else total == 0
    return jnp.where(nothing, 0, jnp.where(nothing, 1, total) ** (1 / p))


def connected(y: Any, *tensors: Any) -> Any:
    # for p = 0 PyTorch's result has no graph; the sum of no elements joins it to one
    return y + sum(t.flatten()[:0].sum() for t in tensors)


# --- cosine similarity --------------------------------------------------------------------------------------


def draw_cosine(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two arrays that broadcast, any axis of their common shape, counted from either end."""
    shape = tuple(draw(st.lists(axis_length(3, 2, 1, 5, 17), min_size=1, max_size=3)))
    first, second = broadcast_pair(draw, shape)
    axes = len(np.broadcast_shapes(first, second))
    axis = draw(st.integers(0, axes - 1))
    return {"x1": first, "x2": second}, {
        "dim": axis - axes if draw(st.booleans()) else axis,
        "eps": draw(st.sampled_from((1e-8, 1e-3, 0.5))),
    }


def spoil_cosine(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there, a negative eps, or shapes that do not broadcast."""
    what = draw(st.sampled_from(("dim", "eps", "x2")))
    if what == "dim":
        axes = len(np.broadcast_shapes(*shapes.values()))
        return what, shapes, {**hyper, what: draw(st.sampled_from((axes, -axes - 1)))}
    if what == "eps":
        return what, shapes, {**hyper, what: draw(st.sampled_from((-1.0, "small")))}
    return what, {"x1": (3, 2), "x2": (3, 4)}, {**hyper, "dim": 0}


@formula
def cosine_similarity_formula(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Σ x1·x2 / (max(‖x1‖, ε)·max(‖x2‖, ε))."""
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    a, b = np.broadcast_to(x1, shape), np.broadcast_to(x2, shape)

    def length(x: Any) -> Any:
        squares = (x * x).sum(dim)
        short = np.sqrt(value(squares)) < eps
        return np.where(short, eps, np.sqrt(np.where(short, 1, squares)))

    return (a * b).sum(dim) / (length(a) * length(b))


def cosine_similarity_jax(jax: Any, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    jnp, dtype = jax.numpy, x1.dtype
    x1, x2 = jnp.broadcast_arrays(*in_single(jax, x1, x2))

    def unit(x: Any) -> Any:
        squares = jnp.square(x).sum(axis=dim, keepdims=True)
        short = squares < eps * eps
        # the branch not taken gets a harmless argument, so that its gradient is not inf·0
        return x / jnp.where(short, eps, jnp.sqrt(jnp.where(short, 1, squares)))

    return (unit(x1) * unit(x2)).sum(axis=dim).astype(dtype)


cosine_similarity = Operation(
    function=mint.cosine_similarity,
    draw=draw_cosine,
    spoil=spoil_cosine,
    equations=cosine_similarity_formula,
    jax=cosine_similarity_jax,
    nonfinite=UNJUDGED,
)


# --- pairwise distance --------------------------------------------------------------------------------------


def draw_pairwise(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two arrays of vectors that broadcast, all degrees."""
    first, second = broadcast_pair(draw, vectors(draw))
    return {"x1": first, "x2": second}, {
        "p": draw(st.sampled_from((*DEGREES, -inf, -1.0, -2.0))),
        "eps": draw(st.sampled_from((1e-6, 0.0, 0.1))),
        "keepdim": draw(st.booleans()),
    }


def spoil_pairwise(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Shapes that do not broadcast, a degree or a flag that is a word, a maximum of nothing."""
    what = draw(st.sampled_from(("x2", "p", "keepdim", "empty")))
    if what == "x2":
        return what, {"x1": (2, 3), "x2": (2, 4)}, hyper
    if what == "empty":
        return what, {"x1": (2, 0), "x2": (2, 0)}, {**hyper, "p": draw(st.sampled_from((inf, -1.0)))}
    return what, shapes, {**hyper, what: "some"}


@formula
def pairwise_distance_formula(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """‖x1 − x2 + ε‖ₚ over the last axis."""
    y = norm_formula(x1 - x2 + rounded(eps, x1), p, share_ties=True)
    return np.expand_dims(y, -1) if keepdim else y


def pairwise_distance_jax(jax: Any, x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    dtype = x1.dtype
    x1, x2 = in_single(jax, x1, x2)
    y = norm_jax(jax, x1 - x2 + eps, p).astype(dtype)
    return y[..., None] if keepdim else y


def ties_in_half(case: Case) -> bool:
    """Whether differences may be tied only because they are rounded."""
    return math.isinf(case.configuration.hyper.get("p", 2.0)) and case.configuration.dtype in HALF


def adds_exactly(configuration: Configuration) -> bool:
    """Distances that only count, add or choose."""
    hyper = configuration.hyper
    return hyper.get("p", 2.0) in (0, 1, inf) and hyper.get("eps", 0.0) == 0


TIES_IN_HALF = "which of the differences are tied depends on their rounding to half precision"

pairwise_distance = Operation(
    function=mint.pairwise_distance,
    draw=draw_pairwise,
    spoil=spoil_pairwise,
    equations=pairwise_distance_formula,
    torch=lambda F, x1, x2, **hyper: connected(F.pairwise_distance(x1, x2, **hyper), x1, x2),
    jax=pairwise_distance_jax,
    exact=lambda configuration: (
        "eps" in configuration.hyper and adds_exactly(configuration) and configuration.hyper.get("p", 2.0) != inf
    ),
    nonfinite=UNJUDGED,
    limitations=(Limitation("torch", TIES_IN_HALF, applies=ties_in_half, tensors=("gx1", "gx2")),),
)


# --- all pairs ----------------------------------------------------------------------------------------------


def draw_cdist(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two sets of vectors, leading axes that broadcast, sets of more than 25 now and then."""
    rows, columns = draw(axis_length(3, 2, 1, 5)), draw(axis_length(2, 3, 1, 5))
    if draw(st.integers(0, 15)) == 15:
        rows = 27
    length = draw(st.sampled_from((3, 1, 2, 8, 4, 0)))
    first, second = broadcast_pair(draw, (*draw(st.lists(axis_length(2, 1, 3), max_size=2)), 1))
    return {"x1": (*first[:-1], rows, length), "x2": (*second[:-1], columns, length)}, {
        "p": draw(st.sampled_from(DEGREES)),
        "compute_mode": draw(
            st.sampled_from(
                (
                    "use_mm_for_euclid_dist_if_necessary",
                    "donot_use_mm_for_euclid_dist",
                    "use_mm_for_euclid_dist",
                )
            )
        ),
    }


def spoil_cdist(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Vectors of different lengths, one vector alone, a negative degree, another mode."""
    what = draw(st.sampled_from(("length", "ndim", "p", "compute_mode")))
    if what == "length":
        return what, {**shapes, "x2": (2, shapes["x1"][-1] + 1)}, hyper
    if what == "ndim":
        return what, {**shapes, "x2": shapes["x1"][-1:]}, hyper
    return what, shapes, {**hyper, what: -1.0 if what == "p" else "fast"}


@formula
def cdist_formula(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "") -> Any:
    """‖x1[i] − x2[j]‖ₚ."""
    del compute_mode
    return norm_formula(x1[..., :, None, :] - x2[..., None, :, :], p, share_ties=False)


def cdist_jax(jax: Any, x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "") -> Any:  # noqa: ARG001
    dtype = x1.dtype
    x1, x2 = in_single(jax, x1, x2)
    return norm_jax(jax, x1[..., :, None, :] - x2[..., None, :, :], p).astype(dtype)


def cdist_torch(F: Any, x1: Any, x2: Any, **hyper: Any) -> Any:  # noqa: ARG001
    import torch

    return torch.cdist(x1, x2, **hyper)


def by_product(case: Case) -> bool:
    """Whether PyTorch takes a² + b² − 2ab."""
    configuration = case.configuration
    mode = configuration.hyper.get("compute_mode", "")
    several = max(configuration.shapes[name][-2] for name in ("x1", "x2")) > 25
    mm = mode == "use_mm_for_euclid_dist" or (several and mode != "donot_use_mm_for_euclid_dist")
    return mm and configuration.hyper.get("p", 2.0) == 2


def ties_in_jax(case: Case) -> bool:
    """Whether differences may be tied."""
    tied = case.fill not in ("normal", "cancelling", "wide") or case.configuration.dtype in HALF
    return math.isinf(case.configuration.hyper.get("p", 2.0)) and tied


TIES_IN_JAX = (
    "with p = inf the slope of tied differences is a convention: jnp.max shares it, PyTorch's cdist and pdist \
give it to each"
)

cdist = Operation(
    function=mint.cdist,
    draw=draw_cdist,
    spoil=spoil_cdist,
    equations=cdist_formula,
    torch=cdist_torch,
    jax=cdist_jax,
    exact=adds_exactly,
    nonfinite=UNJUDGED,
    limitations=(
        Limitation(
            "torch",
            "PyTorch computes √(a² + b² − 2ab), asked for by compute_mode or by default for more than 25 vectors, "
            "which cancels, as its documentation says",
            applies=by_product,
        ),
        Limitation("jax", TIES_IN_JAX, applies=ties_in_jax, tensors=("gx1", "gx2")),
    ),
)


def draw_pdist(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """A set of vectors."""
    rows = draw(axis_length(3, 2, 1, 5, 9))
    return {"x": (rows, draw(axis_length(3, 1, 2, 8)))}, {"p": draw(st.sampled_from(DEGREES))}


def spoil_pdist(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another number of axes, or a negative degree."""
    if draw(st.booleans()):
        return "ndim", {"x": draw(st.sampled_from((shapes["x"][1:], (2, *shapes["x"]))))}, hyper
    return "p", shapes, {**hyper, "p": -1.0}


def pairs(rows: int) -> Any:
    return np.triu_indices(rows, 1)


@formula
def pdist_formula(x: Any, p: float = 2.0) -> Any:
    """‖x[i] − x[j]‖ₚ for i < j."""
    first, second = pairs(len(x))
    return norm_formula(x[first] - x[second], p, share_ties=False)


def pdist_jax(jax: Any, x: Any, p: float = 2.0) -> Any:
    dtype = x.dtype
    (x,) = in_single(jax, x)
    first, second = pairs(len(x))
    return norm_jax(jax, x[first] - x[second], p).astype(dtype)


pdist = Operation(
    function=mint.pdist,
    draw=draw_pdist,
    spoil=spoil_pdist,
    equations=pdist_formula,
    jax=pdist_jax,
    exact=adds_exactly,
    nonfinite=UNJUDGED,
    limitations=(
        Limitation("jax", TIES_IN_JAX, applies=ties_in_jax, tensors=("gx",)),
        Limitation(
            "torch",
            "PyTorch's gradient kills the process where there are no rows: it is not called",
            applies=lambda case: case.configuration.shapes["x"][0] == 0,
        ),
    ),
)
