"""What every operation does around its mathematics: check arrays, choose the precision, own the results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Vjp = Callable[..., tuple[Array | None, ...]]
"""From the cotangent gy of the output (one per differentiable output, if there are several) to one gradient per
array argument, in order; None if there is none."""

P = ParamSpec("P")
Y = TypeVar("Y")

HALF = ("float16", "bfloat16")


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether Mint computes in this dtype: NumPy's floating-point ones, and bfloat16.

    bfloat16 comes from the package ml_dtypes, which need not be imported to know it by name.
    """
    return dtype.kind == "f" or dtype.name == "bfloat16"


@overload
def differentiable(function: Callable[P, tuple[Y, Vjp]], /) -> Callable[P, tuple[Y, Vjp]]: ...
@overload
def differentiable(
    *,
    integer: tuple[str, ...] = (),
    boolean: tuple[str, ...] = (),
    floating: tuple[str, ...] = (),
    wide: bool | int = False,
    outputs: int = 1,
) -> Callable[[Callable[P, tuple[Y, Vjp]]], Callable[P, tuple[Y, Vjp]]]: ...
def differentiable(
    function: Any = None,
    /,
    *,
    integer: tuple[str, ...] = (),
    boolean: tuple[str, ...] = (),
    floating: tuple[str, ...] = (),
    wide: bool | int = False,
    outputs: int = 1,
) -> Any:
    """Make an operation of a function that holds the bare mathematics.

    The function takes its arrays as positional parameters and its hyper-parameters as keyword-only ones, and
    returns ``y, vjp``. Decorated, it

    - takes NumPy arrays only: floating-point ones of one common dtype (float16, bfloat16, float32, float64,
      longdouble), integer ones for the parameters named in ``integer``, bool ones for those in ``boolean``
      (these or floating-point ones for those that are in ``floating`` as well), None where that is the default,
      and any number of them for a variadic parameter, ``*weights`` (``TypeError`` otherwise);
    - refuses a keyword that is no hyper-parameter of the operation;
    - computes float16 and bfloat16 in float32 (if ``wide``, these and float32 in float64) and rounds y and each
      gradient once, to the dtype of the input; ``wide`` may be a number: that of the elements of all arrays
      together up to which it is so, where large products would take twice the time;
    - gives the same bits whatever the memory layout of its arrays, which it reads in C order;
    - returns arrays (0-d ones, not scalars), C-contiguous, that share no memory with an input or the
      cotangent: where the mathematics is the identity (``flatten``, a mean over one element) the result is a
      copy;
    - follows IEEE arithmetic in silence: an infinity or a NaN in the result is the answer, not a warning;
    - checks in ``vjp(gy)`` that gy has the shape (``ValueError``) and the dtype (``TypeError``) of y;
    - where the function returns a tuple, takes the first ``outputs`` of it for differentiable, each with a
      cotangent of its own, ``vjp(gy, ghn)``; what follows them (the indices of a maximum) has none.

    ``vjp`` may be called many times and changes nothing. It reads the inputs and may read y: like PyTorch's
    autograd it gives the gradient of what was computed only as long as those arrays are not written to.

    >>> @differentiable
    ... def square(x):
    ...     return x * x, lambda gy: (2 * x * gy,)
    >>> y, vjp = square(np.array([1.0, 3.0]))
    >>> vjp(np.array([1.0, 10.0]))
    (array([ 2., 60.]),)
    >>> square([1.0])
    Traceback (most recent call last):
    TypeError: square: x must be a NumPy array; got list
    """
    decorate = functools.partial(
        _differentiable, integer=integer, boolean=boolean, floating=floating, wide=wide, outputs=outputs
    )
    return decorate if function is None else decorate(function)


