"""Embeddings: rows of a table picked by index: definitions."""

from __future__ import annotations

import itertools
from math import inf, isinf
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.distance import norm_formula, norm_jax, rounded
from oracles.draw import axis_length
from oracles.formula import formula, straight_through, value
from oracles.inputs import make_inputs
from oracles.norm import unit
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.precision import HALF

#: 1.0 is met exactly by rows of zeros and one ±1, the others by no row that is made of few digits.
MAX_NORMS = (None, None, None, None, 1.0, 0.7371, 2.5371, 0.0)
DEGREES = (2.0, 1.0, inf, 3.0, 0.5, 0.0, -1.0, -inf)
MODES = ("mean", "sum", "max")
#: Out of bounds on purpose.
INDICES, OFFSETS = "indices", "offsets"


# --- what embedding and embedding_bag share -----------------------------------------------------------------


def draw_table(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """A table of few rows, so that most are picked more than once; padding from either end; every norm."""
    count, dim = draw(axis_length(3, 2, 5, 8, 1)), draw(axis_length(3, 1, 2, 5, 17))
    hyper: Hyper = {"scale_grad_by_freq": draw(st.sampled_from((False, False, False, True)))}
    if count and draw(st.booleans()):
        hyper["padding_idx"] = draw(st.integers(-count, count - 1))
    hyper["max_norm"] = draw(st.sampled_from(MAX_NORMS))
    if hyper["max_norm"] is not None:
        # of nothing there is no largest and no smallest, which PyTorch refuses
        hyper["norm_type"] = draw(st.sampled_from([p for p in DEGREES if dim or (p >= 0 and not isinf(p))]))
    return {"weight": (count, dim)}, hyper


def spoil_table(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A weight with another number of axes, an index or a padding that is none, words."""
    count, dim = shapes["weight"]
    what = draw(st.sampled_from(("weight", INDICES, "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq")))
    if what == "weight":
        kept = {name: said for name, said in hyper.items() if name in ("mode", "include_last_offset")}
        return what, {**shapes, what: draw(st.sampled_from(((count,), (count, dim, 1))))}, kept
    if what == INDICES:
        return what, shapes, hyper
    wrong = {"padding_idx": (count, -count - 1, 0.5), "scale_grad_by_freq": (1, "yes")}.get(what, ("long",))
    return what, shapes, {**hyper, "max_norm": 1.0, what: draw(st.sampled_from(wrong))}


def indices(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Rows of the weight; where that is to be invalid, the last one is none."""
    count = configuration.shapes["weight"][0]
    made = np.asarray(rng.integers(0, max(count, 1), configuration.shapes["indices"]))
    if configuration.invalid == INDICES:
        made.flat[-1] = rng.choice((-1, count))
    return made


def bounded(rows: Any, max_norm: float | None, norm_type: float) -> Any:
    """Each row w with ‖w‖ > max_norm as w·max_norm/(‖w‖ + 10⁻⁷)."""
    if max_norm is None or not rows.size:
        return rows
    # a power of two that the result does not depend on, in which no norm overflows
    one = unit(rows, (-1,)) if norm_type > 0 else rows.dtype.type(1)
    # of degree 0, PyTorch counts NaN
    counted = (value(rows) != 0).sum(-1).astype(rows.dtype)
    length = (counted if norm_type == 0 else norm_formula(rows / one, norm_type, share_ties=True))[..., None]
    most = rounded(max_norm, rows) / one
    factor = most / (length + rows.dtype.type("1e-7") / one)
    return np.where(value(length) > value(most), rows * factor, rows)


def picked(
    weight: Any,
    places: Array,
    everywhere: Array,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Any:
    """Rows of the weight; the gradient of one is that of the weight but for padding, and divided by how often it is."""
    rows = weight[places]
    slope = None
    if padding_idx is not None or scale_grad_by_freq:
        how_often = (places[..., None] == everywhere.ravel()).sum(-1) if scale_grad_by_freq else 1
        padding = places == (-1 if padding_idx is None else padding_idx % len(weight))
        slope = np.where(padding, 0, rows.dtype.type(1) / how_often)[..., None]
    return straight_through(bounded(rows.constant, max_norm, norm_type), rows, slope)


def bounded_jax(jax: Any, rows: Any, max_norm: float | None, norm_type: float) -> Any:
    jnp = jax.numpy
    if max_norm is None or not rows.size:
        return rows
    wide = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    length = (wide != 0).sum(-1) if norm_type == 0 else norm_jax(jax, wide, norm_type)
    length = length[..., None]
    return jnp.where(length > max_norm, wide * (max_norm / (length + 1e-7)), wide).astype(rows.dtype)


def straight_through_jax(jax: Any, y: Any, x: Any, slope: Any) -> Any:
    """y with the gradient of slope·x."""
    passed = jax.custom_vjp(lambda y, x, slope: y)
    zeros = jax.numpy.zeros_like
    passed.defvjp(lambda y, x, slope: (y, slope), lambda slope, g: (zeros(g), g * slope, zeros(slope)))
    return passed(y, x, slope)


def picked_jax(
    jax: Any,
    weight: Any,
    indices: Any,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Any:
    jnp = jax.numpy
    rows = jnp.take(weight, indices, axis=0)
    slope = jnp.ones(indices.shape, weight.dtype)
    if scale_grad_by_freq:
        slope = slope / (indices[..., None] == indices.ravel()).sum(-1).astype(weight.dtype)
    if padding_idx is not None:
        slope = jnp.where(indices == padding_idx % weight.shape[0], 0, slope)
    y = bounded_jax(jax, jax.lax.stop_gradient(rows), max_norm, norm_type)
    return straight_through_jax(jax, y, rows, slope[..., None])


def copied(weight: Any, hyper: Hyper) -> Any:
    # PyTorch writes the shortened rows into the weight
    return weight if hyper.get("max_norm") is None else weight.clone()


def is_exact(configuration: Configuration) -> bool:
    """Nothing is divided, and no row is made shorter."""
    hyper = configuration.hyper
    divided = hyper.get("scale_grad_by_freq", False) or hyper.get("mode", "sum") == "mean"
    return hyper.get("max_norm") is None and not divided


def overflows(case: Case) -> bool:
    """Whether the norm of the largest or the smallest numbers is taken."""
    return case.fill in ("largest", "subnormal") and case.configuration.hyper.get("max_norm") is not None


OVERFLOW = (
    Limitation("torch", "the powers in PyTorch's norm overflow or underflow", applies=overflows),
    Limitation("jax", "the powers in the norm overflow or underflow", applies=overflows),
)


# --- embedding ----------------------------------------------------------------------------------------------


def draw_embedding(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Indices with up to three axes, none of which is fine."""
    shapes, hyper = draw_table(draw)
    shape = tuple(draw(st.lists(axis_length(3, 1, 2, 5), max_size=3)))
    return {"indices": shape if shapes["weight"][0] else (*shape, 0), **shapes}, hyper


@formula
def embedding_formula(indices: Array, weight: Any, **hyper: Any) -> Any:
    """y[…, d] = weight[indices[…], d]."""
    return picked(weight, indices, indices, **hyper)


embedding = Operation(
    function=mint.embedding,
    draw=draw_embedding,
    spoil=spoil_table,
    equations=embedding_formula,
    torch=lambda F, indices, weight, **hyper: F.embedding(indices, copied(weight, hyper), **hyper),
    jax=lambda jax, indices, weight, **hyper: picked_jax(jax, weight, indices, **hyper),
    integer={"indices": indices},
    exact=is_exact,
    limitations=OVERFLOW,
)


# --- embedding_bag ------------------------------------------------------------------------------------------


def draw_bag(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Rows of indices, or one axis of them cut into bags, some empty; every mode; weights of the samples with "sum"."""
    shapes, hyper = draw_table(draw)
    mode = draw(st.sampled_from(MODES))
    hyper["mode"] = mode
    if mode == "max":
        hyper["scale_grad_by_freq"] = False
    count = shapes["weight"][0]
    bags, length = draw(axis_length(3, 2, 5, 1)), draw(st.sampled_from((3, 2, 8, 5, 1)))
    if draw(st.booleans()):
        shapes = {"indices": (bags if count else 0, length), **shapes}
    else:
        last = draw(st.booleans())
        shapes = {"indices": (length if count and (bags or last) else 0,), **shapes, "offsets": (bags + last,)}
        hyper["include_last_offset"] = last
    if mode == "sum" and draw(st.sampled_from((False, True, True))):
        shapes["per_sample_weights"] = shapes["indices"]
    return shapes, hyper


def spoil_bag(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """What `spoil_table` does; a mode that is none or does not fit; offsets that are missing, too many or wrong."""
    hyper = {**hyper, "mode": "sum"}
    what = draw(st.sampled_from(("table", "mode", "samples", "frequency", "given", OFFSETS)))
    if what == "mode":
        return what, shapes, {**hyper, what: draw(st.sampled_from(("min", "")))}
    if what == "samples":
        other = draw(st.booleans())
        samples = (*shapes["indices"], 1) if other else shapes["indices"]
        return what, {**shapes, "per_sample_weights": samples}, hyper if other else {**hyper, "mode": "mean"}
    if what == "frequency":
        shapes = {name: shape for name, shape in shapes.items() if name != "per_sample_weights"}
        return what, shapes, {**hyper, "mode": "max", "scale_grad_by_freq": True}
    if what == "given":
        flat = {name: shape for name, shape in shapes.items() if name != "offsets"}
        return what, flat if "offsets" in shapes else {**shapes, "offsets": (1,)}, hyper
    if what == OFFSETS and "offsets" in shapes:
        return what, shapes, hyper
    return spoil_table(draw, shapes, hyper)


def offsets(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Where the bags begin, not before the one before; where that is to be invalid, not at 0, or behind the end."""
    (count,), length = configuration.shapes["offsets"], configuration.shapes["indices"][0]
    made = np.sort(rng.integers(0, length + 1, count))
    made[:1] = 0
    # mostly the last bag takes what is left
    if configuration.hyper.get("include_last_offset", False) and count > 1 and rng.random() < 3 / 4:
        made[-1] = length
    if configuration.invalid == OFFSETS:
        made[-1] = length + 1
    return made


@formula
def embedding_bag_formula(
    indices: Array,
    weight: Any,
    offsets: Array | None,
    per_sample_weights: Any,
    *,
    mode: str = "mean",
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    **hyper: Any,
) -> Any:
    """y[b] = Σ p[n]·weight[indices[n]] over those n of bag b that are no padding; or their mean, or maximum."""
    if offsets is None:
        borders = [n * indices.shape[1] for n in range(len(indices) + 1)]
    else:
        borders = [*map(int, offsets), *([] if include_last_offset else [indices.size])]
    flat = indices.ravel()
    padding = -1 if padding_idx is None else padding_idx % len(weight)
    bags = [weight[:0]]
    for begin, end in itertools.pairwise(borders):
        places = np.array([n for n in range(begin, end) if flat[n] != padding], int)
        rows = picked(weight, flat[places], flat, **hyper)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.reshape(-1)[places][:, None]
        many = places.size > 0
        bag = rows.max(0) if mode == "max" and many else rows.sum(0)
        bags.append((bag / places.size if mode == "mean" and many else bag)[None])
    return np.concatenate(bags)


def embedding_bag_torch(
    F: Any, indices: Any, weight: Any, offsets: Any = None, per_sample_weights: Any = None, **hyper: Any
) -> Any:
    weight = copied(weight, hyper)
    return F.embedding_bag(indices, weight, offsets, per_sample_weights=per_sample_weights, **hyper)


def embedding_bag_jax(
    jax: Any,
    indices: Any,
    weight: Any,
    offsets: Any = None,
    per_sample_weights: Any = None,
    *,
    mode: str = "mean",
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    **hyper: Any,
) -> Any:
    jnp = jax.numpy
    flat = indices.ravel()
    place = jnp.arange(flat.size)
    if offsets is None:
        bag = place // indices.shape[1]
        count = indices.shape[0]
    else:
        begins = offsets[:-1] if include_last_offset else offsets
        bag = jnp.searchsorted(begins, place, side="right") - 1
        bag = jnp.where(place < offsets[-1], bag, -1) if include_last_offset else bag
        count = begins.size
    # [b, n]: whether bag b counts index n
    inside = bag == jnp.arange(count)[:, None]
    if padding_idx is not None:
        inside = inside & (flat != padding_idx % weight.shape[0])
    # what is in no bag must not reach a product: in its gradient, 0 times infinity would be NaN
    counts = inside.any(0)
    rows = jnp.where(counts[:, None], picked_jax(jax, weight, flat, **hyper), 0)
    if per_sample_weights is not None:
        rows = rows * jnp.where(counts, per_sample_weights.ravel(), 0)[:, None]
    if mode == "max" and flat.size:
        largest = jnp.where(inside[..., None], jax.lax.stop_gradient(rows), -jnp.inf).max(1, keepdims=True)
        # jnp.max would share the gradient among the tied
        first = (inside[..., None] & ((rows == largest) | jnp.isnan(rows))).argmax(1)
        return jnp.where(inside.any(1)[:, None], jnp.take_along_axis(rows, first, axis=0), 0)
    total = jnp.where(inside[..., None], rows, 0).sum(1)
    return total / jnp.maximum(inside.sum(1), 1)[:, None].astype(total.dtype) if mode == "mean" else total


def leaves_some_out(case: Case) -> bool:
    """Whether there are indices behind the last bag."""
    if not case.configuration.hyper.get("include_last_offset", False):
        return False
    made = make_inputs(embedding_bag, case)
    indices, offsets = made["indices"], made["offsets"]
    return indices is not None and offsets is not None and bool(offsets[-1] < indices.size)


def divides_in_half(case: Case) -> bool:
    """Whether gradients are divided by frequencies in half precision."""
    return case.configuration.dtype in HALF and case.configuration.hyper.get("scale_grad_by_freq", False)


embedding_bag = Operation(
    function=mint.embedding_bag,
    draw=draw_bag,
    spoil=spoil_bag,
    equations=embedding_bag_formula,
    torch=embedding_bag_torch,
    jax=embedding_bag_jax,
    integer={"indices": indices, "offsets": offsets},
    exact=lambda configuration: is_exact(configuration) and configuration.hyper.get("mode", "mean") != "mean",
    limitations=(
        *OVERFLOW,
        Limitation(
            "torch",
            "where indices lie behind the last bag, PyTorch counts them into it or reads memory beyond its arrays, and "
            "may die of a segmentation fault",
            applies=leaves_some_out,
        ),
        Limitation(
            "torch",
            "PyTorch divides by the frequency of another index, which is a finding where rounding cannot pass for it",
            applies=divides_in_half,
        ),
    ),
)


# --- one_hot ------------------------------------------------------------------------------------------------


def count_of(axes: int) -> int:
    """How many classes there are: known from the shape alone, as a compiled program must know it."""
    return 2 + axes


def draw_one_hot(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any axes; as many classes as there are, or more; without an index they must be told."""
    shape = tuple(draw(st.lists(axis_length(3, 1, 2, 5), max_size=3)))
    told = (count_of(len(shape)), 5, 8)
    return {"indices": shape}, {"num_classes": draw(st.sampled_from(told if 0 in shape else (-1, *told)))}


def spoil_one_hot(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Classes that are too few, a number that is none."""
    what = draw(st.sampled_from(("num_classes", INDICES)))
    if what == INDICES:
        return what, shapes, hyper
    return what, shapes, {"num_classes": draw(st.sampled_from((0, -2, 1, 2.5, "many")))}


def classes(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Classes, the largest of them last; where that is to be invalid, a negative one."""
    shape = configuration.shapes["indices"]
    made = rng.integers(0, count_of(len(shape)), shape)
    if made.size:
        made.flat[-1] = -1 if configuration.invalid == INDICES else count_of(len(shape)) - 1
    return np.asarray(made)


@formula
def one_hot_formula(indices: Array, *, num_classes: int = -1) -> Any:
    """y[…, c] = [indices[…] = c]."""
    count = indices.max() + 1 if num_classes == -1 else num_classes
    return np.where(indices[..., None] == np.arange(count), 1, 0)


def one_hot_jax(jax: Any, indices: Any, *, num_classes: int = -1) -> Any:
    count = count_of(indices.ndim) if num_classes == -1 else num_classes
    return jax.nn.one_hot(indices, count, dtype=jax.numpy.int64)


one_hot = Operation(
    function=mint.one_hot,
    draw=draw_one_hot,
    spoil=spoil_one_hot,
    equations=one_hot_formula,
    jax=one_hot_jax,
    outputs=(),
    extras=("y",),
    integer={"indices": classes},
    limitations=(
        Limitation(
            "jax",
            "while it is traced, JAX knows no value, and so not the largest index either",
            # elsewhere the largest is made to be what the reference is told
            applies=lambda case: (
                case.configuration.hyper.get("num_classes", -1) == -1
                and case.configuration.layouts.get("indices") == "broadcast"
            ),
        ),
    ),
)
