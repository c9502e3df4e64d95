"""Recurrent networks: the cells of RNN, LSTM and GRU, and layers of them over time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.activation import _sigmoid, _sigmoid_slope
from mint.differentiable import Array, Vjp, differentiable
from mint.dropout import factor_of, given_or_drawn
from mint.module import ModuleVjp, Parameter, Shell, check_dtype
from mint.sampling import generator

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn",
    "rnn_cell",
]

Shape = tuple[int, ...]
State = tuple[Array, ...]
"""What a cell hands on: (h,), or (h, c)."""

# as many elements, of the input and all weights, are computed in float64: errors grow from step to step
WIDE = 2**20


class _Cell(NamedTuple):
    """One step in time.

    ``step(a, u, *state)`` takes a = x·W_ihᵀ + b_ih and u = h·W_hhᵀ + b_hh, each [n, gates·hidden], to the next
    state and its ``back(*gstate)``. That gives ga, gu, and what reaches the state other than through u.
    """

    gates: int
    states: tuple[str, ...]
    step: Callable[..., tuple[State, Callable[..., tuple[Any, ...]]]]


# --- steps --------------------------------------------------------------------------------------------------


def _tanh_slope(x: Array) -> Array:
    # tanh(x) = 2·σ(2x) − 1; 1 − tanh² would cancel
    return 4 * _sigmoid_slope(2 * x)


def _elman(op: str, nonlinearity: object) -> _Cell:
    if hyperparameters.choice(op, "nonlinearity", nonlinearity, ("tanh", "relu")) == "relu":
        return _Cell(1, ("h",), _relu_step)
    return _Cell(1, ("h",), _tanh_step)


def _tanh_step(a: Array, u: Array, h: Array) -> tuple[State, Callable[..., tuple[Any, ...]]]:
    del h
    z = a + u

    def back(gh: Array) -> tuple[Any, ...]:
        # h′ = tanh(a + u)
        gz = gh * _tanh_slope(z)
        return gz, gz, 0

    return (np.tanh(z),), back


def _relu_step(a: Array, u: Array, h: Array) -> tuple[State, Callable[..., tuple[Any, ...]]]:
    del h
    z = a + u

    def back(gh: Array) -> tuple[Any, ...]:
        # h′ = max(0, a + u), whose slope at 0 is 0
        gz = np.where(z <= 0, 0, gh)
        return gz, gz, 0

    return (np.maximum(z, 0),), back


def _lstm_step(a: Array, u: Array, h: Array, c: Array) -> tuple[State, Callable[..., tuple[Any, ...]]]:
    del h
    zi, zf, zg, zo = np.split(a + u, 4, axis=-1)
    i, f, g, o = _sigmoid(zi), _sigmoid(zf), np.tanh(zg), _sigmoid(zo)
    c_next = f * c + i * g
    t = np.tanh(c_next)

    def back(gh: Array, gc: Array) -> tuple[Any, ...]:
        # h′ = o·tanh(c′), c′ = f·c + i·g: what reaches c′ comes from the next step and through h′
        gc = gc + gh * (o * _tanh_slope(c_next))
        of_gates = (
            gc * (g * _sigmoid_slope(zi)),
            gc * (c * _sigmoid_slope(zf)),
            gc * (i * _tanh_slope(zg)),
            gh * (t * _sigmoid_slope(zo)),
        )
        gz = np.concatenate(of_gates, axis=-1)
        return gz, gz, 0, gc * f

    return (o * t, c_next), back


def _gru_step(a: Array, u: Array, h: Array) -> tuple[State, Callable[..., tuple[Any, ...]]]:
    (ar, az, an), (ur, uz, un) = np.split(a, 3, axis=-1), np.split(u, 3, axis=-1)
    zr, zz = ar + ur, az + uz
    r, z = _sigmoid(zr), _sigmoid(zz)
    zn = an + r * un
    # 1 − σ(z) = σ(−z) keeps its digits
    n, rest = np.tanh(zn), _sigmoid(-zz)

    def back(gh: Array) -> tuple[Any, ...]:
        # h′ = (1 − z)·n + z·h, n = tanh(an + r·un)
        gn = gh * (rest * _tanh_slope(zn))
        gr = gn * (un * _sigmoid_slope(zr))
        gz = gh * ((h - n) * _sigmoid_slope(zz))
        return np.concatenate([gr, gz, gn], axis=-1), np.concatenate([gr, gz, gn * r], axis=-1), gh * z

    return (rest * n + z * h,), back


LSTM_CELL = _Cell(4, ("h", "c"), _lstm_step)
GRU_CELL = _Cell(3, ("h",), _gru_step)


# --- products -----------------------------------------------------------------------------------------------


def _rows(x: Array) -> Array:
    # [..., i] -> [n, i]
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _affine(x: Array, w: Array, b: Array | None = None) -> Array:
    # [..., i] [o, i] -> [..., o], plus [o]
    y = _rows(x) @ w.T
    return (y if b is None else y + b).reshape(*x.shape[:-1], len(w))


def _of_weight(gy: Array, x: Array) -> Array:
    # transposed: [..., o] [..., i] -> [o, i]
    y: Array = _rows(gy).T @ _rows(x)
    return y


def _check_shapes(op: str, arrays: Mapping[str, Array | None], shapes: Mapping[str, Shape]) -> None:
    for name, array in arrays.items():
        if array is not None and array.shape != shapes[name]:
            raise ValueError(f"{op}: {name} must have shape {shapes[name]}; got {array.shape}")


# --- cells --------------------------------------------------------------------------------------------------


def _one_step(
    op: str,
    cell: _Cell,
    x: Array,
    state: State,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
) -> tuple[State, Vjp]:
    """A cell by itself, on a batch or on one sample."""
    if x.ndim not in (1, 2):
        raise ValueError(f"{op}: x must have shape (N, input) or (input,); got {x.shape}")
    if w_hh.ndim != 2:
        raise ValueError(f"{op}: weight_hh must have shape (gates·hidden, hidden); got {w_hh.shape}")
    hidden = w_hh.shape[1]
    rows = cell.gates * hidden
    shapes = {"weight_ih": (rows, x.shape[-1]), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    _check_shapes(op, {"weight_ih": w_ih, "weight_hh": w_hh, "bias_ih": b_ih, "bias_hh": b_hh}, shapes)
    of_state = dict(zip(cell.states, state, strict=True))
    _check_shapes(op, of_state, dict.fromkeys(of_state, (*x.shape[:-1], hidden)))
    after, back = cell.step(_affine(x, w_ih, b_ih), _affine(state[0], w_hh, b_hh), *state)

    def vjp(*gstate: Array) -> tuple[Array | None, ...]:
        # a = x·W_ihᵀ + b_ih, u = h·W_hhᵀ + b_hh
        ga, gu, gh, *others = back(*gstate)
        gb_ih = None if b_ih is None else _rows(ga).sum(0)
        gb_hh = None if b_hh is None else _rows(gu).sum(0)
        return ga @ w_ih, gh + gu @ w_hh, *others, _of_weight(ga, x), _of_weight(gu, state[0]), gb_ih, gb_hh

    return after, vjp


@differentiable(wide=WIDE)
def rnn_cell(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Vjp]:
    """Elman cell: h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or max(0, …) in place of tanh.

    Shapes: x (N, input) or (input,), h and h′ (N, hidden) or (hidden,), weight_ih (hidden, input), weight_hh
    (hidden, hidden), bias_ih and bias_hh (hidden,), either or both None. Any may be empty.
    Dtypes: those of ``differentiable``; all arrays share one.
    nonlinearity: "tanh" or "relu".
    Returns ``h′, vjp``; ``vjp(gh′)`` is ``(gx, gh, gweight_ih, gweight_hh, gbias_ih, gbias_hh)``. The slope of
    max(0, z) at 0 is 0, at NaN that of z, as in PyTorch.
    Raises ValueError for shapes that do not fit or another nonlinearity, TypeError for what is no array of such a
    dtype.
    Source: Elman, "Finding structure in time", 1990; PyTorch ``torch.rnn_tanh_cell``, ``torch.rnn_relu_cell``,
    which take one sample as a batch only, and biases that broadcast. JAX has none.

    >>> h, vjp = rnn_cell(np.array([3.0, -2.0]), np.array([1.0]), np.ones((1, 2)), np.ones((1, 1)), nonlinearity="relu")
    >>> h, vjp(np.array([10.0]))[:3]
    (array([2.]), (array([10., 10.]), array([10.]), array([[ 30., -20.]])))
    """
    cell = _elman("rnn_cell", nonlinearity)
    (after,), vjp = _one_step("rnn_cell", cell, x, (h,), weight_ih, weight_hh, bias_ih, bias_hh)
    return after, vjp


@differentiable(wide=WIDE, outputs=2)
def lstm_cell(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> tuple[tuple[Array, Array], Vjp]:
    """Long short-term memory: c′ = f·c + i·g, h′ = o·tanh(c′), with gates i, f, o = σ(…) and g = tanh(…).

    Each … is W_ih·x + b_ih + W_hh·h + b_hh with rows of its own, in the order i, f, g, o.

    Shapes: x (N, input) or (input,), h, c, h′ and c′ (N, hidden) or (hidden,), weight_ih (4·hidden, input),
    weight_hh (4·hidden, hidden), bias_ih and bias_hh (4·hidden,), either or both None. Any may be empty.
    Dtypes: those of ``differentiable``; all arrays share one.
    Returns ``(h′, c′), vjp``; ``vjp(gh′, gc′)`` is ``(gx, gh, gc, gweight_ih, gweight_hh, gbias_ih, gbias_hh)``.
    Raises ValueError for shapes that do not fit, TypeError for what is no array of such a dtype.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al., 2000;
    PyTorch ``torch.lstm_cell``, which takes one sample as a batch only, and biases that broadcast. JAX has none.

    >>> (h, c), vjp = lstm_cell(np.zeros(1), np.zeros(1), np.array([2.0]), np.zeros((4, 1)), np.zeros((4, 1)))
    >>> h, c
    (array([0.38079708]), array([1.]))
    """
    after, vjp = _one_step("lstm_cell", LSTM_CELL, x, (h, c), weight_ih, weight_hh, bias_ih, bias_hh)
    return (after[0], after[1]), vjp


@differentiable(wide=WIDE)
def gru_cell(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> tuple[Array, Vjp]:
    """Gated recurrent unit: h′ = (1 − z)·n + z·h, n = tanh(W_in·x + b_in + r·(W_hn·h + b_hn)), r, z = σ(…).

    Each … is W_ih·x + b_ih + W_hh·h + b_hh; the rows are in the order r, z, n.

    Shapes: x (N, input) or (input,), h and h′ (N, hidden) or (hidden,), weight_ih (3·hidden, input), weight_hh
    (3·hidden, hidden), bias_ih and bias_hh (3·hidden,), either or both None. Any may be empty.
    Dtypes: those of ``differentiable``; all arrays share one.
    Returns ``h′, vjp``; ``vjp(gh′)`` is ``(gx, gh, gweight_ih, gweight_hh, gbias_ih, gbias_hh)``.
    Raises ValueError for shapes that do not fit, TypeError for what is no array of such a dtype.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014, where r multiplies h before the product; PyTorch ``torch.gru_cell``, which takes one
    sample as a batch only, and biases that broadcast. JAX has none.

    >>> gru_cell(np.zeros(1), np.array([3.0]), np.zeros((3, 1)), np.zeros((3, 1)))[0]
    array([1.5])
    """
    (after,), vjp = _one_step("gru_cell", GRU_CELL, x, (h,), weight_ih, weight_hh, bias_ih, bias_hh)
    return after, vjp


# --- layers over time ---------------------------------------------------------------------------------------


def _parts(bias: bool, projected: bool) -> tuple[str, ...]:
    """The arrays of one direction of one layer, in order."""
    return (
        "weight_ih",
        "weight_hh",
        *(("bias_ih", "bias_hh") if bias else ()),
        *(("weight_hr",) if projected else ()),
    )


def _weight_shapes(
    gates: int, sizes: tuple[int, int, int], parts: Sequence[str], layers: int, directions: int
) -> dict[str, Shape]:
    """The names and shapes of all weights in order; sizes are those of the input, of c, and of h."""
    n_in, hidden, n_out = sizes
    rows = gates * hidden
    found: dict[str, Shape] = {}
    for layer in range(layers):
        shapes: dict[str, Shape] = {
            "weight_ih": (rows, n_in if layer == 0 else directions * n_out),
            "weight_hh": (rows, n_out),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
            "weight_hr": (n_out, hidden),
        }
        for suffix in ("", "_reverse")[:directions]:
            found |= {f"{part}_l{layer}{suffix}": shapes[part] for part in parts}
    return found


class _Run(NamedTuple):
    """One direction of one layer: y [t, n, o], the last state, and from their cotangents to gx, gstate, gweights."""

    y: Array
    state: State
    vjp: Callable[[Array, State], tuple[Array, State, dict[str, Array]]]


def _over_time(
    cell: _Cell, x: Array, state: State, weights: Mapping[str, Array], counts: Array, *, reverse: bool
) -> _Run:
    """The cell step by step over x [t, n, i]; a step that does not count leaves the state as it is."""
    w_ih, w_hh, w_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    a = _affine(x, w_ih, weights.get("bias_ih"))
    order = range(len(x))[::-1] if reverse else range(len(x))
    y = np.empty((*x.shape[:2], w_hh.shape[1]), x.dtype)
    entered = np.empty_like(y)
    unprojected = np.empty((*x.shape[:2], len(w_hh) // cell.gates), x.dtype)
    backs: dict[int, Callable[..., tuple[Any, ...]]] = {}
    for t in order:
        entered[t] = state[0]
        u = _affine(state[0], w_hh, weights.get("bias_hh"))
        (unprojected[t], *others), backs[t] = cell.step(a[t], u, *state)
        h = unprojected[t] if w_hr is None else _affine(unprojected[t], w_hr)
        y[t] = np.where(counts[t], h, 0)
        state = tuple(np.where(counts[t], new, old) for new, old in zip((h, *others), state, strict=True))

    def vjp(gy: Array, gstate: State) -> tuple[Array, State, dict[str, Array]]:
        # h[t] goes to y[t] and to the step after it, from which gstate comes: the last step is the first here
        gh, ga, gu = np.empty_like(y), np.empty_like(a), np.empty_like(a)
        for t in reversed(order):
            gh[t], *others = (np.where(counts[t], g, 0) for g in (gstate[0] + gy[t], *gstate[1:]))
            # h = m·W_hrᵀ, a = x·W_ihᵀ + b_ih, u = h·W_hhᵀ + b_hh with the h of the step before
            gm = gh[t] if w_hr is None else gh[t] @ w_hr
            ga[t], gu[t], *before = backs[t](gm, *others)
            before[0] = before[0] + gu[t] @ w_hh
            gstate = tuple(np.where(counts[t], new, old) for new, old in zip(before, gstate, strict=True))
        # in a step that does not count, a state that is not finite makes NaN of 0
        ga, gu = np.where(counts, ga, 0), np.where(counts, gu, 0)
        gweights = {
            "weight_ih": _of_weight(ga, x),
            "weight_hh": _of_weight(gu, entered),
            "bias_ih": _rows(ga).sum(0),
            "bias_hh": _rows(gu).sum(0),
        }
        if w_hr is not None:
            gweights["weight_hr"] = _of_weight(gh, unprojected)
        gx = (_rows(ga) @ w_ih).reshape(x.shape)
        return gx, gstate, {name: gweights[name] for name in weights}

    return _Run(y, state, vjp)


def _stacked(
    cell: _Cell,
    x: Array,
    start: State,
    groups: Sequence[Mapping[str, Array]],
    counts: Array,
    factors: Array | None,
    directions: int,
) -> tuple[Array, State, Callable[[Array, State], tuple[Array, State, list[dict[str, Array]]]]]:
    """Layers, each on what the one before has computed; both directions of a layer stand side by side."""
    layers = [range(first, first + directions) for first in range(0, len(groups), directions)]
    runs: list[_Run] = []

    def dropped(a: Array, layer: int) -> Array:
        # y′ = factor: what a layer is given and its cotangent are multiplied by the same
        return a if factors is None or layer == 0 else a * factors[layer - 1]

    y = x
    for layer, places in enumerate(layers):
        y = dropped(y, layer)
        runs += [
            _over_time(cell, y, tuple(s[place] for s in start), groups[place], counts, reverse=place != places[0])
            for place in places
        ]
        y = np.concatenate([runs[place].y for place in places], axis=-1)

    def vjp(gy: Array, gend: State) -> tuple[Array, State, list[dict[str, Array]]]:
        # last layer first; what a layer has computed goes into both directions of the next one
        found: dict[int, tuple[Array, State, dict[str, Array]]] = {}
        for layer, places in reversed([*enumerate(layers)]):
            for place, part in zip(places, np.split(gy, directions, axis=-1), strict=True):
                found[place] = runs[place].vjp(part, tuple(g[place] for g in gend))
            gy = dropped(np.asarray(sum(found[place][0] for place in places)), layer)
        gstart = tuple(np.stack(of_all) for of_all in zip(*(found[place][1] for place in sorted(found)), strict=True))
        return gy, gstart, [found[place][2] for place in sorted(found)]

    return y, tuple(np.stack(of_all) for of_all in zip(*(run.state for run in runs), strict=True)), vjp


def _grouped(
    op: str, cell: _Cell, n_in: int, weights: tuple[Array, ...], layers: int, directions: int
) -> list[dict[str, Array]]:
    """The weights by name, a group for each direction of each layer."""
    kinds = [_parts(bias, projected) for projected in (False, True)[: len(cell.states)] for bias in (False, True)]
    parts = next((parts for parts in kinds if len(parts) * layers * directions == len(weights)), None)
    if parts is None:
        counts = " or ".join(str(count) for count in sorted(len(parts) * layers * directions for parts in kinds))
        expected = f"{counts} arrays for num_layers {layers} and bidirectional {directions == 2}"
        raise ValueError(f"{op}: weights must be {expected}; got {len(weights)}")
    first = dict(zip(parts, weights, strict=False))
    *_, n_out = (0, *first["weight_hh"].shape)
    *_, hidden = (0, *first.get("weight_hr", first["weight_hh"]).shape)
    if "weight_hr" in first and not 0 < n_out < hidden:
        shape = first["weight_hr"].shape
        raise ValueError(f"{op}: weight_hr_l0 must have shape (proj, hidden), 0 < proj < hidden; got {shape}")
    due = _weight_shapes(cell.gates, (n_in, hidden, n_out), parts, layers, directions)
    _check_shapes(op, dict(zip(due, weights, strict=True)), due)
    starts = range(0, len(weights), len(parts))
    return [dict(zip(parts, weights[start : start + len(parts)], strict=True)) for start in starts]


def _counting(op: str, lengths: Array | None, steps: int, samples: int, *, batched: bool) -> Array:
    """Which steps of which samples count, [t, n, 1]."""
    if lengths is None:
        return np.ones((steps, samples, 1), bool)
    if not batched:
        raise ValueError(f"{op}: lengths must be None for an x without a batch; got shape {lengths.shape}")
    if lengths.shape != (samples,):
        raise ValueError(f"{op}: lengths must have shape ({samples},) to fit x; got {lengths.shape}")
    outside = (lengths < 1) | (lengths > steps)
    if outside.any():
        raise ValueError(f"{op}: lengths must lie in [1, {steps}]; got {lengths[outside][0]}")
    return np.less(np.arange(steps)[:, None, None], lengths[:, None])


def _recurrent(
    op: str,
    cell: _Cell,
    x: Array,
    initial: tuple[Array | None, ...],
    lengths: Array | None,
    mask: Array | None,
    weights: tuple[Array, ...],
    *,
    num_layers: object,
    batch_first: object,
    dropout: object,
    bidirectional: object,
    training: object,
    rng: object,
) -> tuple[tuple[Array, ...], Vjp]:
    """The door to ``_stacked``, from the shapes that the caller has and back."""
    layers = hyperparameters.integer(op, "num_layers", num_layers, least=1)
    batch_first = hyperparameters.flag(op, "batch_first", batch_first)
    p = hyperparameters.real(op, "dropout", dropout, least=0, most=1)
    directions = 2 if hyperparameters.flag(op, "bidirectional", bidirectional) else 1
    training = hyperparameters.flag(op, "training", training)
    batched = x.ndim == 3

    def with_batch(a: Array) -> Array:
        return a if batched else a[..., None, :]

    def without(a: Array) -> Array:
        return a if batched else a[..., 0, :]

    def turned(a: Array) -> Array:
        # [..., n, t, i] <-> [..., t, n, i]
        return a.swapaxes(-3, -2) if batched and batch_first else a

    if x.ndim not in (2, 3) or len(turned(x)) == 0:
        raise ValueError(f"{op}: x must have shape (T, N, input), (N, T, input) or (T, input), T > 0; got {x.shape}")
    steps, samples, n_in = turned(with_batch(x)).shape
    groups = _grouped(op, cell, n_in, weights, layers, directions)
    rows, n_out = groups[0]["weight_hh"].shape
    of_batch = (len(groups), samples) if batched else (len(groups),)
    due = {"h_0": (*of_batch, n_out), "c_0": (*of_batch, rows // cell.gates)}
    given = {f"{name}_0": state for name, state in zip(cell.states, initial, strict=True)}
    if len({state is None for state in initial}) > 1:
        raise ValueError(f"{op}: {' and '.join(given)} must be given both or neither; got one")
    _check_shapes(op, given, due)
    counts = _counting(op, lengths, steps, samples, batched=batched)
    mask_shape = (layers - 1, *x.shape[:-1], directions * n_out)
    training = training and (p > 0 or mask is not None)
    kept = given_or_drawn(op, "mask", mask, mask_shape, f"x {x.shape}", p, training, rng)

    y, end, back = _stacked(
        cell,
        np.where(counts, turned(with_batch(x)), 0),
        tuple(with_batch(np.zeros(due[name], x.dtype) if s is None else s) for name, s in given.items()),
        groups,
        counts,
        None if kept is None else turned(with_batch(factor_of(kept, p, x.dtype.type))),
        directions,
    )

    def vjp(gy: Array, *gend: Array) -> tuple[Array | None, ...]:
        gx, gstart, gweights = back(turned(with_batch(gy)), tuple(map(with_batch, gend)))
        states = (None if s is None else without(g) for s, g in zip(initial, gstart, strict=True))
        return without(turned(gx)), *states, None, None, *(g for group in gweights for g in group.values())

    return (without(turned(y)), *map(without, end)), vjp


@differentiable(integer=("lengths",), boolean=("mask",), wide=WIDE, outputs=2)
def rnn(
    x: Array,
    h_0: Array | None = None,
    lengths: Array | None = None,
    mask: Array | None = None,
    *weights: Array,
    num_layers: int = 1,
    nonlinearity: str = "tanh",
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[tuple[Array, ...], Vjp]:
    """Elman network: ``rnn_cell`` step by step, in layers: h[t] = tanh(W_ih·x[t] + b_ih + W_hh·h[t−1] + b_hh).

    A layer above the first takes y of the one below for x. A second direction, from the last step to the first,
    has weights and states of its own; y of a layer holds both, the reverse one behind.

    Shapes: x (T, N, input), with batch_first (N, T, input), or, of one sample, (T, input); y the same with
    D·hidden in place of input, D the number of directions. h_0 and h_n (num_layers·D, N, hidden), without N for one
    sample: the states before the first step (None: zeros) and after the last one, layer by layer, forward before
    reverse. T is at least 1, anything else may be empty.
    weights: PyTorch's list, for each layer and direction weight_ih (hidden, input or D·hidden), weight_hh (hidden,
    hidden) and, in all of them or in none, bias_ih and bias_hh (hidden,).
    lengths (N,): how many steps of each sample count, in [1, T]; None for all. What x holds after them is not
    read, y is 0 there, h_n is the state after the last step that counts; the reverse direction begins with it.
    mask (num_layers − 1, *shape of y): what dropout keeps of y of each layer but the last; drawn from rng where
    None.
    Dtypes: those of ``differentiable``; x, h_0 and weights share one, lengths any integer dtype, mask bool.

    num_layers: at least 1. nonlinearity: "tanh" or "relu". batch_first: whether N stands before T. dropout: the
    probability that an element of y is dropped between two layers, in [0, 1]; what is kept is divided by
    1 − dropout. bidirectional: whether D is 2. training: whether anything is dropped. rng: what draws the mask, a
    fresh generator where None.

    Returns ``(y, h_n), vjp``; ``vjp(gy, gh_n)`` is ``(gx, gh_0, None, None, *gweights)``.
    Raises ValueError for shapes, lengths, a number of weights or hyper-parameters that do not fit, a mask beside an
    rng or where training is False; TypeError for wrong types.
    Source: Elman, "Finding structure in time", 1990; Schuster and Paliwal, "Bidirectional recurrent neural
    networks", 1997; PyTorch ``torch.nn.RNN``, which has lengths as a ``PackedSequence`` (and then takes states of
    more samples, too) and no mask. JAX has none.

    >>> x, w = np.array([[1.0], [2.0], [-4.0]]), np.ones((1, 1))
    >>> (y, h_n), vjp = rnn(x, None, None, None, w, w, nonlinearity="relu")
    >>> y.ravel(), h_n.ravel()
    (array([1., 3., 0.]), array([0.]))
    >>> gx, gh_0, _, _, gw_ih, gw_hh = vjp(np.array([[1.0], [10.0], [100.0]]), np.zeros((1, 1)))
    >>> gx.ravel(), gw_ih, gw_hh
    (array([11., 10.,  0.]), array([[31.]]), array([[10.]]))
    """
    return _recurrent(
        "rnn",
        _elman("rnn", nonlinearity),
        x,
        (h_0,),
        lengths,
        mask,
        weights,
        num_layers=num_layers,
        batch_first=batch_first,
        dropout=dropout,
        bidirectional=bidirectional,
        training=training,
        rng=rng,
    )


@differentiable(integer=("lengths",), boolean=("mask",), wide=WIDE, outputs=3)
def lstm(
    x: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Array | None = None,
    mask: Array | None = None,
    *weights: Array,
    num_layers: int = 1,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[tuple[Array, ...], Vjp]:
    """Long short-term memory: ``lstm_cell`` step by step, in layers, h projected where there is a weight_hr.

    Shapes: as for ``rnn``, with c_0 and c_n (num_layers·D, N, hidden), given with h_0 or not at all; weight_ih and
    weight_hh have 4·hidden rows, and so have the biases. With weight_hr (proj, hidden), 0 < proj < hidden, at the
    end of the list of each layer and direction, h = W_hr·o·tanh(c): then h, and what takes it up, has proj elements
    in place of hidden.
    Everything else is as for ``rnn``.

    Returns ``(y, h_n, c_n), vjp``; ``vjp(gy, gh_n, gc_n)`` is ``(gx, gh_0, gc_0, None, None, *gweights)``.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; Sak, Senior and Beaufays, "Long short-term
    memory recurrent neural network architectures for large scale acoustic modeling", 2014, for the projection;
    PyTorch ``torch.nn.LSTM``, with the differences of ``rnn``. JAX has it without projection in
    ``jax.experimental.rnn``.

    >>> w = np.zeros((4, 1))
    >>> (y, h_n, c_n), vjp = lstm(np.zeros((2, 1)), np.zeros((1, 1)), np.full((1, 1), 8.0), None, None, w, w)
    >>> c_n, h_n == y[-1:]
    (array([[2.]]), array([[ True]]))
    """
    return _recurrent(
        "lstm",
        LSTM_CELL,
        x,
        (h_0, c_0),
        lengths,
        mask,
        weights,
        num_layers=num_layers,
        batch_first=batch_first,
        dropout=dropout,
        bidirectional=bidirectional,
        training=training,
        rng=rng,
    )


@differentiable(integer=("lengths",), boolean=("mask",), wide=WIDE, outputs=2)
def gru(
    x: Array,
    h_0: Array | None = None,
    lengths: Array | None = None,
    mask: Array | None = None,
    *weights: Array,
    num_layers: int = 1,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[tuple[Array, ...], Vjp]:
    """Gated recurrent units: ``gru_cell`` step by step, in layers.

    Shapes: as for ``rnn``; weight_ih and weight_hh have 3·hidden rows, and so have the biases.
    Everything else is as for ``rnn``.

    Returns ``(y, h_n), vjp``; ``vjp(gy, gh_n)`` is ``(gx, gh_0, None, None, *gweights)``.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014; PyTorch ``torch.nn.GRU``, with the differences of ``rnn``. JAX has none.

    >>> w = np.zeros((3, 1))
    >>> gru(np.zeros((3, 1)), np.full((1, 1), 8.0), None, None, w, w)[0][0].ravel()
    array([4., 2., 1.])
    """
    return _recurrent(
        "gru",
        GRU_CELL,
        x,
        (h_0,),
        lengths,
        mask,
        weights,
        num_layers=num_layers,
        batch_first=batch_first,
        dropout=dropout,
        bidirectional=bidirectional,
        training=training,
        rng=rng,
    )


# --- shells -------------------------------------------------------------------------------------------------


def _uniform(
    name: str, shapes: Mapping[str, Shape], hidden: int, rng: np.random.Generator, dtype: npt.DTypeLike
) -> dict[str, Parameter]:
    """Parameters drawn from U(−1/√hidden, 1/√hidden), in order, as PyTorch does."""
    check_dtype(name, dtype)
    bound = 1 / math.sqrt(hidden) if hidden else 0.0
    return {n: Parameter(rng.uniform(-bound, bound, shape).astype(dtype)) for n, shape in shapes.items()}


def _check_count(name: str, inputs: tuple[Array, ...], states: Sequence[str]) -> None:
    if len(inputs) not in (1, 1 + len(states)):
        raise TypeError(f"{name}: expected x, or x, {', '.join(states)}; got {len(inputs)} arrays")


class _CellShell(Shell):
    """A cell that owns its weights."""

    cell: _Cell
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        rng: np.random.Generator | None,
        dtype: npt.DTypeLike,
        **hyper: object,
    ) -> None:
        super().__init__(**hyper)
        name = type(self).__name__
        n_in = hyperparameters.integer(name, "input_size", input_size, least=0)
        self.hidden_size = hyperparameters.integer(name, "hidden_size", hidden_size, least=0)
        parts = _parts(hyperparameters.flag(name, "bias", bias), projected=False)
        rows = self.cell.gates * self.hidden_size
        shapes: dict[str, Shape] = {"weight_ih": (rows, n_in), "weight_hh": (rows, self.hidden_size)}
        shapes |= dict.fromkeys(parts[2:], (rows,))
        self.bias_ih = self.bias_hh = None
        vars(self).update(_uniform(name, shapes, self.hidden_size, generator(name, rng), dtype))

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weights and the biases."""
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def forward(self, *inputs: Array) -> tuple[Any, ModuleVjp]:
        """The cell on x and its state, which is zeros where x comes alone."""
        _check_count(type(self).__name__, inputs, self.cell.states)
        x, *state = inputs
        zeros = np.zeros((*np.shape(x)[:-1], self.hidden_size), np.asarray(x).dtype)
        y, vjp = super().forward(x, *(state or [zeros] * len(self.cell.states)))
        return y, vjp if state else lambda *gy: vjp(*gy)[0]


