"""Writes what changed values do to a kit's claims and cases as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.acceptance.report import Verdict
from mealkit.acceptance.salt_report import Baseline, Effect, Kind, Outcome, SaltReport
from mealkit.reports.measures import show_moment, show_value
from mealkit.reports.report_pages import page
from mealkit.reports.salt_words import NO_DIFFERENCE, signed_words, value_words

_MOST_COLUMNS = 12
_MOST_ROWS = 400


@dataclass(frozen=True, slots=True)
class Cell:
    """What one change does to one claim or case."""

    text: str
    notices: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One change, and its cells in the order of the columns."""

    outcome: Outcome
    pinned: str
    changed: str
    together: str
    cells: tuple[Cell, ...]


def salt_page(report: SaltReport, templates: Path) -> bytes:
    """Return the report as one HTML file."""
    weak = set(report.weak)
    columns = sorted(report.baseline, key=lambda item: item.name not in weak)[:_MOST_COLUMNS]
    tested = [outcome for outcome in report.outcomes if outcome.refusal is None]
    return page(
        templates,
        "salt.html.jinja",
        report=report,
        columns=[(item, _pinned(item), item.name in weak) for item in columns],
        hidden_columns=len(report.baseline) - len(columns),
        rows=[_row(outcome, columns) for outcome in report.outcomes[:_MOST_ROWS]],
        hidden_rows=len(report.outcomes[_MOST_ROWS:]),
        tested=len(tested),
        noticed=sum(bool(outcome.noticed_by) for outcome in tested),
        refused=len(report.outcomes) - len(tested),
        unnoticed=list(dict.fromkeys(change.field for change in report.unmeasured)),
        began=show_moment(report.started_seconds),
    )


def _pinned(item: Baseline) -> str:
    if item.metric is None:
        return str(item.verdict)
    return f"{item.metric} {show_value(item.metric, item.measured)}"


def _row(outcome: Outcome, columns: Sequence[Baseline]) -> Row:
    change = outcome.change
    effects = {(effect.kind, effect.name): effect for effect in outcome.effects}
    others = [f"{field}: {value_words(value)}" for field, value in change.together.items()]
    return Row(
        outcome=outcome,
        pinned=value_words(change.pinned),
        changed=value_words(change.changed),
        together=", ".join(others),
        cells=tuple(_cell(item, effects) for item in columns),
    )


def _cell(item: Baseline, effects: Mapping[tuple[Kind, str], Effect]) -> Cell:
    effect = effects.get((item.kind, item.name))
    if effect is None:
        return Cell("", notices=False)
    if effect.difference is None:
        return Cell(str(effect.verdict), effect.notices)
    moved = "no change"
    if abs(effect.difference) >= NO_DIFFERENCE:
        moved = signed_words(item.metric, effect.difference)
    fails = effect.verdict is Verdict.FAILS and item.verdict is not Verdict.FAILS
    return Cell(f"{moved}, fails" if fails else moved, effect.notices)
