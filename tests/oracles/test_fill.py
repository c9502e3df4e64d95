"""Fills: the same bits for the same seed, everywhere; and the values that they promise."""

import hashlib

import numpy as np
import pytest

from oracles.fill import FILLS, values
from oracles.precision import available_dtypes, bits, precision

SHAPE, SEED = (3, 7), 20
#: SHA-256 of the values of x, the first 16 digits: a NumPy or a Python that draws other bits breaks every
#: descriptor that was ever written down, so it must not pass unnoticed.
DIGESTS = {
    ("normal", "float32"): "8bf14809a49b3a32",
    ("normal", "float64"): "ee8f69d54dad43b9",
    ("normal", "float16"): "f1bd3a335af141e5",
    ("integers", "float32"): "137aaa10094a4734",
    ("integers", "float64"): "22c3623ef0f8add4",
    ("integers", "float16"): "4cb8d4707bc2bdef",
    ("cancelling", "float32"): "c71da569ca845503",
    ("cancelling", "float64"): "66e58776cba191b6",
    ("cancelling", "float16"): "9ce5ab7f5dc9f032",
    ("wide", "float32"): "b5934c4a9e6edada",
    ("wide", "float64"): "de0b5452c0a85dc1",
    ("wide", "float16"): "a0328ad6a7c4c4b8",
    ("ties", "float32"): "adafafbbb1daf870",
    ("ties", "float64"): "d17e972fdf197200",
    ("ties", "float16"): "153f3f1da73d68da",
    ("special", "float32"): "11eb0d6f9a734ea5",
    ("special", "float64"): "1345e0d02c3cd095",
    ("special", "float16"): "ce29ca3345fb3400",
    ("subnormal", "float32"): "c416c721f137d1a4",
    ("subnormal", "float64"): "25157f97a8f1269a",
    ("subnormal", "float16"): "b8d5333ce541f478",
    ("largest", "float32"): "bc2ed8a9cae91507",
    ("largest", "float64"): "e86fb92ac6178364",
    ("largest", "float16"): "77fc31867d712ce8",
}


def digest(fill, dtype):
    return hashlib.sha256(bits(values(fill, SEED, "x", SHAPE, precision(dtype)))).hexdigest()[:16]


@pytest.mark.parametrize(("fill", "dtype"), DIGESTS)
def test_bits_are_those_they_always_were(fill, dtype):
    assert digest(fill, dtype) == DIGESTS[fill, dtype]


def test_every_fill_is_pinned():
    assert {fill for fill, _ in DIGESTS} == FILLS.keys()


def drawn(fill, dtype="float32", name="x", size=4000):
    return values(fill, SEED, name, (size,), precision(dtype))


@pytest.mark.parametrize("dtype", available_dtypes())
@pytest.mark.parametrize("fill", FILLS)
def test_every_fill_makes_every_dtype_and_shape(fill, dtype):
    for shape in ((), (1,), (0,), (2, 0, 3), (2, 3, 4)):
        x = values(fill, SEED, "x", shape, precision(dtype))
        assert x.shape == shape
        assert x.dtype == precision(dtype).dtype
        assert x.flags.c_contiguous
        assert x.flags.writeable
        assert bits(x) == bits(values(fill, SEED, "x", shape, precision(dtype)))


@pytest.mark.parametrize("fill", FILLS)
def test_other_seeds_and_other_names_give_other_values(fill):
    x = drawn(fill)
    assert bits(x) != bits(drawn(fill, name="w"))
    assert bits(x) != bits(values(fill, SEED + 1, "x", x.shape, precision("float32")))


def test_integers_are_small_and_all_there():
    assert set(drawn("integers")) == set(range(-4, 5))


def test_ties_are_minus_one_zero_and_one():
    assert set(drawn("ties")) == {-1, 0, 1}


@pytest.mark.parametrize("dtype", available_dtypes())
def test_normal_uses_all_the_digits(dtype):
    p = precision(dtype)
    significand, _ = np.frexp(drawn("normal", dtype).astype(p.truth))
    last = significand * p.truth.type(2) ** p.digits
    assert (last == np.rint(last)).all()
    assert 0.4 < (last % 2 == 1).mean() < 0.6


@pytest.mark.parametrize(("dtype", "sum_of"), [("float32", "x"), ("float64", "gy")])
def test_cancelling_sums_nearly_vanish(dtype, sum_of):
    x = drawn("cancelling", dtype, sum_of)
    assert (np.abs(np.abs(x) - 1) < 0.01).all()
    assert abs(x.sum()) < 1e-3 * np.abs(x).sum()
    assert (drawn("cancelling", dtype, "w") > 0).all()


@pytest.mark.parametrize("dtype", available_dtypes())
def test_wide_spans_many_octaves_and_stays_finite(dtype):
    x = np.abs(drawn("wide", dtype)).astype(np.float64)
    assert np.isfinite(x).all()
    octaves = np.ptp(np.log2(x[x > 0]))
    assert octaves > (10 if dtype == "float16" else 30)


@pytest.mark.parametrize("dtype", available_dtypes())
@pytest.mark.parametrize("fill", ["special", "subnormal", "largest"])
def test_one_in_eight_is_special_of_one_kind(fill, dtype):
    p = precision(dtype)
    x = drawn(fill, dtype).astype(p.truth)
    kinds = {
        "special": np.isinf(x) | np.isnan(x) | (x == 0),
        "subnormal": np.abs(x) <= p.smallest_normal,
        "largest": (np.abs(x) == p.largest) | (x == 0),
    }
    assert 0.10 < kinds[fill].mean() < 0.15
    assert np.isfinite(x[~kinds["special"]]).all()
    if fill != "special":
        assert np.isfinite(x).all()
    wanted = {
        "special": (0.0, np.inf),
        "subnormal": (0.0, p.smallest_normal, p.smallest_subnormal),
        "largest": (0.0, p.largest),
    }
    for value in wanted[fill]:
        for signed in (value, -value):
            assert ((x == signed) & (np.signbit(x) == np.signbit(signed))).any()
    assert np.isnan(x).any() == (fill == "special")
