"""Sums up usage by key, day and kit: what reports show. The rows may be of a file of others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from mealkit.ledger.prices import NANO, shown_money
from mealkit.ledger.usage_book import Used

_MOST_CHARACTERS = 256
_LARGEST = 2**63

READ_USAGE = (
    "SELECT hour, kit, key_name, currency, requests, input_tokens, output_tokens, nano, nanoseconds"
    " FROM mealkit_usage WHERE hour >= ? AND hour < ? ORDER BY hour, kit, key_name, currency"
)
"""The statement that reads rows, between two times."""


class By(StrEnum):
    """What usage is summed up by."""

    KIT = "kit"
    KEY = "key"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of an hour, by one key of one kit."""

    hour: int
    kit: str
    key: str
    currency: str
    used: Used

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Check a row of a database.

        Raises:
            ValueError: it is not one of the usage's.
        """
        hour, kit, key, currency = row[:4]
        texts = (kit, key, currency)
        numbers = row[4:]
        is_text = all(isinstance(item, str) and len(item) <= _MOST_CHARACTERS for item in texts)
        if not is_text or not all(type(item) is int for item in (hour, *numbers)):
            raise ValueError("a row has values of other types")
        if not 0 <= hour < 2**36 or len(numbers) != len(fields(Used)):
            raise ValueError("a row is of a time that cannot be")
        if not all(-_LARGEST <= item < _LARGEST for item in numbers):
            raise ValueError("a row has a number that is too large")
        return cls(hour, kit, key, currency, Used(*numbers))

    def part(self, by: By) -> str:
        """Return what the row belongs to; a caller without a key is ``-``."""
        match by:
            case By.KIT:
                return self.kit
            case By.KEY:
                return self.key or "-"
            case By.DAY:
                return f"{datetime.fromtimestamp(self.hour, UTC):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """The usage of one group."""

    parts: tuple[str, ...]
    currency: str
    used: Used

    @property
    def cost(self) -> str:
        """The money, with all its digits."""
        return shown_money(self.used.nano)

    @property
    def engine_seconds(self) -> str:
        """The share of the engine's time, in seconds."""
        whole, rest = divmod(self.used.nanoseconds, NANO)
        return f"{whole}.{rest // 1_000_000:03d}"


def sum_usage(rows: Iterable[UsageRow], by: Sequence[By]) -> list[UsageSum]:
    """Return the sums of each group; amounts in different currencies are not added up."""
    found: dict[tuple[tuple[str, ...], str], Used] = {}
    for row in rows:
        name = (tuple(row.part(item) for item in by), row.currency)
        found[name] = found[name].plus(row.used) if name in found else row.used
    return [UsageSum(parts, currency, used) for (parts, currency), used in sorted(found.items())]
