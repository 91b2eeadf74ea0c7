"""Patience: waits that double, a server's own wish, and an end to both."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from mealkit.web.retry import Retry, retry_after_seconds


def test_waits_double_and_end():
    """Of five attempts, four are followed by a wait."""
    waits = []
    retry = Retry(attempts=5, first_wait_seconds=0.5, longest_wait_seconds=3, sleep=waits.append)
    assert [retry.wait(attempt) for attempt in range(1, 6)] == [True, True, True, True, False]
    assert waits == [0.5, 1.0, 2.0, 3.0]


def test_a_server_is_waited_for_as_it_asks():
    """Up to the longest wait; a server that asks for more gets no other attempt."""
    waits = []
    retry = Retry(longest_wait_seconds=10, sleep=waits.append)
    assert retry.wait(1, 7.0)
    assert retry.wait(2, 0.0)
    assert not retry.wait(3, 11.0)
    assert waits == [7.0, 0.0]


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [("3", 3.0), ("9" * 30, 9999999999.0), ("", None), ("soon", None), ("-1", None), ("٣", None),
     ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0), ("Mon, 99 Jan 2001 00:00:00 GMT", None)],
)  # fmt: skip
def test_what_servers_ask_for(stated, seconds):
    """Seconds, or a date; anything else is no wish."""
    headers = httpx2.Headers([(b"Retry-After", stated.encode())])
    assert retry_after_seconds(headers) == seconds


def test_a_date_to_come_is_waited_for():
    """It counts from now."""
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    asked = retry_after_seconds(httpx2.Headers({"Retry-After": later}))
    assert asked is not None
    assert 3500 < asked <= 3600
