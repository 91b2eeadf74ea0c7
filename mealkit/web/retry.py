"""Repeats requests: which answers are worth another try, how often, and after how long."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

# The status codes of a server that may succeed later.
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

# More digits than these are not a sensible number of seconds, but years.
_SECONDS_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try, and how long to wait in between: twice as long each time.

    Without progress, all waits together last at most ``attempts * longest_wait_seconds``.
    """

    attempts: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked_seconds: float | None = None) -> bool:
        """Wait after attempt number ``attempt`` (from 1); return False if it was the last one.

        ``asked_seconds`` is the server's ``Retry-After``; if it is longer than
        ``longest_wait_seconds``, there is no further attempt.
        """
        seconds = self.first_wait_seconds * 2.0 ** (attempt - 1)
        if asked_seconds is not None:
            seconds = asked_seconds
        if attempt >= self.attempts or (asked_seconds or 0) > self.longest_wait_seconds:
            return False
        self.sleep(min(seconds, self.longest_wait_seconds))
        return True


def retry_after_seconds(headers: httpx2.Headers) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110 section 10.2.3)."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value[:_SECONDS_DIGITS])
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