class RNNCell(_CellShell):
    """``rnn_cell`` that owns weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size) and biases.

    Called on x, or on x and h. rng: the ``numpy.random.Generator`` that draws the parameters, a fresh one where
    None. dtype: theirs.

    >>> cell = RNNCell(3, 2, rng=np.random.default_rng(0))
    >>> h, vjp = cell(np.ones((4, 3), np.float32))
    >>> h.shape, vjp(np.ones_like(h)).shape
    ((4, 2), (4, 3))
    """

    operation = staticmethod(rnn_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.cell = _elman("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, rng, dtype, nonlinearity=nonlinearity)


class LSTMCell(_CellShell):
    """``lstm_cell`` that owns its weights and biases, of 4·hidden_size rows; called on x, or on x, h and c."""

    operation = staticmethod(lstm_cell)
    cell = LSTM_CELL

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, rng, dtype)


class GRUCell(_CellShell):
    """``gru_cell`` that owns its weights and biases, of 3·hidden_size rows; called on x, or on x and h."""

    operation = staticmethod(gru_cell)
    cell = GRU_CELL

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, rng, dtype)


class _LayersShell(Shell):
    """Layers over time that own their weights, named as in PyTorch."""

    cell: _Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        rng: np.random.Generator | None,
        dtype: npt.DTypeLike,
        proj_size: int = 0,
        **hyper: object,
    ) -> None:
        name = type(self).__name__
        n_in = hyperparameters.integer(name, "input_size", input_size, least=1)
        hidden = hyperparameters.integer(name, "hidden_size", hidden_size, least=1)
        layers = hyperparameters.integer(name, "num_layers", num_layers, least=1)
        bias = hyperparameters.flag(name, "bias", bias)
        directions = 2 if hyperparameters.flag(name, "bidirectional", bidirectional) else 1
        n_out = hyperparameters.integer(name, "proj_size", proj_size, least=0) or hidden
        if proj_size and n_out >= hidden:
            raise ValueError(f"{name}: proj_size must be smaller than hidden_size, {hidden}; got {proj_size}")
        p = hyperparameters.real(name, "dropout", dropout, least=0, most=1)
        if p > 0 and layers == 1:
            warnings.warn(f"{name}: dropout drops between layers, and num_layers is 1; got {dropout}", stacklevel=3)
        super().__init__(
            num_layers=layers,
            batch_first=hyperparameters.flag(name, "batch_first", batch_first),
            dropout=p,
            bidirectional=directions == 2,
            **hyper,
        )
        parts = _parts(bias, projected=n_out != hidden)
        shapes = _weight_shapes(self.cell.gates, (n_in, hidden, n_out), parts, layers, directions)
        self.names = tuple(shapes)
        self.rng = generator(name, rng)
        vars(self).update(_uniform(name, shapes, hidden, self.rng, dtype))

    def settings(self) -> dict[str, object]:
        """The hyper-parameters in the module's mode: every call while training draws anew."""
        return {**self.hyperparameters, "training": self.training, "rng": self.rng}

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weights, in PyTorch's order."""
        return tuple(vars(self)[name] for name in self.names)

    def forward(self, *inputs: Array, lengths: Array | None = None) -> tuple[Any, ModuleVjp]:
        """The layers on x, or on x and its initial states, of which ``lengths`` steps count."""
        states = [f"{state}_0" for state in self.cell.states]
        _check_count(type(self).__name__, inputs, states)
        x, *initial = inputs
        y, vjp = super().forward(x, *(initial or [None] * len(states)), lengths, None)  # type: ignore[arg-type, list-item]

        def back(*cotangents: Array) -> Any:
            gradients = vjp(*cotangents)
            return gradients[: len(inputs)] if initial else gradients[0]

        return y, back


