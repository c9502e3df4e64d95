"""The equations: every operation written out from its index formula, the third voice beside PyTorch and JAX.

Each function returns ``y, vjp`` like its namesake in ``mint``, and shares no code with it. It follows
docs/derivations.md, whose sections the docstrings name: a convolution is one sum over kernel offsets, and
each of its gradients is again a convolution, of maps with exchanged axes, inserted zeros or rotated kernels;
pooling goes window by window.

The arithmetic is NumPy's in the dtype of the inputs, up to ``longdouble``; no constant and no sum is held in
another one. Arguments are taken to be valid, in the forms of ``torch.nn.functional``. Sums run over the taps
inside the map only: padding and inserted zeros are skipped, not multiplied, so an infinite weight on them
does not give NaN. What is linear is a plain sum of products, so that evaluating it on absolute values gives
the rounding scale of every element.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from oracles.summation import total

Array: TypeAlias = Any  # np.ndarray; its stubs cannot say "of the dtype of that argument"
Gradients: TypeAlias = tuple[Array | None, ...]
Vjp: TypeAlias = Callable[[Array], Gradients]
Result: TypeAlias = tuple[Any, Vjp]  # y is an array, or (y, indices) for a max_pool that returns its indices
Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
P = ParamSpec("P")


def literal(operation: Callable[P, Result]) -> Callable[P, Result]:
    """Let infinities and NaN flow without warnings, and return scalars as 0-d arrays of the dtype of x."""

    @functools.wraps(operation)
    def quiet_operation(*args: P.args, **kwargs: P.kwargs) -> Result:
        x: Array = args[0]

        def arrays(values: Iterable[Any]) -> tuple[Any, ...]:
            return tuple(None if v is None else np.asarray(v, x.dtype) for v in values)

        with np.errstate(all="ignore"):
            y, vjp = operation(*args, **kwargs)

        def quiet_vjp(gy: Array) -> Gradients:
            with np.errstate(all="ignore"):
                return arrays(vjp(gy))

        return y if isinstance(y, tuple) else arrays([y])[0], quiet_vjp

    return quiet_operation


def constant(like: Array, digits: str) -> Any:
    """The number written in `digits`, rounded once to the dtype of `like`."""
    return like.dtype.type(digits)


PI = "3.14159265358979323846264338327950288419716939937510"


# --- linear -------------------------------------------------------------------------------------------------


@literal
def linear(x: Array, w: Array, b: Array | None = None) -> Result:
    """z[n, m] = Σ_k x[n, k] w[m, k] + b[m]   (derivations, 2; w is stored as in PyTorch, W = wᵀ)."""
    z = np.einsum("...k,mk->...m", x, w)
    y = z if b is None else z + b

    def vjp(gy: Array) -> Gradients:
        rows = math.prod(x.shape[:-1])
        delta, flat = gy.reshape(rows, w.shape[0]), x.reshape(rows, w.shape[1])
        gx = np.einsum("...m,mk->...k", gy, w)
        gw = np.einsum("nm,nk->mk", delta, flat)
        return gx, gw, None if b is None else total(delta, 0)

    return y, vjp


# --- convolution --------------------------------------------------------------------------------------------


def per_axis(value: Ints, axes: int) -> tuple[int, ...]:
    """An int stands for the same int along every axis."""
    return (int(value),) * axes if isinstance(value, int | np.integer) else tuple(int(v) for v in value)


def both_sides(padding: Padding, extents: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) per axis; `extents` are D(F−1), the reach of the kernel past its first tap.

    "same" pads D(F−1) in all, the odd one on the far side.
    """
    if padding == "valid":
        return [(0, 0) for _ in extents]
    if padding == "same":
        return [(extent // 2, extent - extent // 2) for extent in extents]
    if isinstance(padding, int | np.integer):
        return [(int(padding), int(padding)) for _ in extents]
    assert not isinstance(padding, str)
    return [(int(p), int(p)) if isinstance(p, int | np.integer) else (int(p[0]), int(p[1])) for p in padding]


def reached(offset: int, size: int, out: int, step: int, insert: int) -> tuple[slice, slice] | None:
    """Where output h meets an element u of the zero-inserted map: step·h + offset = insert·u, 0 ≤ u < size.

    Returns the h as a slice of the output and the u as a slice of the map (both advance evenly), or None.
    """
    positions = [(h, step * h + offset) for h in range(out)]
    hits = [h for h, q in positions if q % insert == 0 and 0 <= q < insert * size]
    if not hits:
        return None
    stride = hits[1] - hits[0] if len(hits) > 1 else 1
    first = (step * hits[0] + offset) // insert
    inner = step * stride // insert if len(hits) > 1 else 1
    return slice(hits[0], hits[-1] + 1, stride), slice(first, first + inner * (len(hits) - 1) + 1, inner)


def correlate(
    x: Array,
    k: Array,
    out: Sequence[int],
    before: Sequence[int],
    *,
    step: Sequence[int],
    dilation: Sequence[int],
    insert: Sequence[int],
) -> Array:
    """y[g,n,c,h] = Σ_c' Σ_i x̌[g, n, c', step·h + dilation·i − before] k[g, c, c', i].

    x̌ is x with `insert` − 1 zeros between neighbours. Taps outside the map or on inserted zeros are skipped.
    x (G, N, C', *map), k (G, C, C', *kernel), y (G, N, C, *out).
    """
    y: Array = np.zeros((x.shape[0], x.shape[1], k.shape[1], *out), x.dtype)
    axes = [
        [
            (i, meeting)
            for i in range(k.shape[3 + a])
            if (meeting := reached(dilation[a] * i - before[a], x.shape[3 + a], out[a], step[a], insert[a]))
        ]
        for a in range(len(out))
    ]
    for taps in itertools.product(*axes):
        offset = tuple(i for i, _ in taps)
        at = tuple(meeting[0] for _, meeting in taps)
        source = tuple(meeting[1] for _, meeting in taps)
        y[:, :, :, *at] += np.einsum("gnc...,goc->gno...", x[:, :, :, *source], k[:, :, :, *offset])
    return y


def map_groups(x: Array, groups: int) -> Array:
    """(N, G·C, *map) → (G, N, C, *map)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]).swapaxes(0, 1)


def kernel_groups(k: Array, groups: int) -> Array:
    """(G·O, C, *kernel) → (G, O, C, *kernel)."""
    return k.reshape(groups, k.shape[0] // groups, *k.shape[1:])


def ungrouped(x: Array) -> Array:
    """(G, N, C, *map) → (N, G·C, *map), undoing `map_groups`."""
    return x.swapaxes(0, 1).reshape(x.shape[1], x.shape[0] * x.shape[2], *x.shape[3:])


def exchanged(x: Array) -> Array:
    """x̃: batch and channel exchanged (3.1.1); of a kernel, output and input channel."""
    return x.swapaxes(1, 2)


def rotated(k: Array) -> Array:
    """k̂: rotated by 180° in every map axis, output and input channels exchanged (3.1.3)."""
    return exchanged(np.flip(k, axis=tuple(range(3, k.ndim))))


def spread(
    x: Array,
    k: Array,
    out: Sequence[int],
    before: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    """Convolve x, S−1 zeros inserted, padded by D(F−1) − P, with k̂ (3.2.3): the adjoint of a convolution.

    The rows and columns of `out` that the stride never reaches meet no tap and stay zero.
    """
    full = [d * (f - 1) - p for d, f, p in zip(dilation, k.shape[3:], before, strict=True)]
    ones = [1] * len(stride)
    return correlate(x, rotated(k), out, full, step=ones, dilation=dilation, insert=stride)


def kernel_gradient(
    x: Array,
    delta: Array,
    kernel: Sequence[int],
    before: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    """Convolve x̃ with the kernel δ̃, S−1 zeros inserted into δ̃ (3.1.1, 3.2.1): ∂L/∂k as (G, O, C, *kernel).

    Inserting S−1 zeros into a kernel is dilating it by S; the dilation D of the forward pass is the step.
    """
    ones = [1] * len(stride)
    xt, dt = exchanged(x), exchanged(delta)
    return exchanged(correlate(xt, dt, kernel, before, step=dilation, dilation=stride, insert=ones))


def over_channels(b: Array, axes: int) -> Array:
    """(C,) → (C, 1, …), to be added to a map."""
    return b.reshape(-1, *[1] * axes)


def bias_gradient(gy: Array, b: Array | None) -> Array | None:
    """∂L/∂b[c] = Σ_n Σ_h δ[n, c, h]  (3.1.2)."""
    return None if b is None else total(gy, (0, *range(2, gy.ndim)))


@literal
def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Result:
    """z[n, c, h] = Σ_c' Σ_i x[n, c', Sh + Di − P] k[c, c', i] + b[c] within each group   (derivations, 3)."""
    axes = x.ndim - 2
    kernel, shape = w.shape[2:], x.shape[2:]
    s, d = per_axis(stride, axes), per_axis(dilation, axes)
    extents = [d[a] * (kernel[a] - 1) for a in range(axes)]
    pads = both_sides(padding, extents)
    before = [lo for lo, _ in pads]
    out = [(shape[a] + sum(pads[a]) - extents[a] - 1) // s[a] + 1 for a in range(axes)]
    xg, kg = map_groups(x, groups), kernel_groups(w, groups)
    z = ungrouped(correlate(xg, kg, out, before, step=s, dilation=d, insert=[1] * axes))
    y = z if b is None else z + over_channels(b, axes)

    def vjp(gy: Array) -> Gradients:
        delta = map_groups(gy, groups)
        gx = ungrouped(spread(delta, kg, shape, before, s, d))
        gw = kernel_gradient(xg, delta, kernel, before, s, d).reshape(w.shape)
        return gx, gw, bias_gradient(gy, b)

    return y, vjp


@literal
def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Result:
    """z[n, c, q] = Σ_c' Σ_{u, i: Su + Di − P = q} x[n, c', u] k[c', c, i] + b[c]   (derivations, 3.6).

    It is the gradient to propagate of a convolution, so its own gradients are that convolution.
    """
    axes = x.ndim - 2
    kernel, shape = w.shape[2:], x.shape[2:]
    s, d, extra = per_axis(stride, axes), per_axis(dilation, axes), per_axis(output_padding, axes)
    extents = [d[a] * (kernel[a] - 1) for a in range(axes)]
    pads = both_sides(padding, extents)
    before = [lo for lo, _ in pads]
    out = [(shape[a] - 1) * s[a] - sum(pads[a]) + extents[a] + 1 + extra[a] for a in range(axes)]
    xg, kg = map_groups(x, groups), kernel_groups(w, groups)
    z = ungrouped(spread(xg, kg, out, before, s, d))
    y = z if b is None else z + over_channels(b, axes)

    def vjp(gy: Array) -> Gradients:
        delta = map_groups(gy, groups)
        gx = ungrouped(correlate(delta, kg, shape, before, step=s, dilation=d, insert=[1] * axes))
        gw = kernel_gradient(delta, xg, kernel, before, s, d).reshape(w.shape)
        return gx, gw, bias_gradient(gy, b)

    return y, vjp


conv1d = conv2d = conv3d = conv
conv_transpose1d = conv_transpose2d = conv_transpose3d = conv_transpose


# --- pooling ------------------------------------------------------------------------------------------------


def pooled_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Windows along one axis; with ceil_mode an incomplete last one, if it starts before the far padding."""
    free = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return free // stride + 1
    out = -(-free // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding else out


def window(h: int, size: int, kernel: int, stride: int, padding: int, dilation: int) -> slice:
    """The rows of the map that window h covers: Sh + Di − P for 0 ≤ i < F, those within the map."""
    start = stride * h - padding
    rows = [start + dilation * i for i in range(kernel) if 0 <= start + dilation * i < size]
    return slice(rows[0], rows[-1] + 1, dilation) if rows else slice(0)


Window: TypeAlias = tuple[tuple[int, ...], tuple[slice, ...]]


def windows(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    out: Sequence[int],
) -> Iterator[Window]:
    """Every output position, with the part of the map its window covers."""
    for position in itertools.product(*map(range, out)):
        geometry = zip(position, shape, kernel, stride, padding, dilation, strict=True)
        yield position, tuple(window(*axis) for axis in geometry)


def first_largest(values: Array) -> Array:
    """Index along the last axis of the first of the largest, or of the last NaN, as PyTorch scans."""
    nan = np.isnan(values)
    first = values.argmax(axis=-1)
    return np.where(nan.any(axis=-1), values.shape[-1] - 1 - nan[..., ::-1].argmax(axis=-1), first)


@literal
def max_pool(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Result:
    """y[n, c, h] = max_i x[n, c, Sh + Di − P]; the gradient goes to the first of a tie   (derivations, 4.1).

    A window without any tap in the map is −inf and has the index −1.
    """
    shape, axes = x.shape[2:], x.ndim - 2
    kernel, p, d = per_axis(kernel_size, axes), per_axis(padding, axes), per_axis(dilation, axes)
    s = kernel if stride is None else per_axis(stride, axes)
    out = [pooled_size(shape[a], kernel[a], s[a], p[a], d[a], ceil_mode) for a in range(axes)]
    place: Array = np.arange(math.prod(shape)).reshape(shape)
    flat = x.reshape(*x.shape[:2], place.size)
    indices: Array = np.full((*x.shape[:2], *out), -1, np.int64)
    reaching = [(h, taps) for h, w in windows(shape, kernel, s, p, d, out) if (taps := place[w].ravel()).size]
    for h, taps in reaching:
        indices[:, :, *h] = taps[first_largest(flat[:, :, taps])]
    winners = np.take_along_axis(flat, indices.reshape(*x.shape[:2], math.prod(out)), axis=-1)
    y = np.where(indices < 0, x.dtype.type(-np.inf), winners.reshape(indices.shape))

    def vjp(gy: Array) -> Gradients:
        gx: Array = np.zeros(flat.shape, x.dtype)
        n, c = np.ix_(range(x.shape[0]), range(x.shape[1]))
        for h, _ in reaching:
            gx[n, c, indices[:, :, *h]] += gy[:, :, *h]
        return (gx.reshape(x.shape),)

    return ((y, indices) if return_indices else y), vjp


@literal
def avg_pool(
    x: Array,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Result:
    """y[n, c, h] = Σ_i x[n, c, Sh + i − P] / r[h], r the divisor of the window   (derivations, 4.2)."""
    shape, axes = x.shape[2:], x.ndim - 2
    kernel, p, ones = per_axis(kernel_size, axes), per_axis(padding, axes), (1,) * axes
    s = kernel if stride is None else per_axis(stride, axes)
    out = [pooled_size(shape[a], kernel[a], s[a], p[a], 1, ceil_mode) for a in range(axes)]
    inner = tuple(range(2, x.ndim))

    def divisor(h: tuple[int, ...], covered: tuple[slice, ...]) -> Any:
        if divisor_override is not None:
            count = divisor_override
        elif count_include_pad:  # the padding counts, what ceil_mode adds beyond it does not
            starts = [s[a] * h[a] - p[a] for a in range(axes)]
            count = math.prod(min(starts[a] + kernel[a], shape[a] + p[a]) - starts[a] for a in range(axes))
        else:
            count = math.prod(c.stop - c.start for c in covered)
        return x.dtype.type(count)

    y: Array = np.zeros((*x.shape[:2], *out), x.dtype)
    for h, covered in windows(shape, kernel, s, p, ones, out):
        y[:, :, *h] = total(x[:, :, *covered], inner) / divisor(h, covered)

    def vjp(gy: Array) -> Gradients:
        gx: Array = np.zeros(x.shape, x.dtype)
        for h, covered in windows(shape, kernel, s, p, ones, out):
            gx[:, :, *covered] += (gy[:, :, *h] / divisor(h, covered)).reshape(*x.shape[:2], *ones)
        return (gx,)

    return y, vjp


max_pool1d = max_pool2d = max_pool3d = max_pool
avg_pool1d = avg_pool2d = avg_pool3d = avg_pool


# --- flatten ------------------------------------------------------------------------------------------------


@literal
def flatten(x: Array, *, start_dim: int = 0, end_dim: int = -1) -> Result:
    """The axes start_dim … end_dim become one, in row-major order   (derivations, 5)."""
    shape = x.shape or (1,)
    start, end = start_dim % len(shape), end_dim % len(shape)
    y = x.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]).copy()
    return y, lambda gy: (gy.reshape(x.shape).copy(),)


# --- activations --------------------------------------------------------------------------------------------


def logistic(x: Array) -> Array:
    """σ(x) = 1/(1 + e^−x), as e^x/(1 + e^x) for x < 0: accurate in both tails; σ(−x) is 1 − σ(x)."""
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@literal
def relu(x: Array) -> Result:
    """y = max(x, 0); y' = 1 for x > 0 and at NaN, else 0   (derivations, 6)."""
    return np.where(x < 0, 0, x), lambda gy: (np.where(x <= 0, 0, gy),)


@literal
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Result:
    """y = x for x > 0, else αx, with its slope   (derivations, 6)."""
    alpha = x.dtype.type(negative_slope)
    return np.where(x > 0, x, alpha * x), lambda gy: (np.where(x > 0, gy, alpha * gy),)


@literal
def elu(x: Array, *, alpha: float = 1.0) -> Result:
    """y = x for x > 0, else α(e^x − 1); y' = αe^x at and below 0   (derivations, 6)."""
    a = x.dtype.type(alpha)
    return np.where(x > 0, x, a * np.expm1(x)), lambda gy: (np.where(x > 0, gy, gy * (a * np.exp(x))),)


@literal
def sigmoid(x: Array) -> Result:
    """y = σ(x), y' = σ(x) σ(−x)   (derivations, 6)."""
    return logistic(x), lambda gy: (gy * (logistic(x) * logistic(-x)),)


@literal
def tanh(x: Array) -> Result:
    """y = tanh x, y' = 1 − tanh² x = 4 σ(2x) σ(−2x)   (derivations, 6)."""
    return np.tanh(x), lambda gy: (gy * (4 * logistic(2 * x) * logistic(-2 * x)),)


@literal
def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Result:
    """y = log(1 + e^βx)/β, y' = σ(βx); the identity where βx > threshold   (derivations, 6)."""
    b = x.dtype.type(beta)
    t = b * x
    linear_part = t > x.dtype.type(threshold)
    log1p_exp = np.where(t > 0, t, 0) + np.log1p(np.exp(-abs(t)))
    return np.where(linear_part, x, log1p_exp / b), lambda gy: (np.where(linear_part, gy, gy * logistic(t)),)


@literal
def silu(x: Array) -> Result:
    """y = x σ(x), y' = σ(x) (1 + x σ(−x))   (derivations, 6)."""
    return x * logistic(x), lambda gy: (gy * (logistic(x) * (1 + x * logistic(-x))),)


def normal_density(x: Array) -> Array:
    """φ(x) = e^(−x²/2)/√2π, with x² split so that its rounding is not magnified by the exponential."""
    near = np.clip(x, -200, 200)  # φ(200) = 0 in every dtype
    head = np.rint(16 * near) / 16  # its square is exact
    tail = near - head
    return np.exp(-head * head / 2) * np.exp(-tail * (near + head) / 2) / np.sqrt(2 * constant(x, PI))


def normal_cdf(x: Array) -> Array:
    """Φ(x) = (1 + erf(x/√2))/2, without the division by √2.

    |x| ≤ 1: Φ(x) = 1/2 + φ(x) Σ_n x^(2n+1)/(2n+1)!!            (Abramowitz & Stegun, 26.2.11)
    x > 1: Φ(−x) = φ(x) k x/√2π (1/x² + 2 Σ_n e^(−(nk)²/2)/((nk)² + x²)) − 1/(e^(2πx/k) − 1), the
    trapezoidal rule of step k (Chiarella & Reichel, 1968); its relative error, e^(−2π²/k²), is 2^−113 for
    k = 1/2.
    """
    inner = np.clip(x, -1, 1)
    term = total = inner
    for n in range(1, 28):
        term = term * inner * inner / (2 * n + 1)
        total = total + term
    central = x.dtype.type(0.5) + normal_density(x) * total

    outer = np.clip(abs(x), 1, 200)
    square = outer * outer
    rule = 1 / square
    for n in range(1, 28):
        rule = rule + 2 * np.exp(-square.dtype.type(n * n) / 8) / (square + square.dtype.type(n * n) / 4)
    pi = constant(x, PI)
    pole = np.where(outer < 12, 1 / np.expm1(4 * pi * outer), 0)  # from there on it is below the error
    upper = normal_density(x) * outer * rule / np.sqrt(8 * pi) - pole
    return np.where(abs(x) <= 1, central, np.where(x < 0, upper, 1 - upper))


def gelu_erf(x: Array) -> Result:
    cdf, density = normal_cdf(x), normal_density(x)
    return x * cdf, lambda gy: (gy * (cdf + x * density),)


def gelu_tanh(x: Array) -> Result:
    cubic = constant(x, "0.044715")
    scale = np.sqrt(8 / constant(x, PI))
    near = np.clip(x, -1e4, 1e4)  # beyond, the logistic is 0 or 1 in every dtype, and x³ may overflow
    t = scale * (near + cubic * near * near * near)
    slope = scale * (1 + 3 * cubic * near * near)
    return x * logistic(t), lambda gy: (gy * (logistic(t) + x * (logistic(t) * logistic(-t) * slope)),)


@literal
def gelu(x: Array, *, approximate: str = "none") -> Result:
    """y = x Φ(x), y' = Φ(x) + x φ(x)   (derivations, 6).

    approximate="tanh": y = x σ(t), y' = σ(t) + x σ(t) σ(−t) t', t = √(8/π) (x + 0.044715 x³).
    """
    return gelu_tanh(x) if approximate == "tanh" else gelu_erf(x)


def log_probabilities(rows: Array) -> Array:
    """log p_k = x_k − m − log Σ_j e^(x_j − m) along the last axis, m the largest.

    The sum is 1 (the largest itself) plus the rest, hence log1p. A largest of ±inf gives NaN, as in PyTorch.
    """
    ordered = np.sort(rows, axis=-1)
    largest = ordered[..., -1:]
    others, itself = np.exp(ordered[..., :-1] - largest), np.expm1(largest - largest)
    rest = total(others, -1, True) + total(itself, -1, True)
    return rows - largest - np.log1p(rest)


def probabilities(rows: Array) -> Array:
    """p_k = e^x_k / Σ_j e^x_j along the last axis, both divided by e^m, m the largest."""
    e = np.exp(rows - rows.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / total(e, -1, True)


def rows_of(x: Array, dim: int) -> Array:
    """x with the axis `dim` last; a 0-d x is a row of one."""
    return np.moveaxis(np.atleast_1d(x), dim, -1)


def unrow(rows: Array, dim: int, like: Array) -> Array:
    """Undo `rows_of`."""
    return np.moveaxis(rows, -1, dim).reshape(like.shape)


@literal
def softmax(x: Array, *, dim: int) -> Result:
    """y_k = e^x_k / Σ_j e^x_j, ∂L/∂x_k = y_k (δ_k − Σ_j δ_j y_j)   (derivations, 6)."""
    p = probabilities(rows_of(x, dim))

    def vjp(gy: Array) -> Gradients:
        delta = rows_of(gy, dim)
        return (unrow(p * (delta - total(delta * p, -1, True)), dim, x),)

    return unrow(p, dim, x), vjp


@literal
def log_softmax(x: Array, *, dim: int) -> Result:
    """y_k = x_k − log Σ_j e^x_j, ∂L/∂x_k = δ_k − p_k Σ_j δ_j   (derivations, 6)."""
    rows = rows_of(x, dim)

    def vjp(gy: Array) -> Gradients:
        delta = rows_of(gy, dim)
        return (unrow(delta - probabilities(rows) * total(delta, -1, True), dim, x),)

    return unrow(log_probabilities(rows), dim, x), vjp
