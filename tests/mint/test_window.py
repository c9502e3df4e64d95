"""Windows: gathering them and scattering them back are adjoint, whatever the geometry."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mint.window import Window, gather, scatter


@st.composite
def windows(draw):
    axes = draw(st.integers(1, 3))

    def per_axis(least, most):
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    return Window(
        size=per_axis(0, 5),
        kernel=per_axis(1, 3),
        stride=per_axis(1, 3),
        dilation=per_axis(1, 3),
        before=per_axis(0, 3),
        out=per_axis(0, 4),
    )


@given(windows(), st.integers(0, 2**32 - 1))
def test_scatter_is_the_adjoint_of_gather(window, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, 3, *window.size))
    gathered = gather(x, window)
    back = rng.integers(-9, 10, gathered.shape)
    assert np.sum(gathered * back) == np.sum(x * scatter(back, window))


@given(windows())
def test_gather_reads_the_element_that_the_formula_names(window):
    x = np.arange(np.prod(window.size)).reshape(1, 1, *window.size)
    gathered = gather(x, window, -1)
    for k, offset in enumerate(np.ndindex(window.kernel)):
        for place in np.ndindex(window.out):
            at = tuple(
                o * s + i * d - lo
                for o, s, i, d, lo in zip(place, window.stride, offset, window.dilation, window.before, strict=True)
            )
            inside = all(0 <= a < m for a, m in zip(at, window.size, strict=True))
            assert gathered[(0, k, 0, *place)] == (x[(0, 0, *at)] if inside else -1)
