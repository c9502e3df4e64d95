"""Piecewise activations: linear, clipped and thresholded: definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.configuration import Case
from oracles.draw import elementwise, spoil_number
from oracles.formula import formula
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes


def magnitudes(equation: Any) -> Any:
    """The scale of an operation that adds nothing up: G = |y| and |gx|, one rounding of each."""

    def scale(x: Array, gy: Array, **hyper: Any) -> tuple[Array, Array]:
        y, vjp = equation(x, **hyper)
        return np.abs(y), np.abs(vjp(gy)[0])

    return scale


def may_hold_zero(case: Case) -> bool:
    """Whether the fill puts exact zeros into x."""
    return case.fill not in ("normal", "cancelling", "wide")


relu = Operation(
    function=mint.relu,
    draw=elementwise(),
    equations=equations.relu,
    jax=lambda jax, x: jax.nn.relu(x),
    scale=magnitudes(equations.relu),
    exact=lambda configuration: True,
    limitations=(
        Limitation(
            "jax",
            "the slope at NaN is a convention: jax.nn.relu takes 0, PyTorch 1",
            applies=lambda case: case.fill == "special",
            tensors=("gx",),
        ),
    ),
)


leaky_relu = Operation(
    function=mint.leaky_relu,
    draw=elementwise(negative_slope=st.sampled_from((0.01, 0.25, 0.0, 1.0, 0.3, -0.5))),
    spoil=spoil_number("negative_slope"),
    equations=equations.leaky_relu,
    jax=lambda jax, x, negative_slope=0.01: jax.nn.leaky_relu(x, negative_slope),
    scale=magnitudes(equations.leaky_relu),
    limitations=(
        Limitation(
            "jax",
            "the slope at 0 is a convention: jax.nn.leaky_relu takes 1, PyTorch negative_slope",
            applies=may_hold_zero,
            tensors=("gx",),
        ),
    ),
)


@formula
def relu6_formula(x: Any) -> Any:
    """y = min(max(x, 0), 6), flat at 0 and 6."""
    return np.where(x <= 0, 0, np.where(x >= 6, 6, x))


relu6 = Operation(
    function=mint.relu6,
    draw=elementwise(),
    equations=relu6_formula,
    jax=lambda jax, x: jax.nn.relu6(x),
    exact=lambda configuration: True,
    limitations=(
        Limitation(
            "jax",
            "the slope at NaN is a convention: jax.nn.relu6 takes 0, Mint and PyTorch's scalar loop 1",
            applies=lambda case: case.fill == "special",
            tensors=("gx",),
        ),
    ),
)

# Where a kink may be met, its place is a number that every dtype holds: rounded to few digits 0.3 would be another
# place, on the other side of which a value may lie.
BOUNDS = st.sampled_from(((-1.0, 1.0), (0.0, 1.0), (-2.0, 0.5), (0.25, 0.25), (-1.0, 6.0), (1, 2)))


def draw_hardtanh(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Bounds in order, or equal."""
    shapes, _ = elementwise()(draw)
    low, high = draw(BOUNDS)
    return shapes, {"min_val": low, "max_val": high}


def spoil_hardtanh(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Bounds out of order."""
    return "min_val", shapes, {**hyper, "min_val": hyper["max_val"] + draw(st.sampled_from((0.5, 2.0)))}


@formula
def hardtanh_formula(x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """y = min(max(x, min_val), max_val), flat at both."""
    return np.where(x <= min_val, min_val, np.where(x >= max_val, max_val, x))


def meets_bound(case: Case) -> bool:
    """Whether the fill, or rounding to few digits, may put a value onto a bound, a number of few digits."""
    return may_hold_zero(case) or case.configuration.dtype in ("float16", "bfloat16")


def hardtanh_jax(jax: Any, x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    if (min_val, max_val) == (-1, 1):
        return jax.nn.hard_tanh(x)
    return jax.numpy.where(x > max_val, max_val, jax.numpy.where(x < min_val, min_val, x)).astype(x.dtype)


hardtanh = Operation(
    function=mint.hardtanh,
    draw=draw_hardtanh,
    spoil=spoil_hardtanh,
    equations=hardtanh_formula,
    jax=hardtanh_jax,
    exact=lambda configuration: True,
    limitations=(
        Limitation(
            "jax",
            "the slope at the bounds is a convention: jax.nn.hard_tanh takes 1, PyTorch 0",
            applies=meets_bound,
            tensors=("gx",),
        ),
    ),
)


@formula
def hardsigmoid_formula(x: Any) -> Any:
    """y = (x + 3)/6 for −3 < x < 3, flat on both sides; NaN stays, with no slope."""
    outside = np.where(x <= -3, 0, np.where(x >= 3, 1, np.nan))
    return np.where((x > -3) & (x < 3), (x + 3) / 6, outside)


hardsigmoid = Operation(
    function=mint.hardsigmoid,
    draw=elementwise(),
    equations=hardsigmoid_formula,
    jax=lambda jax, x: jax.nn.hard_sigmoid(x),
)


@formula
def hardswish_formula(x: Any) -> Any:
    """y = x·h, h = (x + 3)/6 for −3 < x < 3, 0 below and 1 above."""
    return x * np.where(x <= -3, 0, np.where(x >= 3, 1, (x + 3) / 6))


hardswish = Operation(
    function=mint.hardswish,
    draw=elementwise(),
    equations=hardswish_formula,
    jax=lambda jax, x: jax.nn.hard_swish(x),
)


@formula
def hardshrink_formula(x: Any, *, lambd: float = 0.5) -> Any:
    """y = 0 for −λ ≤ x ≤ λ, else x."""
    return np.where((x >= -lambd) & (x <= lambd), 0, x)


hardshrink = Operation(
    function=mint.hardshrink,
    draw=elementwise(lambd=st.sampled_from((0.5, 0.0, 1.0, 0.25, -0.5))),
    spoil=spoil_number("lambd"),
    equations=hardshrink_formula,
    jax=lambda jax, x, lambd=0.5: jax.numpy.where((x >= -lambd) & (x <= lambd), 0, x),
    exact=lambda configuration: True,
)


def spoil_softshrink(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A negative threshold, an infinite one, a word."""
    del hyper
    return "lambd", shapes, {"lambd": draw(st.sampled_from((-0.5, float("inf"), "steep")))}


@formula
def softshrink_formula(x: Any, *, lambd: float = 0.5) -> Any:
    """y = x − λ for x > λ, x + λ for x < −λ, else 0; NaN stays."""
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, np.where(np.isnan(x), x, 0)))


