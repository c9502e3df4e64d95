"""Mutants: what counts as a mistake, and loading one beside the original."""

from __future__ import annotations

import sys

import numpy as np

import mint
from oracles.catalogue import operation
from oracles.mutant import all_mutants, load, module_sources, mutants_of
from oracles.prove import Setting
from oracles.reach import reach

SOURCE = '''
LIMIT = 3


def half(x):
    """Half of it."""
    text = "half: not so large"
    if x > LIMIT:
        raise ValueError(text + "!")
    with np.errstate(all="ignore"):
        return np.asarray(x / 2, order="C")
'''


def test_a_mistake_is_one_edit_and_texts_warnings_and_memory_order_are_left_alone() -> None:
    mutants = list(mutants_of("mint.half", SOURCE))
    diffs = [mutant.diff for mutant in mutants]
    assert "-if x > LIMIT:\n+if x >= LIMIT:" in diffs
    assert "-LIMIT = 3\n+LIMIT = 4" in diffs
    assert any("x * 2" in diff for diff in diffs)
    added = "\n".join(line for diff in diffs for line in diff.splitlines() if line.startswith("+"))
    for left_alone in ("not so", "errstate", "XX", 'order="c"'):
        assert left_alone not in added.replace('with np.errstate(all="ignore"):', "")
    for mutant in mutants:
        compile(mutant.apply(SOURCE), "<mutant>", "exec")
        assert mutant.apply(SOURCE) != SOURCE


def test_every_mutant_of_mint_has_a_name_of_its_own() -> None:
    mutants = all_mutants()
    assert len(mutants) > 10_000
    assert len({mutant.identity for mutant in mutants}) == len(mutants)
    assert {mutant.module for mutant in mutants} <= module_sources().keys()


def test_a_mutant_is_loaded_beside_the_original() -> None:
    mutant = next(m for m in all_mutants() if m.function == "relu" and "maximum" in m.diff)
    before = {name: module for name, module in sys.modules.items() if name.startswith("mint")}
    mutated = load(mint.relu, mutant)
    assert mutated is not mint.relu
    assert {name: module for name, module in sys.modules.items() if name.startswith("mint")} == before
    x = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(mint.relu(x)[0], [0, 2])
    try:
        y = mutated(x)[0]
    except Exception:
        return
    assert not np.array_equal(y, [0, 2])


def test_an_operation_reaches_its_own_lines_and_those_it_shares() -> None:
    found = reach(operation("relu"), list(Setting(budget=16).cases("relu")))
    modules = {module for module, _ in found.lines}
    assert {"mint.piecewise", "mint.differentiable"} <= modules
    assert "mint.conv" not in modules
