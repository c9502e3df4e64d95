"""The source of a function with everything of this package that it calls, for stand-alone scripts."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any


def function_source(function: Callable[..., Any], name: str) -> str:
    """Source that binds `name` to `function`, its own helpers and imports first; it may be a partial with keywords.

    >>> from oracles.catalogue import operation
    >>> print(function_source(operation("tanh").jax, "call"))
    call = lambda jax, x: jax.numpy.tanh(x)
    """
    imports: dict[str, None] = {}
    definitions: dict[str, str] = {}
    given = function.keywords if isinstance(function, partial) else {}
    if isinstance(function, partial):
        imports["from functools import partial"] = None
        function = function.func
    assert isinstance(function, FunctionType)
    _collect(function, imports, definitions)
    if function.__name__ == "<lambda>":
        last = f"{name} = {_lambda_source(function)}"
    else:
        last = textwrap.dedent(inspect.getsource(function)).replace("  # noqa: ARG001", "").rstrip()
        settings = "".join(f", {keyword}={value!r}" for keyword, value in given.items())
        bound = f"partial({function.__name__}{settings})" if given else function.__name__
        last += "" if bound == name else f"\n\n\n{name} = {bound}"
    definitions.pop(function.__name__, None)
    return "\n\n\n".join(filter(None, ("\n".join(imports), *definitions.values(), last)))


def _collect(function: FunctionType, imports: dict[str, None], definitions: dict[str, str]) -> None:
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            if value.__name__ not in ("numpy",):  # every script imports it
                imports[f"import {value.__name__} as {name}"] = None
        elif isinstance(value, BuiltinFunctionType | type):
            imports[f"from {value.__module__} import {value.__name__}"] = None
        elif isinstance(value, float):
            definitions[name] = f'{name} = float("{value!r}")'  # also where it is infinite
        elif isinstance(value, bool | int | str | tuple | dict):
            definitions[name] = f"{name} = {value!r}"
        elif isinstance(value, FunctionType) and name not in definitions and value is not function:
            definitions[name] = ""  # a place in the order, and an end to recursion
            _collect(value, imports, definitions)
            del definitions[name]
            definitions[name] = textwrap.dedent(inspect.getsource(value)).rstrip()


def _names(code: CodeType) -> list[str]:
    nested = (_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return [*code.co_names, *(name for names in nested for name in names)]


def _lambda_source(function: FunctionType) -> str:
    """The text of a lambda, found in its file by its place."""
    module = inspect.getsource(inspect.getmodule(function) or function)
    line = function.__code__.co_firstlineno
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Lambda) and node.lineno == line:
            arguments = tuple(a.arg for a in node.args.args)
            if arguments == wanted:
                return " ".join((ast.get_source_segment(module, node) or "").split())
    raise LookupError(f"no lambda at line {line} of {function.__module__}")
