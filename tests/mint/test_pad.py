"""Padding: examples by hand, cuts, what PyTorch takes and refuses, and shells."""

from itertools import product

import numpy as np
import pytest

import mint

X = np.array([[1.0, 2.0, 3.0]])


def padded(x, *pad, **hyper):
    return mint.pad(x, pad=pad, **hyper)[0].tolist()


@pytest.mark.parametrize(
    ("mode", "pad", "y", "gx"),
    [
        ("constant", (2, 1), [0, 0, 1, 2, 3, 0], [4, 8, 16]),
        ("constant", (-1, 1), [2, 3, 0], [0, 1, 2]),
        ("constant", (-3, 2), [0, 0], [0, 0, 0]),
        ("reflect", (2, 2), [3, 2, 1, 2, 3, 2, 1], [4 + 64, 2 + 8 + 32, 1 + 16]),
        ("reflect", (2, -1), [3, 2, 1, 2], [4, 2 + 8, 1]),
        ("reflect", (-2, 2), [3, 2, 1], [4, 2, 1]),
        ("reflect", (-4, 2), [1], [1, 0, 0]),
        ("replicate", (2, 1), [1, 1, 1, 2, 3, 3], [1 + 2 + 4, 8, 16 + 32]),
        ("replicate", (4, -2), [1, 1, 1, 1, 1], [31, 0, 0]),
        ("replicate", (-4, 3), [3, 3], [0, 0, 3]),
        ("circular", (2, 1), [2, 3, 1, 2, 3, 1], [4 + 32, 1 + 8, 2 + 16]),
        ("circular", (3, 3), [1, 2, 3] * 3, [1 + 8 + 64, 2 + 16 + 128, 4 + 32 + 256]),
        ("circular", (-1, 2), [2, 3, 2, 3], [0, 1 + 4, 2 + 8]),
        ("circular", (2, -1), [1, 2, 1, 2], [1 + 4, 2 + 8, 0]),
        ("circular", (-1, -2), [], [0, 0, 0]),
    ],
)
def test_one_axis(mode, pad, y, gx):
    result, vjp = mint.pad(X, pad=pad, mode=mode)
    assert result.tolist() == [y]
    # the bits of the gradient tell which places came together
    assert vjp(2.0 ** np.arange(len(y))[np.newaxis])[0].tolist() == [gx]


def test_the_last_axis_comes_first():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert padded(x, 1, 0, 0, 1) == [[0, 1, 2], [0, 3, 4], [0, 0, 0]]
    assert padded(x[None], 1, 0, 0, 1, mode="replicate") == [[[1, 1, 2], [3, 3, 4], [3, 3, 4]]]
    assert padded(x[None], 1, 0, 0, 1, mode="circular") == [[[2, 1, 2], [4, 3, 4], [2, 1, 2]]]
    assert padded(x[None], 1, 0, 0, 1, mode="reflect") == [[[2, 1, 2], [4, 3, 4], [2, 1, 2]]]


def test_a_constant_may_be_anything():
    assert padded(X[0], 1, 0, value=7) == [7, 1, 2, 3]
    assert padded(X[0], 0, 1, value=np.inf) == [1, 2, 3, np.inf]
    assert np.isnan(padded(X[0], 1, 0, value=np.nan)[0])
    assert mint.pad(X[0].astype(np.float16), pad=(1, 0), value=1e6)[0].tolist() == [np.inf, 1, 2, 3]


def test_any_number_of_axes_gets_a_constant():
    assert padded(np.array(5.0)) == 5
    assert mint.pad(np.ones((1,) * 5), pad=(1,) * 10)[0].shape == (3,) * 5
    y, vjp = mint.pad(np.empty((0, 2)), pad=(0, 0, 1, 1), value=3.0)
    assert y.tolist() == [[3, 3], [3, 3]]
    assert vjp(y)[0].shape == (0, 2)


def test_infinities_and_nan_stay_where_they_are():
    x = np.array([[np.inf, 1.0, np.nan]])
    y, vjp = mint.pad(x, pad=(1, 1), mode="reflect")
    assert np.array_equal(y, [[1, np.inf, 1, np.nan, 1]], equal_nan=True)
    gx = vjp(np.array([[np.inf, 2.0, -np.inf, 1.0, 0.0]]))[0]
    assert np.array_equal(gx, [[2, np.nan, 1]], equal_nan=True)


