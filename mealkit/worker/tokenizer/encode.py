"""Tokenizes whole texts and pairs of texts, for models that do not generate.

Raises RequestError for texts with more tokens than the limit, and for texts without tokens. Only a
few texts are tokenized in one call, because the tokenizer's output takes many times their size.
Imports the package tokenizers, so only modules that ``load`` imports may import this one.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from mealkit.errors import failure
from mealkit.worker.measuring import (
    TOLD_TOKENS,
    WINDOW_CHARACTERS,
    large_text,
    require_fitting,
    too_long,
)
from mealkit.worker.tokenizer.tokenizer_file import require_unicode

_Place = tuple[str, str]
"""The name of a text in messages, and its field."""

# A query with at least one token, which is then replaced by the real query.
_STAND_IN = "a"
# The query is tokenized again with each document, unless that would exceed this many characters.
_REPEATED_CHARACTERS = 64 * WINDOW_CHARACTERS


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text or pair, special tokens included."""

    ids: Sequence[int]
    type_ids: Sequence[int]


class TextTokenizer:
    """Tokenizes texts and pairs up to ``max_length`` tokens each."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length

    def texts(self, texts: Sequence[str], *, truncate: bool = False) -> list[Tokens]:
        """Tokenize each text with the special tokens that the model was trained with.

        ``truncate``: keep the first tokens that fit of a text that is too long.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the number of tokens and the limit;
                ``REQUEST_INVALID``, a text has no tokens, or is not Unicode.
        """
        if truncate:
            return [self._shortened(text, _input(index)) for index, text in enumerate(texts)]
        for index, text in enumerate(texts):
            self._require_fitting(text, _input(index))
        found: list[Tokens] = []
        for group in _groups(texts):
            with large_text(sum(map(len, group))):
                for encoding in self._tokenizer.encode_batch_fast(group):
                    found.append(self._checked(encoding.ids, encoding.type_ids, _input(len(found))))
        return found

    def pairs(self, query: str, documents: Sequence[str]) -> list[Tokens]:
        """Tokenize the query with each document by the tokenizer's own template for pairs.

        Raises:
            RequestError: as ``texts``.
        """
        self._require_fitting(query, ("the query", "query"))
        for index, document in enumerate(documents):
            self._require_fitting(document, _document(index))
        if len(query) * len(documents) > _REPEATED_CHARACTERS:
            return self._pairs_of_large(query, documents)
        found: list[Tokens] = []
        for group in _groups(documents, len(query)):
            with large_text(sum(map(len, group)) + len(query) * len(group)):
                pairs = [(query, document) for document in group]
                for encoding in self._tokenizer.encode_batch_fast(pairs):
                    place = _document(len(found))
                    found.append(self._checked(encoding.ids, encoding.type_ids, place))
        return found

    def _pairs_of_large(self, query: str, documents: Sequence[str]) -> list[Tokens]:
        """Do the same for a long query and many documents; the query is tokenized once."""
        with large_text(len(query)):
            asked = list(self._tokenizer.encode(query, add_special_tokens=False).ids)
        found = []
        for index, document in enumerate(documents):
            with large_text(len(document)):
                encoding = self._tokenizer.encode(_STAND_IN, document)
            places = [place for place, part in enumerate(encoding.sequence_ids) if part == 0]
            if not places:  # the tokenizer has dropped the stand-in
                raise failure("ENGINE_ANSWER", f"the tokenizer has no token for {_STAND_IN!r}")
            start, end = places[0], places[-1] + 1
            ids = [*encoding.ids[:start], *asked, *encoding.ids[end:]]
            kinds = [encoding.type_ids[start]] * len(asked)
            type_ids = [*encoding.type_ids[:start], *kinds, *encoding.type_ids[end:]]
            found.append(self._checked(ids, type_ids, _document(index)))
        return found

    def ids(self, text: str) -> Sequence[int]:
        """Return the tokens of a text, special tokens included, even above the model's limit.

        Raises:
            RequestError: ``REQUEST_INVALID``, the text is not Unicode; ``REQUEST_TOO_LONG``, it has
                more tokens than this method returns.
        """
        require_unicode(text)
        most = max(self._max_length, TOLD_TOKENS)
        require_fitting(text, most, self._plain, "the text", "prompt")
        with large_text(len(text)):
            ids: Sequence[int] = self._tokenizer.encode(text).ids
        return ids

    def _shortened(self, text: str, place: _Place) -> Tokens:
        require_unicode(text)
        with large_text(len(text)):
            encoding = self._tokenizer.encode(text)
        ids, type_ids, more = encoding.ids, encoding.type_ids, len(encoding.ids) - self._max_length
        if more > 0:
            # The special tokens at the end stay.
            mask = encoding.special_tokens_mask
            after = next((place for place, flag in enumerate(reversed(mask)) if not flag), 0)
            end = len(ids) - after
            ids = [*ids[: end - more], *ids[end:]]
            type_ids = [*type_ids[: end - more], *type_ids[end:]]
        return self._checked(ids, type_ids, place)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without special ones; unknown numbers have none."""
        found: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return found

    def _require_fitting(self, text: str, place: _Place) -> None:
        require_unicode(text)
        require_fitting(text, self._max_length, self._plain, *place)

    def _plain(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _checked(self, ids: Sequence[int], type_ids: Sequence[int], place: _Place) -> Tokens:
        name, where = place
        if len(ids) > self._max_length:
            raise too_long(f"{name} has {len(ids)} tokens", self._max_length, where)
        if not ids:
            raise failure("REQUEST_INVALID", f"{name} has no tokens", where=where)
        # Lists of Python's numbers would take ten times as much memory.
        return Tokens(array("i", ids), array("i", type_ids))


def _input(index: int) -> _Place:
    return f"input {index}", f"input[{index}]"


def _document(index: int) -> _Place:
    return f"the query with document {index}", f"documents[{index}]"


def _groups(texts: Sequence[str], more_characters: int = 0) -> Iterator[list[str]]:
    """Yield groups of texts to tokenize in one call: few characters, or a single text."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) + more_characters > WINDOW_CHARACTERS:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text) + more_characters
    if group:
        yield group
