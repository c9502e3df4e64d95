"""Every numbered equation of docs/derivations.md, evaluated literally, is what Mint computes."""

import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

from tests import derivations
from tests.derivations.equation import CHECKS

DOCUMENT = Path(__file__).parents[1] / "docs" / "derivations.md"

for module in pkgutil.iter_modules(derivations.__path__):
    importlib.import_module(f"{derivations.__name__}.{module.name}")


def numbers_in_document() -> tuple[list[str], list[str]]:
    """The numbers of the equations by their anchors, and by their tags."""
    text = DOCUMENT.read_text("utf-8")
    anchors = [f"{a}.{b}" for a, b in re.findall(r'<a id="eq-(\d+)-(\d+)"></a>', text)]
    return anchors, re.findall(r"\\tag\{([\d.]+)\}", text)


@pytest.mark.parametrize("number", numbers_in_document()[0])
def test_equation(number: str) -> None:
    assert number in CHECKS, f"({number}) of {DOCUMENT.name} has no test"
    check, cases = CHECKS[number]
    for case in cases(np.random.default_rng(int(number.replace(".", "")))):
        check(case)


def test_equations_and_tests_are_the_same() -> None:
    anchors, tags = numbers_in_document()
    assert anchors
    assert anchors == tags
    assert sorted(anchors) == sorted(CHECKS)


def test_links_lead_to_equations() -> None:
    text = DOCUMENT.read_text("utf-8")
    links = re.findall(r"\[\((\d+\.\d+)\)\]\(#eq-(\d+-\d+)\)", text)
    assert links
    for shown, target in links:
        assert shown == target.replace("-", ".")
        assert f'<a id="eq-{target}"></a>' in text
