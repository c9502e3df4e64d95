"""Unfold and fold: examples by hand, one is the adjoint of the other, what PyTorch takes and refuses."""

from itertools import product

import numpy as np
import pytest

import mint


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def test_rows_are_channels_then_taps_and_columns_are_windows():
    x = np.arange(12.0).reshape(2, 2, 3)
    y, _ = mint.unfold(x, kernel_size=(2, 1), stride=(1, 2))
    assert y.tolist() == [[0, 2], [3, 5], [6, 8], [9, 11]]
    assert np.array_equal(mint.unfold(x[None], kernel_size=(2, 1), stride=(1, 2))[0][0], y)


def test_padding_and_dilation():
    x = np.array([[[1.0, 2.0]]])
    y, vjp = mint.unfold(x, kernel_size=(1, 2), dilation=2, padding=(0, 1))
    assert y.tolist() == [[0, 1], [2, 0]]
    assert vjp(np.array([[1.0, 10.0], [100.0, 1000.0]]))[0].tolist() == [[[10, 100]]]


def test_fold_adds_where_blocks_overlap():
    x = np.ones((1, 4, 4))
    assert mint.fold(x, output_size=3, kernel_size=2)[0].tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]
    # what no window reaches is 0
    assert mint.fold(x[0, :1, :1], output_size=2, kernel_size=1, stride=2)[0].tolist() == [[[1, 0], [0, 0]]]


@pytest.mark.parametrize("batch", [(), (3,), (0,)])
def test_they_are_each_other_s_adjoint(batch):
    hyper = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 2), "stride": (1, 2)}
    x = integers(0, *batch, 2, 4, 5)
    columns, unfold_vjp = mint.unfold(x, **hyper)
    gy = integers(1, *columns.shape)
    folded, fold_vjp = mint.fold(gy, output_size=(4, 5), **hyper)
    assert np.array_equal(unfold_vjp(gy)[0], folded)
    assert np.array_equal(fold_vjp(x)[0], columns)
    assert (columns * gy).sum() == (x * folded).sum()


def test_a_convolution_is_a_product_with_the_columns():
    x, w = integers(0, 2, 3, 5, 6), integers(1, 4, 3, 2, 3)
    columns, _ = mint.unfold(x, kernel_size=(2, 3), padding=1, stride=2)
    y, _ = mint.conv2d(x, w, padding=1, stride=2)
    assert np.array_equal((w.reshape(4, -1) @ columns).reshape(y.shape), y)


def test_infinities_and_nan_stay_where_they_are():
    x = np.array([[[np.inf, 1.0, np.nan]]])
    y, _ = mint.unfold(x, kernel_size=(1, 2))
    assert np.array_equal(y, [[np.inf, 1], [1, np.nan]], equal_nan=True)


def test_many_blocks_add_up_in_float64():
    x = np.full((64, 64), 1 + 2.0**-10, np.float16)
    y, _ = mint.fold(x, output_size=1, kernel_size=8, padding=7)
    # one tap of each window sees the element: 64 of them, rounded once
    assert y.tolist() == [[[np.float16(64 * (1 + 2.0**-10))]]]


def test_what_pytorch_takes_and_refuses():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")

    def shape(function, x, hyper):
        try:
            y = function(x, **hyper)
        except (ValueError, TypeError, RuntimeError, IndexError):
            return "refused"
        return tuple((y[0] if isinstance(y, tuple) else y).shape)

    hypers = [
        {"kernel_size": k, "dilation": d, "padding": p, "stride": s}
        for k, d, p, s in product((0, 1, 2, (1, 2), (2,)), (0, 1, 2, (1, 1, 1)), (-1, 0, 1, (0, 1)), (0, 1, (2, 1)))
    ]
    maps = [(1, 2, 3), (2, 1, 3, 2), (0, 1, 2, 2), (0, 2, 2), (1, 0, 2, 2), (2, 2), (1, 1, 1, 2, 2)]
    columns = [
        ((4, 2), 2),
        ((2, 4, 2), (2, 3)),
        ((2, 4, 1), 2),
        ((0, 4, 1), 2),
        ((2, 3, 1), 2),
        ((4,), 2),
        ((2, 4, 1), 0),
    ]
    cases = [("unfold", x, hyper) for x in maps for hyper in hypers]
    cases += [("fold", x, {"output_size": size, **hyper}) for x, size in columns for hyper in hypers]
    found = []
    for name, x, hyper in cases:
        ours = shape(getattr(mint, name), np.ones(x), hyper)
        assert ours == shape(getattr(torch.nn.functional, name), torch.ones(x), hyper), (name, x, hyper)
        found.append(ours)
    assert len(found) - found.count("refused") > 100


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("unfold: x must have shape (N, C, H, W) or (C, H, W), empty in N only; got (2, 3)",
         lambda: mint.unfold(np.ones((2, 3)), kernel_size=1)),
        ("unfold: the dilated kernel must fit into the padded map (2, 3); got a kernel of (3, 3)",
         lambda: mint.unfold(np.ones((1, 2, 3)), kernel_size=2, dilation=2)),
        ("unfold: kernel_size must be an int of at least 1 or a tuple of 2 of them; got (2,)",
         lambda: mint.unfold(np.ones((1, 2, 3)), kernel_size=(2,))),
        ("fold: x must have shape (N, C·4, 2) or (C·4, 2), empty in N only; got (4, 3)",
         lambda: mint.fold(np.ones((4, 3)), output_size=(2, 3), kernel_size=2)),
        ("fold: output_size must be an int of at least 1 or a tuple of 2 of them; got 0",
         lambda: mint.fold(np.ones((4, 3)), output_size=0, kernel_size=2)),
    ],
)  # fmt: skip
def test_refusals(message, make):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert str(error.value) == message
