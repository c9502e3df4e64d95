"""Slips in CTC."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, replacing, wrong

ONE = "log_probs=(1,1) targets=(0,) input_lengths=() target_lengths=()"
BATCH = "log_probs=(3,2,3) targets=(2,2) input_lengths=(2,) target_lengths=(2,)"
ROW = "log_probs=(3,2,3) targets=(4,) input_lengths=(2,) target_lengths=(2,)"
PAIR = "log_probs=(3,3) targets=(2,) input_lengths=() target_lengths=()"


@plant("ctc_loss", "y", ONE, BATCH, ROW, PAIR, also=wrong("glog_probs"))
def input_lengths_ignored(
    log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, **hyper: Any
) -> tuple[Array, Vjp]:
    """Every sample is as long as the longest may be."""
    return mint.ctc_loss(log_probs, targets, np.full_like(input_lengths, len(log_probs)), target_lengths, **hyper)


@plant("ctc_loss", "glog_probs", ONE, BATCH, ROW, PAIR)
def gradient_of_the_logits(
    log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, **hyper: Any
) -> tuple[Array, Vjp]:
    """The gradient is that of what went into the log-softmax, as PyTorch has it, and not that of log_probs."""
    y, vjp = mint.ctc_loss(log_probs, targets, input_lengths, target_lengths, **hyper)

    def of_logits(gy: Array) -> Array:
        g = vjp(gy)[0]
        assert g is not None
        with np.errstate(all="ignore"):
            return (g - np.exp(log_probs) * g.sum(-1, keepdims=True)).astype(g.dtype)

    return y, replacing(vjp, 0, of_logits)


@plant("ctc_loss", "y", BATCH, ROW, PAIR, also=wrong("glog_probs"), condition=("reduction = 'mean'",))
def mean_over_the_samples_alone(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    reduction: str = "mean",
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The mean does not divide by the lengths of the targets."""
    arrays = log_probs, targets, input_lengths, target_lengths
    if reduction != "mean":
        return mint.ctc_loss(*arrays, reduction=reduction, **hyper)
    total, vjp = mint.ctc_loss(*arrays, reduction="sum", **hyper)
    samples = total.dtype.type(input_lengths.size)
    return np.asarray(total / samples), lambda gy: vjp(np.asarray(gy / samples))


@plant(
    "ctc_loss",
    "y",
    *(f"{shapes} zero_infinity=True" for shapes in (ONE, BATCH, ROW, PAIR)),
    also=wrong("glog_probs"),
    condition=("zero_infinity",),
)
def infinity_kept(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    zero_infinity: bool = False,
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """zero_infinity clears the gradient only."""
    arrays = log_probs, targets, input_lengths, target_lengths
    return mint.ctc_loss(*arrays, **hyper)[0], mint.ctc_loss(*arrays, zero_infinity=zero_infinity, **hyper)[1]


@plant(
    "ctc_loss",
    "y",
    "log_probs=(1,2) targets=(0,) input_lengths=() target_lengths=() blank=1",
    BATCH + " blank=1",
    ROW + " blank=1",
    PAIR + " blank=1",
    also=wrong("glog_probs"),
    condition=("blank > 0",),
)
def blank_is_always_the_first(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int = 0,
    **hyper: Any,
) -> tuple[Array, Vjp]:
    """The classes 0 and blank change places."""
    arrays = targets, input_lengths, target_lengths
    right = mint.ctc_loss(log_probs, *arrays, blank=blank, **hyper)  # refuses what there is to refuse
    if blank == 0:
        return right
    order = np.arange(log_probs.shape[-1])
    order[[0, blank]] = blank, 0
    y, vjp = mint.ctc_loss(np.ascontiguousarray(log_probs[..., order]), *arrays, blank=blank, **hyper)
    return y, replacing(vjp, 0, lambda gy: vjp(gy)[0][..., order])
