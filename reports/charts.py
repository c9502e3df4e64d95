"""One small chart per op: how the errors of subject, PyTorch and JAX are distributed, against the limit.

Altair draws, vl-convert renders to SVG; the colours are the page's CSS variables, so that one picture suits
light and dark. One rendering per op is faster than one of all (vl-convert 1.9: 2 s against 6 s for 30 ops).
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from reports.extra import extra
from reports.histograms import Histogram, cumulative, largest, merged
from reports.wording import SUBJECT_VOICES

DASHES = {"subject": [1, 0], "torch": [6, 3], "jax": [2, 2]}  # told apart without colour, too
LEFT = 2.0**-7  # errors below 1 % of a rounding are drawn at the left edge


def distributions(results: Mapping[str, Any], measure: str) -> dict[str, Histogram]:
    """For each voice, the errors of an op over all its tensors and dtypes; of `error_ratio` or `ulp`."""
    return {
        voice: merged(
            recorded[measure]["histogram"]
            for figures in results["tensors"].values()
            for recorded in figures["voices"]
            if recorded["voice"] == voice
        )
        for voice in SUBJECT_VOICES
    }


def chart(results: Mapping[str, Any]) -> str:
    """The distribution of the error ratio of one op as SVG text; empty if no error was measured.

    x: error ratio, logarithmic. y: the fraction of elements whose error ratio is at most x. One line per
    voice, one upright line per limit (tensors of an op may have different limits).

    Raises: MissingExtra if altair or vl-convert is not installed.
    """
    limits = sorted({figures["limit"] for figures in results["tensors"].values() if figures["limit"]})
    worst = largest(
        recorded["error_ratio"]["max"]
        for figures in results["tensors"].values()
        for recorded in figures["voices"]
        if recorded["error_ratio"]["max"] is not None
    )
    right = 2.0 ** math.ceil(math.log2(1.5 * max([1.0, worst, *limits])))
    points = [
        {"voice": voice, "order": i, "x": x, "y": y}
        for voice, histogram in distributions(results, "error_ratio").items()
        for i, (x, y) in enumerate(cumulative(histogram, LEFT, right))
    ]
    if not points:
        return ""
    decades = range(-2, math.floor(math.log10(right)) + 1)
    specification = {
        **_picture(),
        "datasets": {"errors": points, "limits": [{"x": limit} for limit in limits]},
        "params": [
            {"name": "right", "value": right},
            {"name": "ticks", "value": [10.0**k for k in decades if not k % math.ceil(len(decades) / 6)]},
        ],
    }
    return str(extra("vl_convert").vegalite_to_svg(specification))


@cache
def _picture() -> dict[str, Any]:
    """The chart without its data and axis, which alone differ from op to op: Altair takes its time."""
    alt = extra("altair")
    right, ticks = alt.param("right", value=1), alt.param("ticks", value=[1])
    axis = alt.Axis(title=None, values=alt.expr(ticks.name), labelExpr="format(datum.value, '~g')")
    scale = alt.Scale(type="log", domainMin=LEFT, domainMax=alt.expr(right.name), nice=False)
    x = alt.X("x:Q", scale=scale, axis=axis)
    voices = alt.Scale(domain=list(DASHES), range=[f"var(--{voice})" for voice in DASHES])
    dashes = alt.Scale(domain=list(DASHES), range=list(DASHES.values()))
    lines = (
        alt.Chart(alt.NamedData("errors"))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=x,
            y=alt.Y(
                "y:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(title=None, values=[0, 0.5, 1], format="%"),
            ),
            order="order:Q",
            color=alt.Color("voice:N", scale=voices, legend=None),
            strokeDash=alt.StrokeDash("voice:N", scale=dashes, legend=None),
        )
    )
    rules = alt.Chart(alt.NamedData("limits")).mark_rule(color="var(--limit)", strokeWidth=1.5).encode(x=x)
    picture = (
        alt.layer(rules, lines)
        .add_params(right, ticks)
        .properties(width=230, height=96, background="transparent", padding=4)
        .configure(font="system-ui, sans-serif", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--muted)",
            gridColor="var(--line)",
            domainColor="var(--line)",
            tickColor="var(--line)",
            labelFontSize=11,
        )
    )
    specification: dict[str, Any] = picture.to_dict()
    return specification
