"""Distances and similarities between vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mint import hyperparameters
from mint.broadcast import common_shape, summed_to
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell

__all__ = [
    "CosineSimilarity",
    "PairwiseDistance",
    "cdist",
    "cosine_similarity",
    "pairwise_distance",
    "pdist",
]

PairVjp = Callable[[Array], tuple[Array, Array]]
"""From the cotangent of a distance to the gradients of the two arrays."""

COMPUTE_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def scaled_length(x: Array, axis: int, least: float = 0.0, added: float = 0.0) -> tuple[Array, Array, Array]:
    """x/2^e, √(Σx² + added)/2^e over an axis, which is kept, and e.

    No square overflows, nor does one underflow that counts beside the square of least.
    """
    largest = np.maximum(abs(x).max(axis, keepdims=True, initial=0), x.dtype.type(least))
    # 2^(e−1) ≤ largest < 2^e; 0 for what is 0, infinite or NaN
    e = np.frexp(np.where(np.isfinite(largest), largest, 0))[1]
    scaled = np.ldexp(x, -e)
    squares = (scaled * scaled).sum(axis, keepdims=True)
    return scaled, np.sqrt(squares + np.ldexp(x.dtype.type(added), -2 * e)), e


def _norm(d: Array, p: float, *, share_ties: bool) -> tuple[Array, Callable[[], Array]]:
    """‖d‖ₚ over the last axis, which is kept, and what gives its slope ∂‖d‖ₚ/∂d.

    p may be any number: 0 counts what is not 0, ∞ and −∞ take the largest and the smallest |d|. Tied ones
    share the slope evenly, or each have all of it.
    """
    a = abs(d)
    if p == 0:
        y = np.where(np.isnan(a), a, a != 0).sum(-1, keepdims=True)
        return y, lambda: np.zeros_like(d)
    if math.isinf(p):
        y = a.max(-1, keepdims=True, initial=0) if p > 0 else a.min(-1, keepdims=True)

        def extremes() -> Array:
            hit = (a == y) | np.isnan(a)
            return np.where(hit, np.sign(d), 0) / (hit.sum(-1, keepdims=True) if share_ties else 1)

        return y, extremes
    if p == 1:
        return a.sum(-1, keepdims=True), lambda: np.sign(d)
    if p == 2:
        scaled, length, e = scaled_length(d, -1)
        return np.ldexp(length, e), lambda: np.where(length == 0, 0, scaled / length)
    # scaled by the element that rules the sum, so that no power overflows
    ruling = a.max(-1, keepdims=True, initial=0) if p > 0 else a.min(-1, keepdims=True)
    unit = np.where(np.isfinite(ruling) & (ruling > 0), ruling, 1)
    n = ((a / unit) ** p).sum(-1, keepdims=True) ** (d.dtype.type(1) / d.dtype.type(p))

    def slope() -> Array:
        # y = unit·n, ∂y/∂d = sign(d)·|d|^(p−1)·y^(1−p): for 0 < p < 2 the factors stay in range, else a power of what
        # is at most 1
        if 0 < p < 2:
            steep = a ** (p - 1) * unit ** (1 - p) * n ** (1 - p)
        elif p > 0:
            steep = (a / unit / n) ** (p - 1)
        else:
            steep = (unit / a * n) ** (1 - p)
        return np.where((n == 0) | ((d == 0) & (p < 1)), 0, np.sign(d) * steep)

    return unit * n, slope


def distance_of_pairs(x1: Array, x2: Array, p: float, eps: float) -> tuple[Array, PairVjp]:
    """The mathematics of ``pairwise_distance``, which the triplet losses share; the last axis is kept."""
    d = np.atleast_1d(x1 - x2 + x1.dtype.type(eps))
    y, slope = _norm(d, p, share_ties=True)

    def vjp(gy: Array) -> tuple[Array, Array]:
        # d = x1 − x2 + ε, y = ‖d‖: ∂y/∂x1 = ∂‖d‖/∂d = −∂y/∂x2, summed over what was stretched
        g = gy * slope()
        return summed_to(g, x1.shape), summed_to(-g, x2.shape)

    return y, vjp


def _direction(x: Array, axis: int, eps: float) -> tuple[Array, Callable[[Array], Array]]:
    """u = x/max(‖x‖, eps), and what makes of the cotangent of u that of x."""
    scaled, length, e = scaled_length(x, axis, eps)
    least = np.ldexp(x.dtype.type(eps), -e)
    n = np.where(length < least, least, length)
    u = scaled / n

    def back(g: Array) -> Array:
        # ∂u/∂x = 1/n, and where n = ‖x‖, which has the slope u: gx = (g − u·Σ g·u)/n
        along = np.where(length < least, 0, (g * u).sum(axis, keepdims=True))
        gx: Array = np.ldexp((g - u * along) / n, -e)
        return gx

    return u, back


def similarity(x1: Array, x2: Array, axis: int, eps: float) -> tuple[Array, PairVjp]:
    """The mathematics of ``cosine_similarity``, whose axis is kept."""
    shape = np.broadcast_shapes(x1.shape, x2.shape, (1,))
    (u, of_u), (v, of_v) = (_direction(np.broadcast_to(x, shape), axis, eps) for x in (x1, x2))
    y: Array = (u * v).sum(axis, keepdims=True)

    def vjp(gy: Array) -> tuple[Array, Array]:
        # y = Σ u·v: the cotangent of u is gy·v
        return summed_to(gy * of_u(v), x1.shape), summed_to(gy * of_v(u), x2.shape)

    return y, vjp


@differentiable(wide=True)
def cosine_similarity(x1: Array, x2: Array, *, dim: int = 1, eps: float = 1e-8) -> tuple[Array, Vjp]:
    """Cosine similarity: y = Σ x1·x2 / (max(‖x1‖, eps)·max(‖x2‖, eps)), sums and Euclidean norms over axis dim.

    Shapes: x1 and x2 broadcast to one shape, y has it without axis dim. Dtypes: those of ``differentiable``.
    dim: index of the axis of the common shape, counted from the end where negative. eps: the least that a norm
    counts as, at least 0; with 0 a vector of zeros gives NaN.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2)``. A norm less than eps is a constant, of slope 0.
    Raises ValueError for shapes that do not broadcast, an axis that is not there or a negative eps, TypeError
    for wrong types.
    Source: PyTorch ``torch.nn.functional.cosine_similarity``, whose gradient goes through the norm even where
    eps has replaced it, and whose norms overflow for long vectors and underflow for short ones.

    >>> cosine_similarity(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0], [0.0, 0.0]]))[0]
    array([0.96, 0.  ])
    """
    op = "cosine_similarity"
    shape = common_shape(op, x1=x1, x2=x2)
    axis = hyperparameters.dimension(op, "dim", dim, len(shape))
    y, vjp = similarity(x1, x2, axis, hyperparameters.real(op, "eps", eps, least=0, most=math.inf))
    result = y.reshape(shape[:axis] + shape[axis + 1 :])
    return result, lambda gy: vjp(gy.reshape(y.shape))


@differentiable(wide=True)
def pairwise_distance(
    x1: Array, x2: Array, *, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> tuple[Array, Vjp]:
    """Distance of the vectors along the last axis: y = ‖x1 − x2 + eps‖ₚ = (Σ |x1 − x2 + eps|^p)^(1/p).

    Shapes: x1 and x2 broadcast to one shape (…, D); y (…), or (…, 1) with keepdim. Dtypes: those of
    ``differentiable``.
    p: the degree of the norm, any number; 0 counts the differences other than 0, inf and -inf take the largest
    and the smallest |x1 − x2 + eps|. eps: added to every difference. keepdim: whether y keeps the last axis.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2)``: 0 where the distance is 0, 0 for p = 0, and shared evenly
    by tied extremes for p = ±inf, as in PyTorch.
    Raises ValueError for shapes that do not broadcast, or an empty D where p is negative or inf; TypeError for
    wrong types.
    Source: PyTorch ``torch.nn.functional.pairwise_distance``, whose powers overflow and underflow. There a NaN
    counts as one for p = 0 (here the distance is NaN), and its slope is 0 for p = 1 and p = ±inf (here NaN).

    >>> pairwise_distance(np.array([[3.0, 4.0]]), np.array([0.0, 0.0]), eps=0)[0]
    array([5.])
    """
    op = "pairwise_distance"
    p = hyperparameters.real(op, "p", p, least=-math.inf, most=math.inf)
    eps = hyperparameters.real(op, "eps", eps)
    keepdim = hyperparameters.flag(op, "keepdim", keepdim)
    shape = common_shape(op, x1=x1, x2=x2)
    check_not_empty(op, shape, p)
    y, vjp = distance_of_pairs(x1, x2, p, eps)
    result = y.reshape(shape[:-1] + ((1,) if keepdim and shape else ()))
    return result, lambda gy: vjp(gy.reshape(y.shape))


def check_not_empty(op: str, shape: tuple[int, ...], p: float) -> None:
    """Refuse vectors of no elements where the norm has no value for them."""
    if shape and shape[-1] == 0 and not 0 <= p < math.inf:
        raise ValueError(f"{op}: the last axis must not be empty for p = {p}; got shape {shape}")


@differentiable(wide=True)
def cdist(
    x1: Array, x2: Array, *, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> tuple[Array, Vjp]:
    """Distance of every row of x1 from every row of x2: y[i, j] = (Σ over m of |x1[i, m] − x2[j, m]|^p)^(1/p).

    Shapes: x1 (…, P, M), x2 (…, R, M), y (…, P, R), where the leading axes broadcast; any may be empty.
    Dtypes: those of ``differentiable``.
    p: the degree of the norm, from 0 to inf; 0 counts the differences other than 0, inf takes the largest.
    compute_mode: "use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist" or
    "donot_use_mm_for_euclid_dist". It says where PyTorch takes √(a² + b² − 2ab) for p = 2, in which the
    distance of near points cancels. All three name the same function, and here it is computed by differences.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2)``: 0 where the distance is 0, 0 for p = 0. For p = inf each of
    several tied differences receives the whole slope, as in PyTorch (there, too, they share it evenly in
    ``pairwise_distance``).
    Raises ValueError for shapes that do not fit, a negative p or another compute_mode; TypeError for wrong types.
    Source: PyTorch ``torch.cdist``, whose powers overflow and underflow, and which may lose a NaN for p = inf.

    >>> cdist(np.array([[0.0, 0.0], [3.0, 0.0]]), np.array([[0.0, 4.0]]))[0]
    array([[4.],
           [5.]])
    """
    op = "cdist"
    p = hyperparameters.real(op, "p", p, least=0, most=math.inf)
    hyperparameters.choice(op, "compute_mode", compute_mode, COMPUTE_MODES)
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"{op}: x1 (..., P, M) and x2 (..., R, M) must agree in M; got {x1.shape} and {x2.shape}")
    rows, columns = x1[..., :, None, :], x2[..., None, :, :]
    common_shape(op, x1=rows, x2=columns)
    y, slope = _norm(rows - columns, p, share_ties=False)

    def vjp(gy: Array) -> tuple[Array, Array]:
        # d = x1 − x2: [i, m] [j, m] -> [i, j, m]; back, the sum over j for x1 and over i for x2
        g = gy[..., None] * slope()
        return summed_to(g.sum(-2), x1.shape), summed_to(-g.sum(-3), x2.shape)

    return y[..., 0], vjp


@differentiable(wide=True)
def pdist(x: Array, *, p: float = 2.0) -> tuple[Array, Vjp]:
    """Distance of every two rows: y[k] = (Σ over m of |x[i, m] − x[j, m]|^p)^(1/p), k counting the pairs i < j.

    The pairs come in the order (0, 1), (0, 2), …, (1, 2), …: what lies above the diagonal of ``cdist`` of x
    with itself, row by row.

    Shapes: x (N, M), y (N·(N − 1)/2,). Dtypes: those of ``differentiable``.
    p: the degree of the norm, from 0 to inf; 0 counts the differences other than 0, inf takes the largest.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``, with the conventions of ``cdist``.
    Raises ValueError for another shape or a negative p, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.pdist``, whose powers overflow and underflow.

    >>> pdist(np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))[0]
    array([3., 4., 5.])
    """
    op = "pdist"
    p = hyperparameters.real(op, "p", p, least=0, most=math.inf)
    if x.ndim != 2:
        raise ValueError(f"{op}: x must have shape (N, M); got {x.shape}")
    first, second = np.triu_indices(len(x), 1)
    y, slope = _norm(x[first] - x[second], p, share_ties=False)

    def vjp(gy: Array) -> tuple[Array, ...]:
        # d[k] = x[i] − x[j]: back, row i receives the slopes of its pairs, row j their negatives
        g = gy[:, None] * slope()
        gx = np.zeros_like(x)
        np.add.at(gx, first, g)
        np.subtract.at(gx, second, g)
        return (gx,)

    return y[:, 0], vjp


class CosineSimilarity(Shell):
    """``cosine_similarity`` over axis dim; called on x1 and x2, and its vjp returns the gradients of both."""

    operation = staticmethod(cosine_similarity)

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(Shell):
    """``pairwise_distance``; called on x1 and x2, and its vjp returns the gradients of both."""

    operation = staticmethod(pairwise_distance)

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)
