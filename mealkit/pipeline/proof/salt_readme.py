"""Writes what ``mealkit test --salt`` found as a table into a kit's README, between two markers.

The markers are link definitions that no link uses, which no renderer of Markdown shows.
"""

from pathlib import Path

from mealkit.acceptance.salt_report import Outcome, SaltReport
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.importing.quoting import cell, code_cell
from mealkit.reports.salt_words import effect_words, summary_words, value_words
from mealkit.untrusted import UntrustedError, read_file

BEGIN = "[//]: # (begin: written by mealkit test --salt --write-readme)"
END = "[//]: # (end: written by mealkit test --salt --write-readme)"
_TITLE = "## What the answers depend on"
_MAX_BYTES = 4 * 1024 * 1024


def write_readme(report: SaltReport, path: Path) -> None:
    """Replace what is between the markers of a README; without markers, append a section.

    Raises:
        KitError: see `check_readme`.
        StoreError: the disk refuses.
    """
    write_whole(path, with_table(_read(path), report, str(path)).encode())


def check_readme(path: Path) -> None:
    """Check what can be known before the kit is tested, which may take long.

    Raises:
        KitError: ``USAGE``, the file is missing, not UTF-8 or too large, or has one marker only.
    """
    _parts(_read(path), str(path))


def _read(path: Path) -> str:
    try:
        return read_file(path, _MAX_BYTES).decode()
    except (OSError, UntrustedError, UnicodeDecodeError) as error:
        message = f"the README cannot be read: {error}"
        raise failure("USAGE", message, where=str(path), hint="name a file that exists") from error


def with_table(text: str, report: SaltReport, where: str) -> str:
    """Return a README with the table.

    Raises:
        KitError: ``USAGE``, it does not have each marker once, in this order.
    """
    before, after = _parts(text, where)
    return f"{before}{BEGIN}\n\n{_markdown(report)}\n\n{END}{after}"


def _parts(text: str, where: str) -> tuple[str, str]:
    """Return what comes before and after the table; without markers, it comes at the end."""
    if BEGIN not in text and END not in text:
        return f"{text.rstrip()}\n\n{_TITLE}\n\n", "\n"
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found or BEGIN in after or END in before + after:
        message = "the README does not have both markers once, the beginning first"
        raise failure("USAGE", message, where=where, hint="delete both; they are written again")
    return before, after


def _markdown(report: SaltReport) -> str:
    kit = f"{report.kit.name} {report.kit.version}"
    lines = [
        f"Measured with {kit}: one pinned value was changed at a time, and everything that the kit",
        "claims was measured again.",
        "",
        "| value | pinned | changed to | effect | noticed by |",
        "|---|---|---|---|---|",
        *(_row(report, outcome) for outcome in report.outcomes),
        "",
        *(f"- {cell(line)}" for line in summary_words(report)),
    ]
    return "\n".join(lines).rstrip()


def _row(report: SaltReport, outcome: Outcome) -> str:
    change = outcome.change
    words = [cell(text) for text in effect_words(report, outcome, speed=False)]
    noticed = ", ".join(map(cell, outcome.noticed_by)) or "**nothing**"
    cells = (
        code_cell(change.field),
        code_cell(value_words(change.pinned)),
        code_cell(value_words(change.changed)),
        "; ".join(words) or "none",
        noticed if outcome.refusal is None else "the start",
    )
    return f"| {' | '.join(cells)} |"
