"""Convolution and transposed convolution in one, two and three dimensions, from three bilinear maps."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Affine
from mint.pad import COPIED, bordered, filled
from mint.window import Window, gather, reach, scatter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Ints = int | tuple[int, ...]
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]

# up to so many elements in all arrays together, float32 is computed in float64
SMALL = 2**16

# The trilinear form  ⟨gy, correlate(x, w)⟩ = Σ gy[n, o, p] · w[o, c, k] · x[n, c, p·s + k·d − before]  has
# three derivatives, one per array. In matrices, with the channels and weights split into g groups, and X the
# windows of x:
#
#     correlate     [g, o, c·k] [g, c·k, n·p] -> [g, o, n·p]
#     adjoint in x  [g, c·k, o] [g, o, n·p]   -> [g, c·k, n·p], then scattered back over the map
#     adjoint in w  [g, o, n·p] [g, n·p, c·k] -> [g, o, c·k]


def correlate(x: Array, w: Array, window: Window, groups: int) -> Array:
    """y[n, o, p] = Σ over c and k of w[o, c, k] · x[n, c, p·s + k·d − before], within each group."""
    y = _weights(w, groups) @ _windows(x, window, groups)
    return _by_sample(y, len(x), len(w), window)


def adjoint_in_x(gy: Array, w: Array, window: Window, groups: int) -> Array:
    """The gradient of ``correlate`` for x; the forward of the transposed convolution."""
    n, channels = len(gy), w.shape[1] * groups
    windows = _weights(w, groups).transpose(0, 2, 1) @ _by_group(gy, groups)
    windows = windows.reshape(channels, math.prod(window.kernel), n, *window.out)
    return scatter(windows, window).swapaxes(0, 1)


def adjoint_in_w(gy: Array, x: Array, window: Window, groups: int) -> Array:
    """The gradient of ``correlate`` for w."""
    gw = _by_group(gy, groups) @ _windows(x, window, groups).transpose(0, 2, 1)
    return gw.reshape(gy.shape[1], x.shape[1] // groups, *window.kernel)


def _weights(w: Array, groups: int) -> Array:
    # [g·o, c, *k] -> [g, o, c·k]
    return w.reshape(groups, len(w) // groups, math.prod(w.shape[1:]))


def _windows(x: Array, window: Window, groups: int) -> Array:
    # [n, g·c, *map] -> [g, c·k, n·p]
    n, channels = x.shape[:2]
    rows = channels // groups * math.prod(window.kernel)
    return gather(x.swapaxes(0, 1), window).reshape(groups, rows, n * math.prod(window.out))


def _by_group(y: Array, groups: int) -> Array:
    # [n, g·o, *p] -> [g, o, n·p]
    n, channels = y.shape[:2]
    return y.swapaxes(0, 1).reshape(groups, channels // groups, n * math.prod(y.shape[2:]))


def _by_sample(y: Array, n: int, channels: int, window: Window) -> Array:
    # [g, o, n·p] -> [n, g·o, *p]
    return y.reshape(channels, n, *window.out).swapaxes(0, 1)


def _with_bias(y: Array, b: Array | None) -> Array:
    return y if b is None else y + b.reshape(len(b), *(1 for _ in y.shape[2:]))


def _bias_gradient(gy: Array, b: Array | None) -> Array | None:
    # b is broadcast, [o] -> [n, o, *p]; the transposed map sums, [n, o, *p] -> [o]
    return None if b is None else gy.sum(axis=(0, *range(2, gy.ndim)))


def _check_arrays(op: str, axes: int, x: Array, w: Array, b: Array | None, groups: int, *, transposed: bool) -> None:
    spatial = "DHW"[-axes:] if axes > 1 else "L"
    maps, kernels = ", ".join(spatial), ", ".join(f"k{axis}" for axis in spatial)
    layout = "C, O/groups" if transposed else "O, C/groups"
    if x.ndim != axes + 2:
        raise ValueError(f"{op}: x must have shape (N, C, {maps}); got {x.shape}")
    if w.ndim != axes + 2 or 0 in w.shape[2:]:
        raise ValueError(f"{op}: w must have shape ({layout}, {kernels}) and no empty kernel; got {w.shape}")
    if len(w) < groups or len(w) % groups:
        raise ValueError(f"{op}: w must have a first axis divisible into {groups} groups; got {w.shape}")
    expected = len(w) if transposed else w.shape[1] * groups
    if x.shape[1] != expected:
        raise ValueError(f"{op}: x must have {expected} channels to fit w {w.shape} in {groups} groups; got {x.shape}")
    outputs = w.shape[1] * groups if transposed else len(w)
    if outputs == 0:
        raise ValueError(f"{op}: w must have at least one output channel; got {w.shape}")
    if b is not None and b.shape != (outputs,):
        raise ValueError(f"{op}: b must have shape ({outputs},) to fit w {w.shape}; got {b.shape}")
    # PyTorch's rule: an empty map is only taken where there is nothing to compute anyway
    if 0 in x.shape[2:] and 0 not in x.shape[:2]:
        raise ValueError(f"{op}: x must have no empty map unless batch or channels are empty; got {x.shape}")


def _convolution(
    op: str,
    axes: int,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    padding_mode: str,
) -> tuple[Array, Vjp]:
    s = hyperparameters.per_axis(op, "stride", stride, axes, least=1)
    d = hyperparameters.per_axis(op, "dilation", dilation, axes, least=1)
    groups = hyperparameters.integer(op, "groups", groups, least=1)
    mode = hyperparameters.choice(op, "padding_mode", padding_mode, ("zeros", *COPIED))
    _check_arrays(op, axes, x, w, b, groups, transposed=False)
    pairs = hyperparameters.padding_pairs(op, padding, kernel=w.shape[2:], stride=s, dilation=d)
    back = None
    if mode != "zeros":
        # from here on x is the map with its border
        x, back = bordered(op, "padding", x, pairs, mode)
        pairs = ((0, 0),) * axes
    kernel, sizes = w.shape[2:], x.shape[2:]
    extents = reach(kernel, d)
    padded = tuple(m + lo + hi for m, (lo, hi) in zip(sizes, pairs, strict=True))
    if any(extent > size for extent, size in zip(extents, padded, strict=True)):
        raise ValueError(f"{op}: the dilated kernel must fit into the padded map {padded}; got a kernel of {extents}")
    count = tuple((size - extent) // step + 1 for size, extent, step in zip(padded, extents, s, strict=True))
    window = Window(sizes, kernel, s, d, tuple(lo for lo, _ in pairs), count)

    y = _with_bias(correlate(x, w, window, groups), b)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        gx = adjoint_in_x(gy, w, window, groups)
        return (
            gx if back is None else back(gx),
            adjoint_in_w(gy, x, window, groups),
            _bias_gradient(gy, b),
        )

    return y, vjp


def _transposed_convolution(
    op: str,
    axes: int,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Ints,
    padding: Padding,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> tuple[Array, Vjp]:
    s = hyperparameters.per_axis(op, "stride", stride, axes, least=1)
    d = hyperparameters.per_axis(op, "dilation", dilation, axes, least=1)
    extra = hyperparameters.per_axis(op, "output_padding", output_padding, axes, least=0)
    if any(e >= max(step, dil) for e, step, dil in zip(extra, s, d, strict=True)):
        raise ValueError(
            f"{op}: output_padding must be smaller than stride or dilation on every axis; "
            f"got output_padding {extra}, stride {s}, dilation {d}"
        )
    groups = hyperparameters.integer(op, "groups", groups, least=1)
    _check_arrays(op, axes, x, w, b, groups, transposed=True)
    kernel, count = w.shape[2:], x.shape[2:]
    pairs = hyperparameters.padding_pairs(op, padding, kernel=kernel, stride=s, dilation=d)
    sizes = tuple(
        (m - 1) * step - lo - hi + extent + e
        for m, step, (lo, hi), extent, e in zip(count, s, pairs, reach(kernel, d), extra, strict=True)
    )
    # PyTorch's rule: an output map may be empty where the batch is
    if min(sizes) < (1 if len(x) else 0):
        raise ValueError(f"{op}: the output map must have at least one element on every axis; got {sizes}")
    window = Window(sizes, kernel, s, d, tuple(lo for lo, _ in pairs), count)

    y = _with_bias(adjoint_in_x(x, w, window, groups), b)

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # y is linear in x as gx is in gy: its adjoint is the correlation, and x stands where gy stood
        return (
            correlate(gy, w, window, groups),
            adjoint_in_w(x, gy, window, groups),
            _bias_gradient(gy, b),
        )

    return y, vjp


@differentiable(wide=SMALL)
def conv1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> tuple[Array, Vjp]:
    """Convolution (cross-correlation) over one axis; see ``conv2d``, of which it is the case with map (L).

    Shapes: x (N, C, L), w (O, C/groups, kL), b (O), y (N, O, L').

    >>> y, vjp = conv1d(np.array([[[1.0, 2.0, 3.0, 4.0]]]), np.array([[[1.0, 10.0]]]), stride=2)
    >>> y
    array([[[21., 43.]]])
    >>> vjp(np.array([[[1.0, 2.0]]]))
    (array([[[ 1., 10., 2., 20.]]]), array([[[ 7., 10.]]]), None)
    """
    return _convolution("conv1d", 1, x, w, b, stride, padding, dilation, groups, padding_mode)


@differentiable(wide=SMALL)
def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> tuple[Array, Vjp]:
    """Convolution (cross-correlation) over two axes.

    y[n, o, p] = b[o] + Σ over c and k of w[o, c, k] · x[n, c, p·s + k·d − before], where o sees the channels
    c of its own group only, p, k, s, d and before have one entry per axis, and x is 0 outside of the map.

    Shapes: x (N, C, H, W), w (O, C/groups, kH, kW), b (O) or None, y (N, O, H', W') with
    H' = ⌊(H + before + after − d·(k − 1) − 1) / s⌋ + 1. N = 0 is taken; so is C = 0, which gives y = b.
    Dtypes: those of ``differentiable``; all arrays share one. Up to 65,536 elements in all, float16, bfloat16 and
    float32 are computed in float64.

    stride, dilation: elements of the map, an int or one per axis, at least 1.
    padding: the border of the map, in elements: an int, a tuple of ints (both sides, per axis), a tuple of
    pairs (before, after), ``"valid"`` (none) or ``"same"`` (H' = H; stride 1 only, the odd one on the far
    side).
    groups: the number of groups into which C and O are divided.
    padding_mode: what the border is made of: ``"zeros"``, or with the other modes of ``pad`` of copies of x;
    padding is then less than the map for ``"reflect"`` and at most the map for ``"circular"``.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gw, gb)``, gb None without b.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    As in PyTorch, save that it takes an input without batch axis, has no pairs in padding, and returns no
    channel at all for C = 0. There padding_mode belongs to the modules alone, which pad first (and where it is
    not ``"zeros"`` take a negative padding, and cut). JAX (``lax.conv_general_dilated``) takes ``"same"`` with any
    stride, and gives an empty map where the kernel is larger than the padded map. Padding with zeros is a zero
    that is multiplied: at a tap in the padding an infinite weight gives NaN.
    """
    return _convolution("conv2d", 2, x, w, b, stride, padding, dilation, groups, padding_mode)


@differentiable(wide=SMALL)
def conv3d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> tuple[Array, Vjp]:
    """Convolution (cross-correlation) over three axes; see ``conv2d``, of which it is the case with map (D,
    H, W).

    Shapes: x (N, C, D, H, W), w (O, C/groups, kD, kH, kW), b (O), y (N, O, D', H', W').
    """
    return _convolution("conv3d", 3, x, w, b, stride, padding, dilation, groups, padding_mode)


@differentiable(wide=SMALL)
def conv_tbc(x: Array, w: Array, b: Array, *, pad: int = 0) -> tuple[Array, Vjp]:
    """Convolution over time, with the axes (time, batch, channel).

    y[t, n, o] = b[o] + Σ over c and k of w[k, c, o] · x[t + k − pad, n, c], where x is 0 outside of its times.

    Shapes: x (T, N, C), w (k, C, O), b (O), y (T', N, O) with T' = T + 2·pad − k + 1. Any of them may be empty.
    Dtypes: those of ``differentiable``; all arrays share one. Up to 65,536 elements in all, float16, bfloat16 and
    float32 are computed in float64.

    pad: zeros before and after, in elements; a negative number cuts as many off.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gw, gb)``.
    Raises ValueError or TypeError for shapes or a pad that do not fit.
    Source: PyTorch ``torch.nn.functional.conv_tbc``. JAX: ``lax.conv_general_dilated`` with other dimension numbers.

    >>> y, vjp = conv_tbc(np.array([[[1.0]], [[2.0]], [[3.0]]]), np.array([[[1.0]], [[10.0]]]), np.array([0.5]))
    >>> y.ravel()
    array([21.5, 32.5])
    """
    zeros = hyperparameters.integer("conv_tbc", "pad", pad)
    if x.ndim != 3:
        raise ValueError(f"conv_tbc: x must have shape (T, N, C); got {x.shape}")
    if w.ndim != 3 or w.shape[1] != x.shape[2]:
        raise ValueError(f"conv_tbc: w must have shape (k, {x.shape[2]}, O) to fit x {x.shape}; got {w.shape}")
    if b.shape != w.shape[2:]:
        raise ValueError(f"conv_tbc: b must have shape {w.shape[2:]} to fit w {w.shape}; got {b.shape}")
    kernel, times = len(w), len(x) + 2 * zeros
    if times < max(kernel - 1, 0):
        raise ValueError(
            f"conv_tbc: w must have at most {times + 1} taps to fit x {x.shape} and pad {pad}; got {kernel}"
        )
    padded, back = filled(x, ((zeros, zeros), (0, 0), (0, 0)))
    window = Window((times,), (kernel,), (1,), (1,), (0,), (times - kernel + 1,))

    # conv1d with its axes in another order: t n c -> n c t, and k c o -> o c k
    maps, weights = padded.transpose(1, 2, 0), w.transpose(2, 1, 0)
    y = correlate(maps, weights, window, 1).transpose(2, 0, 1) + b

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # and back: n c t -> t n c, o c k -> k c o
        g = gy.transpose(1, 2, 0)
        return (
            back(adjoint_in_x(g, weights, window, 1).transpose(2, 0, 1)),
            adjoint_in_w(g, maps, window, 1).transpose(2, 1, 0),
            gy.sum(axis=(0, 1)),
        )

    return y, vjp


@differentiable(wide=SMALL)
def conv_transpose1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Vjp]:
    """Transposed convolution over one axis; see ``conv_transpose2d``, of which it is the case with map (L).

    Shapes: x (N, C, L), w (C, O/groups, kL), b (O), y (N, O, L').

    >>> y, vjp = conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0]]]), stride=2)
    >>> y
    array([[[ 1., 10., 2., 20.]]])
    """
    return _transposed_convolution("conv_transpose1d", 1, x, w, b, stride, padding, output_padding, groups, dilation)


@differentiable(wide=SMALL)
def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Vjp]:
    """Transposed convolution over two axes: the adjoint of ``conv2d`` in its input.

    y[n, o, q] = b[o] + Σ of w[c, o, k] · x[n, c, p] over all c, p and k with p·s + k·d − before = q: each
    element of x lays a kernel over the output, s elements further each time, and overlaps add up.

    Shapes: x (N, C, H, W), w (C, O/groups, kH, kW), b (O) or None, y (N, O, H', W') with
    H' = (H − 1)·s − before − after + d·(k − 1) + 1 + output_padding. N = 0 is taken.
    Dtypes: those of ``differentiable``; all arrays share one. Up to 65,536 elements in all, float16, bfloat16 and
    float32 are computed in float64.

    stride, dilation: elements of the output map, an int or one per axis, at least 1.
    padding: elements of the output map that are removed at each side, in the forms of ``conv2d``; ``"same"``
    asks for
    stride 1 and gives H' = H + output_padding.
    output_padding: elements that the output map has more on the far side; smaller than stride or dilation.
    groups: the number of groups into which C and O are divided.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx, gw, gb)``, gb None without b.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    As in PyTorch, which has no pairs, ``"same"`` or ``"valid"`` here, takes an input without batch axis, and
    does not look at output_padding where the batch is empty. JAX (``lax.conv_transpose``) counts padding on
    the zero-inserted input, and rotates the kernel only when asked to.
    """
    return _transposed_convolution("conv_transpose2d", 2, x, w, b, stride, padding, output_padding, groups, dilation)


@differentiable(wide=SMALL)
def conv_transpose3d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Vjp]:
    """Transposed convolution over three axes; see ``conv_transpose2d``, of which it is the case with map (D,
    H, W).

    Shapes: x (N, C, D, H, W), w (C, O/groups, kD, kH, kW), b (O), y (N, O, D', H', W').
    """
    return _transposed_convolution("conv_transpose3d", 3, x, w, b, stride, padding, output_padding, groups, dilation)


class _Convolution(Affine):
    # rng draws the parameters, a fresh generator where it is None; dtype is theirs
    axes: int
    transposed = False

    def _own(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        groups: int,
        bias: bool,
        rng: np.random.Generator | None,
        dtype: npt.DTypeLike,
    ) -> None:
        name = type(self).__name__
        c = hyperparameters.integer(name, "in_channels", in_channels, least=1)
        o = hyperparameters.integer(name, "out_channels", out_channels, least=1)
        kernel = hyperparameters.per_axis(name, "kernel_size", kernel_size, self.axes, least=1)
        g = hyperparameters.integer(name, "groups", groups, least=1)
        bias = hyperparameters.flag(name, "bias", bias)
        if c % g or o % g:
            raise ValueError(f"{name}: groups must divide in_channels {c} and out_channels {o}; got {g}")
        first, second = (c, o) if self.transposed else (o, c)
        self.initialise((first, second // g, *kernel), o if bias else None, rng, dtype)


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(stride=stride, padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode)
        self._own(in_channels, out_channels, kernel_size, groups, bias, rng, dtype)


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        hyperparameters.choice(type(self).__name__, "padding_mode", padding_mode, ("zeros",))
        super().__init__(
            stride=stride, padding=padding, output_padding=output_padding, groups=groups, dilation=dilation
        )
        self._own(in_channels, out_channels, kernel_size, groups, bias, rng, dtype)


class Conv1d(_Conv):
    """``conv1d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (out_channels, in_channels/groups, *kernel_size).
    """

    axes = 1
    operation = staticmethod(conv1d)


class Conv2d(_Conv):
    """``conv2d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (out_channels, in_channels/groups, *kernel_size).
    """

    axes = 2
    operation = staticmethod(conv2d)


class Conv3d(_Conv):
    """``conv3d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (out_channels, in_channels/groups, *kernel_size).
    """

    axes = 3
    operation = staticmethod(conv3d)


class ConvTranspose1d(_ConvTranspose):
    """``conv_transpose1d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (in_channels, out_channels/groups, *kernel_size).
    """

    axes = 1
    operation = staticmethod(conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """``conv_transpose2d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (in_channels, out_channels/groups, *kernel_size).
    """

    axes = 2
    operation = staticmethod(conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """``conv_transpose3d`` that owns its bias (out_channels) and its weight.

    Shapes: weight (in_channels, out_channels/groups, *kernel_size).
    """

    axes = 3
    operation = staticmethod(conv_transpose3d)
