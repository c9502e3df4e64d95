"""Normalised vectors and weights: unit length, weight norm, spectral norm."""

from __future__ import annotations

import math

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.norm import unit_for_powers

__all__ = ["normalize", "spectral_norm", "weight_norm"]

Axes = tuple[int, ...]


def _unit(x: Array, axes: Axes, floor: float = 0, power: float = 2) -> Array:
    # x and floor are divided by this before powers are taken, of which those of the largest or, for negative ones, of
    # the smallest element count
    a = np.abs(x)
    ruling = a.min(axes, keepdims=True, initial=np.inf) if power < 0 else a.max(axes, keepdims=True, initial=0)
    return unit_for_powers(np.maximum(ruling, x.dtype.type(floor)), power)


def _over(g: Array, n: Array, unit: Array) -> Array:
    """g/(n·unit): the product, unless it might overflow, or else what is subnormal would be rounded twice."""
    return np.where(unit > 1, g / n / unit, g / (n * unit))


def _length(x: Array, axes: Axes) -> Array:
    """The Euclidean norm over axes."""
    y: Array = np.sqrt((x * x).sum(axes, keepdims=True))
    return y


def _norm(x: Array, p: float, axes: Axes) -> tuple[Array, Array]:
    """The p-norm over axes for a p other than 0, and its derivative."""
    a, sign = np.abs(x), np.sign(x)
    if p == 2:
        n = _length(x, axes)
        return n, np.where(n == 0, 0, x / n)
    if math.isinf(p):
        n = a.max(axes, keepdims=True, initial=0) if p > 0 else a.min(axes, keepdims=True, initial=np.inf)
        chosen = (a == n) | (np.isnan(a) & np.isnan(n))
        return n, sign * chosen / np.maximum(chosen.sum(axes, keepdims=True), 1)
    exponent = x.dtype.type(p)
    n = (a**exponent).sum(axes, keepdims=True) ** (1 / exponent)
    return n, np.where((a == 0) | (n == 0), 0, sign * a ** (exponent - 1) * n ** (1 - exponent))


