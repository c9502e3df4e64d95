"""Resizing maps: nearest, linear, cubic and area interpolation.

Every mode is separable: along each axis in turn an element of the output is a weighted sum of a few taps of the input.
The gradient is the same with the taps turned round: which outputs a given input went into.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mint import hyperparameters
from mint.differentiable import Array, Vjp, differentiable
from mint.module import Shell

__all__ = [
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "interpolate",
]

Sizes = int | tuple[int, ...]
Factors = float | tuple[float, ...]

#: The modes, and the numbers of map axes that they take.
MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "lanczos": (2,),
    "trilinear": (3,),
}


@dataclass(frozen=True)
class _Taps:
    """Along one axis: output i is Σ over k of weight[i, k]·input[index[i, k]], divided by divisor[i].

    Outputs of fewer taps than others have index −1 in the places left over.
    """

    index: Array
    weight: Array
    divisor: Array

    def turned(self, inputs: int) -> _Taps:
        """The taps of the inputs: input j is given Σ over k of weight[j, k]·output[index[j, k]]."""
        outputs, tap = np.nonzero(self.index >= 0)
        into = self.index[outputs, tap]
        order = np.argsort(into, kind="stable")
        into, outputs, tap = into[order], outputs[order], tap[order]
        count = np.bincount(into, minlength=inputs)
        # the place of each among those that went into the same input
        place = np.arange(into.size) - np.repeat(np.cumsum(count) - count, count)
        index = np.full((inputs, count.max()), -1)
        weight = np.zeros(index.shape, self.weight.dtype)
        index[into, place] = outputs
        weight[into, place] = self.weight[outputs, tap]
        return _Taps(index, weight, np.ones(inputs, self.divisor.dtype))

    def sum(self, x: Array, axis: int) -> Array:
        """The weighted sums of the taps of x along an axis."""

        def along(values: Array) -> Array:
            return values.reshape(-1, *(1,) * (x.ndim - axis - 1))

        # an array, not 0, to begin with: an output of no tap at all is 0, and −0 stays −0
        y: Array = np.full((*x.shape[:axis], len(self.index), *x.shape[axis + 1 :]), -0.0, x.dtype)
        for index, weight in zip(self.index.T, self.weight.T, strict=True):
            term = np.take(x, index, axis) * along(weight.astype(x.dtype))
            # a place left over adds nothing, where 0·∞ would be NaN
            y = y + np.where(along(index < 0), -0.0, term)
        return y


def _ratio(n: int, out: int, scale: float | None, align_corners: bool) -> tuple[np.longdouble, np.longdouble]:
    # the input's elements per element of the output, as a fraction a/b: of integers, but for a given scale, whose
    # inverse is rounded to float64 as in PyTorch
    if align_corners:
        a, b = (n - 1, out - 1) if out > 1 else (0, 1)
        return np.longdouble(a), np.longdouble(b)
    return (np.longdouble(n), np.longdouble(out)) if scale is None else (np.longdouble(1 / scale), np.longdouble(1))


def _whole(index: Array, weight: Array) -> _Taps:
    # weights that need no division
    return _Taps(index.astype(np.int64), weight, np.ones(len(index), weight.dtype))


def _nearest(n: int, out: int, scale: float | None, *, centre: bool) -> _Taps:
    # ⌊i·n/out⌋ or, between centres, ⌊(i + ½)·n/out⌋; a scale's inverse and the product are rounded to float64: 1/0.1
    # is 10, and 11/1.1 is 10
    a, b = (n, out) if scale is None else (1 / scale, 1)
    at = (np.arange(out) + (0.5 if centre else 0.0)) * a / b
    index = np.minimum(np.floor(at), n - 1)[:, np.newaxis]
    return _whole(index, np.ones(index.shape, np.longdouble))


def _area(n: int, out: int) -> _Taps:
    # the mean over the inputs from ⌊i·n/out⌋ to ⌈(i + 1)·n/out⌉
    i = np.arange(out)
    first, last = i * n // out if out else i, -(-(i + 1) * n // out) if out else i
    index = first[:, np.newaxis] + np.arange((last - first).max(initial=0))
    index = np.where(index < last[:, np.newaxis], index, -1)
    return _Taps(index, np.ones(index.shape, np.longdouble), (last - first).astype(np.longdouble))


def _between(n: int, out: int, scale: float | None, align_corners: bool, *, clamp: bool) -> tuple[Array, Array, Array]:
    # where output i lies among the inputs: i·a/b with aligned corners, else (i + ½)·a/b − ½; as the input at or
    # before it, and how far it is from that one and from the next
    a, b = _ratio(n, out, scale, align_corners)
    i = np.arange(out, dtype=np.longdouble)
    at, unit = (i * a, b) if align_corners else ((2 * i + 1) * a - b, 2 * b)
    # over integers neither the quotient nor the remainder is rounded
    before, rest = np.divmod(np.maximum(at, 0) if clamp else at, unit)
    return before.astype(np.int64), rest / unit, (unit - rest) / unit


def _linear(n: int, out: int, scale: float | None, align_corners: bool) -> _Taps:
    before, t, to_next = _between(n, out, scale, align_corners, clamp=True)
    index = np.minimum(np.stack([before, before + 1], axis=1), n - 1)
    return _whole(index, np.stack([to_next, t], axis=1))


def _cubic(n: int, out: int, scale: float | None, align_corners: bool) -> _Taps:
    before, t, to_next = _between(n, out, scale, align_corners, clamp=False)
    index = np.clip(before[:, np.newaxis] + np.arange(-1, 3), 0, n - 1)
    return _whole(index, cubic_weights(t, to_next, np.longdouble("-0.75")))


def cubic_weights(t: Array, to_next: Array, a: np.floating) -> Array:
    """Keys's weights of the four elements around a place, [..., 4]; it is t from the second, 1 − t from the third."""
    return np.stack([_far(t, a), _near(t, a), _near(to_next, a), _far(to_next, a)], axis=-1)


