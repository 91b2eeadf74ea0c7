"""Writes a test's report in the Common Test Report Format (CTRF), a JSON format for CI.

Times are whole milliseconds. Numbers of claims are in ``extra``, because CTRF has no fields for
them. Format: https://ctrf.io, version 0.0.
"""

import json
from typing import Any

from mealkit.acceptance.judging import bounds
from mealkit.acceptance.report import CaseResult, ClaimResult, Report, Verdict
from mealkit.names import reveal
from mealkit.reports.junit import details_of
from mealkit.reports.measures import counts

_STATUS = {Verdict.HOLDS: "passed", Verdict.FAILS: "failed", Verdict.NOT_JUDGED: "skipped"}
_MESSAGE_CHARACTERS = 1000


def ctrf_of(report: Report) -> bytes:
    """Return a report as CTRF."""
    form = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "generatedBy": f"mealkit {report.mealkit_version}",
        "results": {
            "tool": {"name": "mealkit", "version": report.mealkit_version},
            "summary": _summary(report),
            "tests": [
                *(_test(item, "cases", item.name, item.seconds) for item in report.cases),
                *(_test(item, "claims", item.claim.name, None) for item in report.claims),
            ],
            "environment": _environment(report),
        },
    }
    return (json.dumps(form, indent=2, ensure_ascii=False) + "\n").encode()


def _summary(report: Report) -> dict[str, int]:
    found = counts(report)
    start = _milliseconds(report.started_seconds)
    duration = _milliseconds(report.seconds)
    return {
        "tests": sum(found.values()),
        "passed": found[Verdict.HOLDS],
        "failed": found[Verdict.FAILS],
        "skipped": found[Verdict.NOT_JUDGED],
        "pending": 0,
        "other": 0,
        "suites": bool(report.cases) + bool(report.claims),
        "start": start,
        "stop": start + duration,
        "duration": duration,
    }


def _test(
    result: CaseResult | ClaimResult, suite: str, name: str, seconds: float | None
) -> dict[str, Any]:
    form: dict[str, Any] = {
        "name": name,
        "status": _STATUS[result.verdict],
        "duration": _milliseconds(seconds or 0.0),
        "suite": [suite],
        "rawStatus": str(result.verdict),
        "type": "acceptance",
        "message": reveal(result.reason[:_MESSAGE_CHARACTERS]),
    }
    if result.verdict is Verdict.FAILS:
        form["trace"] = details_of(result)
    extra = _extra(result)
    return {**form, "extra": extra} if extra else form


def _extra(result: CaseResult | ClaimResult) -> dict[str, Any]:
    form: dict[str, Any] = {"owner": str(result.owner)} if result.owner else {}
    if isinstance(result, ClaimResult):
        claim = result.claim
        form |= {
            "source": claim.source,
            "metric": str(claim.metric),
            "claimed": claim.value,
            "allowed": list(bounds(claim)),
            "measured": result.measured,
            "interval": list(result.interval) if result.interval else None,
            "rows": result.rows,
            "refused": result.refused,
        }
    return form


def _environment(report: Report) -> dict[str, Any]:
    kit, machine = report.kit, report.machine
    form: dict[str, Any] = {"appName": kit.name, "appVersion": kit.version}
    if machine.system:
        form["osPlatform"] = machine.system
    owner = kit.owner.model_dump() if kit.owner else None
    return {
        **form,
        "extra": {
            "recipe": kit.recipe,
            "image": kit.image,
            "address": kit.address,
            "owner": owner,
            "machine": machine.model_dump(mode="json"),
            "datasets": report.datasets,
            "libraries": report.libraries,
        },
    }


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
