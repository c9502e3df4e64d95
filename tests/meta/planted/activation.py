"""Slips in activations."""

from __future__ import annotations

import itertools

import numpy as np

import mint
from mint.activation import CUBIC, SELU_SCALE, SQRT_2_OVER_PI, _sigmoid, _sigmoid_slope
from mint.differentiable import differentiable
from tests.meta.planted.bug import Array, Vjp, plant, wrong

SCALAR = "x=(1,)"


@plant("relu", None, SCALAR, verdict="mutates-input", also=((None, "rejects-valid"),))
def input_overwritten(x: Array) -> tuple[Array, Vjp]:
    """ReLU in place."""
    y, vjp = mint.relu(x.copy())
    np.maximum(x, 0, out=x)
    return y, vjp


@plant("silu", None, SCALAR, verdict="mutates-input", also=((None, "rejects-valid"),))
def input_overwritten_by_another_value(x: Array) -> tuple[Array, Vjp]:
    """SiLU in place: whoever reads the input next computes something else."""
    y, vjp = mint.silu(x.copy())
    x *= _sigmoid(x)
    return y, vjp


@plant("elu", None, SCALAR, verdict="writes-outside", also=((None, "rejects-valid"),))
def past_the_end(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """The loop runs to the end of the vector register, over the end of the input."""
    y, vjp = mint.elu(x, alpha=alpha)
    if x.flags.c_contiguous:
        np.lib.stride_tricks.as_strided(x, (x.size + 3,), (x.itemsize,))[x.size :] = 0
    return y, vjp


_SCRATCH: dict[object, Array] = {}


@plant("tanh", "y", "x=(1,)", "x=()", verdict="shares-memory")
def scratch_returned(x: Array) -> tuple[Array, Vjp]:
    """The output is a buffer kept from call to call."""
    y, vjp = mint.tanh(x)
    buffer = _SCRATCH.setdefault((y.shape, y.dtype), np.empty_like(y))
    buffer[...] = y
    return buffer, vjp


_CALLS = itertools.count()


@plant("softsign", "y", "x=(1,)", "x=()", verdict="nondeterministic")
def rounded_by_turns(x: Array) -> tuple[Array, Vjp]:
    """A race: every other time the last bit is another."""
    y, vjp = mint.softsign(x)
    return np.asarray(np.nextafter(y, np.asarray(next(_CALLS) % 2, y.dtype))), vjp


@plant("sigmoid", None, "x=(1,)", "x=()", verdict="warns", dtypes=("float32", "float64"))
def overflow_on_the_way(x: Array) -> tuple[Array, Vjp]:
    """1/(1 + e⁻ˣ): for a large negative x the exponential overflows, and the result is right."""
    y, vjp = mint.sigmoid(x)
    np.exp(-x)
    return y, vjp


@plant("relu", "y", SCALAR, condition=("the fill is special",))
@differentiable
def nan_lost(x: Array) -> tuple[Array, Vjp]:
    """A comparison with NaN is false, and so NaN becomes 0."""
    return np.where(x > 0, x, 0), mint.relu(x)[1]


@plant("leaky_relu", "gx", SCALAR)
@differentiable
def slope_one_at_zero(x: Array, *, negative_slope: float = 0.01) -> tuple[Array, Vjp]:
    """The slope at 0 is 1, and not negative_slope."""
    y, vjp = mint.leaky_relu(x, negative_slope=negative_slope)
    return y, lambda gy: (np.where(x == 0, gy, vjp(gy)[0]),)


@plant("elu", "gx", f"{SCALAR} alpha=0.5", condition=("alpha is not 1",))
@differentiable
def alpha_in_the_forward_only(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """The slope on the left is exp(x), without alpha."""
    return mint.elu(x, alpha=alpha)[0], mint.elu(x)[1]


@plant("sigmoid", "y", SCALAR, "x=(2,)", also=wrong("gx"))
@differentiable
def exponential_overflows(x: Array) -> tuple[Array, Vjp]:
    """exp(x)/(1 + exp(x)) is ∞/∞ for large x."""
    y = np.exp(x) / (1 + np.exp(x))
    return y, lambda gy: (gy * (y * (1 - y)),)


@plant("tanh", "gx", SCALAR)
@differentiable
def square_missing(x: Array) -> tuple[Array, Vjp]:
    """The slope is 1 − |y|, and not 1 − y²."""
    y = np.tanh(x)
    return y, lambda gy: (gy * (1 - abs(y)),)


@plant("softplus", "y", f"{SCALAR} threshold=1.0", "x=(2,)", also=wrong("gx"))
@differentiable
def threshold_ignored(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Vjp]:
    """The logarithm is taken past the threshold as well."""
    del threshold
    return mint.softplus(x, beta=beta, threshold=np.inf)


@plant("gelu", "gx", f"{SCALAR} approximate=tanh", condition=("approximate = 'tanh'",))
@differentiable
def inner_derivative_missing(x: Array, *, approximate: str = "none") -> tuple[Array, Vjp]:
    """The derivative of x + 0.044715·x³ is taken for 1."""
    y, vjp = mint.gelu(x, approximate=approximate)
    c, a = x.dtype.type(SQRT_2_OVER_PI), x.dtype.type(CUBIC)
    twice_u = 2 * c * (x + a * x * x * x)
    if approximate == "none":
        return y, vjp
    return y, lambda gy: (gy * (_sigmoid(twice_u) + 2 * c * (x * _sigmoid_slope(twice_u))),)


@plant("softmax", "gx", f"{SCALAR} dim=0")
@differentiable
def mean_term_missing(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """The gradient is y·gy: the Jacobian is taken for diagonal."""
    y, _ = mint.softmax(x, dim=dim)
    return y, lambda gy: (y * gy,)


@plant("log_softmax", "gx", "x=(1,2) dim=0")
@differentiable
def sum_over_the_last_axis(x: Array, *, dim: int) -> tuple[Array, Vjp]:
    """The gradient sums over the last axis, whatever dim is."""
    y, _ = mint.log_softmax(x, dim=dim)
    return y, lambda gy: (gy - np.exp(y) * gy.sum(axis=-1, keepdims=True),)


@plant("celu", "gx", f"{SCALAR} alpha=0.5", condition=("alpha is not 1",))
@differentiable
def inner_alpha_missing(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """The slope on the left is alpha·exp(x/alpha): the alpha that divides x is forgotten."""
    y, vjp = mint.celu(x, alpha=alpha)
    return y, lambda gy: (np.where(x > 0, gy, np.asarray(vjp(gy)[0]) * alpha),)


@plant("logsigmoid", "y", SCALAR)
@differentiable
def logarithm_of_what_underflows(x: Array) -> tuple[Array, Vjp]:
    """log(σ(x)) is −∞ where σ(x) rounds to 0."""
    return np.log(_sigmoid(x)), mint.logsigmoid(x)[1]


@plant("mish", "gx", SCALAR)
@differentiable
def slope_of_softplus_missing(x: Array) -> tuple[Array, Vjp]:
    """The slope is t + x·(1 − t²), without the σ(x) of the inner derivative."""
    t = np.tanh(np.logaddexp(0, x))
    return mint.mish(x)[0], lambda gy: (gy * (t + x * (1 - t * t)),)


@plant("selu", "y", SCALAR, also=wrong("gx"))
@differentiable
def scale_on_the_right_only(x: Array) -> tuple[Array, Vjp]:
    """λ multiplies x > 0, and not the exponential."""
    y, vjp = mint.selu(x)
    factor = np.where(x > 0, 1, 1 / x.dtype.type(SELU_SCALE))
    return y * factor, lambda gy: (np.asarray(vjp(gy)[0]) * factor,)


@plant("softsign", "gx", SCALAR)
@differentiable
def magnitude_forgotten(x: Array) -> tuple[Array, Vjp]:
    """The slope is 1/(1 + x)², without the magnitude."""
    return mint.softsign(x)[0], lambda gy: (gy / (1 + x) ** 2,)


@plant("tanhshrink", "gx", SCALAR)
@differentiable
def slope_of_tanh(x: Array) -> tuple[Array, Vjp]:
    """The slope is that of tanh."""
    return mint.tanhshrink(x)[0], mint.tanh(x)[1]


@plant("tanhshrink", "y", SCALAR, dtypes=("float64",))
@differentiable
def tanh_in_single_precision(x: Array) -> tuple[Array, Vjp]:
    """tanh is rounded to float32 on the way."""
    return x - np.tanh(x.astype(np.float32)).astype(x.dtype), mint.tanhshrink(x)[1]
