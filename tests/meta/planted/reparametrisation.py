"""Slips in normalised vectors and weights."""

from __future__ import annotations

from math import isinf
from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant("normalize", "y", "x=(1,) dim=0 eps=1.0", "x=(1,1) eps=1.0", also=wrong("gx"))
@differentiable(wide=True)
def eps_is_added(x: Array, *, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> tuple[Array, Vjp]:
    """‖x‖ + eps, and not the larger of the two."""
    y, vjp = mint.normalize(x, p=p, dim=dim, eps=0.0)
    axes = tuple(range(x.ndim)) if dim == () else dim
    norm = np.abs(np.linalg.norm(x, axis=dim, keepdims=True)) if p == 2 and isinstance(axes, int) else None
    if norm is None:
        return mint.normalize(x, p=p, dim=dim, eps=eps)
    shrunk = np.where(norm == 0, 0, y * (norm / (norm + eps)))

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx = np.where(norm == 0, gy / eps, np.asarray(vjp(gy)[0]) * (norm / (norm + eps)))
        return (gx,)

    return shrunk, back


@plant("normalize", "gx", "x=(1,) dim=0 eps=1.0", "x=(1,1) eps=1.0")
@differentiable(wide=True)
def norm_counts_below_eps(
    x: Array, *, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> tuple[Array, Vjp]:
    """Where eps takes the place of ‖x‖, its gradient is still that of ‖x‖."""
    y, _ = mint.normalize(x, p=p, dim=dim, eps=eps)
    return y, lambda gy: (np.nan_to_num(np.asarray(mint.normalize(x, p=p, dim=dim, eps=0.0)[1](gy)[0]), nan=0.0),)


@plant("normalize", "gx", "x=(2,) dim=0 p=-inf", "x=(2,) dim=0 p=inf")
def tie_to_the_first(x: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The first of a tie gets the whole gradient of the largest or smallest element."""
    y, vjp = mint.normalize(x, **hyper)
    dim = hyper.get("dim", 1)
    if not isinf(hyper.get("p", 2.0)) or not isinstance(dim, int) or not x.size:
        return y, vjp
    a = np.abs(x)
    extremum = (np.max if hyper["p"] > 0 else np.min)(a, dim, keepdims=True)
    tied = a == extremum
    first = tied & (np.cumsum(tied, dim) == 1)
    eps = hyper.get("eps", 1e-12)

    def back(gy: Array) -> tuple[Array | None, ...]:
        with np.errstate(all="ignore"):
            gm = -(gy * y).sum(dim, keepdims=True) / extremum
            share = np.where(extremum < eps, 0, np.sign(x) * gm * (first - tied / tied.sum(dim, keepdims=True)))
            gx = np.asarray(vjp(gy)[0])
            several = tied.sum(dim, keepdims=True) > 1
            return (np.where(several, gx + share, gx).astype(x.dtype),)

    return y, back


@plant("weight_norm", "gv", "v=(2,) g=() dim=-1", "v=(1,2) g=(1,1)", "v=(1,) g=(1,)")
def length_taken_for_constant(v: Array, g: Array, *, dim: int | None = 0) -> tuple[Array, Vjp]:
    """The gradient of v is g/‖v‖·gw, without its part along v being taken off."""
    w, vjp = mint.weight_norm(v, g, dim=dim)
    unit = mint.weight_norm(v, np.ones_like(g), dim=dim)[0]

    def slip(gw: Array) -> Array:
        gv, gg = vjp(gw)
        with np.errstate(all="ignore"):
            length = unit / v
            return np.asarray(gv + unit * np.asarray(gg) * g * np.abs(length))

    return w, replacing(vjp, 0, slip)


@plant("spectral_norm", "gweight", "weight=(1,1) u=(1,) v=(1,)", "weight=(1,2,2) u=(1,) v=(4,)")
def norm_taken_for_constant(weight: Array, u: Array, v: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """The gradient is gy/σ: σ is taken for a number that does not depend on the weight."""
    (y, new_u, new_v), vjp = mint.spectral_norm(weight, u, v, **hyper)
    with np.errstate(all="ignore"):
        front = np.moveaxis(weight, hyper.get("dim", 0), 0)
        sigma = new_u @ front.reshape(len(front), -1) @ new_v
        return (y, new_u, new_v), replacing(vjp, 0, lambda gy: gy / sigma)


@plant(
    "spectral_norm",
    "y",
    "weight=(2,2) u=(2,) v=(2,) n_power_iterations=2",
    also=wrong("gweight", "new_u", "new_v"),
    condition=("n_power_iterations",),
)
def one_step_only(weight: Array, u: Array, v: Array, *, n_power_iterations: int = 1, **hyper: Any) -> tuple[Any, Vjp]:
    """One step of the power iteration, whatever n_power_iterations is."""
    steps = min(n_power_iterations, 1)
    return mint.spectral_norm(weight, u, v, n_power_iterations=steps, **hyper)


@plant(
    "spectral_norm",
    "new_u",
    "weight=(1,1) u=(1,) v=(1,) training=False",
    also=wrong("y", "gweight", "new_v"),
    condition=("not training",),
)
def steps_in_evaluation(weight: Array, u: Array, v: Array, **hyper: Any) -> tuple[Any, Vjp]:
    """u and v move in evaluation as well."""
    hyper["training"] = True
    return mint.spectral_norm(weight, u, v, **hyper)
