"""Checks whether a text exceeds a limit of tokens before all of it is tokenized.

A tokenizer uses some three hundred bytes of memory per token, so a few megabytes of text would take
a gigabyte. A large text is therefore measured first, one small window at a time. The check never
rejects a text that fits: a window has the same tokens as the whole text, except for a few at its
ends. Standard library only.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mealkit.errors import MealkitError, failure

WINDOW_CHARACTERS = 16_384
"""Texts up to this size are tokenized in one call."""
TOLD_TOKENS = 262_144
"""The maximum number of tokens of a text that /tokenize returns, if a model's limit is lower."""

# A split word has other tokens: with WordPiece up to a hundred instead of one unknown token.
_TOKENS_OF_CUTS = 512
# A special token may include any number of spaces next to it, so these are counted separately.
_LONG_BLANKS = re.compile(r"(?<!\s)(\s{256})\s++")
_BLANK_TOKENS = 262_144

Tokenize = Callable[[str], Sequence[int]]

_large = threading.Lock()


def require_fitting(
    text: str, limit_tokens: int, tokenize: Tokenize, what: str, where: str
) -> None:
    """Raise for a large text that certainly has more than ``limit_tokens`` tokens.

    A text that passes may still have more, but few enough to count them.

    Raises:
        RequestError: ``REQUEST_TOO_LONG``.
    """
    if len(text) <= max(WINDOW_CHARACTERS, limit_tokens):
        return
    most = limit_tokens + len(text) // WINDOW_CHARACTERS * _TOKENS_OF_CUTS + _BLANK_TOKENS
    surely = found = 0
    for start in range(0, len(text), WINDOW_CHARACTERS):
        window = text[start : start + WINDOW_CHARACTERS]
        count = len(tokenize(window))
        shorter = _LONG_BLANKS.sub(r"\1", window)
        fewer = count if shorter == window else len(tokenize(shorter))
        surely += max(0, min(count, fewer) - _TOKENS_OF_CUTS)
        found += count
        if surely > limit_tokens or found > most:
            size = f"{what} has {len(text)} characters"
            if limit_tokens == TOLD_TOKENS:
                message = f"{size}, more than the {limit_tokens} tokens that can be returned"
                raise failure("REQUEST_TOO_LONG", message, where=where)
            raise too_long(size, limit_tokens, where)


@contextmanager
def large_text(size_characters: int) -> Iterator[None]:
    """Wait until no other large text is being tokenized, to limit the memory."""
    if size_characters <= WINDOW_CHARACTERS:
        yield
        return
    with _large:
        yield


def too_long(found: str, limit_tokens: int, where: str | None) -> MealkitError:
    """Return the error for an input with more tokens than the model's context has.

    Clients that shorten a conversation look for the words "maximum context length is N tokens".
    """
    message = f"{found}, but this model's maximum context length is {limit_tokens} tokens"
    return failure("REQUEST_TOO_LONG", message, where=where)


def room_for_answer(prompt_tokens: int, max_tokens: int, limit_tokens: int, where: str) -> int:
    """Return how many tokens an answer may have: ``max_tokens``, or fewer if fewer are left.

    Raises:
        RequestError: ``REQUEST_TOO_LONG``, no token is left.
    """
    left = limit_tokens - prompt_tokens
    if left < 1:
        raise too_long(f"the prompt has {prompt_tokens} tokens", limit_tokens, where)
    return min(max_tokens, left)
