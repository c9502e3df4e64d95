"""Recurrent cells that went wrong."""

from __future__ import annotations

import numpy as np

import mint
from tests.meta.planted.bug import Array, plant, wrong


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@plant(
    "gru_cell",
    "y",
    # one hidden unit alone has one gate for all that it multiplies
    "x=(1,1) h=(1,3) weight_ih=(9,1) weight_hh=(9,3)",
    "x=(1,1) h=(1,1) weight_ih=(3,1) weight_hh=(3,1) bias_hh=(3,)",
    also=wrong("gx", "gh"),
    dtypes=("float64",),
    report="https://github.com/onnx/keras-onnx/pull/33",
)
def reset_before_the_product(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Array:
    """n = tanh(W·x + U·(r·h)), as in the paper, and not tanh(W·x + r·(U·h)), as in PyTorch."""
    mint.gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh)  # refuses what there is to refuse
    hidden = h.shape[-1]
    of_x = x @ weight_ih.T + (0 if bias_ih is None else bias_ih)
    shift = np.zeros(3 * hidden, x.dtype) if bias_hh is None else bias_hh
    of_h = h @ weight_hh[: 2 * hidden].T + shift[: 2 * hidden]
    r, z = np.split(_sigmoid(of_x[..., : 2 * hidden] + of_h), 2, axis=-1)
    n = np.tanh(of_x[..., 2 * hidden :] + (r * h) @ weight_hh[2 * hidden :].T + shift[2 * hidden :])
    return np.asarray((1 - z) * n + z * h)
