"""Measures what a kit's folder promises, with a kit that runs."""

from collections.abc import Collection, Sequence
from pathlib import Path

from fakes.little import Heard
from mealkit.acceptance.report import Report, Verdict
from mealkit.acceptance.target import SilentListener, TestOptions
from mealkit.pipeline.home import Home
from mealkit.pipeline.proof.kit_testing import TestRequest, test_kit
from mealkit.pipeline.run.run_request import RunRequest


def measured(url: str, kit: Path, home: Home, allowed: Sequence[Path] = ()) -> Report:
    """Test the kit at an address with the claims and cases of a folder."""
    run = RunRequest(url, allowed=tuple(allowed))
    request = TestRequest(run, TestOptions(), kit=str(kit))
    return test_kit(request, home, Heard(), SilentListener())


def assert_kept(report: Report, stated: Collection[str] = ()) -> None:
    """Everything was measured and is as promised, but for claims that are stated without data."""
    verdicts = {item.claim.name: item for item in report.claims}
    found = {name for name, item in verdicts.items() if item.verdict is Verdict.NOT_JUDGED}
    assert found == set(stated)
    assert not report.failed, [(item.reason) for item in report.failed]
    assert report.cases
    assert all(item.verdict is Verdict.HOLDS for item in report.cases)


def failed_names(report: Report) -> set[str]:
    """The names of the claims and cases that fail."""
    claims = {item.claim.name for item in report.claims if item.verdict is Verdict.FAILS}
    return claims | {item.name for item in report.cases if item.verdict is Verdict.FAILS}
