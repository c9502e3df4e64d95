"""Recurrent networks: the cells of RNN, LSTM and GRU, and layers of them over time: definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.draw import axis_length, batch_size
from oracles.dropout import factor
from oracles.formula import Traced, formula, sigmoid, straight_through, value
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes

NONLINEARITY = {"nonlinearity": st.sampled_from(("tanh", "relu"))}

# --- drawing ------------------------------------------------------------------------------------------------


def draw_cell(
    draw: st.DrawFn, gates: int, states: tuple[str, ...], hyper: Mapping[str, st.SearchStrategy[Any]]
) -> tuple[Shapes, Hyper]:
    """A batch or one sample, with both biases, one or none."""
    n_in, hidden = draw(axis_length(1, 2, 3, 5, 17)), draw(axis_length(1, 2, 3, 5, 8))
    batch = (batch_size(draw),) if draw(st.booleans()) else ()
    shapes: Shapes = {"x": (*batch, n_in), **dict.fromkeys(states, (*batch, hidden))}
    rows = gates * hidden
    shapes |= {"weight_ih": (rows, n_in), "weight_hh": (rows, hidden)}
    biases = draw(st.sampled_from((("bias_ih", "bias_hh"), (), ("bias_ih",), ("bias_hh",))))
    return shapes | dict.fromkeys(biases, (rows,)), {name: draw(strategy) for name, strategy in hyper.items()}


def longer(draw: st.DrawFn, shapes: Shapes, name: str) -> tuple[str, Shapes]:
    """One array with an axis that is longer than the others want."""
    shape = list(shapes[name])
    shape[draw(st.integers(0, len(shape) - 1))] += 1
    return name, {**shapes, name: tuple(shape)}


def spoil_nonlinearity(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another nonlinearity."""
    return "nonlinearity", shapes, {**hyper, "nonlinearity": draw(st.sampled_from(("sigmoid", "ReLU", 1)))}


