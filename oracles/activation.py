"""Smooth activations: definitions.

Each scale G states, in one line of mathematics, the magnitudes that are added and cancelled on the way to
the output and to the gradient, every function evaluated with its argument's own rounding in mind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.draw import elementwise, spoil_number
from oracles.formula import constant, formula
from oracles.operation import Array, Hyper, Operation, Shapes


def logistic(x: Array) -> Array:
    """σ(x), for the scales."""
    return 1 / (1 + np.exp(-x))


def elu_scale(x: Array, gy: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """x ≤ 0: α·(eˣ − 1), a difference of eˣ and 1; its slope α·eˣ may be formed as y + α."""
    below = x <= 0
    e = np.exp(np.minimum(x, 0))
    return np.where(below, abs(alpha) * (e + 1), np.abs(x)), np.abs(gy) * np.where(below, abs(alpha) * (e + 1), 1)


elu = Operation(
    function=mint.elu,
    underflows=True,
    draw=elementwise(alpha=st.sampled_from((1.0, 0.5, 2.0, 1.6732632423543772))),
    spoil=spoil_number("alpha"),
    equations=equations.elu,
    jax=lambda jax, x, alpha=1.0: jax.nn.elu(x, alpha),
    scale=elu_scale,
)


def sigmoid_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """G = σ; its slope σ·(1 − σ) adds σ and σ²."""
    s = logistic(x)
    return s, np.abs(gy) * s * (1 + s)


sigmoid = Operation(
    function=mint.sigmoid,
    underflows=True,
    draw=elementwise(),
    equations=equations.sigmoid,
    jax=lambda jax, x: jax.nn.sigmoid(x),
    scale=sigmoid_scale,
)


def tanh_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """G = |tanh x|; its slope 1 − tanh² adds 1 and tanh²."""
    t = np.tanh(x)
    return np.abs(t), np.abs(gy) * (1 + t * t)


tanh = Operation(
    function=mint.tanh,
    underflows=True,
    draw=elementwise(),
    equations=equations.tanh,
    torch=lambda F, x: x.tanh(),
    jax=lambda jax, x: jax.numpy.tanh(x),
    scale=tanh_scale,
)


def softplus_scale(x: Array, gy: Array, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Array]:
    """y = log(1 + e^z)/β with z = β·x: G = y + |x|·σ(z); slope σ(z): G = σ·(1 + |z|·(1 − σ))."""
    z = beta * x
    s = logistic(z)
    linear = z > threshold
    y = np.where(linear, np.abs(x), np.logaddexp(0, z) / abs(beta) + np.abs(x) * s)
    return y, np.abs(gy) * np.where(linear, 1, s * (1 + np.abs(z) * (1 - s)))


def softplus_jax(jax: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    z = beta * x
    linear = z > threshold
    # the branch not taken gets a harmless argument, so that its gradient is not inf·0
    return jax.numpy.where(linear, x, jax.nn.softplus(jax.numpy.where(linear, 0, z)) / beta)


softplus = Operation(
    function=mint.softplus,
    underflows=True,
    draw=elementwise(beta=st.sampled_from((1.0, 2.0, 0.5, 3.7)), threshold=st.sampled_from((20.0, 1.0, 5.0, 50.0))),
    spoil=spoil_number("beta"),
    equations=equations.softplus,
    jax=softplus_jax,
    scale=softplus_scale,
)


def gelu_scale(x: Array, gy: Array, approximate: str = "none") -> tuple[Array, Array]:
    """x·½·(1 + erf(x/√2)), and with φ the normal density slope ½·(1 + erf) + x·φ; or tanh for erf.

    e^(−x²/2) loses x²/2 units to the rounding of its exponent, tanh(z) loses |z|·(1 − tanh²).
    """
    a = np.abs(x)
    if approximate == "none":
        y, _ = equations.gelu(a)
        erf = np.where(a > 0, 2 * y / a - 1, 0)
        density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        return a * (1 + erf) / 2, np.abs(gy) * ((1 + erf) / 2 + a * density * (1 + x * x))
    root = np.sqrt(2 / np.pi)
    z, slope = root * (a + 0.044715 * a**3), root * (1 + 3 * 0.044715 * a * a)
    t = np.tanh(z)
    rest = np.where(t < 1, 1 - t * t, 0)
    lost = np.where(rest > 0, rest * z, 0)
    inner = np.where(rest > 0, slope * (1 + t * t + 2 * lost), 0) + np.where((rest == 0) & np.isfinite(slope), slope, 0)
    return a * (1 + t + lost) / 2, np.abs(gy) * ((1 + t + lost) / 2 + a * inner / 2)


gelu = Operation(
    function=mint.gelu,
    underflows=True,
    draw=elementwise(approximate=st.sampled_from(("none", "tanh"))),
    spoil=spoil_number("approximate"),
    equations=equations.gelu,
    jax=lambda jax, x, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    scale=gelu_scale,
)


def silu_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """G = |x|·σ; its slope σ·(1 + x·(1 − σ)) adds 1, x and x·σ."""
    s = logistic(x)
    a = np.abs(x)
    return a * s, np.abs(gy) * s * (1 + a * (1 + s))


silu = Operation(
    function=mint.silu,
    underflows=True,
    draw=elementwise(),
    equations=equations.silu,
    jax=lambda jax, x: jax.nn.silu(x),
    scale=silu_scale,
)


@formula
def selu_formula(x: Any) -> Any:
    """y = λx for x > 0, else λα(e^x − 1)."""
    scale, alpha = (
        constant(x, "1.0507009873554804934193349852946063520"),
        constant(x, "1.6732632423543772848170429916716520385"),
    )
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


def selu_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """λ times the scale of celu, with α on the left."""
    alpha = np.where(x > 0, 1, constant(x, "1.6732632423543772848170429916716520385"))
    y, gx = celu_scale(x, gy)
    scale = alpha * constant(x, "1.0507009873554804934193349852946063520")
    return scale * y, scale * gx


selu = Operation(
    function=mint.selu,
    underflows=True,
    draw=elementwise(),
    equations=selu_formula,
    scale=selu_scale,
    jax=lambda jax, x: jax.nn.selu(x),
)


def spoil_celu(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Nothing to divide by, a word."""
    del hyper
    return "alpha", shapes, {"alpha": draw(st.sampled_from((0.0, 0, "steep")))}


