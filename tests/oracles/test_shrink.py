"""What one step of shrinking can leave out."""

import pytest

from oracles.catalogue import parse
from oracles.shrink import simplifications, size


@pytest.mark.parametrize(
    ("descriptor", "simpler"),
    [
        ("layer_norm x=(1,2) normalized_shape=(1,2)", "layer_norm x=(2,) normalized_shape=(2,)"),
        (
            "layer_norm x=(3,2,1) weight=(2,1) normalized_shape=(2,1)",
            "layer_norm x=(3,2) weight=(2,) normalized_shape=(2,)",
        ),
        ("conv2d x=(1,1,4,4) w=(1,1,2,2) stride=(2,2)", "conv2d x=(1,1,4,4) w=(1,1,2,2) stride=2"),
        ("relu x=(1,4)", "relu x=(4,)"),
        ("relu x=(4096,)", "relu x=(2048,)"),
        ("relu x=(2,) layout.x=sliced", "relu x=(2,)"),
    ],
)
def test_a_step(descriptor: str, simpler: str) -> None:
    before, after = (parse(f"{text} fill=normal seed=0").configuration for text in (descriptor, simpler))
    assert after in simplifications(before, before)
    assert size(after) < size(before)
