"""Layouts change where values lie, never what they are (but for `broadcast`, which says so)."""

import numpy as np
import pytest

from oracles import torch_voice
from oracles.layout import LAYOUTS, lay_out, source
from oracles.precision import available_dtypes, precision
from oracles.script import SHARED_LAYOUTS

ITEM = 4  # bytes of a float32
STRIDES = {
    "contiguous": (60, 20, 5, 1),
    "channels_last": (60, 1, 15, 3),
    "fortran": (1, 2, 6, 24),
    "sliced": (120, 40, 10, 2),
    "negative": (60, 20, 5, -1),
    "broadcast": (0, 20, 5, 1),
    "read_only": (60, 20, 5, 1),
    "odd_strides": (60, 20, 5, 1),
}
SHAPES = [(), (1,), (3,), (0,), (2, 3), (0, 3), (2, 0), (2, 3, 4), (2, 3, 4, 5), (1, 1, 1, 1), (2, 0, 3, 1)]


def numbered(shape, dtype="float32"):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def test_every_layout_has_its_strides():
    assert STRIDES.keys() == LAYOUTS.keys()
    x = numbered((2, 3, 4, 5))
    for layout, strides in STRIDES.items():
        assert lay_out(x, layout).strides == tuple(ITEM * stride for stride in strides), layout


@pytest.mark.parametrize("dtype", [*(precision(name).dtype for name in available_dtypes()), "int64", "uint8"], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_values_stay(layout, dtype):
    for shape in SHAPES:
        x = numbered(shape, dtype)
        laid = lay_out(x, layout)
        assert laid.dtype == x.dtype
        assert laid.shape == x.shape
        np.testing.assert_array_equal(laid, np.broadcast_to(x[:1], shape) if layout == "broadcast" and shape else x)


def test_what_a_slice_skips_is_nan():
    laid = lay_out(numbered((2, 3)), "sliced")
    assert np.isnan(laid.base[..., 1::2]).all()


def test_an_axis_of_one_element_has_an_odd_stride():
    laid = lay_out(numbered((1, 3, 1)), "odd_strides")
    assert laid.strides == (13 * ITEM, ITEM, 13 * ITEM)
    assert laid.flags.c_contiguous


def test_read_only_refuses_to_be_written():
    laid = lay_out(numbered((2, 3)), "read_only")
    with pytest.raises(ValueError, match="read-only"):
        laid[0] = 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_script_lays_out_in_the_same_way(layout):
    for shape in SHAPES:
        names = {"np": np, "x": numbered(shape)}
        expected = lay_out(numbered(shape), layout)
        exec(source("x", layout, len(shape)), names)
        np.testing.assert_array_equal(names["x"], expected)
        assert names["x"].strides == expected.strides
        assert names["x"].flags.writeable == expected.flags.writeable


@pytest.mark.parametrize("layout", SHARED_LAYOUTS)
def test_pytorch_is_given_the_same_strides(layout):
    pytest.importorskip("torch")
    voice = torch_voice.TorchVoice()
    for shape in [(2, 3), (2, 3, 4, 5), (1, 3, 1, 2)]:
        x = numbered(shape)
        laid = lay_out(x, layout)
        tensor = voice.tensor(x, layout)
        assert [ITEM * stride for stride in tensor.stride()] == [*laid.strides]
        np.testing.assert_array_equal(tensor.numpy(), laid)
