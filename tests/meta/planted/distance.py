"""Slips in distances and similarities."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from mint.differentiable import differentiable
from mint.distance import COMPUTE_MODES
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant(
    "cosine_similarity",
    "y",
    "x1=(1,2) x2=(1,2) dim=0",
    "x1=(1,1,1) x2=(1,1,2)",
    also=wrong("gx1", "gx2"),
    condition=("dim",),
)
def over_the_last_axis(x1: Array, x2: Array, *, dim: int = 1, **hyper: Any) -> tuple[Array, Vjp]:
    """The last axis, whatever dim is, with the shape that is due."""
    y, vjp = mint.cosine_similarity(x1, x2, dim=dim, **hyper)
    axes = np.broadcast_shapes(x1.shape, x2.shape)
    if dim % len(axes) == len(axes) - 1 or 0 in axes:
        return y, vjp
    last, _ = mint.cosine_similarity(x1, x2, dim=-1, **hyper)
    return np.resize(last, y.shape), vjp


@plant("cdist", "y", "x1=(1,1) x2=(1,1)", "x1=(1,1,1) x2=(1,1,1)", also=wrong("gx1", "gx2"))
@differentiable
def squares_less_twice_the_product(
    x1: Array, x2: Array, *, p: float = 2.0, compute_mode: str = COMPUTE_MODES[0]
) -> tuple[Array, Vjp]:
    """√(a² + b² − 2ab), in which near points cancel."""
    y, vjp = mint.cdist(x1, x2, p=p, compute_mode=compute_mode)
    if p != 2:
        return y, vjp
    a, b = (x1 * x1).sum(-1)[..., :, None], (x2 * x2).sum(-1)[..., None, :]
    return np.sqrt(np.maximum(a + b - 2 * x1 @ x2.swapaxes(-1, -2), 0)), vjp


@plant("cdist", "gx2", "x1=(1,1) x2=(1,1)", "x1=(1,1,1) x2=(1,1,1)")
def sign_of_the_second_forgotten(x1: Array, x2: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradient of x2 is that of the difference, and not its negative."""
    y, vjp = mint.cdist(x1, x2, **hyper)
    return y, replacing(vjp, 1, lambda gy: -vjp(gy)[1])


@plant("pdist", "gx", "x=(2,1)")
def slope_at_coincident_points(x: Array, *, p: float = 2.0) -> tuple[Array, Vjp]:
    """The slope d/‖d‖ is 0/0 where two points coincide."""
    y, vjp = mint.pdist(x, p=p)

    def back(gy: Array) -> tuple[Array | None, ...]:
        (gx,) = vjp(gy)
        first, second = np.triu_indices(len(x), 1)
        gx[np.concatenate([first[y == 0], second[y == 0]])] = np.nan
        return (gx,)

    return y, back


@plant("pairwise_distance", "y", "x1=(1,) x2=(1,) eps=0.1", "x1=(1,1) x2=(1,1) eps=0.1", also=wrong("gx1", "gx2"))
def eps_on_the_other_side(x1: Array, x2: Array, *, eps: float = 1e-6, **hyper: Any) -> tuple[Array, Vjp]:
    """eps is taken off the difference, and not added to it."""
    return mint.pairwise_distance(x1, x2, eps=-eps, **hyper)


@plant(
    "pairwise_distance",
    "gx1",
    "x1=(1,) x2=(2,)",
    "x1=(1,) x2=(1,1)",
    "x1=(1,1) x2=(2,1)",
    "x1=(1,) x2=(2,1)",
    "x1=(1,) x2=(2,) p=inf",
)
def broadcast_not_summed(x1: Array, x2: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """What was stretched receives the gradient of its last copy alone."""
    y, vjp = mint.pairwise_distance(x1, x2, **hyper)
    common = np.broadcast_shapes(x1.shape, x2.shape)
    if x1.shape == common or not y.size:
        return y, vjp
    _, wide = mint.pairwise_distance(np.broadcast_to(x1, common).copy(), x2, **hyper)

    def last(gy: Array) -> Array:
        g = wide(gy)[0].reshape(-1, *common[len(common) - x1.ndim :])[-1]
        return g[tuple(slice(-1, None) if n == 1 else slice(None) for n in x1.shape)]

    return y, replacing(vjp, 0, last)
