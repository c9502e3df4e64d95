"""Continuous integration passes when the README's test line passes, and fails when it fails or runs no test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not SCRIPT.exists(), reason="needs bash and the checkout's .ci/run"
)


def run_with(readme: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script in a folder with this README."""
    (folder / ".ci").mkdir()
    shutil.copy(SCRIPT, folder / ".ci" / "run")
    (folder / "README.md").write_text(readme)
    browser = folder / "bin" / "chromium"  # found on PATH: nothing is to be installed here
    browser.parent.mkdir()
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    return subprocess.run(
        ["bash", str(folder / ".ci" / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{browser.parent}{os.pathsep}{os.environ['PATH']}"},
        timeout=60,
    )


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("echo 12 passed in 3 s", 0, "12 passed, 0 failed"),  # no failure to count: once, that itself was a failure
        ("echo 3 passed; echo 4 passed", 0, "7 passed, 0 failed"),
        ("echo 2 failed, 3 passed; exit 7", 7, "3 passed, 2 failed"),
        ("echo 1 skipped", 1, "no test ran"),
        ("true", 1, "no test ran"),
    ],
)
def test_the_test_line_decides(tmp_path: Path, line: str, status: int, says: str) -> None:
    ran = run_with(f"<!-- test -->\n```sh\n{line}\n```\n", tmp_path)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert says in ran.stdout


@pytest.mark.parametrize("readme", ["nothing\n", "<!-- test -->\n```sh\necho 1 passed\necho 2 passed\n```\n"])
def test_a_readme_without_exactly_one_test_line_fails(tmp_path: Path, readme: str) -> None:
    ran = run_with(readme, tmp_path)
    assert ran.returncode == 1
    assert ran.stdout.startswith("README.md: expected one test line")
