"""Makes a profile of data: counts while rows go by, then leaves out what would identify a value.

Groups of fewer than five values count as empty, edges of numbers are quantiles that are rounded to
three digits, and the smallest and largest numbers are not kept.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from mealkit.contract.field_values import texts_of
from mealkit.contract.observation import (
    LENGTH_EDGES,
    InputObserver,
    numbers_in,
    tells_languages,
)
from mealkit.contract.text_language import Identify
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile, FieldProfile, Histogram

LEAST_ROWS = 100
"""A profile of fewer rows says much about each of them."""
_LEAST_IN_GROUP = 5
_SAMPLE = 100_000
_QUANTILES = (0.01, 0.05, *(step / 20 for step in range(2, 19)), 0.95, 0.99)
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The kit's tokenizer, for profiles and reports."""

    encode: Callable[[str], Sequence[int]]
    unknown: int | None
    """The number of the token for what it does not know; None if it knows everything."""


class Profiler:
    """The statistics of rows so far."""

    def __init__(
        self,
        contract: DataContract,
        identify: Identify | None = None,
        tokenizer: Tokenizer | None = None,
        reference: DataProfile | None = None,
    ) -> None:
        """Start without rows.

        ``reference`` is the profile to compare with, whose edges of numbers are used.
        """
        known = reference.inputs if reference else {}
        self.inputs = {
            name: _InputProfiler(
                name,
                identify if tells_languages(contract, name) else None,
                tokenizer,
                known.get(name),
            )
            for name in contract.inputs
        }
        self.rows = 0

    def add(self, values: Mapping[str, JsonValue]) -> None:
        """Count a row, by input."""
        self.rows += 1
        for name, profiler in self.inputs.items():
            profiler.add(values.get(name))

    def profile(self, *, is_public: bool) -> DataProfile:
        """Return the statistics; ``is_public`` leaves out groups of few values."""
        inputs = {name: item.profile(is_public=is_public) for name, item in self.inputs.items()}
        return DataProfile(rows=self.rows, inputs=inputs)


class _InputProfiler:
    """The statistics of one input."""

    def __init__(
        self,
        name: str,
        identify: Identify | None,
        tokenizer: Tokenizer | None,
        reference: FieldProfile | None,
    ) -> None:
        self._name, self._tokenizer = name, tokenizer
        edges = reference.numbers.edges if reference and reference.numbers else ()
        self._edges = tuple(edges)
        self._observer = InputObserver(name, (), identify)
        self._values = self._missing = 0
        self._lengths = [0] * (len(LENGTH_EDGES) + 1)
        self._tokens = [0] * (len(LENGTH_EDGES) + 1)
        self._ids = [0] * (len(LENGTH_EDGES) + 1)
        self._unknown = 0
        self._languages: Counter[str] = Counter()
        self._is_fast = identify is None and tokenizer is None
        self._sample: list[float] = []
        self._numbers = 0
        self._random = random.Random(0)  # noqa: S311  a sample that is the same each time

    def add(self, value: JsonValue) -> None:
        """Count a value; None if the row has none."""
        if value is None:
            self._missing += 1
            return
        self._values += 1
        if self._is_fast and type(value) is str:
            self._lengths[bisect_right(LENGTH_EDGES, len(value))] += 1
            return
        for _, group in self._observer.observed(value):
            if isinstance(group, int):
                self._lengths[group] += 1
            else:
                self._languages[group] += 1
        if self._tokenizer is not None:
            for _, text in texts_of(self._name, value):
                self._add_tokens(self._tokenizer, text)
        for number in numbers_in(self._name, value):
            self._add_number(number)

    def _add_tokens(self, tokenizer: Tokenizer, text: str) -> None:
        ids = tokenizer.encode(text)
        self._tokens[bisect_right(LENGTH_EDGES, len(ids))] += 1
        for item in ids:
            self._ids[bisect_right(LENGTH_EDGES, item)] += 1
        if tokenizer.unknown is not None:
            self._unknown += ids.count(tokenizer.unknown)

    def _add_number(self, number: float) -> None:
        """Keep a number in a sample of which each number so far is a part with the same chance."""
        self._numbers += 1
        if len(self._sample) < _SAMPLE:
            self._sample.append(number)
        elif (place := self._random.randrange(self._numbers)) < _SAMPLE:
            self._sample[place] = number

    def profile(self, *, is_public: bool) -> FieldProfile:
        """Return the statistics."""
        count = sum(self._ids)
        has_unknown = self._tokenizer is not None and self._tokenizer.unknown is not None
        return FieldProfile(
            values=self._values,
            missing=self._missing,
            characters=_histogram(LENGTH_EDGES, self._lengths, is_public=is_public),
            tokens=_histogram(LENGTH_EDGES, self._tokens, is_public=is_public),
            token_ids=_histogram(LENGTH_EDGES, self._ids, is_public=is_public),
            unknown_tokens=round(self._unknown / count, 6) if has_unknown and count else None,
            numbers=self._histogram_of_numbers(is_public=is_public),
            languages=_languages(self._languages, is_public=is_public),
        )

    def _histogram_of_numbers(self, *, is_public: bool) -> Histogram | None:
        if not self._sample:
            return None
        edges = self._edges or _quantiles(sorted(self._sample))
        counts = [0] * (len(edges) + 1)
        for number in self._sample:
            counts[bisect_right(edges, number)] += 1
        return _histogram(edges, counts, is_public=is_public)


def _histogram(
    edges: Sequence[float], counts: Sequence[int], *, is_public: bool
) -> Histogram | None:
    if not any(counts):
        return None
    least = _LEAST_IN_GROUP if is_public else 1
    return Histogram(
        edges=tuple(edges), counts=tuple(count if count >= least else 0 for count in counts)
    )


def _quantiles(numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the rounded quantiles of sorted numbers, without repetitions."""
    last = len(numbers) - 1
    found = {float(f"{numbers[round(share * last)]:.{_DIGITS}g}") for share in _QUANTILES}
    return tuple(sorted(found))


def _languages(counts: Counter[str], *, is_public: bool) -> dict[str, int]:
    least = _LEAST_IN_GROUP if is_public else 1
    kept = {name: count for name, count in sorted(counts.items()) if count >= least}
    rest = counts.total() - sum(kept.values())
    if rest and is_public:
        kept["other"] = kept.get("other", 0) + rest
    return kept
