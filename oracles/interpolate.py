"""Resizing maps: definition."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.draw import batch_size
from oracles.formula import Traced, formula
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes

NEAREST = ("nearest", "nearest-exact")
#: What a place may honestly be off, in first-order bounds of its error.
ROUNDINGS = 4
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
#: The modes, for as many axes as it may be or two, and whether they filter.
KINDS = (
    ("nearest", None),
    ("linear", None),
    ("bicubic", False),
    ("bilinear", True),
    ("bicubic", True),
    ("lanczos", True),
    ("area", None),
    ("nearest-exact", None),
)
RADIUS = {"bilinear": 1, "bicubic": 2, "lanczos": 3}


def draw_interpolate(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any mode on a map that it takes; a size, or factors that are dyadic, or are not and leave a remainder."""
    kind, antialias = draw(st.sampled_from(KINDS))
    axes = draw(st.sampled_from((2, 1, 3))) if antialias is None else 2
    shape = tuple(draw(st.sampled_from((2, 1, 3, 4, 5, 7, 11) if axes < 3 else (2, 1, 3, 4))) for _ in range(axes))
    mode = LINEAR[axes] if kind == "linear" else kind
    hyper: Hyper = {"mode": mode}
    if mode not in (*NEAREST, "area"):
        hyper["align_corners"] = draw(st.sampled_from((None, False, True)[: 2 if mode == "lanczos" else 3]))
    if antialias is not None:
        hyper["antialias"] = antialias
    if draw(st.booleans()):
        sizes = (2, 1, 3, 4, 5, 7, 11, 14) if axes < 3 else (2, 1, 3, 5)
        if mode == "area":
            sizes = (*sizes * 3, 0)
        chosen: Any = tuple(draw(st.sampled_from(sizes)) for _ in range(axes))
        hyper["size"] = chosen[0] if len(set(chosen)) == 1 and draw(st.booleans()) else chosen
        hyper["recompute_scale_factor"] = draw(st.sampled_from((None, False)))
    else:
        least = max(1 / n for n in shape)
        factors = [s for s in (2, 1, 0.5, 2.0, 1.5, 3, 0.7, 1.3, 1 / 3, 2.6) if s >= least]
        one = draw(st.sampled_from(factors))
        each = tuple(draw(st.sampled_from([s for s in factors if math.floor(n * s) >= 1])) for n in shape)
        hyper["scale_factor"] = one if draw(st.booleans()) else each
        hyper["recompute_scale_factor"] = draw(st.sampled_from((None, False, True)))
    return {"x": (batch_size(draw), draw(st.integers(1, 3)), *shape)}, hyper


