"""Every program of docs/discoveries.md shows what it says, with the versions that it says it of."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[1] / "docs" / "discoveries.md").read_text("utf-8")
VERSIONS = {name.lower(): version for name, version in re.findall(r"(PyTorch|JAX) (\d+\.\d+\.\d+)", DOCUMENT)}
PACKAGES = {"torch": VERSIONS["pytorch"], "jax": VERSIONS["jax"]}
PROGRAMS = re.findall(r"^### (\d+)\. .*?^```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)


def installed(package):
    try:
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


@pytest.mark.parametrize("program", [program for _, program in PROGRAMS], ids=[number for number, _ in PROGRAMS])
def test_a_discovery_is_still_there(program):
    package = "jax" if "import jax" in program else "torch"
    if installed(package) != PACKAGES[package]:
        pytest.skip(f"told of {package} {PACKAGES[package]}; installed is {installed(package)}")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr


def test_there_is_a_program_for_each():
    assert len(PROGRAMS) == len(re.findall(r"^### \d+\.", DOCUMENT, re.MULTILINE)) >= 10
