"""The verdict in words: is anything wrong, who is wrong, how much was tested, and never more than that."""

import copy
from typing import Any

import reports
from reports.wording import charge

Json = dict[str, Any]


def altered(summary: Json, **changes: Any) -> Json:
    return copy.deepcopy(summary) | changes


def test_agreement_says_how_much_was_tested_and_how_near_the_limit(sound: Json) -> None:
    said = reports.verdict(sound)
    assert said.startswith(f"Mint agrees. {sound['cases']:,} cases of 26 operations in 60 s, compared with PyTorch (")
    assert "JAX (" in said
    assert "the equations (" in said
    assert "no element is past its limit; the closest call is " in said
    assert "52 cases proved nothing (vacuous). Mint rightly refused 78 invalid calls." in said
    assert "\n" not in said


def test_a_wrong_subject_is_named_first_and_the_references_by_their_own_names(faulty: Json) -> None:
    said = reports.verdict(faulty)
    assert said.startswith(
        "Mint is wrong in 2 ways: gx of conv2d is wrong when groups > 1 and stride > 1 "
        "(right when its row is alone; right with one thread); "
        "avg_pool1d accepts invalid arguments when padding > kernel_size / 2. "
    )
    assert "the worst is gx of conv2d, at 3,086 times its limit." in said
    assert "PyTorch is wrong in 1 way: gx of max_pool2d is wrong when ceil_mode and padding > 0." in said
    assert "JAX is wrong in 1 way: conv3d crashes when any size is 0." in said
    assert "no element is past" not in said


def test_every_verdict_that_may_be_recorded_has_its_words(faulty: Json) -> None:
    kinds = reports.SCHEMA["$defs"]["finding"]["properties"]["verdict"]["enum"]
    said = {charge({**faulty["findings"][2], "verdict": kind}) for kind in kinds}
    assert len(said) == len(kinds) == 10


def test_a_subject_of_the_user_goes_by_its_name(sound: Json) -> None:
    said = reports.verdict(altered(sound, subject={"name": "kernels.py:conv", "framework": "torch"}))
    assert said.startswith("kernels.py:conv agrees. ")
    assert "Mint" not in said


def test_findings_against_the_references_do_not_make_the_subject_wrong(sound: Json, faulty: Json) -> None:
    theirs = [finding for finding in faulty["findings"] if finding["guilty"] != "subject"]
    said = reports.verdict(altered(sound, findings=theirs))
    assert said.startswith("Mint agrees.")
    assert "PyTorch is wrong in 1 way" in said


def test_a_disagreement_without_a_culprit_is_no_agreement(sound: Json, faulty: Json) -> None:
    unknown = [{**faulty["findings"][0], "guilty": "undetermined"}]
    said = reports.verdict(altered(sound, findings=unknown))
    assert said.startswith("Mint and its references disagree, and nobody could say who is right.")
    assert "1 disagreement without a culprit: gx of max_pool2d" in said


def test_nothing_compared_is_no_agreement(sound: Json) -> None:
    for summary in (
        altered(sound, cases=0, vacuous=0, refused=0, ops={}),
        altered(sound, vacuous=sound["cases"]),
    ):
        assert reports.verdict(summary).startswith("Nothing was compared, so nothing is proved.")
    assert "compared with no reference; no element was judged." in reports.verdict(altered(sound, ops={}))


def test_past_the_limit_without_a_finding_is_no_agreement(faulty: Json) -> None:
    said = reports.verdict(altered(faulty, findings=[]))
    assert said.startswith("Mint is past its limit, without a finding that says why.")


def test_a_closest_call_is_rounded_up(sound: Json) -> None:
    summary = altered(sound)
    summary["ops"]["gelu"]["tensors"]["y"]["error_ratio"] = 3.9999
    assert "the closest call is y of gelu, at 100 % of its limit" in reports.verdict(summary)


def test_exact_results_are_called_exact(sound: Json) -> None:
    summary = altered(sound)
    summary["ops"] = {"flatten": summary["ops"]["flatten"]}
    assert "every element is exact" in reports.verdict(summary)


def test_missing_references_and_interruption_are_told(sound: Json) -> None:
    note = "not installed: pip install 'mint-oracles[jax]'"
    summary = altered(sound, interrupted=True)
    summary["references"]["jax"] = {"version": None, "note": note}
    said = reports.verdict(summary)
    assert f"JAX took no part: {note}." in said
    assert "JAX (" not in said
    assert said.endswith("The run was interrupted; this is what was done until then.")


def test_many_findings_are_counted_not_listed(sound: Json, faulty: Json) -> None:
    many = [{**faulty["findings"][2], "op": f"op{i}", "id": str(i)} for i in range(9)]
    said = reports.verdict(altered(sound, findings=many))
    assert said.startswith("Mint is wrong in 9 ways: ")
    assert "; and 6 more." in said
