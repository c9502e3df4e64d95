"""Convolution with a border of copies, and over time: examples by hand, and what PyTorch's modules do."""

from itertools import product

import numpy as np
import pytest

import mint

MODES = ("reflect", "replicate", "circular")


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def test_the_border_is_put_on_before_the_convolution():
    x, w = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[1.0, 10.0]]])
    for mode, expected in (
        ("zeros", [10, 21, 32, 3]),
        ("reflect", [12, 21, 32, 23]),
        ("replicate", [11, 21, 32, 33]),
        ("circular", [13, 21, 32, 13]),
    ):
        assert mint.conv1d(x, w, padding=1, padding_mode=mode)[0].tolist() == [[expected]]
        # an even kernel has the odd one on the far side
        assert mint.conv1d(x, w, padding="same", padding_mode=mode)[0].tolist() == [[expected[1:]]]
        assert mint.conv1d(x, w, padding=((1, 0),), padding_mode=mode)[0].tolist() == [[expected[:-1]]]
        assert mint.conv1d(x, w, padding="valid", padding_mode=mode)[0].tolist() == [[expected[1:-1]]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_is_the_convolution_of_the_padded_map(axes, mode):
    x, w, b = integers(0, 2, 4, *(4, 3, 5)[:axes]), integers(1, 6, 2, *(2, 3, 2)[:axes]), integers(2, 6)
    hyper = {"stride": 2, "dilation": 2, "groups": 2}
    padding = (1, 2, 2)[:axes]
    convolution = getattr(mint, f"conv{axes}d")
    y, vjp = convolution(x, w, b, padding=padding, padding_mode=mode, **hyper)
    gy = integers(3, *y.shape)
    gx, gw, gb = vjp(gy)

    sides = tuple(side for p in reversed(padding) for side in (p, p))
    padded, pad_vjp = mint.pad(x, pad=sides, mode=mode)
    expected, padded_vjp = convolution(padded, w, b, **hyper)
    of_padded, *others = padded_vjp(gy)
    for one, other in zip((y, gx, gw, gb), (expected, *pad_vjp(of_padded), *others), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("axes", [1, 2])
def test_what_pytorch_s_modules_take_and_refuse(axes):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    name = f"Conv{axes}d"
    compared = 0
    for mode, size, kernel, dilation, padding in product(
        ("zeros", *MODES), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1, 2, 3, "same", "valid")
    ):
        arguments = (2, 3, kernel, 1, padding, dilation, 1, True, mode)
        theirs = getattr(torch.nn, name)(*arguments, dtype=torch.float64)
        ours = getattr(mint, name)(*arguments, dtype=np.float64)
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            parameter.data = integers(0, *other.shape)
            other.data = torch.from_numpy(parameter.data)
        x = integers(1, 2, 2, *(size, size + 1)[:axes])
        try:
            y = ours(x)[0].tolist()
        except ValueError:
            y = "refused"
        try:
            expected = theirs(torch.from_numpy(x)).tolist()
        except RuntimeError:
            expected = "refused"
        assert y == expected, arguments
        compared += y != "refused"
    assert compared > 200


def test_refusals():
    x, w = np.ones((1, 1, 3)), np.ones((1, 1, 2))
    for message, hyper in (
        ("conv1d: padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular'; got 'edge'",
         {"padding_mode": "edge"}),
        ("conv1d: padding must be smaller than the map (3,) to reflect it; got ((3, 3),)",
         {"padding": 3, "padding_mode": "reflect"}),
        ("conv1d: padding must be at most what is left of the map (3,) to wrap it; got ((0, 4),)",
         {"padding": ((0, 4),), "padding_mode": "circular"}),
    ):  # fmt: skip
        with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
            mint.conv1d(x, w, **hyper)
        assert str(error.value) == message
    message = "^ConvTranspose1d: padding_mode must be one of 'zeros'; got 'reflect'$"
    with pytest.raises(ValueError, match=message):
        mint.ConvTranspose1d(1, 1, 1, padding_mode="reflect")


def test_over_time():
    x, w, b = np.array([[[1.0]], [[2.0]], [[3.0]]]), np.array([[[1.0]], [[10.0]]]), np.array([0.5])
    for pad, expected in ((0, [21.5, 32.5]), (1, [10.5, 21.5, 32.5, 3.5]), (-1, [])):
        y, vjp = mint.conv_tbc(x, w, b, pad=pad)
        assert y.ravel().tolist() == expected
        assert [g.shape for g in vjp(y)] == [x.shape, w.shape, b.shape]


def test_over_time_it_is_conv1d():
    x, w, b = integers(0, 7, 2, 3), integers(1, 4, 3, 5), integers(2, 5)
    y, vjp = mint.conv_tbc(x, w, b, pad=2)
    gy = integers(3, *y.shape)
    gx, gw, gb = vjp(gy)
    expected, conv_vjp = mint.conv1d(x.transpose(1, 2, 0), w.transpose(2, 1, 0), b, padding=2)
    of_maps, of_weights, of_bias = conv_vjp(gy.transpose(1, 2, 0))
    assert np.array_equal(y, expected.transpose(2, 0, 1))
    assert np.array_equal(gx, of_maps.transpose(2, 0, 1))
    assert np.array_equal(gw, of_weights.transpose(2, 1, 0))
    assert np.array_equal(gb, of_bias)


@pytest.mark.parametrize(
    ("shapes", "pad"),
    [
        (((4, 0, 3), (2, 3, 5), (5,)), 1),
        (((0, 2, 3), (2, 3, 5), (5,)), 1),
        (((4, 2, 0), (2, 0, 5), (5,)), 0),
        (((4, 2, 3), (2, 3, 0), (0,)), 0),
        (((4, 2, 3), (0, 3, 5), (5,)), 0),
        (((4, 2, 3), (5, 3, 5), (5,)), 0),
        (((4, 2, 3), (2, 3, 5), (5,)), -1),
    ],
)
def test_over_time_anything_may_be_empty(shapes, pad):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    arrays = [integers(place, *shape) for place, shape in enumerate(shapes)]
    y, vjp = mint.conv_tbc(*arrays, pad=pad)
    assert np.array_equal(y, torch.conv_tbc(*map(torch.from_numpy, arrays), pad))
    assert [g.shape for g in vjp(y)] == list(shapes)


@pytest.mark.parametrize(
    ("message", "shapes", "pad"),
    [
        ("conv_tbc: x must have shape (T, N, C); got (4, 3)", ((4, 3), (2, 3, 5), (5,)), 0),
        ("conv_tbc: w must have shape (k, 3, O) to fit x (4, 2, 3); got (2, 4, 5)", ((4, 2, 3), (2, 4, 5), (5,)), 0),
        ("conv_tbc: b must have shape (5,) to fit w (2, 3, 5); got (1,)", ((4, 2, 3), (2, 3, 5), (1,)), 0),
        ("conv_tbc: w must have at most 5 taps to fit x (4, 2, 3) and pad 0; got 6", ((4, 2, 3), (6, 3, 5), (5,)), 0),
        ("conv_tbc: pad must be an int; got 0.5", ((4, 2, 3), (2, 3, 5), (5,)), 0.5),
    ],
)
def test_over_time_refusals(message, shapes, pad):
    with pytest.raises((ValueError, TypeError)) as error:
        mint.conv_tbc(*map(np.ones, shapes), pad=pad)
    assert str(error.value) == message
