"""The door: every hyper-parameter is checked and brought to its canonical form here, once.

Behind the door there are only plain ints, floats, bools and strings, tuples with one int per axis, and
paddings as one ``(before, after)`` pair per axis. A wrong type is a ``TypeError``, a wrong value a
``ValueError``; both say in one line which operation and hyper-parameter, what was expected, and what came. A
bool is not an int; a NumPy integer is. A list counts as a tuple, as in PyTorch.
"""

from __future__ import annotations

import itertools
import math
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np


def _is_int(value: object) -> TypeGuard[Integral]:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _is_real(value: object) -> TypeGuard[Real]:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_tuple(value: object) -> TypeGuard[tuple[object, ...] | list[object]]:
    return isinstance(value, tuple | list)


def _refuse(op: str, name: str, expected: str, value: object, *, of_type: bool) -> Exception:
    error = TypeError if of_type else ValueError
    return error(f"{op}: {name} must be {expected}; got {value!r}")


def integer(op: str, name: str, value: object, *, least: int | None = None, nonzero: bool = False) -> int:
    """One int, of at least ``least``, other than 0 where ``nonzero``.

    >>> integer("conv2d", "groups", 0, least=1)
    Traceback (most recent call last):
    ValueError: conv2d: groups must be an int of at least 1; got 0
    """
    bound = "" if least is None else f" of at least {least}"
    expected = "an int other than 0" if nonzero else f"an int{bound}"
    if not _is_int(value):
        raise _refuse(op, name, expected, value, of_type=True)
    number = int(value)
    if (least is not None and number < least) or (nonzero and number == 0):
        raise _refuse(op, name, expected, value, of_type=False)
    return number


def per_axis(op: str, name: str, value: object, axes: int, *, least: int | None = None) -> tuple[int, ...]:
    """One int per axis, of at least ``least``, from an int for all axes or a tuple.

    >>> per_axis("conv2d", "stride", 2, 2, least=1)
    (2, 2)
    >>> per_axis("conv2d", "stride", 0, 2, least=1)
    Traceback (most recent call last):
    ValueError: conv2d: stride must be an int of at least 1 or a tuple of 2 of them; got 0
    """
    expected = f"an int{'' if least is None else f' of at least {least}'} or a tuple of {axes} of them"
    entries = tuple(value) if _is_tuple(value) else (value,) * axes
    numbers = [int(entry) for entry in entries if _is_int(entry)]
    if len(numbers) < len(entries):
        raise _refuse(op, name, expected, value, of_type=True)
    if len(numbers) != axes or (least is not None and min(numbers) < least):
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)


def output_size(op: str, name: str, value: object, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """One length per axis, from an int for all axes or a tuple, in which None stands for the length in ``sizes``.

    >>> output_size("adaptive_avg_pool2d", "output_size", (3, None), (7, 9))
    (3, 9)
    >>> output_size("adaptive_avg_pool2d", "output_size", -1, (7, 9))
    Traceback (most recent call last):
    ValueError: adaptive_avg_pool2d: output_size must be an int of at least 0 or a tuple of 2 of them or None; got -1
    """
    expected = f"an int of at least 0 or a tuple of {len(sizes)} of them or None"
    entries = tuple(value) if _is_tuple(value) else (value,) * len(sizes)
    if len(entries) != len(sizes):
        raise _refuse(op, name, expected, value, of_type=False)
    kept = [size if entry is None else entry for size, entry in zip(sizes, entries, strict=True)]
    numbers = [int(entry) for entry in kept if _is_int(entry)]
    if value is None or len(numbers) < len(kept):
        raise _refuse(op, name, expected, value, of_type=True)
    if min(numbers) < 0:
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)


