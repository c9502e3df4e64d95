"""The words: who is who, how a figure is written, and the verdict as one paragraph of plain text."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from reports.histograms import largest
from reports.results import Summary

State = Literal["wrong", "undetermined", "past its limit", "nothing compared", "agrees"]

SUBJECT_VOICES = (
    "subject",
    "torch",
    "jax",
)  # those judged against the truth, in the order in which they are shown
REFERENCES = {"torch": "PyTorch", "jax": "JAX", "equations": "the equations"}
GUILTY = ("subject", "undetermined", *REFERENCES)  # in the order in which their findings are shown

_DEEDS = {  # worst first: a wrong number that nobody notices is worse than an error that everybody does
    "wrong": "is wrong",
    "crash": "crashes",
    "hang": "hangs",
    "mutates-input": "changes its inputs",
    "writes-outside": "writes outside its arrays",
    "shares-memory": "shares memory with its inputs or with another call",
    "nondeterministic": "gives other bits when called again",
    "rejects-valid": "rejects valid arguments",
    "accepts-invalid": "accepts invalid arguments",
    "warns": "warns on benign input",
}


def party(summary: Summary, voice: str) -> str:
    """Who a voice is: the subject by its name, the references by theirs."""
    if voice == "subject":
        name = str(summary["subject"]["name"])
        return "Mint" if name == "mint" else name
    return REFERENCES.get(voice, "undetermined")


def figure(value: float | None) -> str:
    """A figure with three significant digits; None is infinite.

    >>> [figure(x) for x in (0, 0.91234, 12.3456, 123.4, 12345.6, 1.2e9, 1e-7, None)]
    ['0', '0.912', '12.3', '123', '12,346', '1.2e9', '1e-7', '∞']
    """
    if value is None or math.isinf(value):
        return "∞"
    if 1000 <= value < 1e6:
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def count(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "case"), count(3120, "case"), count(2, "finding")
    ('1 case', '3,120 cases', '2 findings')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(items: Sequence[str]) -> str:
    """Items as one would say them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def replay(finding: Mapping[str, Any], subject: Mapping[str, str]) -> str:
    """The command line that judges a finding's case again.

    >>> replay({"descriptor": "relu x=(2,) fill=normal seed=1"}, {"name": "k.py:relu", "framework": "torch"})
    "mint replay 'relu x=(2,) fill=normal seed=1' --subject k.py:relu --framework torch"
    """
    words = ["mint", "replay", finding["descriptor"]]
    if subject["name"] != "mint":
        words += ["--subject", subject["name"], "--framework", subject["framework"]]
    return shlex.join(words)


def fraction_of_limit(error_ratio: float | None, limit: float | None) -> float:
    """Worst error ratio as a fraction of the limit; a limit of 0 or None demands an error of 0.

    >>> fraction_of_limit(1.0, 4.0), fraction_of_limit(None, 4.0), fraction_of_limit(0.0, None)
    (0.25, inf, 0.0)
    """
    if error_ratio == 0:
        return 0.0
    return math.inf if error_ratio is None or not limit else error_ratio / limit


def findings_of(summary: Summary, guilty: str) -> list[dict[str, Any]]:
    """The findings against one party, worst first."""
    return sorted(
        (finding for finding in summary["findings"] if finding["guilty"] == guilty),
        key=lambda f: (
            list(_DEEDS).index(f["verdict"]),
            -fraction_of_limit(f["error_ratio"], f["limit"]),
            -f["count"],
            f["id"],
        ),
    )


def closest_call(summary: Summary) -> tuple[float, str, str] | None:
    """The subject's worst (fraction of the limit, tensor, op) of the whole campaign."""
    worst = [
        (fraction_of_limit(figures["error_ratio"], figures["limit"]), tensor, op)
        for op, results in summary["ops"].items()
        for tensor, figures in results["tensors"].items()
        if any(voice["voice"] == "subject" and voice["elements"] for voice in figures["voices"])
    ]
    return max(worst, default=None)


def state(summary: Summary) -> State:
    """What the campaign says of the subject."""
    guilty = {finding["guilty"] for finding in summary["findings"]}
    worst = closest_call(summary)
    if "subject" in guilty:
        return "wrong"
    if summary["cases"] <= summary["vacuous"]:
        return "nothing compared"
    if "undetermined" in guilty:
        return "undetermined"
    return "past its limit" if worst is not None and worst[0] > 1 else "agrees"


