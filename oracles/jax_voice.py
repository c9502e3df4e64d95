"""JAX as a voice: one compiled program per configuration, forward and vjp together, run on all its fills."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import FAST, Case, Configuration
from oracles.operation import Operation
from oracles.voice import SUBJECT, Answer, Arrays, VoiceUnavailable

Array = NDArray[Any]

#: Compiles a fresh convolution with its gradients about ten times faster than the default pipeline.
FAST_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
KEPT_PROGRAMS = 16


class JaxVoice:
    """The reference (each operation's `jax` function), or a subject: a callable on JAX arrays."""

    # XLA runs its CPU code with subnormals flushed to zero; float16 is computed in float32, where they are normal
    flushes_subnormals: tuple[str, ...] = ("float32", "float64", "bfloat16")

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        # one thread: workers do not fight for cores
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        try:
            import jax
        except Exception as error:
            raise VoiceUnavailable(f"JAX cannot be loaded: {' '.join(str(error).split())}") from None
        jax.config.update("jax_enable_x64", True)
        self._jax = jax
        self._function = function
        self.name = "jax" if function is None else SUBJECT
        self.version: str = jax.__version__
        self._programs: OrderedDict[Configuration, Callable[..., Any]] = OrderedDict()
        self._options = {name: value for name, value in FAST_OPTIONS.items() if self._knows({name: value})}

    def _knows(self, options: dict[str, Any]) -> bool:
        """Whether this version of XLA has these options: they come and go."""
        try:
            self._jax.jit(lambda x: x).lower(0.0).compile(compiler_options=options)
        except Exception as error:
            if "No such compile option" not in str(error):
                raise
            return False
        return True

    def supports(self, dtype: str) -> bool:
        """All but longdouble, which JAX does not have."""
        return dtype != "longdouble"

    def _call(self, operation: Operation, configuration: Configuration, arrays: Arrays) -> Any:
        ordered = [arrays.get(name) for name in operation.arguments(configuration)]
        if self._function is not None:
            return self._function(*ordered, **configuration.hyper)
        return operation.jax(self._jax, *ordered, **configuration.hyper)

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        """Trace the operation: what JAX refuses, it refuses while tracing."""
        present = {name: a for name, a in arrays.items() if a is not None}
        self._jax.eval_shape(lambda given: self._call(operation, case.configuration, given), present)

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        """Outputs and gradients of the compiled program."""
        present = {name: np.array(a, order="C") for name, a in arrays.items() if a is not None}
        floats = {name: a for name, a in present.items() if name in operation.differentiated(case.configuration)}
        others = {name: a for name, a in present.items() if name not in floats}
        gys = {name[1:]: np.array(g, order="C") for name, g in cotangents.items()}
        arguments = (floats, others, gys)
        outputs = self._program(operation, case.configuration, arguments)(*arguments)
        return Answer({name: np.asarray(value) for name, value in outputs.items()})

    def _program(
        self, operation: Operation, configuration: Configuration, arguments: tuple[Any, ...]
    ) -> Callable[..., Any]:
        if configuration in self._programs:
            self._programs.move_to_end(configuration)
            return self._programs[configuration]
        jax = self._jax

        def program(floats: dict[str, Any], others: dict[str, Any], gys: dict[str, Any]) -> dict[str, Any]:
            def forward(floats: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
                outputs = operation.named(self._call(operation, configuration, {**floats, **others}))
                return {name: outputs.pop(name) for name in gys}, outputs

            ys, vjp, rest = jax.vjp(forward, floats, has_aux=True)
            (gradients,) = vjp(gys)
            return {**ys, **rest, **{f"g{name}": g for name, g in gradients.items()}}

        options = self._options if configuration.xla == FAST else None
        compiled: Callable[..., Any] = jax.jit(program).lower(*arguments).compile(compiler_options=options)
        self._programs[configuration] = compiled
        if len(self._programs) > KEPT_PROGRAMS:
            self._programs.popitem(last=False)
        return compiled
