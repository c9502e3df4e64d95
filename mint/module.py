"""Modules: shells that own parameters and hyper-parameters and hand the work to the operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mint.differentiable import Array, is_floating

__all__ = [
    "Module",
    "Parameter",
    "Sequential",
]

ModuleVjp = Callable[..., Any]
"""From gy, one for each output, to the gradient of a module's input, or a tuple of them where it has several."""


class Parameter:
    """An array to be learned, ``data``, and the sum of the gradients it has received, ``grad``, or None."""

    def __init__(self, data: Array) -> None:
        self.data = data
        self.grad: Array | None = None

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype})"

    def accumulate(self, gradient: Array) -> None:
        """Add a gradient to ``grad``."""
        self.grad = gradient if self.grad is None else self.grad + gradient


class Module:
    """What can be called on arrays, returns ``y, vjp``, and may hold parameters and other modules.

    ``vjp(gy)`` returns the gradient of the input (a tuple of them where there are several) and adds each
    parameter's gradient to its ``grad``: what a parameter receives in several places, or calls, sums up. A
    subclass defines ``forward``; parameters and modules it keeps as attributes are found by ``parameters()``.
    """

    training = True

    def forward(self, *inputs: Array) -> tuple[Any, ModuleVjp]:
        """The result for the inputs, and the function that takes its cotangent back to them."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Array, **more: Any) -> tuple[Any, ModuleVjp]:
        return self.forward(*inputs, **more)

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules that this one holds itself, by name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters of this module and all it holds, by dotted name; a shared one once."""
        seen = set()
        for name, parameter in self._named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value
        for name, child in self.children():
            for inner, parameter in child._named_parameters():
                yield f"{name}.{inner}", parameter

    def parameters(self) -> Iterator[Parameter]:
        """The parameters of this module and all it holds, each once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self) -> None:
        """Forget the gradients: ``grad`` of every parameter becomes None."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` here and in all modules held, and return the module."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """The same as ``train(False)``."""
        return self.train(False)


class Sequential(Module):
    """Modules called one after the other, each on the result of the one before.

    >>> import mint
    >>> model = Sequential(mint.Flatten(), mint.Linear(4, 3), mint.ReLU())
    >>> [name for name, _ in model.named_parameters()]
    ['1.weight', '1.bias']
    >>> y, vjp = model(np.ones((2, 2, 2), np.float32))
    >>> y.shape, vjp(np.ones_like(y)).shape, model.modules[1].weight.grad.shape
    ((2, 3), (2, 2, 2), (3, 4))
    """

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: each argument must be a Module; got {type(module).__name__}")
        self.modules = modules

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.modules))})"

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules in order, named by their place."""
        for place, module in enumerate(self.modules):
            yield str(place), module

    def forward(self, x: Array) -> tuple[Any, ModuleVjp]:  # type: ignore[override]
        """The last module's result, and the chain rule from the last module to the first."""
        vjps = []
        for module in self.modules:
            x, vjp = module(x)
            vjps.append(vjp)

        def chain(gy: Array) -> Any:
            for vjp in reversed(vjps):
                gy = vjp(gy)
            return gy

        return x, chain


class Shell(Module):
    """A module around one operation, whose hyper-parameters it fixes and whose parameters it owns."""

    operation: Callable[..., tuple[Any, Any]]

    def __init__(self, **hyperparameters: object) -> None:
        self.hyperparameters = hyperparameters

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{type(self).__name__}({settings})"

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The operation's array arguments that come after the input, in order."""
        return ()

    def settings(self) -> dict[str, object]:
        """The hyper-parameters of the next call."""
        return self.hyperparameters

    def forward(self, *inputs: Array) -> tuple[Any, ModuleVjp]:
        """The operation on the inputs and what the module owns."""
        return self.operate(inputs, self.settings())

    def operate(self, inputs: tuple[Array, ...], more: Mapping[str, object]) -> tuple[Any, ModuleVjp]:
        """The operation on the inputs, what the module owns, and more by name: what comes last has no gradient here."""
        owned = self.owned()
        arrays = [array.data if isinstance(array, Parameter) else array for array in owned]
        y, vjp = type(self).operation(*inputs, *arrays, **more)

        def back(*cotangents: Array) -> Any:
            gradients = vjp(*cotangents)
            for array, gradient in zip(owned, gradients[len(inputs) :][: len(owned)], strict=True):
                if isinstance(array, Parameter):
                    array.accumulate(gradient)
            return gradients[0] if len(inputs) == 1 else gradients[: len(inputs)]

        return y, back


def check_dtype(name: str, dtype: npt.DTypeLike) -> None:
    """Refuse a dtype that parameters cannot have."""
    if not is_floating(np.dtype(dtype)):
        raise TypeError(f"{name}: dtype must be a floating-point dtype; got {np.dtype(dtype)}")


class Affine(Shell):
    """A shell with a weight and, unless it has none, a bias."""

    weight: Parameter
    bias: Parameter | None

    def owned(self) -> tuple[Parameter | Array | None, ...]:
        """The weight and the bias."""
        return self.weight, self.bias

    def initialise(
        self,
        shape: tuple[int, ...],
        outputs: int | None,
        rng: np.random.Generator | None,
        dtype: npt.DTypeLike,
        *,
        fan_in: int | None = None,
    ) -> None:
        """Draw the weight, and a bias of ``outputs`` elements unless that is None, as PyTorch does.

        Both from U(−1/√fan_in, 1/√fan_in), fan_in = Π shape[1:] unless it is given: for the weight that is
        kaiming_uniform(a = √5), whose bound is √(6/((1 + a²)·fan_in)).
        Source: He et al., "Delving deep into rectifiers", 2015; ``torch.nn.Linear.reset_parameters``.
        """
        name = type(self).__name__
        check_dtype(name, dtype)
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"{name}: rng must be a numpy.random.Generator; got {type(rng).__name__}")
        generator = np.random.default_rng() if rng is None else rng
        fan_in = math.prod(shape[1:]) if fan_in is None else fan_in
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0

        def drawn(*sizes: int) -> Parameter:
            return Parameter(generator.uniform(-bound, bound, sizes).astype(dtype))

        self.weight = drawn(*shape)
        self.bias = None if outputs is None else drawn(outputs)