@formula
def celu_formula(x: Any, *, alpha: float = 1.0) -> Any:
    """y = x for x > 0, else α(e^(x/α) − 1)."""
    a = x.dtype.type(alpha)
    return np.where(x > 0, x, a * np.expm1(x / a))


def celu_scale(x: Array, gy: Array, alpha: float = 1.0) -> tuple[Array, Array]:
    """z = x/α ≤ 0 is rounded: α(e^z − 1) loses |α||z|e^z; its slope e^z loses |z|e^z and may be formed as y/α + 1."""
    z = np.where(x > 0, 0, x / x.dtype.type(alpha))
    e = np.exp(z)
    lost = np.where(e > 0, np.abs(z) * e, 0)
    return np.where(x > 0, np.abs(x), abs(alpha) * (np.abs(np.expm1(z)) + lost)), np.abs(gy) * (1 + e + lost)


celu = Operation(
    function=mint.celu,
    underflows=True,
    draw=elementwise(alpha=st.sampled_from((1.0, 0.5, 2.0, 0.3, -1.5))),
    spoil=spoil_celu,
    equations=celu_formula,
    scale=celu_scale,
    jax=lambda jax, x, alpha=1.0: jax.nn.celu(x, alpha),
)


def mish_equations(x: Array) -> tuple[Array, Any]:
    """y = x·t, t = tanh(log(1 + e^x)); y′ = t + x·(1 − t²)·σ(x)."""
    t = np.tanh(np.logaddexp(0, x))
    return x * t, lambda gy: (gy * (t + x * ((1 - t * t) * logistic(x))),)


def mish_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """t is as good as its argument; the slope adds 1 and t² in 1 − t², and σ may be formed as e^(x − log(1 + e^x))."""
    t, s, a = np.tanh(np.logaddexp(0, x)), logistic(x), np.abs(x)
    inner = np.where(s > 0, a * s * (1 + t * t), 0) + np.where((s > 0) & (t < 1), a * (a * s * (1 - t * t)), 0)
    return 2 * a * t, np.abs(gy) * (2 * t + inner)


mish = Operation(
    function=mint.mish,
    underflows=True,
    draw=elementwise(),
    equations=mish_equations,
    scale=mish_scale,
    jax=lambda jax, x: jax.nn.mish(x),
)


@formula
def softsign_formula(x: Any) -> Any:
    """y = x/(1 + |x|)."""
    return x / (1 + np.abs(x))


softsign = Operation(
    function=mint.softsign,
    draw=elementwise(),
    equations=softsign_formula,
    jax=lambda jax, x: jax.nn.soft_sign(x),
)


@formula
def logsigmoid_formula(x: Any) -> Any:
    """y = −log(1 + e^−x), for x ≤ 0 as x − log(1 + e^x)."""
    return np.where(x > 0, -np.log1p(np.exp(-x)), x - np.log1p(np.exp(x)))


def logsigmoid_scale(x: Array, gy: Array) -> tuple[Array, Array]:
    """Nothing cancels: G = |y|; the slope σ(−x), which may be formed as e^(−x + y), loses |x|·σ(−x)."""
    s = logistic(-x)
    return np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x))), np.abs(gy) * (s + np.where(s > 0, np.abs(x) * s, 0))


logsigmoid = Operation(
    function=mint.logsigmoid,
    underflows=True,
    draw=elementwise(),
    equations=logsigmoid_formula,
    scale=logsigmoid_scale,
    jax=lambda jax, x: jax.nn.log_sigmoid(x),
)


@formula
def tanhshrink_formula(x: Any) -> Any:
    """y = x − tanh x."""
    return x - np.tanh(x)


tanhshrink = Operation(
    function=mint.tanhshrink,
    underflows=True,
    draw=elementwise(),
    equations=tanhshrink_formula,
    jax=lambda jax, x: x - jax.numpy.tanh(x),
)
