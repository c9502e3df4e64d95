"""The catalogue: every operation that is defined in a family's module."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module

from oracles.configuration import BadDescriptor, Case
from oracles.operation import Operation

#: Modules that hold definitions; each has the name of the module in `mint` that it defines.
FAMILIES = (
    "linear",
    "embedding",
    "conv",
    "unfold",
    "pad",
    "pool",
    "adaptive_pool",
    "lp_pool",
    "fractional_pool",
    "unpool",
    "norm",
    "reparametrisation",
    "piecewise",
    "activation",
    "softmax",
    "dropout",
    "attention",
    "recurrent",
    "loss",
    "likelihood",
    "margin",
    "ctc",
    "distance",
    "interpolate",
    "grid_sample",
    "shuffle",
    "shape",
)


class UnknownOperation(LookupError):
    """No operation has this name; the message is one line and suggests a near one."""

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def catalogue() -> dict[str, Operation]:
    """Every operation by name, in the order of the families."""
    return {
        value.name: value
        for family in FAMILIES
        for value in vars(import_module(f"oracles.{family}")).values()
        if isinstance(value, Operation)
    }


def operation(name: str) -> Operation:
    """The operation called `name`; raises `UnknownOperation`."""
    known = catalogue()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `mint ops` lists them"
    raise UnknownOperation(f"unknown operation {name!r}{hint}")


def parse(descriptor: str) -> Case:
    """The case that a descriptor names; raises `BadDescriptor` or `UnknownOperation`, one line each."""
    words = descriptor.split()
    if not words:
        raise BadDescriptor("descriptor: it is empty; expected one such as 'relu x=(2,3) fill=normal seed=1'")
    return operation(words[0]).parse(descriptor)
