"""Periods of budgets are those of the calendar in UTC."""

from datetime import UTC, datetime

import pytest

from mealkit.ledger.periods import span_of
from mealkit.recipe.operations import Period


@pytest.mark.parametrize(
    ("period", "time", "start", "end"),
    [
        (Period.HOUR, "2026-11-30T11:59:59.999", "2026-11-30T11:00", "2026-11-30T12:00"),
        (Period.DAY, "2026-12-31T23:59:59", "2026-12-31T00:00", "2027-01-01T00:00"),
        (Period.WEEK, "2027-01-03T12:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        (Period.MONTH, "2028-02-29T00:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Period.MONTH, "2026-12-31T23:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Period.MONTH, "2026-01-01T00:00", "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_a_time_lies_in_its_period(period, time, start, end):
    """A period begins and ends where the calendar in UTC has it."""
    at, start, end = (
        datetime.fromisoformat(item).replace(tzinfo=UTC) for item in (time, start, end)
    )

    span = span_of(period, at.timestamp())

    assert span.start_unix_seconds == start.timestamp()
    assert span.end_unix_seconds == end.timestamp()
