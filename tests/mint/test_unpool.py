"""Max-unpooling: the inverse of max-pooling, sizes of the output, indices that repeat, refusals."""

import numpy as np
import pytest

import mint


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_maxima_go_back_to_where_they_were(axes):
    size = (7, 6, 5)[:axes]
    x = np.random.default_rng(0).permutation(np.arange(1.0, 2 * 3 * np.prod(size) + 1)).reshape(2, 3, *size)
    for hyper in ({"kernel_size": 2}, {"kernel_size": 2, "stride": 3}, {"kernel_size": 3, "padding": 1}):
        (y, indices), _ = getattr(mint, f"max_pool{axes}d")(x, return_indices=True, **hyper)
        unpool = getattr(mint, f"max_unpool{axes}d")
        back, vjp = unpool(y, indices, output_size=size, **hyper)
        kept = np.zeros((2, 3, np.prod(size)), bool)
        np.put_along_axis(kept, indices.reshape(2, 3, -1), True, 2)
        assert np.array_equal(back, np.where(kept.reshape(x.shape), x, 0))
        gx, none = vjp(x)
        assert none is None
        assert np.array_equal(gx, y)
        assert np.array_equal(unpool(y, indices, output_size=x.shape, **hyper)[0], back)
        single, _ = unpool(y[1], indices[1], output_size=size, **hyper)
        assert np.array_equal(single, back[1])


def test_of_several_elements_with_one_index_the_last_remains():
    x, indices = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[5, 0, 5, 2]])
    y, vjp = mint.max_unpool1d(x, indices, kernel_size=2)
    assert y.tolist() == [[2, 0, 4, 0, 0, 3, 0, 0]]
    assert vjp(np.arange(8.0)[np.newaxis])[0].tolist() == [[0, 0, 5, 2]]


def test_pooling_and_unpooling_is_the_identity_at_its_maxima():
    # two windows share their maximum, and its gradient arrives once
    x = np.array([[[1.0, 5.0, 2.0]]])
    (y, indices), pool_vjp = mint.max_pool1d(x, kernel_size=2, stride=1, return_indices=True)
    z, unpool_vjp = mint.max_unpool1d(y, indices, kernel_size=2, stride=1)
    assert z.tolist() == [[[0, 5, 0]]]
    gy, _ = unpool_vjp(np.ones_like(z))
    assert pool_vjp(gy)[0].tolist() == [[[0, 1, 0]]]


def test_sizes():
    x, indices = np.ones((2, 3, 4, 5)), np.zeros((2, 3, 4, 5), np.int32)
    for hyper, size in (
        ({"kernel_size": 2}, (8, 10)),
        ({"kernel_size": (2, 3), "stride": (1, 2)}, (5, 11)),
        ({"kernel_size": 3, "stride": 2, "padding": (1, 0)}, (7, 11)),
        ({"kernel_size": 2, "output_size": (7, 11)}, (7, 11)),
        ({"kernel_size": 2, "output_size": [9, 9]}, (9, 9)),
        ({"kernel_size": 2, "output_size": (2, 3, 9, 9)}, (9, 9)),
    ):
        assert mint.max_unpool2d(x, indices, **hyper)[0].shape == (2, 3, *size)
    assert mint.max_unpool2d(x[:0], indices[:0], kernel_size=2)[0].shape == (0, 3, 8, 10)


def test_like_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(0)
    for axes in (1, 2, 3):
        x = rng.choice([np.inf, np.nan, 1, 2, -3], (2, 3, *(3, 4, 2)[:axes]))
        count = int(np.prod(x.shape[2:]))
        indices = np.array([[rng.permutation(count) for _ in range(3)] for _ in range(2)]).reshape(x.shape)
        name = f"max_unpool{axes}d"
        y, vjp = getattr(mint, name)(x, indices, kernel_size=2)
        tx = torch.tensor(x, requires_grad=True)
        ty = getattr(torch.nn.functional, name)(tx, torch.tensor(indices), 2)
        gy = rng.standard_normal(y.shape)
        ty.backward(torch.tensor(gy))
        assert np.array_equal(y, ty.detach().numpy(), equal_nan=True)
        assert np.array_equal(vjp(gy)[0], tx.grad.numpy())


def test_shells_are_told_the_output_size_when_called():
    layer = mint.MaxUnpool2d(2, 3, padding=1)
    assert repr(layer) == "MaxUnpool2d(kernel_size=2, stride=3, padding=1)"
    y, indices = np.arange(1.0, 5).reshape(1, 2, 2), np.arange(4).reshape(1, 2, 2)
    z, vjp = layer(y, indices)
    assert z.shape == (1, 3, 3)
    assert layer(y, indices, (4, 5))[0].shape == layer(y, indices, output_size=(4, 5))[0].shape == (1, 4, 5)
    gy, none = vjp(z)
    assert none is None
    assert gy.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_size": 0}, "kernel_size must be an int of at least 1 or a tuple of 2 of them; got 0"),
        ({"stride": (1, 0)}, r"stride must be an int of at least 1 or a tuple of 2 of them; got \(1, 0\)"),
        ({"padding": -1}, "padding must be an int of at least 0 or a tuple of 2 of them; got -1"),
        ({"padding": 3}, r"padding must leave an output map of at least 0 elements per axis; got \(-2, 0\)"),
        ({"output_size": (2, 6)}, r"output_size must be nearer to \(4, 6\) than stride \(2, 2\); got \(2, 6\)"),
        ({"output_size": (4, 8)}, r"output_size must be nearer to \(4, 6\) than stride \(2, 2\); got \(4, 8\)"),
        ({"output_size": (4,)}, r"output_size must be nearer to .*; got \(4,\)"),
        ({"output_size": (1, 1, 4, 6)}, r"output_size must be nearer to .*; got \(1, 1, 4, 6\)"),
        ({"output_size": "4"}, "output_size must be an int of at least 0 or a tuple of one or more of them; got '4'"),
    ],
)
def test_refusals(change, message):
    x, indices = np.ones((1, 3, 2, 3)), np.zeros((1, 3, 2, 3), int)
    with pytest.raises((ValueError, TypeError), match=f"^max_unpool2d: {message}$"):
        mint.max_unpool2d(x, indices, **{"kernel_size": 2, **change})


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (np.full((1, 2), -1), r"indices must lie in \[0, 3\], the output map \(4,\); got -1"),
        (np.array([[0, 4]]), r"indices must lie in \[0, 3\], the output map \(4,\); got 4"),
        (np.zeros((2, 1), int), r"indices must have the shape of x, \(1, 2\); got \(2, 1\)"),
        (np.zeros((1, 2)), "indices must have an integer dtype; got float64"),
    ],
)
def test_indices_that_are_none(indices, message):
    with pytest.raises((ValueError, TypeError), match=f"^max_unpool1d: {message}$"):
        mint.max_unpool1d(np.ones((1, 2)), indices, kernel_size=2)
