"""How a kit is operated: prices, budgets, audit log, telemetry. No field changes an answer.

A kit states it as ``ops``; a deployment may state it again, section by section.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.strings import Name, Size

MAX_BUDGETS = 100
"""The most budgets of a kit."""


def _amount(text: str) -> str:
    if Decimal(text) == 0:
        raise ValueError("the amount must be more than 0")
    return text


Money = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$"), AfterValidator(_amount)
]
"""An amount in the currency of ``ops.cost``, in quotes: "12.50"; text, so nothing is rounded."""


class TokenPrices(StrictModel):
    """The price of a million tokens."""

    input: Annotated[Money, KEEPS_ANSWERS]
    """Of prompts."""
    output: Annotated[Money, KEEPS_ANSWERS]
    """Of answers."""


class Per(StrEnum):
    """Who shares a budget."""

    KIT = "kit"
    """All callers of the kit together."""
    KEY = "key"
    """Each key has the budget for itself."""


class Period(StrEnum):
    """The time after which a budget begins anew, by the calendar in UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Budget(StrictModel):
    """What may be spent in a period."""

    name: Annotated[Name, KEEPS_ANSWERS]
    """The budget's name, as answers and metrics show it."""
    per: Annotated[Per, KEEPS_ANSWERS] = Per.KIT
    """Who shares it: kit, or key."""
    period: Annotated[Period, KEEPS_ANSWERS] = Period.MONTH
    """hour, day, week or month, by the calendar in UTC."""
    money: Annotated[Money | None, KEEPS_ANSWERS] = None
    """The most money, in quotes: "100.00"."""
    tokens: Annotated[Annotated[int, Field(ge=1, le=10**15)] | None, KEEPS_ANSWERS] = None
    """The most tokens, of prompts and answers together."""
    warn_at: Annotated[Annotated[float, Field(gt=0, le=1)], KEEPS_ANSWERS] = 0.8
    """The part of the budget from which on answers and metrics warn."""
    soft: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether requests beyond the budget are answered all the same, with a warning."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.money is None and self.tokens is None:
            raise ValueError("state money, tokens, or both")
        return self


class Cost(StrictModel):
    """The price of what the kit does, and what may be spent."""

    currency: Annotated[Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")], KEEPS_ANSWERS] = (
        "EUR"
    )
    """The currency of all amounts (ISO 4217)."""
    gpu_hour: Annotated[Money | None, KEEPS_ANSWERS] = None
    """The price of an hour of the kit's GPU, of which a request pays its share."""
    cpu_hour: Annotated[Money | None, KEEPS_ANSWERS] = None
    """The same of the machine, for kits without a GPU."""
    per_million_tokens: Annotated[TokenPrices | None, KEEPS_ANSWERS] = None
    """The price of tokens, instead of hours."""
    budgets: Annotated[
        Annotated[tuple[Budget, ...], Field(max_length=MAX_BUDGETS)], KEEPS_ANSWERS
    ] = ()
    """What may be spent."""
    shared: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether replicas share the budgets, in PostgreSQL, whose client is then in the image."""

    @model_validator(mode="after")
    def _has_one_price(self) -> Self:
        prices = (self.gpu_hour, self.cpu_hour, self.per_million_tokens)
        if sum(price is not None for price in prices) > 1:
            raise ValueError("write one of gpu_hour, cpu_hour, per_million_tokens")
        if all(price is None for price in prices) and any(item.money for item in self.budgets):
            raise ValueError("a budget of money needs gpu_hour, cpu_hour or per_million_tokens")
        if len({item.name for item in self.budgets}) != len(self.budgets):
            raise ValueError("two budgets have the same name")
        return self

    @property
    def of_tokens(self) -> tuple[str, ...]:
        """The fields that need an engine that counts tokens."""
        prices = ("per_million_tokens",) if self.per_million_tokens else ()
        return (
            *prices,
            *(f"budgets[{n}].tokens" for n, it in enumerate(self.budgets) if it.tokens),
        )


class WhenFull(StrEnum):
    """What happens if a line of the audit log cannot be written."""

    STOP = "stop"
    """Requests are refused until it can be written again."""
    GO_ON = "go_on"
    """Requests are answered; the lines that are missing are counted, and said in the log."""


class Audit(StrictModel):
    """The audit log: a line for each request, chained by a key."""

    when_full: Annotated[WhenFull, KEEPS_ANSWERS] = WhenFull.STOP
    """stop or go_on, if a line cannot be written."""
    texts: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the lines have the inputs and outputs themselves, besides their digests."""
    max_file: Annotated[Size, KEEPS_ANSWERS] = "64MiB"
    """The size at which a new file begins."""
    max_files: Annotated[Annotated[int, Field(ge=2, le=10000)], KEEPS_ANSWERS] = 100
    """How many files are kept; the oldest are deleted."""


class Operations(StrictModel):
    """How the kit is operated."""

    cost: Annotated[Cost | None, KEEPS_ANSWERS] = None
    """Prices and budgets."""
    audit: Annotated[Audit | None, KEEPS_ANSWERS] = None
    """The audit log."""
    telemetry: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image contains OpenTelemetry, for traces and for the audit log as log records.
    They are off until OTEL_EXPORTER_OTLP_ENDPOINT is set."""


def effective_ops(stated: Operations | None, deployed: Operations | None) -> Operations:
    """Return a kit's operations, in which each section that a deployment states replaces the kit's.

    A section that a deployment states as null is left out.
    """
    kit = stated or Operations()
    if deployed is None:
        return kit
    return kit.model_copy(
        update={name: getattr(deployed, name) for name in deployed.model_fields_set}
    )


def ops_json(ops: Operations) -> str:
    """Return the sections that operations state, for the environment variable ``MEALKIT_OPS``."""
    return ops.model_dump_json(exclude_unset=True)
