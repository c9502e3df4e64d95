"""What the tests of the harness share: the program `mint`, and an installation without frameworks."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: The program `mint`, by whichever interpreter. A shell may have started us with Ctrl-C ignored.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from oracles.command_line import main; main()"
)


@pytest.fixture(scope="session")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """blocked("torch", "jax"): a folder that, put before the others, makes these frameworks fail to load."""

    def make(*frameworks: str) -> str:
        folder = tmp_path_factory.mktemp("blocked")
        for name in frameworks:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(f"raise ImportError('{name} is\\nbroken here')\n")
        return str(folder)

    return make


@pytest.fixture
def workers_without_frameworks(blocked: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of a campaign in this process, which get its sys.path, find neither framework: they start fast."""
    monkeypatch.syspath_prepend(blocked("torch", "jax"))


def environment_with(*folders: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*folders, str(ROOT)]), "COLUMNS": "160"}


Program = Callable[..., subprocess.Popen[str]]


class Process(subprocess.Popen[str]):
    """A process that is killed, with its workers, where a test has given it up: it may never end by itself."""

    def __exit__(self, kind: Any, *raised: Any) -> None:
        if kind is not None and self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(kind, *raised)


@pytest.fixture(scope="session")
def start_mint(blocked: Callable[..., str]) -> Program:
    """Start the program in a process of its own, by default without frameworks, so that it starts fast."""

    def start(
        *arguments: object, path: str = blocked("torch", "jax"), python: str = sys.executable
    ) -> subprocess.Popen[str]:
        return Process(
            [python, "-c", PROGRAM, *map(str, arguments)],
            env=environment_with(path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def run_mint(start_mint: Program) -> Callable[..., tuple[int, str]]:
    """Run the program to its end: (exit status, all that it printed)."""

    def run(*arguments: object, **more: str) -> tuple[int, str]:
        with start_mint(*arguments, **more) as process:
            output, _ = process.communicate(timeout=120)
        assert "Traceback" not in output, output
        return process.returncode, output

    return run