def headline(summary: Summary) -> str:
    """The verdict in a few words."""
    who = party(summary, "subject")
    ways = count(len(findings_of(summary, "subject")), "way")
    return {
        "wrong": f"{who} is wrong in {ways}",
        "undetermined": f"{who} and its references disagree, and nobody could say who is right",
        "past its limit": f"{who} is past its limit, without a finding that says why",
        "nothing compared": "Nothing was compared, so nothing is proved",
        "agrees": f"{who} agrees",
    }[state(summary)]


def charge(finding: Mapping[str, Any]) -> str:
    """A finding in a few words, without the guilty party.

    >>> charge({"op": "conv2d", "tensor": "gx", "verdict": "wrong", "condition": "groups > 1"})
    'gx of conv2d is wrong when groups > 1'
    """
    what = f"{finding['tensor']} of {finding['op']}" if finding["tensor"] else finding["op"]
    condition = finding["condition"]
    when = f" when {condition}" if condition and condition != "always" else f" {condition}".rstrip()
    return f"{what} {_DEEDS[finding['verdict']]}{when}"


def traits(finding: Mapping[str, Any]) -> str:
    """With what the fault goes away, in one line; nothing where nothing is known.

    >>> traits({"traits": ["right when its row is alone", "right with one thread"]})
    'right when its row is alone; right with one thread'
    """
    return "; ".join(finding["traits"])


def charges(findings: Sequence[Mapping[str, Any]], shown: int = 3) -> str:
    """The first few findings in words with their traits, and how many more there are."""
    said = [charge(finding) + (f" ({told})" if (told := traits(finding)) else "") for finding in findings[:shown]]
    return "; ".join(said + [f"and {len(findings) - shown} more"] * (len(findings) > shown))


def verdict(summary: Summary) -> str:
    """The verdict as one paragraph of plain text: is anything wrong, who is wrong, how much was tested."""
    return f"{headline(summary)}{':' if state(summary) == 'wrong' else '.'} {' '.join(account(summary))}"


def account(summary: Summary) -> list[str]:
    """What bears the headline out, in paragraphs: what is wrong, how much was tested, and the references."""
    return [" ".join(said) for part in (_subject, _tested, _references) if (said := list(part(summary)))]


def _subject(summary: Summary) -> Iterable[str]:
    if against := findings_of(summary, "subject"):
        yield f"{charges(against)}."
    if unknown := findings_of(summary, "undetermined"):
        yield f"{count(len(unknown), 'disagreement')} without a culprit: {charges(unknown)}."


def _tested(summary: Summary) -> Iterable[str]:
    ops = [results for results in summary["ops"].values() if results["cases"]]
    tested = f"{count(summary['cases'], 'case')} of {count(len(ops), 'operation')} in {summary['elapsed_s']:.0f} s"
    compared = {
        name: sum(results["references"].get(name, 0) for results in ops)
        for name, about in summary["references"].items()
        if about["version"]
    }
    against = [f"{REFERENCES[name]} ({n:,})" for name, n in compared.items() if n]
    yield f"{tested}, compared with {listed(against) if against else 'no reference'}; {_closest(summary)}."
    if summary["vacuous"]:
        yield f"{count(summary['vacuous'], 'case')} proved nothing (vacuous)."
    if summary["refused"]:
        yield f"{party(summary, 'subject')} rightly refused {count(summary['refused'], 'invalid call')}."


def _closest(summary: Summary) -> str:
    worst = closest_call(summary)
    if worst is None:
        return "no element was judged"
    fraction, tensor, op = worst
    if fraction > 1:
        return f"the worst is {tensor} of {op}, at {figure(fraction)} times its limit"
    if fraction == 0:
        return "every element is exact"
    near = f"{math.ceil(100 * fraction)} %"  # rounded up: a closest call is not made to look better
    return f"no element is past its limit; the closest call is {tensor} of {op}, at {near} of its limit"


def _references(summary: Summary) -> Iterable[str]:
    for name in REFERENCES:
        if against := findings_of(summary, name):
            verb = "are" if name == "equations" else "is"
            ways = count(len(against), "way")
            yield f"{_capital(REFERENCES[name])} {verb} wrong in {ways}: {charges(against)}."
    for name, about in summary["references"].items():
        if about["version"] is None:
            why = f": {about['note']}" if about["note"] else ""
            yield f"{_capital(REFERENCES[name])} took no part{why}."
    if summary["interrupted"]:
        yield "The run was interrupted; this is what was done until then."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def worst_fraction(results: Mapping[str, Any]) -> float:
    """How near an op's subject came to its limit, over all its tensors."""
    return largest(fraction_of_limit(t["error_ratio"], t["limit"]) for t in results["tensors"].values())
