"""Configurations and cases, and the one line of text that a case is."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, nan
from types import MappingProxyType
from typing import Any

Shape = tuple[int, ...]

#: Words of a descriptor that are neither an array nor a hyper-parameter.
FAST, DEFAULT = "fast", "default"


class BadDescriptor(ValueError):
    """A descriptor that does not name a case; its message is one line."""


@dataclass(frozen=True)
class Configuration:
    """Shapes, hyper-parameters, dtype and memory layout of one call; no values.

    `shapes` holds the arrays that are given (an absent bias is not in it), `hyper` the hyper-parameters
    that differ from their defaults, `layouts` the arrays that are not plainly contiguous. `invalid` says
    what was made invalid on purpose, or is empty. `xla` is the compilation pipeline that JAX uses.
    """

    op: str
    shapes: Mapping[str, Shape]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    layouts: Mapping[str, str] = field(default_factory=dict)
    invalid: str = ""
    xla: str = FAST

    def __post_init__(self) -> None:
        for name in ("shapes", "hyper", "layouts"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __str__(self) -> str:
        words = [self.op]
        words += [f"{name}={_text(shape)}" for name, shape in self.shapes.items()]
        words += [f"{name}={_text(value)}" for name, value in self.hyper.items()]
        words.append(f"dtype={self.dtype}")
        words += [f"layout.{name}={layout}" for name, layout in self.layouts.items()]
        if self.invalid:
            words.append(f"invalid={self.invalid}")
        if self.xla != FAST:
            words.append(f"xla={self.xla}")
        return " ".join(words)

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        # by text: 1, 1.0 and True are equal in Python but are not the same hyper-parameter
        return isinstance(other, Configuration) and str(self) == str(other)

    def __reduce__(self) -> tuple[Any, ...]:
        return Configuration, (
            self.op,
            dict(self.shapes),
            dict(self.hyper),
            self.dtype,
            dict(self.layouts),
            self.invalid,
            self.xla,
        )


@dataclass(frozen=True)
class Case:
    """A configuration with the values to put in: a fill and a seed. `str(case)` is its descriptor.

    >>> case = Case(Configuration("relu", {"x": (2, 3)}), "normal", 7)
    >>> str(case)
    'relu x=(2,3) dtype=float32 fill=normal seed=7'
    """

    configuration: Configuration
    fill: str
    seed: int

    def __str__(self) -> str:
        return f"{self.configuration} fill={self.fill} seed={self.seed}"

    def at(self, dtype: str) -> Case:
        """The same case in another dtype."""
        return replace(self, configuration=replace(self.configuration, dtype=dtype))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value).replace(" ", "")
    # a bare word where it reads back as itself, so that a descriptor can stand between quotes in a shell
    bare = value.split() == [value] and _value(value) == value
    escaped = value.encode("unicode_escape").decode().replace('"', r"\"").replace(" ", r"\x20")
    return value if bare else f'"{escaped}"'


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"inf": inf, "-inf": -inf, "nan": nan}.get(text, text)


def parse_words(descriptor: str) -> tuple[str, dict[str, Any]]:
    """Split a descriptor into the operation's name and its words, in order.

    >>> parse_words("conv2d x=(1,1,2,2) padding=same")
    ('conv2d', {'x': (1, 1, 2, 2), 'padding': 'same'})

    Raises `BadDescriptor` for a word that is not `name=value`, and for one that is given twice.
    """
    name, *words = descriptor.split() or [""]
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise BadDescriptor(f"descriptor: expected name=value, got {word!r}")
        if key in values:
            raise BadDescriptor(f"descriptor: {key!r} is given twice")
        values[key] = text if key.startswith("layout.") or key in ("dtype", "fill", "invalid") else _value(text)
    return name, values
