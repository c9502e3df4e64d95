"""The equations of distances, where no higher precision says what is true: longdouble's smallest numbers."""

import numpy as np
import pytest

from oracles.calibrate import LEAST
from oracles.distance import DEGREES, pairwise_distance_formula, pdist_formula
from oracles.limits import FULL

LONG = np.finfo(np.longdouble)
U = LONG.eps / 2
TINY = {
    "smallest normal": LONG.smallest_normal,
    "smallest subnormal": LONG.smallest_subnormal,
    "both": LONG.smallest_normal + LONG.smallest_subnormal,
    "subnormal": LONG.smallest_normal - LONG.smallest_subnormal,
}


@pytest.mark.parametrize("p", [p for p in DEGREES if p != 0])
@pytest.mark.parametrize("tiny", TINY)
def test_the_distance_of_two_tiny_numbers_is_their_difference(tiny, p):
    x = np.array([[TINY[tiny]], [0]], np.longdouble)
    y, vjp = pdist_formula(x, p=p)
    (gx,) = vjp(np.ones_like(y))
    assert abs(y[0] - x[0, 0]) <= max(LEAST[FULL] * U * x[0, 0], LONG.smallest_subnormal)
    assert np.abs(gx - [[1], [-1]]).max() <= LEAST[FULL] * U


@pytest.mark.parametrize("p", [-2.0, -1.0, 0.5, 1.5, 2.0, 3.0])
def test_the_slope_does_not_depend_on_the_unit(p):
    """With all differences scaled by a power of two, the distance is scaled too, and its slope stays."""
    x = np.array([0.7, 3.0, 1.3], np.longdouble)
    plain, tiny = (
        pairwise_distance_formula(x * unit, 0 * x, p=p, eps=0.0) for unit in (1, LONG.smallest_normal * 2**20)
    )
    for at_one, scaled in zip(plain[1](np.ones((), np.longdouble)), tiny[1](np.ones((), np.longdouble)), strict=True):
        assert np.abs(scaled / at_one - 1).max() <= 2 * LEAST[FULL] * U
