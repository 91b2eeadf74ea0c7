"""Writes a test's report as JUnit XML, which CI systems show beside other tests.

A case and a claim are a test case each. What could not be judged is skipped, with its reason. The
elements and attributes are those that Jenkins and GitLab read.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from mealkit.acceptance.judging import shown_bounds
from mealkit.acceptance.report import CaseResult, ClaimResult, Report, Verdict
from mealkit.names import reveal
from mealkit.reports.measures import show_miss, show_value

_MESSAGE_CHARACTERS = 1000
_SAMPLES = 5


def junit_of(report: Report) -> bytes:
    """Return a report as JUnit XML."""
    root = ET.Element(
        "testsuites", {"name": _name(report), **_counts((*report.cases, *report.claims))}
    )
    root.set("time", f"{report.seconds:.3f}")
    for kind, results in (("cases", report.cases), ("claims", report.claims)):
        if results:
            _add_suite(root, report, kind, results)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def details_of(result: CaseResult | ClaimResult) -> str:
    """Return the numbers and the worst rows of a result, as lines of plain text."""
    lines = [result.reason]
    if result.owner is not None:
        lines.append(f"owner: {result.owner} ({result.owner.who})")
    if isinstance(result, CaseResult):
        lines += [
            f"at {fault.at or '/'}: expected {fault.expected}, answered {fault.answered}"
            for fault in result.faults
        ]
    else:
        lines += _numbers(result)
    return reveal("\n".join(lines))


def _numbers(result: ClaimResult) -> list[str]:
    claim, metric = result.claim, result.claim.metric
    lines = [
        f"claimed: {show_value(metric, claim.value)} ({claim.source})",
        f"allowed: {shown_bounds(claim)}",
        f"measured: {show_value(metric, result.measured)}",
    ]
    miss = show_miss(result)
    if miss:
        lines.append(f"off by: {miss}")
    if result.interval:
        low, high = (show_value(metric, bound) for bound in result.interval)
        lines.append(f"95 % interval: {low} to {high}")
    lines.append(f"rows: {result.rows}, not answered: {result.refused}")
    lines += [f"problem: {code} ({count} times)" for code, count in result.problems.items()]
    lines += [
        f"row {sample.row}: expected {sample.expected}, answered {sample.answered}"
        for sample in result.samples[:_SAMPLES]
    ]
    return lines


def _add_suite(
    root: ET.Element,
    report: Report,
    kind: str,
    results: Sequence[CaseResult | ClaimResult],
) -> None:
    seconds = sum(item.seconds or 0.0 for item in results if isinstance(item, CaseResult))
    stated = {"name": f"{_name(report)} {kind}", **_counts(results)}
    suite = ET.SubElement(root, "testsuite", stated)
    suite.set("skipped", str(_count(results, Verdict.NOT_JUDGED)))
    suite.set("time", f"{seconds if kind == 'cases' else report.seconds:.3f}")
    began = datetime.fromtimestamp(report.started_seconds, UTC)
    suite.set("timestamp", began.strftime("%Y-%m-%dT%H:%M:%S"))
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(report):
        ET.SubElement(properties, "property", name=name, value=reveal(value))
    for result in results:
        _add_result(suite, f"{report.kit.name}.{kind}", result)


def _add_result(suite: ET.Element, group: str, result: CaseResult | ClaimResult) -> None:
    name = result.name if isinstance(result, CaseResult) else result.claim.name
    case = ET.SubElement(suite, "testcase", name=name, classname=group)
    if isinstance(result, CaseResult) and result.seconds is not None:
        case.set("time", f"{result.seconds:.3f}")
    message = reveal(result.reason[:_MESSAGE_CHARACTERS])
    match result.verdict:
        case Verdict.FAILS:
            owner = str(result.owner) if result.owner else "fails"
            failed = ET.SubElement(case, "failure", message=message, type=owner)
            failed.text = details_of(result)
        case Verdict.NOT_JUDGED:
            ET.SubElement(case, "skipped", message=message)
        case Verdict.HOLDS:
            ET.SubElement(case, "system-out").text = details_of(result)


def _counts(results: Sequence[CaseResult | ClaimResult]) -> dict[str, str]:
    failures = str(_count(results, Verdict.FAILS))
    return {"tests": str(len(results)), "failures": failures, "errors": "0"}


def _count(results: Sequence[CaseResult | ClaimResult], verdict: Verdict) -> int:
    return sum(item.verdict is verdict for item in results)


def _facts(report: Report) -> list[tuple[str, str]]:
    kit, machine = report.kit, report.machine
    owner = f"{kit.owner.team}, {kit.owner.contact}" if kit.owner else None
    stated = {
        "recipe": kit.recipe,
        "image": kit.image,
        "address": kit.address,
        "owner": owner,
        "processor": machine.processor,
        "gpus": ", ".join(machine.gpus) or None,
        "mealkit": report.mealkit_version,
    }
    return [(name, value) for name, value in stated.items() if value]


def _name(report: Report) -> str:
    return f"{report.kit.name} {report.kit.version}"
