"""Softmax and what is made from it, over one axis."""

from __future__ import annotations

import numpy as np

from mint import hyperparameters
from mint.activation import _sigmoid, _sigmoid_slope
from mint.differentiable import Array, Vjp, differentiable
from mint.module import ModuleVjp, Shell
from mint.sampling import generator

__all__ = [
    "GLU",
    "LogSoftmax",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "glu",
    "gumbel_softmax",
    "log_softmax",
    "softmax",
    "softmin",
]


def _log_sum_exp(z: Array, axis: tuple[int, ...]) -> Array:
    # for z ≤ 0 whose largest is 0: log1p of the sum without one of its ones, so that a dominant element
    # leaves digits
    e = np.exp(z)
    ones = e == 1
    others = np.where(ones, 0, e).sum(axis, keepdims=True)
    y: Array = np.log1p(others + (ones.sum(axis, keepdims=True, dtype=z.dtype) - 1))
    return y


def log_probabilities(x: Array, axis: tuple[int, ...]) -> Array:
    """The mathematics of ``log_softmax``, which ``cross_entropy`` shares: the maximum is taken off first."""
    z = x - x.max(axis, keepdims=True, initial=-np.inf)
    y: Array = z - _log_sum_exp(z, axis)
    return y


def _axis(op: str, dim: int, x: Array) -> tuple[int, ...]:
    axis = hyperparameters.dimension(op, "dim", dim, x.ndim)
    # reducing a 0-d array over no axis leaves its one element
    return (axis,) if x.ndim else ()


def _probabilities(x: Array, axis: tuple[int, ...]) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    y: Array = e / e.sum(axis, keepdims=True)
    return y


def _through_probabilities(gy: Array, y: Array, axis: tuple[int, ...]) -> Array:
    # ∂y[i]/∂x[j] = y[i]·(δ[i, j] − y[j]); summed with gy[i]: y[j]·(gy[j] − Σ gy·y)
    gx: Array = y * (gy - (gy * y).sum(axis, keepdims=True))
    return gx


