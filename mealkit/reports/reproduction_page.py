"""Writes the answer to whether a paper is reproduced as a page for people."""

from dataclasses import dataclass
from pathlib import Path

from mealkit.acceptance.judging import shown_bounds
from mealkit.acceptance.report import ClaimResult, Report
from mealkit.reports.measures import show_difference, show_moment, show_value
from mealkit.reports.number_line import Line, line_of
from mealkit.reports.report_pages import anchor, page
from mealkit.reports.reproduction import WORST_FIRST, Comparison, Reproduction


@dataclass(frozen=True, slots=True)
class Row:
    """A comparison as the page shows it."""

    id: str
    comparison: Comparison
    result: ClaimResult
    paper: str
    earlier: str
    measured: str
    allowed: str
    difference: str
    line: Line | None


def reproduction_page(found: Reproduction, report: Report, templates: Path) -> bytes:
    """Return the answer, with the report that it was made from, as one HTML file."""
    rows = [
        _row(item, result) for item, result in zip(found.comparisons, report.claims, strict=True)
    ]
    return page(
        templates,
        "reproduction.html.jinja",
        found=found,
        has_earlier=any(item.earlier is not None for item in found.comparisons),
        rows=sorted(rows, key=lambda row: WORST_FIRST.index(row.comparison.answer)),
        began=show_moment(report.started_seconds),
        differences=sorted(found.differences, key=lambda item: item.is_same is not False),
    )


def _row(item: Comparison, result: ClaimResult) -> Row:
    metric = result.claim.metric
    measured = item.measured
    return Row(
        id=anchor("claim", item.name),
        comparison=item,
        result=result,
        paper=show_value(metric, item.paper_value) + (" (ours)" if item.is_ours else ""),
        earlier=show_value(metric, item.earlier),
        measured=show_value(metric, measured),
        allowed=shown_bounds(result.claim),
        difference="" if measured is None else show_difference(measured, item.paper_value),
        line=line_of(result),
    )
