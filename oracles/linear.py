"""Linear and bilinear layers, and the softmax over clusters of classes that is made of them: definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mint
from oracles import equations
from oracles.configuration import Configuration
from oracles.draw import axis_length, batch_size
from oracles.formula import formula, value
from oracles.operation import Array, Hyper, Operation, Shapes


def draw_linear(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """x with up to three leading axes, square and oblong weights, with and without bias."""
    inner, outer = (draw(st.sampled_from((1, 2, 3, 5, 8, 17, 33))) for _ in range(2))
    leading = draw(st.sampled_from((1, 1, 2, 0, 3)))
    shapes = {"x": (*(batch_size(draw) for _ in range(leading)), inner), "w": (outer, inner)}
    if draw(st.booleans()):
        shapes["b"] = (outer,)
    return shapes, {}


def spoil_linear(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes that do not fit each other."""
    what = draw(st.sampled_from(("features", "bias", "keyword")))
    outer, inner = shapes["w"]
    if what == "features":
        return what, {**shapes, "w": (outer, inner + 1)}, hyper
    if what == "bias":
        return what, {**shapes, "b": (outer + 1,)}, hyper
    return what, shapes, {"not_a_hyperparameter": 1}


def linear_jax(jax: Any, x: Any, w: Any, b: Any = None) -> Any:
    y = jax.numpy.matmul(x, w.T)
    return y if b is None else y + b


linear = Operation(
    function=mint.linear,
    draw=draw_linear,
    spoil=spoil_linear,
    equations=equations.linear,
    jax=linear_jax,
    exact=lambda configuration: True,
    nonfinite=("x", "w", "b", "gy"),
)


# --- bilinear -----------------------------------------------------------------------------------------------


