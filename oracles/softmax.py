"""Softmax and what is made from it, over one axis: definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.activation import logistic
from oracles.configuration import Case
from oracles.draw import axis_length
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.summation import growth


def draw_softmax(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any axis, counted from either end, of an array of one to four axes."""
    shape = tuple(draw(st.lists(axis_length(2, 3, 1, 5, 10, 33), min_size=1, max_size=3)))
    axis = draw(st.integers(0, len(shape) - 1))
    return {"x": shape}, {"dim": axis - len(shape) if draw(st.booleans()) else axis}


def spoil_softmax(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there."""
    axes = len(shapes["x"])
    return "dim", shapes, {**hyper, "dim": draw(st.sampled_from((axes, -axes - 1, 1.5, "last")))}


def exponentials(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """Distance to the maximum d = |x − m|, p = softmax(x), and what p loses: g + d + Σp·d, g = `growth` of the sum."""
    d = np.max(x, axis=axis, keepdims=True, initial=-np.inf) - x
    e = np.exp(-d)
    p = e / np.sum(e, axis=axis, keepdims=True)
    weighed = np.where(p > 0, p * d, 0)
    lost = growth(x.shape[axis]) + np.where(p > 0, d, 0) + np.sum(weighed, axis=axis, keepdims=True)
    return d, p, lost


def through_probabilities(p: Array, lost: Array, gy: Array, axis: int) -> Array:
    """p·(gy − Σgy·p), where each p loses `lost`: p·lost·(|gy| + Σ|gy|·p) + p·Σ|gy|·p·lost."""
    g = np.abs(gy)
    total, of_terms = (growth(p.shape[axis]) * np.sum(g * q, axis=axis, keepdims=True) for q in (p, p * lost))
    return np.asarray(p * lost * (g + total) + p * of_terms)


def softmax_scale(x: Array, gy: Array, dim: int) -> tuple[Array, Array]:
    """p·(g + d + Σp·d), d = max x − x; gradient: `through_probabilities`."""
    _, p, lost = exponentials(x, dim)
    return p * lost, through_probabilities(p, lost, gy, dim)


def log_softmax_magnitude(x: Array, axis: int) -> Array:
    """(x − m) − log Σe^(x−m): d + log Σ + g + Σp·d, the last two for the rounding of the sum."""
    d, p, _ = exponentials(x, axis)
    total = np.sum(np.exp(-d), axis=axis, keepdims=True)
    lost = growth(x.shape[axis]) + np.sum(np.where(p > 0, p * d, 0), axis=axis, keepdims=True)
    return np.asarray(d + np.log(total) + lost)


def log_softmax_scale(x: Array, gy: Array, dim: int) -> tuple[Array, Array]:
    """See `log_softmax_magnitude`; gradient gy − p·Σgy: |gy| + p·(g + d + Σp·d)·g·Σ|gy|."""
    _, p, lost = exponentials(x, dim)
    g = np.abs(gy)
    total = growth(x.shape[dim]) * np.sum(g, axis=dim, keepdims=True)
    return log_softmax_magnitude(x, dim), g + p * lost * total


softmax = Operation(
    function=mint.softmax,
    underflows=True,
    draw=draw_softmax,
    spoil=spoil_softmax,
    equations=equations.softmax,
    jax=lambda jax, x, dim: jax.nn.softmax(x, axis=dim),
    scale=softmax_scale,
)


log_softmax = Operation(
    function=mint.log_softmax,
    underflows=True,
    draw=draw_softmax,
    spoil=spoil_softmax,
    equations=equations.log_softmax,
    jax=lambda jax, x, dim: jax.nn.log_softmax(x, axis=dim),
    scale=log_softmax_scale,
)


def softmin_equations(x: Array, *, dim: int) -> tuple[Array, Any]:
    """y_k = e^−x_k / Σ_j e^−x_j, the softmax of −x."""
    y, vjp = equations.softmax(-x, dim=dim)
    return y, lambda gy: vjp(-gy)


softmin = Operation(
    function=mint.softmin,
    underflows=True,
    draw=draw_softmax,
    spoil=spoil_softmax,
    equations=softmin_equations,
    jax=lambda jax, x, dim: jax.nn.softmax(-x, axis=dim),
    scale=lambda x, gy, dim: softmax_scale(-x, gy, dim),
)


def draw_gumbel_softmax(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any axis that has an element; warm and cold, soft and hard."""
    shapes, hyper = draw_softmax(draw)
    hard = draw(st.booleans()) and shapes["x"][hyper["dim"]] > 0
    return {**shapes, "noise": shapes["x"]}, {
        **hyper,
        "tau": draw(st.sampled_from((1.0, 2, 0.5, 0.1, -1.0))),
        "hard": hard,
    }


def gumbel_softmax_equations(
    x: Array, noise: Array, *, tau: float = 1.0, hard: bool = False, dim: int = -1
) -> tuple[Array, Any]:
    """s = e^z/Σe^z, z = (x + noise)/τ; hard: 1 where s is largest, with the gradient of s."""
    s, vjp = equations.softmax((x + noise) / x.dtype.type(tau), dim=dim)
    y = s
    if hard:
        places = np.arange(s.shape[dim]).reshape([-1 if a == dim % s.ndim else 1 for a in range(s.ndim)])
        chosen = places == np.expand_dims(s.argmax(axis=dim), dim)
        y = np.where(np.isnan(s), s, chosen.astype(s.dtype))
    return y, lambda gy: (vjp(gy)[0] / x.dtype.type(tau), None)


def gumbel_softmax_scale(
    x: Array, noise: Array, gy: Array, *, tau: float = 1.0, hard: bool = False, dim: int = -1
) -> tuple[Array, Array, None]:
    """As `softmax_scale`, with what p loses to the rounding of z; hard: 1 − s + s."""
    z = (x + noise) / x.dtype.type(tau)
    _, p, lost = exponentials(z, dim)
    rounded = 2 * np.abs(z)
    lost = lost + np.where(p > 0, rounded, 0) + np.sum(np.where(p > 0, p * rounded, 0), axis=dim, keepdims=True)
    gx = through_probabilities(p, lost, gy, dim) / abs(tau)
    return (1 + p * lost if hard else p * lost), gx, None


def gumbel_softmax_torch(F: Any, x: Any, noise: Any, *, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    # PyTorch draws the noise itself; this is what it does with it
    s = F.softmax((x + noise) / tau, dim)
    if not hard:
        return s
    index = s.max(dim, keepdim=True)[1]
    return x.new_zeros(x.shape).scatter(dim, index, 1.0) - s.detach() + s


def gumbel_softmax_jax(jax: Any, x: Any, noise: Any, *, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    s = jax.nn.softmax((x + noise) / tau, axis=dim)
    if not hard:
        return s
    y = jax.nn.one_hot(s.argmax(axis=dim), x.shape[dim], axis=dim, dtype=x.dtype)
    return y - jax.lax.stop_gradient(s) + s


def chosen_in_half(case: Case) -> bool:
    """Whether the first of the largest is sought among numbers with few digits."""
    return case.configuration.hyper.get("hard", False) and case.configuration.dtype in ("float16", "bfloat16")


def divided_beyond_range(case: Case) -> bool:
    """Whether the largest number is divided by less than 1."""
    return case.fill == "largest" and abs(case.configuration.hyper.get("tau", 1.0)) < 1


TIES_IN_HALF = "two probabilities that differ may round to the same half-precision number, of which the first is chosen"
LARGE_LOGITS = "logits near the largest number overflow: they are divided by tau before their maximum is taken off"

gumbel_softmax = Operation(
    function=mint.gumbel_softmax,
    underflows=True,
    draw=draw_gumbel_softmax,
    spoil=spoil_softmax,
    equations=gumbel_softmax_equations,
    scale=gumbel_softmax_scale,
    torch=gumbel_softmax_torch,
    jax=gumbel_softmax_jax,
    constant=("noise",),
    limitations=tuple(
        limitation
        for reference in ("torch", "jax")
        for limitation in (
            Limitation(reference, TIES_IN_HALF, applies=chosen_in_half, tensors=("y",)),
            Limitation(reference, LARGE_LOGITS, applies=divided_beyond_range, tensors=("y", "gx")),
        )
    ),
)


def draw_glu(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """An even number of elements along any axis."""
    shapes, hyper = draw_softmax(draw)
    shape = list(shapes["x"])
    shape[hyper["dim"]] *= 2
    return {"x": tuple(shape)}, hyper


def spoil_glu(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there; one that has no half."""
    if draw(st.booleans()):
        return spoil_softmax(draw, shapes, hyper)
    shape = list(shapes["x"])
    shape[hyper["dim"]] += 1
    return "x", {"x": draw(st.sampled_from((tuple(shape), ())))}, hyper


def halves(x: Array, dim: int) -> tuple[Array, Array]:
    """The first and the second half of x along an axis."""
    along = np.moveaxis(x, dim, 0)
    count = len(along) // 2
    return np.moveaxis(along[:count], 0, dim), np.moveaxis(along[count:], 0, dim)


def glu_equations(x: Array, *, dim: int = -1) -> tuple[Array, Any]:
    """y = a·σ(b), ∂y/∂a = σ(b), ∂y/∂b = a·σ(b)·σ(−b)."""
    a, b = halves(x, dim)
    y, slope_a, slope_b = (np.asarray(v) for v in (a * logistic(b), logistic(b), a * (logistic(b) * logistic(-b))))
    return y, lambda gy: (np.concatenate([gy * slope_a, gy * slope_b], axis=dim),)


def glu_scale(x: Array, gy: Array, dim: int = -1) -> tuple[Array, Array]:
    """|a|·σ; the slope σ, and |a| times that of σ, σ·(1 − σ), which adds σ and σ²."""
    a, b = (np.asarray(half) for half in halves(x, dim))
    s, g = logistic(b), np.abs(gy)
    return np.abs(a) * s, np.concatenate([g * s, g * np.abs(a) * s * (1 + s)], axis=dim)


glu = Operation(
    function=mint.glu,
    underflows=True,
    draw=draw_glu,
    spoil=spoil_glu,
    equations=glu_equations,
    scale=glu_scale,
    jax=lambda jax, x, dim=-1: jax.nn.glu(x, axis=dim),
)
