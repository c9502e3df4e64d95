"""Containers: modules and parameters kept in lists and dictionaries, so that ``parameters()`` finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from mint.module import Module, Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList"]

T = TypeVar("T", bound=Module | Parameter)


class _Container(Module, Generic[T]):
    """Entries of one type by key, in order; what they compute together is up to the module that holds them."""

    entry: type[Module | Parameter]

    def __init__(self, entries: Mapping[str, T]) -> None:
        self.entries: dict[str, T] = {}
        for key, value in entries.items():
            self._put(key, value)

    def _put(self, key: str, value: T) -> None:
        if not isinstance(value, self.entry):
            name = type(self).__name__
            raise TypeError(f"{name}: each entry must be a {self.entry.__name__}; got {type(value).__name__}")
        self.entries[key] = value

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}: {value!r}' for key, value in self.entries.items())})"

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules by key."""
        for key, value in self.entries.items():
            if isinstance(value, Module):
                yield key, value

    def _named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for key, value in self.entries.items():
            if isinstance(value, Parameter):
                yield key, value
        yield from super()._named_parameters()


class _List(_Container[T]):
    def __init__(self, values: Iterable[T] = ()) -> None:
        super().__init__({str(place): value for place, value in enumerate(values)})

    def __iter__(self) -> Iterator[T]:
        return iter(self.entries.values())

    def __getitem__(self, place: int) -> T:
        return list(self.entries.values())[place]

    def append(self, value: T) -> None:
        """Add an entry at the end."""
        self._put(str(len(self)), value)


class _Dict(_Container[T]):
    def __init__(self, values: Mapping[str, T] | None = None) -> None:
        super().__init__(values or {})

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __getitem__(self, key: str) -> T:
        return self.entries[key]

    def __setitem__(self, key: str, value: T) -> None:
        self._put(key, value)


class ModuleList(_List[Module]):
    """Modules in order, as in ``torch.nn.ModuleList``.

    >>> import mint
    >>> layers = ModuleList([mint.Linear(2, 3), mint.ReLU()])
    >>> layers.append(mint.Linear(3, 1, bias=False))
    >>> [name for name, _ in layers.named_parameters()]
    ['0.weight', '0.bias', '2.weight']
    """

    entry = Module

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


class ModuleDict(_Dict[Module]):
    """Modules by name, as in ``torch.nn.ModuleDict``."""

    entry = Module

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__(modules)


class ParameterList(_List[Parameter]):
    """Parameters in order, as in ``torch.nn.ParameterList``."""

    entry = Parameter


class ParameterDict(_Dict[Parameter]):
    """Parameters by name, as in ``torch.nn.ParameterDict``.

    >>> import numpy as np
    >>> scales = ParameterDict({"left": Parameter(np.ones(2)), "right": Parameter(np.zeros(3))})
    >>> [(name, parameter.data.shape) for name, parameter in scales.named_parameters()]
    [('left', (2,)), ('right', (3,))]
    """

    entry = Parameter

    def __init__(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        super().__init__(parameters)
