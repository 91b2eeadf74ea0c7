"""Whole texts, and pairs of them, as tokens: for models that read and do not write.

Refuses texts with more tokens than the limit, and texts without any. Imports the package
tokenizers, so only what is imported in ``load`` may import this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from mealkit.engines.tokenizer.opening import require_unicode
from mealkit.errors import failure


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

    def texts(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize each text with the special tokens that the model was trained with.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the number of tokens and the limit;
                ``REQUEST_INVALID``, a text has no tokens, or is not Unicode.
        """
        for text in texts:
            require_unicode(text)
        found = self._tokenizer.encode_batch_fast(list(texts))
        return [
            self._checked(encoding, f"input {index}", f"input[{index}]")
            for index, encoding in enumerate(found)
        ]

    def pairs(self, query: str, documents: Sequence[str]) -> list[Tokens]:
        """Tokenize the query with each document by the tokenizer's own template for pairs.

        Raises:
            RequestError: as ``texts``.
        """
        for text in (query, *documents):
            require_unicode(text)
        found = self._tokenizer.encode_batch_fast([(query, document) for document in documents])
        return [
            self._checked(encoding, f"the query with document {index}", f"documents[{index}]")
            for index, encoding in enumerate(found)
        ]

    def ids(self, text: str) -> Sequence[int]:
        """Return the tokens of a text of any length, special tokens included.

        Raises:
            RequestError: ``REQUEST_INVALID``, it is not Unicode.
        """
        require_unicode(text)
        ids: Sequence[int] = self._tokenizer.encode(text).ids
        return ids

    def _checked(self, found: Any, name: str, where: str) -> Tokens:
        count = len(found.ids)
        if count > self._max_length:
            message = f"{name} has {count} tokens, the limit is {self._max_length}"
            raise failure("REQUEST_TOO_LONG", message, where=where)
        if not count:
            raise failure("REQUEST_INVALID", f"{name} has no tokens", where=where)
        return Tokens(found.ids, found.type_ids)
