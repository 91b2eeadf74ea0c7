"""Writes measured values, bounds and differences for people: units, digits, and how far off."""

import math

from mealkit.acceptance.report import ClaimResult, Report, Verdict
from mealkit.names import reveal
from mealkit.recipe.claims import Claimed, Metric
from mealkit.units import show_size

Bounds = tuple[float | None, float | None]
"""The smallest and the largest value that is within a tolerance; None if there is no bound."""

_MORE_IS_BETTER = frozenset({Metric.TOKENS_PER_SECOND, Metric.TEXTS_PER_SECOND})
_ENDINGS = ("_seconds", "_bytes", "_per_second")
_CUT = " …"


def is_performance(metric: Metric) -> bool:
    """Return whether a metric is about time or memory, and not about the answers."""
    return metric.value.endswith(_ENDINGS)


def bounds_of(claim: Claimed) -> Bounds:
    """Return the bounds of a claim; a performance has only the bound on its worse side."""
    tolerance = claim.tolerance
    if tolerance.absolute is None and tolerance.relative is None:
        return tolerance.minimum, tolerance.maximum
    distance = tolerance.absolute
    if distance is None:
        distance = abs(claim.value) * (tolerance.relative or 0.0)
    low, high = claim.value - distance, claim.value + distance
    if not is_performance(claim.metric):
        return low, high
    return (low, None) if claim.metric in _MORE_IS_BETTER else (None, high)


def show_value(metric: Metric, value: float | None) -> str:
    """Return a value with its unit: ``0.8203``, ``120 ms``, ``1.5 GiB``, ``340 tokens/s``."""
    if value is None:
        return "not measured"
    name = metric.value
    if not math.isfinite(value):
        return "more than can be shown"
    if name.endswith("_bytes"):
        return show_size(round(value))
    if name.endswith("_per_second"):
        return f"{show_number(value)} {name.partition('_')[0]}/s"
    return show_seconds(value) if name.endswith("_seconds") else show_number(value)


def show_seconds(seconds: float) -> str:
    """Return a time in the unit that fits: ``850 µs``, ``12.3 ms``, ``4.2 s``, ``3 min 20 s``."""
    size = abs(seconds)
    if size >= 120:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if size * scale >= 1 or unit == "µs":
            return f"{seconds * scale:.3g} {unit}"
    raise AssertionError


def show_number(value: float) -> str:
    """Return a number with four significant digits, and without an exponent if it is short."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        digits = (
            f"{value:.4f}"
            if abs(value) < 10
            else f"{value:.4g}"
            if abs(value) < 1e4
            else f"{value:.0f}"
        )
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{value:.3g}"


def show_bounds(metric: Metric, bounds: Bounds) -> str:
    """Return bounds in words: ``0.81 to 0.83``, ``at most 120 ms``."""
    low, high = (None if bound is None else show_value(metric, bound) for bound in bounds)
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def show_miss(result: ClaimResult) -> str | None:
    """Return by how much a measured value is outside the bounds; None if it is inside."""
    if result.measured is None:
        return None
    low, high = bounds_of(result.claim)
    for bound, word in ((low, "below"), (high, "above")):
        if bound is None:
            continue
        off = result.measured - bound
        if (off < 0) if word == "below" else (off > 0):
            metric = result.claim.metric
            return f"{show_value(metric, abs(off))} {word} the allowed {show_value(metric, bound)}"
    return None


def show_difference(value: float, reference: float) -> str:
    """Return how far a value is from another one, in percent: ``+2.4 %``."""
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
