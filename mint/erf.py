"""The error function and its complement, for arrays, in NumPy alone.

erf(x) = 2/√π · ∫₀ˣ exp(−t²) dt and erfc(x) = 1 − erf(x), each accurate relative to itself over the whole
range: within 1 ulp in float32, 2 ulp in float64 and 8 ulp in longdouble, where the difference 1 − erf(x)
would have no correct digit left from x = 6 on.

Near 0 the Maclaurin series of erf is used; further out erfc(x) = exp(−x²) · S(x)/x, where the slowly varying
S(x) = x·exp(x²)·erfc(x), which tends to 1/√π, comes from a Chebyshev expansion in float64 and from Laplace's
continued fraction in longdouble. Other floating-point dtypes are computed in float64.

Sources: Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 7.1.5 (series) and 7.1.14
(continued fraction); Shepherd and Laframboise, "Chebyshev approximation of (1+2x)exp(x²)erfc x", Math. Comp.
36, 1981.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mint.differentiable import Array

# where the series gives way: 1 − erf(x) has its digits up to 13/16, erf(x) is best had as 1 − erfc(x) from 1
# on
ERFC_SERIES, ERF_SERIES = 0.8125, 1.0

# 2/√π, and what exceeds 1 in it
SLOPE, EXCESS = "1.1283791670955125738961589031215451717", "0.1283791670955125738961589031215451717"

# S(x) − 1/2 = Σ cₙ·Tₙ(t) with t = (x − 7/4)/(x + 1/8), so that x from 13/16 to ∞ is t from −1 to 1
CHEBYSHEV = (
    -0.010396844585709412,
    0.0898936366559198,
    -0.009892369246049904,
    -0.004832307924537055,
    -0.0007297164529064362,
    6.106423922024172e-05,
    6.678332316226812e-05,
    1.9001595079223328e-05,
    1.8754927263447542e-06,
    -8.645358802580888e-07,
    -5.297719729578114e-07,
    -1.480786059711446e-07,
    -1.3879191703730247e-08,
    8.97467456414278e-09,
    5.814400265254847e-09,
    1.8597545789814802e-09,
    2.656092494876255e-10,
    -8.482176424616177e-11,
    -7.731996394046684e-11,
    -3.0885226651406574e-11,
    -6.935043926528125e-12,
    2.1091298516900252e-13,
    1.0518725395825347e-12,
    5.740505489247837e-13,
    1.8666703311625596e-13,
    2.82861276827192e-14,
    -1.0126297766731477e-14,
    -1.0262518333126079e-14,
    -4.749089029560481e-15,
    -1.3748070933218774e-15,
    -1.2761540345861224e-16,
    1.3345988598237867e-16,
    1.0479556329011971e-16,
    4.584020947982378e-17,
    1.2710148534523515e-17,
)


def erf(x: Array) -> Array:
    """The error function 2/√π · ∫₀ˣ exp(−t²) dt, element by element; the result has the dtype of x.

    >>> erf(np.array([-np.inf, 0.5, 6.0]))
    array([-1. , 0.52049988, 1. ])
    """
    return _in_regions(
        x,
        ERF_SERIES,
        inner=lambda z: z + _excess(z),
        right=lambda z: 1 - _tail(z),
        left=lambda z: _tail(-z) - 1,
    )


def erfc(x: Array) -> Array:
    """The complementary error function 1 − erf(x), element by element; the result has the dtype of x.

    >>> erfc(np.array([-np.inf, 0.5, 6.0]))
    array([2.00000000e+00, 4.79500122e-01, 2.15197367e-17])
    """
    return _in_regions(x, ERFC_SERIES, inner=lambda z: (1 - z) - _excess(z), right=_tail, left=lambda z: 2 - _tail(-z))


def _in_regions(
    x: Array,
    bound: float,
    *,
    inner: Callable[[Array], Array],
    right: Callable[[Array], Array],
    left: Callable[[Array], Array],
) -> Array:
    wide = x.astype(np.promote_types(x.dtype, np.float64))
    # a NaN lies in no region and stays
    y = np.piecewise(
        wide,
        [abs(wide) < bound, wide >= bound, wide <= -bound],
        [inner, right, left, lambda z: z],
    )
    return y.astype(x.dtype)


def _excess(x: Array) -> Array:
    # erf(x) − x, by erf(x) = 2/√π · Σ (−1)ⁿ·x²ⁿ⁺¹ / (n!·(2n + 1)): small, added to x or 1 − x at the end
    real = x.dtype.type
    square = x * x
    terms = next(n for n in range(1, 99) if 1 / math.factorial(n) < np.finfo(x.dtype).eps / 8)
    tail = np.zeros_like(x)
    for n in range(terms, 0, -1):
        tail = square * ((-1) ** n / (real(math.factorial(n)) * (2 * n + 1)) + tail)
    y: Array = x * (real(EXCESS) + real(SLOPE) * tail)
    return y


def _tail(x: Array) -> Array:
    # erfc(x) = exp(−x²)·S(x)/x for x from ERFC_SERIES on, rounded once at the end. An absolute error of the
    # exponent is a relative one of erfc, so x² must not be rounded: with h the leading half of x, exp(−x²) =
    # exp(−h²)·(1 + small).
    x = np.minimum(x, 256)  # erfc is 0 by then, and x² still finite
    h = _leading_half(x)
    e = np.exp(-h * h)
    small = np.expm1((h - x) * (h + x))
    slow = _chebyshev(x) if x.dtype == np.float64 else _continued_fraction(x)
    s = slow + 0.5
    s_rest = slow - (s - 0.5)
    # S·(1 + small)/x = q + rest, and e·q = e_leading·q + (e − e_leading)·q, where the products of halves are
    # exact
    q = _leading_half(s / x)
    rest = ((s - q * h) - q * (x - h) + (s_rest + s * small)) / x
    e_leading = _leading_half(e)
    y: Array = e_leading * q + ((e - e_leading) * q + e * rest)
    return y


def _leading_half(x: Array) -> Array:
    # Veltkamp's splitting: what is left of x when its trailing half of the digits is rounded away
    digits = np.finfo(x.dtype).nmant + 1
    shifted = x.dtype.type(2) ** ((digits + 1) // 2) * x
    half: Array = (shifted + x) - shifted
    return half


def _chebyshev(x: Array) -> Array:
    slow: Array = np.polynomial.chebyshev.chebval((x - 1.75) / (x + 0.125), CHEBYSHEV)
    return slow


def _continued_fraction(x: Array) -> Array:
    # √π·exp(x²)·erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), from the inside out; n terms leave an
    # error of about exp(−2x·√(2n)), here at the smallest x
    real = x.dtype.type
    terms = math.ceil((math.log(np.finfo(x.dtype).eps / 8) / (2 * ERFC_SERIES)) ** 2 / 2)
    denominator = x
    for n in range(terms, 0, -1):
        denominator = x + real(n) / 2 / denominator
    y: Array = x / denominator * real(SLOPE) / 2 - real(0.5)
    return y
