"""Dropout: with the mask given, or drawn from a generator."""

from __future__ import annotations

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.sampling import SamplingShell, generator

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

# −λ·α of SELU is what a unit saturates to: a dropped one is set to it, before mean and variance are restored
SATURATION = "-1.75809934084737685994021752081227957732"


@differentiable(boolean=("mask",), wide=True)
def dropout(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Dropout: y = mask·x/(1 − p), element by element; x itself where training is False.

    Shapes: y has that of x, and so has mask. Dtypes: those of ``differentiable``; mask bool.
    mask: True where an element is kept; drawn from rng (a fresh generator where None), each element True with
    probability 1 − p, if it is not given. p: the probability that an element is dropped, in [0, 1]; with 1
    all are, whatever mask says. rng: not drawn from where training is False.
    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, None)``, with the same mask. A dropped infinity or NaN gives
    NaN, as in PyTorch.
    Raises ValueError for p outside [0, 1], a mask of another shape, a mask beside an rng, or a mask where
    training is False; TypeError for what is no array of such a dtype, no bool, or no generator.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    PyTorch draws its mask itself and takes none; JAX has no dropout.

    >>> y, vjp = dropout(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), p=0.75)
    >>> y, vjp(np.ones(3))[0]
    (array([ 4., 0., 12.]), array([4., 0., 4.]))
    """
    p, kept = _kept("dropout", x, mask, x.shape, p, training, rng)
    return _scaled(x, kept, p)


@differentiable(boolean=("mask",), wide=True)
def dropout1d(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Dropout of whole channels: y = mask·x/(1 − p); x itself where training is False.

    Shapes: x and y (N, C, L) or (C, L), mask (N, C, 1) or (C, 1).
    Everything else is as for ``dropout``; ValueError for an x of other axes.
    Source: PyTorch ``torch.nn.functional.dropout1d``.

    >>> dropout1d(np.ones((1, 2, 3)), np.array([[[True], [False]]]))[0]
    array([[[2., 2., 2.],
            [0., 0., 0.]]])
    """
    mask_shape = _of_channels("dropout1d", x, {3: "(N, C, L)", 2: "(C, L)"}, unbatched=2)
    p, kept = _kept("dropout1d", x, mask, mask_shape, p, training, rng)
    return _scaled(x, kept, p)


