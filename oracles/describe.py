"""The catalogue in words, for `mint ops`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from oracles.limits import FULL, calibration, limit
from oracles.operation import Operation
from oracles.source import function_source


def summary(operation: Operation) -> str:
    """The first sentence of the docstring."""
    return (inspect.getdoc(operation.function) or "").split("\n\n")[0].replace("\n", " ")


def lines(operations: Iterable[Operation]) -> list[str]:
    """One line of the catalogue for each."""
    known = list(operations)
    width = max(len(operation.name) for operation in known)
    return [f"{operation.name:{width}}  {summary(operation)}" for operation in known]


def describe(operation: Operation) -> str:
    """Inputs, hyper-parameters, references, limits and limitations of one operation."""
    hyper = [
        name if default is inspect.Parameter.empty else f"{name}={default!r}"
        for name, default in operation.defaults.items()
    ]
    arrays = [f"{name}{_about(operation, name)}" for name in operation.arrays]
    nonfinite = [
        name for name in (*operation.differentiable, *operation.cotangents) if operation.may_be_nonfinite(name)
    ]
    recorded = calibration()["limits"].get(operation.name, {})
    lines = [
        f"{operation.name}: {summary(operation)}",
        "",
        f"arrays            {', '.join(arrays)}",
        f"hyper-parameters  {', '.join(hyper) or 'none'}",
        f"±∞ and NaN in     {', '.join(nonfinite) or 'none'}",
        "references        equations, torch, jax",
        "",
        "limits on the error ratio |error|/(u·G); the worst case of a sum of K terms, γ_K·Σ|t|, is K of these units",
    ]
    for tensor in operation.tensors:
        found = recorded.get(tensor, {}).get(FULL)
        figures = f"(worst seen {found['worst']:.3g} by {found['voice']})" if found else "(not calibrated)"
        half = limit(operation.name, tensor, "float16")
        lines.append(f"  {tensor:16}{limit(operation.name, tensor):g}  {figures}; {half:g} in half precision")
    if operation.limitations:
        lines += ["", "limitations"]
        for limitation in operation.limitations:
            tensors = f" ({', '.join(limitation.tensors)})" if limitation.tensors else ""
            lines.append(f"  {limitation.reference}{tensors}: {limitation.reason}")
    torch = function_source(operation.torch, "torch") if operation.torch else f"F.{operation.name}"
    lines += ["", "PyTorch", _indent(torch), "", "JAX", _indent(function_source(operation.jax, "jax"))]
    return "\n".join(lines)


def _about(operation: Operation, array: str) -> str:
    kind = {
        "integers": array in operation.integer and array not in operation.floating,
        "integers or floating-point numbers": array in operation.floating,
        "no gradient": array in operation.constant,
        "may be left out": operation.defaults_to_none(array),
    }
    said = [words for words, holds in kind.items() if holds]
    return f" ({', '.join(said)})" if said else ""


def _indent(text: str) -> str:
    return "\n".join("    " + row if row else "" for row in text.splitlines())
