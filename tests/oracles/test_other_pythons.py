"""`mint replay` of a descriptor gives the same bits on another Python with the same NumPy.

MINT_OTHER_PYTHON lists other interpreters, separated as in PATH, that have NumPy and what the program needs.
"""

import os
import re
import subprocess

import numpy as np
import pytest

OTHERS = [path for path in os.environ.get("MINT_OTHER_PYTHON", "").split(os.pathsep) if path]
DESCRIPTORS = [
    "linear x=(2,3) w=(4,3) b=(4,) fill=normal seed=1",
    "conv2d x=(2,2,5,4) w=(2,1,3,2) groups=2 padding=same dtype=float64 fill=wide seed=2",
    "max_pool1d x=(1,2,7) kernel_size=3 dtype=float16 layout.x=sliced fill=special seed=3",
    "cross_entropy x=(4,3) target=(4,) weight=(3,) dtype=longdouble fill=cancelling seed=4",
]


@pytest.mark.skipif(not OTHERS, reason="MINT_OTHER_PYTHON names no other interpreter")
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
@pytest.mark.parametrize("python", OTHERS)
def test_the_bits_are_the_same(python, descriptor, run_mint):
    asked = subprocess.run(
        [python, "-c", "import numpy; print(numpy.__version__)"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    if asked.stdout.strip() != np.__version__:
        pytest.skip(f"{python} has NumPy {asked.stdout.strip()}, not {np.__version__}")
    here, there = run_mint("replay", descriptor), run_mint("replay", descriptor, python=python)
    assert here[0] == there[0] == 0, there[1]
    fingerprints = [
        re.findall(r"^(?:inputs|subject) +[0-9a-f]{16}$", output, re.MULTILINE) for _, output in (here, there)
    ]
    assert len(fingerprints[0]) == 2
    assert fingerprints[0] == fingerprints[1]
