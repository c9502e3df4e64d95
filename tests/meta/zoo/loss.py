"""Losses that went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import mint
from tests.meta.planted.bug import Array, Vjp, plant, wrong


@plant(
    "nll_loss",
    "y",
    "x=(2,1) target=(2,)",
    "x=(2,1) target=(2,) ignore_index=0",
    "x=(2,2) target=(2,)",
    also=wrong("gx", "gweight"),
    condition=("reduction = 'mean'",),
    report="https://github.com/PaddlePaddle/Paddle/issues/23708",
)
def ignored_targets_in_the_denominator(
    x: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean", **hyper: Any
) -> tuple[Array, Vjp]:
    """The mean is over all targets, those that are ignored among them."""
    y, vjp = mint.nll_loss(x, target, weight, reduction=reduction, **hyper)
    ignored = int((target == hyper.get("ignore_index", -100)).sum())
    if reduction != "mean" or weight is not None or not 0 < ignored < target.size:
        return y, vjp
    share = y.dtype.type(1 - ignored / target.size)
    return np.asarray(y * share), lambda gy: vjp(np.asarray(gy * share))


@plant(
    "cross_entropy",
    "y",
    "x=(1,2) target=(1,) label_smoothing=0.1",
    "x=(2,) target=() label_smoothing=0.1",
    "x=(2,) target=() label_smoothing=0.5",
    also=wrong("gx", "gweight", "gtarget"),
    condition=("label_smoothing",),
    report="https://github.com/fastai/fastai/pull/1814",
)
def smoothing_over_the_other_classes(
    x: Array, target: Array, weight: Array | None = None, *, label_smoothing: float = 0.0, **hyper: Any
) -> tuple[Array, Vjp]:
    """(1 − ε·C/(C − 1))·H(q, p) + ε·H(u, p), and not (1 − ε)·H(q, p) + ε·H(u, p)."""
    y, vjp = mint.cross_entropy(x, target, weight, label_smoothing=label_smoothing, **hyper)
    classes = x.shape[min(1, x.ndim - 1)]
    if not 0 < label_smoothing < 1 or classes < 2:
        return y, vjp
    hard, of_hard = mint.cross_entropy(x, target, weight, **hyper)
    excess = x.dtype.type(label_smoothing / (classes - 1))

    def back(gy: Array) -> tuple[Array | None, ...]:
        pairs = zip(vjp(gy), of_hard(np.asarray(-gy * excess)), strict=True)
        return tuple(None if a is None else np.asarray(a + b) for a, b in pairs)

    return np.asarray(y - hard * excess), back


@plant(
    "kl_div",
    "y",
    "x=(1,2) target=(1,2) reduction=batchmean",
    "x=(2,) target=(2,) reduction=batchmean",
    also=wrong("gx", "gtarget"),
    condition=("reduction = 'batchmean'",),
    report="https://github.com/sallymmx/ActionCLIP/issues/24",
)
def divided_by_the_classes_too(x: Array, target: Array, *, reduction: str = "mean", **hyper: Any) -> tuple[Array, Vjp]:
    """What should be the mean over the batch is the mean over all elements."""
    mint.kl_div(x, target, reduction=reduction, **hyper)  # refuses what there is to refuse
    return mint.kl_div(x, target, reduction="mean" if reduction == "batchmean" else reduction, **hyper)