def spoil_interpolate(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """What PyTorch refuses: sizes and factors that are none, too many or both, and modes that do not fit the rest."""
    axes = len(shapes["x"]) - 2
    mode = hyper["mode"]
    given = {k: v for k, v in hyper.items() if k not in ("size", "scale_factor", "recompute_scale_factor")}
    spoiled: list[tuple[str, Hyper]] = [
        ("size", {**given, "size": (2,) * (axes + 1)}),
        ("size", {**given, "size": -1}),
        ("size", {**given, "size": 2.5}),
        ("size", {**given, "size": 2, "scale_factor": 2.0}),
        ("size", given),
        ("size", {**given, "size": 2, "recompute_scale_factor": True}),
        ("scale_factor", {**given, "scale_factor": (2.0,) * (axes + 1)}),
        ("scale_factor", {**given, "scale_factor": -2.0}),
        ("scale_factor", {**given, "scale_factor": "twice"}),
        ("scale_factor", {**given, "scale_factor": math.inf}),
        ("mode", {**hyper, "mode": "quadratic"}),
        ("mode", {**hyper, "mode": {1: "bilinear", 2: "trilinear", 3: "linear"}[axes]}),
    ]
    if mode != "area":
        spoiled += [("size", {**given, "size": 0}), ("scale_factor", {**given, "scale_factor": 0.01})]
    if mode in (*NEAREST, "area"):
        spoiled += [("align_corners", {**hyper, "align_corners": draw(st.booleans())})]
    else:
        spoiled += [("align_corners", {**hyper, "align_corners": 1})]
    if mode not in RADIUS:
        spoiled += [("antialias", {**hyper, "antialias": True})]
    if mode == "lanczos":
        spoiled += [("antialias", {**hyper, "antialias": False}), ("align_corners", {**hyper, "align_corners": True})]
    what, hyper = draw(st.sampled_from(spoiled))
    return what, shapes, hyper


def resized(
    n: int,
    axis: int,
    mode: str = "nearest",
    size: Any = None,
    scale_factor: Any = None,
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> tuple[int, float, float]:
    """Along an axis of n elements: how many come out, and the step r among the inputs from one to the next, as a/b."""
    if size is not None:
        out = each(size, axis)
        step = n, out
    else:
        scale = each(scale_factor, axis)
        out = math.floor(n * scale)
        # where PyTorch does without the given factor
        kept = recompute_scale_factor or mode == "area" or (mode == "nearest" and out == 2 * n)
        kept = kept or (out == n and mode != "nearest-exact" and (mode != "bicubic" or antialias))
        step = (n, out) if kept else (1 / scale, 1)
    if align_corners:
        step = (n - 1, out - 1) if out > 1 else (0, 1)
    return out, *step


def nearest_indices(n: int, out: int, a: float, b: float, mode: str) -> Array:
    """The neighbour of each output: ⌊i·r⌋, or ⌊(i + ½)·r⌋."""
    middle = 0.5 if mode == "nearest-exact" else 0
    return np.array([min(math.floor((i + middle) * a / b), n - 1) for i in range(out)], np.int64)


def cubic(d: Any, a: float) -> Any:
    """Keys's kernel, at most 2 from its middle: in factors, which do not cancel, and with the bound of what does."""
    inner = (a + 2) * d * d * d - (a + 3) * d * d + 1
    outer = a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a
    y = np.where(d <= 1, inner, outer)
    e = d.value
    factors = np.where(e <= 1, (1 - e) * (1 + e - (a + 2) * e * e), a * (e - 1) * (2 - e) ** 2)
    return Traced(factors, y.bound, [(y, lambda g: g)])


def lanczos(d: Any) -> Any:
    """sinc(d)·sinc(d/3)."""
    pi = d.dtype.type("3.14159265358979323846264338327950288")
    return np.where(d == 0, 1.0, np.sin(pi * d) * np.sin(pi * d / 3) * 3 / (pi * d * (pi * d)))


def computed(numbers: list[Fraction], lost: list[Fraction], dtype: Any) -> Traced:
    """Numbers known exactly that an implementation computes, with the bound of what it loses."""
    exact = [dtype.type(f.numerator) / dtype.type(f.denominator) for f in numbers]
    return Traced(np.array(exact, dtype), np.array([float(f) for f in lost], dtype))


def within_rounding(t: Traced) -> Array:
    """How far from t others may honestly have it: float32 (or less) has its truth in float64, float64 in longdouble."""
    digits = 24 if t.dtype == np.float64 else 53
    reach: Array = ROUNDINGS * t.bound / 2**digits
    return reach


def doubtful(t: Traced, here: Array) -> Traced:
    """The weight of an element that does not count, but `here` with the error of t, whose rounding decides about it."""
    return Traced(np.zeros_like(t.value), np.where(here, t.bound, 0))


def around(low: Array, t: Traced, mode: str) -> tuple[Array, Any, Array]:
    """The elements around places at low + t, 0 ≤ t < 1, their weights, and which count: [..., k], [..., k] and [k].

    The first and the last are those that would count if t were rounded across 0 or 1.
    """
    reach = within_rounding(t)
    weights = [cubic(abs(t - k), -0.75) for k in range(-1, 3)] if mode == "bicubic" else [1 - t, t]
    weights = [doubtful(t, t.value < reach), *weights, doubtful(t, 1 - t.value < reach)]
    k = np.arange(len(weights))
    return low[..., None] + k - (len(k) // 2 - 1), np.stack(weights, -1), (k > 0) & (k < k[-1])


def weighted_sum(x: Any, key: Any, weight: Traced, counts: Array, axes: int | tuple[int, ...] = -1) -> Any:
    """The sum of x[key]·weight, over all that counts and, where that is nothing but an error, over what does not.

    An infinity whose weight may be rounded to 0 is itself, NaN or nothing: the sum is 0 ± ∞, which is not judged.
    """
    finite = np.isfinite(x)
    unknown = finite & ~np.isfinite(x.bound)
    numbers = Traced(np.where(finite, x.value, 0), np.where(finite, x.bound, 0), [(x, lambda g: g)])
    reach = within_rounding(weight)
    takes_part = counts | (reach > 0)
    unsure = takes_part & (unknown[key] | (~finite[key] & (np.abs(weight.value) <= reach)))
    y = (np.where(counts & ~unsure, x[key], numbers[key]) * weight).sum(axes)
    lost = unsure.any(axes)
    return Traced(np.where(lost, 0, y.value), np.where(lost, np.inf, y.bound), [(y, lambda g: g)])


def taps(
    dtype: Any, n: int, out: int, a: float, b: float, mode: str, align_corners: bool, antialias: bool
) -> tuple[Array, Any, Array]:
    """Of each output along an axis: the elements that it is made of, their weights, and which count: [m, k] each."""
    r = Fraction(a) / Fraction(b)
    half = Fraction(0 if align_corners and not antialias else 1, 2)
    places = [(i + half) * r - half for i in range(out)]
    # the step, its product and the difference are each rounded
    lost = [2 * (i + half) * r + abs(place) for i, place in enumerate(places)]
    if antialias:
        stretch, radius = max(r, Fraction(1)), RADIUS[mode]
        weights, inside = [], []
        for j in range(n):
            far = [abs(place - j) / stretch for place in places]
            d = computed(far, [error / stretch + 2 * x for error, x in zip(lost, far, strict=True)], dtype)
            inside.append(np.array([x < radius for x in far]))
            weight = 1 - d if mode == "bilinear" else cubic(d, -0.5) if mode == "bicubic" else lanczos(d)
            rim = doubtful(d, np.abs(d.value - radius) < within_rounding(d))
            weights.append(np.where(inside[-1], weight, rim))
        stacked: Any = np.stack(weights, -1)
        return np.arange(n)[None], stacked / stacked.sum(-1, keepdims=True), np.stack(inside, -1)
    if mode != "bicubic":
        places = [max(place, Fraction(0)) for place in places]
    low = [math.floor(place) for place in places]
    t = computed([place - before for place, before in zip(places, low, strict=True)], lost, dtype)
    index, weight, counts = around(np.array(low, np.int64), t, mode)
    return np.clip(index, 0, n - 1), weight, counts


@formula
def interpolate_formula(x: Any, **hyper: Any) -> Any:
    """Along each axis y[i] = Σ over k of w[i, k]·x[j(i, k)]; area: the mean of x from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉."""
    mode = hyper.get("mode", "nearest")
    for axis, n in enumerate(x.shape[2:]):
        out, a, b = resized(n, axis, **hyper)
        x = np.moveaxis(x, axis + 2, -1)
        if mode in NEAREST:
            x = x[..., nearest_indices(n, out, a, b, mode)]
        elif mode == "area":
            windows = [x[..., i * n // out : -(-(i + 1) * n // out)] for i in range(out)]
            x = np.stack([w.mean(-1) for w in windows], -1) if out else x[..., :0]
        else:
            aligned, antialias = bool(hyper.get("align_corners")), hyper.get("antialias", False)
            index, weight, counts = taps(x.dtype, n, out, a, b, mode, aligned, antialias)
            x = weighted_sum(x, (..., index), weight, counts)
        x = np.moveaxis(x, -1, axis + 2)
    return x


def native_in_jax(hyper: Hyper, steps: list[tuple[int, int, float, float]]) -> bool:
    """Whether `jax.image.scale_and_translate` does it: it has no border, and is 0 at places beyond the map."""
    if hyper.get("antialias"):
        return all((out - 0.5) * a <= n * b for n, out, a, b in steps)
    return hyper.get("mode") in LINEAR.values() and not hyper.get("align_corners")


def interpolate_jax(jax: Any, x: Any, **hyper: Any) -> Any:
    jnp = jax.numpy
    mode = hyper.get("mode", "nearest")
    steps = [(n, *resized(n, axis, **hyper)) for axis, n in enumerate(x.shape[2:])]
    shape = (*x.shape[:2], *(out for _, out, _, _ in steps))
    axes = range(2, x.ndim)
    if mode == "nearest-exact" and hyper.get("size") is not None:
        return jax.image.resize(x, shape, "nearest")
    # the weights of half precision are computed in float32
    real = np.promote_types(x.dtype, np.float32) if x.dtype.name != "bfloat16" else np.dtype(np.float32)
    if native_in_jax(hyper, steps):
        scale = np.array([b / a if a else np.inf for _, _, a, b in steps], real)
        method = {"bicubic": "cubic", "lanczos": "lanczos3"}.get(mode, "linear")
        antialias = hyper.get("antialias", False)
        return jax.image.scale_and_translate(x, shape, axes, scale, np.zeros_like(scale), method, antialias=antialias)
    for axis, (n, out, a, b) in zip(axes, steps, strict=True):
        if mode in NEAREST:
            x = jnp.take(x, nearest_indices(n, out, a, b, mode), axis)
        elif mode == "area":
            spans = [range(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
            means = [jnp.mean(jnp.take(x, np.array(span), axis), axis, keepdims=True) for span in spans]
            x = jnp.concatenate(means, axis) if means else jnp.take(x, np.zeros(0, np.int64), axis)
        elif hyper.get("antialias"):
            i, j = jnp.arange(out, dtype=real)[:, None], jnp.arange(n, dtype=real)
            d = jnp.abs((i + 0.5) * (a / b) - 0.5 - j) / max(a / b, 1)
            weight = jnp.where(d < RADIUS[mode], cubic_jax(jnp, d, -0.5) if mode == "bicubic" else 1 - d, 0)
            weight = (weight / weight.sum(1, keepdims=True)).astype(x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, weight, (axis, 1)), -1, axis)
        else:
            i = jnp.arange(out, dtype=real)
            at = i * (a / b) if hyper.get("align_corners") else (i + 0.5) * (a / b) - 0.5
            low = jnp.floor(at)
            y = 0
            for k in range(-1, 3) if mode == "bicubic" else range(2):
                d = jnp.abs(at - low - k)
                weight = cubic_jax(jnp, d, -0.75) if mode == "bicubic" else 1 - d
                index = jnp.clip(low + k, 0, n - 1).astype(int)
                weight = weight.astype(x.dtype).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
                y = y + jnp.take(x, index, axis) * weight
            x = y
    return x


def cubic_jax(jnp: Any, d: Any, a: float) -> Any:
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return jnp.where(d <= 1, inner, jnp.where(d < 2, outer, 0))


def _steps(configuration: Configuration) -> list[tuple[int, int, float, float]]:
    hyper = dict(configuration.hyper)
    return [(n, *resized(n, axis, **hyper)) for axis, n in enumerate(configuration.shapes["x"][2:])]


def rounds_to_another_neighbour(case: Case) -> bool:
    """Whether ⌊i·r⌋ in the float32 arithmetic of PyTorch is not what it is in exact or float64 arithmetic."""
    mode = case.configuration.hyper.get("mode", "nearest")
    if mode not in NEAREST:
        return False
    one, half = np.float32(1), np.float32(0.5)
    for n, out, a, b in _steps(case.configuration):
        i = np.arange(out, dtype=np.float32)
        r = np.float32(a / b)
        tried = [i * r]
        if mode == "nearest-exact":
            # in two ways: one of the forward passes, the other of the gradient
            tried = [(i + half) * r, ((i + half) * r - half) * one + half, ((i + 0.5) * (a / b)).astype(np.float32)]
        due = nearest_indices(n, out, a, b, mode)
        if any((np.minimum(np.floor(at), n - 1) != due).any() for at in tried):
            return True
    return False


def copies_with_two_taps(case: Case) -> bool:
    """Whether PyTorch copies an axis as 1·x + 0·x, which makes NaN of an infinity."""
    linear = case.configuration.hyper.get("mode") in ("linear", "bilinear", "trilinear")
    return case.fill == "special" and linear and any(n == out for n, out, _, _ in _steps(case.configuration))


def contracted_in_jax(case: Case) -> bool:
    """Whether infinities, or what overflows, meet all weights of an axis."""
    hyper = dict(case.configuration.hyper)
    contracts = hyper.get("antialias") or native_in_jax(hyper, _steps(case.configuration))
    return case.fill in ("special", "largest") and bool(contracts)


def interpolate_features(configuration: Configuration) -> dict[str, bool]:
    """Facts that span several hyper-parameters."""
    steps = _steps(configuration)
    given = configuration.hyper.get("scale_factor") is not None and not configuration.hyper.get(
        "recompute_scale_factor"
    )
    return {
        "an axis keeps its size": any(n == out for n, out, _, _ in steps),
        "the last axis of the output has one element": steps[-1][1] == 1,
        "a scale_factor that is not the ratio of sizes keeps an axis, or doubles it": given
        and any(
            out in (n, 2 * n) and math.floor(n * s) == out and n * s != out
            for axis, (n, out, _, _) in enumerate(steps)
            for s in [each(configuration.hyper["scale_factor"], axis)]
        ),
    }


def each(value: Any, axis: int) -> Any:
    """The entry of an axis, from one per axis or one for all."""
    return value[axis] if isinstance(value, tuple) else value


interpolate = Operation(
    function=mint.interpolate,
    draw=draw_interpolate,
    spoil=spoil_interpolate,
    equations=interpolate_formula,
    jax=interpolate_jax,
    exact=lambda configuration: configuration.hyper.get("mode", "nearest") in NEAREST,
    features=interpolate_features,
    limitations=(
        Limitation(
            "torch",
            "PyTorch rounds the step and its multiples to float32, here past an integer: another neighbour",
            applies=rounds_to_another_neighbour,
        ),
        Limitation(
            "torch",
            "PyTorch copies an axis that keeps its size as 1·x + 0·x, which makes NaN of an infinity",
            applies=copies_with_two_taps,
        ),
        Limitation(
            "jax",
            "jax.image contracts whole axes with weights that are mostly 0, which make NaN of any infinity or overflow",
            applies=contracted_in_jax,
        ),
    ),
)
