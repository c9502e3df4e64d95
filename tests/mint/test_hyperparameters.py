"""Bad hyper-parameters are refused in one clear line: what was wrong, what was expected, what came."""

import numpy as np
import pytest

import mint
from mint import hyperparameters

X1, X2, X3 = (np.ones((2, 2, *(5,) * axes)) for axes in (1, 2, 3))
W2, W3 = np.ones((4, 2, 3, 3)), np.ones((4, 2, 3, 3, 3))
T2 = np.ones((2, 4, 3, 3))
LOGITS, TARGET = np.ones((2, 3)), np.array([0, 2])

REFUSALS = [
    (ValueError, "conv2d: stride must be an int of at least 1 or a tuple of 2 of them; got 0",
     lambda: mint.conv2d(X2, W2, stride=0)),
    (ValueError, "conv3d: dilation must be an int of at least 1 or a tuple of 3 of them; got (1, 1)",
     lambda: mint.conv3d(X3, W3, dilation=(1, 1))),
    (TypeError, "conv2d: stride must be an int of at least 1 or a tuple of 2 of them; got True",
     lambda: mint.conv2d(X2, W2, stride=True)),
    (TypeError, "conv2d: stride must be an int of at least 1 or a tuple of 2 of them; got 1.0",
     lambda: mint.conv2d(X2, W2, stride=1.0)),
    (TypeError, "conv2d: groups must be an int of at least 1; got '1'",
     lambda: mint.conv2d(X2, W2, groups="1")),
    (ValueError, "conv2d: padding 'same' needs stride 1 on every axis; got stride (1, 2)",
     lambda: mint.conv2d(X2, W2, padding="same", stride=(1, 2))),
    *[
        (error, "conv2d: padding must be an int of at least 0, a tuple of 2 of them, a tuple of 2 pairs "
         f"(before, after) of them, 'same' or 'valid'; got {padding!r}",
         lambda padding=padding: mint.conv2d(X2, W2, padding=padding))
        for error, padding in (
            (ValueError, -1), (ValueError, "full"), (ValueError, (1, -1)), (ValueError, (1, 1, 1)),
            (ValueError, ((0, 1), 1)), (ValueError, ((0, 1, 1), (1, 1, 1))), (ValueError, ()),
            (TypeError, 1.5), (TypeError, (1, 0.5)), (TypeError, None), (TypeError, ((0, 1), (0, "1"))),
        )
    ],
    (ValueError, "conv2d: x must have shape (N, C, H, W); got (2, 2, 5)", lambda: mint.conv2d(X1, W2)),
    (ValueError, "conv2d: w must have shape (O, C/groups, kH, kW) and no empty kernel; got (4, 2, 3, 3, 3)",
     lambda: mint.conv2d(X2, W3)),
    (ValueError, "conv2d: w must have shape (O, C/groups, kH, kW) and no empty kernel; got (4, 2, 0, 3)",
     lambda: mint.conv2d(X2, W2[:, :, :0])),
    (ValueError, "conv2d: w must have a first axis divisible into 3 groups; got (4, 2, 3, 3)",
     lambda: mint.conv2d(X2, W2, groups=3)),
    (ValueError, "conv2d: x must have 4 channels to fit w (4, 2, 3, 3) in 2 groups; got (2, 2, 5, 5)",
     lambda: mint.conv2d(X2, W2, groups=2)),
    (ValueError, "conv2d: b must have shape (4,) to fit w (4, 2, 3, 3); got (2,)",
     lambda: mint.conv2d(X2, W2, np.ones(2))),
    (ValueError, "conv2d: the dilated kernel must fit into the padded map (5, 5); got a kernel of (7, 7)",
     lambda: mint.conv2d(X2, W2, dilation=3)),
    (ValueError, "conv2d: x must have no empty map unless batch or channels are empty; got (2, 2, 0, 5)",
     lambda: mint.conv2d(X2[:, :, :0], W2, padding=2)),
    (ValueError, "conv_transpose2d: output_padding must be smaller than stride or dilation on every axis; "
     "got output_padding (1, 1), stride (2, 1), dilation (1, 1)",
     lambda: mint.conv_transpose2d(X2, T2, stride=(2, 1), output_padding=1)),
    (ValueError, "conv_transpose2d: the output map must have at least one element on every axis; got (-1, 1)",
     lambda: mint.conv_transpose2d(X2, T2, padding=(4, 3))),
    (ValueError, "conv_transpose2d: w must have at least one output channel; got (2, 0, 3, 3)",
     lambda: mint.conv_transpose2d(X2, T2[:, :0])),
    (ValueError, "max_pool2d: padding must be at most half of kernel_size; got (2, 1) for kernel_size (3, 3)",
     lambda: mint.max_pool2d(X2, kernel_size=3, padding=(2, 1))),
    (ValueError, "max_pool1d: the output map must have at least one element on every axis; got (0,)",
     lambda: mint.max_pool1d(X1, kernel_size=6)),
    (ValueError, "avg_pool1d: x must have shape (N, C, L), empty in N only; got (2, 0, 5)",
     lambda: mint.avg_pool1d(X1[:, :0], kernel_size=2)),
    (TypeError, "max_pool1d: missing a required argument: 'kernel_size'", lambda: mint.max_pool1d(X1)),
    (TypeError, "max_pool1d: ceil_mode must be a bool; got 1",
     lambda: mint.max_pool1d(X1, kernel_size=2, ceil_mode=1)),
    (TypeError, "max_pool1d: return_indices must be a bool; got 'no'",
     lambda: mint.max_pool1d(X1, kernel_size=2, return_indices="no")),
    (ValueError, "avg_pool2d: divisor_override must be an int other than 0; got 0",
     lambda: mint.avg_pool2d(X2, kernel_size=2, divisor_override=0)),
    (TypeError, "avg_pool2d: divisor_override must be an int other than 0; got 2.5",
     lambda: mint.avg_pool2d(X2, kernel_size=2, divisor_override=2.5)),
    (ValueError, "avg_pool3d: kernel_size must be at most the map (5, 5, 5); got (6, 6, 6)",
     lambda: mint.avg_pool3d(X3, kernel_size=6, padding=1)),
    (ValueError, "flatten: start_dim must not come after end_dim; got 2 and 1",
     lambda: mint.flatten(X2, start_dim=2, end_dim=1)),
    (ValueError, "flatten: end_dim must be an int in [-4, 3]; got 4", lambda: mint.flatten(X2, end_dim=4)),
    (ValueError, "softmax: dim must be an int in [-2, 1]; got -3", lambda: mint.softmax(LOGITS, dim=-3)),
    (TypeError, "softmax: dim must be an int in [-2, 1]; got None", lambda: mint.softmax(LOGITS, dim=None)),
    (ValueError, "gelu: approximate must be one of 'none', 'tanh'; got 'erf'",
     lambda: mint.gelu(LOGITS, approximate="erf")),
    (TypeError, "elu: alpha must be a number; got '1'", lambda: mint.elu(LOGITS, alpha="1")),
    (TypeError, "leaky_relu: negative_slope must be a number; got True",
     lambda: mint.leaky_relu(LOGITS, negative_slope=True)),
    (TypeError, "softplus: beta must be a number; got None", lambda: mint.softplus(LOGITS, beta=None)),
    (ValueError, "mse_loss: target must have the shape of x, (2, 3); got (3,)",
     lambda: mint.mse_loss(LOGITS, np.ones(3))),
    (TypeError, "mse_loss: reduction must be one of 'mean', 'sum', 'none'; got None",
     lambda: mint.mse_loss(LOGITS, LOGITS, reduction=None)),
    *[
        (ValueError, f"cross_entropy: label_smoothing must be a number in [0, 1]; got {smoothing}",
         lambda smoothing=smoothing: mint.cross_entropy(LOGITS, TARGET, label_smoothing=smoothing))
        for smoothing in (-0.1, 1.5, float("nan"))
    ],
    (ValueError, "cross_entropy: target must lie in [0, 3) or equal ignore_index -100; got 3",
     lambda: mint.cross_entropy(LOGITS, TARGET + 1)),
    (ValueError, "cross_entropy: target must have shape (2,); got (2, 1)",
     lambda: mint.cross_entropy(LOGITS, TARGET[:, np.newaxis])),
    (ValueError, "cross_entropy: weight must have shape (3,), one for each class; got (2,)",
     lambda: mint.cross_entropy(LOGITS, TARGET, np.ones(2))),
    (ValueError, "cross_entropy: x must have shape (N, C, ...) or (C,); got ()",
     lambda: mint.cross_entropy(np.array(1.0), np.array(0))),
    (ValueError, "linear: x must have shape (..., 3) to fit w (2, 3); got (2, 2, 5)",
     lambda: mint.linear(X1, LOGITS)),
    (ValueError, "linear: w must have shape (out, in); got (2,)", lambda: mint.linear(X1, np.ones(2))),
    (ValueError, "linear: b must have shape (2,) to fit w (2, 3); got (3,)",
     lambda: mint.linear(LOGITS, LOGITS, np.ones(3))),
    (ValueError, "Conv2d: groups must divide in_channels 4 and out_channels 3; got 2",
     lambda: mint.Conv2d(4, 3, 1, groups=2)),
    (TypeError, "Linear: rng must be a numpy.random.Generator; got int", lambda: mint.Linear(4, 3, rng=0)),
    (TypeError, "Linear: dtype must be a floating-point dtype; got int64",
     lambda: mint.Linear(4, 3, dtype=np.int64)),
    (TypeError, "Sequential: each argument must be a Module; got function",
     lambda: mint.Sequential(mint.relu)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "line", "bad_call"), REFUSALS, ids=[line for _, line, _ in REFUSALS])
