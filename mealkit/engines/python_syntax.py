"""Parses untrusted Python source without running it, with limits for its syntax tree.

Build side only.
"""

import ast
import re

from mealkit.untrusted import UntrustedError

MAX_TOKENS = 100_000
"""The maximum number of tokens in a file, about 10,000 lines. Each needs up to 1 KB in the tree."""

# Also counts the words in strings and comments, because only a parser can tell where they end.
_TOKEN = re.compile(r"\w++|[^\w \t]")


def count_tokens(text: str) -> int:
    """Return an upper bound, within a factor of two, for the number of tokens of a text."""
    return _TOKEN.subn("", text)[1]


def parse_python(text: str, path: str) -> ast.Module:
    """Return the syntax tree of a file.

    Raises:
        UntrustedError: the file is too large, or nests too deep.
        SyntaxError: the file is not Python, or a newer Python's.
        ValueError: the file has a NUL character, or a number that is too long.
    """
    tokens = count_tokens(text)
    if tokens > MAX_TOKENS:
        raise UntrustedError(f"it has {tokens} tokens, more than {MAX_TOKENS}")
    try:
        return ast.parse(text.removeprefix("\ufeff"), path)  # as Python reads a file
    except (RecursionError, MemoryError):  # the parser's errors for the depth
        raise UntrustedError("it nests too deep") from None
