"""What is said to a registry and what it answers, as values; how patient to be in between."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from mealkit.untrusted import UntrustedError, parse_json

# Registries must take manifests of 4 MiB (distribution-spec "Pushing Manifests"); configs of large
# images stay below it too. Whatever is longer is not what was asked for.
SMALL_BYTES = 4 * 1024 * 1024

# What may be answered otherwise in a moment.
PASSING = frozenset({408, 429, 500, 502, 503, 504})

_QUOTED_CHARACTERS = 300
# Years; more digits than these are no number of seconds.
_SECONDS_DIGITS = 10

Body = Callable[[], Iterable[bytes | memoryview]]
"""Makes a request's body anew, so that a request can be sent again."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try again, and how long to wait before."""

    attempts: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked_seconds: float | None = None) -> bool:
        """Wait before attempt number ``attempt`` (from 1); False if there should be none.

        A registry that asks for more patience than ``longest_wait_seconds`` gets none.
        """
        seconds = self.first_wait_seconds * 2.0 ** (attempt - 1)
        if asked_seconds is not None:
            seconds = asked_seconds
        if attempt >= self.attempts or (asked_seconds or 0) > self.longest_wait_seconds:
            return False
        self.sleep(min(seconds, self.longest_wait_seconds))
        return True


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` is a path at the registry, or a whole address that it gave."""

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    is_retried: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole small response."""

    status: int
    headers: httpx2.Headers
    body: bytes


def retry_after_seconds(headers: httpx2.Headers) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110 section 10.2.3)."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value[:_SECONDS_DIGITS])
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


def json_of(body: bytes) -> Any:
    """Read JSON; None if it is something else."""
    try:
        return parse_json(body)
    except UntrustedError:
        return None


def words_of(body: bytes) -> str:
    """Return a registry's own words (distribution-spec "Error Codes"), made fit to print."""
    form = json_of(body)
    errors = form.get("errors") if isinstance(form, dict) else None
    if isinstance(errors, list) and all(isinstance(item, dict) for item in errors):
        pairs = [(str(item.get("code", "")), str(item.get("message", ""))) for item in errors]
        text = "; ".join(": ".join(filter(None, pair)) for pair in pairs)[: 16 * _QUOTED_CHARACTERS]
    else:
        text = body[: 16 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())[:_QUOTED_CHARACTERS]