def draw_bilinear(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """Two inputs with up to three leading axes, of sizes that differ, with and without bias."""
    first, second = (draw(st.sampled_from((2, 1, 3, 5, 8))) for _ in range(2))
    outer = draw(axis_length(2, 1, 3, 8))
    leading = tuple(batch_size(draw) for _ in range(draw(st.sampled_from((1, 1, 2, 0, 3)))))
    shapes = {"x1": (*leading, first), "x2": (*leading, second), "weight": (outer, first, second)}
    if draw(st.booleans()):
        shapes["bias"] = (outer,)
    return shapes, {}


def spoil_bilinear(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes or axes that do not fit each other, inputs without a feature."""
    what = draw(st.sampled_from(("x1", "x2", "leading", "weight", "bias", "empty")))
    outer, first, second = shapes["weight"]
    if what in ("x1", "x2"):
        return what, {**shapes, what: (*shapes[what][:-1], shapes[what][-1] + 1)}, hyper
    if what == "leading":
        return what, {**shapes, "x1": (2, first), "x2": draw(st.sampled_from(((1, second), (second,))))}, hyper
    if what == "weight":
        return what, {**shapes, what: (outer, first * second)}, hyper
    if what == "bias":
        return what, {**shapes, what: (outer + 1,)}, hyper
    return what, {**shapes, "x1": (*shapes["x1"][:-1], 0), "weight": (outer, 0, second)}, hyper


@formula
def bilinear_formula(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    """y[…, k] = Σ x1[…, i]·weight[k, i, j]·x2[…, j] + bias[k]."""
    y = (x1[..., None, :, None] * weight * x2[..., None, None, :]).sum((-1, -2))
    return y if bias is None else y + bias


def bilinear_jax(jax: Any, x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    y = jax.numpy.einsum("...i,kij,...j->...k", x1, weight, x2)
    return y if bias is None else y + bias


bilinear = Operation(
    function=mint.bilinear,
    draw=draw_bilinear,
    spoil=spoil_bilinear,
    equations=bilinear_formula,
    jax=bilinear_jax,
    exact=lambda configuration: True,
    # which two of three factors meet first decides what becomes of an infinity, or overflows
    nonfinite=("bias",),
)


# --- adaptive softmax ---------------------------------------------------------------------------------------

#: The two weights of each cluster, of which there may be three.
TAIL = ("down0", "up0", "down1", "up1", "down2", "up2")


def draw_clusters(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """A few samples; one to three clusters, of one class or more, with a hidden size of any."""
    batch, features = draw(axis_length(3, 1, 2, 8)), draw(axis_length(3, 1, 2, 8))
    frequent = draw(st.sampled_from((2, 1, 3, 8)))
    sizes = draw(st.lists(st.sampled_from((2, 1, 3, 8)), min_size=1, max_size=3))
    cutoffs = tuple(frequent + sum(sizes[:place]) for place in range(len(sizes)))
    heads = frequent + len(sizes)
    shapes: Shapes = {"x": (batch, features), "head_weight": (heads, features)}
    if draw(st.booleans()):
        shapes["head_bias"] = (heads,)
    for down, up, size in zip(TAIL[::2], TAIL[1::2], sizes, strict=False):
        hidden = draw(axis_length(2, 1, 3, 5))
        shapes |= {down: (hidden, features), up: (size, hidden)}
    return shapes, {"cutoffs": cutoffs}


def spoil_clusters(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Weights of other sizes, too few of them, cutoffs that do not increase."""
    what = draw(st.sampled_from(("x", "head_weight", "down0", "up0", "tail", "cutoffs")))
    if what == "cutoffs":
        first, *rest = hyper[what]
        wrong: tuple[Any, ...] = ((), (0, *rest), (first, first, *rest), (first + 0.5, *rest), "three")
        return what, shapes, {what: draw(st.sampled_from(wrong))}
    if what == "tail":
        *_, last = (name for name in TAIL if name in shapes)
        return what, {name: shape for name, shape in shapes.items() if name != last}, hyper
    rows, columns = shapes[what]
    return what, {**shapes, what: (rows, columns + 1)}, hyper


def spoil_targets(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """The same, or targets that are no class, or that are not one for each sample."""
    what = draw(st.sampled_from(("clusters", "clusters", "target", "shape")))
    if what == "clusters" and len(shapes["x"]) == 2:
        return spoil_clusters(draw, shapes, hyper)
    if what == "shape":
        return what, {**shapes, "target": (*shapes["target"], 1)}, hyper
    return "target", shapes, hyper


def draw_targets(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """The same with a target for each sample, or with one sample that has no axis for it."""
    shapes, hyper = draw_clusters(draw)
    batch, features = shapes["x"]
    single = draw(st.integers(0, 7)) == 7
    given = {"x": (features,), "target": ()} if single else {"x": (batch, features), "target": (batch,)}
    return given | {name: shape for name, shape in shapes.items() if name != "x"}, hyper


def targets(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Any classes; where that is to be invalid, one of them is none."""
    shapes = configuration.shapes
    ups = [shapes[name] for name in TAIL[1::2] if name in shapes]
    # the head scores the frequent classes and the clusters
    count = shapes["head_weight"][0] - len(ups) + sum(size for size, _ in ups)
    made = np.asarray(rng.integers(0, count, shapes["target"]))
    if configuration.invalid == "target":
        made.flat[-1] = rng.choice((-1, count))
    return made


def log_softmax_formula(z: Any) -> Any:
    """z − log Σ exp z along the last axis."""
    z = z - value(z).max(-1, keepdims=True, initial=-np.inf)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def every_class(x: Any, head_weight: Any, head_bias: Any, tail: tuple[Any, ...], cutoffs: tuple[int, ...]) -> Any:
    """The log-probability of each class: that of a frequent one, or of its cluster plus that within the cluster."""
    head = x @ head_weight.T
    head = log_softmax_formula(head if head_bias is None else head + head_bias)
    parts = [head[:, : cutoffs[0]]]
    for place in range(len(cutoffs)):
        within = log_softmax_formula((x @ tail[2 * place].T) @ tail[2 * place + 1].T)
        parts.append(head[:, cutoffs[0] + place, None] + within)
    return np.concatenate(parts, 1)


@formula
def adaptive_log_softmax_formula(x: Any, head_weight: Any, head_bias: Any, *tail: Any, cutoffs: tuple[int, ...]) -> Any:
    """`every_class`."""
    return every_class(x, head_weight, head_bias, tail, cutoffs)


@formula
def adaptive_loss_formula(
    x: Any, target: Array, head_weight: Any, head_bias: Any, *tail: Any, cutoffs: tuple[int, ...]
) -> Any:
    """y[n] = log p[n, target[n]], loss = −Σ y/N."""
    every = every_class(x if target.ndim else x[None], head_weight, head_bias, tail, cutoffs)
    y = every[np.arange(target.size), target.ravel()].reshape(target.shape)
    return y, -y.mean()


def adaptive_torch(
    F: Any, inputs: tuple[Any, ...], head_weight: Any, head_bias: Any, tail: tuple[Any, ...], **hyper: Any
) -> Any:
    """PyTorch's class with these weights; with x alone its log_prob."""
    torch, cutoffs = F.torch, hyper["cutoffs"]
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(
        head_weight.shape[1], cutoffs[-1] + tail[-1].shape[0], cutoffs, head_bias=head_bias is not None
    )
    if len(inputs) == 1:
        module.forward = module.log_prob
    weights = {"head.weight": head_weight}
    weights |= {} if head_bias is None else {"head.bias": head_bias}
    weights |= {f"tail.{place // 2}.{place % 2}.weight": weight for place, weight in enumerate(tail)}
    return torch.func.functional_call(module, weights, inputs, strict=True)


def adaptive_log_softmax_torch(
    F: Any, x: Any, head_weight: Any, head_bias: Any = None, *tail: Any, **hyper: Any
) -> Any:
    return adaptive_torch(F, (x,), head_weight, head_bias, tail, **hyper)


def adaptive_loss_torch(
    F: Any, x: Any, target: Any, head_weight: Any, head_bias: Any = None, *tail: Any, **hyper: Any
) -> Any:
    return adaptive_torch(F, (x, target), head_weight, head_bias, tail, **hyper)


def adaptive_log_softmax_jax(
    jax: Any, x: Any, head_weight: Any, head_bias: Any = None, *tail: Any, cutoffs: tuple[int, ...]
) -> Any:
    head = x @ head_weight.T
    head = jax.nn.log_softmax(head if head_bias is None else head + head_bias)
    parts = [head[:, : cutoffs[0]]]
    for place in range(len(cutoffs)):
        within = jax.nn.log_softmax((x @ tail[2 * place].T) @ tail[2 * place + 1].T)
        parts.append(head[:, cutoffs[0] + place, None] + within)
    return jax.numpy.concatenate(parts, 1)


def adaptive_loss_jax(
    jax: Any, x: Any, target: Any, head_weight: Any, head_bias: Any = None, *tail: Any, cutoffs: tuple[int, ...]
) -> Any:
    every = adaptive_log_softmax_jax(jax, x if x.ndim == 2 else x[None], head_weight, head_bias, *tail, cutoffs=cutoffs)
    y = jax.numpy.take_along_axis(every, target.reshape(-1, 1), 1).reshape(target.shape)
    return y, -y.mean()


adaptive_log_softmax = Operation(
    function=mint.adaptive_log_softmax,
    variadic=TAIL,
    underflows=True,
    draw=draw_clusters,
    spoil=spoil_clusters,
    equations=adaptive_log_softmax_formula,
    torch=adaptive_log_softmax_torch,
    jax=adaptive_log_softmax_jax,
    # 0·∞ in a product of matrices is NaN or left out, as its order has it
    nonfinite=(),
)

adaptive_log_softmax_with_loss = Operation(
    function=mint.adaptive_log_softmax_with_loss,
    variadic=TAIL,
    underflows=True,
    draw=draw_targets,
    spoil=spoil_targets,
    equations=adaptive_loss_formula,
    torch=adaptive_loss_torch,
    jax=adaptive_loss_jax,
    # 0·∞ in a product of matrices is NaN or left out, as its order has it
    nonfinite=(),
    outputs=("y", "loss"),
    integer={"target": targets},
)
