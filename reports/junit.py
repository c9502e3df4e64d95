"""The results as JUnit XML, which continuous integration shows without a plug-in."""

import re
from pathlib import Path
from xml.etree import ElementTree

from reports.results import Summary
from reports.wording import charge, findings_of, party, replay, verdict

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0, even escaped


def write_junit(summary: Summary, path: Path) -> None:
    """Write one testcase per op, with one failure for each finding against the subject.

    Findings against a reference, and those that nobody could be blamed for, are `system-out` of their op:
    they do not fail a campaign. An op of which no case was judged is skipped.
    """
    findings = summary["findings"]
    ops = dict.fromkeys([*summary["ops"], *(finding["op"] for finding in findings)])
    failed = {finding["op"] for finding in findings_of(summary, "subject")}
    idle = {op for op in ops if op not in failed and not summary["ops"].get(op, {}).get("cases")}
    totals = {"tests": len(ops), "failures": len(failed), "errors": 0, "skipped": len(idle)}
    attributes = {key: str(n) for key, n in totals.items()} | {"time": f"{summary['elapsed_s']:.3f}"}
    root = ElementTree.Element("testsuites", attributes, name="mint")
    suite = ElementTree.SubElement(
        root, "testsuite", attributes, name="mint", timestamp=summary["started"].removesuffix("Z")
    )
    properties = ElementTree.SubElement(suite, "properties")
    stated = {key: summary[key] for key in ("command", "seed", "interrupted")} | summary["environment"]
    for key, value in stated.items():
        ElementTree.SubElement(properties, "property", name=_legal(key), value=_legal(str(value)))
    for op in ops:
        case = ElementTree.SubElement(suite, "testcase", classname=_legal(party(summary, "subject")), name=_legal(op))
        if op in idle:
            ElementTree.SubElement(case, "skipped", message="no case was judged")
        notes = []
        for finding in (finding for finding in findings if finding["op"] == op):
            said = _legal(f"{charge(finding)}: {finding['message']}")
            known = [finding["message"], *finding["traits"], replay(finding, summary["subject"])]
            text = _legal("".join(f"{line}\n" for line in known))
            if finding["guilty"] == "subject":
                failure = ElementTree.SubElement(case, "failure", type=finding["verdict"], message=said)
                failure.text = text
            else:
                notes.append(f"{party(summary, finding['guilty'])}: {said}\n{text}")
        if notes:
            ElementTree.SubElement(case, "system-out").text = "\n".join(notes)
    ElementTree.SubElement(suite, "system-out").text = _legal(verdict(summary))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
