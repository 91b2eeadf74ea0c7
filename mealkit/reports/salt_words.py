"""Says in words what a changed value does to a kit's claims and cases, for terminals and pages."""

import json

from pydantic import JsonValue

from mealkit.acceptance.judging import shown_value
from mealkit.acceptance.salt_report import (
    Baseline,
    ChangedValue,
    Effect,
    Kind,
    Outcome,
    SaltReport,
)
from mealkit.recipe.claims import Metric

NO_DIFFERENCE = 1e-9
"""A smaller difference comes from the order of sums."""
_VALUE_CHARACTERS = 48


def value_words(value: JsonValue) -> str:
    """Return a value in one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _VALUE_CHARACTERS else f"{line[: _VALUE_CHARACTERS - 3]}..."


def change_words(change: ChangedValue) -> str:
    """Return a change in one line."""
    return f"{change.field}: {value_words(change.pinned)} -> {value_words(change.changed)}"


def effect_words(report: SaltReport, outcome: Outcome, *, speed: bool = True) -> list[str]:
    """Return what a change does: each claim that moves or fails, and how many cases fail.

    Without ``speed``, claims of speed are left out: their values differ in every run.
    """
    if outcome.refusal is not None:
        return [f"it does not start: {outcome.refusal.code}"]
    pinned = {(item.kind, item.name): item for item in report.baseline}
    words = []
    for effect in outcome.effects:
        before = pinned.get((effect.kind, effect.name))
        if effect.kind is Kind.CLAIM and before and (speed or not before.is_speed):
            words += _claim_words(before, effect)
    cases = [effect for effect in outcome.effects if effect.kind is Kind.CASE]
    if failing := [effect for effect in cases if effect.notices]:
        words.append(f"{len(failing)} of {len(cases)} cases fail")
    return words


def summary_words(report: SaltReport) -> list[str]:
    """Return what follows from all changes, a sentence each."""
    lines = []
    if report.failing:
        names = ", ".join(report.failing)
        lines.append(f"Without any change, these fail already, so they show little: {names}.")
    if report.unsteady:
        names = ", ".join(report.unsteady)
        lines.append(f"Another seed or version of a package should not matter to these: {names}.")
    if report.unmeasured:
        fields = ", ".join(dict.fromkeys(change.field for change in report.unmeasured))
        lines.append(f"No claim and no case notices a change of: {fields}.")
    if report.weak:
        names = ", ".join(report.weak)
        lines.append(f"Weak, because none of these changes makes them fail: {names}.")
    return lines


def _claim_words(before: Baseline, effect: Effect) -> list[str]:
    """Return a claim's difference in its own unit, and its verdict if it changes."""
    if effect.difference is None:
        changed = effect.verdict is not before.verdict
        return [f"{effect.name} {effect.verdict}"] if changed else []
    if abs(effect.difference) < NO_DIFFERENCE and effect.verdict is before.verdict:
        return []
    text = f"{effect.name} {signed_words(before.metric, effect.difference)}"
    if effect.verdict is not before.verdict:
        text = f"{text}, {effect.verdict}"
    return [f"{text}, {effect.refused} refused" if effect.refused else text]


def signed_words(metric: Metric | None, difference: float) -> str:
    """Return a difference with its sign, in the unit of a metric."""
    sign = "-" if difference < 0 else "+"
    shown = shown_value(metric, abs(difference)) if metric else str(abs(difference))
    return f"{sign}{shown}"
