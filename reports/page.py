"""The page: one HTML file that needs neither network nor scripts."""

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from reports.charts import DASHES, chart, distributions
from reports.extra import extra
from reports.histograms import largest, merged, quantile
from reports.results import BadResults, Summary, read_summary
from reports.wording import (
    GUILTY,
    REFERENCES,
    SUBJECT_VOICES,
    account,
    charge,
    count,
    figure,
    findings_of,
    fraction_of_limit,
    headline,
    party,
    replay,
    state,
    traits,
    worst_fraction,
)

TEMPLATES = Path(__file__).with_name("templates")
TENSORS = ("y", "indices", "gx", "gw", "gb")  # shown first, in this order

Row = dict[str, Any]


def write_report(directories: Sequence[Path], out: Path) -> Path:
    """Build one self-contained page from one or several result directories, and return its path.

    Several are a history: the page is about the newest, and has a table of all runs.

    Raises: BadResults for results that cannot be read; MissingExtra if a library of the extra `report` is not
    installed; OSError if the page cannot be written.
    """
    if not directories:
        raise BadResults("expected at least one result directory, got none")
    runs = sorted(
        ((read_summary(directory), Path(directory)) for directory in directories),
        key=lambda run: str(run[0]["started"]),
        reverse=True,
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # A name may hold half a surrogate pair, which UTF-8 cannot.
    out.write_text(_render(runs), encoding="utf-8", errors="backslashreplace")
    return out


def _render(runs: Sequence[tuple[Summary, Path]]) -> str:
    jinja2 = extra("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "count": count}
    summary, directory = runs[0]
    earlier = [run for run, _ in runs[1:] if run["subject"] == summary["subject"]]
    script = (TEMPLATES / "report.js").read_text("utf-8")
    ops = sorted(summary["ops"], key=lambda op: (-worst_fraction(summary["ops"][op]), op))
    return str(
        environment.get_template("report.html").render(
            summary=summary,
            subject=party(summary, "subject"),
            state=state(summary),
            headline=headline(summary),
            account=account(summary),
            tiles=_tiles(summary),
            findings=[
                _finding(summary, finding, directory, earlier)
                for guilty in GUILTY
                for finding in findings_of(summary, guilty)
            ],
            gone=_gone(summary, earlier),
            names={voice: party(summary, voice) for voice in (*SUBJECT_VOICES, *REFERENCES)},
            dashes=DASHES,
            columns=_columns(summary),
            # where a tensor's columns begin
            firsts=set(accumulate(map(len, _columns(summary).values()), initial=0)),
            matrix=_matrix(summary, ops),
            ops=[_op(op, summary["ops"][op]) for op in ops],
            references=[name for name in REFERENCES if name in summary["references"]],
            charts=[(op, jinja2.utils.markupsafe.Markup(chart(summary["ops"][op]))) for op in ops],
            dtypes=_dtypes(summary),
            drawn={kind: _drawn(summary, kind) for kind in ("fills", "layouts")},
            runs=[_run(run) for run, _ in runs],
            script=jinja2.utils.markupsafe.Markup(script),
            script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    """The campaign in a few numbers: (number, what it counts)."""
    voices = [
        voice
        for results in summary["ops"].values()
        for figures in results["tensors"].values()
        for voice in figures["voices"]
        if voice["voice"] == "subject"
    ]
    elements, exact = (sum(voice[key] for voice in voices) for key in ("elements", "exact"))
    return [
        (f"{summary['cases']:,}", "cases judged"),
        (f"{sum(bool(results['cases']) for results in summary['ops'].values())}", "operations"),
        (figure(elements) if elements < 1e6 else f"{elements / 1e6:,.1f} M", "elements judged"),
        (figure(exact) if exact < 1e6 else f"{exact / 1e6:,.1f} M", "of them bit for bit"),
        (f"{summary['vacuous']:,}", "cases vacuous"),
        (f"{summary['refused']:,}", "invalid calls refused"),
    ]


def _signature(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes a finding the same one in another run."""
    return tuple(finding[key] for key in ("guilty", "op", "tensor", "verdict"))


def _finding(summary: Summary, finding: Row, directory: Path, earlier: Sequence[Summary]) -> Row:
    script = directory / finding["script"] if finding["script"] else None
    seen = sum(_signature(finding) in map(_signature, run["findings"]) for run in earlier)
    return {
        **finding,
        "who": party(summary, finding["guilty"]),
        "charge": charge(finding),
        "traits": traits(finding),
        "replay": replay(finding, summary["subject"]),
        "code": script.read_text("utf-8", errors="replace") if script and script.is_file() else None,
        "ratio": figure(finding["error_ratio"]) if finding["error_ratio"] is not None else "not finite",
        "before": f"in {seen} of {count(len(earlier), 'earlier run')}" if seen else "new" if earlier else "",
    }


def _gone(summary: Summary, earlier: Sequence[Summary]) -> list[str]:
    """Findings of the run before that the newest does not have."""
    now = {_signature(finding) for finding in summary["findings"]}
    return [
        f"{party(summary, finding['guilty'])}: {charge(finding)}"
        for finding in (earlier[0]["findings"] if earlier else ())
        if _signature(finding) not in now
    ]


def _columns(summary: Summary) -> dict[str, list[str]]:
    """The columns of the matrix: for each tensor, the voices of which anything was compared in any op."""
    spoke = {
        (tensor, voice["voice"])
        for results in summary["ops"].values()
        for tensor, figures in results["tensors"].items()
        for voice in figures["voices"]
        if voice["elements"]
    }
    tensors = {tensor for tensor, _ in spoke}
    order = [t for t in TENSORS if t in tensors] + sorted(tensors - set(TENSORS))
    return {tensor: [voice for voice in SUBJECT_VOICES if (tensor, voice) in spoke] for tensor in order}


def _matrix(summary: Summary, ops: Iterable[str]) -> list[Row]:
    """For each op, one cell per column: its figures, or None where nothing was compared."""
    return [
        {
            "op": op,
            "cells": [
                _cell(tensor, summary["ops"][op]["tensors"].get(tensor), voice)
                for tensor, voices in _columns(summary).items()
                for voice in voices
            ],
        }
        for op in ops
    ]


def _cell(tensor: str, figures: Mapping[str, Any] | None, voice: str) -> Row | None:
    recorded = [v for v in figures["voices"] if v["voice"] == voice and v["elements"]] if figures else []
    if not recorded or figures is None:
        return None
    worst = max(recorded, key=lambda v: largest([v["error_ratio"]["max"]]))
    fraction = fraction_of_limit(worst["error_ratio"]["max"], figures["limit"])
    return {
        "text": "0" if fraction == 0 else f"{fraction:.2f}" if 0.005 < fraction < 10 else figure(fraction),
        "level": next(i for i, most in enumerate((0, 0.25, 0.5, 1, float("inf"))) if fraction <= most),
        "title": f"{tensor} in {worst['dtype']}: worst error ratio {figure(worst['error_ratio']['max'])}, "
        f"limit {figure(figures['limit']) if figures['limit'] else 'exact'}; {worst['worst'] or ''}",
    }


def _op(op: str, results: Mapping[str, Any]) -> Row:
    """A row of the table of operations: three quantiles each of the subject's ULPs and error ratio."""
    quantiles = {}
    for measure in ("ulp", "error_ratio"):
        histogram = distributions(results, measure)["subject"]
        maximum = largest(
            voice[measure]["max"]
            for figures in results["tensors"].values()
            for voice in figures["voices"]
            if voice["voice"] == "subject" and voice["elements"]
        )
        quantiles[measure] = [quantile(histogram, q, maximum) for q in (0.5, 0.99)]
        quantiles[measure] += [maximum if histogram else None]
    return {**results, "op": op, "fraction": worst_fraction(results), "quantiles": quantiles}


def _dtypes(summary: Summary) -> Row:
    """How many cases of each op were judged in each dtype."""
    names = sorted(set(chain.from_iterable(results["dtypes"] for results in summary["ops"].values())))
    return {
        "names": names,
        "rows": [
            (op, [results["dtypes"].get(name, {"cases": 0, "references": {}}) for name in names])
            for op, results in sorted(summary["ops"].items())
        ],
    }


def _drawn(summary: Summary, kind: str) -> list[tuple[str, int]]:
    """How often each fill or layout was drawn, most often first."""
    return Counter(merged(results[kind] for results in summary["ops"].values())).most_common()


def _run(summary: Summary) -> Row:
    return {
        **summary,
        "against": {guilty: len(findings_of(summary, guilty)) for guilty in GUILTY},
        "fraction": largest(worst_fraction(results) for results in summary["ops"].values()),
        "who": party(summary, "subject"),
        "state": state(summary),
    }
