"""Prices of requests, in whole nano-units of a currency: nothing is rounded up, and no floats.

Hours are shared: while n requests are at the engine, each of them is charged an n-th of the time.
So all of them together pay at most for the time that passed, however many run at once.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from mealkit.recipe.operations import Cost

NANO = 1_000_000_000
"""The parts of a currency's unit, and of a second, in which prices are counted."""

_HOUR_NANOSECONDS = 3600 * NANO
_MILLION = 1_000_000
# As much as the largest budget; databases count to nine times as much.
_MOST_NANO = 10**18


def nano_of(money: str) -> int:
    """Return an amount of money in nano-units; it has at most nine decimals."""
    return int(Decimal(money).scaleb(9))


def shown_money(nano: int) -> str:
    """Return an amount with all its digits, and at least two decimals: 12.50, 0.000012."""
    whole, part = divmod(abs(nano), NANO)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{decimals}"


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in nano-units of a currency, and tokens."""

    nano: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of a kit; without any, requests cost nothing, and their tokens are counted."""

    currency: str = "EUR"
    hour_nano: int = 0
    """The price of an hour of the GPU or the machine."""
    input_nano: int = 0
    """The price of a million tokens of prompts."""
    output_nano: int = 0
    """The price of a million tokens of answers."""

    @classmethod
    def of(cls, cost: Cost) -> Self:
        """Return the prices that operations state."""
        hour, tokens = cost.gpu_hour or cost.cpu_hour, cost.per_million_tokens
        return cls(
            cost.currency,
            nano_of(hour) if hour else 0,
            nano_of(tokens.input) if tokens else 0,
            nano_of(tokens.output) if tokens else 0,
        )

    @property
    def has_prices(self) -> bool:
        """Whether requests cost money."""
        return bool(self.hour_nano or self.input_nano or self.output_nano)

    def price(self, prompt_tokens: int, answer_tokens: int, nanoseconds: int) -> int:
        """Return the price of a request, for its tokens and its share of the engine's time."""
        tokens = prompt_tokens * self.input_nano + answer_tokens * self.output_nano
        hours = nanoseconds * self.hour_nano // _HOUR_NANOSECONDS
        return min(hours + tokens // _MILLION, _MOST_NANO)


class SharedTime:
    """Divides the engine's time among the requests that are there at once.

    A clock runs at an n-th of its speed while n requests are there; a request's share is the time
    that it shows from the request's beginning to its end. Each step is rounded down.
    """

    __slots__ = ("_last", "_now", "_running")

    # Picoseconds, so that rounding loses almost nothing.
    _FINE = 1000

    def __init__(self) -> None:
        self._running = self._last = self._now = 0

    def begin(self, nanoseconds: int) -> int:
        """Add a request at a time of the machine's clock; return what ``end`` needs."""
        self._move(nanoseconds)
        self._running += 1
        return self._now

    def end(self, begun: int, nanoseconds: int) -> int:
        """Remove a request; return the nanoseconds of its share."""
        self._move(nanoseconds)
        self._running -= 1
        return (self._now - begun) // self._FINE

    def _move(self, nanoseconds: int) -> None:
        if self._running:
            self._now += (nanoseconds - self._last) * self._FINE // self._running
        self._last = nanoseconds