def spoil_cell(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """An array that does not fit, another nonlinearity."""
    if "nonlinearity" in hyper and draw(st.booleans()):
        return spoil_nonlinearity(draw, shapes, hyper)
    return *longer(draw, shapes, draw(st.sampled_from(tuple(shapes)))), hyper


#: Layers and directions: all that can differ from one to the next is there.
DEPTHS = ((1, 1), (2, 1), (1, 2), (2, 2), (3, 1))
DIRECTIONS = ("l0", "l0_reverse", "l1", "l1_reverse", "l2")
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def draw_layers(
    draw: st.DrawFn, gates: int, states: tuple[str, ...], hyper: Mapping[str, st.SearchStrategy[Any]]
) -> tuple[Shapes, Hyper]:
    """A batch, some with lengths, or one sample; with and without initial states, biases, dropout, projection."""
    steps, n_in, hidden = (draw(st.sampled_from(sizes)) for sizes in ((1, 2, 3, 5, 9), (1, 2, 3, 8), (1, 2, 3, 5)))
    layers, directions = draw(st.sampled_from(DEPTHS))
    n_out = draw(st.integers(1, hidden - 1)) if len(states) > 1 and hidden > 1 and draw(st.booleans()) else hidden
    batch_first = draw(st.booleans())
    batch = (batch_size(draw),) if draw(st.sampled_from((True, True, False))) else ()
    before = (*batch, steps) if batch_first else (steps, *batch)
    shapes: Shapes = {"x": (*before, n_in)}
    if draw(st.booleans()):
        sizes = dict(zip(states, (n_out, hidden), strict=False))
        shapes |= {name: (layers * directions, *batch, size) for name, size in sizes.items()}
    if batch and batch[0] and draw(st.booleans()):
        shapes["lengths"] = batch
    more = {name: draw(strategy) for name, strategy in hyper.items()}
    # with relu what is kept is scaled without rounding: sums of integers that are 0 stay so
    scaled = 0.75 if more.get("nonlinearity") == "relu" else 0.3
    drops: Hyper = {"dropout": draw(st.sampled_from((0.0, 0.5, scaled, 1.0))), "training": draw(st.booleans())}
    if layers > 1 and drops["training"] and (drops["dropout"] not in (0, 1) or draw(st.booleans())):
        shapes["mask"] = (layers - 1, *before, directions * n_out)
    bias = draw(st.booleans())
    rows = gates * hidden
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            place = f"l{layer}{suffix}"
            shapes[f"weight_ih_{place}"] = (rows, directions * n_out if layer else n_in)
            shapes[f"weight_hh_{place}"] = (rows, n_out)
            if bias:
                shapes[f"bias_ih_{place}"] = shapes[f"bias_hh_{place}"] = (rows,)
            if n_out != hidden:
                shapes[f"weight_hr_{place}"] = (n_out, hidden)
    depth = {"num_layers": layers, "bidirectional": directions == 2, "batch_first": batch_first}
    return shapes, {**depth, **drops, **more}


def spoil_layers(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """No steps, lengths that are none, arrays that do not fit or are too few, no probability, no such nonlinearity."""
    given = [name for name in ("h_0", "c_0", "lengths") if name in shapes]
    several = ["nonlinearity"] if "nonlinearity" in hyper else []
    what = draw(st.sampled_from(("x", "num_layers", "dropout", "weights", *several, *given)))
    if what == "nonlinearity":
        return spoil_nonlinearity(draw, shapes, hyper)
    if what == "x":
        shape = list(shapes["x"])
        shape[1 if hyper["batch_first"] and len(shape) == 3 else 0] = 0
        return what, {k: v for k, v in shapes.items() if k not in ("lengths", "mask")} | {"x": tuple(shape)}, hyper
    if what == "num_layers":
        return what, shapes, {**hyper, what: draw(st.sampled_from((0, hyper[what] + 1)))}
    if what == "dropout":
        # with a mask, PyTorch is asked layer by layer and never told
        shapes = {name: shape for name, shape in shapes.items() if name != "mask"}
        return what, shapes, {**hyper, what: draw(st.sampled_from((1.5, -0.1, "half")))}
    if what == "weights":
        return *longer(draw, shapes, draw(st.sampled_from([name for name in shapes if "_l" in name]))), hyper
    if what == "lengths" and draw(st.booleans()):
        return what, shapes, hyper  # see `made_lengths`
    if what == "c_0" and draw(st.booleans()):
        return what, {k: v for k, v in shapes.items() if k != "c_0"}, hyper
    if what in ("h_0", "c_0"):
        # with lengths PyTorch does not check the states: it leaves out those that are too many, or crashes
        shapes = {name: shape for name, shape in shapes.items() if name != "lengths"}
    return *longer(draw, shapes, what), hyper


def made_lengths(rng: np.random.Generator, configuration: Configuration) -> Array:
    """At least one step; where they are to be invalid, one sample has none, or more than there are."""
    shape = configuration.shapes["x"]
    steps = shape[1 if configuration.hyper.get("batch_first") else 0]
    lengths = rng.integers(1, steps + 1, configuration.shapes["lengths"])
    if configuration.invalid == "lengths":
        lengths[0] = rng.choice((0, steps + 1))
    return np.asarray(lengths)


def made_mask(rng: np.random.Generator, configuration: Configuration) -> Array:
    """What is kept with probability 1 − p, or half of it where that would be all or nothing."""
    p = configuration.hyper.get("dropout", 0.0)
    p = p if isinstance(p, float) and 0 < p < 1 else 0.5
    return np.asarray(rng.random(configuration.shapes["mask"]) >= p)


# --- equations ----------------------------------------------------------------------------------------------


def product(w: Any, x: Any, b: Any) -> Any:
    """W·x + b for each of several x."""
    y = x @ w.T
    return y if b is None else y + b


def gates_of(count: int, z: Any) -> list[Any]:
    """The rows of each gate."""
    size = z.shape[-1] // count
    return [z[..., k * size : (k + 1) * size] for k in range(count)]


def relu(z: Any) -> Any:
    """max(0, z), which is as inexact as z also left of 0; of a z so small that it may underflow the slope may be 0."""
    least = np.finfo(np.float32 if z.dtype == np.float64 else np.float64).tiny
    small = (z.value != 0) & (np.abs(z.value) < least)
    slope = Traced((z.value > 0).astype(z.dtype), np.where(small, np.inf, 0))
    return straight_through(Traced(np.maximum(z.value, 0), z.bound), z, slope)


def elman_step(x: Any, state: Any, w: Mapping[str, Any], *, nonlinearity: str = "tanh") -> Any:
    """h′ = tanh or max(0, ·) of W_ih·x + b_ih + W_hh·h + b_hh."""
    z = product(w["weight_ih"], x, w.get("bias_ih")) + product(w["weight_hh"], state[0], w.get("bias_hh"))
    return (np.tanh(z) if nonlinearity == "tanh" else relu(z),)


def lstm_step(x: Any, state: Any, w: Mapping[str, Any]) -> Any:
    """c′ = σ(f)·c + σ(i)·tanh(g), h′ = W_hr·σ(o)·tanh(c′)."""
    z = product(w["weight_ih"], x, w.get("bias_ih")) + product(w["weight_hh"], state[0], w.get("bias_hh"))
    i, f, g, o = gates_of(4, z)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (product(w["weight_hr"], h, None) if "weight_hr" in w else h), c


def rest(x: Any) -> Any:
    """1 − σ(x), as inexact as that difference; but two of them that cancel to nothing would leave no scale."""
    difference = 1 - sigmoid(x)
    return straight_through(Traced(value(sigmoid(-x)), difference.bound), difference)


def gru_step(x: Any, state: Any, w: Mapping[str, Any]) -> Any:
    """h′ = (1 − z)·n + z·h, n = tanh(a_n + r·u_n), r = σ(a_r + u_r), z = σ(a_z + u_z)."""
    a = gates_of(3, product(w["weight_ih"], x, w.get("bias_ih")))
    u = gates_of(3, product(w["weight_hh"], state[0], w.get("bias_hh")))
    r, z = sigmoid(a[0] + u[0]), a[1] + u[1]
    n = np.tanh(a[2] + r * u[2])
    return (rest(z) * n + sigmoid(z) * state[0],)


def cell_formula(step: Callable[..., Any], x: Any, state: tuple[Any, ...], weights: tuple[Any, ...]) -> Any:
    """One step, on a batch of one where there is none."""
    w = {name: weight for name, weight in zip(PARTS, weights, strict=False) if weight is not None}
    if x.ndim == 2:
        return step(x, state, w)
    return tuple(y[0] for y in step(x.reshape(1, -1), tuple(s.reshape(1, -1) for s in state), w))


@formula
def rnn_cell_formula(x: Any, h: Any, *weights: Any, nonlinearity: str = "tanh") -> Any:
    """See `elman_step`."""
    return cell_formula(partial(elman_step, nonlinearity=nonlinearity), x, (h,), weights)[0]


@formula
def lstm_cell_formula(x: Any, h: Any, c: Any, *weights: Any) -> Any:
    """See `lstm_step`."""
    return cell_formula(lstm_step, x, (h, c), weights)


@formula
def gru_cell_formula(x: Any, h: Any, *weights: Any) -> Any:
    """See `gru_step`."""
    return cell_formula(gru_step, x, (h,), weights)[0]


def direction_formula(step: Callable[..., Any], x: Any, state: Any, w: Mapping[str, Any], *, reverse: bool) -> Any:
    """From each step of x [t, n, i] to the next, or from the last one back: y [t, n, o] and the last state."""
    found = {}
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        state = step(x[t], state, w)
        found[t] = state[0]
    return np.stack([found[t] for t in range(len(x))]), state


def stack_formula(
    step: Callable[..., Any], y: Any, initial: Any, groups: list[dict[str, Any]], directions: int, dropped: Any
) -> Any:
    """Layer by layer, y [t, n, ·]; `dropped` is what becomes of y between a layer and the next."""
    last = []
    for layer in range(len(groups) // directions):
        y = dropped(y, layer - 1) if layer else y
        found = []
        for direction in range(directions):
            place = layer * directions + direction
            state = tuple(s[place] for s in initial)
            along, state = direction_formula(step, y, state, groups[place], reverse=direction == 1)
            found.append(along)
            last.append(state)
        y = np.concatenate(found, axis=-1)
    return y, *(np.stack(states) for states in zip(*last, strict=True))


def layers_formula(
    step: Callable[..., Any],
    x: Any,
    initial: tuple[Any, ...],
    lengths: Any,
    mask: Any,
    weights: tuple[Any, ...],
    *,
    num_layers: int = 1,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    training: bool = True,
) -> Any:
    """Every sequence by itself, as long as it is; where lengths are not given, all at once."""
    directions = 2 if bidirectional else 1
    each = len(weights) // (num_layers * directions)
    parts = {2: PARTS[:2], 3: (*PARTS[:2], PARTS[4]), 4: PARTS[:4], 5: PARTS}[each]
    groups = [dict(zip(parts, weights[k : k + each], strict=True)) for k in range(0, len(weights), each)]
    n_out = groups[0]["weight_hh"].shape[1]
    hidden = groups[0].get("weight_hr", groups[0]["weight_hh"]).shape[1]

    # [..., t, n, i], and back
    batched, turned = x.ndim == 3, x.ndim == 3 and batch_first
    x, mask = (
        a if a is None else np.swapaxes(a, -3, -2) if turned else a if batched else np.expand_dims(a, -2)
        for a in (x, mask)
    )
    steps, samples, _ = x.shape
    if initial[0] is None:
        initial = tuple(np.zeros((len(groups), samples, size), x.dtype) for size in (n_out, hidden)[: len(initial)])
    elif not batched:
        initial = tuple(np.expand_dims(s, -2) for s in initial)

    found = []
    pieces = [(slice(None), steps)] if lengths is None else [(slice(n, n + 1), k) for n, k in enumerate(lengths)]
    for rows, length in pieces:

        def dropped(y: Any, layer: int, rows: Any = rows, length: int = length) -> Any:
            if not training:
                return y
            y = y * factor(y, None if mask is None else mask[layer, :length, rows], dropout)
            return y if dropout == 1 else y / (1 - x.dtype.type(dropout))

        y, *last = stack_formula(step, x[:length, rows], [s[:, rows] for s in initial], groups, directions, dropped)
        rest = np.zeros((steps - length, *y.shape[1:]), x.dtype)
        found.append((np.concatenate([y, rest]), *last))
    y, *last = (np.concatenate(of_all, axis=1) for of_all in zip(*found, strict=True))
    y = np.swapaxes(y, 0, 1) if turned else y
    return (y, *last) if batched else tuple(a[..., 0, :] for a in (y, *last))


@formula
def rnn_formula(
    x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, nonlinearity: str = "tanh", **hyper: Any
) -> Any:
    """See `elman_step`."""
    return layers_formula(partial(elman_step, nonlinearity=nonlinearity), x, (h_0,), lengths, mask, weights, **hyper)


@formula
def lstm_formula(x: Any, h_0: Any, c_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    """See `lstm_step`."""
    return layers_formula(lstm_step, x, (h_0, c_0), lengths, mask, weights, **hyper)


@formula
def gru_formula(x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    """See `gru_step`."""
    return layers_formula(gru_step, x, (h_0,), lengths, mask, weights, **hyper)


# --- PyTorch ------------------------------------------------------------------------------------------------


def cell_torch(cell: Any, x: Any, state: tuple[Any, ...], weights: tuple[Any, ...]) -> tuple[Any, ...]:
    # the functions take a batch, and LSTM's a pair of states
    alone = x.ndim == 1
    if alone:
        x, state = x[None], tuple(s[None] for s in state)
    y = cell(x, state if len(state) > 1 else state[0], *weights)
    after = y if len(state) > 1 else (y,)
    return tuple(s[0] for s in after) if alone else after


def rnn_cell_torch(F: Any, x: Any, h: Any, *weights: Any, nonlinearity: str = "tanh") -> Any:
    cells = {"tanh": F.torch.rnn_tanh_cell, "relu": F.torch.rnn_relu_cell}
    return cell_torch(cells[nonlinearity], x, (h,), weights)[0]


def lstm_cell_torch(F: Any, x: Any, h: Any, c: Any, *weights: Any) -> Any:
    return cell_torch(F.torch.lstm_cell, x, (h, c), weights)


def gru_cell_torch(F: Any, x: Any, h: Any, *weights: Any) -> Any:
    return cell_torch(F.torch.gru_cell, x, (h,), weights)[0]


def module_torch(
    torch: Any, kind: str, x: Any, state: tuple[Any, ...], lengths: Any, weights: tuple[Any, ...], hyper: dict[str, Any]
) -> tuple[Any, ...]:
    """torch.nn's class with these weights, on a packed sequence where there are lengths."""
    places = hyper["num_layers"] * (2 if hyper["bidirectional"] else 1)
    each = len(weights) // places if places else 0
    if each in (3, 5):
        hyper = {**hyper, "proj_size": weights[1].shape[1]}
    hidden = weights[each - 1 if "proj_size" in hyper else 1].shape[1]
    training = hyper.pop("training")
    module = getattr(torch.nn, kind)(x.shape[-1], hidden, bias=each > 3, device="meta", **hyper).train(training)
    parameters = dict(zip((name for name, _ in module.named_parameters()), weights, strict=True))
    for name, parameter in module.named_parameters():
        if parameter.shape != parameters[name].shape:
            raise ValueError(f"{name} has shape {parameters[name].shape}, not {parameter.shape}")
    hx = None
    if any(s is not None for s in state):
        hx = state if len(state) > 1 else state[0]
    if lengths is None:
        y, end = torch.func.functional_call(module, parameters, (x, hx))
    else:
        rnn = torch.nn.utils.rnn
        first = hyper["batch_first"]
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False)
        y, end = torch.func.functional_call(module, parameters, (packed, hx))
        y, _ = rnn.pad_packed_sequence(y, batch_first=first, total_length=x.shape[1 if first else 0])
    return y, *(end if isinstance(end, tuple) else (end,))


def layers_torch(
    F: Any,
    kind: str,
    x: Any,
    state: tuple[Any, ...],
    lengths: Any,
    mask: Any,
    weights: tuple[Any, ...],
    *,
    num_layers: int = 1,
    dropout: float = 0.0,
    bidirectional: bool = False,
    batch_first: bool = False,
    training: bool = True,
    **more: Any,
) -> tuple[Any, ...]:
    torch = F.torch
    hyper = {"batch_first": batch_first, "bidirectional": bidirectional, "training": training, **more}
    if mask is None:
        return module_torch(
            torch, kind, x, state, lengths, weights, {"num_layers": num_layers, "dropout": dropout, **hyper}
        )
    # PyTorch draws the mask itself; this is what it does with it, layer by layer
    directions = 2 if bidirectional else 1
    each = len(weights) // num_layers
    if any(s is not None and len(s) != num_layers * directions for s in state):
        raise ValueError("the number of states does not fit")
    ends = []
    for layer in range(num_layers):
        own = tuple(None if s is None else s[layer * directions : (layer + 1) * directions] for s in state)
        given = weights[layer * each : (layer + 1) * each]
        x, *end = module_torch(torch, kind, x, own, lengths, given, {"num_layers": 1, **hyper})
        ends.append(end)
        if layer < num_layers - 1:
            x = x * 0 if dropout == 1 else x * (mask[layer].to(x.dtype) / (1 - dropout))
    return x, *(torch.cat(of_all) for of_all in zip(*ends, strict=True))


def rnn_torch(F: Any, x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_torch(F, "RNN", x, (h_0,), lengths, mask, weights, **hyper)


def lstm_torch(F: Any, x: Any, h_0: Any, c_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_torch(F, "LSTM", x, (h_0, c_0), lengths, mask, weights, **hyper)


def gru_torch(F: Any, x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_torch(F, "GRU", x, (h_0,), lengths, mask, weights, **hyper)


# --- JAX ----------------------------------------------------------------------------------------------------


def affine_jax(x: Any, w: Any, b: Any) -> Any:
    return x @ w.T if b is None else x @ w.T + b


def rnn_step_jax(jax: Any, a: Any, u: Any, state: Any, nonlinearity: str = "tanh") -> Any:
    del state
    return ({"tanh": jax.numpy.tanh, "relu": jax.nn.relu}[nonlinearity](a + u),)


def lstm_step_jax(jax: Any, a: Any, u: Any, state: Any) -> Any:
    i, f, g, o = jax.numpy.split(a + u, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
    return jax.nn.sigmoid(o) * jax.numpy.tanh(c), c


def gru_step_jax(jax: Any, a: Any, u: Any, state: Any) -> Any:
    (ar, az, an), (ur, uz, un) = jax.numpy.split(a, 3, axis=-1), jax.numpy.split(u, 3, axis=-1)
    r, z = jax.nn.sigmoid(ar + ur), jax.nn.sigmoid(az + uz)
    return ((1 - z) * jax.numpy.tanh(an + r * un) + z * state[0],)


def wider_jax(jax: Any, a: Any) -> Any:
    # half precision is computed in float32 and rounded once
    return None if a is None else a.astype(jax.numpy.promote_types(a.dtype, jax.numpy.float32))


def cell_jax(jax: Any, step: Any, x: Any, state: Any, weights: Any, **hyper: Any) -> Any:
    dtype = x.dtype
    x, *state = (wider_jax(jax, a) for a in (x, *state))
    w_ih, w_hh, b_ih, b_hh = (wider_jax(jax, w) for w in (*weights, None, None)[:4])
    after = step(jax, affine_jax(x, w_ih, b_ih), affine_jax(state[0], w_hh, b_hh), state, **hyper)
    return tuple(s.astype(dtype) for s in after)


def rnn_cell_jax(jax: Any, x: Any, h: Any, *weights: Any, **hyper: Any) -> Any:
    return cell_jax(jax, rnn_step_jax, x, (h,), weights, **hyper)[0]


def lstm_cell_jax(jax: Any, x: Any, h: Any, c: Any, *weights: Any) -> Any:
    return cell_jax(jax, lstm_step_jax, x, (h, c), weights)


def gru_cell_jax(jax: Any, x: Any, h: Any, *weights: Any) -> Any:
    return cell_jax(jax, gru_step_jax, x, (h,), weights)[0]


def direction_jax(jax: Any, step: Any, x: Any, state: Any, w: Any, counts: Any, reverse: bool, hyper: Any) -> Any:
    jnp = jax.numpy

    def along(state: Any, given: Any) -> Any:
        a, count = given
        after = step(jax, a, affine_jax(state[0], w["weight_hh"], w.get("bias_hh")), state, **hyper)
        if "weight_hr" in w:
            after = (after[0] @ w["weight_hr"].T, *after[1:])
        after = tuple(jnp.where(count, new, old) for new, old in zip(after, state, strict=True))
        return after, jnp.where(count, after[0], 0)

    a = affine_jax(x, w["weight_ih"], w.get("bias_ih"))
    last, y = jax.lax.scan(along, state, (a, counts), reverse=reverse)
    return y, last


def layers_jax(
    jax: Any,
    step: Any,
    x: Any,
    initial: Any,
    lengths: Any,
    mask: Any,
    weights: Any,
    *,
    num_layers: int = 1,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    training: bool = True,
    **hyper: Any,
) -> Any:
    jnp = jax.numpy
    dtype = x.dtype
    directions = 2 if bidirectional else 1
    each = len(weights) // (num_layers * directions)
    if each * num_layers * directions != len(weights) or num_layers < 1:
        raise ValueError("the number of weights does not fit")
    names = ["weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if each > 3 else ()), "weight_hr"][:each]
    x, *initial = (wider_jax(jax, a) for a in (x, *initial))
    weights = [wider_jax(jax, w) for w in weights]
    groups: list[dict[str, Any]] = [
        dict(zip(names, weights[k : k + each], strict=True)) for k in range(0, len(weights), each)
    ]
    sizes = groups[0]["weight_hh"].shape[1], groups[0].get("weight_hr", groups[0]["weight_hh"]).shape[1]
    batched = x.ndim == 3
    turned = batched and batch_first
    y = x.swapaxes(0, 1) if turned else x if batched else x[:, None]
    steps, samples = y.shape[:2]
    if initial[0] is None:
        initial = [jnp.zeros((len(groups), samples, size), x.dtype) for size in sizes[: len(initial)]]
    initial = [s if s.ndim == 3 else s[:, None] for s in initial]
    counts = jnp.full((steps, samples, 1), True)
    if lengths is not None:
        counts = jnp.arange(steps)[:, None, None] < lengths[:, None]
    if mask is not None:
        mask = mask.swapaxes(1, 2) if turned else mask if batched else mask[:, :, None]
    last = []
    for layer in range(num_layers):
        found = []
        for place in range(layer * directions, (layer + 1) * directions):
            state = tuple(s[place] for s in initial)
            reverse = place % directions == 1
            along, state = direction_jax(jax, step, y, state, groups[place], counts, reverse, hyper)
            found.append(along)
            last.append(state)
        y = jnp.concatenate(found, axis=-1)
        if layer < num_layers - 1 and training and dropout > 0:
            y = y * 0 if dropout == 1 else jnp.where(mask[layer], y / (1 - dropout), 0)
        elif layer < num_layers - 1 and mask is not None:
            y = jnp.where(mask[layer], y, 0)
    ends = [jnp.stack(of_all) for of_all in zip(*last, strict=True)]
    y = y.swapaxes(0, 1) if turned else y
    results = (y, *ends) if batched else [a[..., 0, :] for a in (y, *ends)]
    return tuple(a.astype(dtype) for a in results)


def rnn_jax(jax: Any, x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_jax(jax, rnn_step_jax, x, (h_0,), lengths, mask, weights, **hyper)


def lstm_jax(jax: Any, x: Any, h_0: Any, c_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_jax(jax, lstm_step_jax, x, (h_0, c_0), lengths, mask, weights, **hyper)


def gru_jax(jax: Any, x: Any, h_0: Any, lengths: Any, mask: Any, *weights: Any, **hyper: Any) -> Any:
    return layers_jax(jax, gru_step_jax, x, (h_0,), lengths, mask, weights, **hyper)


# --- definitions --------------------------------------------------------------------------------------------


def relu_exactly(configuration: Configuration) -> bool:
    """Sums and products of integers alone."""
    hyper = configuration.hyper
    return hyper.get("nonlinearity") == "relu" and hyper.get("dropout", 0.0) in (0.0, 0.5, 0.75, 1.0)


def kinks(*arrays: str) -> tuple[Limitation, ...]:
    """Gradients of these next to the kink of relu, where the sums that decide nearly cancel or have few digits."""

    def applies(case: Case) -> bool:
        few_digits = case.configuration.dtype in ("float16", "bfloat16")
        return case.configuration.hyper.get("nonlinearity") == "relu" and (few_digits or case.fill == "cancelling")

    reason = "on which side of 0 a sum lies that is 0 to within its rounding errors, rounding decides"
    tensors = tuple(f"g{name}" for name in arrays)
    return tuple(Limitation(reference, reason, applies, tensors) for reference in ("torch", "jax"))


def variadic(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The names of all weights that are drawn, in order."""
    return tuple(f"{part}_{direction}" for direction in DIRECTIONS for part in parts)


# an infinity saturates a gate, whose slope is then 0: times what was infinite, NaN
recurrent = partial(Operation, underflows=True, nonfinite=())

rnn_cell = recurrent(
    function=mint.rnn_cell,
    draw=partial(draw_cell, gates=1, states=("h",), hyper=NONLINEARITY),
    spoil=spoil_cell,
    equations=rnn_cell_formula,
    torch=rnn_cell_torch,
    jax=rnn_cell_jax,
    exact=relu_exactly,
    limitations=kinks("x", "h", *PARTS[:4]),
)


lstm_cell = recurrent(
    function=mint.lstm_cell,
    outputs=("h_1", "c_1"),
    draw=partial(draw_cell, gates=4, states=("h", "c"), hyper={}),
    spoil=spoil_cell,
    equations=lstm_cell_formula,
    torch=lstm_cell_torch,
    jax=lstm_cell_jax,
)


gru_cell = recurrent(
    function=mint.gru_cell,
    draw=partial(draw_cell, gates=3, states=("h",), hyper={}),
    spoil=spoil_cell,
    equations=gru_cell_formula,
    torch=gru_cell_torch,
    jax=gru_cell_jax,
)


rnn = recurrent(
    function=mint.rnn,
    variadic=variadic(PARTS[:4]),
    outputs=("y", "h_n"),
    draw=partial(draw_layers, gates=1, states=("h_0",), hyper=NONLINEARITY),
    spoil=spoil_layers,
    equations=rnn_formula,
    torch=rnn_torch,
    jax=rnn_jax,
    integer={"lengths": made_lengths, "mask": made_mask},
    exact=relu_exactly,
    limitations=kinks("x", "h_0", *variadic(PARTS[:4])),
)


lstm = recurrent(
    function=mint.lstm,
    variadic=variadic(PARTS),
    outputs=("y", "h_n", "c_n"),
    draw=partial(draw_layers, gates=4, states=("h_0", "c_0"), hyper={}),
    spoil=spoil_layers,
    equations=lstm_formula,
    torch=lstm_torch,
    jax=lstm_jax,
    integer={"lengths": made_lengths, "mask": made_mask},
)


gru = recurrent(
    function=mint.gru,
    variadic=variadic(PARTS[:4]),
    outputs=("y", "h_n"),
    draw=partial(draw_layers, gates=3, states=("h_0",), hyper={}),
    spoil=spoil_layers,
    equations=gru_formula,
    torch=gru_torch,
    jax=gru_jax,
    integer={"lengths": made_lengths, "mask": made_mask},
)
