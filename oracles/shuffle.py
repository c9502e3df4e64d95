"""Rearrangements between space and channels: definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Configuration
from oracles.draw import axis_lengths
from oracles.formula import formula
from oracles.operation import Hyper, Operation, Shapes

#: Factors of which a third and a half are told apart.
FACTORS = st.sampled_from((2, 1, 3, 4))


def draw_pixel_shuffle(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any batch axes, or none; a channel to fill every block."""
    r = draw(FACTORS)
    *batch, channels, height, width = axis_lengths(draw, draw(st.sampled_from((4, 3, 5, 6))), 1, 2, 3)
    return {"x": (*batch, channels * r * r, height, width)}, {"upscale_factor": r}


def draw_pixel_unshuffle(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Any batch axes, or none; whole blocks."""
    r = draw(FACTORS)
    *batch, channels, height, width = axis_lengths(draw, draw(st.sampled_from((4, 3, 5, 6))), 1, 2, 3)
    return {"x": (*batch, channels, height * r, width * r)}, {"downscale_factor": r}


def draw_channel_shuffle(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """One to three axes after the channels."""
    groups = draw(FACTORS)
    batch, each, *rest = axis_lengths(draw, draw(st.sampled_from((3, 4, 5))), 2, 1, 3, 4)
    return {"x": (batch, groups * each, *rest)}, {"groups": groups}


def spoil_shuffle(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A factor that is none or does not divide, or too few axes."""
    (name,) = hyper
    wrong = draw(st.sampled_from((0, -1, 2.5, "many", 97, "axes")))
    if wrong == "axes":
        return "x", {"x": shapes["x"][:2]}, hyper
    return name, shapes, {name: wrong}


@formula
def pixel_shuffle_formula(x: Any, *, upscale_factor: int) -> Any:
    """y[…, c, h, w] = x[…, c·r² + (h mod r)·r + (w mod r), ⌊h/r⌋, ⌊w/r⌋]."""
    r = upscale_factor
    *_, channels, height, width = x.shape
    c, h, w = np.ogrid[: channels // (r * r), : height * r, : width * r]
    return x[..., c * r * r + h % r * r + w % r, h // r, w // r]


@formula
def pixel_unshuffle_formula(x: Any, *, downscale_factor: int) -> Any:
    """y[…, k, h, w] = x[…, ⌊k/r²⌋, h·r + ⌊k/r⌋ mod r, w·r + k mod r]."""
    r = downscale_factor
    *_, channels, height, width = x.shape
    k, h, w = np.ogrid[: channels * r * r, : height // r, : width // r]
    return x[..., k // (r * r), h * r + k // r % r, w * r + k % r]


@formula
def channel_shuffle_formula(x: Any, *, groups: int) -> Any:
    """y[n, c] = x[n, (c mod g)·C/g + ⌊c/g⌋]."""
    channels = x.shape[1]
    c = np.arange(channels)
    return x[:, c % groups * (channels // groups) + c // groups]


def pixel_shuffle_jax(jax: Any, x: Any, *, upscale_factor: int) -> Any:
    jnp = jax.numpy
    r = upscale_factor
    *batch, channels, height, width = x.shape
    split = jnp.reshape(x, (*batch, channels // (r * r), r, r, height, width))
    # c i j h w -> c h i w j
    moved = jnp.moveaxis(jnp.moveaxis(split, -4, -2), -4, -1)
    return jnp.reshape(moved, (*batch, channels // (r * r), height * r, width * r))


def pixel_unshuffle_jax(jax: Any, x: Any, *, downscale_factor: int) -> Any:
    jnp = jax.numpy
    r = downscale_factor
    *batch, channels, height, width = x.shape
    split = jnp.reshape(x, (*batch, channels, height // r, r, width // r, r))
    # c h i w j -> c i j h w
    moved = jnp.moveaxis(jnp.moveaxis(split, -3, -4), -1, -3)
    return jnp.reshape(moved, (*batch, channels * r * r, height // r, width // r))


def channel_shuffle_jax(jax: Any, x: Any, *, groups: int) -> Any:
    jnp = jax.numpy
    split = jnp.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    return jnp.reshape(jnp.swapaxes(split, 1, 2), x.shape)


def pixel_features(configuration: Configuration) -> dict[str, bool]:
    """How many maps there are of full size."""
    factor = configuration.hyper.get("upscale_factor", 1)
    return {"there are several channels": configuration.shapes["x"][-3] > factor * factor}


pixel_shuffle = Operation(
    function=mint.pixel_shuffle,
    draw=draw_pixel_shuffle,
    spoil=spoil_shuffle,
    equations=pixel_shuffle_formula,
    jax=pixel_shuffle_jax,
    exact=lambda configuration: True,
    features=pixel_features,
)

pixel_unshuffle = Operation(
    function=mint.pixel_unshuffle,
    draw=draw_pixel_unshuffle,
    spoil=spoil_shuffle,
    equations=pixel_unshuffle_formula,
    jax=pixel_unshuffle_jax,
    exact=lambda configuration: True,
    features=pixel_features,
)

channel_shuffle = Operation(
    function=mint.channel_shuffle,
    draw=draw_channel_shuffle,
    spoil=spoil_shuffle,
    equations=channel_shuffle_formula,
    jax=channel_shuffle_jax,
    exact=lambda configuration: True,
)