class RNN(_LayersShell):
    """``rnn`` that owns its weights: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, …

    Called on x, or on x and h_0, and with lengths by name where there are any. dropout, between the layers, is drawn
    while training; of one layer there is nothing to drop, of which PyTorch warns, too. rng: the
    ``numpy.random.Generator`` that draws the parameters and then the masks, a fresh one where None. dtype: that of
    the parameters.

    >>> layer = RNN(3, 2, num_layers=2, rng=np.random.default_rng(0))
    >>> (y, h_n), vjp = layer(np.ones((5, 4, 3), np.float32))
    >>> y.shape, h_n.shape, vjp(np.ones_like(y), np.zeros_like(h_n)).shape, layer.weight_ih_l1.grad.shape
    ((5, 4, 2), (2, 4, 2), (5, 4, 3), (2, 2))
    """

    operation = staticmethod(rnn)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.cell = _elman("RNN", nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            rng,
            dtype,
            nonlinearity=nonlinearity,
        )


class LSTM(_LayersShell):
    """``lstm`` that owns its weights, with weight_hr_l0, … where proj_size is not 0; called on x, or x, h_0 and c_0.

    Everything else is as for ``RNN``. PyTorch takes and returns the states as a tuple.
    """

    operation = staticmethod(lstm)
    cell = LSTM_CELL

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, dtype, proj_size
        )


class GRU(_LayersShell):
    """``gru`` that owns its weights. Everything is as for ``RNN``."""

    operation = staticmethod(gru)
    cell = GRU_CELL

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, dtype)
