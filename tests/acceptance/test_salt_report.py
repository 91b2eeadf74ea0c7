"""What a changed value does to claims and cases, and what follows from all changes."""

import json
from typing import Any

import pytest
from fakes.salted import CHANGE, claim_result, outcome, pinned, report_of, salt_report

from mealkit.acceptance.report import CaseResult, Verdict
from mealkit.acceptance.salt_report import ChangedValue, Refusal, SaltReport, effects_of
from mealkit.errors import AcceptanceError, Owner

HOLDS, FAILS, UNJUDGED = Verdict.HOLDS, Verdict.FAILS, Verdict.NOT_JUDGED


@pytest.mark.parametrize(
    ("tolerance", "before", "after", "notices"),
    [
        ({"absolute": 0.01}, (HOLDS, 0.82), (HOLDS, 0.815), False),
        ({"absolute": 0.01}, (HOLDS, 0.82), (FAILS, 0.7), True),
        # It fails already, or is not judged here: what counts is how far it moves.
        ({"absolute": 0.01}, (FAILS, 0.7), (FAILS, 0.705), False),
        ({"absolute": 0.01}, (FAILS, 0.7), (FAILS, 0.6), True),
        ({"relative": 0.1}, (UNJUDGED, 0.82), (UNJUDGED, 0.75), False),
        ({"relative": 0.1}, (UNJUDGED, 0.82), (UNJUDGED, 0.72), True),
        ({"minimum": 0.8, "maximum": 0.9}, (FAILS, 0.7), (FAILS, 0.5), True),
        ({"minimum": 0.8}, (FAILS, 0.7), (FAILS, 0.5), False),
        ({"absolute": 0.01}, (HOLDS, 0.82), (FAILS, None), True),
        ({"absolute": 0.01}, (UNJUDGED, None), (UNJUDGED, None), False),
    ],
)
def test_a_claim_notices_what_moves_it_beyond_its_tolerance(
    tolerance: dict[str, float],
    before: tuple[Verdict, float | None],
    after: tuple[Verdict, float | None],
    notices: bool,
):
    """The difference is in the claim's own unit."""
    baseline = pinned(claim_result("sts", *before, tolerance))
    (effect,) = effects_of(baseline, report_of(claim_result("sts", *after, tolerance)))
    assert effect.notices is notices
    if before[1] is not None and after[1] is not None:
        assert effect.difference == pytest.approx(after[1] - before[1])


@pytest.mark.parametrize(
    ("before", "after", "notices"),
    [(HOLDS, FAILS, True), (HOLDS, HOLDS, False), (FAILS, FAILS, False)],
)
def test_a_case_notices_what_makes_it_fail(before: Verdict, after: Verdict, notices: bool):
    """One that fails anyway shows nothing."""
    baseline = pinned(CaseResult(name="first", verdict=before, reason="x"))
    report = report_of(CaseResult(name="first", verdict=after, reason="x"))
    assert [effect.notices for effect in effects_of(baseline, report)] == [notices]


def test_a_claim_that_nothing_moves_is_weak():
    """A claim of speed is not about the answers: it neither notices a change nor is it weak."""
    before = [
        claim_result("strong", HOLDS, 0.8),
        claim_result("weak", HOLDS, 0.8),
        claim_result("stated", UNJUDGED, None),
        claim_result("fast", HOLDS, 100.0, metric="tokens_per_second"),
    ]
    slow = claim_result("fast", FAILS, 50.0, metric="tokens_per_second")
    after = [claim_result("strong", FAILS, 0.1), *before[1:3], slow]
    report = salt_report(before, outcome(before, after))
    assert report.weak == ("weak",)
    assert report.outcomes[0].noticed_by == ("strong",)
    assert report.unmeasured == ()


def test_a_value_that_no_claim_notices_is_named():
    """The kit could be published with another one, and its claims would still hold."""
    before = [claim_result("sts", HOLDS, 0.82)]
    report = salt_report(before, outcome(before, [claim_result("sts", HOLDS, 0.821)]))
    assert report.unmeasured == (CHANGE,)
    assert json.loads(report.as_json())["summary"] == {
        "weak": ["sts"],
        "failing": [],
        "unsteady": [],
        "unmeasured": ["hyperparameters.pooling"],
    }


def test_a_claim_should_not_notice_another_seed():
    """One that does is unsteady; one that does not is no weaker for it."""
    seed = ChangedValue(field="hyperparameters.seed", pinned=0, changed=1, spoils=False)
    before = [claim_result("steady", HOLDS, 0.82), claim_result("unsteady", HOLDS, 0.82)]
    after = [before[0], claim_result("unsteady", FAILS, 0.5)]
    report = salt_report(before, outcome(before, after, seed))
    assert (report.unsteady, report.weak, report.unmeasured) == (("unsteady",), (), ())


def test_a_kit_that_does_not_start_says_nothing_about_its_claims():
    """The start notices it; no claim is called weak for it."""
    before = [claim_result("sts", HOLDS, 0.82)]
    refusal = Refusal(code="ENGINE_START", message="no", owner=Owner.KIT_AUTHOR)
    report = salt_report(before, outcome(before, []).model_copy(update={"refusal": refusal}))
    assert (report.weak, report.unmeasured) == ((), ())


def test_a_report_reads_back_as_itself():
    """What is written is what is read."""
    before = [claim_result("sts", HOLDS, 0.82)]
    report = salt_report(before, outcome(before, [claim_result("sts", FAILS, 0.1)]))
    assert SaltReport.read(report.as_json(), "x") == report


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form.update(surprise=1),
        lambda form: form["outcomes"][0].update(seconds="NaN"),
        lambda form: form.pop("kit"),
    ],
    ids=["unknown field", "not finite", "missing field"],
)
def test_another_file_is_no_report(change: Any):
    """Unknown and missing fields, and numbers that are not finite, are refused."""
    before = [claim_result("sts", HOLDS, 0.82)]
    form = json.loads(salt_report(before, outcome(before, before)).as_json())
    change(form)
    with pytest.raises(AcceptanceError) as error:
        SaltReport.read(json.dumps(form).encode(), "salt.json")
    assert error.value.problems[0].code == "TEST_REPORT_INVALID"
