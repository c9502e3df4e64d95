"""Stand-alone scripts: a finding as a program that imports only NumPy and the guilty framework."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles import layout
from oracles.guard import banded
from oracles.judgement import Judgement, Verdict
from oracles.operation import Operation
from oracles.precision import precision
from oracles.source import function_source
from oracles.subject import MINT, Subject
from oracles.voice import SUBJECT

Array = NDArray[Any]
#: Layouts that a tensor made from an array keeps; the others PyTorch does not have.
SHARED_LAYOUTS = ("channels_last", "fortran", "sliced", "odd_strides")
OUTSIDE = "writes-outside"
#: Longer arrays are written as bytes, not as numbers.
LEGIBLE = 256


def array_source(array: Array) -> str:
    """An expression that makes this array again, bit for bit.

    >>> array_source(np.array([[0.5, np.inf]], np.float32))
    'np.array([[0.5, inf]], dtype=np.float32)'
    """
    name = array.dtype.name
    dtype = {"longdouble": "np.longdouble", "bfloat16": "ml_dtypes.bfloat16"}.get(name, f"np.{name}")
    if array.dtype == np.longdouble and array.dtype != np.float64:
        dtype = "np.longdouble"
    if array.size > LEGIBLE:
        text = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return f'np.frombuffer(base64.b64decode("{text}"), dtype={dtype}).reshape({array.shape}).copy()'
    if dtype == "np.longdouble":
        # decimal text, because a Python float would lose digits
        values = np.array([np.format_float_scientific(v, unique=True) for v in array.ravel()], dtype=object)
        return f"np.array({values.tolist()!r}).astype(np.longdouble).reshape({array.shape})"
    shown = array.astype(np.float64) if name == "bfloat16" else array
    empty = "" if array.size or array.ndim == 1 else f".reshape({array.shape})"
    return f"np.array({shown.tolist()!r}, dtype={dtype}){empty}"


def _call(operation: Operation, judgement: Judgement) -> str:
    configuration = judgement.case.configuration
    names = [name if name in configuration.shapes else "None" for name in operation.arguments(configuration)]
    while names and names[-1] == "None":
        names.pop()
    return ", ".join([*names, *(f"{k}={v!r}" for k, v in configuration.hyper.items())])


def _buffers(judgement: Judgement) -> dict[str, Array]:
    """What the subject was given as `out`, by the name that it has in the script."""
    own = precision(judgement.case.configuration.dtype).dtype
    dtypes = {name: t.dtype if t.dtype.kind in "iu" else own for name, t in judgement.truth.items()}
    return {
        f"out_{name}": np.full(judgement.truth[name].shape, layout.junk(dtypes[name]), dtypes[name])
        for name in judgement.written
    }


def _numpy(operation: Operation, judgement: Judgement, subject: Subject) -> list[str]:
    function = f"mint.{operation.name}" if subject.name == MINT else "subject"
    buffers = list(_buffers(judgement))
    out = buffers[0] if len(buffers) == 1 else f"({', '.join(buffers)})"
    lines = [
        f"result = {function}({_call(operation, judgement)}{f', out={out}' if buffers else ''})",
        "y, vjp = result if isinstance(result, tuple) and callable(result[1]) else (result, None)",
        *([f"y = {out}"] if buffers else []),
        *_named(operation),
    ]
    if not judgement.case.configuration.invalid:
        names = [f"g{name}" for name in operation.arguments(judgement.case.configuration)]
        given = ", ".join(_cotangents(operation, judgement))
        lines += [f"if vjp is not None:\n    tensors |= dict(zip({names!r}, vjp({given})))"]
    return lines


def _named(operation: Operation) -> list[str]:
    """The outputs by name."""
    names = (*operation.outputs, *operation.extras)
    return [f"tensors = dict(zip({names!r}, y if isinstance(y, tuple) else (y,)))"]


def _cotangents(operation: Operation, judgement: Judgement) -> list[str]:
    return [name for name in operation.cotangents if name in judgement.inputs]


def _torch(operation: Operation, judgement: Judgement, function: str) -> list[str]:
    configuration = judgement.case.configuration
    given = [name for name in operation.arrays if name in configuration.shapes]
    lines = []
    convert = "torch.from_numpy(np.array({0}))"
    if configuration.dtype == "bfloat16":
        convert = "torch.from_numpy(np.array({0}).astype(np.float32)).bfloat16()"
    cotangents = _cotangents(operation, judgement)
    for name in [*given, *cotangents]:
        # a layout that PyTorch has as well is kept: the tensor shares the array's memory
        plain = configuration.layouts.get(name, "") not in SHARED_LAYOUTS or configuration.dtype == "bfloat16"
        plain = plain and not operation.is_integer(name, configuration)
        source = convert.format(name) if plain else f"torch.from_numpy({name})"
        lines.append(f"{name} = {source}")
    answer = judgement.answers.get(SUBJECT if function == SUBJECT else "torch")
    floating = [name for name in operation.differentiated(configuration) if answer is None or f"g{name}" in answer]
    lines += [f"{name}.requires_grad_()" for name in floating]
    lines += [
        f"y = {function}({_call(operation, judgement)})",
        *_named(operation),
    ]
    if cotangents and floating:
        names = [f"g{name}" for name in floating]
        outputs = ", ".join(f'tensors["{name[1:]}"]' for name in cotangents)
        gradients = f"torch.autograd.grad([{outputs}], [{', '.join(floating)}], [{', '.join(cotangents)}])"
        lines += [f"tensors |= dict(zip({names!r}, {gradients}))"]
    lines += ["tensors = {name: t.detach().to(torch.float64).numpy() for name, t in tensors.items()}"]
    return lines


def _jax(operation: Operation, judgement: Judgement, function: str) -> list[str]:
    configuration = judgement.case.configuration
    floating = operation.differentiated(configuration)
    if configuration.invalid:
        return [f"y = {function}({_call(operation, judgement)})"]
    cotangents = _cotangents(operation, judgement)
    count = len(cotangents)
    return [
        f"def forward({', '.join(floating)}):",
        f"    y = {function}({_call(operation, judgement)})",
        "    y = y if isinstance(y, tuple) else (y,)",
        f"    return y[:{count}], y[{count}:]",
        "",
        "",
        "@jax.jit",
        f"def program({', '.join((*floating, *cotangents))}):",
        f"    ys, vjp, extras = jax.vjp(forward, {', '.join(floating)}, has_aux=True)",
        f"    return (*ys, *extras), vjp(({', '.join(cotangents)},))",
        "",
        "",
        f"y, gradients = program({', '.join((*floating, *cotangents))})",
        *_named(operation),
        f"tensors |= dict(zip({[f'g{n}' for n in floating]!r}, gradients))",
        "tensors = {name: np.asarray(t) for name, t in tensors.items()}",
    ]


def script(operation: Operation, judgement: Judgement, verdict: Verdict, subject: Subject) -> str | None:
    """The program, or None where the guilty party is no framework (the equations, or nobody)."""
    guilty = subject.framework if verdict.guilty == SUBJECT else verdict.guilty
    if guilty not in ("numpy", "torch", "jax"):
        return None
    is_reference = verdict.guilty != SUBJECT
    configuration = judgement.case.configuration
    arrays = {name: a for name, a in judgement.inputs.items() if a is not None}
    body: list[str] = []
    for name, array in arrays.items():
        body.append(f"{name} = {array_source(np.array(array, order='C'))}")
        arranged = layout.source(name, configuration.layouts.get(name, ""), array.ndim)
        here = guilty == "numpy" or (guilty == "torch" and configuration.layouts.get(name) in SHARED_LAYOUTS)
        body += [arranged] if arranged and here else []
    if guilty == "numpy":
        buffers = _buffers(judgement)
        body += [f"{name} = {array_source(array)}" for name, array in buffers.items()]
        if verdict.verdict == OUTSIDE:
            body = _banded(body, [*arrays, *buffers])
    if verdict.verdict == "warns":
        body = ['warnings.simplefilter("error")', *body]
    if guilty == "numpy" and verdict.element is None:
        body += [f"inputs = {{{', '.join(f'{name!r}: {name}' for name in arrays)}}}"]
        body += ["before = {name: array.copy() for name, array in inputs.items()}"]
    body.append("")
    if subject.name != MINT and not is_reference:
        file, _, name = subject.name.rpartition(":")
        body += [f"subject = runpy.run_path({str(Path(file).resolve())!r})[{name!r}]", ""]
    if guilty == "numpy":
        body += _numpy(operation, judgement, subject)
    else:
        if is_reference:
            body += _reference(operation, guilty)
        write = _torch if guilty == "torch" else _jax
        body += write(operation, judgement, "call" if is_reference else "subject")
    body += ["", *_check(operation, verdict, judgement, guilty, subject)]
    own = "" if subject.name == MINT else f" --subject {subject.name} --framework {subject.framework}"
    head = f'"""{operation.name}: {_docstring(verdict.message)}\n\nmint replay {str(judgement.case)!r}{own}\n"""'
    return "\n".join([head, "", *_imports(body, guilty), "", *body]) + "\n"


def _imports(body: list[str], framework: str) -> list[str]:
    """The imports that these lines need."""
    text = "\n".join(body)
    standard = ["import base64"] if "base64." in text else []
    standard += ["import runpy"] if "runpy." in text else []
    standard += ["import warnings"] if "warnings." in text else []
    names = [name for name in ("inf", "nan") if re.search(rf"\b{name}\b", text)]
    standard += [f"from math import {', '.join(names)}"] if names else []
    own = ["import ml_dtypes"] if "ml_dtypes." in text else []
    own += ["import mint"] if "mint." in text else []
    own += {"torch": ["import torch", "import torch.nn.functional as F"], "jax": ["import jax"]}.get(framework, [])
    lines = ["from __future__ import annotations", "", *standard, *([""] if standard else [])]
    lines += ["import numpy as np", *own]
    return [*lines, "", 'jax.config.update("jax_enable_x64", True)'] if framework == "jax" else lines


def _banded(body: list[str], names: list[str]) -> list[str]:
    """The lines with these arrays laid into buffers that are looked at afterwards."""
    return [
        *(function_source(banded, "banded"), "", ""),
        *body,
        *(f"{name}, memory_{name}, _ = banded({name})" for name in names),
        f"memory = {{{', '.join(f'{name!r}: ({name}, memory_{name})' for name in names)}}}",
        "whole = {name: (array.copy(), buffer.tobytes()) for name, (array, buffer) in memory.items()}",
    ]


def _docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")


def _reference(operation: Operation, framework: str) -> list[str]:
    if framework == "torch":
        if operation.torch is None:
            return [f"call = F.{operation.name}", ""]
        return [function_source(operation.torch, "reference"), "", "", _bind("F"), ""]
    return [function_source(operation.jax, "reference"), "", "", _bind("jax"), ""]


def _bind(framework: str) -> str:
    return f"def call(*arrays, **hyper):\n    return reference({framework}, *arrays, **hyper)\n"


def _check(operation: Operation, verdict: Verdict, judgement: Judgement, guilty: str, subject: Subject) -> list[str]:
    """The last lines: print what came and what was expected; exit 1 while the finding still holds."""
    if verdict.verdict == "accepts-invalid":
        return ['raise SystemExit("invalid arguments were accepted")']
    if verdict.verdict in ("crash", "hang", "rejects-valid"):
        return ['print("no longer so: the call returned")']
    if verdict.verdict == "warns":
        return ['print("no longer so: the call gave no warning")']
    if verdict.element is None or verdict.expected is None or verdict.tensor is None:
        return _check_form(operation, verdict, judgement, guilty, subject)
    place = f"[{', '.join(map(str, verdict.element))}]" if verdict.element else "[()]"
    return [
        f'got = np.longdouble(np.asarray(tensors["{verdict.tensor}"]){place})',
        f'expected, allowed = np.longdouble("{verdict.expected}"), np.longdouble("{verdict.allowed:.6g}")',
        f'print("{verdict.tensor}{place}: got", got, "expected", expected, "±", allowed)',
        "same = got == expected or (np.isnan(got) and np.isnan(expected)) or abs(got - expected) <= allowed",
        'raise SystemExit(0 if same else "wrong")',
    ]


def _check_form(
    operation: Operation, verdict: Verdict, judgement: Judgement, guilty: str, subject: Subject
) -> list[str]:
    """The last lines where no value is wrong but a shape, a dtype or what became of memory."""
    lines = ["wrong = []"]
    if verdict.tensor is not None:
        truth = judgement.truth[verdict.tensor]
        dtype = truth.dtype.name if truth.dtype.kind in "iu" else judgement.case.configuration.dtype
        lines += [
            f'got = np.asarray(tensors.get("{verdict.tensor}"))',
            f'print("{verdict.tensor}:", got.shape, got.dtype, "expected", {truth.shape}, "{dtype}")',
            f'wrong += ["{verdict.tensor}"] if got.shape != {truth.shape} else []',
        ]
        if guilty == "numpy" and truth.dtype.kind not in "iu":
            lines.append(f'wrong += ["dtype"] if got.dtype.name != "{dtype}" else []')
    if guilty == "numpy":
        cotangents = _cotangents(operation, judgement)
        given = [name for name, a in judgement.inputs.items() if a is not None]
        names = [f"g{name}" for name in judgement.inputs if name not in cotangents]
        lines += [
            "kept = {n: np.array(t) for n, t in tensors.items() if t is not None}",
            f"again = dict(zip({names!r}, vjp({', '.join(cotangents)}))) if vjp is not None else {{}}",
            "wrong += [n for n, t in again.items() if t is not None and kept[n].tobytes() != t.tobytes()]",
            "wrong += [n for n, a in inputs.items() if before[n].tobytes() != a.tobytes()]",
            "wrong += [n for n, t in kept.items() for a in inputs.values() if np.shares_memory(tensors[n], a)]",
        ]
        if verdict.verdict in ("nondeterministic", "shares-memory"):
            lines += [
                "first = tensors",
                f"[{', '.join(given)}] = before.values()",
                *(f"{name} = {name}.copy()" for name in _buffers(judgement)),
                *_numpy(operation, judgement, subject),
                "pairs = [(n, t, u) for n, t in first.items() for u in (again.get(n), tensors[n]) if t is not None]",
                "wrong += [n for n, t, u in pairs if u is not None and np.shares_memory(t, u)]",
                "wrong += [n for n, t in tensors.items() if t is not None and kept[n].tobytes() != t.tobytes()]",
            ]
        if verdict.verdict == OUTSIDE:
            lines += [
                "for name, (array, buffer) in memory.items():",
                "    values, at_first = whole[name]",
                "    if array.flags.writeable:",
                "        array[...] = values",
                "    wrong += [name] if buffer.tobytes() != at_first else []",
            ]
    return [*lines, f'raise SystemExit(f"{{wrong}}: " + {verdict.message!r} if wrong else 0)']
