"""Other rules by which results are accepted: what the harness is compared with.

Each takes what an implementation returned and what was expected, by name, and says whether it is accepted. What is
expected is the truth, rounded to the dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Any]
#: (got, expected, names of the outputs) -> whether it is accepted
Rule = Callable[[Tensors, Tensors, tuple[str, ...]], bool]

#: rtol and atol of `torch.testing.assert_close` by dtype: the table in its documentation, PyTorch 2.13. What is not in
#: the table is compared for equality; longdouble, which PyTorch does not have, as float64.
ASSERT_CLOSE = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    np.dtype(np.longdouble).name: (1e-7, 1e-7),
}


def is_close(got: Any, expected: Array, rtol: float, atol: float) -> bool:
    """Whether |got − expected| ≤ atol + rtol·|expected| everywhere; NaN and infinities in the same places.

    PyTorch refuses NaN by default; with values that are NaN on purpose its users pass `equal_nan=True`.

    >>> is_close(np.array([1.0, np.nan]), np.array([1.001, np.nan]), 1e-2, 0.0)
    True
    """
    if not isinstance(got, np.ndarray | np.generic) or got.shape != expected.shape:
        return False
    wide = np.longdouble
    with np.errstate(all="ignore"):
        return bool(np.allclose(got.astype(wide), expected.astype(wide), rtol, atol, equal_nan=True))


def assert_close(got: Tensors, expected: Tensors, outputs: tuple[str, ...]) -> bool:
    """`torch.testing.assert_close` with its defaults, on outputs and gradients: shape, dtype, and values by dtype."""
    del outputs
    return all(
        name in got
        and np.result_type(got[name]) == wanted.dtype
        and is_close(got[name], wanted, *ASSERT_CLOSE.get(wanted.dtype.name, (0.0, 0.0)))
        for name, wanted in expected.items()
    )


def allclose(tolerance: float) -> Rule:
    """`torch.allclose(…, atol=tolerance, rtol=tolerance)` on the outputs alone: what kernel benchmarks do.

    KernelBench (Ouyang et al., 2025), `run_and_check_correctness` in its `eval.py`: 1e-2 in its first versions, later
    1e-4 for float32 and 1e-2 for half precision.
    """

    def rule(got: Tensors, expected: Tensors, outputs: tuple[str, ...]) -> bool:
        return all(is_close(got.get(y), expected[y], tolerance, tolerance) for y in outputs if y in expected)

    return rule


RULES: dict[str, Rule] = {
    "assert_close": assert_close,
    "allclose 1e-4": allclose(1e-4),
    "allclose 1e-2": allclose(1e-2),
}
