"""Writes a test's report as a page for people.

It says first what fails, by how much, on which rows, and who has to act.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup

from mealkit.acceptance.judging import bounds, shown_bounds
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.report import (
    CaseResult,
    ClaimResult,
    Latencies,
    Report,
    SliceResult,
    Verdict,
)
from mealkit.errors import Owner
from mealkit.reports.measures import (
    counts,
    show_difference,
    show_miss,
    show_moment,
    show_seconds,
    show_value,
)
from mealkit.reports.number_line import Line, line_of
from mealkit.reports.plots import BAD, GOOD, Mark, Plot, bins, histogram
from mealkit.reports.report_pages import anchor, page

MAX_PLOTS = 40
"""How many plots a page has, those of failing claims first: each takes 0.1 s to draw."""
_LARGEST_DRAWN = 1e15
_MAX_SLICES = 40
_WORST_FIRST = {Verdict.FAILS: 0, Verdict.NOT_JUDGED: 1, Verdict.HOLDS: 2}


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice with its bar, from 0 to 100 percent of the table's scale."""

    column: str
    value: str
    rows: int
    shown: str
    start: float
    width: float
    is_outside: bool
    """Whether the slice's value alone is outside the claim's bounds."""


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A claim as the page shows it."""

    id: str
    result: ClaimResult
    claimed: str
    allowed: str
    measured: str
    interval: str | None
    miss: str | None
    difference: str | None
    spread: str | None
    line: Line | None
    slices: tuple[SliceRow, ...]
    hidden_slices: int
    plots: tuple[Markup, ...]
    hidden_plots: int
    has_row_scores: bool
    """Whether the metric has a score for each row; a correlation has none."""
    has_scores: bool
    """Whether the first plot shows how the scores are distributed."""


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the page shows it."""

    id: str
    result: CaseResult


@dataclass(frozen=True, slots=True)
class OwnerView:
    """Who has to act, and on what."""

    name: str
    who: str
    is_author: bool
    items: tuple[tuple[str, str], ...]
    """The ids and the names of what fails."""


def result_page(report: Report, templates: Path, most_plots: int = MAX_PLOTS) -> bytes:
    """Return the report as one HTML file."""
    views = _claims(report.claims, most_plots)
    cases = [CaseView(anchor("case", item.name), item) for item in report.cases]
    found = counts(report)
    return page(
        templates,
        "result.html.jinja",
        report=report,
        claims=views,
        cases=sorted(cases, key=lambda view: _WORST_FIRST[view.result.verdict]),
        failed=found[Verdict.FAILS],
        holds=found[Verdict.HOLDS],
        not_judged=found[Verdict.NOT_JUDGED],
        total=sum(found.values()),
        owners=_owners(views, cases),
        began=show_moment(report.started_seconds),
        hidden_plots=sum(view.hidden_plots for view in views),
    )


def _claims(results: Sequence[ClaimResult], most_plots: int) -> list[ClaimView]:
    views: list[ClaimView] = []
    left = most_plots
    for result in sorted(results, key=lambda item: _WORST_FIRST[item.verdict]):
        view = _claim(result, left)
        left -= len(view.plots)
        views.append(view)
    return views


def _claim(result: ClaimResult, plots_left: int) -> ClaimView:
    claim, metric = result.claim, result.claim.metric
    name = anchor("claim", claim.name)
    measured = result.measured
    shown = _shown_slices(result)
    drawings = _plots(name, result)
    return ClaimView(
        id=name,
        result=result,
        claimed=show_value(metric, claim.value),
        allowed=shown_bounds(claim),
        measured=show_value(metric, measured),
        interval=_range(result, result.interval),
        miss=show_miss(result),
        difference=None if measured is None else show_difference(measured, claim.value),
        spread=_spread(result),
        line=line_of(result),
        slices=_slice_rows(result, shown),
        hidden_slices=len(result.slices) - len(shown),
        plots=tuple(draw() for draw in drawings[:plots_left]),
        hidden_plots=len(drawings[plots_left:]),
        has_row_scores=any(sample.score is not None for sample in result.samples),
        has_scores=_has_distribution(result) and plots_left > 0,
    )


def _range(result: ClaimResult, interval: tuple[float, float] | None) -> str | None:
    if interval is None:
        return None
    low, high = (show_value(result.claim.metric, bound) for bound in interval)
    return f"{low} to {high}"


