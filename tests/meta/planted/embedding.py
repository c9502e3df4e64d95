"""Slips in embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong


@plant("embedding", "gweight", "indices=(2,) weight=(1,1)")
def the_last_one_wins(indices: Array, weight: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The gradients of an index that comes twice are written one over the other, and not added up."""
    y, vjp = mint.embedding(indices, weight, **hyper)

    def overwritten(gy: Array) -> Array:
        gw = np.zeros_like(weight)
        gw[indices] = gy
        if hyper.get("padding_idx") is not None:
            gw[hyper["padding_idx"]] = 0
        return gw

    return y, replacing(vjp, 1, overwritten)


@plant("embedding", "gweight", "indices=(1,) weight=(1,1) padding_idx=0")
def padding_learns(indices: Array, weight: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """The row of padding has a gradient like the others."""
    y, _ = mint.embedding(indices, weight, **hyper)
    hyper.pop("padding_idx", None)
    return y, mint.embedding(indices, weight, **hyper)[1]


@plant("embedding", "gweight", "indices=(1,) weight=(1,1) max_norm=1.0")
def gradient_is_shortened_too(indices: Array, weight: Array, **hyper: Any) -> tuple[Array, Vjp]:
    """What shortens a row to max_norm shortens its gradient as well."""
    y, vjp = mint.embedding(indices, weight, **hyper)

    def shortened(gy: Array) -> Array:
        read = weight[indices]
        with np.errstate(all="ignore"):
            factor = np.where(read == 0, 1, y / read)
        return np.array(vjp((gy * factor).astype(gy.dtype))[1])

    return y, replacing(vjp, 1, shortened)


def counted(indices: Array, weight: Array, offsets: Array | None, **hyper: Any) -> Array:
    """How many indices there are in each bag, next to each feature."""
    known = {name: value for name, value in hyper.items() if name in ("include_last_offset", "padding_idx")}
    return mint.embedding_bag(indices, np.ones_like(weight), offsets, mode="sum", **known)[0]


@plant("embedding_bag", "y", "indices=(1,1) weight=(1,1) padding_idx=0", "indices=(1,) weight=(1,1) offsets=(2,)")
def mean_of_nothing(indices: Array, weight: Array, offsets: Array | None = None, *more: Any, **hyper: Any) -> Any:
    """The sum of an empty bag is divided by 0."""
    y, vjp = mint.embedding_bag(indices, weight, offsets, *more, **hyper)
    if hyper.get("mode", "mean") != "mean":
        return y, vjp
    empty = counted(indices, weight, offsets, **hyper) == 0
    return np.where(empty, np.array(np.nan, y.dtype), y), vjp


@plant(
    "embedding_bag",
    "y",
    "indices=(1,2) weight=(2,1) padding_idx=1",
    "indices=(2,) weight=(2,1) offsets=(1,) padding_idx=1",
    also=wrong("gweight"),
    condition=("padding_idx",),
)
def mean_counts_padding(indices: Array, weight: Array, offsets: Array | None = None, *more: Any, **hyper: Any) -> Any:
    """Padding is left out of the sum, but not of the number of rows that it is divided by."""
    y, vjp = mint.embedding_bag(indices, weight, offsets, *more, **hyper)
    if hyper.get("mode", "mean") != "mean" or hyper.get("padding_idx") is None:
        return y, vjp
    count = np.maximum(counted(indices, weight, offsets, **hyper | {"padding_idx": None}), 1)
    y, vjp = mint.embedding_bag(indices, weight, offsets, *more, **hyper | {"mode": "sum"})
    return (y / count).astype(y.dtype), lambda gy: vjp((gy / count).astype(gy.dtype))


@plant(
    "embedding_bag",
    "gweight",
    "indices=(1,2) weight=(2,1) mode=max",
    "indices=(2,) weight=(2,1) offsets=(1,) mode=max",
)
def all_of_a_tie(indices: Array, weight: Array, offsets: Array | None = None, *more: Any, **hyper: Any) -> Any:
    """Every one of a tie gets the gradient of the maximum."""
    y, vjp = mint.embedding_bag(indices, weight, offsets, *more, **hyper)
    if hyper.get("mode", "mean") != "max":
        return y, vjp
    flat = indices.reshape(-1)
    rows, _ = mint.embedding(flat, weight, **{n: v for n, v in hyper.items() if n in ("max_norm", "norm_type")})
    places = np.arange(indices.size).reshape(indices.shape)
    last = hyper.get("include_last_offset", False)
    # [b, n]: 1 where bag b has index n
    inside, _ = mint.embedding_bag(places, np.eye(indices.size), offsets, mode="sum", include_last_offset=last)

    def shared(gy: Array) -> Array:
        gw = np.zeros_like(weight)
        tied = (inside[:, :, None] == 1) & (rows == y[:, None])
        np.add.at(gw, flat, np.where(tied, gy[:, None], 0).sum(0).astype(gy.dtype))
        if hyper.get("padding_idx") is not None:
            gw[hyper["padding_idx"]] = 0
        return gw

    return y, replacing(vjp, 1, shared)


@plant(
    "embedding_bag",
    "gper_sample_weights",
    "indices=(1,1) weight=(1,1) per_sample_weights=(1,1) max_norm=1.0 mode=sum",
    "indices=(1,) weight=(1,1) offsets=(1,) per_sample_weights=(1,) max_norm=1.0 mode=sum",
)
def samples_weighed_with_the_long_rows(
    indices: Array,
    weight: Array,
    offsets: Array | None = None,
    per_sample_weights: Array | None = None,
    **hyper: Any,
) -> Any:
    """The gradient of the weights of the samples takes the rows as they were before max_norm."""
    y, vjp = mint.embedding_bag(indices, weight, offsets, per_sample_weights, **hyper)
    long = mint.embedding_bag(indices, weight, offsets, per_sample_weights, **hyper | {"max_norm": None})[1]
    return y, lambda gy: (*vjp(gy)[:3], long(gy)[3])


@plant("one_hot", "y", "indices=(1,)")
def classes_come_first(indices: Array, **hyper: Any) -> Any:
    """The axis of the classes is the first, and not the last."""
    y, vjp = mint.one_hot(indices, **hyper)
    return np.array(np.moveaxis(y, -1, 0), order="C"), vjp