def test_refusals(error, line, bad_call):
    with pytest.raises(error) as caught:
        bad_call()
    # Python 3.12 and later say a little more of what is missing
    assert str(caught.value).replace("required keyword-only argument", "required argument") == line


def test_canonical_forms():
    geometry = {"kernel": (3, 4), "stride": (1, 1), "dilation": (2, 1)}
    pairs = hyperparameters.padding_pairs
    assert pairs("conv2d", 1, **geometry) == ((1, 1), (1, 1))
    assert pairs("conv2d", (1, np.int8(2)), **geometry) == ((1, 1), (2, 2))
    assert pairs("conv2d", [(1, 0), (2, 3)], **geometry) == ((1, 0), (2, 3))
    assert pairs("conv2d", "valid", **geometry) == ((0, 0), (0, 0))
    assert pairs("conv2d", "same", **geometry) == ((2, 2), (1, 2))
    assert hyperparameters.per_axis("conv2d", "stride", [np.uint8(2), 3], 2, least=1) == (2, 3)
    assert hyperparameters.dimension("softmax", "dim", -1, 0) == 0
    assert type(hyperparameters.integer("conv2d", "groups", np.int64(2), least=1)) is int
    assert type(hyperparameters.real("elu", "alpha", np.float32(2))) is float
    assert hyperparameters.flag("max_pool1d", "ceil_mode", np.True_) is True
