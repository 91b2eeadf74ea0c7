"""The rule of a number's range and unit."""

import math
from collections.abc import Iterator

from pydantic import JsonValue

from mealkit.contract.field_values import is_number, numbers_of
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation, quoted
from mealkit.recipe.data_contract import RangeRule


class RangeCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: RangeRule) -> None:
        self._place = place
        self._unit = f" {rule.unit}" if rule.unit else ""
        self._low = -math.inf if rule.minimum is None else rule.minimum
        self._high = math.inf if rule.maximum is None else rule.maximum

    def check(self, field: str, value: JsonValue) -> Iterator[Violation]:
        """Yield the violations of each number; what is not a number is one, too."""
        low, high = self._low, self._high
        if type(value) is list and all(
            type(item) in (int, float) and low <= item <= high  # type: ignore[operator]
            for item in value
        ):
            return  # the usual case: a long list of good numbers
        for place, number in numbers_of(field, value):
            if not is_number(number):
                what = f"a number{self._unit}"
                yield self._place.violation(place, number, "a value that is not a number", what)
            elif not low <= number <= high:  # type: ignore[operator]
                yield self._outside(place, number)

    def _outside(self, field: str, number: JsonValue) -> Violation:
        if number < self._low:  # type: ignore[operator]
            part, bound = "minimum", f"at least {self._low:g}"
        else:
            part, bound = "maximum", f"at most {self._high:g}"
        measured, required = f"{quoted(number)}{self._unit}", f"{bound}{self._unit}"
        return self._place.violation(field, number, measured, required, part)
