"""Normalised vectors and weights: unit length, weight norm, spectral norm: definitions."""

from __future__ import annotations

from math import inf, isinf, prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case
from oracles.draw import axis_length
from oracles.formula import formula, value
from oracles.norm import OVERFLOW, in_single, unit, without_tiny
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes


def without_zeros(array: Array) -> Array:
    """Ones for zeros: nothing but zeros has no direction."""
    return np.where(array == 0, np.ones_like(array), array)


def uneven(array: Array) -> Array:
    """No zeros, and no two elements of one size, or products of them would cancel to nothing."""
    count = np.arange(array.size).reshape(array.shape)
    return without_zeros(array) * (1 - 1 / (3 + count))


# --- normalize ----------------------------------------------------------------------------------------------


def draw_normalize(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any axis or axes of an array of up to four; every kind of norm."""
    shape = tuple(draw(st.lists(axis_length(2, 3, 1, 5, 17), min_size=1, max_size=3).filter(lambda s: prod(s) < 300)))
    p = draw(st.sampled_from((2.0, 1.0, 3.0, inf, 1.5, 0.5, 0.0, -1.0, -inf, 2)))
    places = list(range(len(shape)))
    axes = draw(st.sampled_from(places)), *draw(st.permutations(places))
    first, *others = dict.fromkeys(axes)
    several = (first, *others[: draw(st.integers(0, len(others)))])
    dim: Any = draw(st.sampled_from((first, first - len(shape), several, ())))
    over = {a % len(shape) for a in (dim if isinstance(dim, tuple) else (dim,))} or set(places)
    if p < 0 or isinf(p):
        shape = tuple(max(n, 1) if a in over else n for a, n in enumerate(shape))
    return {"x": shape}, {"dim": dim, "p": p, "eps": draw(st.sampled_from((1e-12, 1e-6, 1.0)))}


def spoil_normalize(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there, the same one twice, words."""
    what = draw(st.sampled_from(("dim", "p", "eps")))
    axes = len(shapes["x"])
    wrong = {"dim": (axes, -axes - 1, (0, 0), "last", 1.5), "p": ("two",), "eps": ("tiny",)}[what]
    return what, shapes, {**hyper, what: draw(st.sampled_from(wrong))}


@formula
def normalize_formula(x: Any, *, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Any:
    """y = x/max(‖x‖, ε), ‖x‖ = (Σ|x|^p)^(1/p); a zero adds nothing to it, and has no part in its gradient."""
    axes = dim if isinstance(dim, tuple) else (dim,)
    axes = axes or tuple(range(x.ndim))
    a, plain = np.abs(x), np.abs(value(x))
    if p == 0:
        norm: Any = (plain != 0).sum(axes, keepdims=True).astype(x.dtype)
        return x / np.maximum(norm, x.dtype.type(eps))
    if isinf(p):
        extremum = (plain.max if p > 0 else plain.min)(axes, keepdims=True)
        chosen = (plain == extremum) | (np.isnan(plain) & np.isnan(extremum))
        # the mean over those that are extreme, so that they share the gradient
        norm = np.where(chosen, a, 0).sum(axes, keepdims=True) / chosen.sum(axes, keepdims=True)
    else:
        # 0^p is 0 for positive p, and else ∞, whose root is 0
        powers = np.where(plain == 0, 0.0 if p > 0 else np.inf, np.where(plain == 0, 1, a) ** x.dtype.type(p))
        total = powers.sum(axes, keepdims=True)
        nothing = value(total) == (0 if p > 0 else np.inf)
        norm = np.where(nothing, 0, np.where(nothing, 1, total) ** (1 / x.dtype.type(p)))
    return x / np.where(value(norm) < x.dtype.type(eps), x.dtype.type(eps), norm)


def normalize_jax(jax: Any, x: Any, *, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Any:
    jnp, dtype = jax.numpy, x.dtype
    (x,) = in_single(jax, x)
    axes = dim if isinstance(dim, tuple) else (dim,)
    axes = axes or tuple(range(x.ndim))
    a = jnp.abs(x)
    if p == 0:
        norm = (x != 0).sum(axes, keepdims=True).astype(x.dtype)
    elif p == np.inf:
        norm = a.max(axes, keepdims=True)
    elif p == -np.inf:
        norm = a.min(axes, keepdims=True)
    else:
        # the branch not taken gets a harmless argument, so that its gradient is not inf·0
        powers = jnp.where(a == 0, 0.0 if p > 0 else jnp.inf, jnp.where(a == 0, 1, a) ** p)
        total = powers.sum(axes, keepdims=True)
        nothing = total == (0 if p > 0 else jnp.inf)
        norm = jnp.where(nothing, 0, jnp.where(nothing, 1, total) ** (1 / p))
    return (x / jnp.where(norm < eps, eps, norm)).astype(dtype)


def takes_far_powers(case: Case) -> bool:
    """Whether subnormal numbers are taken to a power, or what is left of one to the next."""
    p = case.configuration.hyper.get("p", 2.0)
    return case.fill == "subnormal" and not isinf(p) and (p < 0 or p > 2)


normalize = Operation(
    function=mint.normalize,
    draw=draw_normalize,
    spoil=spoil_normalize,
    equations=normalize_formula,
    jax=normalize_jax,
    # NaN then, and in the gradient of everything; a formula's gradient takes NaN times a slope of 0 for 0
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            "PyTorch takes powers of subnormal numbers, which underflow or overflow where their norm does not",
            applies=takes_far_powers,
        ),
    ),
)


# --- weight norm --------------------------------------------------------------------------------------------


def draw_weight_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """The length of each slice along one axis, or of the whole."""
    v = tuple(draw(st.lists(axis_length(2, 3, 1, 5), min_size=1, max_size=4)))
    if len(v) == 2 and draw(st.integers(0, 15)) == 15:
        v = (30, 50)
    # -1 is None in another word, and None no number to compare with others
    dim = draw(st.sampled_from((*range(len(v)), -1, *range(-len(v), -1))))
    whole = dim == -1
    # PyTorch divides by the length of an axis of 0 that is kept, and kills the process
    v = tuple(max(n, 1) if not whole and a == dim % len(v) else n for a, n in enumerate(v))
    g = () if whole else tuple(n if a == dim % len(v) else 1 for a, n in enumerate(v))
    return {"v": v, "g": (1,) * len(v) if whole and draw(st.booleans()) else g}, {"dim": dim}


def spoil_weight_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there; not a wrong g, past whose end PyTorch reads."""
    axes = len(shapes["v"])
    return "dim", shapes, {**hyper, "dim": draw(st.sampled_from((axes, -axes - 1, 1.5, "first")))}


@formula
def weight_norm_formula(v: Any, g: Any, *, dim: int | None = 0) -> Any:
    """w = g·v/√Σv²."""
    kept = None if dim in (None, -1) else dim % v.ndim
    axes = tuple(axis for axis in range(v.ndim) if axis != kept)
    return g * (v / np.sqrt((v * v).sum(axes, keepdims=True)))


def weight_norm_torch(F: Any, v: Any, g: Any, *, dim: int | None = 0) -> Any:
    return F.torch._weight_norm(v, g, -1 if dim is None else dim)


def weight_norm_jax(jax: Any, v: Any, g: Any, *, dim: int | None = 0) -> Any:
    kept = None if dim in (None, -1) else dim % v.ndim
    axes = tuple(axis for axis in range(v.ndim) if axis != kept)
    dtype = v.dtype
    v, g = in_single(jax, v, g)
    return (g * v / jax.numpy.sqrt((v * v).sum(axes, keepdims=True))).astype(dtype)


weight_norm = Operation(
    function=mint.weight_norm,
    draw=draw_weight_norm,
    spoil=spoil_weight_norm,
    equations=weight_norm_formula,
    torch=weight_norm_torch,
    jax=weight_norm_jax,
    adjust={"v": without_zeros},
    # as normalize
    nonfinite=(),
)


# --- spectral norm ------------------------------------------------------------------------------------------


def not_tiny(weight: Array) -> Array:
    """Nothing near underflow: σ has powers of the weight in it, and would underflow in the truth as well."""
    return uneven(without_tiny(weight))


def draw_spectral_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two to four axes, of which any gives the rows; zero to three steps."""
    weight = tuple(draw(st.lists(st.sampled_from((2, 3, 1, 5)), min_size=2, max_size=4)))
    axis = draw(st.integers(0, len(weight) - 1))
    rows = weight[axis]
    return {"weight": weight, "u": (rows,), "v": (prod(weight) // rows,)}, {
        "dim": axis - len(weight) if draw(st.booleans()) else axis,
        "n_power_iterations": draw(st.sampled_from((1, 2, 3))),
        "training": not draw(st.booleans()),
        "eps": draw(st.sampled_from((1e-12, 1e-6, 3.0))),
    }


def spoil_spectral_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An axis that is not there, vectors of other lengths, no step."""
    what = draw(st.sampled_from(("dim", "u", "v", "n_power_iterations")))
    axes = len(shapes["weight"])
    if what in shapes:
        return what, {**shapes, what: (shapes[what][0] + 1,)}, {**hyper, "training": False}
    wrong = {"dim": (axes, -axes - 1, "first"), "n_power_iterations": (0, -1)}[what]
    return what, shapes, {**hyper, what: draw(st.sampled_from(wrong))}


@formula
def spectral_norm_formula(
    weight: Any,
    u: Any,
    v: Any,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    training: bool = True,
) -> Any:
    """y = W/(uᵀWv), after steps u = Wv/max(‖Wv‖, ε), v = Wᵀu/max(‖Wᵀu‖, ε) that are not differentiated."""
    one = unit(weight, tuple(range(weight.ndim))).reshape(())
    weight = weight / one
    front = np.moveaxis(weight, dim, 0)
    matrix = front.reshape((front.shape[0], -1))
    fixed, u, v = matrix.constant, u.constant, v.constant

    def direction(x: Any) -> Any:
        return x / np.maximum(np.sqrt((x * x).sum()), x.dtype.type(eps) / one)

    for _ in range(n_power_iterations if training else 0):
        u = direction(fixed @ v)
        v = direction(fixed.T @ u)
    return weight / (u @ (matrix @ v)), u, v


def spectral_norm_torch(
    F: Any,
    weight: Any,
    u: Any,
    v: Any,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    training: bool = True,
) -> Any:
    if n_power_iterations <= 0:
        raise ValueError(f"Expected n_power_iterations to be positive, but got {n_power_iterations}")
    matrix = weight.movedim(dim, 0).flatten(1)
    with F.torch.no_grad():
        for _ in range(n_power_iterations if training else 0):
            u = F.normalize(F.torch.mv(matrix, v), dim=0, eps=eps)
            v = F.normalize(F.torch.mv(matrix.H, u), dim=0, eps=eps)
    return weight / F.torch.vdot(u, F.torch.mv(matrix, v)), u.clone(), v.clone()


def spectral_norm_jax(
    jax: Any,
    weight: Any,
    u: Any,
    v: Any,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    training: bool = True,
) -> Any:
    jnp, dtype = jax.numpy, weight.dtype
    weight, u, v = in_single(jax, weight, u, v)
    front = jnp.moveaxis(weight, dim, 0)
    matrix = front.reshape(front.shape[0], -1)
    fixed = jax.lax.stop_gradient(matrix)

    def direction(x: Any) -> Any:
        return x / jnp.maximum(jnp.linalg.norm(x), eps)

    for _ in range(n_power_iterations if training else 0):
        u = direction(fixed @ v)
        v = direction(fixed.T @ u)
    return (weight / (u @ (matrix @ v))).astype(dtype), u.astype(dtype), v.astype(dtype)


spectral_norm = Operation(
    function=mint.spectral_norm,
    draw=draw_spectral_norm,
    spoil=spoil_spectral_norm,
    equations=spectral_norm_formula,
    torch=spectral_norm_torch,
    jax=spectral_norm_jax,
    extras=("new_u", "new_v"),
    constant=("u", "v"),
    adjust={"weight": not_tiny, "u": uneven, "v": uneven},
    limitations=(
        *OVERFLOW,
        Limitation(
            "torch",
            "PyTorch multiplies with weight/σ² in float16, which overflows or underflows",
            applies=lambda case: case.configuration.dtype == "float16" and case.fill == "wide",
            tensors=("gweight",),
        ),
    ),
)
