"""The rules of what an object states about where it is from, and of how old it is."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from pydantic import JsonValue

from mealkit.contract.field_values import objects_of
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import AgeRule, ProvenanceRule

# A longer text is not a date; parsing one would take time.
_DATE_CHARACTERS = 64


class ProvenanceCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: ProvenanceRule) -> None:
        self._place, self._required = place, rule.required

    def check(self, field: str, value: JsonValue) -> Iterator[Violation]:
        """Yield a violation for each object that lacks a required member, or has it empty."""
        for place, item in objects_of(field, value):
            if not isinstance(item, dict):
                names = ", ".join(self._required)
                yield self._place.violation(
                    place, item, "a value that is not an object", f"an object with {names}"
                )
                continue
            for name in self._required:
                if _is_empty(item.get(name)):
                    measured = f"an empty {name}" if name in item else f"no {name}"
                    yield self._place.violation(place, item, measured, f"a {name}")


class AgeCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: AgeRule, today: Callable[[], date]) -> None:
        self._place, self._today = place, today
        self._member, self._most = rule.member, rule.maximum_days

    def check(self, field: str, value: JsonValue) -> Iterator[Violation]:
        """Yield the violations of each date: it is too old, or it is not a date."""
        today = self._today()
        for place, item in objects_of(field, value):
            where, stated = place, item
            if isinstance(item, dict):
                where, stated = f"{place}.{self._member}", item.get(self._member)
            found = parse_date(stated)
            if found is None:
                measured = "no date" if stated is None else "a value that is not a date"
                yield self._place.violation(where, stated, measured, "a date (ISO 8601)")
            elif (today - found).days > self._most:
                measured = f"an age of {(today - found).days} days"
                yield self._place.violation(where, stated, measured, f"at most {self._most} days")


def parse_date(value: JsonValue) -> date | None:
    """Return the day (UTC) that a text in ISO 8601 states, or None if it states none."""
    if not isinstance(value, str) or len(value) > _DATE_CHARACTERS:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    except (ValueError, OverflowError):  # before the year 1, or after 9999, in UTC
        return None


def _is_empty(value: JsonValue) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {})
