"""Embeddings that went wrong."""

from __future__ import annotations

from typing import Any

import mint
from tests.meta.planted.bug import Array, Vjp, plant


@plant(
    "embedding",
    "gweight",
    "indices=(1,) weight=(1,1) padding_idx=0",
    "indices=() weight=(1,1) padding_idx=0",
    condition=("padding_idx is given",),
    report="https://github.com/pytorch/pytorch/issues/26302",
)
def padding_row_learns(
    indices: Array, weight: Array, *, padding_idx: int | None = None, **hyper: Any
) -> tuple[Array, Vjp]:
    """The row of padding_idx gets a gradient like any other."""
    y, _ = mint.embedding(indices, weight, padding_idx=padding_idx, **hyper)
    return y, mint.embedding(indices, weight, **hyper)[1]
