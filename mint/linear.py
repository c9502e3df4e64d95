"""Linear, grouped and bilinear layers, and the softmax over clusters of classes that is made of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.container import ModuleList
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Affine, ModuleVjp, Parameter, Sequential, Shell
from mint.softmax import log_probabilities

__all__ = [
    "AdaptiveLogSoftmaxWithLoss",
    "Bilinear",
    "Linear",
    "adaptive_log_softmax",
    "adaptive_log_softmax_with_loss",
    "bilinear",
    "grouped_mm",
    "linear",
]

# up to so many elements in all arrays together, float32 is computed in float64
SMALL = 2**16


@differentiable
def linear(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Vjp]:
    """Linear layer: y = x·wᵀ + b, over the last axis of x.

    Shapes: x (…, in), w (out, in), b (out) or None, y (…, out).
    Dtypes: those of ``differentiable``; all arrays share one.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gw, gb)``, gb None without b.
    Raises ValueError where the shapes do not fit, TypeError for what is no array of such a dtype.
    Source: PyTorch ``torch.nn.functional.linear``, whose one-dimensional w and broadcast b are not taken.

    >>> y, vjp = linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.0, 1.0]))
    >>> y
    array([[11., 18.]])
    >>> vjp(np.array([[1.0, 10.0]]))
    (array([[53., 64.]]), array([[ 1.,  2.], [10., 20.]]), array([ 1., 10.]))
    """
    if w.ndim != 2:
        raise ValueError(f"linear: w must have shape (out, in); got {w.shape}")
    n_out, n_in = w.shape
    if x.ndim < 1 or x.shape[-1] != n_in:
        raise ValueError(f"linear: x must have shape (..., {n_in}) to fit w {w.shape}; got {x.shape}")
    if b is not None and b.shape != (n_out,):
        raise ValueError(f"linear: b must have shape ({n_out},) to fit w {w.shape}; got {b.shape}")

    lead = x.shape[:-1]
    rows = math.prod(lead)
    flat = x.reshape(rows, n_in)
    y = flat @ w.T
    if b is not None:
        y = y + b

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # forward       [n, i] [i, o] -> [n, o], plus [o]
        # transposed    [n, o] [o, i] -> [n, i],  [o, n] [n, i] -> [o, i],  [n, o] -> [o]
        gy = gy.reshape(rows, n_out)
        gb = None if b is None else gy.sum(axis=0)
        return (gy @ w).reshape(x.shape), gy.T @ flat, gb

    return y.reshape(*lead, n_out), vjp


@differentiable(integer=("offs",))
def grouped_mm(mat_a: Array, mat_b: Array, offs: Array | None = None) -> tuple[Array, Vjp]:
    """Product of matrices, group by group: y[g] = mat_a[g]·mat_b[g], where a matrix may hold all groups side by side.

    With G groups, group g of an axis of size T that they share is [offs[g − 1], offs[g]), from 0 for the first:

    - mat_a (G, M, K), mat_b (G, K, N): y (G, M, N), and offs is None;
    - mat_a (T, K), mat_b (G, K, N): the groups share the rows, y (T, N), as of tokens sorted by their expert;
    - mat_a (G, M, K), mat_b (K, T): the groups share the columns, y (M, T);
    - mat_a (M, T), mat_b (T, N): the groups share what is summed over, y (G, M, N).

    What lies beyond offs[G − 1] is in no group: y is 0 there, and so are the gradients. Any axis but G may be 0.
    Dtypes: those of ``differentiable``; mat_a and mat_b share one; offs any integer dtype (PyTorch: int32), shape (G).

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gmat_a, gmat_b, None)``.
    Raises ValueError for shapes that do not fit and for offs that decrease or leave [0, T], TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.grouped_mm``, which computes float16, bfloat16 and float32, wants rows of a
    multiple of 16 bytes, and leaves what is beyond the last group undefined; its bias and out_dtype, which no device
    supports, are not taken. ``jax.lax.ragged_dot`` is the second case.

    >>> x, w = np.array([[1.0], [2.0], [3.0]]), np.array([[[10.0]], [[100.0]]])
    >>> y, vjp = grouped_mm(x, w, np.array([1, 3]))
    >>> y.T
    array([[ 10., 200., 300.]])
    >>> vjp(np.ones((3, 1)))[1].ravel()
    array([1., 5.])
    """
    op = "grouped_mm"
    axes = mat_a.ndim, mat_b.ndim
    if not {*axes} <= {2, 3}:
        raise ValueError(f"{op}: mat_a and mat_b must have 2 or 3 axes; got {mat_a.shape} and {mat_b.shape}")
    if mat_a.shape[-1] != mat_b.shape[-2]:
        raise ValueError(f"{op}: mat_a's last axis must fit mat_b's last but one; got {mat_a.shape}, {mat_b.shape}")
    if (offs is None) != (axes == (3, 3)):
        got = None if offs is None else offs.shape
        raise ValueError(f"{op}: offs must be None exactly where both matrices have 3 axes; got {got} for {axes} axes")
    lead: tuple[int, ...] = ()
    # where a group lies in mat_a, mat_b and y
    groups: list[tuple[Any, Any, Any]]
    if offs is None:
        if len(mat_a) != len(mat_b):
            raise ValueError(f"{op}: mat_a and mat_b must have as many groups; got {len(mat_a)} and {len(mat_b)}")
        lead, groups = mat_a.shape[:1], [(..., ..., ...)]
    elif axes == (2, 3):
        groups = [(part, g, part) for g, part in enumerate(_parts(op, offs, len(mat_b), len(mat_a)))]
    elif axes == (3, 2):
        parts = _parts(op, offs, len(mat_a), mat_b.shape[1])
        groups = [(g, np.s_[:, part], np.s_[:, part]) for g, part in enumerate(parts)]
    else:
        groups = [(np.s_[:, part], part, g) for g, part in enumerate(_parts(op, offs, None, len(mat_b)))]
        lead = offs.shape
    y = np.zeros((*lead, mat_a.shape[-2], mat_b.shape[-1]), mat_a.dtype)
    for a, b, out in groups:
        y[out] = mat_a[a] @ mat_b[b]

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # forward       [m, k] [k, n] -> [m, n] in every group
        # transposed    [m, n] [n, k] -> [m, k],  [k, m] [m, n] -> [k, n]
        ga, gb = np.zeros_like(mat_a), np.zeros_like(mat_b)
        for a, b, out in groups:
            ga[a] = gy[out] @ mat_b[b].swapaxes(-1, -2)
            gb[b] = mat_a[a].swapaxes(-1, -2) @ gy[out]
        return ga, gb, None

    return y, vjp


def _parts(op: str, offs: Array, count: int | None, size: int) -> list[slice]:
    """The part that each of so many groups has of an axis of this size."""
    if offs.ndim != 1 or not offs.size or count not in (None, offs.size):
        expected = "(G,) with G at least 1" if count is None else f"({count},)"
        raise ValueError(f"{op}: offs must have shape {expected}; got {offs.shape}")
    ends = [0, *offs.tolist()]
    if any(a > b for a, b in itertools.pairwise(ends)) or ends[-1] > size:
        raise ValueError(f"{op}: offs must not decrease and lie in [0, {size}]; got {tuple(ends[1:])}")
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


@differentiable(wide=SMALL)
def bilinear(x1: Array, x2: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Vjp]:
    """Bilinear layer: y[…, k] = Σ x1[…, i]·weight[k, i, j]·x2[…, j] + bias[k] over i and j.

    Shapes: x1 (…, I), x2 (…, J) with the same axes before the last, weight (K, I, J), bias (K) or None, y (…, K). I
    and J are at least 1, as in PyTorch.
    Dtypes: those of ``differentiable``; all arrays share one.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx1, gx2, gweight, gbias)``, gbias None without bias.
    Raises ValueError where the shapes do not fit, TypeError for what is no array of such a dtype.
    Source: PyTorch ``torch.nn.functional.bilinear``. JAX has none.

    >>> y, vjp = bilinear(np.array([1.0, 2.0]), np.array([3.0]), np.array([[[1.0], [10.0]]]), np.array([0.5]))
    >>> y
    array([63.5])
    >>> vjp(np.array([1.0]))[:2]
    (array([ 3., 30.]), array([21.]))
    """
    if weight.ndim != 3 or 0 in weight.shape[1:]:
        raise ValueError(f"bilinear: weight must have shape (K, I, J) with I and J at least 1; got {weight.shape}")
    n_out, n_1, n_2 = weight.shape
    for name, x, size in (("x1", x1, n_1), ("x2", x2, n_2)):
        if x.ndim < 1 or x.shape[-1] != size:
            raise ValueError(
                f"bilinear: {name} must have shape (..., {size}) to fit weight {weight.shape}; got {x.shape}"
            )
    lead = x1.shape[:-1]
    if x2.shape[:-1] != lead:
        raise ValueError(f"bilinear: x1 and x2 must agree in all axes but the last; got {x1.shape} and {x2.shape}")
    if bias is not None and bias.shape != (n_out,):
        raise ValueError(f"bilinear: bias must have shape ({n_out},) to fit weight {weight.shape}; got {bias.shape}")

    rows = math.prod(lead)
    a, b, w = x1.reshape(rows, n_1), x2.reshape(rows, n_2), weight.reshape(n_out, n_1 * n_2)
    # the linear layer on all products of one element of x1 and one of x2
    products = (a[:, :, None] * b[:, None, :]).reshape(rows, n_1 * n_2)
    y = products @ w.T
    if bias is not None:
        y = y + bias

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # forward       [n, ij] [ij, k] -> [n, k], plus [k], where [n, ij] is [n, i] [n, j]
        # transposed    [n, k] [k, ij] -> [n, ij],  [k, n] [n, ij] -> [k, ij],  [n, k] -> [k]
        #               [n, ij] [n, j] -> [n, i],  [n, ij] [n, i] -> [n, j]
        gy = gy.reshape(rows, n_out)
        g = (gy @ w).reshape(rows, n_1, n_2)
        gx1, gx2 = (g @ b[:, :, None]).reshape(x1.shape), (a[:, None, :] @ g).reshape(x2.shape)
        return gx1, gx2, (gy.T @ products).reshape(weight.shape), None if bias is None else gy.sum(axis=0)

    return y.reshape(*lead, n_out), vjp


LogSoftmaxVjp = Callable[[Array], tuple[Array, tuple[Array, ...], Array]]
"""From the cotangent of log-probabilities to the gradients of x, the weights and the bias."""


def _log_softmax(x: Array, weights: tuple[Array, ...], bias: Array | None = None) -> tuple[Array, LogSoftmaxVjp]:
    """The log-softmax of x·w₁ᵀ·w₂ᵀ·… + bias, row by row."""
    hidden = [x]
    for w in weights:
        hidden.append(hidden[-1] @ w.T)
    *inputs, scores = hidden
    log_p = log_probabilities(scores if bias is None else scores + bias, (1,))

    def back(g: Array) -> tuple[Array, tuple[Array, ...], Array]:
        # ∂log p[i]/∂score[j] = δ[i, j] − p[j]
        g = g - np.exp(log_p) * g.sum(1, keepdims=True)
        gb = g.sum(0)
        gw: list[Array] = []
        for w, h in zip(reversed(weights), reversed(inputs), strict=True):
            # forward       [n, i] [i, o] -> [n, o]
            # transposed    [o, n] [n, i] -> [o, i],  [n, o] [o, i] -> [n, i]
            gw.insert(0, g.T @ h)
            g = g @ w
        return g, tuple(gw), gb

    return log_p, back


def _clusters(
    op: str, x: Array, head_weight: Array, head_bias: Array | None, tail: tuple[Array, ...], cutoffs: object
) -> tuple[tuple[int, ...], list[tuple[Array, Array]]]:
    """The class that each cluster begins with, and its two weights."""
    begins = hyperparameters.increasing(op, "cutoffs", cutoffs, least=1)
    features, heads = x.shape[-1], begins[0] + len(begins)
    if head_weight.shape != (heads, features):
        raise ValueError(f"{op}: head_weight must have shape {(heads, features)}; got {head_weight.shape}")
    if head_bias is not None and head_bias.shape != (heads,):
        raise ValueError(f"{op}: head_bias must have shape ({heads},); got {head_bias.shape}")
    if len(tail) != 2 * len(begins):
        raise ValueError(f"{op}: tail must be two weights for each of the cutoffs {begins}; got {len(tail)}")
    clusters = list(zip(tail[::2], tail[1::2], strict=True))
    # of the last cluster only its weight says how many classes it has
    ends = (*begins[1:], begins[-1] + max(len(np.atleast_1d(tail[-1])), 1))
    for place, (begin, end, (down, up)) in enumerate(zip(begins, ends, clusters, strict=True)):
        if down.ndim != 2 or down.shape[1] != features or up.shape != (end - begin, down.shape[0]):
            expected = (
                f"tail[{2 * place}] and tail[{2 * place + 1}] must have shapes (H, {features}) and ({end - begin}, H)"
            )
            raise ValueError(f"{op}: {expected}; got {down.shape} and {up.shape}")
    return begins, clusters


@differentiable(wide=SMALL)
def adaptive_log_softmax(
    x: Array, head_weight: Array, head_bias: Array | None = None, *tail: Array, cutoffs: tuple[int, ...]
) -> tuple[Array, Vjp]:
    """Adaptive log-softmax: the log-probabilities of all classes, the rare ones in clusters of their own.

    With h = log_softmax(x·head_weightᵀ + head_bias) and s = cutoffs[0], y[n, c] = h[n, c] for the frequent classes c
    < s, and y[n, c] = h[n, s + i] + log_softmax(x·tail[2i]ᵀ·tail[2i + 1]ᵀ)[n, c − cutoffs[i]] for those of cluster i,
    which are those from cutoffs[i] to the next cutoff.

    Shapes: x (N, F), head_weight (s + k, F) for k cutoffs, head_bias (s + k) or None, tail[2i] (Hᵢ, F) and tail[2i +
    1] (classes of cluster i, Hᵢ), y (N, C), where C is the number of all classes; N, F and H may be 0.
    Dtypes: those of ``differentiable``; all arrays share one.

    cutoffs: increasing ints of at least 1, the class that each cluster begins with.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, ghead_weight, ghead_bias, *gtail)``, ghead_bias None without head_bias.
    Raises ValueError for shapes that do not fit or other cutoffs, TypeError for wrong types.
    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017; PyTorch
    ``torch.nn.AdaptiveLogSoftmaxWithLoss.log_prob``. JAX has none.

    >>> x, head, down, up = np.array([[1.0]]), np.zeros((2, 1)), np.ones((1, 1)), np.array([[0.0], [np.log(3)]])
    >>> np.exp(adaptive_log_softmax(x, head, None, down, up, cutoffs=(1,))[0])
    array([[0.5  , 0.125, 0.375]])
    """
    op = "adaptive_log_softmax"
    if x.ndim != 2:
        raise ValueError(f"{op}: x must have shape (N, F); got {x.shape}")
    begins, clusters = _clusters(op, x, head_weight, head_bias, tail, cutoffs)
    first, head_back = _log_softmax(x, (head_weight,), head_bias)
    local = [_log_softmax(x, weights) for weights in clusters]
    frequent, *of_clusters = np.split(first, range(begins[0], first.shape[1]), axis=1)
    y = np.concatenate([frequent, *(a + b for a, (b, _) in zip(of_clusters, local, strict=True))], axis=1)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # the probability of a cluster is a factor of that of all its classes: [n, c] -> [n]
        g, *g_local = np.split(gy, begins, axis=1)
        g = np.concatenate([g, *(part.sum(1, keepdims=True) for part in g_local)], axis=1)
        gx, (ghead,), gb = head_back(g)
        gtail: list[Array] = []
        for part, (_, back) in zip(g_local, local, strict=True):
            gx_local, gw, _ = back(part)
            gx = gx + gx_local
            gtail += gw
        return gx, ghead, None if head_bias is None else gb, *gtail

    return y, vjp


@differentiable(integer=("target",), wide=SMALL, outputs=2)
def adaptive_log_softmax_with_loss(
    x: Array,
    target: Array,
    head_weight: Array,
    head_bias: Array | None = None,
    *tail: Array,
    cutoffs: tuple[int, ...],
) -> tuple[tuple[Array, Array], Vjp]:
    """The log-probabilities y of the targets by ``adaptive_log_softmax``, and their loss −mean(y).

    Only the clusters in which a target lies are computed, and only for its row.

    Shapes: x (N, F) and target (N), or (F) and (); y that of target, loss (); the weights as for
    ``adaptive_log_softmax``.
    Dtypes: those of ``differentiable``; all arrays but target share one; target any integer dtype (PyTorch: int32 and
    int64), each in [0, C). The mean of nothing is NaN.

    cutoffs: increasing ints of at least 1, the class that each cluster begins with.

    Returns ``(y, loss), vjp``; ``vjp(gy, gloss)`` is ``(gx, None, ghead_weight, ghead_bias, *gtail)``, ghead_bias
    None without head_bias.
    Raises ValueError for shapes that do not fit, targets that are no class or other cutoffs, TypeError for wrong
    types.
    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017; PyTorch
    ``torch.nn.AdaptiveLogSoftmaxWithLoss``. JAX has none.

    >>> x, head, down, up = np.array([[1.0]]), np.zeros((2, 1)), np.ones((1, 1)), np.array([[0.0], [np.log(3)]])
    >>> (y, loss), vjp = adaptive_log_softmax_with_loss(x, np.array([1]), head, None, down, up, cutoffs=(1,))
    >>> y, loss
    (array([-2.07944154]), array(2.07944154))
    """
    op = "adaptive_log_softmax_with_loss"
    if target.ndim > 1 or x.ndim != target.ndim + 1 or x.shape[:-1] != target.shape:
        raise ValueError(
            f"{op}: x and target must have shapes (N, F) and (N), or (F) and (); got {x.shape}, {target.shape}"
        )
    begins, clusters = _clusters(op, x, head_weight, head_bias, tail, cutoffs)
    classes = begins[-1] + len(tail[-1])
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise ValueError(f"{op}: target must lie in [0, {classes}); got {target[outside][0]}")
    rows, t = np.atleast_2d(x), np.atleast_1d(target).astype(np.int64)

    # 0 for the frequent classes, i + 1 for cluster i
    cluster = np.searchsorted(begins, t, side="right")
    chosen = np.arange(t.size), np.where(cluster == 0, t, begins[0] + cluster - 1)
    first, head_back = _log_softmax(rows, (head_weight,), head_bias)
    y = first[chosen]
    local = []
    for place, (begin, weights) in enumerate(zip(begins, clusters, strict=True)):
        members = np.flatnonzero(cluster == place + 1)
        log_p, back = _log_softmax(rows[members], weights)
        within = np.arange(members.size), t[members] - begin
        y[members] += log_p[within]
        local.append((members, log_p.shape, within, back))
    loss = -(y.sum() / y.size)

    def vjp(gy: Array, gloss: Array) -> tuple[Array | None, ...]:
        # y takes one log-probability of the head, and one of the cluster; the loss hands −gloss/N to each y
        share = np.atleast_1d(gy) - gloss / t.size
        g = np.zeros_like(first)
        g[chosen] = share
        gx, (ghead,), gb = head_back(g)
        gtail: list[Array] = []
        for members, shape, within, back in local:
            g = np.zeros(shape, gy.dtype)
            g[within] = share[members]
            gx_local, gw, _ = back(g)
            gx[members] += gx_local
            gtail += gw
        return gx.reshape(x.shape), None, ghead, None if head_bias is None else gb, *gtail

    return (y.reshape(target.shape), loss), vjp


class Linear(Affine):
    """``linear`` that owns its weight (out_features, in_features) and its bias (out_features).

    rng: the ``numpy.random.Generator`` that draws them, a fresh one where None. dtype: theirs.

    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> y, vjp = layer(np.ones((4, 3), np.float32))
    >>> gx = vjp(np.ones_like(y))
    >>> layer.bias.grad
    array([4., 4.], dtype=float32)
    """

    operation = staticmethod(linear)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        n_in = hyperparameters.integer("Linear", "in_features", in_features, least=0)
        n_out = hyperparameters.integer("Linear", "out_features", out_features, least=0)
        bias = hyperparameters.flag("Linear", "bias", bias)
        self.initialise((n_out, n_in), n_out if bias else None, rng, dtype)


class Bilinear(Affine):
    """``bilinear`` that owns its weight (out_features, in1_features, in2_features) and its bias (out_features).

    rng: the ``numpy.random.Generator`` that draws them, a fresh one where None. dtype: theirs.
    """

    operation = staticmethod(bilinear)

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        n_1 = hyperparameters.integer("Bilinear", "in1_features", in1_features, least=1)
        n_2 = hyperparameters.integer("Bilinear", "in2_features", in2_features, least=1)
        n_out = hyperparameters.integer("Bilinear", "out_features", out_features, least=0)
        bias = hyperparameters.flag("Bilinear", "bias", bias)
        self.initialise((n_out, n_1, n_2), n_out if bias else None, rng, dtype, fan_in=n_1)


class _LogProbabilities(Shell):
    """``adaptive_log_softmax`` with the weights of another shell."""

    operation = staticmethod(adaptive_log_softmax)

    def __init__(self, owner: Shell) -> None:
        super().__init__(**owner.hyperparameters)
        self.owner = owner

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """What the other shell owns."""
        return self.owner.owned()


class AdaptiveLogSoftmaxWithLoss(Shell):
    """``adaptive_log_softmax_with_loss`` of n_classes, sorted by how frequent they are, the most frequent first.

    The hidden size of cluster i is ⌊in_features/div_value^(i + 1)⌋. rng: the ``numpy.random.Generator`` that draws
    the weights, a fresh one where None. dtype: theirs.

    >>> model = AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2)
    >>> [(name, parameter.data.shape) for name, parameter in model.named_parameters()][:3]
    [('head.weight', (5, 8)), ('tail.0.0.weight', (4, 8)), ('tail.0.1.weight', (3, 4))]
    >>> (y, loss), vjp = model(np.ones((2, 8), np.float32), np.array([9, 0]))
    >>> y.shape, loss.shape
    ((2,), ())
    """

    operation = staticmethod(adaptive_log_softmax_with_loss)

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        features = hyperparameters.integer(name, "in_features", in_features, least=0)
        begins = hyperparameters.increasing(name, "cutoffs", cutoffs, least=1)
        count = hyperparameters.integer(name, "n_classes", n_classes, least=begins[-1] + 1)
        divisor = hyperparameters.positive(name, "div_value", div_value)
        super().__init__(cutoffs=begins)
        self.head = Linear(features, begins[0] + len(begins), head_bias, rng=rng, dtype=dtype)
        self.tail = ModuleList()
        for place, (begin, end) in enumerate(zip(begins, (*begins[1:], count), strict=True)):
            hidden = int(features // divisor ** (place + 1))
            down = Linear(features, hidden, False, rng=rng, dtype=dtype)
            self.tail.append(Sequential(down, Linear(hidden, end - begin, False, rng=rng, dtype=dtype)))

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight and the bias of the head, and two weights for each cluster."""
        return self.head.weight, self.head.bias, *self.tail.parameters()

    def log_prob(self, x: Array) -> tuple[Array, ModuleVjp]:
        """``adaptive_log_softmax``: the log-probabilities of all classes for an x (N, in_features)."""
        return _LogProbabilities(self)(x)

    def predict(self, x: Array) -> Array:
        """The most probable class for each row of an x (N, in_features)."""
        most: Array = self.log_prob(x)[0].argmax(1)
        return most
