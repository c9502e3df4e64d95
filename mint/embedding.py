"""Embeddings: rows of a table picked by index."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.distance import _norm
from mint.module import ModuleVjp, Parameter, Shell, check_dtype
from mint.norm import unit_for_powers
from mint.sampling import generator

__all__ = [
    "Embedding",
    "EmbeddingBag",
    "embedding",
    "embedding_bag",
    "one_hot",
]

MODES = ("sum", "mean", "max")
# up to so many elements in all arrays together, float32 is computed in float64
SMALL = 2**16


def _checked(op: str, indices: Array, count: int) -> Array:
    """The indices in one axis; all must be in [0, count)."""
    outside = (indices < 0) | (indices >= count)
    if outside.any():
        raise ValueError(f"{op}: indices must lie in [0, {count}); got {indices[outside][0]}")
    return indices.reshape(-1).astype(np.int64)


class _Table:
    """A weight, its rows that are picked, and the gradient that they hand back to it."""

    def __init__(
        self,
        op: str,
        indices: Array,
        weight: Array,
        padding_idx: object,
        max_norm: object,
        norm_type: object,
        scale_grad_by_freq: object,
    ) -> None:
        if weight.ndim != 2:
            raise ValueError(f"{op}: weight must have shape (V, D); got {weight.shape}")
        self.weight = weight
        self.indices = _checked(op, indices, len(weight))
        self.padding = -1 if padding_idx is None else hyperparameters.index(op, "padding_idx", padding_idx, len(weight))
        self.most = None if max_norm is None else hyperparameters.real(op, "max_norm", max_norm)
        self.degree = hyperparameters.real(op, "norm_type", norm_type)
        self.by_frequency = hyperparameters.flag(op, "scale_grad_by_freq", scale_grad_by_freq)

    def rows(self, picked: Array) -> Array:
        """Copies of the rows with these indices; one that is longer than max_norm is shortened to it."""
        rows: Array = self.weight[picked]
        if self.most is None or not rows.size:
            return rows
        real = rows.dtype.type
        # in such units the norm of several of the largest numbers is a number, too
        unit = unit_for_powers(np.abs(rows).max(1, keepdims=True)) if self.degree > 0 else real(1)
        if self.degree == 0:
            length = np.count_nonzero(rows, axis=1, keepdims=True)
        else:
            length, _ = _norm(rows / unit, self.degree, share_ties=True)
        most = real(self.most) / unit
        factor = np.where(length > most, most / (length + real("1e-7") / unit), real(1))
        shortened: Array = rows * factor
        return shortened

    def gradient(self, place: Any, g: Array) -> Array:
        """The sum of what the rows hand back: each of g to its place in the weight."""
        gw = np.zeros_like(self.weight)
        np.add.at(gw, place, g)
        if self.by_frequency:
            frequency = np.bincount(self.indices, minlength=len(gw))
            gw /= np.maximum(frequency, 1)[:, None]
        return gw


@differentiable(integer=("indices",), wide=SMALL)
def embedding(
    indices: Array,
    weight: Array,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> tuple[Array, Vjp]:
    """Embedding: y[…, d] = weight[indices[…], d].

    Shapes: indices any, weight (V, D), y that of indices with D behind it; any axis may be 0.
    Dtypes: those of ``differentiable``; indices any integer dtype (PyTorch: int32 and int64), each in [0, V).

    padding_idx: the index whose row is read but gets no gradient; counted from the end where negative.
    max_norm: rows w that are picked and whose norm is larger are replaced by w·max_norm/(‖w‖ + 10⁻⁷), in a copy
    (PyTorch: in weight itself). norm_type: which norm, (Σ |w|^p)^(1/p) with p of any sign, 0 (the number of elements
    other than 0) or ±∞ (the largest and the smallest |w|); without effect where max_norm is None. scale_grad_by_freq:
    whether the gradient of a row is divided by how often its index stands in indices.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(None, gweight)``. The gradient is with respect to the rows as they are read,
    after max_norm, which is no part of it.
    Raises ValueError for shapes, indices or a padding_idx that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.embedding``, the norms of whose rows may overflow. JAX has none; Flax's
    ``nn.Embed`` has none of the hyper-parameters.

    >>> y, vjp = embedding(np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    >>> y
    array([[5., 6.],
           [1., 2.],
           [5., 6.]])
    >>> vjp(np.array([[1.0, 1.0], [2.0, 2.0], [10.0, 10.0]]))[1]
    array([[ 2.,  2.],
           [ 0.,  0.],
           [11., 11.]])
    """
    table = _Table("embedding", indices, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    y = table.rows(table.indices)
    kept = table.indices != table.padding

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y[n] is row i[n]: the rows gather what they were read for, [n, d] -> [v, d]
        return None, table.gradient(table.indices[kept], gy.reshape(y.shape)[kept])

    return y.reshape(*indices.shape, weight.shape[1]), vjp


def _bag_lengths(op: str, indices: Array, offsets: Array | None, include_last_offset: bool) -> Array:
    """How many indices each bag takes, one bag after the other."""
    if indices.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{op}: offsets must be None where indices has two axes; got shape {offsets.shape}")
        bags, length = indices.shape
        if length == 0:
            raise ValueError(f"{op}: indices must have shape (N) or (B, N) with N at least 1; got {indices.shape}")
        return np.full(bags, length)
    if indices.ndim != 1:
        raise ValueError(f"{op}: indices must have shape (N) or (B, N); got {indices.shape}")
    if offsets is None or offsets.ndim != 1:
        found = None if offsets is None else f"shape {offsets.shape}"
        raise ValueError(f"{op}: offsets must have one axis where indices has one; got {found}")
    borders = offsets.astype(np.int64)
    if not include_last_offset:
        borders = np.append(borders, indices.size)
    lengths = np.diff(borders)
    if not borders.size or borders[0] != 0 or lengths.min(initial=0) < 0 or borders[-1] > indices.size:
        raise ValueError(f"{op}: offsets must not decrease, from 0 to at most {indices.size}; got {offsets}")
    return lengths


@differentiable(integer=("indices", "offsets"), wide=SMALL)
def embedding_bag(
    indices: Array,
    weight: Array,
    offsets: Array | None = None,
    per_sample_weights: Array | None = None,
    *,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Array, Vjp]:
    """Bags of embeddings: y[b] = Σ p[n]·weight[indices[n]] over the n of bag b; or the mean of these rows, or maximum.

    Shapes: indices (B, N) with N at least 1, each row a bag; or (N) with offsets (B), where bag b begins, or with
    include_last_offset (B + 1), the last of which is where the last bag ends: indices behind it are in no bag. weight
    (V, D), per_sample_weights that of indices, y (B, D). A bag of nothing gives 0.
    Dtypes: those of ``differentiable``, weight and per_sample_weights sharing one; indices and offsets any integer
    dtype (PyTorch: int32 and int64), each index in [0, V).

    max_norm, norm_type, scale_grad_by_freq: as in ``embedding``; the last not with "max".
    mode: "sum", "mean" or "max", the last feature by feature. per_sample_weights: p, with "sum" only, 1 without.
    include_last_offset: without effect where indices has two axes, as in PyTorch.
    padding_idx: the index that no bag counts; from the end where negative.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(None, gweight, None, gper_sample_weights)``, both gradients with respect to
    the rows after max_norm. The gradient of a maximum goes to the first of a tie. NaN is larger than every number.
    Raises ValueError for shapes, indices, offsets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.embedding_bag``, whose maximum forgets a NaN that is not the first of its bag;
    which with scale_grad_by_freq divides by the frequency of another index; which counts indices behind the last bag
    into it, or reads beyond its arrays; and which computes with offsets that decrease. JAX has none.

    >>> weight = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> y, vjp = embedding_bag(np.array([2, 0, 2]), weight, np.array([0, 0, 2]), mode="sum")
    >>> y
    array([[0., 0.],
           [6., 8.],
           [5., 6.]])
    >>> vjp(np.array([[100.0, 100.0], [1.0, 1.0], [10.0, 10.0]]))[1]
    array([[ 1.,  1.],
           [ 0.,  0.],
           [11., 11.]])
    """
    op = "embedding_bag"
    mode = hyperparameters.choice(op, "mode", mode, MODES)
    include_last_offset = hyperparameters.flag(op, "include_last_offset", include_last_offset)
    table = _Table(op, indices, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    if mode == "max" and table.by_frequency:
        raise ValueError(f"{op}: scale_grad_by_freq must be False with mode 'max'; got True")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"{op}: mode must be 'sum' with per_sample_weights; got {mode!r}")
    if per_sample_weights is not None and per_sample_weights.shape != indices.shape:
        found = f"{indices.shape}; got {per_sample_weights.shape}"
        raise ValueError(f"{op}: per_sample_weights must have the shape of indices, {found}")
    lengths = _bag_lengths(op, indices, offsets, include_last_offset)

    # m counts the indices that are in a bag and no padding; filled are the bags that have any, and starts their first m
    bag = np.repeat(np.arange(lengths.size), lengths)
    places = np.flatnonzero(table.indices[: bag.size] != table.padding)
    picked, bag = table.indices[places], bag[places]
    filled, starts, sizes = np.unique(bag, return_index=True, return_counts=True)
    rows = table.rows(picked)
    p = None if per_sample_weights is None else per_sample_weights.reshape(-1)[places, None]

    y = np.zeros((lengths.size, weight.shape[1]), weight.dtype)
    joined = (np.maximum if mode == "max" else np.add).reduceat(rows if p is None else rows * p, starts, axis=0)
    y[filled] = joined / sizes[:, None] if mode == "mean" else joined

    def first_largest() -> Array:
        # [m, d] -> [filled, d]: the m of the first element that is the maximum, or NaN
        hit = (rows == y[bag]) | np.isnan(rows)
        return np.minimum.reduceat(np.where(hit, np.arange(len(rows))[:, None], len(rows)), starts, axis=0)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        if mode == "max":
            # y[b, d] is the element d of one row
            return None, table.gradient((picked[first_largest()], np.arange(rows.shape[1])), gy[filled]), None, None
        # y[b] = Σ p[m]·rows[m], over the size of the bag for the mean:
        # [b, d] -> [m, d], times p[m] for the row, times rows[m] and summed over d for p[m]
        g = gy[bag]
        if mode == "mean":
            g = g / np.repeat(sizes, sizes)[:, None]
        gp = None
        if per_sample_weights is not None:
            gp = np.zeros_like(per_sample_weights)
            gp.flat[places] = (g * rows).sum(1)
        return None, table.gradient(picked, g if p is None else g * p), None, gp

    return y, vjp


@differentiable(integer=("indices",), outputs=0)
def one_hot(indices: Array, *, num_classes: int = -1) -> tuple[Array, Vjp]:
    """One-hot code: y[…, c] = 1 where indices[…] is c, else 0.

    Shapes: indices any, y that of indices with num_classes behind it. Dtypes: indices any integer dtype (PyTorch:
    int64), y int64.
    num_classes: more than the largest index; with −1 one more than that.
    Returns ``y, vjp``; there is no gradient: ``vjp()`` is ``(None,)``.
    Raises ValueError for a negative index, one that is no class, or no index to tell the number of classes by,
    TypeError for wrong types.
    Source: PyTorch ``torch.nn.functional.one_hot``. ``jax.nn.one_hot`` gives floating-point numbers and a row of zeros
    for an index that is no class.

    >>> one_hot(np.array([2, 0]))[0]
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    count = hyperparameters.integer("one_hot", "num_classes", num_classes, least=-1)
    if not indices.size and count < 1:
        raise ValueError(f"one_hot: num_classes must be at least 1 where indices is empty; got {num_classes}")
    if count == -1:
        count = int(indices.max()) + 1
    flat = _checked("one_hot", indices, count)
    y = (flat[:, None] == np.arange(count)).astype(np.int64)
    return y.reshape(*indices.shape, count), lambda: (None,)


class _Lookup(Shell):
    """A shell with a table of embeddings; ``from_pretrained`` gives it one."""

    weight: Parameter | Array

    def initialise(
        self, count: int, dim: int, padding_idx: int | None, rng: np.random.Generator | None, dtype: npt.DTypeLike
    ) -> None:
        """Draw the weight from N(0, 1), as PyTorch does, but for the row of padding_idx, which is 0."""
        name = type(self).__name__
        count = hyperparameters.integer(name, "num_embeddings", count, least=0)
        dim = hyperparameters.integer(name, "embedding_dim", dim, least=0)
        check_dtype(name, dtype)
        data = generator(name, rng).standard_normal((count, dim)).astype(dtype)
        if padding_idx is not None:
            data[hyperparameters.index(name, "padding_idx", padding_idx, count)] = 0
        self.weight = Parameter(data)

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight."""
        return (self.weight,)

    @classmethod
    def from_pretrained(cls, embeddings: Array, freeze: bool = True, *arguments: Any, **keywords: Any) -> Self:
        """The module with this weight (V, D), which is no parameter if it is to freeze.

        The other arguments are those of the constructor after num_embeddings and embedding_dim.
        """
        if np.ndim(embeddings) != 2:
            raise ValueError(f"{cls.__name__}: embeddings must have shape (V, D); got {np.shape(embeddings)}")
        layer = cls(*embeddings.shape, *arguments, **keywords)
        frozen = hyperparameters.flag(cls.__name__, "freeze", freeze)
        layer.weight = embeddings if frozen else Parameter(embeddings)
        return layer


class Embedding(_Lookup):
    """``embedding`` that owns its weight (num_embeddings, embedding_dim), which max_norm leaves as it is.

    rng: the ``numpy.random.Generator`` that draws it, a fresh one where None. dtype: that of the weight.

    >>> layer = Embedding.from_pretrained(np.array([[1.0, 2.3], [4.0, 5.1]]), freeze=False)
    >>> y, vjp = layer(np.array([1, 1]))
    >>> vjp(y)
    >>> layer.weight.grad
    array([[ 0. ,  0. ],
           [ 8. , 10.2]])
    """

    operation = staticmethod(embedding)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq
        )
        self.initialise(num_embeddings, embedding_dim, padding_idx, rng, dtype)


class EmbeddingBag(_Lookup):
    """``embedding_bag`` that owns its weight; called on indices, and offsets and per_sample_weights if there are any.

    rng: the ``numpy.random.Generator`` that draws the weight, a fresh one where None. dtype: that of the weight.

    >>> layer = EmbeddingBag.from_pretrained(np.array([[1.0, 2.3], [4.0, 5.1]]))
    >>> layer(np.array([[1, 0]]))[0]
    array([[2.5, 3.7]])
    """

    @staticmethod
    def operation(indices: Array, *others: Any, **hyperparameters: Any) -> tuple[Array, ModuleVjp]:
        """``embedding_bag`` with the weight last, where a shell has it."""
        *more, weight = others
        y, vjp = embedding_bag(indices, weight, *more, **hyperparameters)

        def back(gy: Array) -> tuple[Array | None, ...]:
            gindices, gweight, *gmore = vjp(gy)
            return gindices, *gmore[: len(more)], gweight

        return y, back

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        self.initialise(num_embeddings, embedding_dim, padding_idx, rng, dtype)
