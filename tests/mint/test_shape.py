"""Unflatten and Identity: PyTorch's rules for the sizes, refusals."""

from itertools import product

import numpy as np
import pytest

import mint


def test_unflatten_is_flatten_the_other_way_round():
    x = np.arange(24.0).reshape(2, 12)
    y, vjp = mint.unflatten(x, dim=-1, sizes=[3, -1])
    assert np.array_equal(y, x.reshape(2, 3, 4))
    assert np.array_equal(mint.flatten(y, start_dim=1)[0], x)
    assert np.array_equal(vjp(y)[0], x)


def test_it_takes_and_refuses_what_pytorch_does():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    shapes = ((), (0,), (6,), (0, 6), (6, 0), (2, 6))
    sizes = (
        (),
        (6,),
        (-1,),
        (2, 3),
        (2, -1),
        (-1, 3),
        (4, -1),
        (2, 2),
        (-1, -1),
        (0,),
        (0, 2),
        (-1, 0),
        (-1, 2),
        (-2, -3),
    )
    for shape, dim, lengths in product(shapes, range(-3, 3), sizes):
        try:
            expected = tuple(torch.unflatten(torch.zeros(shape), dim, lengths).shape)
        except (RuntimeError, IndexError):
            with pytest.raises(ValueError, match=r"^unflatten: (dim|sizes|x) must [^\n]*; got [^\n]*$"):
                mint.unflatten(np.zeros(shape), dim=dim, sizes=lengths)
        else:
            assert mint.unflatten(np.zeros(shape), dim=dim, sizes=lengths)[0].shape == expected


@pytest.mark.parametrize("sizes", [6, (2.0, 3), (True, 6), None, "23"])
def test_sizes_are_a_tuple_of_ints(sizes):
    with pytest.raises(TypeError, match=r"^unflatten: sizes must be a tuple of ints, .* with the product 6; got "):
        mint.unflatten(np.zeros(6), dim=0, sizes=sizes)


def test_identity_hands_through():
    x, gy = np.ones(3), np.zeros(3)
    y, vjp = mint.Identity()(x)
    assert y is x
    assert vjp(gy) is gy
    assert repr(mint.Sequential(mint.Identity(), mint.Unflatten(1, (2, 3)))) == (
        "Sequential(Identity(), Unflatten(dim=1, sizes=(2, 3)))"
    )
