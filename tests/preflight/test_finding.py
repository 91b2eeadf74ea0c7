"""What all findings together mean."""

import pytest

from mealkit.errors import CATALOGUE
from mealkit.preflight.finding import Finding, Report, Severity, Verdict

PASSES, WARNS = Severity.PASSES, Severity.WARNS
BLOCKS, OVERRIDDEN = Severity.BLOCKS, Severity.OVERRIDDEN


def finding(severity, code="HOST_MEMORY", **more):
    return Finding(code, severity, "1 GiB", "2 GiB", "memory", **more)


@pytest.mark.parametrize(
    ("severities", "verdict", "deciding"),
    [
        ((), Verdict.FITS, None),
        ((PASSES, PASSES), Verdict.FITS, None),
        ((PASSES, WARNS), Verdict.UNCERTAIN, 1),
        ((WARNS, OVERRIDDEN, WARNS), Verdict.UNCERTAIN, 1),
        ((WARNS, BLOCKS, OVERRIDDEN, BLOCKS), Verdict.DOES_NOT_FIT, 1),
    ],
)
def test_the_worst_finding_decides(severities, verdict, deciding):
    """Of equally bad ones it is the first."""
    findings = [finding(severity) for severity in severities]
    report = Report(findings)
    assert report.verdict is verdict
    assert report.deciding is (None if deciding is None else findings[deciding])
    assert len(report.blockers) == severities.count(BLOCKS)
    assert len(report.warnings) == severities.count(WARNS)
    assert report.overridden == [item for item in findings if item.severity is OVERRIDDEN]


def test_a_finding_is_a_problem_of_the_catalogue():
    """Its owner and its usual remedy come from there, and its own remedy wins."""
    plain, own = finding(BLOCKS), finding(BLOCKS, fix="buy more")
    assert (plain.owner, plain.remedy) == (
        CATALOGUE["HOST_MEMORY"].owner,
        CATALOGUE["HOST_MEMORY"].fix,
    )
    assert (own.remedy, own.problem.hint) == ("buy more", "buy more")
    assert (own.problem.measured, own.problem.required) == ("1 GiB", "2 GiB")


def test_a_reason_is_only_told_where_there_is_one():
    """The JSON form has it for what was overridden."""
    assert "reason" not in finding(BLOCKS).as_json()
    assert finding(OVERRIDDEN, reason="tested").as_json()["reason"] == "tested"
    assert Report([finding(BLOCKS)]).as_json()["verdict"] == "does-not-fit"
