"""Random numbers: the generator that an operation draws from, and the shell that owns one."""

from __future__ import annotations

import numpy as np

from mint.differentiable import Array
from mint.module import ModuleVjp, Shell

__all__: list[str] = []


def generator(op: str, rng: object) -> np.random.Generator:
    """The given generator, or a fresh one for None.

    >>> generator("dropout", 7)
    Traceback (most recent call last):
    TypeError: dropout: rng must be a numpy.random.Generator or None; got 7
    """
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"{op}: rng must be a numpy.random.Generator or None; got {rng!r}")
    return np.random.default_rng() if rng is None else rng


class SamplingShell(Shell):
    """A shell whose operation draws while ``training``, from ``rng``, the shell's own generator."""

    def __init__(self, *, rng: np.random.Generator | None, **hyperparameters: object) -> None:
        super().__init__(**hyperparameters)
        self.rng = generator(type(self).__name__, rng)

    def forward(self, x: Array) -> tuple[Array, ModuleVjp]:  # type: ignore[override]
        """The operation in the module's mode: every call while training draws anew."""
        y, vjp = type(self).operation(x, **self.hyperparameters, training=self.training, rng=self.rng)
        return y, lambda gy: vjp(gy)[0]