softshrink = Operation(
    function=mint.softshrink,
    draw=elementwise(lambd=st.sampled_from((0.5, 0.0, 1.0, 0.25, 2.0))),
    spoil=spoil_softshrink,
    equations=softshrink_formula,
    jax=lambda jax, x, lambd=0.5: jax.numpy.where((x >= -lambd) & (x <= lambd), 0, x - jax.numpy.sign(x) * lambd),
    exact=lambda configuration: True,
)


@formula
def threshold_formula(x: Any, *, threshold: float, value: float) -> Any:
    """y = x for x > threshold, else value; NaN stays."""
    return np.where(x <= threshold, value, x)


threshold = Operation(
    function=mint.threshold,
    draw=elementwise(
        threshold=st.sampled_from((0.0, 0.5, -1.0, 1.0, 2)), value=st.sampled_from((0.0, 20.0, -0.5, 1.0, 3))
    ),
    spoil=spoil_number("value"),
    equations=threshold_formula,
    jax=lambda jax, x, threshold, value: jax.numpy.where(x <= threshold, value, x).astype(x.dtype),
    exact=lambda configuration: True,
)


def draw_prelu(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """One weight for all elements, as an array of one or no axis, or one for each channel."""
    shapes, _ = elementwise()(draw)
    x = shapes["x"]
    fitting = ((1,), ()) if len(x) < 2 else ((x[1],), (1,), ())
    return {**shapes, "weight": draw(st.sampled_from(fitting))}, {}


def spoil_prelu(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """A weight for other channels, one of two axes."""
    channels = shapes["x"][1] if len(shapes["x"]) > 1 else 1
    return "weight", {**shapes, "weight": draw(st.sampled_from(((channels + 1,), (1, 1), (0,))))}, hyper


@formula
def prelu_formula(x: Any, weight: Any) -> Any:
    """y = x for x > 0, else w[c]·x."""
    w = weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if weight.size != 1 else weight.reshape((1,) * x.ndim)
    return np.where(x > 0, x, w * x)


def prelu_jax(jax: Any, x: Any, weight: Any) -> Any:
    w = weight.reshape([-1 if a == 1 and weight.size != 1 else 1 for a in range(x.ndim)])
    # the branch not taken gets a harmless argument, so that its gradient is not inf·0
    return jax.numpy.where(x > 0, x, w * jax.numpy.where(x > 0, 0, x))


prelu = Operation(
    function=mint.prelu,
    draw=draw_prelu,
    spoil=spoil_prelu,
    equations=prelu_formula,
    jax=prelu_jax,
    exact=lambda configuration: True,
    # infinity times a weight of zero
    nonfinite=("x",),
)


def draw_rrelu(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """In training with slopes, in evaluation without."""
    shapes, _ = elementwise()(draw)
    lower, upper = draw(st.sampled_from(((1 / 8, 1 / 3), (0.25, 0.75), (0.5, 0.5), (-0.5, 0.25), (0.1, 0.3), (0, 1))))
    training = draw(st.booleans())
    if training:
        shapes["slope"] = shapes["x"]
    return shapes, {"lower": lower, "upper": upper, "training": training}


def spoil_rrelu(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Bounds out of order, or infinite."""
    what, value = draw(st.sampled_from((("upper", -1.0), ("lower", float("-inf")), ("upper", float("inf")))))
    return what, {"x": shapes["x"]}, {"lower": hyper["lower"], "upper": hyper["upper"], "training": True, what: value}


@formula
def rrelu_formula(
    x: Any, slope: Any = None, *, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Any:
    """y = x for x > 0, else slope·x; in evaluation slope = (lower + upper)/2."""
    if training and slope is None:
        raise ValueError("without slopes the result is random")
    real = x.dtype.type
    return np.where(x > 0, x, (slope if training else (real(lower) + real(upper)) / 2) * x)


def rrelu_torch(F: Any, x: Any, slope: Any = None, *, training: bool = False, **hyper: Any) -> Any:
    # PyTorch draws the slopes itself
    return F.rrelu(x, training=training, **hyper) if slope is None else x.where(x > 0, slope * x)


def rrelu_jax(
    jax: Any, x: Any, slope: Any = None, *, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Any:
    return jax.numpy.where(x > 0, x, (slope if training else (lower + upper) / 2) * x)


rrelu = Operation(
    function=mint.rrelu,
    draw=draw_rrelu,
    spoil=spoil_rrelu,
    equations=rrelu_formula,
    torch=rrelu_torch,
    jax=rrelu_jax,
    constant=("slope",),
)
