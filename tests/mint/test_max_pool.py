"""Max-pooling: ties, NaN, −∞, padding, overlaps."""

import numpy as np
import pytest

import mint

NAN, INF = np.nan, np.inf


def pooled(values, **hyper):
    x = np.array([[values]], float)
    (y, indices), vjp = mint.max_pool1d(x, return_indices=True, **hyper)
    (gx,) = vjp(np.arange(1.0, y.size + 1).reshape(y.shape))
    return y[0, 0].tolist(), indices[0, 0].tolist(), gx[0, 0].tolist()


def test_the_first_of_a_tie_gets_the_gradient():
    assert pooled([3, 3, 1, 2, 2, 2], kernel_size=3) == ([3, 2], [0, 3], [1, 0, 0, 2, 0, 0])


def test_overlapping_windows_add_up():
    assert pooled([1, 5, 2, 0], kernel_size=2, stride=1) == ([5, 5, 2], [1, 1, 2], [0, 3, 3, 0])


def test_the_padding_is_less_than_anything():
    assert pooled([-3, -4], kernel_size=2, stride=2, padding=1) == ([-3, -4], [0, 1], [1, 2])
    assert pooled([-INF, -INF], kernel_size=2, stride=2, padding=1) == ([-INF, -INF], [0, 1], [1, 2])
    assert pooled([-INF] * 3, kernel_size=3) == ([-INF], [0], [1, 0, 0])


def test_the_last_nan_wins():
    y, indices, gx = pooled([NAN, 1, NAN, 5, INF, 2], kernel_size=3)
    assert np.isnan(y[0])
    assert (y[1], indices, gx) == (INF, [2, 4], [0, 0, 1, 0, 2, 0])


def test_a_window_in_the_padding_has_no_index_and_no_gradient():
    assert pooled([7], kernel_size=2, dilation=2, padding=1) == ([-INF], [-1], [0])


def test_windows_may_reach_beyond_the_padding():
    assert pooled([1, 2, 3], kernel_size=2, ceil_mode=True) == ([2, 3], [1, 2], [0, 1, 2])
    # but not begin there
    assert pooled([1, 2, 3], kernel_size=2, stride=3, padding=1, ceil_mode=True)[0] == [1, 3]


def test_indices_are_flat_in_the_map_of_the_channel():
    x = np.arange(2 * 2 * 4 * 6, dtype=float).reshape(2, 2, 4, 6)
    (y, indices), _ = mint.max_pool2d(x, kernel_size=(2, 3), return_indices=True)
    assert indices.dtype == np.int64
    assert indices[0, 0].tolist() == indices[1, 1].tolist() == [[8, 11], [20, 23]]
    assert np.array_equal(np.take_along_axis(x.reshape(2, 2, 24), indices.reshape(2, 2, 4), 2), y.reshape(2, 2, 4))


def test_like_pytorch_on_ties_and_nan():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    special = np.array([-INF, INF, NAN, 0, 1, 1, 2])
    for axes in (1, 2, 3):
        pool = getattr(torch.nn.functional, f"max_pool{axes}d")
        for stride, padding, ceil_mode in ((1, 0, False), (2, 1, True), (3, 1, False)):
            hyper = {"kernel_size": 3, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
            x = rng.choice(special, (2, 3, *(6, 5, 4)[:axes]))
            (y, indices), vjp = getattr(mint, f"max_pool{axes}d")(x, return_indices=True, **hyper)
            tx = torch.tensor(x, requires_grad=True)
            ty, expected = pool(tx, return_indices=True, **hyper)
            gy = rng.integers(1, 9, y.shape).astype(float)
            ty.backward(torch.tensor(gy))
            assert np.array_equal(y, ty.detach().numpy(), equal_nan=True)
            assert np.array_equal(indices, expected.numpy())
            assert np.array_equal(vjp(gy)[0], tx.grad.numpy())
