"""Power-average pooling: definitions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, isinf, log2, prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.adaptive_pool import maps, maxima, maxima_jax, taps_of
from oracles.catalogue import operation
from oracles.configuration import Case
from oracles.formula import formula, value
from oracles.inputs import make_inputs
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes
from oracles.pool import window_taps
from oracles.precision import precision
from oracles.window import each_axis, per_axis, spoil_window, window

NORM_TYPES = st.sampled_from((2, 1.0, 3.0, 0.5, 1.5, inf, -inf, 4.0, -2.0, -1, 0.7, -0.5, -3.0, 5))


def draw_lp(draw: st.DrawFn, *, axes: int) -> tuple[Shapes, Hyper]:
    """Windows as of average pooling without padding, and norms of all kinds."""
    disjoint = draw(st.booleans())
    fitted = window(draw, axes, lambda kernel, span: 0, dilated=False, disjoint=disjoint)
    hyper: Hyper = {
        "norm_type": draw(NORM_TYPES),
        "kernel_size": fitted.kernel[0] if axes == 1 else per_axis(draw, fitted.kernel),
        "ceil_mode": draw(st.booleans()),
    }
    if not disjoint:
        hyper["stride"] = per_axis(draw, fitted.stride)
    return {"x": maps(draw, fitted.size)}, hyper


def spoil_lp(draw: st.DrawFn, shapes: Shapes, hyper: Hyper, *, axes: int) -> tuple[str, Shapes, Hyper]:
    """No norm, kernels larger than the map, zeros, words, other axes."""
    if draw(st.integers(0, 3)) == 3:
        return "x", {"x": draw(st.sampled_from(((2,) * axes, (1,) * (axes + 3))))}, hyper
    what, hyper = spoil_window(
        draw, hyper, axes, padding=(1,), norm_type=(0, 0.0, "two"), kernel_size=(0, -1, 2.5, (2,) * (axes + 1), 99)
    )
    return what, shapes, {**hyper, "ceil_mode": False} if what == "kernel_size" else hyper


def tame(x: Array) -> Array:
    """Half of all arrays without negative numbers, which have no fractional powers, and none that nearly cancel."""
    magnitude = np.abs(x)
    tiny = magnitude[(magnitude > 0) & (magnitude < 2.0**-13)]
    alike = (np.abs(magnitude - 1) < 1 / 32).all() or (magnitude > 2**13).any() or np.unique(tiny).size < tiny.size
    chosen = magnitude if x.size and (alike or x.flat[0] > 0) else x
    # the reciprocals of 1, 2 and 4 sum up exactly; 1/3 + 1/3 + 1/3 − 1 is 0 or not by rounding
    chosen = np.where(magnitude == 3, chosen + np.sign(chosen), chosen)
    if x.dtype == np.longdouble:
        # there is no higher precision, in which their powers would not overflow
        most = x.dtype.type(2) ** (np.finfo(x.dtype).maxexp // 6)
        chosen = np.where(chosen == 0, chosen, np.copysign(np.clip(np.abs(chosen), 1 / most, most), chosen))
    # at ∞ y has no slope: PyTorch's is NaN, that of the formula 0
    return np.where(np.isinf(x), np.nan, chosen)


def visible(gy: Array) -> Array:
    """Cotangents of which a slope leaves something, and that do not cancel exactly where an infinite one comes."""
    whole = bool((gy % 1 == 0).all())
    return np.where(np.abs(gy) < 2.0**-13, 1, np.abs(gy) if whole else gy)


# --- equations ----------------------------------------------------------------------------------------------


def members_of(size: tuple[int, ...], kernel_size: Any, stride: Any, ceil_mode: bool) -> tuple[tuple[int, ...], Array]:
    """The output size, and whether element q of the map is in window p, [p, q]."""
    counts, taps, _ = window_taps(size, kernel_size, stride, 0, 1, ceil_mode)
    members = np.ones((1, 1), bool)
    for m, tap in zip(size, taps, strict=True):
        members = np.kron(members, (tap[:, :, None] == np.arange(m)).any(1))
    return counts, members


def power(x: Any, exponent: Any) -> Any:
    """x^exponent; by a logarithm where the exponent may have been rounded, so that G allows for it."""
    if exponent == 0.5:
        return np.sqrt(x)
    if exponent % 1 == 0:
        return x**exponent
    positive = value(x) > 0
    return np.where(positive, np.exp(exponent * np.log(np.where(positive, x, 1))), x**exponent)


@formula
def lp_pool_formula(
    x: Any, *, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, axes: int
) -> Any:
    """y[o] = (k/m·Σ over the q in window o of x[q]^p)^(1/p), m the number of these q; or the extreme |x[q]|."""
    lead, size = x.shape[:-axes], x.shape[-axes:]
    counts, members = members_of(size, kernel_size, stride, ceil_mode)
    if isinf(norm_type):
        sign = 1 if norm_type > 0 else -1
        # the slope of |x| is 0 at 0 and at NaN
        flat = np.isnan(value(x)) | (value(x) == 0)
        return sign * maxima(sign * np.where(flat, 0 * x, np.abs(x)), axes, counts, members, False)
    p = x.dtype.type(norm_type)
    elements = x.reshape(*lead, 1, prod(size))
    share = x.dtype.type(prod(each_axis(kernel_size, axes))) / members.sum(-1)
    powers = power(elements, p)
    total = share * np.where(members, value(powers), 0).sum(-1)
    # a root that is NaN has the slope NaN for all elements of its window, also those of slope 0; but for p = 1 1
    none = np.isnan(power(total, 1 / p))[..., None] & (p != 1)
    total = share * np.where(members, np.where(none, np.nan * elements, powers), 0).sum(-1)
    # where the sum is 0 there is no gradient
    zero = value(total) == 0
    root = np.where(zero, power(value(total), 1 / p), power(np.where(zero, 1, total), 1 / p))
    return root.reshape(*lead, *counts)


# --- JAX ----------------------------------------------------------------------------------------------------


def lp_pool_jax(
    jax: Any, x: Any, *, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, axes: int
) -> Any:
    jnp = jax.numpy
    p, dtype, lead, size = norm_type, x.dtype, x.shape[:-axes], x.shape[-axes:]
    # powers of half precision in float32, where they do not overflow
    x = x.astype(jnp.promote_types(dtype, jnp.float32))
    counts, members = members_of(size, kernel_size, stride, ceil_mode)
    if isinf(p):
        sign = 1 if p > 0 else -1
        # not jnp.abs alone, which has slopes at 0 and at NaN
        magnitude = jnp.where((x == 0) | jnp.isnan(x), jax.lax.stop_gradient(jnp.abs(x)), jnp.abs(x))
        taps, _ = taps_of(members)
        windows = sign * magnitude.reshape(*lead, prod(size))[..., taps]
        return (sign * maxima_jax(jax, windows, taps, (*lead, *counts), False)).astype(dtype)
    share = (prod(each_axis(kernel_size, axes)) / members.sum(-1)).astype(x.dtype)
    elements = x.reshape(*lead, 1, prod(size))

    def total_of(elements: Any) -> Any:
        powers = jax.lax.integer_pow(elements, int(p)) if p == int(p) else elements**p
        return share * jnp.where(members, powers, 0).sum(-1)

    # where y is at a kink it is the root of a constant; elements that are in no other window are 1
    total = jax.lax.stop_gradient(total_of(elements))
    kink = (total == 0) | (jnp.isinf(total) & (p < 0))
    used = (members & ~kink[..., None]).any(-2, keepdims=True)
    y = jnp.where(kink, total, total_of(jnp.where(used, elements, 1))) ** (1 / p)
    return y.reshape(*lead, *counts).astype(dtype)


# --- limitations --------------------------------------------------------------------------------------------


def elements(case: Case) -> Array:
    """The input of a case, in the precision of the truth."""
    x = make_inputs(operation(case.configuration.op), case)["x"]
    assert x is not None
    return x.astype(precision(case.configuration.dtype).truth)


def of_finite_order(applies: Callable[[Case, float], bool]) -> Callable[[Case], bool]:
    """A condition on cases and their norm_type, which does not hold for ±∞."""

    def holds(case: Case) -> bool:
        p = float(case.configuration.hyper["norm_type"])
        return not isinf(p) and applies(case, p)

    return holds


def leaves_range(case: Case, p: float, *, least: str) -> bool:
    """Whether a power of an element leaves the range of the dtype of the case, or of `least` if that is wider."""
    x = np.abs(elements(case))
    exponents = np.abs(np.log2(x[np.isfinite(x) & (x > 0)]))
    most = max(float(np.log2(precision(name).largest)) for name in (case.configuration.dtype, least))
    taps = prod(each_axis(case.configuration.hyper["kernel_size"], int(case.configuration.op[-2])))
    return p != 1 and bool((exponents * max(abs(p), abs(p - 1)) + log2(taps) > most - 2).any())


def sums(case: Case, p: float) -> tuple[Array, Array, Array, Array]:
    """The elements, which of them are in which window, and the sums of their powers there and of the magnitudes."""
    hyper, x, axes = case.configuration.hyper, elements(case), int(case.configuration.op[-2])
    size = x.shape[-axes:]
    _, members = members_of(size, hyper["kernel_size"], hyper.get("stride"), hyper.get("ceil_mode", False))
    with np.errstate(all="ignore"):
        powers = np.where(members, x.reshape(*x.shape[:-axes], 1, prod(size)) ** p, 0)
        return x.reshape(*x.shape[:-axes], prod(size)), members, powers.sum(-1), np.abs(powers).sum(-1)


def nearly_cancels(case: Case, p: float) -> bool:
    """Whether rounding to the dtype may decide if a sum of odd powers is positive."""
    if p % 2 != 1:
        return False
    _, _, total, most = sums(case, p)
    limit = 64 * precision(case.configuration.dtype).unit_roundoff
    return bool(((np.abs(total) > 0) & (np.abs(total) < limit * most)).any())


def without_slope(case: Case, p: float) -> bool:
    """Whether an element whose power has no finite slope is only in windows that are at a kink, or in none."""
    x, members, total, _ = sums(case, p)
    sloping = (total != 0) & ~(np.isinf(total) & (p < 0))
    with np.errstate(all="ignore"):
        slope = x ** (p - 1)
    return bool((~np.isfinite(slope) & ~(members & sloping[..., None]).any(-2)).any())


def has_nan(case: Case, p: float) -> bool:
    """Whether NaN may stand in a sum of first powers."""
    return p == 1 and case.fill == "special"


RANGE = "powers leave the range of the dtype on the way to a result that does not"
SIGN = "odd powers nearly cancel: rounding to the dtype decides whether their sum has a root"
KINK = (
    "the gradient that arrives at a power is 0 in a sum that is 0 or infinite, and between the windows; PyTorch makes "
    "NaN of it where the power has no finite slope"
)


def _lp_pool(axes: int) -> Operation:
    return Operation(
        function=getattr(mint, f"lp_pool{axes}d"),
        draw=partial(draw_lp, axes=axes),
        spoil=partial(spoil_lp, axes=axes),
        equations=partial(lp_pool_formula, axes=axes),
        jax=partial(lp_pool_jax, axes=axes),
        adjust={"x": tame, "gy": visible},
        exact=lambda configuration: isinf(configuration.hyper["norm_type"]),
        limitations=(
            Limitation("torch", RANGE, applies=of_finite_order(partial(leaves_range, least="float16"))),
            Limitation("jax", RANGE, applies=of_finite_order(partial(leaves_range, least="float32"))),
            Limitation("torch", SIGN, applies=of_finite_order(nearly_cancels)),
            Limitation("jax", SIGN, applies=of_finite_order(nearly_cancels)),
            Limitation("torch", KINK, applies=of_finite_order(without_slope), tensors=("gx",)),
            Limitation(
                "torch",
                "PyTorch gives a sum that is NaN the sign 0, and its elements no gradient",
                applies=of_finite_order(has_nan),
                tensors=("gx",),
            ),
        ),
    )


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(axes) for axes in (1, 2, 3))
