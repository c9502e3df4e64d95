"""What a planted bug is: a subject with one slip, and what the harness must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Vjp = Callable[[Array], Any]


@dataclass(frozen=True)
class Planted:
    """One bug: Mint's own layer but for one slip.

    * `tensor` and `verdict` are those of the finding that is due; `also` names other (tensor, verdict) pairs
      that the same slip may lead to. Nothing else may be found.
    * `needed` are descriptors, without the operation, of the smallest cases that show the bug: the minimal
      case must fit into one of them, with no axis longer and no hyper-parameter more.
    * `condition` are words that the condition must hold.
    * `dtypes` restricts the campaign, as `--dtype` does.
    * `report` is the address of a report of such a bug in a real project.
    """

    name: str
    op: str
    subject: Callable[..., Any]
    tensor: str | None
    needed: tuple[str, ...]
    verdict: str = "wrong"
    also: tuple[tuple[str | None, str], ...] = ()
    condition: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    report: str = ""


def plant(op: str, tensor: str | None, *needed: str, **more: Any) -> Callable[[Callable[..., Any]], Planted]:
    """Declare the decorated function as the subject of a bug that bears its name; `more` as in `Planted`."""
    return lambda subject: Planted(subject.__name__, op, subject, tensor, needed, **more)


def wrong(*tensors: str) -> tuple[tuple[str, str], ...]:
    """For `also`: these tensors are wrong as well."""
    return tuple((tensor, "wrong") for tensor in tensors)


def replacing(vjp: Vjp, place: int, slip: Callable[[Array], Any]) -> Vjp:
    """`vjp` with the gradient at this place made by `slip(gy)`; one that is None stays None."""

    def slipped(gy: Array) -> tuple[Array | None, ...]:
        gradients = list(vjp(gy))
        if gradients[place] is not None:
            gradients[place] = np.array(slip(gy))
        return tuple(gradients)

    return slipped
