"""Writes measured values, bounds and differences for people: units, digits, and how far off."""

from datetime import UTC, datetime

from mealkit.acceptance.judging import shown_miss, shown_value
from mealkit.acceptance.report import ClaimResult, Report, Verdict
from mealkit.names import reveal
from mealkit.recipe.claims import Metric

_CUT = " …"


def show_value(metric: Metric, value: float | None) -> str:
    """Return a value as the command line shows it; words if there is none."""
    if value is None:
        return "not measured"
    return shown_value(metric, value)


def show_seconds(seconds: float) -> str:
    """Return a time in the unit that fits: ``850 µs``, ``12.3 ms``, ``4.2 s``, ``3 min 20 s``."""
    size = abs(seconds)
    if size >= 120:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if size * scale >= 1 or unit == "µs":
            return f"{seconds * scale:.3g} {unit}"
    raise AssertionError


def show_moment(seconds: float) -> str:
    """Return a moment in seconds since 1970 for people: ``2026-11-30 08:22 UTC``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def show_miss(result: ClaimResult) -> str | None:
    """Return by how much a measured value is outside of the bounds; None if it is inside."""
    if result.measured is None or result.verdict is Verdict.HOLDS:
        return None
    return shown_miss(result.claim, result.measured)


def show_difference(value: float, reference: float) -> str:
    """Return how far a value is from another one, in percent: ``+2.4 %``."""
    if value == reference:
        return "none"
    if reference == 0:
        return f"{value - reference:+.4g}"
    return f"{(value - reference) / abs(reference) * 100:+.2g} %"


def shorten(text: str, characters: int) -> str:
    """Return the text of others with hidden characters revealed, and at most this long."""
    cut = text[:characters]
    return reveal(cut) + (_CUT if len(text) > characters else "")


def counts(report: Report) -> dict[Verdict, int]:
    """Return how many claims and cases have each verdict."""
    every = [case.verdict for case in report.cases] + [item.verdict for item in report.claims]
    return {verdict: every.count(verdict) for verdict in Verdict}
