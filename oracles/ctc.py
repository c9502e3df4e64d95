"""Connectionist temporal classification: definitions."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case, Configuration
from oracles.formula import Traced, formula, value
from oracles.inputs import make_inputs
from oracles.norm import in_single
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes


def draw_ctc(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """With and without a batch; targets padded or one after the other, of any length, also none."""
    steps, classes = draw(st.sampled_from((4, 2, 1, 3, 5, 7))), draw(st.sampled_from((3, 2, 5, 4)))
    samples = draw(st.sampled_from((1, 2, 3, 5, None)))
    longest = draw(st.sampled_from((2, 1, 3, 0)))
    hyper = {
        "blank": draw(st.integers(0, classes - 1)),
        "reduction": draw(st.sampled_from(("mean", "sum", "none"))),
        "zero_infinity": draw(st.booleans()),
    }
    if samples is None:
        shapes: Shapes = {"log_probs": (steps, classes), "targets": draw(st.sampled_from(((longest,), (1, longest))))}
        return {**shapes, "input_lengths": (), "target_lengths": ()}, hyper
    lengths = {"input_lengths": (samples,), "target_lengths": (samples,)}
    targets = draw(st.sampled_from(((samples, longest), (samples * longest,))))
    return {"log_probs": (steps, samples, classes), "targets": targets, **lengths}, hyper


def spoil_ctc(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A blank that is no class, another reduction, lengths for other samples, one axis too many."""
    what = draw(st.sampled_from(("blank", "reduction", "input_lengths", "target_lengths", "log_probs")))
    if what == "blank":
        return what, shapes, {**hyper, what: draw(st.sampled_from((-1, shapes["log_probs"][-1])))}
    if what == "reduction":
        return what, shapes, {**hyper, what: "most"}
    if what == "log_probs":
        return what, {**shapes, what: (*shapes[what], 1)}, hyper
    return what, {**shapes, what: (7,)}, hyper


