"""Slips in recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from oracles.recurrent import PARTS, variadic
from tests.meta.planted.bug import Array, Vjp, plant, wrong

CELL = "weight_ih=(1,1) weight_hh=(1,1)"
OF_CELL = tuple(f"g{name}" for name in ("x", "h", *PARTS[:4]))
ONE = "weight_ih_l0=(1,1) weight_hh_l0=(1,1)"
OF_LAYERS = tuple(f"g{name}" for name in ("x", "h_0", *variadic(PARTS[:4])))


def changed(vjp: Any, change: Any) -> Vjp:
    """`vjp` called on cotangents that `change` has made of those that are due."""
    return lambda *cotangents: vjp(*change(*cotangents))


@plant(
    "rnn_cell",
    "gx",
    f"x=(1,1) h=(1,1) {CELL}",
    also=wrong(*OF_CELL),
    condition=("nonlinearity = 'tanh'",),
)
def slope_of_the_state_before(x: Array, h: Array, *weights: Any, nonlinearity: str = "tanh") -> tuple[Array, Vjp]:
    """The slope is 1 − h², and not 1 − h′²."""
    y, vjp = mint.rnn_cell(x, h, *weights, nonlinearity=nonlinearity)
    if nonlinearity == "relu":
        return y, vjp
    with np.errstate(all="ignore"):
        factor = ((1 - np.square(h)) / (1 - np.square(y))).astype(y.dtype)
    return y, changed(vjp, lambda gy: (gy * factor,))


@plant("lstm_cell", "gx", "x=(1,1) h=(1,1) c=(1,1) weight_ih=(4,1) weight_hh=(4,1)", also=wrong("gc", *OF_CELL))
def cotangent_of_the_cell_lost(*arrays: Any) -> tuple[Any, Vjp]:
    """Only what reaches c′ through h′ is propagated."""
    y, vjp = mint.lstm_cell(*arrays)
    return y, changed(vjp, lambda gh, gc: (gh, np.zeros_like(gc)))


@plant(
    "lstm_cell",
    "h_1",
    "x=(1,1) h=(1,1) c=(1,1) weight_ih=(4,1) weight_hh=(4,1)",
    also=wrong("c_1", "gc", *OF_CELL),
)
def gates_in_another_order(x: Array, h: Array, c: Array, *weights: Any) -> tuple[Any, Vjp]:
    """The rows are taken for i, f, o, g, and not for i, f, g, o."""

    def exchanged(w: Array | None) -> Array | None:
        return None if w is None else np.concatenate([np.split(w, 4)[k] for k in (0, 1, 3, 2)])

    mint.lstm_cell(x, h, c, *weights)  # refuses what there is to refuse
    y, vjp = mint.lstm_cell(x, h, c, *map(exchanged, weights))

    def back(*cotangents: Array) -> tuple[Array | None, ...]:
        gx, gh, gc, *gradients = vjp(*cotangents)
        return gx, gh, gc, *map(exchanged, gradients)

    return y, back


@plant(
    "gru_cell",
    "y",
    "x=(1,1) h=(1,1) weight_ih=(3,1) weight_hh=(3,1)",
    "x=(1,) h=(2,) weight_ih=(6,1) weight_hh=(6,2)",
    also=wrong(*OF_CELL),
)
def update_gate_the_other_way_round(x: Array, h: Array, *weights: Any) -> tuple[Array, Vjp]:
    """h′ = z·n + (1 − z)·h, as in the paper: z is σ of the negative."""
    mint.gru_cell(x, h, *weights)  # refuses what there is to refuse

    def negated(w: Array | None) -> Array | None:
        if w is None:
            return None
        reset, update, new = np.split(w, 3)
        return np.concatenate([reset, -update, new])

    y, vjp = mint.gru_cell(x, h, *map(negated, weights))

    def back(gy: Array) -> tuple[Array | None, ...]:
        gx, gh, *gradients = vjp(gy)
        return gx, gh, *map(negated, gradients)

    return y, back


@plant(
    "rnn",
    "h_n",
    f"x=(2,1,1) lengths=(1,) {ONE}",
    also=wrong("y", *OF_LAYERS),
    condition=("lengths is given",),
)
def state_after_all_steps(
    x: Array, h_0: Any, lengths: Any, mask: Any, *weights: Array, **hyper: Any
) -> tuple[Any, Vjp]:
    """Lengths only clear what is past the end: h_n is the state after that, and the reverse direction begins there."""
    right = mint.rnn(x, h_0, lengths, mask, *weights, **hyper)
    if lengths is None:
        return right
    steps = np.arange(x.shape[1 if hyper.get("batch_first") else 0])
    counts = steps < lengths[:, None] if hyper.get("batch_first") else steps[:, None] < lengths
    (y, h_n), vjp = mint.rnn(x, h_0, None, mask, *weights, **hyper)
    zero = y.dtype.type(0)
    cleared = np.where(counts[..., None], y, zero)
    return (cleared, h_n), changed(vjp, lambda gy, gh: (np.where(counts[..., None], gy, zero), gh))


@plant(
    "lstm",
    "h_n",
    "x=(1,1,1) weight_ih_l0=(4,1) weight_hh_l0=(4,1) weight_ih_l0_reverse=(4,1) weight_hh_l0_reverse=(4,1) "
    "weight_ih_l1=(4,2) weight_hh_l1=(4,1) weight_ih_l1_reverse=(4,2) weight_hh_l1_reverse=(4,1) "
    "num_layers=2 bidirectional=True",
    also=wrong("c_n", *(f"g{name}" for name in ("x", "h_0", "c_0", *variadic(PARTS)))),
    # which says at once that there are two layers and two directions
    condition=("weight_ih_l1_reverse is given",),
)
def states_direction_by_direction(*arrays: Any, **hyper: Any) -> tuple[Any, Vjp]:
    """The last states are those of the forward direction in all layers, then those of the reverse one."""
    (y, *ends), vjp = mint.lstm(*arrays, **hyper)
    if not hyper.get("bidirectional"):
        return (y, *ends), vjp
    places = np.arange(len(ends[0])).reshape(-1, 2).T.ravel()

    def back(gy: Array, *gends: Array) -> Any:
        return vjp(gy, *(g[np.argsort(places)] for g in gends))

    return (y, *(end[places] for end in ends)), back


@plant(
    "gru",
    "y",
    "x=(1,1,1) mask=(1,1,1,1) weight_ih_l0=(3,1) weight_hh_l0=(3,1) weight_ih_l1=(3,1) weight_hh_l1=(3,1) "
    "num_layers=2 dropout=0.5",
    also=wrong("h_n", *OF_LAYERS),
    condition=("mask is given",),
)
def what_is_kept_is_not_scaled(x: Array, h_0: Any, lengths: Any, mask: Any, *weights: Array, **hyper: Any) -> Any:
    """Dropout does not divide by 1 − p."""
    right = mint.gru(x, h_0, lengths, mask, *weights, **hyper)
    if mask is None or hyper.get("dropout") == 1:
        return right
    return mint.gru(x, h_0, lengths, mask, *weights, **{**hyper, "dropout": 0.0})


@plant("gru", "gx", "x=(1,1,1) weight_ih_l0=(3,1) weight_hh_l0=(3,1)", also=wrong(*OF_LAYERS))
def cotangent_of_the_last_state_lost(*arrays: Any, **hyper: Any) -> tuple[Any, Vjp]:
    """Only what reaches the outputs is propagated."""
    y, vjp = mint.gru(*arrays, **hyper)
    return y, changed(vjp, lambda gy, gh: (gy, np.zeros_like(gh)))
