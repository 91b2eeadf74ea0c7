"""The forms of a rule: what it is given, and what it needs from outside."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from pydantic import JsonValue

from mealkit.contract.field_values import Text
from mealkit.contract.violation import Violation, quoted
from mealkit.recipe.data_contract import Action


class Tools(Protocol):
    """What rules need from outside. A rule whose tool is None is not checked."""

    @property
    def count_tokens(self) -> Callable[[str], int] | None:
        """Counts a text's tokens as /v1/tokenize does, with the special tokens of the model."""
        ...

    @property
    def identify_language(self) -> Callable[[str], str | None] | None:
        """Returns a text's language by its code in ISO 639, or None if it cannot be told."""
        ...

    def today(self) -> date:
        """Return the current date."""
        ...


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Tools as values."""

    count_tokens: Callable[[str], int] | None = None
    identify_language: Callable[[str], str | None] | None = None
    today: Callable[[], date] = date.today


class ValueRule(Protocol):
    """A rule about a value of any type."""

    def check(self, field: str, value: JsonValue) -> Iterable[Violation]:
        """Return the violations of a field's value."""
        ...


class TextRule(Protocol):
    """A rule about texts."""

    def check_texts(self, texts: Sequence[Text]) -> Iterable[Violation]:
        """Return the violations of an input's texts."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The input and rule of a violation, and what it causes."""

    name: str
    rule: str
    action: Action
    code: str

    def violation(
        self, field: str, value: JsonValue, measured: str, required: str, part: str = ""
    ) -> Violation:
        """Return a violation of this rule, or of a part of it."""
        return Violation(
            field=field,
            name=self.name,
            rule=f"{self.rule}.{part}" if part else self.rule,
            action=self.action,
            value=quoted(value),
            measured=measured,
            required=required,
            code=self.code,
        )
