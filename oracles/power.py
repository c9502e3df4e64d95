"""What a limit sees: sums with one term dropped, and honest ones, against our limit, a plain one and the worst case.

`python -m oracles.power` prints the table of `docs/limits.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracles.limits import UNCALIBRATED
from oracles.summation import Array, lost, one_by_one, total

#: Numbers of terms.
TERMS = (16, 256, 4_096, 16_384)
SUMS = 2_000


@dataclass(frozen=True)
class Power:
    """Of sums of K terms, the shares that are past a limit: of those with a term dropped, and of honest ones."""

    terms: int
    limit: str
    dropped: float
    honest: float


def products(terms: int, sums: int, seed: int, mean: float) -> Array:
    """Sums of products of normal numbers, which lie about 0 or, with a mean, mostly above it."""
    rng = np.random.default_rng(seed)
    return np.asarray(np.prod(rng.standard_normal((2, sums, terms), np.float32), axis=0) + np.float32(mean))


def powers(terms: int, sums: int = SUMS, seed: int = 0, mean: float = 0.0) -> list[Power]:
    """Draw such products in float32, and add them up one by one: their error against the exact sum in float64."""
    t = products(terms, sums, seed, mean)
    exact = t.astype(np.float64)
    value, magnitude = exact.sum(1), np.abs(exact).sum(1)
    with one_by_one():
        honest = total(t, 1) - value
    dropped = honest - t[:, np.random.default_rng(seed).integers(terms)]
    unit = np.finfo(np.float32).eps / 2
    most = {
        "8·u·G": UNCALIBRATED * unit * lost(terms, magnitude, value, np.square(exact).sum(1)),
        "8·u·Σ|t|": UNCALIBRATED * unit * magnitude,
        "γ_K·Σ|t|": terms * unit / (1 - terms * unit) * magnitude,
    }
    return [
        Power(terms, name, *(float(np.mean(np.abs(error) > limit)) for error in (dropped, honest)))
        for name, limit in most.items()
    ]


def main() -> None:
    """Print the table."""
    print(f"{'terms':16} {'K':>7}  {'limit':9} {'dropped terms seen':>19} {'honest sums accused':>20}")
    for said, mean in (("about 0", 0.0), ("mostly above 0", 2.0)):
        for terms in TERMS:
            for found in powers(terms, mean=mean):
                print(f"{said:16} {terms:7,}  {found.limit:9} {found.dropped:19.1%} {found.honest:20.1%}")


if __name__ == "__main__":
    main()
