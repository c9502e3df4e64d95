"""Normalisation over batches, layers, groups, instances and channels: definitions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles.configuration import Case
from oracles.draw import axis_length
from oracles.formula import formula, value
from oracles.operation import Array, Hyper, Limitation, Operation, Shapes

Lengths = int | tuple[int, ...]

#: Not smaller: the variance of a constant row is made of rounding alone, and must not count beside eps.
EPS = st.sampled_from((1e-5, 1e-3, 0.1))
#: Not 1: the variance of a constant row, made of rounding alone, would be all that there is of the new one.
MOMENTA = st.sampled_from((0.1, 0.5, 0.0, 0.9))


def overflows(case: Case) -> bool:
    """Whether squares overflow on the way to a result that is small."""
    return case.fill == "largest"


OVERFLOW = (
    Limitation("torch", "PyTorch squares the largest numbers before it divides, and overflows", applies=overflows),
    Limitation("jax", "JAX squares the largest numbers before it divides, and overflows", applies=overflows),
)


def positive(variance: Array) -> Array:
    """A running variance: neither negative nor so small that its root is without digits."""
    return np.clip(np.abs(variance), 1 / 64, 1000)


def one_sided(x: Array) -> Array:
    """Numbers that are nearly ±1 all get one sign: the mean of them is large beside their spread."""
    magnitude = np.abs(x)
    return magnitude if x.size and bool((np.abs(magnitude - 1) < 1 / 32).all()) else x


def axes_after(draw: st.DrawFn, *, most: int = 3, least: int = 0) -> tuple[int, ...]:
    """The axes after the channels'."""
    return tuple(draw(st.lists(axis_length(2, 3, 1, 5), min_size=least, max_size=most)))


def weight_and_bias(draw: st.DrawFn, shape: tuple[int, ...]) -> Shapes:
    """Both, neither, one of them; a bias alone is rare."""
    names = draw(st.sampled_from(((), ("weight",), ("weight", "bias")) * 3 + (("bias",),)))
    return dict.fromkeys(names, shape)


def spoil_shape(shapes: Shapes, name: str) -> tuple[str, Shapes]:
    """One more element on the first axis of an array."""
    first, *rest = shapes[name]
    return name, {**shapes, name: (first + 1, *rest)}


# --- batch norm and instance norm ---------------------------------------------------------------------------


def draw_batch_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two to five axes; running statistics always outside of training, in training now and then."""
    training = draw(st.booleans())
    channels = draw(st.sampled_from((2, 1, 3, 5)))
    batch, rest = draw(axis_length(3, 2, 1, 8)), axes_after(draw)
    if training and batch * prod(rest) == 1:
        batch = 2
    if 0 < prod(rest) < 50 and draw(st.integers(0, 15)) == 15:
        batch = 100 // prod(rest)
    shapes: Shapes = {"x": (batch, channels, *rest)}
    if not training or draw(st.booleans()):
        shapes |= {"running_mean": (channels,), "running_var": (channels,)}
    shapes |= weight_and_bias(draw, (channels,))
    return shapes, {"training": training, "momentum": draw(MOMENTA), "eps": draw(EPS)}


def spoil_batch_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Arrays of other lengths, one value per channel, no statistics to use, words, no positive eps."""
    given = sorted(shapes.keys() - {"x"})
    what = draw(st.sampled_from((*given, "momentum", "eps", "statistics")))
    if what in given:
        return *spoil_shape(shapes, what), hyper
    if what == "momentum":
        return what, shapes, {**hyper, what: "some"}
    if what == "eps":
        return what, shapes, {**hyper, what: draw(st.sampled_from((-1.0, "tiny")))}
    if hyper["training"]:
        return "x", {**shapes, "x": (1, shapes["x"][1], 1)}, hyper
    return "running_mean", {k: v for k, v in shapes.items() if not k.startswith("running")}, hyper


