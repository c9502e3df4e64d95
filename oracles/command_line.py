"""The program `mint`: fuzz, replay, report, calibrate, prove, ops."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from oracles.campaign import Outcome
    from oracles.judgement import Judgement
    from oracles.proof import Proof

WRONG, UNUSABLE = 1, 2
FRAMEWORKS = ("numpy", "torch", "jax")
REFERENCES = ("torch", "jax")


class Unusable(click.ClickException):
    """Bad input: one line, exit status 2."""

    exit_code = UNUSABLE

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"mint: {self.format_message()}", file=file or sys.stderr)


class Duration(click.ParamType[float]):
    """A duration such as 90, 60s, 20m or 1.5h, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of seconds."""
        del param, ctx
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?", str(value).strip())
        seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2] or "s"] if match else 0.0
        if seconds <= 0:
            raise Unusable(f"--time: expected a duration such as 60s, 20m or 1.5h, got {value!r}")
        return seconds


class OneLine(click.Group):
    """Every usage error is one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; usage errors in one line, Ctrl-C without a traceback."""
        try:
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        except Unusable as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "mint"
            click.echo(f"mint: {error.format_message()} (`{command} --help` tells more)", file=sys.stderr)
            sys.exit(UNUSABLE)
        except (click.Abort, KeyboardInterrupt):
            click.echo("mint: interrupted", file=sys.stderr)
            sys.exit(130)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mint-oracles", prog_name="mint")
def main() -> None:
    """Differential testing of neural-network layers against PyTorch, JAX and the equations.

    Exit status: 0 nothing wrong with the subject, 1 the subject is wrong, 2 bad input, 130 interrupted.
    """


SUBJECT_OPTIONS = [
    click.option("--subject", default="mint", metavar="FILE.py:NAME", help="What to test; by default Mint."),
    click.option("--framework", type=click.Choice(FRAMEWORKS), default="numpy", help="What the subject is written in."),
    click.option(
        "--reference",
        "references",
        multiple=True,
        type=click.Choice(REFERENCES),
        help="Compare with this one only; may be repeated. The equations always take part.",
    ),
]


def subject_options(command: Any) -> Any:
    """The options that name the subject and the references."""
    for option in reversed(SUBJECT_OPTIONS):
        command = option(command)
    return command


@main.command()
@click.argument("ops", nargs=-1)
@click.option("--time", "seconds", type=Duration(), help="Time budget: 60s, 20m, 1.5h.  [default: 60s]")
@click.option("--cases", type=click.IntRange(1), help="Budget in cases.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the campaign; drawn and shown if not given.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: the cores]")
@click.option("--dtype", "dtypes", multiple=True, help="Fuzz this dtype only; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Result folder.  [default: results/TIME]")
@subject_options
def fuzz(
    ops: tuple[str, ...],
    seconds: float | None,
    cases: int | None,
    seed: int | None,
    workers: int | None,
    dtypes: tuple[str, ...],
    out: Path | None,
    subject: str,
    framework: str,
    references: tuple[str, ...],
) -> None:
    """Fuzz operations (by default all) and write a report.

    OPS are names such as conv2d; `mint ops` lists them.
    """
    from oracles.campaign import CampaignFailed, Plan, check_operations, run_campaign
    from oracles.catalogue import UnknownOperation
    from oracles.precision import available_dtypes, precision
    from oracles.progress import Display
    from oracles.subject import BadSubject, Subject

    tested = Subject(subject, framework)
    try:
        names = check_operations(ops)
        for dtype in dtypes:
            precision(dtype)
        tested.check()
    except (UnknownOperation, LookupError, BadSubject) as error:
        raise Unusable(str(error.args[0])) from None
    if subject != "mint" and not ops:
        raise Unusable("--subject: name the operation that it implements, as in `mint fuzz conv2d --subject …`")
    if seconds is None and cases is None:
        seconds = 60.0
    folder = out or Path("results") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    _make_folder(folder)
    plan = Plan(
        ops=names,
        # a kernel is written for the two common dtypes; Mint is for all of them
        dtypes=dtypes or (available_dtypes() if subject == "mint" else ("float32", "float64")),
        references=tuple(dict.fromkeys(references)) or REFERENCES,
        subject=tested,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        seconds=seconds,
        cases=cases,
        workers=workers or os.cpu_count() or 1,
        command=" ".join(["mint", *sys.argv[1:]]),
    )
    display = Display(plan)
    try:
        with display:
            outcome = run_campaign(plan, display.update)
    except (BadSubject, CampaignFailed) as error:
        raise Unusable(str(error)) from None
    _finish(outcome, folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".writable"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise Unusable(f"--out: cannot write to {folder}: {error.strerror}") from None


def _finish(outcome: Outcome, folder: Path) -> None:
    """Write everything, say the verdict and where the report is, and leave with the status."""
    import reports

    summary = outcome.write(folder)
    (folder / "verdict.txt").write_text(reports.verdict(summary) + "\n", "utf-8")
    reports.write_junit(summary, folder / "junit.xml")
    for name, note in outcome.notes.items():
        click.echo(f"without {name}: {note}")
    click.echo()
    click.echo(reports.verdict(summary))
    click.echo()
    try:
        page = reports.write_report([folder], folder / "report.html")
        click.echo(f"Report: {page}")
    except reports.MissingExtra as error:
        click.echo(f"No report.html: {error}")
        click.echo(f"Results: {folder / 'summary.json'}")
    sys.exit(WRONG if outcome.subject_is_wrong else 130 if outcome.interrupted else 0)


@main.command()
@click.argument("descriptor")
@subject_options
def replay(descriptor: str, subject: str, framework: str, references: tuple[str, ...]) -> None:
    """Judge one case again and print every tensor's figures."""
    from oracles.catalogue import UnknownOperation, operation, parse
    from oracles.configuration import BadDescriptor
    from oracles.judge import judge
    from oracles.panel import Panel, open_voice
    from oracles.subject import BadSubject, Subject
    from oracles.trait import traits
    from oracles.voice import Voice, VoiceUnavailable

    tested = Subject(subject, framework)
    voices: list[Voice] = []
    try:
        case = parse(descriptor)
        op = operation(case.configuration.op)
        voice = tested.voice(tested.load(), op)
    except (BadDescriptor, UnknownOperation, BadSubject, VoiceUnavailable) as error:
        raise Unusable(str(error)) from None
    for name in dict.fromkeys(references or REFERENCES):
        try:
            voices.append(open_voice(name))
        except VoiceUnavailable as error:
            click.echo(f"without {name}: {error}")
    try:
        panel = Panel(voice, voices, repeats=True)
        judgement = judge(op, case, panel)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Unusable(f"descriptor: the equations cannot compute this case: {reason}") from None
    _print_judgement(judgement)
    for verdict in judgement.verdicts:
        click.echo(f"{verdict.guilty}: {verdict.verdict}: {verdict.message}")
        for trait in traits(op, judgement, verdict, panel):
            click.echo(f"  {verdict.tensor}: {trait}")
    sys.exit(WRONG if judgement.against("subject") else 0)