@differentiable(wide=True)
def softmax(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """Softmax: y = exp(x)/Σ exp(x), the sum over axis dim.

    Shapes: y has that of x, which may be empty. Dtypes: those of ``differentiable``.
    dim: index of the axis, counted from the end where negative.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not, TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.softmax``, as in which a row that holds NaN, +∞ or nothing but −∞
    gives NaN.

    >>> softmax(np.array([1000.0, 1000.0, -np.inf]), dim=0)[0]
    array([0.5, 0.5, 0. ])
    """
    axis = _axis("softmax", dim, x)
    y = _probabilities(x, axis)
    return y, lambda gy: (_through_probabilities(gy, y, axis),)


@differentiable(wide=True)
def log_softmax(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """Log-softmax: y = x − log Σ exp(x), the sum over axis dim.

    Shapes: y has that of x, which may be empty. Dtypes: those of ``differentiable``.
    dim: index of the axis, counted from the end where negative.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not, TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.log_softmax``, as in which a row that holds NaN, +∞ or nothing but
    −∞ gives NaN. The largest element of a row keeps its digits where PyTorch and JAX round it to 0.

    >>> log_softmax(np.array([0.0, -40.0]), dim=0)[0]
    array([-4.24835426e-18, -4.00000000e+01])
    """
    axis = _axis("log_softmax", dim, x)
    y = log_probabilities(x, axis)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂y[i]/∂x[j] = δ[i, j] − exp(y[j]); summed with gy[i]: gy[j] − exp(y[j])·Σ gy
        return (gy - np.exp(y) * gy.sum(axis, keepdims=True),)

    return y, vjp


@differentiable(wide=True)
def softmin(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """Softmin: y = exp(−x)/Σ exp(−x), the sum over axis dim; the softmax of −x.

    Shapes: y has that of x, which may be empty. Dtypes: those of ``differentiable``.
    dim: index of the axis, counted from the end where negative.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not, TypeError for what is no floating-point array.
    Source: PyTorch ``torch.nn.functional.softmin``. JAX has none.

    >>> softmin(np.array([1000.0, 1000.0, np.inf]), dim=0)[0]
    array([0.5, 0.5, 0. ])
    """
    axis = _axis("softmin", dim, x)
    y = _probabilities(-x, axis)
    # softmax's gradient is that of −x
    return y, lambda gy: (-_through_probabilities(gy, y, axis),)


@differentiable(wide=True)
def gumbel_softmax(
    x: Array,
    noise: Array | None = None,
    *,
    tau: float = 1.0,
    hard: bool = False,
    dim: int = -1,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Gumbel-softmax: s = softmax((x + noise)/tau) over axis dim, a sample that is nearly one-hot for small tau.

    With hard, y is 1 at the (first) largest s and 0 elsewhere, exactly, and its gradient is that of s: straight
    through. Else y = s.

    Shapes: y has that of x, and so has noise. Dtypes: those of ``differentiable``; both arrays share one.
    noise: from the Gumbel distribution, −log(−log u) for u even in (0, 1); drawn by rng (a fresh generator where None)
    if it is not given. tau: the temperature; as in PyTorch a negative one turns the order round, and 0 gives NaN.
    dim: index of the axis, counted from the end where negative.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``, with the same noise.
    Raises ValueError for an axis that x has not or, with hard, that has no element, a noise of another shape or beside
    an rng; TypeError for what is no floating-point array, number, bool or generator.
    Source: Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", 2017. PyTorch draws its noise
    itself and takes none, and with hard adds and takes off s again, so that its 1 may be 1 − u; JAX has none.

    >>> gumbel_softmax(np.array([1.0, 2.0, 2.0]), np.array([0.0, 1.0, 0.5]), hard=True)[0]
    array([0., 1., 0.])
    """
    axis = _axis("gumbel_softmax", dim, x)
    hard = hyperparameters.flag("gumbel_softmax", "hard", hard)
    t = x.dtype.type(hyperparameters.real("gumbel_softmax", "tau", tau))
    source = generator("gumbel_softmax", rng)
    if noise is None:
        noise = source.gumbel(size=x.shape).astype(x.dtype)
    elif rng is not None:
        raise ValueError("gumbel_softmax: noise and rng exclude each other; got both")
    elif noise.shape != x.shape:
        raise ValueError(f"gumbel_softmax: noise must have the shape of x, {x.shape}; got {noise.shape}")
    if hard and axis and x.shape[axis[0]] == 0:
        raise ValueError(f"gumbel_softmax: with hard, axis dim of x must have an element; got {x.shape}")
    z = np.sign(t) * (x + noise)
    # the maximum first: z/|τ| may overflow
    s = _probabilities((z - z.max(axis, keepdims=True, initial=-np.inf)) / abs(t), axis)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # softmax's gradient is that of (x + noise)/τ
        return _through_probabilities(gy, s, axis) / t, None

    return _one_hot(s, axis) if hard else s, vjp


def _one_hot(s: Array, axis: tuple[int, ...]) -> Array:
    y = np.ones_like(s)
    if axis:
        y = np.zeros_like(s)
        np.put_along_axis(y, np.expand_dims(s.argmax(axis[0]), axis), 1, axis[0])
    # NaN stays
    return np.where(np.isnan(s), s, y)


@differentiable(wide=True)
def glu(x: Array, *, dim: int = -1) -> tuple[Array, Vjp]:
    """GLU: y = a·σ(b), where a and b are the halves of x along axis dim.

    Shapes: x (…, 2·n, …), y (…, n, …), either of which may be empty. Dtypes: those of ``differentiable``.
    dim: index of the axis that is halved, counted from the end where negative.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError for an axis that x has not or whose length is odd, TypeError for what is no floating-point array.
    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2017; ``jax.nn.glu``.

    >>> y, vjp = glu(np.array([6.0, 0.0]))
    >>> y, vjp(np.ones(1))
    (array([3.]), (array([0.5, 1.5]),))
    """
    axis = hyperparameters.dimension("glu", "dim", dim, x.ndim)
    if x.ndim == 0 or x.shape[axis] % 2:
        raise ValueError(f"glu: axis {axis} of x must have an even length; got {x.shape}")
    a, b = np.split(x, 2, axis)
    s = _sigmoid(b)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂y/∂a = σ(b), ∂y/∂b = a·σ′(b)
        return (np.concatenate([gy * s, gy * (a * _sigmoid_slope(b))], axis),)

    return a * s, vjp


class Softmax(Shell):
    """``softmax`` over axis dim."""

    operation = staticmethod(softmax)

    def __init__(self, dim: int) -> None:
        super().__init__(dim=dim)


class LogSoftmax(Shell):
    """``log_softmax`` over axis dim."""

    operation = staticmethod(log_softmax)

    def __init__(self, dim: int) -> None:
        super().__init__(dim=dim)


class Softmin(Shell):
    """``softmin`` over axis dim."""

    operation = staticmethod(softmin)

    def __init__(self, dim: int) -> None:
        super().__init__(dim=dim)


class Softmax2d(Shell):
    """``softmax`` over the channels of (N, C, H, W) or (C, H, W)."""

    operation = staticmethod(softmax)

    def __init__(self) -> None:
        super().__init__(dim=-3)

    def forward(self, *inputs: Array) -> tuple[Array, ModuleVjp]:
        """Softmax over the third axis from the end."""
        for x in inputs:
            if np.ndim(x) not in (3, 4):
                raise ValueError(f"Softmax2d: x must have shape (N, C, H, W) or (C, H, W); got {np.shape(x)}")
        return super().forward(*inputs)


class GLU(Shell):
    """``glu`` along axis dim."""

    operation = staticmethod(glu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)