def unit(x: Any, axes: tuple[int, ...]) -> Any:
    """1, or where squares would overflow (of longdouble, that is) a power of two that the results do not depend on."""
    magnitude = np.abs(value(x)).max(axes, keepdims=True, initial=0)
    most = np.finfo(x.dtype).maxexp
    two = x.dtype.type(2)
    return np.where(np.isfinite(magnitude) & (magnitude > two ** (most // 2 - 32)), two ** (most - 2), two**0)


def along_channels(x: Any) -> tuple[int, ...]:
    return (1, -1, *(1 for _ in x.shape[2:]))


def with_running(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    axes: tuple[int, ...],
    from_input: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Training: x̂ = (x − μ)/σ. Else one product and one sum, as layers are folded, which G must allow for."""
    shape = along_channels(x)
    if running_mean is not None and 0 not in axes and len(x):
        # one copy per sample, of which the mean is taken at the end, also where nothing has changed
        kept_mean, kept_var = (np.broadcast_to(s, (len(x), *s.shape)).mean((0,)) for s in (running_mean, running_var))
    else:
        kept_mean, kept_var = running_mean, running_var
    w = np.ones((1,) * x.ndim, x.dtype) if weight is None else weight.reshape(shape)
    b = np.zeros((1,) * x.ndim, x.dtype) if bias is None else bias.reshape(shape)
    if not from_input:
        slope = w / np.sqrt(running_var.reshape(shape) + x.dtype.type(eps))
        return x * slope + (b - running_mean.reshape(shape) * slope), kept_mean, kept_var
    if x.size == 0:
        y = x * w + b
        return y if running_mean is None else (y, kept_mean, kept_var)
    one = unit(x, axes)
    mean = (x / one).mean(axes, keepdims=True)
    d = x / one - mean
    variance = (d * d).mean(axes, keepdims=True)
    y = d / np.sqrt(variance + x.dtype.type(eps) / one / one) * w + b
    if running_mean is None:
        return y
    count = prod(x.shape[axis] for axis in axes)
    m = x.dtype.type(momentum)
    samples = tuple(axis for axis in range(x.ndim) if axis != 1)
    unbiased = m * variance * count / (count - 1) * one * one
    return (
        y,
        (1 - m) * running_mean + (m * mean * one).mean(samples),
        (1 - m) * running_var + unbiased.mean(samples),
    )


@formula
def batch_norm_formula(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = (x − μ)/√(σ² + ε)·w + b per channel."""
    axes = (0, *range(2, x.ndim))
    return with_running(x, running_mean, running_var, weight, bias, axes, training, momentum, eps)


def batch_norm_torch(
    F: Any,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    **hyper: Any,
) -> Any:
    if running_mean is None:
        return F.batch_norm(x, None, None, weight, bias, **hyper)
    mean, var = running_mean.clone(), running_var.clone()
    return F.batch_norm(x, mean, var, weight, bias, **hyper), mean, var


def in_single(jax: Any, *arrays: Any) -> list[Any]:
    """As Flax does it: half precision is computed in float32, where squares do not overflow; integers stay."""
    jnp = jax.numpy

    def widened(a: Any) -> Any:
        floating = a is not None and jnp.issubdtype(a.dtype, jnp.floating)
        return a.astype(jnp.promote_types(a.dtype, jnp.float32)) if floating else a

    return [widened(a) for a in arrays]


def without_tiny(array: Array) -> Array:
    """Zeros for numbers so small that the product of a few of them underflows even in double precision."""
    return np.asarray(np.where(np.abs(array) < 1e-30, 0, array), array.dtype)


def affine_jax(y: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def with_running_jax(
    jax: Any,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    axes: tuple[int, ...],
    from_input: bool,
    momentum: float,
    eps: float,
) -> Any:
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    dtype = x.dtype
    x, running_mean, running_var, weight, bias = in_single(jax, x, running_mean, running_var, weight, bias)
    new_mean, new_var = running_mean, running_var
    if x.size == 0:
        y = x
    elif from_input:
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        y = jax.nn.standardize(x, axis=axes, mean=mean, variance=var, epsilon=eps)
        if running_mean is not None:
            samples = tuple(axis for axis in range(x.ndim) if axis != 1)
            unbiased = x.var(axes, keepdims=True, ddof=1)
            new_mean = (1 - momentum) * running_mean + momentum * mean.mean(samples)
            new_var = (1 - momentum) * running_var + momentum * unbiased.mean(samples)
    else:
        mean, var = running_mean.reshape(shape), running_var.reshape(shape)
        y = jax.nn.standardize(x, axis=axes, mean=mean, variance=var, epsilon=eps)
    y = affine_jax(y, weight, bias, shape).astype(dtype)
    return y if running_mean is None else (y, new_mean.astype(dtype), new_var.astype(dtype))


def batch_norm_jax(
    jax: Any,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    axes = (0, *range(2, x.ndim))
    return with_running_jax(jax, x, running_mean, running_var, weight, bias, axes, training, momentum, eps)


batch_norm = Operation(
    function=mint.batch_norm,
    draw=draw_batch_norm,
    spoil=spoil_batch_norm,
    equations=batch_norm_formula,
    torch=batch_norm_torch,
    jax=batch_norm_jax,
    extras=("new_mean", "new_var"),
    constant=("running_mean", "running_var"),
    adjust={"x": one_sided, "running_var": positive},
    # an infinite weight makes sums of infinities, whose signs are those of rounding errors
    nonfinite=("x", "bias"),
    limitations=OVERFLOW,
)


def draw_instance_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Three to five axes, two where the statistics are given; running statistics now and then."""
    use_input_stats = not draw(st.booleans())
    channels = draw(st.sampled_from((2, 1, 3, 5)))
    rest = axes_after(draw, least=int(use_input_stats))
    if use_input_stats and prod(rest) == 1:
        rest = (*rest[:-1], 2)
    if 0 < prod(rest) < 20 and rest and draw(st.integers(0, 15)) == 15:
        rest = (*rest[:-1], 100)
    shapes: Shapes = {"x": (draw(axis_length(2, 1, 3)), channels, *rest)}
    if not use_input_stats or draw(st.booleans()):
        shapes |= {"running_mean": (channels,), "running_var": (channels,)}
    shapes |= weight_and_bias(draw, (channels,))
    return shapes, {
        "use_input_stats": use_input_stats,
        "momentum": draw(MOMENTA),
        "eps": draw(EPS),
    }


def spoil_instance_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Arrays of other lengths, one value per channel and sample, no statistics to use, words."""
    given = sorted(shapes.keys() - {"x"})
    what = draw(st.sampled_from((*given, "momentum", "eps", "statistics")))
    if what in given:
        return *spoil_shape(shapes, what), hyper
    if what in ("momentum", "eps"):
        return what, shapes, {**hyper, what: "some"}
    if hyper["use_input_stats"]:
        return "x", {**shapes, "x": (3, shapes["x"][1], 1)}, hyper
    return "running_mean", {k: v for k, v in shapes.items() if not k.startswith("running")}, hyper


@formula
def instance_norm_formula(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    *,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = (x − μ)/√(σ² + ε)·w + b per channel and sample."""
    axes = tuple(range(2, x.ndim))
    return with_running(x, running_mean, running_var, weight, bias, axes, use_input_stats, momentum, eps)


def instance_norm_torch(
    F: Any,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    **hyper: Any,
) -> Any:
    if running_mean is None:
        return F.instance_norm(x, None, None, weight, bias, **hyper)
    mean, var = running_mean.clone(), running_var.clone()
    return F.instance_norm(x, mean, var, weight, bias, **hyper), mean, var


def instance_norm_jax(
    jax: Any,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    axes = tuple(range(2, x.ndim))
    return with_running_jax(jax, x, running_mean, running_var, weight, bias, axes, use_input_stats, momentum, eps)


instance_norm = Operation(
    function=mint.instance_norm,
    draw=draw_instance_norm,
    spoil=spoil_instance_norm,
    equations=instance_norm_formula,
    torch=instance_norm_torch,
    jax=instance_norm_jax,
    extras=("new_mean", "new_var"),
    constant=("running_mean", "running_var"),
    adjust={"x": one_sided, "running_var": positive},
    # an infinite weight makes sums of infinities, whose signs are those of rounding errors
    nonfinite=("x", "bias"),
    limitations=OVERFLOW,
)


# --- layer norm, group norm, RMS norm -----------------------------------------------------------------------


def draw_trailing(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """One or two axes that are normalised, and up to two before them."""
    shape = tuple(draw(st.lists(axis_length(3, 2, 1, 5, 17), min_size=1, max_size=2)))
    if len(shape) == 1 and draw(st.integers(0, 15)) == 15:
        shape = (200,)
    leading = tuple(draw(st.lists(axis_length(2, 1, 3), max_size=2)))
    return {"x": (*leading, *shape)}, {"normalized_shape": shape}


def trailing(normalized_shape: Lengths) -> tuple[int, ...]:
    return normalized_shape if isinstance(normalized_shape, tuple) else (normalized_shape,)


def spoil_trailing(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Another shape than the last axes of x, no axis, weights of another shape, a word."""
    given = sorted(shapes.keys() - {"x"})
    what = draw(st.sampled_from((*given, "normalized_shape", "eps")))
    if what in given:
        return *spoil_shape(shapes, what), hyper
    if what == "eps":
        return what, shapes, {**hyper, what: "tiny"}
    shape = hyper["normalized_shape"]
    wrong = draw(st.sampled_from(((*shape[:-1], shape[-1] + 1), (), (*shape[:-1], 2.5))))
    return what, shapes, {**hyper, what: wrong}


def draw_layer_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Up to four axes, with or without weight and bias."""
    shapes, hyper = draw_trailing(draw)
    return shapes | weight_and_bias(draw, hyper["normalized_shape"]), {**hyper, "eps": draw(EPS)}


@formula
def layer_norm_formula(x: Any, weight: Any, bias: Any, *, normalized_shape: Lengths, eps: float = 1e-5) -> Any:
    """y = (x − μ)/√(σ² + ε)·w + b over the last axes."""
    axes = tuple(range(-len(trailing(normalized_shape)), 0))
    one = unit(x, axes)
    d = x / one - (x / one).mean(axes, keepdims=True)
    y = d / np.sqrt((d * d).mean(axes, keepdims=True) + x.dtype.type(eps) / one / one)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def layer_norm_jax(
    jax: Any,
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    normalized_shape: Lengths,
    eps: float = 1e-5,
) -> Any:
    dtype = x.dtype
    x, weight, bias = in_single(jax, x, weight, bias)
    axes = tuple(range(-len(trailing(normalized_shape)), 0))
    # its own variance, mean(x²) − mean(x)², would lose the digits of a small spread
    y = jax.nn.standardize(x, axis=axes, variance=x.var(axes, keepdims=True), epsilon=eps)
    return affine_jax(y, weight, bias, trailing(normalized_shape)).astype(dtype)


layer_norm = Operation(
    function=mint.layer_norm,
    draw=draw_layer_norm,
    spoil=spoil_trailing,
    equations=layer_norm_formula,
    torch=lambda F, x, weight=None, bias=None, *, normalized_shape, eps=1e-5: F.layer_norm(
        x, trailing(normalized_shape), weight, bias, eps
    ),
    jax=layer_norm_jax,
    adjust={"x": one_sided},
    # an infinite weight makes sums of infinities, whose signs are those of rounding errors
    nonfinite=("x", "bias"),
    limitations=OVERFLOW,
)


def draw_rms_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Up to four axes, with or without weight."""
    shapes, hyper = draw_trailing(draw)
    if draw(st.booleans()):
        shapes["weight"] = hyper["normalized_shape"]
    # not the default first: in float64, where the references are asked for their word, it means another number
    return shapes, {**hyper, "eps": draw(st.sampled_from((1e-5, 1e-3, 0.1, None)))}


@formula
def rms_norm_formula(x: Any, weight: Any, *, normalized_shape: Lengths, eps: float | None = None) -> Any:
    """y = x/√(mean x² + ε)·w over the last axes; by default ε is that of the dtype whose truth is computed."""
    if eps is None:
        eps = float(np.finfo(np.float32 if x.dtype == np.float64 else np.float64).eps)
    axes = tuple(range(-len(trailing(normalized_shape)), 0))
    y = x / np.sqrt((x * x).mean(axes, keepdims=True) + x.dtype.type(eps))
    return y if weight is None else y * weight


def rms_norm_jax(jax: Any, x: Any, weight: Any = None, *, normalized_shape: Lengths, eps: float | None = None) -> Any:
    jnp = jax.numpy
    dtype = x.dtype
    x, weight = in_single(jax, x, weight)
    if eps is None:
        eps = float(jnp.finfo(x.dtype).eps)
    axes = tuple(range(-len(trailing(normalized_shape)), 0))
    y = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=axes, keepdims=True) + eps)
    return (y if weight is None else y * weight).astype(dtype)


def default_eps(case: Case) -> bool:
    """Whether eps depends on the dtype, and this is not the one in which the references may be asked."""
    return case.configuration.hyper.get("eps") is None and case.configuration.dtype != "float64"


rms_norm = Operation(
    function=mint.rms_norm,
    draw=draw_rms_norm,
    spoil=spoil_trailing,
    equations=rms_norm_formula,
    torch=lambda F, x, weight=None, *, normalized_shape, eps=None: F.rms_norm(
        x, trailing(normalized_shape), weight, eps
    ),
    jax=rms_norm_jax,
    # NaN then, and so in the gradient of everything; a formula's gradient takes NaN times a slope of 0 for 0
    nonfinite=(),
    limitations=tuple(
        Limitation(
            framework,
            f"by default eps is that of float32, or of float64: asked for its word in float64, {name} takes another",
            applies=default_eps,
            as_witness=True,
        )
        for framework, name in (("torch", "PyTorch"), ("jax", "JAX"))
    ),
)


def draw_group_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two to five axes, one to four groups of up to three channels."""
    groups, each = draw(st.sampled_from((2, 1, 3, 4))), draw(axis_length(2, 1, 3))
    batch, rest = draw(axis_length(2, 1, 3)), axes_after(draw)
    if batch * each * prod(rest) == 1:
        batch = 2
    if 0 < each * prod(rest) < 20 and draw(st.integers(0, 15)) == 15:
        rest = (*rest[:-1], 64)
    channels = groups * each
    return {"x": (batch, channels, *rest), **weight_and_bias(draw, (channels,))}, {
        "num_groups": groups,
        "eps": draw(EPS),
    }


def spoil_group_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Groups that do not fit, weights of another length, one value in all, a word."""
    given = sorted(shapes.keys() - {"x"})
    what = draw(st.sampled_from((*given, "num_groups", "eps", "x")))
    if what in given:
        return *spoil_shape(shapes, what), hyper
    if what == "eps":
        return what, shapes, {**hyper, what: "tiny"}
    channels = shapes["x"][1]
    if what == "x":
        return what, {**shapes, "x": (1, channels)}, {**hyper, "num_groups": channels}
    return what, shapes, {**hyper, what: draw(st.sampled_from((channels + 1, 0, -1, 1.5)))}


@formula
def group_norm_formula(x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5) -> Any:
    """y = (x − μ)/√(σ² + ε)·w + b per sample and group of channels."""
    each = x.shape[1] // num_groups
    grouped = x.reshape((x.shape[0], num_groups, each, *x.shape[2:]))
    axes = tuple(range(2, grouped.ndim))
    one = unit(grouped, axes)
    d = grouped / one - (grouped / one).mean(axes, keepdims=True)
    y = (d / np.sqrt((d * d).mean(axes, keepdims=True) + x.dtype.type(eps) / one / one)).reshape(x.shape)
    shape = (1, x.shape[1], *(1 for _ in x.shape[2:]))
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def group_norm_jax(
    jax: Any, x: Any, weight: Any = None, bias: Any = None, *, num_groups: int, eps: float = 1e-5
) -> Any:
    dtype = x.dtype
    x, weight, bias = in_single(jax, x, weight, bias)
    grouped = x.reshape(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])
    axes = tuple(range(2, grouped.ndim))
    y = jax.nn.standardize(grouped, axis=axes, variance=grouped.var(axes, keepdims=True), epsilon=eps)
    return affine_jax(y.reshape(x.shape), weight, bias, (1, x.shape[1], *(1 for _ in x.shape[2:]))).astype(dtype)


group_norm = Operation(
    function=mint.group_norm,
    draw=draw_group_norm,
    spoil=spoil_group_norm,
    equations=group_norm_formula,
    torch=lambda F, x, weight=None, bias=None, *, num_groups, eps=1e-5: F.group_norm(x, num_groups, weight, bias, eps),
    jax=group_norm_jax,
    adjust={"x": one_sided},
    # an infinite weight makes sums of infinities, whose signs are those of rounding errors
    nonfinite=("x", "bias"),
    limitations=OVERFLOW,
)


# --- local response norm ------------------------------------------------------------------------------------


def draw_local_response_norm(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Windows smaller and larger than the channels, one to three axes after them."""
    x = (draw(axis_length(2, 1, 3)), draw(axis_length(3, 1, 2, 5, 9)), *axes_after(draw, least=1))
    return {"x": x}, {
        "size": draw(st.sampled_from((2, 1, 3, 4, 5, 7))),
        "alpha": draw(st.sampled_from((1e-4, 1.0, 0.3))),
        "beta": draw(st.sampled_from((0.75, 0.5, 1.0, 2.0))),
        "k": draw(st.sampled_from((1.0, 2.0, 0.1))),
    }


def spoil_local_response_norm(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """No window, words, no axis after the channels."""
    what = draw(st.sampled_from(("size", "alpha", "k", "x")))
    if what == "x":
        return what, {"x": shapes["x"][:2]}, hyper
    return what, shapes, {**hyper, what: draw(st.sampled_from((0, -1, 2.5))) if what == "size" else "some"}


@formula
def local_response_norm_formula(x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """y[c] = x[c]/(k + α/size · Σ x[c − ⌊size/2⌋ + i]²)^β over i < size."""
    padded = np.pad(x, [(size // 2, (size - 1) // 2) if axis == 1 else (0, 0) for axis in range(x.ndim)])
    total: Any = 0
    for i in range(size):
        around = padded[:, i : i + x.shape[1]]
        total = total + around * around
    return x / (x.dtype.type(k) + x.dtype.type(alpha) * total / size) ** beta


def local_response_norm_jax(
    jax: Any, x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    rest, dtype = x.ndim - 2, x.dtype
    (x,) = in_single(jax, x)
    padding = ((0, 0), (size // 2, (size - 1) // 2), *((0, 0),) * rest)
    zero = x.dtype.type(0)
    total = jax.lax.reduce_window(x * x, zero, jax.lax.add, (1, size, *(1,) * rest), (1,) * x.ndim, padding)
    return (x / (k + alpha * total / size) ** beta).astype(dtype)


local_response_norm = Operation(
    function=mint.local_response_norm,
    draw=draw_local_response_norm,
    spoil=spoil_local_response_norm,
    equations=local_response_norm_formula,
    jax=local_response_norm_jax,
    # whether an infinite square gives its neighbours the gradient 0 or NaN depends on the order of the products
    nonfinite=(),
)
