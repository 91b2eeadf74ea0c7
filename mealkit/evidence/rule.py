"""A rule: a pattern for a message, and the problem that the message means."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A message's pattern and the problem that it means; the texts may use the pattern's groups."""

    pattern: re.Pattern[str]
    code: str
    message: str
    measured: str | None = None
    required: str | None = None
    hint: str | None = None
    """A command or an edit; the catalogue's, if None."""


def rule(pattern: str, code: str, message: str, **texts: str) -> Rule:
    """Return a rule; ``texts`` are measured, required and hint, as far as they are known."""
    return Rule(re.compile(pattern), code, message, **texts)