@differentiable(wide=True)
def normalize(x: Array, *, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> tuple[Array, Vjp]:
    """Vectors of length one: y = x/max(‖x‖, eps), ‖x‖ = (Σ |x|^p)^(1/p) over the axes dim.

    ‖x‖ is the number of elements other than 0 for p = 0, the largest |x| for p = ∞, the smallest for p = −∞.

    Shapes: y has that of x, which may be empty. Dtypes: those of ``differentiable``.
    p: any number. dim: index of the axis, or of several, counted from the end where negative; () means all. eps: in
    units of x, at least 0.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``. As in PyTorch ‖x‖ has the derivative 0 in p = 0 and, for p other than
    ±∞, where x is 0; for p = ±∞ all elements of a tie share it evenly; and where ‖x‖ is eps it counts.
    Raises ValueError for axes that x has not, a negative eps, a p that is NaN, or a norm with p = ∞ or p < 0 over
    nothing; TypeError for what is no number or array of that kind.
    Source: PyTorch ``torch.nn.functional.normalize``. JAX has none.

    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))[0]
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    op = "normalize"
    p = hyperparameters.real(op, "p", p)
    if math.isnan(p):
        raise ValueError(f"{op}: p must be a number; got {p!r}")
    axes = hyperparameters.dimensions(op, "dim", dim, x.ndim) if x.ndim else _of_a_number(op, dim)
    eps = x.dtype.type(hyperparameters.real(op, "eps", eps, least=0, most=math.inf))
    if (p < 0 or math.isinf(p)) and any(x.shape[axis] == 0 for axis in axes):
        raise ValueError(f"{op}: the norm with p = {p} needs at least one element along dim; got shape {x.shape}")
    if p == 0:
        unit, z = np.ones_like(x, shape=()), x
        n, slope = (x != 0).sum(axes, keepdims=True).astype(x.dtype), np.zeros_like(x)
    else:
        unit = _unit(x, axes, eps, math.copysign(2, p) if math.isinf(p) else p)
        z = x / unit
        n, slope = _norm(z, p, axes)
    m = np.maximum(n, eps / unit)
    y = z / m

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y[i] = x[i]/m, so gm = −Σ gy·x/m² = −Σ gy·y / m; gx = gy/m + gm·∂m/∂x, ∂m/∂x = ∂‖x‖/∂x unless eps is larger
        gm = -(gy * y).sum(axes, keepdims=True)
        return (_over(gy, m, unit) + np.where((n < eps / unit) | (p == 0), 0, _over(gm, m, unit) * slope),)

    return y, vjp


def _of_a_number(op: str, dim: object) -> Axes:
    hyperparameters.dimensions(op, "dim", dim, 0)
    # reducing a 0-d array over no axis leaves its one element
    return ()


@differentiable(wide=True)
def weight_norm(v: Array, g: Array, *, dim: int | None = 0) -> tuple[Array, Vjp]:
    """Weight normalisation: w = g·v/‖v‖, length and direction of each slice of a weight apart.

    ‖v‖ is the Euclidean norm over all axes but dim; over all axes where dim is None or −1.

    Shapes: v any with at least one axis, which may be empty; g 1 on every axis but dim, and as long as v there; () or
    1 on every axis where dim is None or −1. Dtypes: those of ``differentiable``; both arrays share one.
    dim: index of the axis that is kept, counted from the end where below −1.
    Returns ``w, vjp``; ``vjp(gw)`` is ``(gv, gg)``. A slice of zeros has no direction: w is NaN.
    Raises ValueError for shapes that do not fit or an axis that v has not; TypeError for what is no int or array of
    that kind.
    Source: Salimans and Kingma, "Weight normalization: a simple reparameterization to accelerate training of deep
    neural networks", 2016; PyTorch ``torch.nn.utils.parametrizations.weight_norm``, whose ``torch._weight_norm`` does
    not check g and reads past its end. JAX has none.

    >>> weight_norm(np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[10.0], [1.0]]))[0]
    array([[6., 8.],
           [0., 1.]])
    """
    op = "weight_norm"
    if v.ndim == 0:
        raise ValueError(f"{op}: v must have at least one axis; got {v.shape}")
    kept = None if dim is None or dim == -1 else hyperparameters.dimension(op, "dim", dim, v.ndim)
    axes = tuple(axis for axis in range(v.ndim) if axis != kept)
    shape = tuple(length if axis == kept else 1 for axis, length in enumerate(v.shape))
    if g.shape != shape and not (kept is None and g.ndim == 0):
        raise ValueError(f"{op}: g must have shape {shape}; got {g.shape}")
    unit = _unit(v, axes)
    z = v / unit
    n = _length(z, axes)
    u = z / n

    def vjp(gw: Array) -> tuple[Array | None, ...]:
        # w = g·u, ∂u[i]/∂v[j] = (δ[i, j] − u[i]·u[j])/‖v‖: gg = Σ gw·u, gv = g/‖v‖·(gw − u·Σ gw·u)
        along = (gw * u).sum(axes, keepdims=True)
        return _over((gw - u * along) * g, n, unit), along.reshape(g.shape)

    return g * u, vjp


@differentiable(wide=True)
def spectral_norm(
    weight: Array,
    u: Array,
    v: Array,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    training: bool = True,
) -> tuple[tuple[Array, Array, Array], Vjp]:
    """Spectral normalisation: y = weight/σ, σ = uᵀ·W·v, W the matrix with axis dim of weight for its rows.

    In training u and v first come n_power_iterations steps nearer to the singular vectors of the largest singular
    value, of which σ is then the estimate: u = W·v/max(‖W·v‖, eps), v = Wᵀ·u/max(‖Wᵀ·u‖, eps).

    Shapes: weight and y any with at least two axes, u (rows,) and v (columns,), the product of all other axes.
    Dtypes: those of ``differentiable``; all arrays share one.
    n_power_iterations: at least 1. eps: at least 0. dim: index of the axis, counted from the end where negative.
    Returns ``(y, new_u, new_v), vjp``; ``vjp(gy)`` is ``(gweight, None, None)``: as in PyTorch the steps have no
    gradient, u and v count as constant.
    Raises ValueError for shapes or hyper-parameters that do not fit, TypeError for what is of another kind.
    Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018; PyTorch
    ``torch.nn.utils.parametrizations.spectral_norm``, which makes ``normalize`` of a weight with one axis. JAX has
    none.

    >>> (y, u, v), vjp = spectral_norm(np.diag([3.0, 4.0]), np.ones(2), np.array([0.0, 1.0]))
    >>> y, u, v
    (array([[0.75, 0.  ],
           [0.  , 1.  ]]), array([0., 1.]), array([0., 1.]))
    """
    op = "spectral_norm"
    steps = hyperparameters.integer(op, "n_power_iterations", n_power_iterations, least=1)
    eps = hyperparameters.real(op, "eps", eps, least=0, most=math.inf)
    training = hyperparameters.flag(op, "training", training)
    if weight.ndim < 2:
        raise ValueError(f"{op}: weight must have at least two axes; got {weight.shape}")
    axis = hyperparameters.dimension(op, "dim", dim, weight.ndim)
    front = np.moveaxis(weight, axis, 0)
    rows, columns = front.shape[0], math.prod(front.shape[1:])
    for name, array, length in (("u", u, rows), ("v", v, columns)):
        if array.shape != (length,):
            raise ValueError(f"{op}: {name} must have shape {(length,)}; got {array.shape}")
    unit = _unit(weight, tuple(range(weight.ndim)), eps)
    z = weight / unit
    matrix = (front / unit.reshape(())).reshape(rows, columns)
    least = weight.dtype.type(eps) / unit.reshape(())
    for _ in range(steps if training else 0):
        u = _direction(matrix @ v, least)
        v = _direction(u @ matrix, least)
    sigma = u @ (matrix @ v)
    y = z / sigma

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂σ/∂W = u·vᵀ, so gW = gy/σ − (Σ gy·y)/σ · u·vᵀ
        outer = np.moveaxis(np.multiply.outer(u, v).reshape(front.shape), 0, axis)
        return _over(gy - (gy * y).sum() * outer, sigma, unit), None, None

    return (y, u, v), vjp


def _direction(x: Array, least: Array) -> Array:
    y: Array = x / np.maximum(_length(x, (0,)), least)
    return y