def _spread(result: ClaimResult) -> str | None:
    if not result.spread:
        return None
    values = ", ".join(show_value(result.claim.metric, value) for value in result.spread)
    seeds = ", ".join(map(str, result.claim.seeds))
    return f"{values} (seeds {seeds})"


def _shown_slices(result: ClaimResult) -> list[SliceResult]:
    """Return the slices that the page shows: of many, those with the most rows."""
    largest = sorted(range(len(result.slices)), key=lambda place: -result.slices[place].rows)
    return [result.slices[place] for place in sorted(largest[:_MAX_SLICES])]


def _slice_rows(result: ClaimResult, shown: Sequence[SliceResult]) -> tuple[SliceRow, ...]:
    metric = result.claim.metric
    known = [item.measured for item in shown if item.measured is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    if not METRICS[metric].is_speed and -1 <= low <= high <= 1:
        high = 1.0
    scale = (high - low) or 1.0
    least, most = bounds(result.claim)

    def row(item: SliceResult) -> SliceRow:
        value = 0.0 if item.measured is None else item.measured
        return SliceRow(
            column=item.column,
            value=item.value,
            rows=item.rows,
            shown=show_value(metric, item.measured),
            start=(min(0.0, value) - low) / scale * 100,
            width=abs(value) / scale * 100,
            is_outside=item.measured is not None
            and ((least is not None and value < least) or (most is not None and value > most)),
        )

    return tuple(row(item) for item in shown)


def _plots(name: str, result: ClaimResult) -> list[Callable[[], Markup]]:
    """Return what draws the plots of a claim."""
    drawings: list[Callable[[], Markup]] = []
    if _has_distribution(result):
        drawings.append(lambda: _scores(name, result.scores))
    times = result.latencies
    if times is not None and times.histogram:
        uppers = [bound for bound, _ in times.histogram]
        stated = (times.p50_seconds, times.p95_seconds, times.p99_seconds)
        if uppers[0] > 0 and _is_rising(uppers) and _can_draw((*uppers, *stated)):
            drawings.append(lambda: _latencies(name, times))
    return drawings


def _has_distribution(result: ClaimResult) -> bool:
    return len(set(result.scores)) > 1 and _can_draw(result.scores)


def _can_draw(values: Sequence[float]) -> bool:
    return all(abs(value) <= _LARGEST_DRAWN for value in values)


def _is_rising(bounds: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(bounds))


def _scores(name: str, scores: Sequence[float]) -> Markup:
    mean = sum(scores) / len(scores)
    ordered = sorted(scores)
    description = (
        f"{len(scores)} rows. The lowest score is {ordered[0]:.4g}, half of the rows have at most "
        f"{ordered[len(ordered) // 2]:.4g}, the highest is {ordered[-1]:.4g}; the mean is "
        f"{mean:.4g}."
    )
    plot = Plot(
        f"{name}-scores", "How the rows' scores are distributed", description, "score", "rows"
    )
    return histogram(plot, scores, [Mark(mean, "mean")])


def _latencies(name: str, times: Latencies) -> Markup:
    shown = {"p50": times.p50_seconds, "p95": times.p95_seconds, "p99": times.p99_seconds}
    description = f"{times.requests} answers. " + ", ".join(
        f"{label}: {show_seconds(value)}" for label, value in shown.items()
    )
    colours = ("#010101", BAD, GOOD)
    dashes = ("-", "--", ":")
    marks = [
        Mark(value, label, colour, dash)
        for (label, value), colour, dash in zip(shown.items(), colours, dashes, strict=True)
    ]
    plot = Plot(f"{name}-latencies", "How long answers took", description, "seconds", "answers")
    return bins(plot, times.histogram, marks)


def _owners(claims: Sequence[ClaimView], cases: Sequence[CaseView]) -> list[OwnerView]:
    """Return who has to act on what fails, in the order of the catalogue of problems."""
    failing: dict[Owner, list[tuple[str, str]]] = {owner: [] for owner in Owner}
    for case in cases:
        if case.result.verdict is Verdict.FAILS:
            failing[case.result.owner or Owner.KIT_AUTHOR].append((case.id, case.result.name))
    for view in claims:
        if view.result.verdict is Verdict.FAILS:
            name = view.result.claim.name
            failing[view.result.owner or Owner.KIT_AUTHOR].append((view.id, name))
    return [
        OwnerView(owner.value, owner.who, owner is Owner.KIT_AUTHOR, tuple(items))
        for owner, items in failing.items()
        if items
    ]