def digest(arrays: dict[str, Any]) -> str:
    """A short fingerprint of the bits of named arrays, in whichever order they come."""
    import numpy as np

    from oracles.precision import bits

    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        values = np.asarray(array)
        total.update(f"{name}{values.dtype}{values.shape}".encode() + bits(values))
    return total.hexdigest()[:16]


def _print_judgement(judgement: Judgement) -> None:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    click.echo(str(judgement.case))
    inputs = {name: a for name, a in judgement.inputs.items() if a is not None}
    click.echo(f"inputs   {digest(inputs)}")
    for voice, tensors in judgement.answers.items():
        arrays = {name: np.asarray(t) for name, t in tensors.items()}
        click.echo(f"{voice:8} {digest(arrays)}")
    table = Table("tensor", "voice", "error ratio", "limit", "ULP", "relative", "wrong", "worst element")
    from oracles.limits import limit

    configuration = judgement.case.configuration
    for (voice, tensor), c in sorted(judgement.comparisons.items(), key=lambda item: item[0][::-1]):
        place = "" if c.worst is None else f"[{', '.join(map(str, c.worst))}] is {c.got}, truth {c.expected}"
        table.add_row(
            tensor,
            voice,
            f"{c.largest_ratio:.4g}",
            f"{limit(configuration.op, tensor, configuration.dtype, voice):g}",
            f"{c.ulp.max(initial=0.0):.4g}",
            f"{c.relative_error:.3g}",
            f"{c.wrong} of {c.error_ratio.size}",
            place,
        )
    if judgement.comparisons:
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    for reference, reason in dict.fromkeys(judgement.limitations):
        click.echo(f"limited: {reference}: {reason}")
    if judgement.refused and not judgement.verdicts:
        click.echo("refused by all, rightly")
    elif not judgement.verdicts:
        click.echo("ok" + (" (vacuous: every tensor is constant or mostly zero)" if judgement.vacuous else ""))


