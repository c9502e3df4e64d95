"""The figures of the formats are NumPy's."""

import sys

import numpy as np
import pytest

from oracles.precision import DTYPES, available_dtypes, bits, precision

NUMPYS = [name for name in DTYPES if name != "bfloat16"]


@pytest.mark.parametrize("name", NUMPYS)
def test_figures_are_those_of_finfo(name):
    p, info = precision(name), np.finfo(name)
    assert p.dtype == np.dtype(name)
    assert 2 * p.unit_roundoff == info.eps
    assert p.largest == info.max
    assert p.smallest_normal == info.smallest_normal
    assert p.smallest_subnormal == info.smallest_subnormal


def test_bfloat16_is_the_upper_half_of_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    p, info = precision("bfloat16"), ml_dtypes.finfo(ml_dtypes.bfloat16)
    assert 2 * p.unit_roundoff == float(info.eps)
    assert p.largest == float(info.max)
    assert p.smallest_normal == float(info.smallest_normal) == precision("float32").smallest_normal
    assert p.smallest_subnormal == float(info.smallest_subnormal)


@pytest.mark.parametrize("name", available_dtypes())
def test_figures_can_be_stored_in_the_format(name):
    p = precision(name)
    for figure in (p.largest, p.smallest_normal, p.smallest_subnormal):
        assert p.truth.type(np.array(figure).astype(p.dtype)) == figure
    one = p.truth.type(1)
    assert np.array(one + p.unit_roundoff).astype(p.dtype) == 1  # a tie, rounded to even
    assert np.array(one + 2 * p.unit_roundoff).astype(p.dtype) > 1


@pytest.mark.parametrize(("name", "truth"), [("float16", np.float64), ("float32", np.float64)])
def test_the_truth_of_a_short_format_is_double(name, truth):
    assert precision(name).truth == truth


def test_the_truth_of_a_double_is_the_longest_there_is():
    assert precision("float64").truth == precision("longdouble").truth == np.longdouble


@pytest.mark.parametrize("name", ["float8", "int32", "", "Float32"])
def test_an_unknown_dtype_says_which_are_known(name):
    with pytest.raises(LookupError, match=f"unknown dtype '{name}'; expected one of float32, float64"):
        precision(name)


def test_without_ml_dtypes_there_is_no_bfloat16(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    precision.cache_clear()
    try:
        assert "bfloat16" not in available_dtypes()
        with pytest.raises(LookupError, match="bfloat16 needs the package ml_dtypes"):
            precision("bfloat16")
    finally:
        precision.cache_clear()


def test_bits_of_a_longdouble_are_those_of_its_value():
    # the same values on top of different rubbish: x87's padding bytes keep what was there
    clean = np.zeros(3, np.longdouble)
    soiled = np.full(clean.nbytes, 0xFF, np.uint8).view(np.longdouble)
    for array in (clean, soiled):
        array[:] = np.array([1, -0.0, np.inf], np.longdouble)
    assert bits(clean) == bits(soiled)
    assert bits(clean) != bits(-clean)


def test_bits_do_not_depend_on_the_memory_layout():
    x = np.arange(6, dtype=np.longdouble).reshape(2, 3)
    assert bits(x) == bits(np.asfortranarray(x)) == bits(np.repeat(x, 2, axis=1)[:, ::2])
