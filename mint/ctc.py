"""Connectionist temporal classification: the likelihood of a label sequence over all its alignments."""

from __future__ import annotations

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell

__all__ = [
    "CTCLoss",
    "ctc_loss",
]


@differentiable(integer=("targets", "input_lengths", "target_lengths"), wide=True)
def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> tuple[Array, Vjp]:
    """Connectionist temporal classification: l = −log Σ over alignments π of Π over t of exp(log_probs[t, π[t]]).

    An alignment of a sample is a sequence of as many classes as its input is long, that becomes its target when
    runs of one class are made one and blanks are then left out. Where there is none (the input is too short),
    l = ∞. y is l itself, its sum, or the mean over the samples of l / max(target length, 1).

    Shapes: log_probs (T, N, C), targets (N, S), or (Σ target_lengths,) one after the other, input_lengths and
    target_lengths (N,), y () or, with "none", (N,). For one sample without a batch log_probs (T, C), targets (S,),
    S the target's length, or (1, S), and lengths (). T, N and C are at least 1.
    Dtypes: those of ``differentiable``; the others any integer dtype (PyTorch computes float32 and float64 only).

    input_lengths: how many of the T steps count, in [0, T]. target_lengths: how many of the S labels count.
    blank: the class of no label; no target may be blank (PyTorch takes what it reads as a label then).
    reduction: "mean", "sum" or "none". zero_infinity: whether an infinite l counts as 0, with gradient 0.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(glog_probs, None, None, None)``: −p[t, c], p the share of the alignments
    with class c at t in the likelihood. It is NaN at the steps of a sample whose l is infinite, as in PyTorch.
    Raises ValueError for shapes, lengths, targets or hyper-parameters that do not fit, TypeError for wrong types.
    Source: Graves et al., "Connectionist temporal classification", 2006.

    PyTorch ``torch.nn.functional.ctc_loss`` returns exp(log_probs) − p as the gradient of log_probs: that of what
    went into the log-softmax, if there was one. Both give the same behind a log-softmax, whose own gradient takes
    off softmax·Σ; but only −p is the derivative with respect to log_probs. JAX has it (``optax.ctc_loss``).

    >>> log_probs = np.log(np.full((2, 3), 0.25))
    >>> y, vjp = ctc_loss(log_probs, np.array([1]), np.array(2), np.array(1))  # 0 1, 1 0 and 1 1
    >>> float(np.exp(-y).round(12))
    0.1875
    >>> vjp(np.array(3.0))[0]
    array([[-1., -2., -0.],
           [-1., -2., -0.]])
    """
    op = "ctc_loss"
    blank = hyperparameters.integer(op, "blank", blank)
    reduction = hyperparameters.reduction(op, reduction)
    zero_infinity = hyperparameters.flag(op, "zero_infinity", zero_infinity)
    if log_probs.ndim not in (2, 3) or log_probs.size == 0:
        raise ValueError(f"{op}: log_probs must have shape (T, N, C) or (T, C), none of it 0; got {log_probs.shape}")
    if not 0 <= blank < log_probs.shape[-1]:
        raise ValueError(f"{op}: blank must be a class, an int in [0, {log_probs.shape[-1]}); got {blank}")
    batch = log_probs.shape[1:-1]
    lp = log_probs.reshape(len(log_probs), -1, log_probs.shape[-1])
    steps, samples, classes = lp.shape
    inputs = _lengths(op, "input_lengths", input_lengths, batch, steps)
    lengths = _lengths(op, "target_lengths", target_lengths, batch, targets.shape[-1] if targets.ndim else 0)
    labels = _labels(op, targets, lengths, classes, blank)

    # the states of a sample: its labels with a blank before, between and after them
    states = np.full((samples, 2 * labels.shape[1] + 1), blank)
    states[:, 1::2] = labels
    place = np.arange(states.shape[1])
    exists = place <= 2 * lengths[:, None]
    final = exists & (place >= 2 * lengths[:, None] - 1)
    # a blank may be skipped between two labels that differ
    skips = np.zeros(states.shape, bool)
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    emitted = np.where(exists, lp[:, np.arange(samples)[:, None], states], -np.inf)

    alpha, likelihood = _forward(emitted, skips, final, inputs)
    losses = -likelihood
    impossible = losses == np.inf
    divisor = samples * np.maximum(lengths, 1) if reduction == "mean" else np.ones_like(lengths)
    each = np.where(impossible & zero_infinity, 0, losses) / divisor
    y = each.reshape(batch) if reduction == "none" else np.asarray(each.sum())

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # ∂l/∂log_probs[t, c] = −Σ over the states s of class c of p[t, s], p = α·β / Σ α·β: [t, n, s] -> [t, n, c]
        both = alpha + _backward(emitted, skips, final, inputs)
        p = np.exp(both - both.max(-1, keepdims=True))
        # not over the likelihood, which has rounding errors of its own: the shares of a step add up to 1
        p = p / p.sum(-1, keepdims=True)
        counts = np.arange(steps)[:, None] < inputs
        g = np.broadcast_to(gy.reshape(-1), samples) / divisor
        share = np.zeros_like(lp)
        rows, columns = np.ogrid[:steps, :samples]
        np.add.at(share, (rows[..., None], columns[..., None], states), np.where(exists, p, 0))
        share = np.where(impossible[:, None], 0 if zero_infinity else np.nan, share)
        gx = np.where(counts[..., None], -g[:, None] * share, 0)
        return gx.reshape(log_probs.shape), None, None, None

    return y, vjp


