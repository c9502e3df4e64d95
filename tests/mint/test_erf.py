"""erf and erfc against mpmath, the standard library, and each other, in units in the last place."""

import math

import numpy as np
import pytest

from mint.erf import erf, erfc

LIMITS = {np.float32: 1, np.float64: 2, np.longdouble: 8}  # ulp; promised by the docstring
# the standard library's erfc (glibc, macOS, Windows) is known to be off by up to 5 ulp itself
LIBRARY = 5


def sample(dtype, count):
    rng = np.random.default_rng(0)
    regions = [
        rng.uniform(-7, 28, count),
        rng.uniform(-1.1, 1.1, count),
        rng.uniform(0.75, 1.1, count),
        rng.choice([-1, 1], count) * 2.0 ** rng.uniform(-120, 0, count),
    ]
    joints = [edge + step for edge in (-1, -0.8125, 0.8125, 1) for step in (-(2**-22), 0, 2**-22)]
    return np.concatenate([*regions, joints]).astype(dtype)


def exact(mpmath, value):
    """A NumPy scalar of up to 64 digits as an mpmath number."""
    mantissa, exponent = np.frexp(value)
    return mpmath.ldexp(int(np.ldexp(np.longdouble(mantissa), 64)), int(exponent) - 64)


@pytest.mark.parametrize("function", [erf, erfc])
@pytest.mark.parametrize("dtype", LIMITS)
def test_against_mpmath(function, dtype):
    mpmath = pytest.importorskip("mpmath", reason="the truth to many digits needs mpmath")
    x = sample(dtype, 300)
    y = function(x)
    assert y.dtype == dtype
    with mpmath.workdps(60):
        for at, value in zip(x, y, strict=True):
            truth = getattr(mpmath, function.__name__)(exact(mpmath, at))
            # 2⁻ᵈ of the binade that holds the truth, or the distance of subnormals
            binade = int(mpmath.floor(mpmath.log(abs(truth), 2)))
            lowest = np.finfo(dtype).minexp
            ulp = mpmath.ldexp(1, max(binade, lowest) - np.finfo(dtype).nmant)
            assert abs(exact(mpmath, value) - truth) <= LIMITS[dtype] * ulp, at


@pytest.mark.parametrize(("function", "library"), [(erf, math.erf), (erfc, math.erfc)])
def test_against_the_standard_library(function, library):
    x = sample(np.float64, 20000)
    truth = np.array([library(at) for at in x])
    assert (abs(function(x) - truth) <= (LIMITS[np.float64] + LIBRARY) * np.spacing(abs(truth))).all()


def test_float64_against_the_continued_fraction_in_longdouble():
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("longdouble is float64 on this platform")
    x = sample(np.float64, 20000)
    for function in (erf, erfc):
        truth = function(x.astype(np.longdouble))
        error = abs(function(x) - truth)
        assert (error <= LIMITS[np.float64] * np.spacing(abs(truth.astype(np.float64)))).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_special_values(dtype):
    x = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], dtype)
    assert erf(x).tolist()[:4] == [-1, 0, 0, 1]
    assert np.signbit(erf(x)[1])
    assert erfc(x).tolist()[:4] == [2, 1, 1, 0]
    assert np.isnan(erf(x)[4])
    assert np.isnan(erfc(x)[4])
    assert erf(x).dtype == erfc(x).dtype == dtype
    with np.errstate(under="ignore"):  # the true value is below the smallest number
        assert erfc(np.array(np.finfo(dtype).max)) == 0
    tiny = np.array(np.finfo(dtype).smallest_subnormal)
    assert erf(tiny) == tiny
