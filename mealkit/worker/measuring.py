"""Whether a text can have few enough tokens, found out before all of it is tokenized.

A tokenizer takes some three hundred bytes for each token, so a few megabytes of text would take a
gigabyte. A large text is therefore measured first, a small window at a time. What is said to be too
long is so, whatever stands in the text: a window's tokens are those of the whole text, but for some
where it was cut. Standard library only.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mealkit.errors import failure

WINDOW_CHARACTERS = 16_384
"""Texts up to this size are tokenized at once."""
TOLD_TOKENS = 262_144
"""The most tokens of one text that are told, where a model's limit is lower."""

# A word that was cut has other tokens: with WordPiece up to a hundred instead of an unknown one.
_TOKENS_OF_CUTS = 512
# A special token may take all blanks beside it, as many as there are: they are counted apart.
_LONG_BLANKS = re.compile(r"(?<!\s)(\s{256})\s++")
_BLANK_TOKENS = 262_144

Tokenize = Callable[[str], Sequence[int]]

_large = threading.Lock()


def require_fitting(
    text: str, limit_tokens: int, tokenize: Tokenize, what: str, where: str
) -> None:
    """Refuse a large text that surely has more than ``limit_tokens`` tokens.

    A text that passes may still have more; its tokens are few enough to be counted.

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
            message = (
                f"{what} has {len(text)} characters, more than {limit_tokens} tokens, "
                "which are the limit"
            )
            raise failure("REQUEST_TOO_LONG", message, where=where)


@contextmanager
def large_text(size_characters: int) -> Iterator[None]:
    """Wait until no other large text is being tokenized: one takes memory enough."""
    if size_characters <= WINDOW_CHARACTERS:
        yield
        return
    with _large:
        yield


def require_room(prompt_tokens: int, max_tokens: int, limit_tokens: int, where: str) -> None:
    """Refuse a prompt that leaves less than ``max_tokens`` of the context to its answer.

    Raises:
        RequestError: ``REQUEST_TOO_LONG``, with all three numbers.
    """
    left = limit_tokens - prompt_tokens
    if left >= max_tokens:
        return
    message = (
        f"the prompt has {prompt_tokens} tokens, which leaves {max(0, left)} of {limit_tokens}: "
        f"max_tokens is {max_tokens}"
    )
    hint = f"ask for max_tokens of {left} at most, or shorten the prompt" if left > 0 else None
    raise failure("REQUEST_TOO_LONG", message, where=where, hint=hint)
