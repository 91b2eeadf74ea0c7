"""Python source of others, parsed and never run, with limits on what its syntax tree may take.

Build side only.
"""

import ast
import re

from mealkit.untrusted import UntrustedError

MAX_TOKENS = 100_000
"""Words and signs of a file: some 10,000 lines. A syntax tree takes up to 1 KB for each."""

# In strings and comments too: where those end only a parser can tell.
_TOKEN = re.compile(r"\w++|[^\w \t]")


def count_tokens(text: str) -> int:
    """Return how many words and signs a text has: never less than half of Python's tokens."""
    return _TOKEN.subn("", text)[1]


def parse_python(text: str, path: str) -> ast.Module:
    """Return the syntax tree of a file.

    Raises:
        UntrustedError: it is too large, or nests too deep.
        SyntaxError: it is not Python, or a newer one.
        ValueError: it has a NUL, or a number that is too long.
    """
    tokens = count_tokens(text)
    if tokens > MAX_TOKENS:
        raise UntrustedError(f"it has {tokens} words and signs, more than {MAX_TOKENS}")
    try:
        return ast.parse(text, path)
    except (RecursionError, MemoryError):  # what the parser says of depth
        raise UntrustedError("it nests too deep") from None
