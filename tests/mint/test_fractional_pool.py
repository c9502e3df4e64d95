"""Fractional max-pooling: where windows begin, samples given and drawn, output sizes and ratios, refusals."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest

import mint


def starts(u, size, kernel, count):
    """Read off a map that increases: the maximum of a window is its last element."""
    x = np.arange(float(size)).reshape(1, 1, size)
    samples = np.array([[[u, 0.0]]])
    y, _ = mint.fractional_max_pool2d(x, samples, kernel_size=(1, kernel), output_size=(1, count))
    return [int(last) - kernel + 1 for last in y.ravel()]


def test_windows_begin_at_multiples_of_a_fraction():
    assert starts(0.0, 7, 2, 3) == [0, 2, 5]
    assert starts(0.5, 7, 2, 3) == [0, 2, 5]
    assert starts(0.9, 7, 2, 3) == [0, 2, 5]
    assert starts(0.25, 8, 2, 5) == [0, 1, 3, 4, 6]
    assert starts(0.0, 8, 2, 5) == [0, 1, 3, 4, 6]
    assert starts(0.4, 8, 2, 5) == [0, 2, 3, 5, 6]
    assert starts(0.7, 9, 3, 1) == [6]  # a single window is the last
    assert starts(0.7, 4, 1, 4) == [0, 1, 2, 3]
    rng = np.random.default_rng(0)
    for size, kernel, count in product((5, 8, 13), (1, 2), (2, 3, 4)):
        for u in (0.0, 1.0, *rng.random(10)):
            alpha = Fraction(size - kernel, count - 1)
            exact = [floor((i + Fraction(u)) * alpha) - floor(Fraction(u) * alpha) for i in range(count - 1)]
            assert starts(u, size, kernel, count) == [*exact, size - kernel]


def test_the_distance_is_not_rounded_to_the_dtype():
    # (1 + u)·1.5 is just below 2, and in half precision, as PyTorch has it, 2
    u = np.float16(1 / 3)
    x = np.arange(4, dtype=np.float16).reshape(1, 1, 4)
    samples = np.array([[[u, 0]]], np.float16)
    y, _ = mint.fractional_max_pool2d(x, samples, kernel_size=1, output_size=(1, 3))
    assert y.ravel().tolist() == starts(float(u), 4, 1, 3) == [0, 1, 3]
    assert (np.float16(1) + u) * np.float16(1.5) == 2 > (1 + float(u)) * 1.5


def test_each_axis_and_channel_has_a_sample_of_its_own():
    x = np.arange(2 * 2 * 8 * 8, dtype=float).reshape(2, 2, 8, 8)
    samples = np.array([[[0.0, 0.4], [0.4, 0.0]], [[0.4, 0.4], [0.0, 0.0]]])  # (W, H)
    (_, indices), _ = mint.fractional_max_pool2d(x, samples, kernel_size=2, output_size=5, return_indices=True)
    assert indices.dtype == np.int64
    first = {0.0: [0, 1, 3, 4, 6], 0.4: [0, 2, 3, 5, 6]}
    for n, c in product(range(2), range(2)):
        columns, rows = (first[u] for u in samples[n, c])
        assert indices[n, c].tolist() == [[(r + 1) * 8 + column + 1 for column in columns] for r in rows]
    # in three dimensions the order is (D, H, W)
    x = np.arange(9.0**3).reshape(1, 9, 9, 9)
    samples = np.array([[[0.0, 0.4, 0.25]]])
    (_, indices), _ = mint.fractional_max_pool3d(x, samples, kernel_size=1, output_size=5, return_indices=True)
    places = np.array(np.unravel_index(indices[0], (9, 9, 9)))
    for axis, u in enumerate(samples.ravel()):
        exact = [floor((i + u) * 2) - floor(u * 2) for i in range(5)]
        assert np.unique(places[axis]).tolist() == exact


def test_windows_that_overlap_add_up():
    x = np.array([[[1.0, 9.0, 2.0]]])
    y, vjp = mint.fractional_max_pool2d(x, kernel_size=(1, 2), output_size=(1, 2))
    assert y.tolist() == [[[9, 9]]]
    assert vjp(np.array([[[3.0, 4.0]]]))[0].tolist() == [[[0, 7, 0]]]
    assert vjp(np.array([[[3.0, 4.0]]]))[1] is None


def test_samples_are_drawn_from_the_generator():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9))
    hyper = {"kernel_size": 2, "output_size": 5}
    samples = np.random.default_rng(7).random((2, 3, 2))
    given, _ = mint.fractional_max_pool2d(x, samples, **hyper)
    drawn, _ = mint.fractional_max_pool2d(x, rng=np.random.default_rng(7), **hyper)
    assert drawn.tolist() == given.tolist()
    others = [mint.fractional_max_pool2d(x, **hyper)[0].tolist() for _ in range(8)]
    assert any(other != others[0] for other in others)


def test_shells_draw_anew_unless_they_have_samples():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9))
    layer = mint.FractionalMaxPool2d(2, output_size=5, rng=np.random.default_rng(7))
    results = [layer(x)[0].tolist() for _ in range(8)]
    assert any(result != results[0] for result in results)
    assert mint.FractionalMaxPool2d(2, 5, rng=np.random.default_rng(7))(x)[0].tolist() == results[0]
    samples = np.random.default_rng(7).random((2, 3, 2))
    layer = mint.FractionalMaxPool2d(2, output_size=5, return_indices=True, _random_samples=samples)
    (y, indices), vjp = layer(x)
    assert y.tolist() == results[0] == layer(x)[0][0].tolist()
    assert (indices.shape, vjp(y).shape) == (y.shape, x.shape)
    assert list(layer.parameters()) == []


def test_output_sizes_and_ratios():
    x = np.ones((2, 3, 10, 8))
    for hyper, size in (
        ({"output_size": 3}, (3, 3)),
        ({"output_size": (3, 4)}, (3, 4)),
        ({"output_size": 0}, (0, 0)),
        ({"output_ratio": 0.5}, (5, 4)),
        ({"output_ratio": (0.39, 0.2)}, (3, 1)),
    ):
        for array in (x, x[0], x[:0]):
            assert mint.fractional_max_pool2d(array, kernel_size=2, **hyper)[0].shape == (*array.shape[:-2], *size)


def test_like_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    for axes, single in product((2, 3), (False, True)):
        x = rng.choice([-np.inf, np.inf, np.nan, 0, 1, 1, 2], (2, 3, *(7, 8, 9)[:axes]))
        samples = rng.random((2, 3, axes))
        if single:
            x, samples = x[0], samples[:1]
        name, hyper = f"fractional_max_pool{axes}d", {"kernel_size": 2, "output_size": (4, 5, 3)[:axes]}
        (y, indices), vjp = getattr(mint, name)(x, samples, return_indices=True, **hyper)
        tx = torch.tensor(x, requires_grad=True)
        function = getattr(torch.nn.functional, name)
        ty, expected = function(tx, return_indices=True, _random_samples=torch.tensor(samples), **hyper)
        gy = rng.integers(1, 9, y.shape).astype(float)
        ty.backward(torch.tensor(gy))
        assert np.array_equal(y, ty.detach().numpy(), equal_nan=True)
        assert np.array_equal(indices, expected.numpy())
        assert np.array_equal(vjp(gy)[0], tx.grad.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_size": None}, "one of output_size and output_ratio must be given; got None and None"),
        ({"output_ratio": 0.5}, "one of output_size and output_ratio must be given; got 2 and 0.5"),
        ({"output_size": -1}, "output_size must be an int of at least 0 or a tuple of 2 of them; got -1"),
        ({"output_size": 5}, r"the map must have at least \(6, 6\) elements for kernel_size .*; got \(5, 6\)"),
        ({"output_size": None, "output_ratio": 0}, "output_ratio must be a finite number above 0 .*; got 0"),
        ({"kernel_size": 0}, "kernel_size must be an int of at least 1 or a tuple of 2 of them; got 0"),
        ({"_random_samples": np.zeros((1, 3, 2))}, r"_random_samples must have shape \(2, 3, 2\) to fit x .*; got .*"),
        ({"_random_samples": np.full((2, 3, 2), 1.5)}, r"_random_samples must lie in \[0, 1\]; got 1.5"),
        ({"_random_samples": np.full((2, 3, 2), np.nan)}, r"_random_samples must lie in \[0, 1\]; got nan"),
        (
            {"_random_samples": np.zeros((2, 3, 2)), "rng": np.random.default_rng()},
            "_random_samples and rng exclude each other; got both",
        ),
        ({"rng": 7}, "rng must be a numpy.random.Generator or None; got 7"),
    ],
)
def test_refusals(change, message):
    with pytest.raises((ValueError, TypeError), match=f"^fractional_max_pool2d: {message}$"):
        mint.fractional_max_pool2d(np.ones((2, 3, 5, 6)), **{"kernel_size": 2, "output_size": 2, **change})


def test_three_dimensions_ask_for_one_row_more():
    assert mint.fractional_max_pool2d(np.ones((1, 4, 4)), kernel_size=2, output_size=3)[0].shape == (1, 3, 3)
    with pytest.raises(ValueError, match=r"^fractional_max_pool3d: the map must have at least \(5, 5, 5\) elements"):
        mint.fractional_max_pool3d(np.ones((1, 4, 5, 5)), kernel_size=2, output_size=3)
