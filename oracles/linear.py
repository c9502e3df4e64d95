"""Linear, grouped and bilinear layers, and the softmax over clusters of classes that is made of them: definitions."""

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


# --- grouped product ----------------------------------------------------------------------------------------


def draw_grouped(draw: st.DrawFn) -> tuple[Shapes, Hyper]:
    """The groups in an axis of their own, or side by side in the rows, the columns or the axis that is summed over."""
    groups = draw(st.sampled_from((2, 1, 3, 4)))
    m, k, n = (draw(axis_length(2, 1, 3, 5, 8, 17)) for _ in range(3))
    shapes: Shapes = draw(
        st.sampled_from(
            (
                {"mat_a": (groups, m, k), "mat_b": (groups, k, n)},
                {"mat_a": (m, k), "mat_b": (groups, k, n), "offs": (groups,)},
                {"mat_a": (groups, m, k), "mat_b": (k, n), "offs": (groups,)},
                {"mat_a": (m, k), "mat_b": (k, n), "offs": (groups,)},
            )
        )
    )
    return shapes, {}


def spoil_grouped(draw: st.DrawFn, shapes: Shapes, hyper: Hyper) -> tuple[str, Shapes, Hyper]:
    """Sizes that do not fit each other, another number of groups."""
    what = draw(st.sampled_from(("inner", "groups", "keyword")))
    a, b = shapes["mat_a"], shapes["mat_b"]
    if what == "inner":
        return what, {**shapes, "mat_a": (*a[:-1], a[-1] + 16)}, hyper
    if what == "groups" and len(a) + len(b) > 4:
        name = "mat_a" if len(a) == 3 else "mat_b"
        return what, {**shapes, name: (shapes[name][0] + 1, *shapes[name][1:])}, hyper
    return "keyword", shapes, {"not_a_hyperparameter": 1}


def shared_axis(shapes: Shapes) -> int:
    """The size of the axis in which the groups lie side by side."""
    a, b = shapes["mat_a"], shapes["mat_b"]
    return b[1] if len(a) == 3 else a[0] if len(b) == 3 else a[1]


def ends_of_groups(rng: np.random.Generator, configuration: Configuration) -> Array:
    """Groups of any size, some of nothing; one time in three the last one ends with the axis."""
    shapes = configuration.shapes
    size = shared_axis(dict(shapes))
    ends = np.sort(rng.integers(0, size + 1, shapes["offs"]))
    if rng.integers(3) == 0:
        ends[-1:] = size
    return ends.astype(np.int32)


def group_by_group(concatenate: Any, stack: Any, zeros: Any, a: Any, b: Any, ends: list[int]) -> Any:
    """One product for each group, side by side or stacked, and zeros for what is in none."""
    spans = list(zip([0, *ends[:-1]], ends, strict=True))
    if a.ndim == 3:
        parts = [a[g] @ b[:, i:j] for g, (i, j) in zip(range(a.shape[0]), spans, strict=True)]
        return concatenate([*parts, zeros((a.shape[1], b.shape[1] - ends[-1]))], 1)
    if b.ndim == 3:
        parts = [a[i:j] @ b[g] for g, (i, j) in zip(range(b.shape[0]), spans, strict=True)]
        return concatenate([*parts, zeros((a.shape[0] - ends[-1], b.shape[2]))], 0)
    return stack([a[:, i:j] @ b[i:j] for i, j in spans], 0)


@formula
def grouped_formula(mat_a: Any, mat_b: Any, offs: Any = None) -> Any:
    """y[g] = mat_a[g]·mat_b[g]."""
    if offs is None:
        return mat_a @ mat_b
    return group_by_group(np.concatenate, np.stack, np.zeros, mat_a, mat_b, offs.tolist())


def grouped_torch(F: Any, a: Any, b: Any, offs: Any = None) -> Any:
    """PyTorch's own in the dtypes that it has, every axis padded to multiples of 16 bytes; its matmul in float64."""
    fits = a.shape[-1] == b.shape[-2] and (offs is not None or a.shape[0] == b.shape[0])
    if not fits:
        return F.grouped_mm(a, b, offs=offs)  # what it refuses, in every dtype
    if a.dtype.itemsize == 8:
        if offs is None:
            return a @ b
        return group_by_group(F.torch.concatenate, F.torch.stack, a.new_zeros, a, b, offs.tolist())
    rows, columns = a.shape[-2], b.shape[-1]
    # what lies beyond the last group is not initialised
    end = int(offs[-1]) if offs is not None else 0
    if offs is not None and a.ndim == 3:
        b = b[:, :end]
    elif offs is not None and b.ndim == 3:
        a = a[:end]
    elif offs is not None:
        a, b = a[:, :end], b[:end]
    # also where there is nothing, of which it takes no strides
    before, inner, outer = (8 - size % 8 for size in (*a.shape[-2:], b.shape[-1]))
    y = F.grouped_mm(F.pad(a, (0, inner, 0, before)), F.pad(b, (0, outer, 0, inner)), offs=offs)
    y = y[..., : a.shape[-2], : b.shape[-1]]
    return F.pad(y, (0, columns - y.shape[-1], 0, rows - y.shape[-2]))


def grouped_jax(jax: Any, a: Any, b: Any, offs: Any = None) -> Any:
    """``ragged_dot`` where the groups share the rows; else the product of the group that each place belongs to."""
    jnp = jax.numpy
    if offs is None:
        return a @ b
    if a.ndim == 2 and b.ndim == 3:
        return jax.lax.ragged_dot(a, b, jnp.diff(offs, prepend=0).astype(jnp.int32))
    places = jnp.arange(b.shape[1] if a.ndim == 3 else a.shape[1])
    inside = (places < offs[:, None]) & (places >= jnp.concatenate([jnp.zeros(1, offs.dtype), offs[:-1]])[:, None])
    if a.ndim == 3:
        return jnp.where(inside[:, None, :], a @ b, 0).sum(0)
    return jnp.where(inside[:, None, :], a, 0) @ b


grouped_mm = Operation(
    function=mint.grouped_mm,
    draw=draw_grouped,
    spoil=spoil_grouped,
    equations=grouped_formula,
    torch=grouped_torch,
    jax=grouped_jax,
    exact=lambda configuration: True,
    # JAX multiplies with the zeros of other groups, and 0·∞ is NaN
    nonfinite=(),
    integer={"offs": ends_of_groups},
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
        spoiled = spoil_clusters(draw, shapes, hyper)
        # PyTorch looks at those clusters only that a target is in
        return ("target", shapes, hyper) if spoiled[0] in TAIL else spoiled
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