def cubic_slopes(t: Array, to_next: Array, a: np.floating) -> Array:
    """The derivatives of ``cubic_weights`` over t."""

    def near(d: Array) -> Any:
        return d * (3 * (a + 2) * d - 2 * (a + 3))

    def far(d: Array) -> Any:
        return a * (1 - d) * (1 - 3 * d)

    return np.stack([far(t), near(t), -near(to_next), -far(to_next)], axis=-1)


def _near(d: Array, a: np.floating) -> Array:
    # Keys's kernel at the distance d ≤ 1: (a + 2)·d³ − (a + 3)·d² + 1, with its root 1 taken out
    weight: Array = (1 - d) * (1 + d - (a + 2) * d * d)
    return weight


def _far(d: Array, a: np.floating) -> Array:
    # Keys's kernel at the distance 1 + d from 1 to 2: a·(D³ − 5D² + 8D − 4) = a·(D − 1)·(D − 2)², D = 1 + d
    weight: Array = a * d * (1 - d) ** 2
    return weight


def _triangle(d: Array) -> Array:
    weight: Array = 1 - d
    return weight


def _keys(d: Array) -> Array:
    steepness = np.longdouble("-0.5")
    return np.where(d < 1, _near(d, steepness), _far(d - 1, steepness))


def _lanczos(d: Array) -> Array:
    weight: Array = _sinc(d) * _sinc(d / 3)
    return weight


def _sinc(d: Array) -> Array:
    # sin(π·d)/(π·d), exactly 0 at the integers
    whole, pi = np.rint(d), np.longdouble("3.14159265358979323846264338327950288")
    sine = np.where(whole % 2 == 1, -1, 1) * np.sin(pi * (d - whole))
    return np.where(d == 0, 1, sine / np.where(d == 0, 1, pi * d))


#: The filters of antialias: how far they reach, and their kernels.
FILTERS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _keys),
    "lanczos": (3, _lanczos),
}


def _filtered(
    n: int, out: int, scale: float | None, align_corners: bool, radius: int, kernel: Callable[[Array], Array]
) -> _Taps:
    # the kernel, stretched by a/b where the output is the coarser grid, around (i + ½)·a/b, its weights summing to 1;
    # input j lies at j + ½, |(2j + 1)·b − (2i + 1)·a| / (2·max(a, b)) kernel units away
    a, b = _ratio(n, out, scale, align_corners)
    coarser = np.maximum(a, b)
    i = np.arange(out, dtype=np.longdouble)[:, np.newaxis]
    first = np.floor((2 * i + 1) * a / (2 * b) - radius * coarser / b)
    j = first + np.arange(2 * math.ceil(radius * coarser / b) + 2)
    distance = abs((2 * j + 1) * b - (2 * i + 1) * a) / (2 * coarser)
    used = (j >= 0) & (j < n) & (distance < radius)
    weight = np.where(used, kernel(np.where(used, distance, 0)), 0)
    return _whole(np.where(used, j, -1), weight / weight.sum(axis=1, keepdims=True))


