"""The rule of near-duplicates: no two texts of a list share most of their word sequences.

The measure is the Jaccard similarity of the sets of three words in a row (Broder, 1997: On the
resemblance and containment of documents). It is computed exactly; pairs that cannot be similar are
left out by the prefix filter (Chaudhuri et al., 2006), because two sets of similarity t share one
of the rarest few elements of each. Of large requests, a part of the sequences is compared, chosen
by their hashes. A request that is built to make this slow reaches a limit of work; after that only
equal texts are found.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from zlib import crc32

from mealkit.contract.field_values import Text
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import DuplicateRule

_WORDS_IN_A_ROW = 3
# The usual length of a word with its space, and one that no language with spaces has on average.
_WORD_CHARACTERS, _LONGEST_WORD = 6, 20
# More sequences than these are thinned out.
_MOST_SEQUENCES = 100_000
# Elements that are compared for one request: some 50 ms.
_MOST_WORK = 2_000_000

Shingles = frozenset[int]


class DuplicateCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: DuplicateRule) -> None:
        self._place, self._similarity = place, rule.similarity

    def check_texts(self, texts: Sequence[Text]) -> Iterator[Violation]:
        """Yield each text that is nearly the same as an earlier one."""
        if len(texts) < 2:
            return
        for index, earlier, similarity in duplicates([text for _, text in texts], self._similarity):
            field, text = texts[index]
            measured = (
                f"{similarity * 100:.0f} % of the word sequences in common with {texts[earlier][0]}"
            )
            required = f"less than {self._similarity * 100:g} %"
            yield self._place.violation(field, text, measured, required)


def duplicates(texts: Sequence[str], least: float) -> Iterator[tuple[int, int, float]]:
    """Yield each text that is similar to an earlier one: both positions, and the similarity."""
    size = sum(map(len, texts)) // _WORD_CHARACTERS
    thinning = 1 << max(0, (size // _MOST_SEQUENCES).bit_length())
    earlier = _Earlier([shingles(text, thinning) for text in texts], least)
    for index in range(len(texts)):
        found = earlier.similar(index)
        if found is not None:
            yield index, *found


class _Earlier:
    """The texts before one, found by their rarest elements."""

    def __init__(self, sets: list[Shingles], least: float) -> None:
        self._sets, self._least = sets, least
        self._counts: Counter[int] = Counter()
        for items in sets:
            self._counts.update(items)
        self._equal: dict[Shingles, int] = {}
        self._by_element: dict[int, list[int]] = {}
        self._work = _MOST_WORK

    def similar(self, index: int) -> tuple[int, float] | None:
        """Return an earlier text that is similar, and the similarity; remember this text."""
        items = self._sets[index]
        if not items:
            return None
        equal = self._equal.setdefault(items, index)
        if equal != index:
            return equal, 1.0
        # Most texts share too little with all others together.
        counts = self._counts
        needed = _needed(len(items), self._least)
        if sum(1 for item in items if counts[item] > 1) < needed:
            return None
        for other in self._candidates(index) if self._work > 0 else ():
            self._work -= min(len(items), len(self._sets[other]))
            similarity = _jaccard(items, self._sets[other])
            if similarity >= self._least:
                return other, similarity
            if self._work <= 0:
                break
        return None

    def _candidates(self, index: int) -> dict[int, None]:
        found: dict[int, None] = {}
        for element in _rarest(self._sets[index], self._counts, self._least):
            there = self._by_element.setdefault(element, [])
            self._work -= len(there)
            found.update(dict.fromkeys(there))
            there.append(index)
        return found


def shingles(text: str, thinning: int = 1) -> Shingles:
    """Return the hashes of the sequences of three words of a text, or of one in ``thinning``.

    Case does not matter. A text of fewer words is one sequence. A text without spaces, such as a
    Chinese one, is split into characters.
    """
    words = text.casefold().split()
    if words and len(words) * _LONGEST_WORD < len(text):
        words = list("".join(words))
    if len(words) <= _WORDS_IN_A_ROW:
        return frozenset([_hash(" ".join(words).strip(".!?"))] if words else ())
    hashes = map(_hash, map(" ".join, zip(words, words[1:], words[2:], strict=False)))
    if thinning == 1:
        return frozenset(hashes)
    # A text of which nothing was chosen is compared whole.
    return frozenset(item for item in hashes if item % thinning == 0) or frozenset([_hash(text)])


def _hash(text: str) -> int:
    """Return a hash that is the same in every process."""
    return crc32(text.encode("utf-8", "surrogatepass"))


def _rarest(items: Shingles, counts: Counter[int], least: float) -> list[int]:
    """Return the elements of which a similar set must share one: the rarest."""
    count = len(items) - _needed(len(items), least) + 1
    return sorted(items, key=lambda item: (counts[item], item))[:count]


def _needed(size: int, least: float) -> int:
    """Return how many elements of a set a similar one has, at least."""
    return max(1, math.ceil(least * size - 1e-9))


def _jaccard(one: Shingles, other: Shingles) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
