"""Rearrangements: by hand, batch axes, what undoes what, empty arrays, the same as in PyTorch, and what is refused."""

import numpy as np
import pytest

import mint


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def test_pixel_shuffle_by_hand():
    # channel c·r² + i·r + j is row i, column j of the blocks of channel c
    x = numbered(8, 1, 2)
    y, vjp = mint.pixel_shuffle(x, upscale_factor=2)
    assert y.tolist() == [[[0, 2, 1, 3], [4, 6, 5, 7]], [[8, 10, 9, 11], [12, 14, 13, 15]]]
    assert np.array_equal(vjp(y)[0], x)
    back, back_vjp = mint.pixel_unshuffle(y, downscale_factor=2)
    assert np.array_equal(back, x)
    assert np.array_equal(back_vjp(x)[0], y)


def test_channel_shuffle_by_hand():
    x = numbered(2, 6, 1)
    y, vjp = mint.channel_shuffle(x, groups=3)
    assert y[0].ravel().tolist() == [0, 2, 4, 1, 3, 5]
    assert np.array_equal(y[1], y[0] + 6)
    # the gradient is the shuffle with as many groups as there were channels in each
    gx = vjp(x)[0]
    assert gx[0].ravel().tolist() == [0, 3, 1, 4, 2, 5]
    assert np.array_equal(mint.channel_shuffle(gx, groups=3)[0], x)


def test_any_batch_axes():
    one = numbered(4, 2, 3)
    for batch in ((2,), (2, 3), (1, 2, 2)):
        x = np.broadcast_to(one, (*batch, *one.shape))
        y, _ = mint.pixel_shuffle(x, upscale_factor=2)
        assert y.shape == (*batch, 1, 4, 6)
        assert (y == mint.pixel_shuffle(one, upscale_factor=2)[0]).all()
        assert np.array_equal(mint.pixel_unshuffle(y, downscale_factor=2)[0], x)
    for rest in ((2,), (2, 3), (1, 2, 2)):
        assert mint.channel_shuffle(numbered(1, 4, *rest), groups=2)[0].shape == (1, 4, *rest)


@pytest.mark.parametrize(
    ("move", "shape", "due"),
    [
        (lambda x: mint.pixel_shuffle(x, upscale_factor=2), (4, 1, 0), (1, 2, 0)),
        (lambda x: mint.pixel_shuffle(x, upscale_factor=2), (0, 4, 1, 1), (0, 1, 2, 2)),
        (lambda x: mint.pixel_shuffle(x, upscale_factor=3), (0, 1, 1), (0, 3, 3)),
        (lambda x: mint.pixel_unshuffle(x, downscale_factor=2), (1, 2, 0), (4, 1, 0)),
        (lambda x: mint.channel_shuffle(x, groups=2), (2, 0, 2), (2, 0, 2)),
        (lambda x: mint.channel_shuffle(x, groups=2), (0, 4, 2), (0, 4, 2)),
    ],
)
def test_empty_arrays(move, shape, due):
    y, vjp = move(np.empty(shape))
    assert y.shape == due
    assert vjp(y)[0].shape == shape


def test_the_same_as_in_pytorch():
    functional = pytest.importorskip("torch.nn.functional", reason="compares with PyTorch")
    import torch

    for name, argument, shape in (
        ("pixel_shuffle", {"upscale_factor": 3}, (2, 18, 2, 3)),
        ("pixel_unshuffle", {"downscale_factor": 3}, (2, 2, 6, 9)),
        ("channel_shuffle", {"groups": 3}, (2, 12, 2, 3)),
    ):
        x = numbered(*shape)
        tensor = torch.tensor(x, requires_grad=True)
        expected = getattr(functional, name)(tensor, *argument.values())
        y, vjp = getattr(mint, name)(x, **argument)
        gy = numbered(*y.shape) ** 2
        assert np.array_equal(y, expected.detach().numpy())
        assert np.array_equal(vjp(gy)[0], torch.autograd.grad(expected, tensor, torch.tensor(gy))[0].numpy())


X = numbered(1, 4, 2, 2)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: mint.pixel_shuffle(X, upscale_factor=3), r"the channels of x must be divisible by upscale_factor² 9"),
        (lambda: mint.pixel_shuffle(X, upscale_factor=0), "upscale_factor must be an int of at least 1; got 0"),
        (lambda: mint.pixel_shuffle(X[0, 0], upscale_factor=1), r"x must have shape \(..., C, H, W\); got \(2, 2\)"),
        (lambda: mint.pixel_unshuffle(X, downscale_factor=4), "height and width must be divisible by downscale_factor"),
        (lambda: mint.pixel_unshuffle(X, downscale_factor=-1), "downscale_factor must be an int of at least 1; got -1"),
        (lambda: mint.channel_shuffle(X, groups=3), "the channels of x must be divisible by groups 3"),
        (lambda: mint.channel_shuffle(X, groups=0), "groups must be an int of at least 1; got 0"),
        (lambda: mint.channel_shuffle(X[0, 0], groups=1), r"x must have shape \(N, C, ...\) and at least 3 axes"),
    ],
)
def test_refusals(refused, message):
    with pytest.raises(ValueError, match=message):
        refused()


def test_a_factor_is_an_int():
    for refused in (
        lambda: mint.pixel_shuffle(X, upscale_factor=2.0),
        lambda: mint.pixel_unshuffle(X, downscale_factor=True),
        lambda: mint.channel_shuffle(X, groups="2"),
    ):
        with pytest.raises(TypeError, match="must be an int of at least 1"):
            refused()
