"""Formulas: the forward equation of an operation is written once; its gradient and its rounding scale follow.

A function decorated with `formula` computes an operation literally from its index formula, in plain NumPy. It is
run on arrays that remember how they were made, so that

- the gradient comes by reverse accumulation over the elementary operations (Griewank and Walther, *Evaluating
  Derivatives*, 2008, §3.2), independently of the vjp that was derived by hand in `mint`;
- every value carries the first-order bound of its rounding error in units of u: Higham's running error analysis
  (*Accuracy and Stability of Numerical Algorithms*, 2002, §3.3), fl(a ∘ b) adds |a ∘ b| to what its operands
  bring along. That bound is the scale G, of the outputs and, as the accumulation is made of the same elementary
  operations, of the gradients.

Both are in the dtype of the arrays, up to longdouble.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from oracles.summation import lost, total

Array = Any  # np.ndarray; its stubs cannot say "of the dtype of that argument"
Pullback = Callable[[Any], Any]  # NumPy's stubs do not know that arithmetic on traced arrays gives traced arrays


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with the bound of its error in units of u, and the operands that it was computed from."""

    __array_priority__ = 1000

    def __init__(
        self, value: Any, bound: Any = 0.0, sources: Sequence[tuple[Traced, Pullback]] = (), *, leaf: bool = False
    ) -> None:
        self.value: Array = np.asarray(value)
        bound = np.asarray(bound, self.value.dtype)
        self.bound: Array = bound if bound.shape == self.value.shape else np.broadcast_to(bound, self.value.shape)
        self.sources = [(source, pullback) for source, pullback in sources if source.tracked]
        self.tracked: bool = leaf or bool(self.sources)
        self.serial = next(_serials)

    @property
    def constant(self) -> Traced:
        """The same value and bound, not differentiated: what a pullback computes with."""
        return Traced(self.value, self.bound)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.value.dtype
        return dtype

    @property
    def T(self) -> Traced:  # noqa: N802 - as NumPy has it
        return self.transpose()

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        return f"Traced({self.value!r})"

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a formula's array was passed to what would lose its gradient; use formula.value(x)")

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            raise TypeError(f"formula: np.{ufunc.__name__} with {method} {keywords} is not known here")
        if ufunc in _ELEMENTARY:
            return _ELEMENTARY[ufunc](*(traced(operand, self.dtype) for operand in operands))
        if ufunc in _PIECEWISE_CONSTANT:
            return ufunc(*map(value, operands))
        raise TypeError(f"formula: np.{ufunc.__name__} is not known here")

    def __array_function__(self, function: Any, _: Any, operands: Any, keywords: Any) -> Any:
        if function in _PIECEWISE_CONSTANT:
            return function(*map(value, operands), **keywords)
        if function not in _FUNCTIONS:
            raise TypeError(f"formula: np.{function.__name__} is not known here")
        return _FUNCTIONS[function](*operands, **keywords)

    def __getitem__(self, key: Any) -> Traced:
        plain = isinstance(key, tuple) and any(isinstance(part, Traced) for part in key)
        if plain or isinstance(key, Traced):
            raise TypeError("formula: an index is made of integers; use formula.value")
        shape = self.shape

        def back(g: Traced) -> Traced:
            return _scatter(g, key, shape)

        return Traced(self.value[key], self.bound[key], [(self, back)])

    def reshape(self, *shape: Any) -> Traced:
        before = self.shape
        to = shape[0] if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
        return _moved(self, lambda a: a.reshape(to), lambda g: g.reshape(before))

    def transpose(self, *axes: Any) -> Traced:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int | np.integer) else axes
        order = tuple(range(self.ndim))[::-1] if not order else tuple(int(a) % self.ndim for a in order)
        return _moved(self, lambda a: a.transpose(order), lambda g: g.transpose(tuple(np.argsort(order))))

    def swapaxes(self, a: int, b: int) -> Traced:
        return _moved(self, lambda v: v.swapaxes(a, b), lambda g: g.swapaxes(a, b))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return _sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        total = self.sum(axis, keepdims)
        count = self.size / total.size if total.size else 0
        return total / count if count else total * np.nan

    def max(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return _extremum(self, axis, keepdims, np.argmax)

    def min(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return _extremum(self, axis, keepdims, np.argmin)

    def ravel(self) -> Traced:
        return self.reshape(-1)


_serials = itertools.count()


def value(x: Any) -> Array:
    """The plain array of values, to branch on or to index with."""
    return x.value if isinstance(x, Traced) else x


def traced(x: Any, dtype: Any) -> Traced:
    """x itself, or a constant made of it in the dtype at hand."""
    return x if isinstance(x, Traced) else Traced(np.asarray(x, dtype))


def constant(like: Any, digits: str) -> Any:
    """The number written in `digits`, rounded once to the dtype of `like`."""
    return like.dtype.type(digits)


def straight_through(y: Any, x: Any, slope: Any = None) -> Any:
    """y with the gradient of slope·x, or of x: for what is defined to have another gradient than its own."""
    back: Pullback = (lambda g: g) if slope is None else (lambda g: _scaled(g, traced(slope, x.dtype)))
    return Traced(y.value, y.bound, [(x, back)])


def _product(a: Array, b: Array) -> Array:
    """a·b, where nothing times anything is nothing."""
    return np.where((a == 0) | (b == 0), np.zeros((), np.result_type(a, b)), a * b)


def _unbroadcast(g: Traced, shape: tuple[int, ...]) -> Traced:
    """The sum of g over what was broadcast from `shape`."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + a for a, n in enumerate(shape) if n == 1 and g.shape[extra + a] != 1)
    return _sum(g, axes, False).reshape(shape)


def _moved(x: Traced, move: Callable[[Array], Array], back: Pullback) -> Traced:
    """Elements in another order or shape: nothing is rounded."""
    return Traced(move(x.value), move(x.bound), [(x, back)])


def _scatter(g: Traced, key: Any, shape: tuple[int, ...]) -> Traced:
    """The elements of g added up where `key` points to in zeros of this shape."""

    def added(values: Array) -> Array:
        sums = np.zeros(shape, values.dtype)
        np.add.at(sums, key, values)
        return sums

    return Traced(added(g.value), added(g.bound) + _lost(g, added), [(g, lambda c: c[key])])


def _lost(x: Traced, added: Callable[[Array], Array]) -> Array:
    """What rounding costs sums of the elements of x; `added` adds up."""
    there = added((x.value != 0).astype(x.dtype))
    return lost(there, added(np.abs(x.value)), added(x.value), added(np.square(x.value)))


def _sum(x: Traced, axis: Any, keepdims: bool) -> Traced:
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % x.ndim for a in axes)
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))

    def added(values: Array) -> Array:
        return total(values, axes, keepdims)

    full = x.shape
    return Traced(
        added(x.value),
        added(x.bound) + _lost(x, added),
        [(x, lambda g: _broadcast(g.reshape(shape), full))],
    )


def _broadcast(x: Traced, shape: Any) -> Traced:
    before = x.shape
    return _moved(x, lambda a: np.broadcast_to(a, shape), lambda g: _unbroadcast(g, before))


def _extremum(x: Traced, axis: Any, keepdims: bool, place: Any) -> Traced:
    """The first extremum (or NaN) along one axis, or over several: it gets the whole gradient."""
    if isinstance(axis, tuple):
        axes = [a % x.ndim for a in axis]
        rest = [a for a in range(x.ndim) if a not in axes]
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        flat = x.transpose((*rest, *axes)).reshape((*(x.shape[a] for a in rest), -1))
        found = _extremum(flat, -1, False, place)
        return found.reshape(kept) if keepdims else found
    if axis is None:
        found = _extremum(x.reshape(-1), 0, False, place)
        return found.reshape((1,) * x.ndim) if keepdims else found
    found = _take_along_axis(x, np.expand_dims(place(x.value, axis=axis), axis), axis)
    return found if keepdims else _squeeze(found, axis)


def _squeeze(x: Traced, axis: Any = None) -> Traced:
    return x.reshape(np.squeeze(x.value, axis).shape)


def _take_along_axis(x: Traced, indices: Array, axis: int) -> Traced:
    axis = axis % x.ndim
    key = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    # as NumPy: axes of length 1 in the indices broadcast
    key = [
        k
        if indices.shape[a] == x.shape[a] or a == axis
        else np.arange(x.shape[a]).reshape([-1 if b == a else 1 for b in range(x.ndim)])
        for a, k in enumerate(key)
    ]
    key[axis] = indices
    return x[tuple(key)]


# --- elementary operations ----------------------------------------------------------------------------------


def _add(a: Traced, b: Traced) -> Traced:
    z = a.value + b.value
    # adding nothing is exact
    rounded = np.where((a.value == 0) | (b.value == 0), 0, np.abs(z))
    shapes = a.shape, b.shape
    return Traced(
        z,
        a.bound + b.bound + rounded,
        [(a, lambda g: _unbroadcast(g, shapes[0])), (b, lambda g: _unbroadcast(g, shapes[1]))],
    )


def _negative(a: Traced) -> Traced:
    return Traced(-a.value, a.bound, [(a, _negative)])


def _subtract(a: Traced, b: Traced) -> Traced:
    z = a.value - b.value
    rounded = np.where((a.value == 0) | (b.value == 0), 0, np.abs(z))
    shapes = a.shape, b.shape
    return Traced(
        z,
        a.bound + b.bound + rounded,
        [(a, lambda g: _unbroadcast(g, shapes[0])), (b, lambda g: _unbroadcast(_negative(g), shapes[1]))],
    )


def _scaled(g: Traced, factor: Traced) -> Traced:
    """g·factor in a pullback: no cotangent is no gradient, also where the factor is not finite."""
    z = _product(g.value, factor.value)
    bound = _product(np.abs(g.value), factor.bound) + _product(g.bound, np.abs(factor.value)) + np.abs(z)
    return Traced(z, bound)


def _multiply(a: Traced, b: Traced) -> Traced:
    z = a.value * b.value
    bound = _product(np.abs(a.value), b.bound) + _product(a.bound, np.abs(b.value)) + np.abs(z)
    return Traced(
        z,
        bound,
        [
            (a, lambda g: _unbroadcast(_scaled(g, b.constant), a.shape)),
            (b, lambda g: _unbroadcast(_scaled(g, a.constant), b.shape)),
        ],
    )


def _divide(a: Traced, b: Traced) -> Traced:
    z = a.value / b.value
    bound = (a.bound + _product(np.abs(z), b.bound)) / np.abs(b.value) + np.abs(z)
    quotient = Traced(z, bound)

    def over(g: Any) -> Any:
        found = _divide(g.constant, b.constant)
        return Traced(np.where(g.value == 0, 0, found.value), np.where(g.value == 0, g.bound, found.bound))

    return Traced(
        z,
        bound,
        [
            (a, lambda g: _unbroadcast(over(g), a.shape)),
            (b, lambda g: _unbroadcast(_negative(over(_scaled(g, quotient))), b.shape)),
        ],
    )


def _function(f: Callable[[Array], Array], slope: Callable[[Any, Any], Any]) -> Callable[[Traced], Traced]:
    """An elementary function: fl(f(x)) = f(x)·(1 + δ), and f passes on the error of x times its slope."""

    def elementary(x: Traced) -> Traced:
        z = f(x.value)
        y = Traced(z, np.abs(z))
        # nearly always x is exact; else the slope times its error
        if x.bound.any():
            inherited = _product(np.abs(slope(Traced(x.value), Traced(z)).value), x.bound)
            y = Traced(z, np.abs(z) + inherited)
        return Traced(y.value, y.bound, [(x, lambda g: _scaled(g, slope(x.constant, y)))])

    return elementary


def _sigmoid_slope(x: Array) -> Array:
    """σ′ without 1 − σ, in which nothing is left far from 0; the bound is that of the difference all the same."""
    e = np.exp(-np.abs(x))
    return e / (1 + e) ** 2


def _power(x: Traced, exponent: Traced) -> Any:
    if exponent.tracked:
        raise TypeError("formula: an exponent must be constant")
    n = exponent.value

    def slope(x: Any, _: Any) -> Any:
        lower = x.value ** (n - 1)
        inherited = _product(np.abs(n - 1) * x.bound, np.abs(x.value) ** (n - 2))
        return Traced(n) * Traced(lower, inherited + np.abs(lower))

    return _function(lambda v: v**n, slope)(_broadcast(x, np.broadcast_shapes(x.shape, exponent.shape)))


def _where(condition: Any, a: Any, b: Any) -> Any:
    chosen = value(condition)
    dtype = next(x.dtype for x in (a, b, condition) if isinstance(x, Traced))
    a, b = traced(a, dtype), traced(b, dtype)
    return Traced(
        np.where(chosen, a.value, b.value),
        np.where(chosen, a.bound, b.bound),
        [
            (a, lambda g: _unbroadcast(_where(chosen, g, 0), a.shape)),
            (b, lambda g: _unbroadcast(_where(chosen, 0, g), b.shape)),
        ],
    )


def _absolute(x: Traced) -> Any:
    return _where(x.value >= 0, x, _where(x.value == 0, 0 * x, -x))


def _maximum(a: Traced, b: Traced) -> Any:
    return _where((a.value >= b.value) | np.isnan(a.value), a, b)


def _minimum(a: Traced, b: Traced) -> Any:
    return _where((a.value <= b.value) | np.isnan(a.value), a, b)


def _logaddexp(a: Traced, b: Traced) -> Any:
    most = np.maximum(a.value, b.value)
    most = np.where(np.isfinite(most), most, 0)
    return np.log(np.exp(a - most) + np.exp(b - most)) + most


def _matmul(a: Traced, b: Traced) -> Any:
    if a.ndim == 1 or b.ndim == 1:
        one, other = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
        product = _matmul(one, other)
        return _squeeze(product, tuple(ax for ax, v in ((-2, a), (-1, b)) if v.ndim == 1))
    return _sum(a[..., :, :, None] * b[..., None, :, :], -2, False)


_ELEMENTARY: dict[Any, Callable[..., Any]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.negative: lambda x: _negative(x),
    np.positive: lambda x: x,
    np.power: _power,
    np.matmul: _matmul,
    np.absolute: _absolute,
    np.fabs: _absolute,
    np.exp: _function(np.exp, lambda x, y: y),
    np.expm1: _function(np.expm1, lambda x, y: np.exp(x)),
    np.log: _function(np.log, lambda x, y: 1 / x),
    np.log1p: _function(np.log1p, lambda x, y: 1 / (1 + x)),
    np.sqrt: _function(np.sqrt, lambda x, y: 0.5 / y),
    np.square: _function(np.square, lambda x, y: 2 * x),
    np.tanh: _function(np.tanh, lambda x, y: Traced(4 * _sigmoid_slope(2 * x.value), (1 - y * y).bound)),
    np.sin: _function(np.sin, lambda x, y: np.cos(x)),
    np.cos: _function(np.cos, lambda x, y: -np.sin(x)),
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.logaddexp: _logaddexp,
}


def sigmoid(x: Traced) -> Traced:
    """σ(x) = 1/(1 + e^−x), which NumPy has not."""

    def stable(v: Array) -> Array:
        e = np.exp(-np.abs(v))
        return np.where(v < 0, e, 1) / (1 + e)

    return _function(stable, lambda x, y: Traced(_sigmoid_slope(x.value), (y * (1 - y)).bound))(x)


def x_log_x(x: Traced) -> Traced:
    """x·log x, which is 0 at 0, where its slope is −∞."""
    return _function(lambda v: np.where(v == 0, 0, v * np.log(v)), lambda x, _: np.log(x) + 1)(x)


#: Functions whose derivative is zero wherever there is one: their results are plain arrays.
_PIECEWISE_CONSTANT = {
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.isnan, np.isinf, np.isfinite, np.sign, np.signbit, np.floor, np.ceil, np.rint, np.trunc, np.round,
    np.logical_and, np.logical_or, np.logical_not, np.argmax, np.argmin, np.argsort, np.shape, np.ndim, np.size,
    np.zeros_like, np.ones_like, np.full_like, np.any, np.all, np.result_type,
}  # fmt: skip


# --- functions on whole arrays ------------------------------------------------------------------------------


def _joined(join: Callable[..., Array], parts: Sequence[Any], axis: int) -> Traced:
    dtype = next(part.dtype for part in parts if isinstance(part, Traced))
    traces = [traced(part, dtype) for part in parts]
    y = join([t.value for t in traces], axis=axis)

    def back(place: int) -> Pullback:
        if join is np.stack:
            return lambda g: _moveaxis(g, axis, 0)[place]
        start = sum(t.shape[axis] for t in traces[:place])
        return lambda g: _moveaxis(_moveaxis(g, axis, 0)[start : start + traces[place].shape[axis]], 0, axis)

    return Traced(y, join([t.bound for t in traces], axis=axis), [(t, back(n)) for n, t in enumerate(traces)])


def _cumsum(x: Traced, axis: int | None = None) -> Traced:
    if axis is None:
        return _cumsum(x.reshape(-1), 0)

    def added(values: Array) -> Array:
        return np.cumsum(values, axis)

    return Traced(
        added(x.value),
        added(x.bound) + _lost(x, added),
        [(x, lambda g: _flip(_cumsum(_flip(g, axis), axis), axis))],
    )


def _pad(x: Traced, widths: Any, mode: str = "constant", constant_values: float = 0) -> Traced:
    if mode != "constant":
        raise TypeError(f"formula: np.pad with mode {mode!r} is not known here")
    pairs = [(int(low), int(high)) for low, high in np.broadcast_to(widths, (x.ndim, 2))]
    inner = tuple(slice(low, low + n) for (low, _), n in zip(pairs, x.shape, strict=True))
    return Traced(
        np.pad(x.value, pairs, constant_values=constant_values),
        np.pad(x.bound, pairs),
        [(x, lambda g: g[inner])],
    )


def _einsum(subscripts: str, *operands: Any) -> Any:
    """Products over the whole index space, then the sum over what the result does not have."""
    dtype = next(x.dtype for x in operands if isinstance(x, Traced))
    given, out = subscripts.replace(" ", "").split("->")
    labels = given.split(",")
    dots = max(
        (np.ndim(value(x)) - len(s.replace("...", "")) for s, x in zip(labels, operands, strict=True) if "..." in s),
        default=0,
    )
    free = "".join(chr(ord("Ⓐ") + n) for n in range(dots))

    def spelled(s: str, ndim: int | None = None) -> str:
        count = dots if ndim is None else ndim - len(s.replace("...", ""))
        return s.replace("...", free[dots - count :])

    names = [spelled(s, np.ndim(value(x))) for s, x in zip(labels, operands, strict=True)]
    result = spelled(out)
    everything = result + "".join(dict.fromkeys(c for s in names for c in s if c not in result))
    product: Any = None
    for letters, operand in zip(names, operands, strict=True):
        x = traced(operand, dtype)
        order = sorted(range(len(letters)), key=[everything.index(letter) for letter in letters].__getitem__)
        x = x.transpose(tuple(order)) if letters else x
        x = x.reshape([value(operand).shape[letters.index(c)] if c in letters else 1 for c in everything])
        product = x if product is None else product * x
    contracted = tuple(range(len(result), len(everything)))
    return _sum(product, contracted, False) if contracted else product


def _along(x: Traced, key: Callable[[int], Any], axis: Any) -> Traced:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    chosen = {a % x.ndim for a in axes}
    return x[tuple(key(x.shape[a]) if a in chosen else slice(None) for a in range(x.ndim))]


def _flip(x: Traced, axis: Any = None) -> Any:
    return _along(x, lambda n: slice(None, None, -1), axis)


def _roll(x: Traced, shift: int, axis: int) -> Any:
    return _take(x, (np.arange(x.shape[axis]) - shift) % x.shape[axis], axis)


def _take(x: Traced, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return x.reshape(-1)[indices]
    return x[(*(slice(None),) * (axis % x.ndim), indices)]


def _moveaxis(x: Traced, source: int, destination: int) -> Traced:
    order = [a for a in range(x.ndim) if a != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return x.transpose(tuple(order))


def _clip(x: Traced, least: Any = None, most: Any = None) -> Any:
    x = x if least is None else _where(x.value < value(least), least, x)
    return x if most is None else _where(x.value > value(most), most, x)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.sum: Traced.sum,
    np.mean: Traced.mean,
    np.max: Traced.max,
    np.min: Traced.min,
    np.amax: Traced.max,
    np.amin: Traced.min,
    np.cumsum: _cumsum,
    np.concatenate: lambda parts, axis=0: _joined(np.concatenate, parts, axis),
    np.stack: lambda parts, axis=0: _joined(np.stack, parts, axis),
    np.reshape: lambda x, shape: x.reshape(shape),
    np.ravel: Traced.ravel,
    np.transpose: lambda x, axes=None: x.transpose(*(() if axes is None else (axes,))),
    np.swapaxes: Traced.swapaxes,
    np.moveaxis: _moveaxis,
    np.expand_dims: lambda x, axis: x.reshape(np.expand_dims(x.value, axis).shape),
    np.squeeze: _squeeze,
    np.broadcast_to: lambda x, shape: _broadcast(x, shape),
    np.flip: _flip,
    np.roll: _roll,
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.einsum: _einsum,
    np.pad: _pad,
    np.clip: _clip,
    np.dot: _matmul,
}


# --- formulas -----------------------------------------------------------------------------------------------


class Derivative:
    """The vjp of one evaluation: called, the gradients; `scales`, the rounding scales of outputs and gradients."""

    def __init__(self, arrays: Sequence[Any], leaves: Sequence[Traced | None], outputs: Sequence[Any]) -> None:
        self._arrays, self._leaves, self._outputs = arrays, leaves, outputs
        self._last: tuple[Sequence[Array], list[Traced | None]] | None = None

    def __call__(self, *cotangents: Array) -> tuple[Array | None, ...]:
        return tuple(None if g is None else g.value for g in self._accumulated(cotangents))

    def scales(self, *cotangents: Array) -> tuple[tuple[Array | None, ...], tuple[Array | None, ...]]:
        """G of every output (None for one that is not traced), and of every gradient."""
        outputs = tuple(y.bound if isinstance(y, Traced) else None for y in self._outputs)
        return outputs, tuple(None if g is None else g.bound for g in self._accumulated(cotangents))

    def _accumulated(self, cotangents: Sequence[Array]) -> list[Traced | None]:
        # the gradients and their scales are asked for in turn
        if self._last is None or any(a is not b for a, b in zip(self._last[0], cotangents, strict=True)):
            self._last = cotangents, self._accumulate(cotangents)
        return self._last[1]

    def _accumulate(self, cotangents: Sequence[Array]) -> list[Traced | None]:
        received: dict[int, Traced] = {}
        waiting: dict[int, Traced] = {}

        def give(node: Traced, g: Traced) -> None:
            before = received.get(node.serial)
            received[node.serial] = g if before is None else _add(before, g)
            waiting[node.serial] = node

        with np.errstate(all="ignore"):
            for y, gy in zip(self._outputs, cotangents, strict=False):
                if isinstance(y, Traced) and y.tracked:
                    give(y, Traced(np.asarray(gy, y.dtype)))
            while waiting:
                node = waiting.pop(max(waiting))  # made last: whatever it feeds has given its part
                for source, pullback in node.sources:
                    give(source, pullback(received[node.serial]).constant)
            return [
                None if leaf is None else received.get(leaf.serial, Traced(np.zeros(leaf.shape, leaf.dtype)))
                for leaf in self._leaves
            ]


def formula(forward: Callable[..., Any]) -> Callable[..., tuple[Any, Derivative]]:
    """Make equations (`y, vjp = equations(*arrays, **hyper)`) of a forward formula in plain NumPy.

    Floating-point arrays are traced, integer and boolean ones are plain.

    >>> @formula
    ... def square(x):
    ...     return x * x
    >>> y, vjp = square(np.array([3.0]))
    >>> y, vjp(np.array([1.0])), vjp.scales(np.array([1.0]))
    (array([9.]), (array([6.]),), ((array([9.]),), (array([12.]),)))
    """

    @functools.wraps(forward)
    def equations(*arrays: Any, **hyper: Any) -> tuple[Any, Derivative]:
        leaves = [Traced(a, leaf=True) if a is not None and np.asarray(a).dtype.kind == "f" else None for a in arrays]
        given = [array if leaf is None else leaf for array, leaf in zip(arrays, leaves, strict=True)]
        with np.errstate(all="ignore"):
            result = forward(*given, **hyper)
        outputs = result if isinstance(result, tuple) else (result,)
        dtype = next((leaf.dtype for leaf in leaves if leaf is not None), None)
        values = tuple(np.asarray(y.value, dtype) if isinstance(y, Traced) else np.asarray(y) for y in outputs)
        return (values if isinstance(result, tuple) else values[0]), Derivative(arrays, leaves, outputs)

    return equations
