"""What a key may do: until when, which endpoints, how often, and for how much; fields of its line.

Raises ContainerError for a field that is not known or not valid. Messages have the line's number
and the field's name, and no other text of the line: it may be a key. Imported before the port is
open, so it imports only quick modules.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# As paths are compared: without a slash at the end.
_SCOPE = re.compile(r"(?=.{1,200}\Z)(?:/[A-Za-z0-9._~-]+)+")
_MOST_SCOPES = 50
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")
_BUDGET = re.compile(
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)|([1-9][0-9]{0,14})tokens)/(hour|day|week|month)"
)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class KeyRate:
    """How many requests a key may send in a time; all of them may come at once."""

    requests: int
    unit: str

    @property
    def seconds(self) -> int:
        """The time."""
        return _SECONDS[self.unit]

    def __str__(self) -> str:
        return f"{self.requests}/{self.unit}"


@dataclass(frozen=True, slots=True)
class KeyBudget:
    """What a key may spend in a period: money, or tokens."""

    money: str | None
    tokens: int | None
    period: str

    def __str__(self) -> str:
        return f"{self.money or f'{self.tokens}tokens'}/{self.period}"


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The rules of one key; by default it may do everything."""

    expires_unix_seconds: int | None = None
    scopes: tuple[str, ...] = ()
    """The paths that the key is for; empty: all."""
    rate: KeyRate | None = None
    budget: KeyBudget | None = None

    @property
    def expires(self) -> str | None:
        """When the key expires, as RFC 3339."""
        if self.expires_unix_seconds is None:
            return None
        return f"{datetime.fromtimestamp(self.expires_unix_seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def fields(self) -> dict[str, str]:
        """The rules as the fields of a line."""
        stated = {
            "expires": self.expires,
            "scopes": ",".join(self.scopes) or None,
            "rate": self.rate and str(self.rate),
            "budget": self.budget and str(self.budget),
        }
        return {name: text for name, text in stated.items() if text}


ANYTHING = KeyRules()
"""The rules of a key whose line has none."""


def key_rules(words: list[str], fault: Callable[[str], Exception]) -> KeyRules:
    """Read the fields of a key's line, such as ``rate=60/minute``.

    ``fault`` makes the exception that is raised, from what is wrong.
    """
    stated: dict[str, str] = {}
    for number, word in enumerate(words, 1):
        name, _, value = word.partition("=")
        if name not in _READERS:
            raise fault(f"field {number} is not one of {'=, '.join(_READERS)}=")
        if name in stated:
            raise fault(f"{name} is stated twice")
        stated[name] = value
    read: dict[str, object] = {}
    for name, value in stated.items():
        try:
            read[name] = _READERS[name](value)
        except ValueError as error:
            raise fault(f"{name} is not of the form {_FORMS[name]}") from error
    return KeyRules(
        read.get("expires"),  # type: ignore[arg-type]  # its reader's
        read.get("scopes", ()),  # type: ignore[arg-type]
        read.get("rate"),  # type: ignore[arg-type]
        read.get("budget"),  # type: ignore[arg-type]
    )


class KeyRates:
    """Counts the requests of each key in this process: a bucket that fills again evenly."""

    def __init__(self) -> None:
        # By the key's name: how many requests are left, and when that was.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, rate: KeyRate, now: float) -> int:
        """Count a request; return 0, or the seconds to wait if the key has sent too many."""
        left, since = self._left.get(name, (float(rate.requests), now))
        left = min(rate.requests, left + (now - since) * rate.requests / rate.seconds)
        if left >= 1:
            self._left[name] = (left - 1, now)
            return 0
        self._left[name] = (left, now)
        return max(1, math.ceil((1 - left) * rate.seconds / rate.requests))


def _expires(text: str) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError
    return int(datetime.fromisoformat(f"{text[:-1]}+00:00").timestamp())


def _scopes(text: str) -> tuple[str, ...]:
    paths = tuple(text.split(","))
    if len(paths) > _MOST_SCOPES or not all(map(_SCOPE.fullmatch, paths)):
        raise ValueError
    return paths


def _rate(text: str) -> KeyRate:
    if not (match := _RATE.fullmatch(text)):
        raise ValueError
    return KeyRate(int(match[1]), match[2])


def _budget(text: str) -> KeyBudget:
    match = _BUDGET.fullmatch(text)
    if not match or (match[1] and not match[1].strip("0.")):
        raise ValueError
    return KeyBudget(match[1], int(match[2]) if match[2] else None, match[3])


_READERS: Mapping[str, Callable[[str], object]] = {
    "expires": _expires,
    "scopes": _scopes,
    "rate": _rate,
    "budget": _budget,
}
_FORMS = {
    "expires": "2027-01-01T00:00:00Z",
    "scopes": "/v1/embeddings,/v1/chat/completions",
    "rate": "60/minute (second, minute, hour, day)",
    "budget": "10.00/month or 500000tokens/day (hour, day, week, month)",
}
