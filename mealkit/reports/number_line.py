"""Where a measured value lies between the bounds of its claim, as places on a line.

Only numbers, in percent of the line's width: a template draws them as SVG.
"""

import math
from dataclasses import dataclass

from mealkit.acceptance.judging import bounds, shown_bounds
from mealkit.acceptance.report import ClaimResult
from mealkit.reports.measures import show_value

_MARGIN_PERCENT = 8.0


@dataclass(frozen=True, slots=True)
class Line:
    """The places of a claim's values on a line from 0 to 100."""

    band: tuple[float, float]
    """Where the allowed values begin and end."""
    claimed: float
    measured: float
    interval: tuple[float, float] | None
    spread: tuple[float, ...]
    description: str


def line_of(result: ClaimResult) -> Line | None:
    """Return the line of a claim; None if nothing was measured."""
    claim, metric = result.claim, result.claim.metric
    if result.measured is None:
        return None
    least, most = bounds(claim)
    stated = [claim.value, result.measured, *(result.interval or ()), *result.spread]
    stated += [bound for bound in (least, most) if bound is not None]
    low, high = min(stated), max(stated)
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return None

    def place(value: float) -> float:
        share = (value - low) / span
        percent: float = _MARGIN_PERCENT + share * (100 - 2 * _MARGIN_PERCENT)
        return round(percent, 2)

    return Line(
        band=(0.0 if least is None else place(least), 100.0 if most is None else place(most)),
        claimed=place(claim.value),
        measured=place(result.measured),
        interval=(place(result.interval[0]), place(result.interval[1]))
        if result.interval
        else None,
        spread=tuple(place(value) for value in result.spread),
        description=(
            f"Allowed: {shown_bounds(claim)}. Claimed: {show_value(metric, claim.value)}. "
            f"Measured: {show_value(metric, result.measured)}."
        ),
    )
