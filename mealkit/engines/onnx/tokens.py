"""Text to token ids with a tokenizer.json of which every length setting is overridden.

Refuses texts with more tokens than the limit, and texts without any. The file's own truncation and
padding are never used: all-MiniLM-L6-v2's cuts at 128 tokens while the model takes 256.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mealkit.errors import failure

# A sub-batch holds at most this many tokens, padding included (one text may be more by itself). It
# bounds the engine's working memory; more at once is not faster on a CPU.
SUB_BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, special tokens included."""

    ids: Sequence[int]
    type_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class SubBatch:
    """Texts of similar length that run together, padded to the longest; ``indices`` says which."""

    indices: Sequence[int]
    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class TextTokenizer:
    """Tokenizes whole texts, up to ``max_length`` tokens each."""

    def __init__(self, path: Path, max_length: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # its errors are bare Exceptions
            message = f"the tokenizer cannot be read: {error}"
            raise failure("ENGINE_START", message, where=str(path)) from error
        # Any id would do under the mask, but some graphs derive positions from it.
        self.pad_id: int = (self._tokenizer.padding or {}).get("pad_id", 0)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._max_length = max_length

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize each text with the special tokens that the model was trained with.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the number of tokens and the limit;
                ``REQUEST_INVALID``, a text has no tokens.
        """
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        found = [Tokens(encoding.ids, encoding.type_ids) for encoding in encodings]
        for index, tokens in enumerate(found):
            count = len(tokens.ids)
            if count > self._max_length:
                message = f"input {index} has {count} tokens, the limit is {self._max_length}"
                raise failure("REQUEST_TOO_LONG", message, where=f"input[{index}]")
            if not count:
                message = f"input {index} has no tokens"
                raise failure("REQUEST_INVALID", message, where=f"input[{index}]")
        return found


def sub_batches(found: Sequence[Tokens], pad_id: int) -> Iterator[SubBatch]:
    """Split texts into sub-batches of similar length, longest first, to waste little on padding."""
    order = sorted(range(len(found)), key=lambda index: -len(found[index].ids))
    start = 0
    while start < len(order):
        longest = len(found[order[start]].ids)
        end = start + max(1, SUB_BATCH_TOKENS // longest)
        yield _padded(order[start:end], found, longest, pad_id)
        start = end


def _padded(indices: Sequence[int], found: Sequence[Tokens], longest: int, pad_id: int) -> SubBatch:
    shape = (len(indices), longest)
    batch = SubBatch(
        indices,
        ids=np.full(shape, pad_id, dtype=np.int64),
        type_ids=np.zeros(shape, dtype=np.int64),
        mask=np.zeros(shape, dtype=np.int64),
    )
    for row, index in enumerate(indices):
        count = len(found[index].ids)
        batch.ids[row, :count] = found[index].ids
        batch.type_ids[row, :count] = found[index].type_ids
        batch.mask[row, :count] = 1
    return batch