def test_many_copies_of_one_element_add_up_in_float64():
    y, vjp = mint.pad(np.ones((1, 1), np.float32), pad=(2**12, 2**12), mode="replicate")
    gy = np.full_like(y, 1 + 2.0**-23)
    assert vjp(gy)[0].tolist() == [[(2**13 + 1) * (1 + 2.0**-23) // 2.0**-10 * 2.0**-10]]


REFUSALS = [
    ("pad: pad must be a tuple of ints, two for each of at most 2 axes; got 1", {"pad": 1}),
    ("pad: pad must be a tuple of ints, two for each of at most 2 axes; got (1,)", {"pad": (1,)}),
    ("pad: pad must be a tuple of ints, two for each of at most 2 axes; got (1.0, 1)", {"pad": (1.0, 1)}),
    ("pad: pad must be a tuple of ints, two for each of at most 2 axes; got (0, 0, 0, 0, 0, 0)", {"pad": (0,) * 6}),
    ("pad: mode must be one of 'constant', 'reflect', 'replicate', 'circular'; got 'edge'",
     {"pad": (1, 1), "mode": "edge"}),
    ("pad: value must be a number; got 'x'", {"pad": (1, 1), "value": "x"}),
    ("pad: value must be None or 0 for mode 'reflect'; got 1.5", {"pad": (1, 1), "mode": "reflect", "value": 1.5}),
    ("pad: pad must not cut more than there is of (3,); got ((-2, -2),)", {"pad": (-2, -2)}),
    ("pad: pad must be smaller than the map (3,) to reflect it; got ((3, 0),)", {"pad": (3, 0), "mode": "reflect"}),
    ("pad: pad must be at most what is left of the map (3,) to wrap it; got ((4, 0),)",
     {"pad": (4, 0), "mode": "circular"}),
    ("pad: pad must be at most what is left of the map (3,) to wrap it; got ((3, -1),)",
     {"pad": (3, -1), "mode": "circular"}),
    ("pad: pad must leave something of the map (3,); got ((-3, 0),)", {"pad": (-3, 0), "mode": "replicate"}),
    ("pad: pad must have two numbers for each of one to three map axes, and x one or two axes before them, for mode "
     "'replicate'; got 4 numbers and x (1, 3)", {"pad": (1, 1, 1, 1), "mode": "replicate"}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "hyper"), REFUSALS)
def test_refusals(message, hyper):
    with pytest.raises((ValueError, TypeError)) as error:
        mint.pad(X, **hyper)
    assert str(error.value) == message


def test_an_empty_map_has_nothing_to_copy():
    message = r"^pad: x must have no empty axis but the batch for mode 'reflect'; got \(1, 0, 3\)$"
    with pytest.raises(ValueError, match=message):
        mint.pad(np.empty((1, 0, 3)), pad=(1, 1), mode="reflect")
    assert mint.pad(np.empty((0, 2, 3)), pad=(1, 1), mode="reflect")[0].shape == (0, 2, 5)
    assert mint.pad(np.empty((1, 0, 3)), pad=(1, 1), mode="circular")[0].shape == (1, 0, 5)


def test_what_pytorch_takes_and_refuses():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    compared = 0
    cases = [
        *product(("constant", "reflect", "replicate", "circular"), ((2,), (1, 2), (0, 2), (2, 0), (2, 1, 2)),
                 product(range(-3, 4), repeat=2)),
        *product(("reflect", "replicate", "circular"), ((1, 1, 2), (2, 1, 2, 2)), product((-2, -1, 1, 2), repeat=4)),
    ]  # fmt: skip
    for mode, shape, pad in cases:
        x = np.random.default_rng(0).standard_normal(shape)
        try:
            y = mint.pad(x, pad=pad, mode=mode)[0].tolist()
        except ValueError as error:
            y = "refused"
            # PyTorch hands out memory that it has not written to
            if "to wrap it" in str(error):
                continue
        try:
            expected = torch.nn.functional.pad(torch.from_numpy(x), pad, mode=mode).tolist()
        except (RuntimeError, NotImplementedError):
            expected = "refused"
        assert y == expected, (mode, shape, pad)
        compared += y != "refused"
    assert compared > 200


def test_shells_check_their_padding():
    assert repr(mint.ReflectionPad1d(2)) == "ReflectionPad1d(pad=(2, 2), mode='reflect')"
    assert mint.ConstantPad2d((1, 2, 3, 4), 5.0).hyperparameters["pad"] == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"^ZeroPad2d: padding must be an int or a tuple of 4 of them; got \(1, 2\)$"):
        mint.ZeroPad2d((1, 2))
    with pytest.raises(TypeError, match=r"^CircularPad1d: padding must be an int or a tuple of 2 of them; got 1.5$"):
        mint.CircularPad1d(1.5)
