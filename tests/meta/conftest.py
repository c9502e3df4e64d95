"""What all tests of the harness by bugs share: references, and no hurry."""

from __future__ import annotations

import pytest

from oracles import finding
from oracles.panel import open_voice
from oracles.voice import Voice, VoiceUnavailable
from tests.meta.hunt import EVERYWHERE


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    # both end by themselves long before; a clock that decided would make these tests depend on the machine
    monkeypatch.setattr(finding, "SHRINK_SECONDS", 60.0)
    monkeypatch.setattr(finding, "PROBE_SECONDS", 60.0)
    # nor what else is installed
    monkeypatch.setattr(finding, "available_dtypes", lambda: EVERYWHERE)


@pytest.fixture(scope="module")
def references() -> list[Voice]:
    """PyTorch where it is installed; the equations are always there. JAX would take minutes to compile."""
    try:
        return [open_voice("torch")]
    except VoiceUnavailable:
        return []
