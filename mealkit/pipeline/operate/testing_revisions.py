"""Tests a revision before it gets traffic: its cases, and the claims that were chosen."""

from dataclasses import dataclass

from mealkit.acceptance.report import CaseResult, ClaimResult, Report
from mealkit.acceptance.target import TestListener, TestOptions
from mealkit.acceptance.testing import require_libraries, unjudged
from mealkit.deploy.deployment import Gate, GateResult, TestedClaim
from mealkit.errors import MealkitError, Owner
from mealkit.names import one_line
from mealkit.pipeline.operate.changing import Tested
from mealkit.pipeline.operate.revision_containers import Ground, Started
from mealkit.pipeline.proof.kit_testing import Tester as KitTester
from mealkit.pipeline.proof.kit_testing import judged_run
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import report_of
from mealkit.recipe.claims import Claimed
from mealkit.recipe.lock import Lock

_QUICK_BYTES = 64 * 1024
"""The data of a claim that is asked in seconds has a few hundred rows."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which claims and cases are tested: the cases and the quick claims, by default."""

    everything: bool = False
    cases_only: bool = False
    claims: tuple[str, ...] = ()


def judge_revision(
    started: Started,
    chosen: Chosen,
    request: RunRequest,
    key: str | None,
    ground: Ground,
    listener: TestListener,
) -> Tested:
    """Ask a revision that runs without traffic; return the results, and the gate.

    Raises:
        AcceptanceError: it cannot be tested, such as a claim of a name that the kit does not have.
    """
    lock = started.shown.lock
    asked = lock.model_copy(update={"claims": _claims(lock, chosen)})
    if not asked.claims and not (asked.cases and not chosen.claims):
        return (), _gate("the kit states no claims or cases that were chosen")
    options = TestOptions(
        claims=chosen.claims, cases_only=chosen.cases_only, journals=ground.home.journals
    )
    tester = KitTester(options, ground.home, ground.progress, listener, key)
    report = report_of(started.container, started.shown, ground.client)
    result = judged_run(report, request, tester, asked)
    return _claims_of(result), _judged(result)


def _claims(lock: Lock, chosen: Chosen) -> tuple[Claimed, ...]:
    if chosen.everything or chosen.claims:
        return lock.claims
    if chosen.cases_only:
        return ()
    return tuple(claim for claim in lock.claims if _is_quick(claim, lock))


def _is_quick(claim: Claimed, lock: Lock) -> bool:
    dataset = lock.datasets.get((claim.data or "").partition("/")[0])
    if dataset is None or sum(file.size_bytes for file in dataset.files) > _QUICK_BYTES:
        return False
    try:
        require_libraries([claim])
    except MealkitError:
        return False
    return True


def _claims_of(report: Report) -> tuple[TestedClaim, ...]:
    cases = (
        TestedClaim(name=item.name, is_case=True, verdict=item.verdict.value)
        for item in report.cases
    )
    claims = (
        TestedClaim(
            name=item.claim.name,
            is_case=False,
            verdict=item.verdict.value,
            measured=item.measured,
        )
        for item in report.claims
    )
    return (*cases, *claims)


def _judged(report: Report) -> GateResult:
    total, left = len(report.cases) + len(report.claims), len(unjudged(report))
    failed = report.failed
    if not failed:
        said = f"{total - left} of {total} claims and cases hold"
        return _gate(f"{said}, {left} not judged" if left else said)
    first = failed[0]
    name = first.name if isinstance(first, CaseResult) else first.claim.name
    others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    measured, required = _sides(first)
    return GateResult(
        gate=Gate.CLAIMS,
        passed=False,
        reason=one_line(f"{name} fails: {first.reason}{others}")[:1000],
        code="TEST_FAILED",
        measured=measured,
        required=required,
        owner=first.owner or Owner.KIT_AUTHOR,
    )


def _sides(item: CaseResult | ClaimResult) -> tuple[str | None, str | None]:
    if isinstance(item, ClaimResult):
        from mealkit.acceptance.judging import shown_bounds, shown_value

        value = item.measured
        measured = None if value is None else shown_value(item.claim.metric, value)
        return measured, shown_bounds(item.claim)
    if not item.faults:
        return None, None
    fault = item.faults[0]
    where = f"{fault.at}: " if fault.at else ""
    return one_line(where + fault.answered)[:500], one_line(where + fault.expected)[:500]


def _gate(reason: str) -> GateResult:
    return GateResult(gate=Gate.CLAIMS, passed=True, reason=reason)