def make_targets(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Any classes but the blank; repeated ones need a blank between them."""
    classes, blank = configuration.shapes["log_probs"][-1], configuration.hyper.get("blank", 0)
    labels = rng.integers(0, max(classes - 1, 1), configuration.shapes["targets"])
    return np.asarray(labels + (labels >= blank))


def make_input_lengths(rng: np.random.Generator, configuration: Configuration) -> Array:
    """All steps, or fewer, or none."""
    steps, shape = configuration.shapes["log_probs"][0], configuration.shapes["input_lengths"]
    return np.asarray(np.where(rng.random(shape) < 1 / 2, steps, rng.integers(0, steps + 1, shape)))


def make_target_lengths(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Up to the number of labels in a row; labels that stand one after the other are shared out."""
    shapes = configuration.shapes
    shape, targets = shapes["target_lengths"], shapes["targets"]
    if len(targets) == 2:
        return np.asarray(np.where(rng.random(shape) < 1 / 2, targets[1], rng.integers(0, targets[1] + 1, shape)))
    samples = prod(shape)
    if configuration.layouts.get("target_lengths") == "broadcast":
        return np.full(shape, targets[0] // samples)  # the layout makes them all the same
    # every label belongs to some sample
    return np.bincount(rng.integers(0, samples, targets[0]), minlength=samples).reshape(shape)


@lru_cache(maxsize=4096)
def alignments(target: tuple[int, ...], steps: int, blank: int) -> tuple[tuple[int, ...], ...]:
    """Every sequence of so many classes that becomes the target without repetitions and blanks."""
    # the sequences by the number of labels that they have spelt and their last class
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {(0, blank): [()]}
    for _ in range(steps):
        longer: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        for (spelt, last), paths in found.items():
            following = {(spelt, blank), (spelt, last)}
            if spelt < len(target) and (target[spelt] != last or last == blank):
                following.add((spelt + 1, target[spelt]))
            for state in following:
                longer.setdefault(state, []).extend((*path, state[1]) for path in paths)
        found = longer
    return tuple(path for (spelt, _), paths in found.items() if spelt == len(target) for path in paths)


def labels_of(targets: Array, lengths: Array) -> list[tuple[int, ...]]:
    """The labels of each sample."""
    if targets.ndim == 2:
        return [tuple(row[:length].tolist()) for row, length in zip(targets, lengths, strict=True)]
    ends = np.cumsum(lengths)
    return [tuple(targets[end - length : end].tolist()) for end, length in zip(ends, lengths, strict=True)]


@formula
def ctc_formula(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """−log Σ over all alignments, one by one, of Π exp(log_probs[t, π[t]])."""
    batch = log_probs.shape[1:-1]
    lp = log_probs.reshape(log_probs.shape[0], -1, log_probs.shape[-1])
    lengths = target_lengths.reshape(-1)
    losses = []
    for n, labels in enumerate(labels_of(targets, lengths)):
        steps = int(input_lengths.reshape(-1)[n])
        found = alignments(labels, steps, blank)
        paths = np.array(found, int).reshape(len(found), steps)
        weights = lp[:steps, n][np.arange(steps), paths].sum(-1)
        largest = value(weights).max(initial=-np.inf)
        if largest == -np.inf:
            # −log 0 has no slope; an infinite loss that counts as 0 has slope 0
            total = lp[:steps, n].sum()
            infinite = Traced(np.asarray(np.inf, lp.dtype), 0, [(total, lambda g: g * np.nan)])
            losses.append(0 * total if zero_infinity else infinite)
            continue
        losses.append(-(np.log(np.exp(weights - largest).sum()) + largest))
    each = np.stack(losses)
    if reduction == "mean":
        return (each / np.maximum(lengths, 1)).sum() / len(losses)
    return each.sum() if reduction == "sum" else each.reshape(batch)


def ctc_jax(
    jax: Any,
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    jnp, dtype = jax.numpy, log_probs.dtype
    (log_probs,) = in_single(jax, log_probs)
    batch = log_probs.shape[1:-1]
    lp = log_probs.reshape(log_probs.shape[0], -1, log_probs.shape[-1])
    lengths, inputs = target_lengths.reshape(-1), input_lengths.reshape(-1)
    if targets.ndim == 1:
        # one after the other: in rows as long as all of them
        places = jnp.cumsum(lengths)[:, None] - lengths[:, None] + jnp.arange(len(targets))
        targets = targets[jnp.clip(places, 0, max(len(targets) - 1, 0))] if len(targets) else places
    width = targets.shape[1]
    labels = jnp.where(jnp.arange(width) < lengths[:, None], targets, blank)
    states = jnp.full((len(lengths), 2 * width + 1), blank).at[:, 1::2].set(labels)
    skips = jnp.zeros(states.shape, bool).at[:, 3::2].set(labels[:, 1:] != labels[:, :-1])
    # as optax: a large finite number for what is impossible, whose differences are no NaN
    never = -1e5
    emitted = jnp.take_along_axis(lp, jnp.broadcast_to(states, (len(lp), *states.shape)), axis=2)

    def moved(alpha: Any, by: int) -> Any:
        return jnp.pad(alpha, ((0, 0), (by, 0)), constant_values=never)[:, : alpha.shape[1]]

    def step(alpha: Any, inputs_of_step: Any) -> Any:
        t, emission = inputs_of_step
        reached = jnp.logaddexp(alpha, moved(alpha, 1))
        reached = jnp.logaddexp(reached, jnp.where(skips, moved(alpha, 2), never))
        return jnp.where((t < inputs)[:, None], emission + reached, alpha), None

    # before the first step: in a state before all others, from which the first two are reached
    first = jnp.full(states.shape, never, lp.dtype).at[:, 0].set(0)
    alpha, _ = jax.lax.scan(step, first, (jnp.arange(len(lp)), emitted))
    last = jnp.take_along_axis(alpha, 2 * lengths[:, None], axis=1)[:, 0]
    before = jnp.take_along_axis(alpha, jnp.maximum(2 * lengths[:, None] - 1, 0), axis=1)[:, 0]
    losses = -jnp.logaddexp(last, jnp.where(lengths > 0, before, never))
    impossible = losses > -never / 2
    losses = jnp.where(impossible, 0 if zero_infinity else jnp.inf, losses)
    if reduction == "mean":
        losses = (losses / jnp.maximum(lengths, 1)).mean()
    elif reduction == "sum":
        losses = losses.sum()
    return losses.reshape(batch if reduction == "none" else ()).astype(dtype)


def has_no_alignment(case: Case) -> bool:
    """Whether an input is too short for its target."""
    arrays = make_inputs(ctc_loss, case)
    targets, inputs, lengths = (arrays[name] for name in ("targets", "input_lengths", "target_lengths"))
    assert targets is not None
    assert inputs is not None
    assert lengths is not None
    blank = case.configuration.hyper.get("blank", 0)
    rows = labels_of(targets, lengths.reshape(-1))
    return any(not alignments(row, int(steps), blank) for row, steps in zip(rows, inputs.reshape(-1), strict=True))


ctc_loss = Operation(
    function=mint.ctc_loss,
    underflows=True,
    draw=draw_ctc,
    spoil=spoil_ctc,
    short={"log_probs": (0,), "targets": (0, 1)},  # all alignments of the steps with the classes
    equations=ctc_formula,
    jax=ctc_jax,
    integer={
        "targets": make_targets,
        "input_lengths": make_input_lengths,
        "target_lengths": make_target_lengths,
    },
    # +∞ and NaN are no logarithms of probabilities
    nonfinite=(),
    limitations=(
        Limitation(
            "torch",
            "PyTorch returns exp(log_probs) − p, the gradient of what goes into a log-softmax before; that of "
            "log_probs is −p, as JAX has it. Behind a log-softmax both give the same",
            tensors=("glog_probs",),
        ),
        Limitation(
            "jax",
            "the infinite loss of a target without an alignment has no gradient; PyTorch gives NaN, jnp.where 0",
            applies=has_no_alignment,
            tensors=("glog_probs",),
        ),
    ),
)
