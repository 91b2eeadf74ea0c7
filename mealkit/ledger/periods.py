"""The periods of budgets: hours, days, weeks and months of the calendar in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

from mealkit.recipe.operations import Period


@dataclass(frozen=True, slots=True)
class Span:
    """One period, from ``start`` to just before ``end``, in seconds of Unix time."""

    start_unix_seconds: int
    end_unix_seconds: int


def span_of(period: Period, unix_seconds: float) -> Span:
    """Return the period in which a time lies; weeks begin on Monday (ISO 8601)."""
    time = datetime.fromtimestamp(unix_seconds, UTC)
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.HOUR:
            start = time.replace(minute=0, second=0, microsecond=0)
            end = start + timedelta(hours=1)
        case Period.DAY:
            start, end = day, day + timedelta(days=1)
        case Period.WEEK:
            start = day - timedelta(days=day.weekday())
            end = start + timedelta(days=7)
        case Period.MONTH:
            start = day.replace(day=1)
            end = (start + timedelta(days=32)).replace(day=1)
        case _:
            assert_never(period)
    return Span(int(start.timestamp()), int(end.timestamp()))
