"""Prints the result of ``mealkit test --salt``: a row for each change, and a summary."""

from typing import TYPE_CHECKING

from mealkit.cli.output import say, table

if TYPE_CHECKING:
    from mealkit.acceptance.salt_report import Outcome, SaltReport


def describe_salt(report: "SaltReport") -> None:
    """Print the table to stderr."""
    from mealkit.reports.salt_words import summary_words

    rows = [_row(report, outcome) for outcome in report.outcomes]
    for line in table(("value", "pinned", "changed to", "effect", "noticed by"), rows, frozenset()):
        say(line)
    for item in report.left:
        say(f"not changed: {item.field}: {item.reason}")
    for line in summary_words(report):
        say(line)


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
