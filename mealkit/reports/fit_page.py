"""Writes what ``mealkit fit`` found out about data as a page for people."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from mealkit.contract.fit_report import FitReport, LengthLimit, RuleResult
from mealkit.contract.population_drift import MUCH_DRIFT, SOME_DRIFT, FieldDrift
from mealkit.recipe.data_contract import Action
from mealkit.recipe.data_profile import FieldProfile, Histogram
from mealkit.reports.plots import BAD, Mark, Plot, Series, groups
from mealkit.reports.report_pages import anchor, page

MAX_PLOTS = 40
"""How many plots a page has: each takes 0.1 s to draw."""
_AXES = {"characters": "characters", "tokens": "tokens", "numbers": "number"}
_TITLES = {
    "characters": "How long the texts are, in characters",
    "tokens": "How long the texts are, in tokens",
    "numbers": "How the numbers are distributed",
}
_MOST_LANGUAGES = 20


@dataclass(frozen=True, slots=True)
class RuleView:
    """A broken rule, with the share of rows that break it."""

    id: str
    result: RuleResult
    percent: float


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """The share of one language, here and in the profile, in percent."""

    code: str
    texts: int
    percent: float
    before: float | None


@dataclass(frozen=True, slots=True)
class InputView:
    """What is known about one input."""

    name: str
    field: FieldProfile
    plots: tuple[Markup, ...]
    languages: tuple[LanguageRow, ...]


@dataclass(frozen=True, slots=True)
class DriftRow:
    """How far one measure is from the profile, in a word that has a class on the page."""

    drift: FieldDrift
    word: str
    look: str


def fit_page(report: FitReport, templates: Path, most_plots: int = MAX_PLOTS) -> bytes:
    """Return the report as one HTML file."""
    inputs, left = [], most_plots
    for name, field in report.profile.inputs.items():
        drawings = list(_drawings(report, name, field))
        plots = tuple(draw() for draw in drawings[:left])
        left -= len(plots)
        inputs.append(InputView(name, field, plots, _languages(report, name, field)))
    return page(
        templates,
        "fit.html.jinja",
        report=report,
        rules=sorted(
            (_rule(report, item) for item in report.rules),
            key=lambda view: view.result.action is not Action.REFUSE,
        ),
        inputs=inputs,
        drift=[_drift(item) for item in report.drift],
        drifting=[item for item in report.drift if (item.psi or 0.0) > SOME_DRIFT],
    )


def _rule(report: FitReport, result: RuleResult) -> RuleView:
    name = anchor("rule", f"{result.name} {result.rule}")
    return RuleView(name, result, _percent(result.rows, report.rows))


def _drawings(report: FitReport, name: str, field: FieldProfile) -> Iterator[Callable[[], Markup]]:
    """Yield what draws the plots of an input."""
    known = report.reference.inputs.get(name) if report.reference else None
    for measure in _TITLES:
        here: Histogram | None = getattr(field, measure)
        before: Histogram | None = getattr(known, measure, None)
        if here is None or not here.edges or not here.total:
            continue
        if before is not None and before.edges != here.edges:
            before = None
        limits = [item for item in report.limits if (item.name, item.measure) == (name, measure)]
        yield _drawing(name, measure, here, before, limits)


def _drawing(
    name: str,
    measure: str,
    here: Histogram,
    before: Histogram | None,
    limits: Sequence[LengthLimit],
) -> Callable[[], Markup]:
    series = [Series("these files", here.counts)]
    if before is not None:
        series.append(Series("the kit's data", before.counts, is_outline=True))
    stated = [(item.minimum, item.maximum) for item in limits]
    marks = [
        Mark(bound, word, BAD, "--")
        for low, high in stated
        for bound, word in ((low, "shortest"), (high, "longest"))
        if bound is not None
    ]
    place = max(range(len(here.counts)), key=lambda group: here.counts[group])
    description = f"{here.total} values; most are {_group(here.edges, place)}." + "".join(
        f" The {mark.name} that is allowed: {mark.at:g}." for mark in marks
    )
    plot = Plot(anchor(measure, name), _TITLES[measure], description, _AXES[measure], "percent")
    return lambda: groups(plot, here.edges, series, marks)


def _group(edges: Sequence[float], place: int) -> str:
    if place == 0:
        return f"below {edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g} or more"
    return f"{edges[place - 1]:g} to {edges[place]:g}"


def _languages(report: FitReport, name: str, field: FieldProfile) -> tuple[LanguageRow, ...]:
    known = report.reference.inputs.get(name) if report.reference else None
    before = known.languages if known else {}
    total, total_before = sum(field.languages.values()), sum(before.values())
    codes = sorted({*field.languages, *before}, key=lambda code: -field.languages.get(code, 0))
    return tuple(
        LanguageRow(
            code,
            field.languages.get(code, 0),
            _percent(field.languages.get(code, 0), total),
            _percent(before.get(code, 0), total_before) if before else None,
        )
        for code in codes[:_MOST_LANGUAGES]
    )


def _drift(item: FieldDrift) -> DriftRow:
    if item.psi is None:
        return DriftRow(item, "", "")
    if item.psi > MUCH_DRIFT:
        return DriftRow(item, "much", "fails")
    return (
        DriftRow(item, "some", "not_judged")
        if item.psi > SOME_DRIFT
        else DriftRow(item, "little", "holds")
    )


def _percent(part: int, whole: int) -> float:
    return part / whole * 100 if whole else 0.0