def _differentiable(
    function: Callable[P, Any],
    *,
    integer: tuple[str, ...],
    boolean: tuple[str, ...],
    floating: tuple[str, ...],
    wide: bool | int,
    outputs: int,
) -> Callable[P, Any]:
    op = function.__name__
    mathematics: Callable[..., Any] = function
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    optional = {p.name for p in parameters if p.default is None}
    plain = {**dict.fromkeys(integer, "iu"), **dict.fromkeys(boolean, "b")}

    @functools.wraps(function)
    def operation(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Vjp]:
        refuse_unknown(op, kwargs, signature)
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{op}: {error}") from None
        arrays = {name: given.pop(name, None) for name in names}
        arrays |= {f"{variadic}[{place}]": array for place, array in enumerate(given.pop(variadic, ()))}
        dtype = _common_dtype(op, arrays, plain, floating, optional)
        inputs = [array for array in arrays.values() if array is not None]
        working = _working(dtype, wide is True or sum(array.size for array in inputs) <= wide)
        operands = [
            array if array is None or not is_floating(array.dtype) else np.asarray(array, working, order="C")
            for array in arrays.values()
        ]
        with np.errstate(all="ignore"):
            result, inner = mathematics(*operands, **given)
            values = result if isinstance(result, tuple) else (result,)
            # integers, the indices of a maximum, keep their dtype
            owned = [_own(v, dtype if is_floating(np.asarray(v).dtype) else None, inputs) for v in values]
        shapes = [y.shape for y in owned[:outputs]]

        def vjp(*cotangents: Array) -> tuple[Array | None, ...]:
            if len(cotangents) != len(shapes):
                count = f"{len(shapes)} cotangent{'s' if len(shapes) > 1 else ''}"
                raise TypeError(f"{op}: vjp takes {count}, one per output; got {len(cotangents)}")
            for gy, shape in zip(cotangents, shapes, strict=True):
                _check_cotangent(op, gy, shape, dtype)
            with np.errstate(all="ignore"):
                gradients = inner(*(np.asarray(gy, working, order="C") for gy in cotangents))
                return tuple(None if g is None else _own(g, dtype, [*inputs, *cotangents]) for g in gradients)

        return tuple(owned) if isinstance(result, tuple) else owned[0], vjp

    return operation


class UnknownHyperparameter(ValueError, TypeError):
    """A keyword that the operation does not have: a call that is wrong (TypeError), a request that cannot be met."""


def refuse_unknown(op: str, keywords: Iterable[str], signature: inspect.Signature) -> None:
    """Refuse a keyword that is no parameter, in one line with those that there are."""
    for name in keywords:
        if name not in signature.parameters:
            known = ", ".join(signature.parameters)
            raise UnknownHyperparameter(f"{op}: unknown hyper-parameter {name!r}; expected some of {known}")


def _working(dtype: np.dtype[Any], wide: bool) -> np.dtype[Any]:
    """The dtype to compute in."""
    if dtype.name not in (*HALF, "float32"):
        return dtype
    return np.dtype(np.float64 if wide else np.float32)


def _common_dtype(
    op: str, arrays: Mapping[str, object], plain: Mapping[str, str], floating: tuple[str, ...], optional: set[str]
) -> np.dtype[Any]:
    dtypes: dict[str, np.dtype[Any]] = {}
    for name, array in arrays.items():
        if array is None and name in optional:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{op}: {name} must be a NumPy array; got {type(array).__name__}")
        if name in plain and not (name in floating and is_floating(array.dtype)):
            if array.dtype.kind not in plain[name]:
                kind = "the bool dtype" if plain[name] == "b" else "an integer dtype"
                other = " or a floating-point one" if name in floating else ""
                raise TypeError(f"{op}: {name} must have {kind}{other}; got {array.dtype}")
            continue
        if not is_floating(array.dtype):
            raise TypeError(f"{op}: {name} must have a floating-point dtype; got {array.dtype}")
        dtypes[name] = array.dtype
    if len(set(dtypes.values())) > 1:
        found = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"{op}: the arrays must have one common dtype; got {found}")
    # what is made of integers alone is not rounded to any
    return next(iter(dtypes.values()), np.dtype(np.float64))


def _check_cotangent(op: str, gy: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(gy, np.ndarray):
        raise TypeError(f"{op}: gy must be a NumPy array; got {type(gy).__name__}")
    if gy.dtype != dtype:
        raise TypeError(f"{op}: gy must have the dtype of the output, {dtype}; got {gy.dtype}")
    if gy.shape != shape:
        raise ValueError(f"{op}: gy must have the shape of the output, {shape}; got {gy.shape}")


def _own(value: object, dtype: np.dtype[Any] | None, others: Iterable[Array]) -> Array:
    array = np.asarray(value, dtype, order="C")
    if not array.flags.writeable or any(np.may_share_memory(array, other) for other in others):
        return array.copy()
    return array
