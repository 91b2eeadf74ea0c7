"""RAKE: keywords of one document, from that document alone (Rose, Engel, Cramer and Cowley, 2010).

Candidates are what is left of a text between stop words and punctuation. A word scores its degree
(how many words stand in candidates with it, itself included) over its frequency, a candidate the
sum of its words; the best third, by the number of content words, are the keywords.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field

# A word may have hyphens and apostrophes inside. All else that is not space delimits phrases.
_TOKENS = re.compile(r"(?P<word>[^\W_]+(?:['\u2019-][^\W_]+)*)|(?P<delimiter>[^\s\w]|_)")

# How often two candidates must adjoin for the words between them to be taken as part of a keyword.
_ADJOINING = 2


@dataclass(frozen=True)
class Keyword:
    """A keyword and its score."""

    keyword: str
    score: float


@dataclass(frozen=True)
class _Candidate:
    """Words that stand together, and the stop words before them since the last candidate.

    ``interior`` is None where a delimiter, or the beginning of the text, comes between.
    """

    words: tuple[str, ...]
    interior: tuple[str, ...] | None


class Rake:
    """The method, with the stop list of its kit."""

    def load(self, models: Path) -> None:
        """Read the stop list: one word a line, comments after a #."""
        lines = (models / "stop_words.txt").read_text("utf-8").splitlines()
        words = (line.partition("#")[0].strip() for line in lines)
        self.stop_words = frozenset(word for word in words if word)

    def predict(
        self,
        text: Annotated[str, Field(min_length=1, description="The document.")],
        top: Annotated[
            int | None, Field(ge=1, description="How many keywords; else a third of the words.")
        ] = None,
    ) -> list[Keyword]:
        """Return the keywords, best first; of equal ones, the first in the text."""
        candidates = list(_candidates(text, self.stop_words))
        scores = word_scores([item.words for item in candidates])
        ranked = _ranked(candidates, scores)
        # A third as in Mihalcea and Tarau (2004), to the nearest: 9 of the chapter's example.
        count = top or max(1, (2 * len(scores) + 3) // 6)
        return ranked[:count]


def word_scores(candidates: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return deg(w) / freq(w) of every word."""
    frequency: Counter[str] = Counter()
    degree: Counter[str] = Counter()
    for words in candidates:
        for word in words:
            frequency[word] += 1
            degree[word] += len(words)
    return {word: degree[word] / frequency[word] for word in frequency}


def _candidates(text: str, stop_words: frozenset[str]) -> Iterator[_Candidate]:
    words: list[str] = []
    interior: tuple[str, ...] | None = None
    between: list[str] | None = None
    for token in _TOKENS.finditer(text.lower()):
        word = token["word"]
        if word is not None and word not in stop_words:
            if not words:
                interior = None if between is None else tuple(between)
            words.append(word)
            continue
        if words:
            yield _Candidate(tuple(words), interior)
            words, between = [], []
        if word is None:
            between = None
        elif between is not None:
            between.append(word)
    if words:
        yield _Candidate(tuple(words), interior)


def _ranked(candidates: Sequence[_Candidate], scores: Mapping[str, float]) -> list[Keyword]:
    found = {" ".join(item.words): sum(scores[word] for word in item.words) for item in candidates}
    found |= _adjoining(candidates, found)
    # Sorting is stable: equal scores stay in the order of the text.
    best = sorted(found.items(), key=lambda item: -item[1])
    return [Keyword(keyword, score) for keyword, score in best]


def _adjoining(candidates: Sequence[_Candidate], found: Mapping[str, float]) -> dict[str, float]:
    """Return keywords with stop words inside, such as "axis of evil"."""
    pairs: Counter[tuple[str, str, str]] = Counter()
    for first, second in pairwise(candidates):
        if second.interior:
            left, right = " ".join(first.words), " ".join(second.words)
            pairs[left, " ".join(second.interior), right] += 1
    return {
        f"{left} {interior} {right}": found[left] + found[right]
        for (left, interior, right), count in pairs.items()
        if count >= _ADJOINING
    }