@main.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option("--out", type=click.Path(path_type=Path), help="The page.  [default: report.html in the first DIR]")
def report(directories: tuple[Path, ...], out: Path | None) -> None:
    """Build the page again, or one page over several campaigns."""
    import reports

    page = out or directories[0] / "report.html"
    try:
        click.echo(f"Report: {reports.write_report(list(directories), page)}")
    except (reports.BadResults, reports.MissingExtra) as error:
        raise Unusable(str(error)) from None
    except OSError as error:
        raise Unusable(f"--out: cannot write {page}: {error.strerror}") from None


@main.command()
@click.argument("ops", nargs=-1)
@click.option("--configurations", "count", type=click.IntRange(1), default=60, help="For each dtype.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: the cores]")
@click.option("--afresh", is_flag=True, help="Forget what other machines and versions have measured.")
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: the package's limits.json]")
def calibrate(ops: tuple[str, ...], count: int, seed: int, workers: int | None, afresh: bool, out: Path | None) -> None:
    """Measure the worst error ratio of honest implementations and store the limits that follow.

    It adds to what is known: a worse ratio of an earlier calibration, on another machine, say, stays. After a change of
    a rounding scale begin --afresh: the worst cases that are on record are then measured again.
    """
    from rich.progress import track

    from oracles import calibrate as calibration
    from oracles import limits
    from oracles.campaign import check_operations
    from oracles.catalogue import UnknownOperation
    from oracles.environment import environment
    from oracles.precision import available_dtypes

    path = out or Path(limits.__file__).with_name("limits.json")
    try:
        names = check_operations(ops)
    except UnknownOperation as error:
        raise Unusable(str(error)) from None
    dtypes = tuple(dtype for dtype in available_dtypes() if dtype != "longdouble")
    here = environment()
    versions = [f"{name} {here[name]}" for name in ("numpy", "torch", "jax") if here[name]]
    machine = ", ".join([str(here["cpu"]), *versions])
    found = {name: calibration.Calibrated() for name in names}
    missing = dict.fromkeys(names, len(dtypes))
    measured = calibration.measure(names, dtypes, count, seed, workers or os.cpu_count() or 1)
    try:
        for op, result in track(measured, "calibrating", total=len(names) * len(dtypes)):
            found[op].merge(result)
            missing[op] -= not result.lost
            for outlier in result.outliers:
                click.echo(f"no rounding: {outlier}")
    finally:  # interrupted, what has been measured whole stands
        whole = {op: result for op, result in found.items() if not missing[op]}
        record = calibration.as_json(whole, count, seed, dtypes, machine)
        known = limits.calibration()["limits"]
        record["limits"] = {**known, **record["limits"]} if afresh else calibration.worse(known, record["limits"])
        calibration.write(record, path)
    click.echo(f"Limits: {path}")