def padding_pairs(
    op: str, value: object, *, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """One ``(before, after)`` pair per axis, from any form of a convolution's padding.

    The forms: an int for both sides of all axes, a tuple of ints (both sides, per axis), a tuple of pairs,
    ``"valid"`` (none), and ``"same"`` (d·(k−1) in all, the odd one on the far side; stride 1 only).

    >>> padding_pairs("conv1d", "same", kernel=(4,), stride=(1,), dilation=(1,))
    ((1, 2),)
    """
    axes = len(kernel)
    expected = (
        f"an int of at least 0, a tuple of {axes} of them, a tuple of {axes} pairs (before, after) of them, "
        "'same' or 'valid'"
    )
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * axes
        if value != "same":
            raise _refuse(op, "padding", expected, value, of_type=False)
        if any(step != 1 for step in stride):
            raise ValueError(f"{op}: padding 'same' needs stride 1 on every axis; got stride {stride}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    entries = tuple(value) if _is_tuple(value) else (value,) * axes
    pairs = [tuple(entry) if _is_tuple(entry) else (entry, entry) for entry in entries]
    sides = [int(side) for pair in pairs for side in pair if _is_int(side)]
    if len(sides) < sum(len(pair) for pair in pairs):
        raise _refuse(op, "padding", expected, value, of_type=True)
    # pairs on one axis and ints on another would be guesswork
    mixed = len({_is_tuple(entry) for entry in entries}) > 1
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs) or mixed or min(sides) < 0:
        raise _refuse(op, "padding", expected, value, of_type=False)
    return tuple(zip(sides[::2], sides[1::2], strict=True))


def trailing_pairs(op: str, name: str, value: object, ndim: int) -> tuple[tuple[int, int], ...]:
    """One ``(before, after)`` pair for each of the last axes, first axis first, from PyTorch's flat form.

    That is a tuple of ints that begins with the last axis: (before, after, before, after, …).

    >>> trailing_pairs("pad", "pad", (1, 2, 3, -4), 3)
    ((3, -4), (1, 2))
    >>> trailing_pairs("pad", "pad", (1, 2, 3), 3)
    Traceback (most recent call last):
    ValueError: pad: pad must be a tuple of ints, two for each of at most 3 axes; got (1, 2, 3)
    """
    expected = f"a tuple of ints, two for each of at most {ndim} axes"
    if not _is_tuple(value):
        raise _refuse(op, name, expected, value, of_type=True)
    sides = [int(side) for side in value if _is_int(side)]
    if len(sides) < len(value):
        raise _refuse(op, name, expected, value, of_type=True)
    if len(sides) % 2 or len(sides) > 2 * ndim:
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(zip(sides[-2::-2], sides[::-2], strict=True))


def real(op: str, name: str, value: object, *, least: float | None = None, most: float | None = None) -> float:
    """One float, from an int or a float of Python or NumPy, in [least, most] where these are given.

    >>> real("cross_entropy", "label_smoothing", 2, least=0, most=1)
    Traceback (most recent call last):
    ValueError: cross_entropy: label_smoothing must be a number in [0, 1]; got 2
    """
    expected = "a number" if least is None else f"a number in [{least}, {most}]"
    if not _is_real(value):
        raise _refuse(op, name, expected, value, of_type=True)
    number = float(value)
    if least is not None and most is not None and not least <= number <= most:
        raise _refuse(op, name, expected, value, of_type=False)
    return number


def positive(op: str, name: str, value: object) -> float:
    """One float above 0, from an int or a float of Python or NumPy.

    >>> positive("huber_loss", "delta", 0)
    Traceback (most recent call last):
    ValueError: huber_loss: delta must be a number greater than 0; got 0
    """
    number = real(op, name, value)
    if not number > 0:
        raise _refuse(op, name, "a number greater than 0", value, of_type=False)
    return number


def positive_per_axis(op: str, name: str, value: object, axes: int) -> tuple[float, ...]:
    """One finite float above 0 per axis, from a number for all axes or a tuple.

    >>> positive_per_axis("interpolate", "scale_factor", (2, 0.0), 2)
    Traceback (most recent call last):
    ValueError: interpolate: scale_factor must be a finite number above 0 or a tuple of 2 of them; got (2, 0.0)
    """
    expected = f"a finite number above 0 or a tuple of {axes} of them"
    entries = tuple(value) if _is_tuple(value) else (value,) * axes
    numbers = [float(entry) for entry in entries if _is_real(entry)]
    if len(numbers) < len(entries):
        raise _refuse(op, name, expected, value, of_type=True)
    if len(numbers) != axes or not all(0 < number < np.inf for number in numbers):
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)


def flag(op: str, name: str, value: object) -> bool:
    """One bool, of Python or NumPy.

    >>> flag("max_pool2d", "ceil_mode", 1)
    Traceback (most recent call last):
    TypeError: max_pool2d: ceil_mode must be a bool; got 1
    """
    if not isinstance(value, bool | np.bool_):
        raise _refuse(op, name, "a bool", value, of_type=True)
    return bool(value)


def choice(op: str, name: str, value: object, choices: tuple[str, ...]) -> str:
    """One of the given strings.

    >>> choice("mse_loss", "reduction", "avg", ("mean", "sum", "none"))
    Traceback (most recent call last):
    ValueError: mse_loss: reduction must be one of 'mean', 'sum', 'none'; got 'avg'
    """
    expected = "one of " + ", ".join(map(repr, choices))
    if not isinstance(value, str):
        raise _refuse(op, name, expected, value, of_type=True)
    if value not in choices:
        raise _refuse(op, name, expected, value, of_type=False)
    return value


def reduction(op: str, value: object, *more: str) -> str:
    """How the losses of all elements or samples become one: "mean", "sum", "none", or one of ``more``.

    >>> reduction("kl_div", "batchmean", "batchmean")
    'batchmean'
    """
    return choice(op, "reduction", value, ("mean", "sum", "none", *more))


