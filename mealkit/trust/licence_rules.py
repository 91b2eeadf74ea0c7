"""Evaluates licences as SPDX expressions against lists of allowed and denied licences.

``OR`` is the recipient's choice, so one side is enough; ``AND`` needs both. An exception (``WITH``)
and a later version (``+``) only add permissions, so an allowed licence is enough for them. Text
that is not an SPDX expression, such as the name of a model's own licence, is one licence.
"""

import re
from collections.abc import Callable, Sequence

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_WORDS = re.compile(r"\b(?:and|or|with)\b|[()/,;&|]")
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
# SPDX has two spellings of these: GPL-3.0 is GPL-3.0-only, and GPL-3.0+ is GPL-3.0-or-later.
_GNU = re.compile(r"(?<![\w.-])((?:a|l)?gpl-[0-9.]+|gfdl-[0-9.]+)(\+)?(?=[\s()]|$)")
_MAX_CHARACTERS = 2000
_MAX_DEPTH = 50


def is_allowed(text: str, allow: Sequence[str] | None, deny: Sequence[str] | None) -> bool:
    """Return whether a licence is allowed; ``allow`` None: everything that is not denied."""
    denied = {_folded(item) for item in deny or ()}
    allowed = None if allow is None else {_folded(item) for item in allow}

    def accepts(licence: str) -> bool:
        names = _names(licence)
        if denied & names:
            return False
        return allowed is None or bool(allowed & names)

    expression = _canonical(text)
    if expression is None:
        # It may still be one that contains licences of models, which SPDX does not know.
        parts = {part.strip() for part in _WORDS.split(text.lower())}
        return not denied & parts and accepts(text.lower().strip())
    return _Evaluation(expression, accepts).value()


def _canonical(text: str) -> str | None:
    """Return the normalised expression, or None if the text is not an SPDX expression."""
    if len(text) > _MAX_CHARACTERS or text.count("(") > _MAX_DEPTH:
        return None
    try:
        found = str(canonicalize_license_expression(text)).lower()
    except InvalidLicenseExpression:
        return None
    return _GNU.sub(lambda match: match[1] + ("-or-later" if match[2] else "-only"), found)


def _folded(text: str) -> str:
    return _canonical(text) or text.lower().strip()


def _names(licence: str) -> frozenset[str]:
    """Return the names under which a list may have a licence: with and without its additions."""
    plain = licence.partition(" with ")[0]
    first = plain.removesuffix("+")
    if plain.endswith("-or-later"):
        first = f"{plain.removesuffix('-or-later')}-only"
    return frozenset({licence, plain, first})


class _Evaluation:
    """A normalised expression, read from left to right: OR binds less than AND than WITH."""

    def __init__(self, expression: str, accepts: Callable[[str], bool]) -> None:
        self._tokens = _TOKEN.findall(expression)
        self._accepts = accepts

    def value(self) -> bool:
        found = self._all_of()
        while self._next_is("or"):
            # Both sides are read: the other one must be consumed.
            found = self._all_of() or found
        return found

    def _all_of(self) -> bool:
        found = self._licence()
        while self._next_is("and"):
            found = self._licence() and found
        return found

    def _licence(self) -> bool:
        token = self._tokens.pop(0)
        if token == "(":  # noqa: S105  a bracket
            found = self.value()
            self._tokens.pop(0)
            return found
        if self._next_is("with"):
            token = f"{token} with {self._tokens.pop(0)}"
        return self._accepts(token)

    def _next_is(self, word: str) -> bool:
        if self._tokens[:1] != [word]:
            return False
        self._tokens.pop(0)
        return True
