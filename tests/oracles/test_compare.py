"""Comparing a tensor with the truth: figures worked out by hand, and rules that hold for any numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oracles.compare import compare, headroom, is_vacuous, ulp_error
from oracles.precision import available_dtypes, precision

SINGLE = precision("float32")
U = 2.0**-24 + 2.0**-53  # the unit roundoffs of float32 and of its truth, float64
FLOOR = 2.0**-149 * 2**14  # what underflow may cost: 2^14 of the smallest subnormal
LIMIT = 8.0


def judged(got, truth, scale, p=SINGLE, limit=LIMIT, **more):
    arrays = (np.atleast_1d(np.asarray(a, p.truth)) for a in (got, truth, scale))
    return compare(*arrays, p, limit, **{"exact": False, "flushes": False, **more})


def test_the_error_ratio_by_hand():
    # error 2⁻²⁰ against u·G with G = 4
    c = judged(1 + 2.0**-20, 1, 4)
    assert c.error_ratio[0] == pytest.approx(2.0**-20 / (4 * U + FLOOR), rel=1e-12)
    assert c.error_ratio[0] == pytest.approx(4, rel=1e-6)
    assert c.relative_error == 2.0**-20
    assert c.ulp[0] == 8  # an ulp of 1 is 2⁻²³
    assert (c.wrong, c.unjudged, c.exact) == (0, 0, 0)
    assert c.allowed == pytest.approx(LIMIT * 4 * U, rel=1e-6)


def test_the_limit_is_the_last_ratio_that_passes():
    # G = 0 leaves the floor, a power of two, so that the ratio is exact
    assert judged(LIMIT * FLOOR, 0, 0).largest_ratio == LIMIT
    assert judged(LIMIT * FLOOR, 0, 0).wrong == 0
    assert judged(np.nextafter(LIMIT * FLOOR, 1), 0, 0).wrong == 1
    assert judged(LIMIT * FLOOR, 0, 0, limit=np.nextafter(LIMIT, 0)).wrong == 1


def test_who_flushes_subnormals_has_a_higher_floor():
    lost = SINGLE.smallest_normal * 2.0**14
    assert judged(0, lost, 0).wrong == 1
    assert judged(0, lost, 0, flushes=True).largest_ratio == 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("value", [np.inf, np.nan, 1.0])
def test_infinities_and_nans_stand_in_place_and_with_their_sign(value, sign):
    expected = [sign * value, 2.0]
    assert judged(expected, expected, [np.inf if value != 1 else 1, 2]).wrong == 0
    for other in (np.inf, -np.inf, np.nan):
        if other == sign * value or (np.isnan(other) and np.isnan(value)):
            continue
        c = judged([other, 2.0], expected, [np.inf if value != 1 else 1, 2])
        assert c.wrong == 1
        assert c.largest_ratio == np.inf
        assert c.ulp[0] == np.inf
        assert c.worst == (0,)


def test_a_finite_number_for_an_infinity_is_wrong():
    assert judged(SINGLE.largest, np.inf, np.inf).wrong == 1


def test_near_overflow_nobody_is_judged():
    edge = SINGLE.largest / headroom(SINGLE)
    assert judged(0, 1, edge).unjudged == 0
    c = judged([np.inf, 5], [1, 1], [np.nextafter(edge, np.inf), 1])
    assert (c.unjudged, c.wrong, c.error_ratio.size, c.worst) == (1, 1, 1, (1,))
    assert judged([7], [1], [np.nan]).unjudged == 1


def test_a_truth_that_overflowed_judges_nobody():
    # the same figures are an infinity that stands in the input, and then it must be there
    assert judged(np.inf, np.nan, np.inf).wrong == 1
    assert judged(np.inf, np.nan, np.inf, finite_inputs=True).unjudged == 1
    assert judged(np.inf, 1, 1, finite_inputs=True).wrong == 1


def test_where_sums_are_exact_only_equality_passes():
    almost = 3 + 2.0**-40  # no rounding error of float32 is this small, yet it is none of the integers
    assert judged(almost, 3, 3).wrong == 0
    c = judged([almost, 3, -0.0], [3, 3, 0.0], [3, 3, 0], exact=True)
    assert (c.wrong, c.exact, c.worst, c.allowed) == (1, 3, (0,), 0.0)


def test_sums_larger_than_the_significand_are_rounded_even_of_integers():
    largest_exact = 2.0**24
    assert judged(1, 0, largest_exact, exact=True).wrong == 1
    assert judged(1, 0, np.nextafter(largest_exact, np.inf), exact=True).wrong == 0


def test_the_worst_is_a_wrong_element_even_with_a_smaller_ratio():
    c = judged([1 + 4 * U, 3 + 2.0**-40], [1, 3], [2.0**25, 3], exact=True)
    assert c.wrong == 1
    assert c.worst == (1,)


def test_the_worst_element_of_a_matrix_by_name_and_value():
    truth = np.zeros((2, 3))
    got = truth.copy()
    got[1, 2] = 5
    c = compare(got.astype(np.float32), truth, np.ones(()), SINGLE, LIMIT, exact=False, flushes=False)
    assert (c.worst, c.got, c.expected, c.wrong) == ((1, 2), "5.0", "0.0", 1)


def test_nothing_is_compared_of_nothing():
    c = judged([], [], [])
    assert (c.wrong, c.worst, c.largest_ratio, c.relative_error) == (0, None, 0, 0)


@pytest.mark.parametrize(
    ("got", "expected", "ulps"),
    [
        (1 + 2.0**-23, 1, 1),
        (1 - 2.0**-24, 1, 0.5),  # below a power of two the grid is twice as fine; the truth's ulp counts
        (-3, -3 - 2.0**-22, 1),
        (2.0**-24, 0, 1),  # zero is measured like the numbers from ½ to 1
        (0, 3 * 2.0**-149, 3),
        (2.0**-126, 2.0**-126 - 2.0**-149, 1),
        (np.inf, np.inf, 0),
        (np.nan, np.nan, 0),
        (np.nan, 1, np.inf),
        (np.inf, -np.inf, np.inf),
        (0.0, -0.0, 0),
    ],
)
def test_ulps_by_hand(got, expected, ulps):
    assert ulp_error(np.array([got]), np.array([expected]), SINGLE) == ulps


@pytest.mark.parametrize("dtype", available_dtypes())
@given(data=st.data())
def test_a_correctly_rounded_result_has_a_ratio_of_at_most_one(dtype, data):
    p = precision(dtype)
    bound = min(float(p.largest / headroom(p)), 1e300)
    numbers = hnp.arrays(np.float64, 5, elements=st.floats(-bound, bound))
    truth = data.draw(numbers).astype(p.truth) / p.truth.type(3)
    c = compare(truth.astype(p.dtype), truth, truth, p, 1.0, exact=False, flushes=False)
    assert c.largest_ratio <= 1
    assert c.wrong == 0
    assert (c.ulp <= 0.5).all()


@pytest.mark.parametrize(
    ("values", "vacuous"),
    [
        ([], True),
        ([0.0], True),
        ([1.0], False),
        ([2.0, 2.0], True),
        ([1.0, 2.0], False),
        ([1.0] + 9 * [0.0], True),
        ([1.0, 2.0] + 9 * [0.0], False),
        ([np.nan, np.nan], False),
    ],
)
def test_what_proves_nothing(values, vacuous):
    assert is_vacuous(np.array(values)) is vacuous
