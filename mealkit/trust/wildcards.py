"""Patterns of a policy, in which only ``*`` has a meaning, and lists of what it accepts."""

import fnmatch
import re
from collections.abc import Sequence


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern; the time is linear in the text's length."""
    plain = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(text, plain)


def one_of(items: Sequence[str]) -> str:
    """Return the accepted values as words."""
    return f"one of {', '.join(items)}" if len(items) > 1 else "".join(items)


def regular_expression(pattern: str) -> str:
    """Return a pattern as a regular expression, without anchors."""
    return ".*".join(re.escape(part) for part in pattern.split("*"))
