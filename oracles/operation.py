"""What an operation is: its inputs, how to draw its configurations, its references and its rounding scale."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracles.configuration import BadDescriptor, Case, Configuration, Shape, parse_words
from oracles.fill import FILLS
from oracles.formula import Derivative
from oracles.layout import LAYOUTS
from oracles.precision import precision
from oracles.summation import lost

Array = NDArray[Any]
Shapes = dict[str, Shape]
Hyper = dict[str, Any]
#: `vjp(gy)`, with one cotangent for each differentiable output: a gradient per array argument (None: it has none).
Vjp = Callable[..., tuple[Array | None, ...]]
#: A function of Hypothesis's `draw`: shapes of the arrays and hyper-parameters of one valid call.
Draw = Callable[[st.DrawFn], tuple[Shapes, Hyper]]
#: From a valid call, one that is not, and a word for what is wrong with it.
Spoil = Callable[[st.DrawFn, Shapes, Hyper], tuple[str, Shapes, Hyper]]


@dataclass(frozen=True)
class Limitation:
    """A reference that is not compared where `applies`, and the reason why: a difference that is documented.

    `tensors` names the tensors that are left out; empty, the whole case is. Where it is only `as_witness` that the
    reference is left out, it is compared like any other, but its word in float64 does not count.
    """

    reference: str
    reason: str
    applies: Callable[[Case], bool] = lambda case: True
    tensors: tuple[str, ...] = ()
    as_witness: bool = False


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation: everything that the harness knows about it.

    * `function` is Mint's: its name is the operation's, its signature says which arguments are arrays
      (the positional ones) and which are hyper-parameters (the keyword-only ones) with which defaults.
    * `variadic` names the arrays that a variadic parameter of the function, `*weights`, may hold, in order: a
      configuration gives the shapes of some.
    * `draw` draws shapes and hyper-parameters of a valid call; `spoil` makes a valid call invalid.
    * `torch(F, *arrays, **hyper)` and `jax(jax, *arrays, **hyper)` compute the outputs with the frameworks'
      own functions; their gradients are those frameworks' own. By default PyTorch's function of that name.
    * `equations` follows Mint's protocol, `y, vjp = equations(*arrays, **hyper)`; best a `formula`.
    * `scale(*arrays, gy, **hyper)` gives the rounding scale G of y and of each gradient, in the order of the
      arrays. By default it is that of the formula or, where the equations are none, the operation is multilinear:
      G is the operation itself on absolute values.
    * `outputs` names the differentiable outputs, `extras` what may come after them and has no gradient.
    * `integer` makes the integer and boolean arrays, `floating(configuration)` says for one of these where it is a
      floating one instead, `constant` names the floating ones that have no gradient, `adjust` restricts the range
      of a floating one.
    * `exact(configuration)`: every sum of small integers is exact, so the `integers` fill is compared bitwise.
    * `nonfinite` names the arrays in which ±∞, NaN and the largest number may stand (default: all but the
      cotangent gy, which times a slope that rounds to zero would make or lose a NaN by accident).
    * `underflows`: an exponential on the way underflows, or its reciprocal overflows, where the result is still
      a normal number; results near the smallest normal number are then judged by their absolute error.
    * `short` names axes that are never made long, because the equations go through all that there is along them.
    * `features(configuration)` adds yes/no facts to those from which a condition is inferred.
    """

    function: Callable[..., tuple[Any, Vjp]]
    draw: Draw
    equations: Callable[..., tuple[Any, Vjp]]
    jax: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    variadic: tuple[str, ...] = ()
    spoil: Spoil | None = None
    scale: Callable[..., tuple[Array | None, ...]] | None = None
    outputs: tuple[str, ...] = ("y",)
    extras: tuple[str, ...] = ()
    integer: Mapping[str, Callable[[np.random.Generator, Configuration], Array]] = field(default_factory=dict)
    floating: Mapping[str, Callable[[Configuration], bool]] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    adjust: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)
    exact: Callable[[Configuration], bool] = lambda configuration: False
    nonfinite: tuple[str, ...] | None = None
    underflows: bool = False
    short: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    features: Callable[[Configuration], Mapping[str, bool]] = lambda configuration: {}
    limitations: tuple[Limitation, ...] = ()

    @property
    def name(self) -> str:
        """The operation's name, as in `torch.nn.functional`."""
        return self.function.__name__

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """The names of the array arguments, in order."""
        fixed = (n for n, p in self._parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return (*fixed, *self.variadic)

    def arguments(self, configuration: Configuration) -> tuple[str, ...]:
        """The arrays of a call in order: all of them, given or None, but of the variadic ones those that are given."""
        return tuple(n for n in self.arrays if n in configuration.shapes or n not in self.variadic)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The hyper-parameters and their defaults (`inspect.Parameter.empty` for one that has none)."""
        return {n: p.default for n, p in self._parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @property
    def differentiable(self) -> tuple[str, ...]:
        """The arrays that have a gradient, if not in every configuration."""
        plain = (*self.integer.keys() - self.floating.keys(), *self.constant)
        return tuple(name for name in self.arrays if name not in plain)

    def differentiated(self, configuration: Configuration) -> tuple[str, ...]:
        """The arrays that are given in a configuration and have a gradient there."""
        given = (name for name in self.differentiable if name in configuration.shapes)
        return tuple(name for name in given if not self.is_integer(name, configuration))

    def is_integer(self, array: str, configuration: Configuration) -> bool:
        """Whether an array is an integer or boolean one in this configuration."""
        return array in self.integer and not (array in self.floating and self.floating[array](configuration))

    def defaults_to_none(self, array: str) -> bool:
        """Whether this array may be left out."""
        return array in self.variadic or self._parameters[array].default is None

    def may_be_nonfinite(self, array: str) -> bool:
        """Whether the fills `special` and `largest` put their values into this array."""
        return array in (self.differentiable if self.nonfinite is None else self.nonfinite)

    @property
    def tensors(self) -> tuple[str, ...]:
        """What is compared, the extras only where they are returned."""
        return (*self.outputs, *self.extras, *(f"g{name}" for name in self.differentiable))

    @property
    def cotangents(self) -> tuple[str, ...]:
        """The names of the outputs' cotangents."""
        return tuple(f"g{name}" for name in self.outputs)

    def named(self, result: Any) -> dict[str, Any]:
        """What a call returned, by name: one output, or a tuple of outputs and extras."""
        names = (*self.outputs, *self.extras)
        return dict(zip(names, result if isinstance(result, tuple | list) else (result,), strict=False))

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    def torch_reference(self, functional: Any, *arrays: Any, **hyper: Any) -> Any:
        """The outputs by PyTorch; `functional` is `torch.nn.functional`."""
        if self.torch is not None:
            return self.torch(functional, *arrays, **hyper)
        return getattr(functional, self.name)(*arrays, **hyper)

    def scales(
        self,
        truth: Mapping[str, Array],
        arrays: Mapping[str, Array | None],
        cotangents: Sequence[Array],
        hyper: Hyper,
        vjp: Vjp,
    ) -> dict[str, Array | None]:
        """The rounding scale G of every output and gradient, in the precision of the truth.

        `truth` holds what the equations made of the same arrays, and `vjp` is theirs.
        """
        gradients = [f"g{name}" for name in arrays]
        with np.errstate(all="ignore"):
            if self.scale is not None:
                given = (*arrays.values(), *cotangents)
                return dict(zip((*self.outputs, *gradients), self.scale(*given, **hyper), strict=True))
            if isinstance(vjp, Derivative):
                of_outputs, of_gradients = vjp.scales(*cotangents)
                return self.named(of_outputs) | dict(zip(gradients, of_gradients, strict=True))
            # |a|·|b|·… summed as the operation sums a·b·…, likewise their squares, and ones: how many terms there are
            magnitude, squares, terms = (
                dict(zip((*self.outputs, *gradients), self._on(each, arrays, cotangents, hyper), strict=True))
                for each in (np.abs, np.square, lambda a: (a != 0).astype(a.dtype))
            )
            return {
                name: None if m is None else np.maximum(m, lost(terms[name], m, truth[name], squares[name]))
                for name, m in magnitude.items()
            }

    def _on(
        self,
        each: Callable[[Array], Array],
        arrays: Mapping[str, Array | None],
        cotangents: Sequence[Array],
        hyper: Hyper,
    ) -> tuple[Array | None, ...]:
        """The output and the gradients with `each` applied to the floating-point arrays and the cotangents."""
        given = [None if a is None else a if a.dtype.kind in "biu" else each(a) for a in arrays.values()]
        y, vjp = self.equations(*given, **hyper)
        return y, *vjp(*map(each, cotangents))

    def configuration(
        self,
        shapes: Mapping[str, Shape],
        hyper: Mapping[str, Any],
        dtype: str = "float32",
        layouts: Mapping[str, str] | None = None,
        **more: str,
    ) -> Configuration:
        """The configuration in its canonical form: what equals its default is left out."""
        return Configuration(
            self.name,
            shapes,
            {k: v for k, v in hyper.items() if not _same(v, self.defaults.get(k, inspect.Parameter.empty))},
            dtype,
            {k: v for k, v in (layouts or {}).items() if v != "contiguous"},
            **more,
        )

    def limitations_of(self, reference: str, case: Case, *, as_witness: bool = False) -> list[Limitation]:
        """The limitations of one reference that apply to a case."""
        return [
            limitation
            for limitation in self.limitations
            if (limitation.reference, limitation.as_witness) == (reference, as_witness) and limitation.applies(case)
        ]

    def parse(self, descriptor: str) -> Case:
        """The case that a descriptor of this operation names; raises `BadDescriptor` with one line."""
        name, words = parse_words(descriptor)
        assert name == self.name
        shapes: Shapes = {}
        hyper: Hyper = {}
        layouts: dict[str, str] = {}
        own: dict[str, Any] = {"dtype": "float32", "fill": "normal", "seed": 0, "invalid": "", "xla": "fast"}
        for key, value in words.items():
            if key in own:
                own[key] = value
            elif key.startswith("layout."):
                layouts[key.removeprefix("layout.")] = value
            elif key in self.arrays:
                if not isinstance(value, tuple) or not all(type(n) is int and n >= 0 for n in value):
                    raise BadDescriptor(f"{name}: {key} must be a shape such as (2,3), got {value!r}")
                shapes[key] = value
            elif key in self.defaults or own["invalid"] or "invalid" in words:
                hyper[key] = value
            else:
                raise BadDescriptor(
                    f"{name}: no array or hyper-parameter {key!r}; "
                    f"expected some of {', '.join((*self.arrays, *self.defaults, *own))}, layout.*"
                )
        for array, parameter in list(self._parameters.items()):
            if array in self.arrays and parameter.default is inspect.Parameter.empty and array not in shapes:
                raise BadDescriptor(f"{name}: the shape of {array} is missing")
        if own["fill"] not in FILLS:
            raise BadDescriptor(f"{name}: unknown fill {own['fill']!r}; expected one of {', '.join(FILLS)}")
        if type(own["seed"]) is not int or own["seed"] < 0:
            raise BadDescriptor(f"{name}: seed must be an integer of at least 0, got {own['seed']!r}")
        if own["xla"] not in ("fast", "default"):
            raise BadDescriptor(f"{name}: xla must be fast or default, got {own['xla']!r}")
        for array, layout in layouts.items():
            known = (*self.cotangents, *self.arrays)
            if array not in known:
                raise BadDescriptor(f"{name}: no array {array!r} to lay out; expected {', '.join(known)}")
            if layout not in LAYOUTS:
                raise BadDescriptor(f"{name}: unknown layout {layout!r}; expected one of {', '.join(LAYOUTS)}")
        try:
            precision(own["dtype"])
        except LookupError as error:
            raise BadDescriptor(f"{name}: {error}") from None
        configuration = self.configuration(shapes, hyper, own["dtype"], layouts, invalid=own["invalid"], xla=own["xla"])
        return Case(configuration, own["fill"], own["seed"])


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