@differentiable(boolean=("mask",), wide=True)
def dropout2d(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Dropout of whole channels: y = mask·x/(1 − p); x itself where training is False.

    Shapes: x and y (N, C, H, W), mask (N, C, 1, 1); or, as in PyTorch, x (N, C, L) and mask (N, C, 1): three
    axes are not an image without a batch. Where PyTorch only warns of other axes, they are refused.
    Everything else is as for ``dropout``; ValueError for an x of other axes.
    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> dropout2d(np.ones((1, 2, 1, 2)), np.array([[[[True]], [[False]]]]))[0]
    array([[[[2., 2.]],
    <BLANKLINE>
            [[0., 0.]]]])
    """
    mask_shape = _of_channels("dropout2d", x, {4: "(N, C, H, W)", 3: "(N, C, L)"})
    p, kept = _kept("dropout2d", x, mask, mask_shape, p, training, rng)
    return _scaled(x, kept, p)


@differentiable(boolean=("mask",), wide=True)
def dropout3d(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Dropout of whole channels: y = mask·x/(1 − p); x itself where training is False.

    Shapes: x and y (N, C, D, H, W) or (C, D, H, W), mask (N, C, 1, 1, 1) or (C, 1, 1, 1). Where PyTorch only
    warns of other axes, they are refused.
    Everything else is as for ``dropout``; ValueError for an x of other axes.
    Source: PyTorch ``torch.nn.functional.dropout3d``.

    >>> dropout3d(np.ones((2, 1, 1, 1)), np.array([True, False]).reshape(2, 1, 1, 1))[0].ravel()
    array([2., 0.])
    """
    mask_shape = _of_channels("dropout3d", x, {5: "(N, C, D, H, W)", 4: "(C, D, H, W)"}, unbatched=4)
    p, kept = _kept("dropout3d", x, mask, mask_shape, p, training, rng)
    return _scaled(x, kept, p)


@differentiable(boolean=("mask",), wide=True)
def alpha_dropout(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Alpha dropout: y = a·(s + mask·(x − s) − s·p), element by element; x itself where training is False.

    s = −λ·α ≈ −1.758, to which SELU saturates, takes the place of what is dropped; then
    a = 1/√((1 − p)·(1 + p·s²)) restores variance 1 and −a·s·p mean 0. With p = 1 all is 0.

    Shapes: y has that of x, and so has mask. Everything but the formula is as for ``dropout``; the default of
    training is False, as in PyTorch.
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> alpha_dropout(np.array([1.0, 1.0]), np.array([True, False]), training=True)[0]
    array([ 1.66559883, -0.77919393])
    """
    p, kept = _kept("alpha_dropout", x, mask, x.shape, p, training, rng)
    return _restored(x, kept, p)


@differentiable(boolean=("mask",), wide=True)
def feature_alpha_dropout(
    x: Array,
    mask: Array | None = None,
    *,
    p: float = 0.5,
    training: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Vjp]:
    """Alpha dropout of whole channels, with the formula of ``alpha_dropout``.

    Shapes: x and y (N, C, …), mask (N, C, 1, …). Everything else is as for ``alpha_dropout``; ValueError for an x
    of fewer than two axes.
    Source: PyTorch ``torch.nn.functional.feature_alpha_dropout``.

    >>> feature_alpha_dropout(np.ones((1, 2, 2)), np.array([[[True], [False]]]), training=True)[0]
    array([[[ 1.66559883,  1.66559883],
            [-0.77919393, -0.77919393]]])
    """
    if x.ndim < 2:
        raise ValueError(f"feature_alpha_dropout: x must have shape (N, C, ...); got {x.shape}")
    mask_shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
    p, kept = _kept("feature_alpha_dropout", x, mask, mask_shape, p, training, rng)
    return _restored(x, kept, p)


def _of_channels(op: str, x: Array, known: dict[int, str], unbatched: int | None = None) -> tuple[int, ...]:
    """The shape of a mask with one element per channel."""
    if x.ndim not in known:
        raise ValueError(f"{op}: x must have shape {' or '.join(known.values())}; got {x.shape}")
    lead = 1 if x.ndim == unbatched else 2
    return (*x.shape[:lead], *(1,) * (x.ndim - lead))


def _kept(
    op: str, x: Array, mask: Array | None, shape: tuple[int, ...], p: object, training: object, rng: object
) -> tuple[float, Array | None]:
    """The probability, and the mask given or drawn, or None for all of x unchanged."""
    probability = hyperparameters.real(op, "p", p, least=0, most=1)
    training = hyperparameters.flag(op, "training", training)
    return probability, given_or_drawn(op, "mask", mask, shape, f"x {x.shape}", probability, training, rng)


def given_or_drawn(
    op: str, name: str, mask: Array | None, shape: tuple[int, ...], fits: str, p: float, training: bool, rng: object
) -> Array | None:
    """The mask called ``name``, or one that is drawn; None where training is False: everything is kept."""
    source = generator(op, rng)
    if mask is None:
        return source.random(shape) >= p if training else None
    if rng is not None:
        raise ValueError(f"{op}: {name} and rng exclude each other; got both")
    if not training:
        raise ValueError(f"{op}: {name} must be None where training is False; got one of shape {mask.shape}")
    if mask.shape != shape:
        raise ValueError(f"{op}: {name} must have shape {shape} to fit {fits}; got {mask.shape}")
    return mask


def factor_of(mask: Array, p: float, real: type) -> Array:
    """What an element is multiplied by, as numbers of type ``real``: 1/(1 − p) if it is kept, else 0."""
    return mask / (1 - real(p)) if p < 1 else np.zeros(mask.shape, real)


def _scaled(x: Array, kept: Array | None, p: float) -> tuple[Array, Vjp]:
    if kept is None:
        return x, lambda gy: (gy, None)
    factor = factor_of(kept, p, x.dtype.type)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = factor
        return gy * factor, None

    return x * factor, vjp


def _restored(x: Array, kept: Array | None, p: float) -> tuple[Array, Vjp]:
    if kept is None or p == 1:
        return _scaled(x, kept, p)
    real = x.dtype.type
    s, q = real(SATURATION), real(p)
    a = 1 / np.sqrt((1 - q) * (1 + q * s * s))
    # s·(1 − mask) − s·p, without the difference of two things alike
    offset = np.where(kept, -q, 1 - q) * (a * s)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y′ = a·mask
        return gy * (a * kept), None

    return x * (a * kept) + offset, vjp


class Dropout(SamplingShell):
    """``dropout`` with its p, whose masks ``rng`` draws (a fresh generator where None); x itself after ``eval()``.

    >>> layer = Dropout(0.5, rng=np.random.default_rng(0))
    >>> layer(np.ones(4))[0], layer.eval()(np.ones(4))[0]
    (array([2., 0., 0., 0.]), array([1., 1., 1., 1.]))
    """

    operation = staticmethod(dropout)

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        super().__init__(p=hyperparameters.real(type(self).__name__, "p", p, least=0, most=1), rng=rng)


class Dropout1d(Dropout):
    """``dropout1d``, as ``Dropout``."""

    operation = staticmethod(dropout1d)


class Dropout2d(Dropout):
    """``dropout2d``, as ``Dropout``."""

    operation = staticmethod(dropout2d)


class Dropout3d(Dropout):
    """``dropout3d``, as ``Dropout``."""

    operation = staticmethod(dropout3d)


class AlphaDropout(Dropout):
    """``alpha_dropout``, as ``Dropout``."""

    operation = staticmethod(alpha_dropout)


class FeatureAlphaDropout(Dropout):
    """``feature_alpha_dropout``, as ``Dropout``."""

    operation = staticmethod(feature_alpha_dropout)
