"""One call of every shell in mint: what it is made with, and what it is called on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """Arguments of the constructor, the same for `torch.nn`, and inputs: arrays, or shapes of normal numbers.

    An argument that is a function is called with `mint`, or with `torch.nn`, and its double precision.
    `evaluated`: called after `eval()`, because in training it draws random numbers.
    `differs`: why PyTorch's numbers are others.
    """

    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Shape | np.ndarray, ...] = ((2, 4, 5),)
    evaluated: bool = False
    differs: str = ""

    def arrays(self) -> list[np.ndarray]:
        """The inputs, floating-point ones as float64."""
        rng = np.random.default_rng(0)
        return [rng.standard_normal(x) if isinstance(x, tuple) else x for x in self.inputs]


def example(*arguments: Any, on: Any = None, evaluated: bool = False, differs: str = "", **keywords: Any) -> Example:
    """`X(*arguments, **keywords)` called `on` one input, or on several in a list."""
    inputs = ((2, 4, 5),) if on is None else tuple(on) if isinstance(on, list) else (on,)
    return Example(arguments, keywords, inputs, evaluated, differs)


def maps(axes: int, channels: int = 4, batch: int = 2) -> Shape:
    """The shape of maps with so many axes."""
    return (batch, channels, *(6, 5, 4)[:axes])


def places(axes: int) -> np.ndarray:
    """An index of its own for each element of the maps."""
    shape = maps(axes)
    return np.arange(math.prod(shape[2:])).reshape(shape[2:]) + np.zeros(shape, np.int64)


def class_weights(module: Any, **_: Any) -> Any:
    """A weight for each of four classes."""
    weights = np.array([1.0, 2.0, 0.5, 1.5])
    return weights if module.__name__ == "mint" else import_module("torch").from_numpy(weights)


PAIR = [(3, 4), (3, 4)]
SIGNS = np.array([1, -1, 1])
CLASSES = np.array([3, 0, 1])
WORDS = np.array([3, 0, 1, 3])

EXAMPLES: dict[str, Example] = {
    # linear, conv, pool
    "Linear": example(5, 3),
    "Bilinear": example(4, 5, 3, on=[(2, 4), (2, 5)]),
    "Embedding": example(4, 3, padding_idx=1, scale_grad_by_freq=True, on=WORDS),
    "EmbeddingBag": example(4, 3, mode="sum", padding_idx=1, on=[WORDS, np.array([0, 2]), (4,)]),
    "AdaptiveLogSoftmaxWithLoss": example(5, 9, (3, 6), 2.0, head_bias=True, on=[(4, 5), np.array([7, 0, 4, 3])]),
    **{f"Conv{axes}d": example(4, 6, 2, 2, 1, 2, 2, True, "reflect", on=maps(axes)) for axes in (1, 2, 3)},
    **{f"ConvTranspose{axes}d": example(4, 6, 2, 2, 1, 1, 2, True, 2, "zeros", on=maps(axes)) for axes in (1, 2, 3)},
    "Unfold": example(2, 2, 1, (1, 2), on=maps(2)),
    "Fold": example((4, 5), 2, 2, 1, (1, 2), on=(2, 12, 12)),
    # padding: other numbers on every side, and a cut
    **{f"ConstantPad{axes}d": example((2, -1, 0, 3, 1, 2)[: 2 * axes], 1.5, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"ZeroPad{axes}d": example((2, -1, 0, 3, 1, 2)[: 2 * axes], on=maps(axes)) for axes in (1, 2, 3)},
    **{
        f"{mode}Pad{axes}d": example((2, -1, 0, 3, 1, 2)[: 2 * axes], on=maps(axes))
        for mode in ("Reflection", "Replication", "Circular")
        for axes in (1, 2, 3)
    },
    **{f"MaxPool{axes}d": example(2, padding=1, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"AvgPool{axes}d": example(2, padding=1, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"AdaptiveAvgPool{axes}d": example(4, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"AdaptiveMaxPool{axes}d": example(4, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"LPPool{axes}d": example(2, 2, 1, on=maps(axes)) for axes in (1, 2, 3)},
    # of two windows no sample moves one
    **{f"FractionalMaxPool{axes}d": example(2, output_size=2, on=maps(axes)) for axes in (2, 3)},
    **{f"MaxUnpool{axes}d": example(2, on=[maps(axes), places(axes)]) for axes in (1, 2, 3)},
    # shape, shuffle, interpolate
    "Flatten": example(),
    "Unflatten": example(1, (2, -1)),
    "Identity": example(),
    "PixelShuffle": example(2, on=maps(2)),
    "PixelUnshuffle": example(2, on=(2, 3, 4, 6)),
    "ChannelShuffle": example(2, on=maps(2)),
    "Upsample": example(size=(7, 9), mode="bilinear", on=maps(2)),
    "UpsamplingNearest2d": example(scale_factor=2, on=maps(2)),
    "UpsamplingBilinear2d": example(scale_factor=2, on=maps(2)),
    # activations
    **{
        name: example()
        for name in (
            "ReLU",
            "LeakyReLU",
            "ReLU6",
            "ELU",
            "SELU",
            "CELU",
            "GELU",
            "SiLU",
            "Mish",
            "Softplus",
            "Softsign",
        )
    },
    **{
        name: example()
        for name in ("Tanh", "Sigmoid", "LogSigmoid", "Hardtanh", "Hardswish", "Softshrink", "Hardshrink")
    },
    "Hardsigmoid": example(differs="PyTorch's gradient multiplies by 1/6 in single precision"),
    "Tanhshrink": example(),
    "GLU": example(1),
    "Threshold": example(0.5, 2.0),
    "PReLU": example(4),
    "RReLU": example(evaluated=True),
    "Softmax": example(1),
    "LogSoftmax": example(1),
    "Softmin": example(1),
    "Softmax2d": example(on=maps(2)),
    # normalisation
    **{f"BatchNorm{axes}d": example(4, on=maps(axes)) for axes in (1, 2, 3)},
    **{f"InstanceNorm{axes}d": example(4, affine=True, on=maps(axes)) for axes in (1, 2, 3)},
    "LayerNorm": example((4, 5)),
    "RMSNorm": example(5),
    "GroupNorm": example(2, 4),
    "LocalResponseNorm": example(3),
    "CrossMapLRN2d": example(3, on=maps(2), differs="PyTorch never drops the first channel from its running sum"),
    # dropout
    "Dropout": example(0.5, evaluated=True),
    **{f"Dropout{axes}d": example(0.5, on=maps(axes), evaluated=True) for axes in (1, 2, 3)},
    "AlphaDropout": example(0.5, evaluated=True),
    "FeatureAlphaDropout": example(0.5, evaluated=True),
    # recurrent
    "RNNCell": example(5, 3, nonlinearity="relu", on=[(4, 5), (4, 3)]),
    "LSTMCell": example(5, 3, on=[(4, 5)]),
    "GRUCell": example(5, 3, bias=False, on=[(4, 5), (4, 3)]),
    "RNN": example(5, 3, 2, "relu", dropout=0.5, bidirectional=True, on=[(4, 2, 5), (4, 2, 3)], evaluated=True),
    "LSTM": example(5, 3, 2, bidirectional=True, proj_size=2, batch_first=True, on=(2, 4, 5)),
    "GRU": example(5, 3, bias=False, bidirectional=True, on=[(4, 5), (2, 3)]),
    # attention and transformers
    "MultiheadAttention": example(
        4, 2, add_bias_kv=True, add_zero_attn=True, vdim=3, on=[(3, 2, 4), (5, 2, 4), (5, 2, 3)]
    ),
    "TransformerEncoderLayer": example(4, 2, 8, 0.0, on=(3, 2, 4)),
    "TransformerDecoderLayer": example(4, 2, 8, 0.0, on=[(3, 2, 4), (5, 2, 4)]),
    "TransformerEncoder": example(
        lambda nn, **double: nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, **double), 2, on=(2, 3, 4)
    ),
    "TransformerDecoder": example(
        lambda nn, **double: nn.TransformerDecoderLayer(4, 2, 8, 0.0, **double), 2, on=[(3, 2, 4), (5, 2, 4)]
    ),
    "Transformer": example(4, 2, 1, 1, 8, 0.5, "gelu", batch_first=True, on=[(2, 5, 4), (2, 3, 4)], evaluated=True),
    # losses and distances
    "MSELoss": example(on=PAIR),
    "L1Loss": example(on=PAIR),
    "SmoothL1Loss": example(beta=0.5, on=PAIR),
    "HuberLoss": example("sum", 0.5, on=PAIR),
    "CrossEntropyLoss": example(class_weights, label_smoothing=0.1, on=[(3, 4), CLASSES]),
    "LinearCrossEntropyLoss": example(
        5, 4, out_features=(2,), bias=True, on=[(3, 5), np.array([[3, 0], [1, 1], [2, 0]])]
    ),
    "NLLLoss": example(class_weights, ignore_index=0, on=[(3, 4), CLASSES]),
    "NLLLoss2d": example(ignore_index=0, on=[(3, 4), CLASSES]),
    "BCELoss": example(class_weights, on=[np.linspace(0.1, 0.9, 12).reshape(3, 4), np.eye(3, 4)]),
    "BCEWithLogitsLoss": example(class_weights, on=[(3, 4), np.eye(3, 4)]),
    "KLDivLoss": example(reduction="batchmean", log_target=True, on=PAIR),
    "PoissonNLLLoss": example(full=True, on=[(3, 4), np.arange(1.0, 13.0).reshape(3, 4)]),
    "GaussianNLLLoss": example(full=True, on=[*PAIR, np.linspace(0.1, 2, 12).reshape(3, 4)]),
    "HingeEmbeddingLoss": example(on=[(3,), SIGNS]),
    "MarginRankingLoss": example(0.5, on=[(3,), (3,), SIGNS]),
    "CosineEmbeddingLoss": example(0.5, on=[*PAIR, SIGNS]),
    "TripletMarginLoss": example(swap=True, on=[*PAIR, (3, 4)]),
    "TripletMarginWithDistanceLoss": example(swap=True, on=[*PAIR, (3, 4)]),
    "MultiMarginLoss": example(2, on=[(3, 4), CLASSES]),
    "MultiLabelMarginLoss": example(on=[(3, 4), np.array([[1, 0, -1, 2], [3, -1, 0, 0], [0, 1, 2, 3]])]),
    "MultiLabelSoftMarginLoss": example(on=[(3, 4), np.eye(3, 4)]),
    "SoftMarginLoss": example(on=[(3, 4), np.where(np.eye(3, 4) > 0, 1, -1)]),
    "CTCLoss": example(
        on=[
            np.log(np.random.default_rng(0).dirichlet(np.ones(5), (7, 2))),
            np.array([[1, 2, 2], [3, 4, 1]]),
            np.array([7, 6]),
            np.array([3, 2]),
        ],
        differs="PyTorch's gradient is that of what log_softmax was applied to",
    ),
    "CosineSimilarity": example(on=PAIR),
    "PairwiseDistance": example(on=PAIR),
}