def index(op: str, name: str, value: object, length: int) -> int:
    """A place in a sequence of this length, counted from its start; −1 is the last.

    >>> index("embedding", "padding_idx", -1, 3)
    2
    >>> index("embedding", "padding_idx", 3, 3)
    Traceback (most recent call last):
    ValueError: embedding: padding_idx must be an int in [-3, 2]; got 3
    """
    expected = f"an int in [{-length}, {length - 1}]"
    if not _is_int(value):
        raise _refuse(op, name, expected, value, of_type=True)
    number = int(value)
    if not -length <= number < length:
        raise _refuse(op, name, expected, value, of_type=False)
    return number % length


def dimension(op: str, name: str, value: object, ndim: int) -> int:
    """The index of one axis of an array with ``ndim`` axes, counted from the front; −1 is the last.

    As in PyTorch a 0-d array is taken for an array of one axis.

    >>> dimension("softmax", "dim", -1, 3)
    2
    >>> dimension("softmax", "dim", 3, 3)
    Traceback (most recent call last):
    ValueError: softmax: dim must be an int in [-3, 2]; got 3
    """
    return index(op, name, value, max(ndim, 1))


def dimensions(op: str, name: str, value: object, ndim: int) -> tuple[int, ...]:
    """The indices of axes, counted from the front, from an int or a tuple of different ones; () means all axes.

    >>> dimensions("normalize", "dim", (0, -1), 3)
    (0, 2)
    >>> dimensions("normalize", "dim", (2, -1), 3)
    Traceback (most recent call last):
    ValueError: normalize: dim must be an int or a tuple of different axes; got (2, -1)
    """
    if not _is_tuple(value):
        return (dimension(op, name, value, ndim),)
    axes = tuple(dimension(op, name, entry, ndim) for entry in value) or tuple(range(ndim))
    if len(set(axes)) < len(axes):
        raise _refuse(op, name, "an int or a tuple of different axes", value, of_type=False)
    return axes


def sizes(op: str, name: str, value: object) -> tuple[int, ...]:
    """The lengths of one or more axes, from a tuple of ints, or an int for a single axis.

    >>> sizes("layer_norm", "normalized_shape", ())
    Traceback (most recent call last):
    ValueError: layer_norm: normalized_shape must be an int of at least 0 or a tuple of one or more of them; got ()
    """
    expected = "an int of at least 0 or a tuple of one or more of them"
    entries = tuple(value) if _is_tuple(value) else (value,)
    numbers = [int(entry) for entry in entries if _is_int(entry)]
    if len(numbers) < len(entries):
        raise _refuse(op, name, expected, value, of_type=True)
    if not numbers or min(numbers) < 0:
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)


def factors(op: str, name: str, value: object, length: int) -> tuple[int, ...]:
    """The lengths of axes that one of this length is split into; one of them may be −1, for what is left.

    >>> factors("unflatten", "sizes", (2, -1), 6)
    (2, 3)
    >>> factors("unflatten", "sizes", (4, -1), 6)
    Traceback (most recent call last):
    ValueError: unflatten: sizes must be a tuple of ints, one of which may be -1, with the product 6; got (4, -1)
    """
    expected = f"a tuple of ints, one of which may be -1, with the product {length}"
    if not _is_tuple(value):
        raise _refuse(op, name, expected, value, of_type=True)
    numbers = [int(entry) for entry in value if _is_int(entry)]
    if len(numbers) < len(value):
        raise _refuse(op, name, expected, value, of_type=True)
    if numbers.count(-1) == 1:
        known = -math.prod(numbers)
        numbers[numbers.index(-1)] = length // known if known else -1
    if not numbers or min(numbers) < 0 or math.prod(numbers) != length:
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)


def increasing(op: str, name: str, value: object, *, least: int) -> tuple[int, ...]:
    """One or more ints of at least ``least``, each larger than the one before.

    >>> increasing("AdaptiveLogSoftmaxWithLoss", "cutoffs", [10, 10], least=1)
    Traceback (most recent call last):
    ValueError: AdaptiveLogSoftmaxWithLoss: cutoffs must be a tuple of increasing ints of at least 1; got [10, 10]
    """
    expected = f"a tuple of increasing ints of at least {least}"
    if not _is_tuple(value):
        raise _refuse(op, name, expected, value, of_type=True)
    numbers = [int(entry) for entry in value if _is_int(entry)]
    if len(numbers) < len(value):
        raise _refuse(op, name, expected, value, of_type=True)
    if not numbers or numbers[0] < least or any(b <= a for a, b in itertools.pairwise(numbers)):
        raise _refuse(op, name, expected, value, of_type=False)
    return tuple(numbers)
