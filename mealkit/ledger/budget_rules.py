"""Budgets as values, and the rule that decides: what is spent, reserved and estimated must fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from mealkit.ledger.periods import Span
from mealkit.ledger.prices import Amount, nano_of, shown_money
from mealkit.recipe.operations import Budget, Per, Period


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget, with its limits in whole units."""

    name: str
    is_per_key: bool
    period: Period
    limit_nano: int | None
    limit_tokens: int | None
    warn_at: float
    is_soft: bool

    @classmethod
    def of(cls, budget: Budget) -> Self:
        """Return the rule of a budget that a kit or a deployment states."""
        return cls(
            budget.name,
            budget.per is Per.KEY,
            budget.period,
            None if budget.money is None else nano_of(budget.money),
            budget.tokens,
            budget.warn_at,
            budget.soft,
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a budget, in words and numbers."""

    unit: str
    """The currency, or ``tokens``."""
    used: int
    """What is spent and reserved."""
    most: int

    @property
    def left(self) -> int:
        """What is left; never less than 0."""
        return max(0, self.most - self.used)

    def shown(self, value: int) -> str:
        """Return a value in this unit, without the unit."""
        return str(value) if self.unit == "tokens" else shown_money(value)


@dataclass(slots=True)
class Balance:
    """What is spent and reserved of one budget, in one period, by one key or by all."""

    rule: BudgetRule
    owner: str
    """The key's name; empty if all keys share the budget, or callers need none."""
    span: Span
    id: int = 0
    """Its row in the database."""
    nano: int = 0
    tokens: int = 0
    reserved_nano: int = 0
    reserved_tokens: int = 0

    def refuses(self, amount: Amount) -> bool:
        """Return whether the budget, if it is not soft, does not cover a further amount."""
        rule = self.rule
        if rule.is_soft:
            return False
        nano, tokens = self.nano + self.reserved_nano, self.tokens + self.reserved_tokens
        # An amount that is not known yet needs at least one unit: a spent budget admits nothing.
        return (rule.limit_nano is not None and nano + max(1, amount.nano) > rule.limit_nano) or (
            rule.limit_tokens is not None and tokens + max(1, amount.tokens) > rule.limit_tokens
        )

    def limits(self, currency: str) -> Iterator[Limit]:
        """Yield the budget's limits, with what is used of each."""
        if self.rule.limit_nano is not None:
            yield Limit(currency, self.nano + self.reserved_nano, self.rule.limit_nano)
        if self.rule.limit_tokens is not None:
            yield Limit("tokens", self.tokens + self.reserved_tokens, self.rule.limit_tokens)

    def copy(self) -> "Balance":
        """Return the balance as it is now."""
        return Balance(
            *(self.rule, self.owner, self.span, self.id, self.nano, self.tokens),
            *(self.reserved_nano, self.reserved_tokens),
        )

    def used_part(self) -> float:
        """Return the largest part of a limit that is used: 1 and more if nothing is left."""
        return max(limit.used / limit.most for limit in self.limits(""))

    def reserve(self, amount: Amount) -> None:
        """Reserve an amount; a negative one releases it."""
        self.reserved_nano += amount.nano
        self.reserved_tokens += amount.tokens

    def spend(self, estimate: Amount, real: Amount) -> None:
        """Book what was spent in the place of what was reserved."""
        self.reserved_nano -= estimate.nano
        self.reserved_tokens -= estimate.tokens
        self.nano += real.nano
        self.tokens += real.tokens


def first_refusing(balances: Sequence[Balance], amount: Amount) -> Balance | None:
    """Return the budget that refuses an amount and begins again last; None if all cover it."""
    refusing = [balance for balance in balances if balance.refuses(amount)]
    return max(refusing, key=lambda item: item.span.end_unix_seconds, default=None)
