"""Tables of hyper-parameters for Mint and PyTorch: both take them, with one shape, or both refuse them."""

from itertools import product

import numpy as np
import pytest

import mint

torch = pytest.importorskip("torch", reason="compares with PyTorch")


def shape_or_refusal(operation, arrays, hyper, errors):
    try:
        y = operation(*arrays, **hyper)
    except errors:
        return "refused"
    y = y[0] if isinstance(y, tuple) else y
    return tuple(y.shape)


def assert_alike(name, shapes, hyper):
    arrays = [np.ones(shape) for shape in shapes]
    ours = shape_or_refusal(getattr(mint, name), arrays, hyper, (ValueError, TypeError))
    theirs = shape_or_refusal(
        getattr(torch.nn.functional, name),
        [torch.ones(shape, dtype=torch.float64) for shape in shapes],
        hyper,
        (ValueError, TypeError, RuntimeError, IndexError),
    )
    assert ours == theirs, (name, shapes, hyper)


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"])
def test_pooling(name):
    axes = int(name[-2])
    dilations = (0, 1, 2) if name.startswith("max") else (None,)
    for n, size, kernel, stride, padding, dilation, ceil_mode in product(
        (0, 1), (0, 1, 2, 4), (0, 1, 2, 3, 5), (None, 0, 1, 3), (-1, 0, 1, 2), dilations, (False, True)
    ):
        hyper = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        if dilation is not None:
            hyper["dilation"] = dilation
        assert_alike(name, ((n, 1, *(size,) * axes),), hyper)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution(axes):
    for n, size, kernel, stride, padding, dilation, (c, w_c, o, groups) in product(
        (0, 1), (0, 1, 3), (0, 1, 2), (0, 1, 2), (-1, 0, 1, "same", "valid", "full"), (1, 2),
        ((2, 2, 1, 1), (2, 1, 2, 2), (2, 1, 3, 2), (2, 2, 0, 1), (2, 3, 2, 1), (2, 2, 2, 0)),
    ):  # fmt: skip
        hyper = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        assert_alike(f"conv{axes}d", ((n, c, *(size,) * axes), (o, w_c, *(kernel,) * axes)), hyper)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_convolution(axes):
    # with an empty batch PyTorch does not look at output_padding; Mint's docstring says so
    for size, kernel, stride, padding, extra, dilation, (c, w_c, o, groups) in product(
        (0, 1, 3), (0, 1, 2), (0, 1, 2), (-1, 0, 1, 2), (-1, 0, 1, 2), (1, 3),
        ((2, 2, 1, 1), (2, 2, 1, 2), (3, 3, 1, 2), (2, 2, 0, 1), (2, 3, 2, 1)),
    ):  # fmt: skip
        hyper = {
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
        }
        assert_alike(f"conv_transpose{axes}d", ((1, c, *(size,) * axes), (w_c, o, *(kernel,) * axes)), hyper)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name):
    for shape, dim in product(((), (3,), (0,), (2, 0), (2, 3)), range(-3, 4)):
        assert_alike(name, (shape,), {"dim": dim})


def test_flatten():
    for shape, start, end in product(((), (3,), (2, 0, 2), (2, 3, 4)), range(-4, 4), range(-4, 4)):
        ours = shape_or_refusal(mint.flatten, [np.ones(shape)], {"start_dim": start, "end_dim": end}, ValueError)
        theirs = shape_or_refusal(
            torch.flatten,
            [torch.ones(shape)],
            {"start_dim": start, "end_dim": end},
            (RuntimeError, IndexError),
        )
        assert ours == theirs, (shape, start, end)