def _lengths(op: str, name: str, lengths: Array, batch: tuple[int, ...], most: int) -> Array:
    """Lengths as one axis of positions, one for each sample."""
    if lengths.shape != batch:
        raise ValueError(f"{op}: {name} must have shape {batch} to fit log_probs; got {lengths.shape}")
    outside = (lengths < 0) | (lengths > most)
    if outside.any():
        raise ValueError(f"{op}: {name} must lie in [0, {most}]; got {lengths[outside].flat[0]}")
    return lengths.reshape(-1).astype(np.intp)


def _labels(op: str, targets: Array, lengths: Array, classes: int, blank: int) -> Array:
    """The labels in rows, [n, s], as long as the longest target; what does not count is blank."""
    counts = np.arange(lengths.max()) < lengths[:, None]
    if targets.ndim == 1:
        if len(targets) != lengths.sum():
            raise ValueError(f"{op}: targets must have shape ({lengths.sum()},), Σ target_lengths; got {targets.shape}")
        given = targets
    elif targets.ndim == 2 and len(targets) == len(lengths):
        given = targets[:, : counts.shape[1]][counts]
    else:
        expected = f"({len(lengths)}, S) or one axis"
        raise ValueError(f"{op}: targets must have shape {expected} to fit log_probs; got {targets.shape}")
    outside = (given < 0) | (given >= classes) | (given == blank)
    if outside.any():
        expected = f"in [0, {classes}) and other than blank {blank}"
        raise ValueError(f"{op}: targets must be {expected}; got {given[outside].flat[0]}")
    labels = np.full(counts.shape, blank)
    labels[counts] = given
    return labels


def _shifted(logarithms: Array, by: int) -> Array:
    # [n, s] -> the value at s − by, impossible where there is none
    moved = np.full_like(logarithms, -np.inf)
    if by > 0:
        moved[:, by:] = logarithms[:, :-by]
    else:
        moved[:, :by] = logarithms[:, -by:]
    return moved


def _forward(emitted: Array, skips: Array, final: Array, inputs: Array) -> tuple[Array, Array]:
    """α[t, n, s], the log-likelihood to be in s at t, and the log-likelihood of each sample's target.

    α[t, s] = emitted[t, s] + log(exp α[t − 1, s] + exp α[t − 1, s − 1] + exp α[t − 1, s − 2] if that may be skipped).
    """
    alpha = np.full(emitted.shape, -np.inf, emitted.dtype)
    # no step at all spells the target of no labels
    likelihood = np.where(final[:, 0], emitted.dtype.type(0), -np.inf)
    for t, emission in enumerate(emitted):
        if t == 0:
            alpha[t, :, :2] = emission[:, :2]
        else:
            before = alpha[t - 1]
            reached = np.logaddexp(before, _shifted(before, 1))
            alpha[t] = emission + np.logaddexp(reached, np.where(skips, _shifted(before, 2), -np.inf))
        # the one or two final states stand next to each other
        ended = np.logaddexp.reduce(np.where(final, alpha[t], -np.inf), axis=-1)
        likelihood = np.where(inputs == t + 1, ended, likelihood)
    return alpha, likelihood


def _backward(emitted: Array, skips: Array, final: Array, inputs: Array) -> Array:
    """β[t, n, s], the log-likelihood of what follows when in s at t.

    β[t, s] = log Σ over the states s' that may follow s of exp(emitted[t + 1, s'] + β[t + 1, s']).
    """
    beta = np.full(emitted.shape, -np.inf, emitted.dtype)
    for t in reversed(range(len(emitted))):
        if t + 1 < len(emitted):
            after = emitted[t + 1] + beta[t + 1]
            follows = np.logaddexp(after, _shifted(after, -1))
            beta[t] = np.logaddexp(follows, _shifted(np.where(skips, after, -np.inf), -2))
        beta[t] = np.where((inputs == t + 1)[:, None], np.where(final, 0, -np.inf), beta[t])
    return beta


class CTCLoss(Shell):
    """``ctc_loss``; called on its four arrays, and its vjp returns ``(glog_probs, None, None, None)``."""

    operation = staticmethod(ctc_loss)

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(blank=blank, reduction=reduction, zero_infinity=zero_infinity)
