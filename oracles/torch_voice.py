"""PyTorch as a voice: its outputs on the CPU, and the gradients of its own autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.configuration import Case
from oracles.layout import odd_strides
from oracles.operation import Operation
from oracles.precision import bits
from oracles.voice import SUBJECT, Answer, Arrays, Complaint, VoiceUnavailable

Array = NDArray[Any]


class TorchVoice:
    """The reference `torch.nn.functional`, or a subject: a callable on tensors."""

    flushes_subnormals: tuple[str, ...] = ()

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        try:
            import torch
        except Exception as error:
            raise VoiceUnavailable(f"PyTorch cannot be loaded: {_one_line(error)}") from None
        # one thread: the results do not depend on the machine, and workers do not fight for cores
        torch.set_num_threads(1)
        self._torch = torch
        self._function = function
        self.name = "torch" if function is None else SUBJECT
        self.version: str = torch.__version__

    def supports(self, dtype: str) -> bool:
        """All but longdouble, which PyTorch does not have."""
        return dtype != "longdouble"

    def _call(self, operation: Operation, case: Case, tensors: list[Any]) -> Any:
        if self._function is not None:
            return self._function(*tensors, **case.configuration.hyper)
        functional = self._torch.nn.functional
        with warnings.catch_warnings():
            # notes on even kernels with "same" padding and the like: no news to someone testing them
            warnings.simplefilter("ignore")
            return operation.torch_reference(functional, *tensors, **case.configuration.hyper)

    def _tensors(self, case: Case, arrays: Arrays) -> list[Any]:
        layouts = case.configuration.layouts
        return [None if a is None else self.tensor(a, layouts.get(name, "")) for name, a in arrays.items()]

    def accepts(self, operation: Operation, case: Case, arrays: Arrays) -> None:
        """Compute the outputs."""
        self._call(operation, case, self._tensors(case, arrays))

    def answer(self, operation: Operation, case: Case, arrays: Arrays, cotangents: Arrays) -> Answer:
        """Outputs, and the gradients of every floating-point input that PyTorch differentiates."""
        limitations = operation.limitations_of("torch", case) if self._function is None else []
        undifferentiated = {tensor for limitation in limitations for tensor in limitation.tensors}
        tensors = self._tensors(case, arrays)
        inputs = {}
        for name, tensor in zip(arrays, tensors, strict=True):
            if name in operation.differentiated(case.configuration) and f"g{name}" not in undifferentiated:
                inputs[name] = tensor.requires_grad_()
        outputs = operation.named(self._call(operation, case, tensors))
        gys = dict(zip(cotangents, self._tensors(case, cotangents), strict=True))
        # one that depends on no input would be refused
        ys = [name for name in operation.outputs if f"g{name}" in gys and outputs[name].requires_grad]
        gradients: Any = [None] * len(inputs)
        if inputs and ys:
            gradients = self._torch.autograd.grad(
                [outputs[name] for name in ys],
                list(inputs.values()),
                [gys[f"g{name}"] for name in ys],
                allow_unused=True,
            )
        for (name, tensor), g in zip(inputs.items(), gradients, strict=True):
            # autograd answers None for "does not depend on it"
            outputs[f"g{name}"] = self._torch.zeros_like(tensor) if g is None else g
        after = dict(zip(arrays, tensors, strict=True)) | gys
        complaints: list[Complaint] = [
            ("mutates-input", None, f"{name} was changed in place")
            for name, array in {**arrays, **cotangents}.items()
            if self._function is not None and array is not None and bits(self._array(after[name])) != bits(array)
        ]
        return Answer({name: self._array(t) for name, t in outputs.items()}, complaints)

    def tensor(self, array: Array, layout: str = "") -> Any:
        """A tensor with these values and, as far as PyTorch has it, this layout; memory of its own."""
        torch = self._torch
        array = np.array(array, order="C")
        if array.dtype.name == "bfloat16":
            t = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        else:
            t = torch.from_numpy(array)
        if layout == "fortran" and t.ndim >= 2:
            return t.permute(*reversed(range(t.ndim))).contiguous().permute(*reversed(range(t.ndim)))
        if layout == "channels_last" and t.ndim >= 3:
            return t.movedim(1, -1).contiguous().movedim(-1, 1)
        if layout == "sliced" and t.ndim >= 1:
            return t.repeat_interleave(2, dim=-1)[..., ::2]
        if layout == "broadcast" and t.ndim >= 1 and t.shape[0] > 0:
            return t[:1].expand(t.shape)
        if layout == "odd_strides" and t.ndim >= 1:
            return t.as_strided(t.shape, odd_strides(t.shape, t.stride(), 1))
        return t

    def _array(self, tensor: Any) -> Any:
        if not isinstance(tensor, self._torch.Tensor):
            return tensor
        tensor = tensor.detach().cpu()
        if tensor.dtype is self._torch.bfloat16:
            import ml_dtypes

            return tensor.contiguous().view(self._torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
