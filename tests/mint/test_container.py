"""Containers: what they hold is found, trained and refused as it should be."""

import numpy as np
import pytest

import mint


def test_a_module_in_a_container_is_found_and_changes_its_mode():
    class Net(mint.Module):
        def __init__(self):
            self.layers = mint.ModuleList([mint.Linear(2, 2), mint.ModuleDict({"head": mint.Linear(2, 1)})])
            self.scales = mint.ParameterList([mint.Parameter(np.ones(1))])

    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.head.weight",
        "layers.1.head.bias",
        "scales.0",
    ]
    assert not net.eval().layers[1]["head"].training
    assert [type(layer).__name__ for layer in net.layers] == ["Linear", "ModuleDict"]
    assert len(net.layers) == 2


def test_entries_are_checked():
    with pytest.raises(TypeError, match=r"^ModuleList: each entry must be a Module; got Parameter$"):
        mint.ModuleList([mint.Parameter(np.ones(1))])
    scales = mint.ParameterDict()
    with pytest.raises(TypeError, match=r"^ParameterDict: each entry must be a Parameter; got ndarray$"):
        scales["a"] = np.ones(1)
    assert list(scales) == []