def _taps(mode: str, n: int, out: int, scale: float | None, align_corners: bool, antialias: bool) -> _Taps:
    if mode in ("nearest", "nearest-exact"):
        return _nearest(n, out, scale, centre=mode == "nearest-exact")
    if mode == "area":
        return _area(n, out)
    if antialias:
        return _filtered(n, out, scale, align_corners, *FILTERS[mode])
    return (_cubic if mode == "bicubic" else _linear)(n, out, scale, align_corners)


@differentiable(wide=True)
def interpolate(
    x: Array,
    *,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> tuple[Array, Vjp]:
    """Resize a map of one to three axes.

    Along each axis of n elements, output i of m lies at s = (i + ½)·r − ½ among the inputs, r = n/m, or 1/scale_factor
    where that is given. Then

    - ``"nearest"``: y[i] = x[⌊i·r⌋]; ``"nearest-exact"``: y[i] = x[⌊(i + ½)·r⌋], the one whose centre is nearest;
    - ``"linear"``, ``"bilinear"``, ``"trilinear"``: y[i] = (1 − t)·x[⌊s⌋] + t·x[⌊s⌋ + 1], t = s − ⌊s⌋;
    - ``"bicubic"``: y[i] = Σ over j from ⌊s⌋ − 1 to ⌊s⌋ + 2 of k(|s − j|)·x[j], with Keys's kernel
      k(d) = (a + 2)·d³ − (a + 3)·d² + 1 for d ≤ 1, a·(d³ − 5d² + 8d − 4) for 1 < d < 2, and a = −3/4;
    - ``"area"``: y[i] = the mean of x from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉, exclusive (``adaptive_avg_pool``);

    where an x beyond the border is the one at the border, and one along each axis after the other.
    With align_corners s = i·(n − 1)/(m − 1), so that first and last elements fall on first and last, 0 if m = 1.
    With antialias the sum is over all j within the map, of k(|s − j|/max(r, 1)), with the linear k(d) = 1 − d, d < 1,
    Keys's with a = −½, or in mode ``"lanczos"`` k(d) = sinc(d)·sinc(d/3), d < 3, divided by the sum of these weights.

    Shapes: x (N, C, L), (N, C, H, W) or (N, C, D, H, W); y the same with the map (…, ⌊n·scale_factor⌋, …) or size.
    N = 0 is taken, and in mode area a size of 0.
    Dtypes: those of ``differentiable``.

    size: elements, an int or one per axis; or scale_factor: outputs per input, a positive number or one per axis; one
    of the two. mode: as above, "linear" for one map axis, "bilinear", "bicubic" and "lanczos" for two, "trilinear" for
    three. align_corners: for the linear and cubic modes only. recompute_scale_factor: whether r is n/m where
    scale_factor is given, too (always in mode area). antialias: for "bilinear" and "bicubic"; "lanczos" needs it.

    Returns ``y, vjp``; ``vjp(gy)`` is ``(gx,)``.
    Raises ValueError or TypeError for hyper-parameters or shapes that do not fit, or a map that would be empty.
    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981;
    ``torch.nn.functional.interpolate``.

    A given scale_factor is not used for r on an axis whose size it leaves as it is (but in the modes nearest-exact and
    bicubic without antialias) or, in mode nearest, makes twice as large: r is 1 and ½ there, as in PyTorch.

    Differences: PyTorch rounds r and i·r to float32 even for float64, so that a nearest neighbour may be the next one
    where i·r is an integer or just about; here sizes are divided exactly, and 1/scale_factor and i·r are rounded to
    float64. PyTorch's gradient is that of another function than its output where a given scale_factor leaves a size as
    it is (bicubic; with antialias; or makes it twice as large, nearest on one and three axes): here it is that of the
    output, as in the last paragraph. With antialias PyTorch repeats the first row where the result is one element wide.
    With antialias and align_corners s = (i + ½)·(n − 1)/(m − 1) − ½, as in PyTorch, which aligns no corners.
    ``jax.image.resize`` has nearest-exact under the name nearest; its linear is the same, its cubic has a = −½ and
    leaves out what lies beyond the border, as antialias does.

    >>> interpolate(np.array([[[1.0, 3.0]]]), size=4, mode="linear")[0]
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    mode = hyperparameters.choice("interpolate", "mode", mode, tuple(MODES))
    align = align_corners is not None and hyperparameters.flag("interpolate", "align_corners", align_corners)
    antialias = hyperparameters.flag("interpolate", "antialias", antialias)
    axes = x.ndim - 2
    if axes not in MODES[mode]:
        maps = " or ".join(f"(N, C, {', '.join('DHW'[-k:] if k > 1 else 'L')})" for k in MODES[mode])
        raise ValueError(f"interpolate: x must have shape {maps} in mode {mode!r}; got {x.shape}")
    if 0 in x.shape[1:]:
        raise ValueError(f"interpolate: x must be empty in N only; got shape {x.shape}")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners must be None in mode {mode!r}; got {align_corners}")
    if antialias and mode not in FILTERS:
        raise ValueError(f"interpolate: antialias needs one of the modes {', '.join(map(repr, FILTERS))}; got {mode!r}")
    if mode == "lanczos" and (align or not antialias):
        found = f"antialias {antialias} and align_corners {align_corners}"
        raise ValueError(f"interpolate: mode 'lanczos' needs antialias and no align_corners; got {found}")
    sizes, scales = _sizes(x.shape[2:], size, scale_factor, mode, recompute_scale_factor, antialias)
    taps = [
        _taps(mode, n, out, scale, align, antialias) for n, out, scale in zip(x.shape[2:], sizes, scales, strict=True)
    ]
    y = x
    for axis in reversed(range(axes)):
        divisor = taps[axis].divisor.astype(x.dtype).reshape(-1, *(1,) * (axes - axis - 1))
        y = taps[axis].sum(y, axis + 2) / divisor

    def vjp(gy: Array) -> tuple[Array | None, ...]:
        # along one axis y[i] = Σ_k W[i, j(i, k)]·x[j(i, k)], so gx[j] = Σ_i W[i, j]·gy[i]:
        # [n, c, m] -> [n, c, l], one axis after the other, in any order
        gx = gy
        for axis in range(axes):
            divisor = taps[axis].divisor.astype(x.dtype).reshape(-1, *(1,) * (axes - axis - 1))
            gx = taps[axis].turned(x.shape[axis + 2]).sum(gx / divisor, axis + 2)
        return (gx,)

    return y, vjp


def _sizes(
    shape: tuple[int, ...],
    size: Sizes | None,
    scale_factor: Factors | None,
    mode: str,
    recompute: bool | None,
    antialias: bool,
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    # the output's sizes, and the scales to compute with, None where these are to follow from the sizes
    op, axes = "interpolate", len(shape)
    recompute = recompute is not None and hyperparameters.flag(op, "recompute_scale_factor", recompute)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: one of size and scale_factor must be given; got {size!r} and {scale_factor!r}")
    if size is not None:
        if recompute:
            raise ValueError(f"{op}: recompute_scale_factor needs scale_factor; got size {size!r}")
        sizes = hyperparameters.per_axis(op, "size", size, axes, least=0 if mode == "area" else 1)
        return sizes, (None,) * axes
    scales = hyperparameters.positive_per_axis(op, "scale_factor", scale_factor, axes)
    sizes = tuple(math.floor(n * scale) for n, scale in zip(shape, scales, strict=True))
    if min(sizes) < 1 and mode != "area":
        raise ValueError(f"{op}: the output must have at least one element on every axis; got {sizes}")
    if recompute or mode == "area":
        return sizes, (None,) * axes
    # PyTorch's special cases: what keeps its size is copied, and a nearest neighbour of twice the size is repeated
    kept = {"nearest": (1, 2), "bicubic": (1,) if antialias else (), "nearest-exact": ()}.get(mode, (1,))
    return sizes, tuple(
        None if out in [n * k for k in kept] else scale for n, out, scale in zip(shape, sizes, scales, strict=True)
    )


class Upsample(Shell):
    """``interpolate`` with its hyper-parameters."""

    operation = staticmethod(interpolate)

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factors | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__(
            size=size,
            scale_factor=scale_factor,
            mode=mode,
            align_corners=align_corners,
            recompute_scale_factor=recompute_scale_factor,
        )


class UpsamplingNearest2d(Shell):
    """``interpolate`` in mode nearest."""

    operation = staticmethod(interpolate)

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size=size, scale_factor=scale_factor, mode="nearest")


class UpsamplingBilinear2d(Shell):
    """``interpolate`` in mode bilinear, with aligned corners."""

    operation = staticmethod(interpolate)

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size=size, scale_factor=scale_factor, mode="bilinear", align_corners=True)
