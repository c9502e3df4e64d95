"""The frameworks are loaded when they are asked, and not before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from oracles import equations, formula, summation

PROGRAM = """
import sys
{first}
loaded = sorted({{"torch", "jax", "jaxlib"}} & sys.modules.keys())
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "first",
    [
        "import oracles.command_line",
        "import mint, reports, oracles",
        "import oracles.campaign, oracles.worker, oracles.judge, oracles.finding, oracles.progress",
        "from oracles.command_line import main; main(['ops'])",
        "from oracles.command_line import main; main(['ops', 'conv2d'])",
    ],
)
def test_nothing_loads_a_framework_early(first):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_mint_loads_nothing_but_numpy():
    program = "import sys, mint; assert not {'oracles', 'reports', 'hypothesis', 'click'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", [equations, formula, summation], ids=lambda module: module.__name__)
def test_the_equations_share_no_code_with_mint(module):
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported -= {"oracles.summation"}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"numpy"}
