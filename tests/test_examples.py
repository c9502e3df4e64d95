"""The examples do what they say."""

from pathlib import Path

from oracles.catalogue import operation, parse
from oracles.judge import judge
from oracles.panel import Panel
from oracles.subject import Subject

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_strided_convolution_is_wrong_where_windows_overlap_and_only_there():
    subject = Subject(f"{EXAMPLES / 'strided_conv.py'}:conv2d")
    conv2d = operation("conv2d")
    panel = Panel(subject.voice(subject.load(), conv2d))
    overlapping = judge(conv2d, parse("conv2d x=(2,3,5,5) w=(4,3,3,3) fill=normal seed=1"), panel)
    assert {verdict.tensor for verdict in overlapping.against("subject")} == {"gx"}
    apart = judge(conv2d, parse("conv2d x=(2,3,6,6) w=(4,3,3,3) stride=3 fill=normal seed=1"), panel)
    assert not apart.verdicts
