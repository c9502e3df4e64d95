"""A realistic summary of a campaign, with findings, made from a seed."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.histograms import upper_edge

Json = dict[str, Any]

DTYPES = {"float32": 0.5, "float64": 0.35, "float16": 0.1, "longdouble": 0.05}
ELEMENTWISE = (
    "relu",
    "leaky_relu",
    "elu",
    "sigmoid",
    "tanh",
    "softplus",
    "gelu",
    "silu",
    "softmax",
    "log_softmax",
)
EXACT = ("flatten", "max_pool1d", "max_pool2d", "max_pool3d")
OPS = {
    **dict.fromkeys(["linear", "conv1d", "conv2d", "conv3d"], ("y", "gx", "gw", "gb")),
    **dict.fromkeys([f"conv_transpose{n}d" for n in (1, 2, 3)], ("y", "gx", "gw", "gb")),
    **dict.fromkeys([f"max_pool{n}d" for n in (1, 2, 3)], ("y", "indices", "gx")),
    **dict.fromkeys([f"avg_pool{n}d" for n in (1, 2, 3)], ("y", "gx")),
    **dict.fromkeys(["flatten", *ELEMENTWISE], ("y", "gx")),
    "mse_loss": ("y", "gx", "gtarget"),
    "cross_entropy": ("y", "gx", "gweight"),
}


def histogram(rng: random.Random, n: int, centre: float, zeros: float) -> Json:
    """A distribution whose logarithm is roughly normal, with exact zeros, and its largest value."""
    bins = Counter(
        "zero" if rng.random() < zeros else str(math.floor(8 * rng.gauss(math.log2(centre), 1.3))) for _ in range(n)
    )
    return {"max": 0.97 * max(upper_edge(key) for key in bins), "histogram": dict(bins)}


def op_results(rng: random.Random, op: str) -> Json:
    cases = rng.randrange(60, 180)
    tensors: Json = {}
    for tensor in OPS[op]:
        voices: list[Json] = [
            {
                "voice": voice,
                "dtype": dtype,
                "elements": 40 * (n := max(4, int(400 * share))),
                "exact": 10 * n,
                "error_ratio": histogram(rng, n, centre, zeros),
                "ulp": histogram(rng, n, centre / 2, zeros),
                "relative_error": 1.2e-7,
                "worst": f"{op} x=(1,2,3,3) dtype={dtype} fill=wide seed=7",
            }
            for voice, centre in (("subject", 0.06), ("torch", 0.08), ("jax", 0.05))
            for dtype, share in DTYPES.items()
            if (voice == "subject" or dtype != "longdouble") and tensor != "gweight"
            for zeros in (1.0 if op in EXACT else 0.4,)
        ]
        worst = max((v["error_ratio"]["max"] for v in voices if v["voice"] == "subject"), default=0)
        tensors[tensor] = {"limit": 4.0, "error_ratio": worst, "voices": voices}
    tensor = max(tensors, key=lambda name: float(tensors[name]["error_ratio"]))
    return {
        "cases": cases,
        "configurations": cases // 4,
        "vacuous": 2,
        "refused": 3,
        "references": {"torch": cases - 2, "jax": cases - 9, "equations": cases},
        "dtypes": {
            dtype: {"cases": (n := int(cases * share)), "references": {"torch": n, "jax": n, "equations": n}}
            for dtype, share in DTYPES.items()
        },
        "fills": {"normal": cases // 2, "integers": cases // 4, "wide": cases // 8, "special": cases // 8},
        "layouts": {"contiguous": cases // 2, "sliced": cases // 4, "negative-stride": cases // 4},
        "tensors": tensors,
        "closest_call": {
            "tensor": tensor,
            "error_ratio": tensors[tensor]["error_ratio"],
            "limit": 4.0,
            "descriptor": f"{op} x=(1,2,3,3) dtype=float32 layout=sliced fill=wide seed=7",
        },
        "limitations": [{"reference": "jax", "reason": "no longdouble in XLA", "cases": 9}],
    }


def finding(guilty: str, op: str, tensor: str | None, verdict: str, **changes: Any) -> Json:
    name = f"{op}-{tensor or 'call'}-{verdict}-{guilty}-1"
    minimal = f"{op} x=(1,2,3,3) w=(2,1,2,2) groups=2 stride=2 dtype=float32 fill=integers seed=3"
    return {
        "id": name,
        "guilty": guilty,
        "op": op,
        "tensor": tensor,
        "verdict": verdict,
        "condition": "groups > 1 and stride > 1",
        "support": {"failing": 31, "passing": 88},
        "traits": [],
        "descriptor": minimal,
        "first": minimal.replace("(1,2,3,3)", "(3,4,11,9)"),
        "count": 31,
        "error_ratio": 12345.6,
        "limit": 4.0,
        "element": [0, 1, 2, 2],
        "got": "0.0",
        "expected": "1.5",
        "voices": {
            voice: {"value": "0.0", "error_ratio": 12345.6} if voice == guilty else {"value": "1.5", "error_ratio": 0.0}
            for voice in ("subject", "torch", "jax", "equations")
        },
        "message": f"{tensor} is 0 where the truth is 1.5",
        "script": f"findings/{name}.py",
        **changes,
    }


def campaign(seed: int = 1) -> Json:
    """A campaign in which all is well."""
    rng = random.Random(seed)
    ops = {op: op_results(rng, op) for op in OPS}
    return {
        "schema_version": 1,
        "command": f"mint fuzz --time 60s --seed {seed}",
        "seed": seed,
        "started": f"2026-11-{seed:02}T03:31:08Z",
        "elapsed_s": 60.2,
        "interrupted": False,
        "subject": {"name": "mint", "framework": "numpy"},
        "cases": sum(results["cases"] for results in ops.values()),
        "vacuous": 2 * len(ops),
        "refused": 3 * len(ops),
        "workers": 2,
        "references": {
            "torch": {"version": "2.13.0", "note": None},
            "jax": {"version": "0.10.0", "note": None},
            "equations": {"version": "0.1.0", "note": None},
        },
        "environment": {
            "python": "3.11.7",
            "numpy": "2.4.6",
            "torch": "2.13.0",
            "jax": "0.10.0",
            "jaxlib": "0.10.0",
            "ml_dtypes": None,
            "hypothesis": "6.150.0",
            "mint": "0.1.0",
            "blas": "openblas 0.3.30",
            "cpu": "AMD EPYC",
            "cores": 2,
            "platform": "Linux-6.1-x86_64",
            "commit": "0123456789abcdef",
        },
        "bins_per_octave": 8,
        "ops": ops,
        "findings": [],
    }


def faulty_campaign(seed: int = 2) -> Json:
    """A campaign with findings against everybody."""
    summary = campaign(seed)
    gx = summary["ops"]["conv2d"]["tensors"]["gx"]
    gx["error_ratio"] = gx["voices"][0]["error_ratio"]["max"] = 12345.6
    gx["voices"][0]["error_ratio"]["histogram"] |= {"108": 17, "40": 30}
    summary["ops"]["conv2d"]["closest_call"] |= {"tensor": "gx", "error_ratio": 12345.6}
    pool = summary["ops"]["max_pool2d"]["tensors"]["gx"]["voices"][4]["error_ratio"]
    pool |= {"max": None, "histogram": {"zero": 90, "inf": 3}}
    lost = {
        "element": None,
        "got": None,
        "expected": None,
        "error_ratio": None,
        "limit": None,
        "script": None,
    }
    summary["findings"] = [
        finding(
            "torch",
            "max_pool2d",
            "gx",
            "wrong",
            condition="ceil_mode and padding > 0",
            error_ratio=None,
            message="gx is inf where the truth is 0",
        ),
        finding(
            "jax",
            "conv3d",
            None,
            "crash",
            **lost,
            voices={},
            condition="any size is 0",
            message="killed by SIGABRT",
        ),
        finding("subject", "conv2d", "gx", "wrong", traits=["right when its row is alone", "right with one thread"]),
        finding(
            "subject",
            "avg_pool1d",
            None,
            "accepts-invalid",
            **lost,
            voices={},
            condition="padding > kernel_size / 2",
            message="no error; PyTorch and JAX raise ValueError",
        ),
    ]
    return summary


@pytest.fixture(scope="session")
def sound() -> Json:
    return campaign()


@pytest.fixture(scope="session")
def faulty() -> Json:
    return faulty_campaign()


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a summary, and a script for each of its findings, into a result directory."""

    def write(summary: Json, name: str = "results") -> Path:
        directory = tmp_path / name
        (directory / "findings").mkdir(parents=True)
        (directory / "summary.json").write_text(json.dumps(summary), "utf-8")
        for found in summary["findings"]:
            if found["script"]:
                (directory / found["script"]).write_text(f'"""{found["message"]}"""\nimport numpy as np\n')
        return directory

    return write
