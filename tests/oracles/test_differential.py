"""Every operation against the references: the harness itself, driven by Hypothesis under pytest.

MINT_REFERENCES=torch,jax names the references (an empty one: the equations alone). Where it is not set,
PyTorch is asked if it is installed; JAX, which compiles each configuration, only when it is named, and then
there are fewer of them.
"""

import importlib.util
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.catalogue import catalogue
from oracles.draw import cases
from oracles.judge import judge
from oracles.numpy_voice import NumpyVoice
from oracles.panel import Panel, open_voice
from oracles.precision import available_dtypes
from oracles.voice import REFERENCES, SUBJECT, Voice, VoiceUnavailable

# what the frameworks' own modules warn of while they are imported is not ours
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMED = os.environ.get("MINT_REFERENCES")
#: A compilation takes as long as some dozen cases.
EXAMPLES = settings().max_examples // (5 if "jax" in (NAMED or "") else 1)


def open_references(named: str | None) -> list[Voice]:
    """The references that are named; one that cannot be loaded is an error, not a reason to skip."""
    if named is None:
        named = "torch" if importlib.util.find_spec("torch") else ""
    names = [name.strip() for name in named.split(",") if name.strip()]
    unknown = set(names) - set(REFERENCES)
    if unknown:
        raise ValueError(f"MINT_REFERENCES: expected some of {', '.join(REFERENCES)}, got {', '.join(unknown)}")
    return [open_voice(name) for name in names]


@pytest.fixture(scope="module")
def references() -> list[Voice]:
    return open_references(NAMED)


@pytest.mark.parametrize("operation", list(catalogue().values()), ids=lambda operation: operation.name)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_mint_agrees_with_the_references(operation, references, data):
    case = data.draw(cases(operation, available_dtypes()), label="case")
    judgement = judge(operation, case, Panel(NumpyVoice(operation.function), references))
    wrong = judgement.against(SUBJECT)
    told = [f"{verdict.verdict}: {verdict.message}" for verdict in wrong]
    assert not wrong, "\n".join([*told, f"mint replay '{case}'"])


@pytest.mark.parametrize("name", REFERENCES)
def test_a_named_reference_that_cannot_be_loaded_is_an_error(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(VoiceUnavailable, match=r"^(PyTorch|JAX) cannot be loaded: .*$"):
        open_references(name)


def test_a_name_that_is_no_reference_is_an_error():
    with pytest.raises(ValueError, match="MINT_REFERENCES: expected some of torch, jax, got tensorflow"):
        open_references("tensorflow")


def test_no_name_means_the_equations_alone():
    assert open_references("") == []
