"""Writes the result of ``mealkit test --salt``: a row for each change, and a summary."""

import sys
from typing import TYPE_CHECKING

from mealkit.cli.output import print_line, say, table

if TYPE_CHECKING:
    from mealkit.acceptance.salt_report import Outcome, SaltReport


def show_salt(report: "SaltReport", *, as_json: bool, quiet: bool) -> None:
    """Write a report: JSON, or the table of changes, what was not changed, and the summary."""
    if as_json:
        sys.stdout.write(report.as_json().decode())
        return
    from mealkit.reports.salt_words import summary_words

    rows = [_row(report, outcome) for outcome in report.outcomes]
    heads = ("value", "pinned", "changed to", "effect", "noticed by")
    for line in table(heads, rows, frozenset()):
        print_line(line)
    for line in summary_words(report):
        print_line(line)
    for item in () if quiet else report.left:
        say(f"not changed: {item.field}: {item.reason}")


def _row(report: "SaltReport", outcome: "Outcome") -> tuple[str, ...]:
    from mealkit.reports.salt_words import effect_words, value_words

    change = outcome.change
    return (
        change.field,
        value_words(change.pinned),
        value_words(change.changed),
        "; ".join(effect_words(report, outcome)) or "none",
        ", ".join(outcome.noticed_by) or ("the start" if outcome.refusal else "nothing"),
    )
