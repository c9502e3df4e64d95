"""Adaptive pooling: windows that do not divide the map, output sizes in every form, ties and NaN, refusals."""

from itertools import product

import numpy as np
import pytest

import mint

NAN, INF = np.nan, np.inf


def row(values):
    return np.array([values], float)


@pytest.mark.parametrize(
    ("length", "count", "windows"),
    [
        (6, 3, [(0, 2), (2, 4), (4, 6)]),
        (5, 3, [(0, 2), (1, 4), (3, 5)]),  # they overlap by one
        (7, 2, [(0, 4), (3, 7)]),
        (3, 5, [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]),  # more windows than elements
        (1, 3, [(0, 1)] * 3),
        (4, 0, []),
    ],
)
def test_windows(length, count, windows):
    x = np.arange(1.0, length + 1) ** 2
    y, vjp = mint.adaptive_avg_pool1d(row(x), output_size=count)
    assert y[0].tolist() == [x[start:stop].mean() for start, stop in windows]
    gy = 60 * np.arange(1.0, count + 1)
    gx = np.zeros(length)
    for (start, stop), g in zip(windows, gy, strict=True):
        gx[start:stop] += g / (stop - start)
    assert vjp(row(gy))[0].tolist() == [gx.tolist()]
    y, vjp = mint.adaptive_max_pool1d(row(-x), output_size=count)
    assert y[0].tolist() == [-x[start] for start, _ in windows]
    assert vjp(row(gy))[0].sum() == gy.sum()


def test_output_sizes_in_every_form():
    x = np.arange(2 * 3 * 4 * 6, dtype=float).reshape(2, 3, 4, 6)
    for given, size in ((2, (2, 2)), ((2, 3), (2, 3)), ([2, 3], (2, 3)), ((None, 3), (4, 3)), ((1, None), (1, 6))):
        for pool in (mint.adaptive_avg_pool2d, mint.adaptive_max_pool2d):
            y, _ = pool(x, output_size=given)
            assert y.shape == (2, 3, *size)
            assert pool(x[0], output_size=given)[0].tolist() == y[0].tolist()
    assert mint.adaptive_avg_pool2d(x, output_size=(None, None))[0].tolist() == x.tolist()
    assert mint.adaptive_avg_pool2d(x, output_size=(1, None))[0].tolist() == x.mean(2, keepdims=True).tolist()
    assert mint.adaptive_avg_pool3d(x, output_size=1)[0].ravel().tolist() == x.mean((1, 2, 3)).tolist()


def test_indices_are_flat_in_the_map_and_the_first_of_a_tie_wins():
    x = np.zeros((1, 2, 4, 6))
    x[0, 1, 3, 1] = 1
    (y, indices), vjp = mint.adaptive_max_pool2d(x, output_size=2, return_indices=True)
    assert indices.dtype == np.int64
    assert indices.tolist() == [[[[0, 3], [12, 15]], [[0, 3], [19, 15]]]]
    assert np.take_along_axis(x.reshape(1, 2, 24), indices.reshape(1, 2, 4), 2).ravel().tolist() == y.ravel().tolist()
    gx = vjp(np.arange(1.0, 9).reshape(y.shape))[0]
    assert [(place, g) for place, g in enumerate(gx.ravel()) if g] == [
        (0, 1), (3, 2), (12, 3), (15, 4), (24, 5), (27, 6), (39, 8), (43, 7),
    ]  # fmt: skip


def test_the_last_nan_wins_and_windows_that_share_a_maximum_add_up():
    (y, indices), vjp = mint.adaptive_max_pool1d(row([NAN, 1, NAN, 5, -INF, -INF]), output_size=3, return_indices=True)
    assert np.array_equal(y, row([NAN, NAN, -INF]), equal_nan=True)
    assert indices.tolist() == [[0, 2, 4]]
    y, vjp = mint.adaptive_max_pool1d(row([1, 9, 1]), output_size=2)
    assert vjp(row([2, 3]))[0].tolist() == [[0, 5, 0]]


def test_like_pytorch_on_ties_and_nan():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    for axes, size in product((1, 2, 3), (2, 3, 7)):
        x = rng.choice([-INF, INF, NAN, 0, 1, 1, 2], (2, 3, *(6, 5, 4)[:axes]))
        name = f"adaptive_max_pool{axes}d"
        (y, indices), vjp = getattr(mint, name)(x, output_size=size, return_indices=True)
        tx = torch.tensor(x, requires_grad=True)
        ty, expected = getattr(torch.nn.functional, name)(tx, size, return_indices=True)
        gy = rng.integers(1, 9, y.shape).astype(float)
        ty.backward(torch.tensor(gy))
        assert np.array_equal(y, ty.detach().numpy(), equal_nan=True)
        assert np.array_equal(indices, expected.numpy())
        assert np.array_equal(vjp(gy)[0], tx.grad.numpy())


def test_takes_and_refuses_the_shapes_that_pytorch_does():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for axes, kind in product((1, 2, 3), ("avg", "max")):
        name, full = f"adaptive_{kind}_pool{axes}d", (4, 5, 6)[:axes]
        shapes = [(2, 3, *full), (3, *full), (0, 3, *full), (2, 0, *full), (0, *full), (2, 3, 0, *full[1:]), full]
        for shape in (*shapes, (1, 2, 3, *full)):
            try:
                expected = tuple(getattr(torch.nn.functional, name)(torch.ones(shape), 2).shape)
            except RuntimeError:
                with pytest.raises(ValueError, match=rf"^{name}: x must have shape .*; got "):
                    getattr(mint, name)(np.ones(shape), output_size=2)
            else:
                assert getattr(mint, name)(np.ones(shape), output_size=2)[0].shape == expected


@pytest.mark.parametrize("output_size", [-1, (2, -1), (2,), (2, 2, 2), (), None, 2.0, True, (2, 2.0), "2"])
def test_refusals(output_size):
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        expected = "an int of at least 0 or a tuple of 2 of them or None"
        with pytest.raises((ValueError, TypeError), match=rf"^{name}: output_size must be {expected}; got"):
            getattr(mint, name)(np.ones((1, 1, 2, 2)), output_size=output_size)
    with pytest.raises(TypeError, match=r"^adaptive_avg_pool1d: output_size must be an int .*; got \(None,\)$"):
        mint.adaptive_avg_pool1d(np.ones((1, 4)), output_size=(None,))
