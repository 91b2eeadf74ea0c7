"""What is measured of an input's values for a profile, for drift and for reports: groups of values.

A gateway measures each request in this way, so it takes microseconds, and nothing of a value is
kept.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from pydantic import JsonValue

from mealkit.contract.field_values import is_number, numbers_of, texts_of
from mealkit.contract.text_language import Identify
from mealkit.recipe.data_contract import Action, DataContract

LENGTH_EDGES: tuple[float, ...] = tuple(
    sorted({size for power in range(25) for size in (2**power, 3 * 2**power // 2)})
)
"""The edges of lengths: each is at most 1.5 times the one before."""

# A profile shows the distribution of numbers, for which these suffice.
_NUMBERS_OF_A_VALUE = 1000
_TEXTS_OF_A_VALUE = 1000

Observed = tuple[str, int | str]
"""A measure (characters, numbers, languages), and the group of a value."""


class InputObserver:
    """Measures the values of one input."""

    def __init__(self, name: str, edges: Sequence[float], identify: Identify | None) -> None:
        """``edges``: those of numbers, from the profile; ``identify`` tells languages."""
        self._name, self._edges, self._identify = name, tuple(edges), identify

    def observed(self, value: JsonValue) -> Iterator[Observed]:
        """Yield the group of each text and number of a value."""
        for _, text in texts_of(self._name, value)[:_TEXTS_OF_A_VALUE]:
            yield "characters", bisect_right(LENGTH_EDGES, len(text))
            if self._identify is not None:
                yield "languages", self._identify(text) or "other"
        if self._edges:
            for number in numbers_in(self._name, value):
                yield "numbers", bisect_right(self._edges, number)


def numbers_in(name: str, value: JsonValue) -> Iterator[float]:
    """Yield the numbers of a value; of many, the first thousand."""
    if isinstance(value, str):
        return
    for _, number in islice(numbers_of(name, value), _NUMBERS_OF_A_VALUE):
        if is_number(number):
            yield number  # type: ignore[misc]


def tells_languages(contract: DataContract, name: str) -> bool:
    """Return whether the languages of an input are measured: its contract has a rule for them."""
    rules = contract.inputs[name]
    return rules.languages is not None and rules.languages.action is not Action.OFF