@main.command()
@click.argument("ops", nargs=-1)
@click.option("--mutants", "most", type=click.IntRange(1), default=12, show_default=True, help="For each operation.")
@click.option("--all", "every", is_flag=True, help="All mutants.")
@click.option("--cases", type=click.IntRange(1), default=400, show_default=True, help="At most, for each mutant.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--rules/--no-rules", default=True, help="Whether to measure what other rules would catch.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: the cores]")
@click.option("--out", type=click.Path(path_type=Path), help="Result folder.  [default: results/prove]")
def prove(
    ops: tuple[str, ...],
    most: int,
    every: bool,
    cases: int,
    seed: int,
    rules: bool,
    workers: int | None,
    out: Path | None,
) -> None:
    """Measure the harness: make mistakes in Mint's own code and count those that the fuzz notices.

    Writes DIR/prove.json and DIR/prove.md. Exit status 1 where a mutant survives that is not known to be equivalent.
    """
    import json

    from rich.console import Console
    from rich.progress import Progress

    from oracles.campaign import check_operations
    from oracles.catalogue import UnknownOperation
    from oracles.environment import environment
    from oracles.mutant import MutmutMissing
    from oracles.proof import equivalents
    from oracles.prove import Setting
    from oracles.prove import prove as run

    folder = out or Path("results") / "prove"
    try:
        names = check_operations(ops)
        _make_folder(folder)
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("making mutants", total=None)

            def tell(done: int, due: int, doing: str) -> None:
                bar.update(task, completed=done, total=due, description=doing)

            setting = Setting(seed, cases, rules)
            proof = run(names, setting, None if every else most, workers or os.cpu_count() or 1, equivalents(), tell)
    except (UnknownOperation, MutmutMissing) as error:
        raise Unusable(str(error)) from None
    record = proof.as_json(environment())
    (folder / "prove.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (folder / "prove.md").write_text(proof.as_markdown(), "utf-8")
    _print_proof(proof)
    click.echo(f"Results: {folder / 'prove.json'}")
    sys.exit(WRONG if proof.survivors else 0)


def _print_proof(proof: Proof) -> None:
    from rich.console import Console
    from rich.table import Table

    from oracles.proof import HEADER, row, rule_rows

    console = Console(width=None if sys.stdout.isatty() else 120)
    title = f"{proof.total.mutants} of {proof.population} mutants; at most {proof.budget} cases each"
    table = Table(HEADER[0], title=title)
    for name in HEADER[1:]:
        table.add_column(name, justify="right")
    for op in proof.ops:
        table.add_row(*row(op, proof.of(op)))
    table.add_section()
    table.add_row(*row("total", proof.total))
    console.print(table)
    if proof.total.rules:
        rules = Table("rule", "catches", "of the killed", title="other rules, on the same mutants")
        for line in rule_rows(proof.total):
            rules.add_row(*line)
        console.print(rules)
    for fate in proof.survivors:
        click.echo(f"\nsurvived: {fate.mutant.identity}, line {fate.mutant.lines[0]}, {fate.home.op}")
        click.echo(fate.mutant.diff)
    for fate in proof.refuted:
        click.echo(f"\nnot equivalent: {fate.mutant.identity} is killed by {fate.killer and fate.killer.descriptor}")
    for entry in proof.unmatched:
        click.echo(f"\nno mutant: {entry.module}.{entry.function} in equivalent.toml\n{entry.diff}")


@main.command("ops")
@click.argument("name", required=False, metavar="[OP]")
@click.option("--accuracy", is_flag=True, help="Measure errors in ULP: Mint's, PyTorch's and JAX's, in float32.")
@click.option("--configurations", "count", type=click.IntRange(1), default=30, help="For --accuracy, for each OP.")
@click.option("--seed", type=click.IntRange(0), default=0, help="For --accuracy.")
@click.option("--workers", type=click.IntRange(1), help="For --accuracy.  [default: the cores]")
def ops_command(name: str | None, accuracy: bool, count: int, seed: int, workers: int | None) -> None:
    """List the operations, or tell all about one."""
    from oracles.catalogue import UnknownOperation, catalogue, operation
    from oracles.describe import describe, lines

    try:
        chosen = [operation(name)] if name else list(catalogue().values())
    except UnknownOperation as error:
        raise Unusable(str(error)) from None
    if accuracy:
        _print_accuracy(tuple(op.name for op in chosen), count, seed, workers or os.cpu_count() or 1)
    elif name:
        click.echo(describe(chosen[0]))
    else:
        for line in lines(chosen):
            click.echo(line)


def _print_accuracy(names: tuple[str, ...], count: int, seed: int, workers: int) -> None:
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from oracles.accuracy import VOICES, Row, measure, share

    measuring = measure(names, "float32", count, seed, workers)
    measured = track(measuring, "measuring", total=len(names), console=Console(stderr=True))
    found = dict(measured)
    rows = [row for name in names for row in found.get(name, [])]
    table = Table("operation", "tensor", title="error in ULP against the truth, float32: largest, 99th percentile")
    for voice in ("Mint", "PyTorch", "JAX"):
        table.add_column(voice, justify="right")
    table.add_column("")

    def shown(row: Row, voice: str) -> str:
        figures = row.figures(voice)
        return "–" if figures is None else "{:.3g}, {:.3g}".format(*figures)

    for row in rows:
        table.add_row(row.op, row.tensor, *(shown(row, voice) for voice in VOICES), "" if row.best else "less accurate")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    best, total = share(rows)
    percent = 100 * best / max(total, 1)
    click.echo(
        f"Mint is at least as accurate as the better of PyTorch and JAX on {best} of {total} rows ({percent:.1f} %)."
    )
