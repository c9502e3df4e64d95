"""Dropout: with the mask given, or drawn from a generator: definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Configuration, Shape
from oracles.draw import axis_length
from oracles.formula import constant, formula
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes

PROBABILITIES = st.sampled_from((0.5, 0.0, 0.75, 0.1, 0.3, 0.9, 1.0))


def draw_dropout(
    draw: st.DrawFn, *, axes: tuple[int, ...], mask_shape: Callable[[Shape], Shape]
) -> tuple[Shapes, Hyper]:
    """Training with a mask, or without one where p leaves nothing to chance; evaluation."""
    count = draw(st.sampled_from(axes))
    shape = tuple(draw(st.lists(axis_length(2, 1, 3, 5), min_size=count, max_size=count)))
    shapes: Shapes = {"x": shape}
    hyper: Hyper = {"p": draw(PROBABILITIES), "training": draw(st.sampled_from((True, True, True, False)))}
    if hyper["training"] and (hyper["p"] not in (0, 1) or draw(st.booleans())):
        shapes["mask"] = mask_shape(shape)
    return shapes, hyper


def spoil_dropout(
    draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, refused: tuple[Shape, ...] = ()
) -> tuple[str, Shapes, Hyper]:
    """What is no probability; an input that has no channels."""
    del hyper
    training = draw(st.booleans())
    if len(refused) > 0 and draw(st.booleans()):
        return "x", {"x": draw(st.sampled_from(refused))}, {"training": True}
    return "p", {"x": shapes["x"]}, {"p": draw(st.sampled_from((1.5, -0.1, "half"))), "training": training}


def per_channel(shape: Shape, unbatched: int = 0) -> Shape:
    """One element per channel of (N, C, …), or of (C, …) where there are `unbatched` axes."""
    lead = 1 if len(shape) == unbatched else 2
    return shape[:lead] + (1,) * (len(shape) - lead)


def kept(rng: np.random.Generator, configuration: Configuration) -> Array:
    """A mask that keeps with probability 1 − p, or half of it where that would be all or nothing."""
    p = configuration.hyper.get("p", 0.5)
    return np.asarray(rng.random(configuration.shapes["mask"]) >= (p if 0 < p < 1 else 0.5))


def factor(x: Any, mask: Any, p: float) -> Any:
    """The mask in the dtype of x; where it is not given, and p leaves nothing to chance, all or nothing."""
    if mask is None and p not in (0, 1):
        raise ValueError("without a mask the result is random")
    return x.dtype.type(p < 1) if mask is None or p == 1 else mask.astype(x.dtype)


@formula
def dropout_formula(x: Any, mask: Any = None, *, p: float = 0.5, training: bool = True) -> Any:
    """y = mask·x/(1 − p), with p = 1 nothing of x."""
    if not training:
        return 1 * x
    y = x * factor(x, mask, p)
    return y if p == 1 else y / (1 - x.dtype.type(p))


@formula
def alpha_dropout_formula(x: Any, mask: Any = None, *, p: float = 0.5, training: bool = False) -> Any:
    """y = a·(mask·x + (1 − mask)·s − s·p), a = 1/√((1 − p)·(1 + p·s²)), s = −λα of SELU; with p = 1 nothing of x."""
    if not training:
        return 1 * x
    m = factor(x, mask, p)
    if p == 1:
        return x * m
    s = constant(x, "-1.7580993408473768599402175208122795773")
    q = x.dtype.type(p)
    return (m * x + ((1 - m) * s - s * q)) / np.sqrt((1 - q) * (1 + q * s * s))


def alpha_dropout_scale(
    x: Array, mask: Array | None, gy: Array, *, p: float = 0.5, training: bool = False
) -> tuple[Array, Array, None]:
    """a·(|mask·x| + |s| + |s|·p): the offset may be formed as the difference of a·s and a·s·p."""
    y, g = np.abs(x), np.abs(gy)
    if not training or p == 1:
        return y, g, None
    s, q = np.abs(x.dtype.type("-1.7580993408473768599402175208122795773")), x.dtype.type(p)
    a, m = 1 / np.sqrt((1 - q) * (1 + q * s * s)), factor(x, mask, p)
    return a * (m * y + s + s * q), a * m * g, None


def dropout_torch(own: Any, x: Any, mask: Any = None, *, p: float = 0.5, training: bool = True) -> Any:
    # PyTorch draws the mask itself; this is what it does with it
    if mask is None:
        return own(x, p, training)
    return x * 0 if p == 1 else x * (mask.to(x.dtype) / (1 - p))


def alpha_dropout_torch(own: Any, x: Any, mask: Any = None, *, p: float = 0.5, training: bool = False) -> Any:
    if mask is None:
        return own(x, p, training)
    if p == 1:
        return x * 0
    alpha = 1.7580993408473766
    a = 1 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    noise = mask.to(x.dtype)
    return x * (noise * a) + ((noise - 1) * (alpha * a) + alpha * a * p)


def dropout_jax(jax: Any, x: Any, mask: Any = None, *, p: float = 0.5, training: bool = True) -> Any:
    del jax
    if not training or (mask is None and p == 0):
        return x
    return x * 0 if p == 1 else x * mask / (1 - p)


def alpha_dropout_jax(jax: Any, x: Any, mask: Any = None, *, p: float = 0.5, training: bool = False) -> Any:
    if not training or (mask is None and p == 0):
        return x
    if p == 1:
        return x * 0
    saturation = -1.7580993408473766
    a = ((1 - p) * (1 + p * saturation**2)) ** -0.5
    # not where(mask, x, …): a dropped NaN stays NaN, as in PyTorch
    return a * (x * mask + jax.numpy.where(mask, 0, saturation).astype(x.dtype) - saturation * p)


#: x·mask in JAX: XLA makes a selection of a product with what was a bool.
DROPPED = (
    Limitation(
        "jax",
        "what is dropped is 0 whatever it was, where PyTorch multiplies: an infinity or a NaN becomes NaN there",
        applies=lambda case: case.fill == "special",
        tensors=("y",),
    ),
)


def powers_of_two(configuration: Configuration) -> bool:
    """Whether 1/(1 − p) rounds nothing."""
    return configuration.hyper.get("p", 0.5) in (0.0, 0.5, 0.75, 1.0)


dropout = Operation(
    function=mint.dropout,
    draw=partial(draw_dropout, axes=(2, 0, 1, 3, 4), mask_shape=tuple),
    spoil=spoil_dropout,
    equations=dropout_formula,
    torch=lambda F, x, mask=None, **hyper: dropout_torch(F.dropout, x, mask, **hyper),
    jax=dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
    exact=powers_of_two,
)


dropout1d = Operation(
    function=mint.dropout1d,
    draw=partial(draw_dropout, axes=(3, 2), mask_shape=partial(per_channel, unbatched=2)),
    spoil=partial(spoil_dropout, refused=((4,), (2, 3, 2, 2))),
    equations=dropout_formula,
    torch=lambda F, x, mask=None, **hyper: dropout_torch(F.dropout1d, x, mask, **hyper),
    jax=dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
    exact=powers_of_two,
)


dropout2d = Operation(
    function=mint.dropout2d,
    draw=partial(draw_dropout, axes=(4, 3), mask_shape=per_channel),
    spoil=partial(spoil_dropout, refused=((4,), ())),
    equations=dropout_formula,
    torch=lambda F, x, mask=None, **hyper: dropout_torch(F.dropout2d, x, mask, **hyper),
    jax=dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
    exact=powers_of_two,
)


dropout3d = Operation(
    function=mint.dropout3d,
    draw=partial(draw_dropout, axes=(5, 4), mask_shape=partial(per_channel, unbatched=4)),
    spoil=spoil_dropout,
    equations=dropout_formula,
    torch=lambda F, x, mask=None, **hyper: dropout_torch(F.dropout3d, x, mask, **hyper),
    jax=dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
    exact=powers_of_two,
)


alpha_dropout = Operation(
    function=mint.alpha_dropout,
    draw=partial(draw_dropout, axes=(2, 0, 1, 3, 4), mask_shape=tuple),
    spoil=spoil_dropout,
    equations=alpha_dropout_formula,
    scale=alpha_dropout_scale,
    torch=lambda F, x, mask=None, **hyper: alpha_dropout_torch(F.alpha_dropout, x, mask, **hyper),
    jax=alpha_dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
)


feature_alpha_dropout = Operation(
    function=mint.feature_alpha_dropout,
    draw=partial(draw_dropout, axes=(3, 2, 4, 5), mask_shape=per_channel),
    spoil=partial(spoil_dropout, refused=((4,), ())),
    equations=alpha_dropout_formula,
    scale=alpha_dropout_scale,
    torch=lambda F, x, mask=None, **hyper: alpha_dropout_torch(F.feature_alpha_dropout, x, mask, **hyper),
    jax=alpha_dropout_jax,
    integer={"mask": kept},
    limitations=DROPPED,
)
