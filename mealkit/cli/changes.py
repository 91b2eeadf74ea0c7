"""Formats the differences between recipes as lines."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mealkit.lock.compare import Change

# A value such as a profile of data is longer than what people read.
_LONGEST = 200
_MOST_LINES = 200
_EMPTY: tuple[Any, ...] = (None, "", [], {})
# By the values of recipe.answers.Effect, whose import would slow down the help.
TITLES = {
    "changes": "changes answers",
    "may-change": "may change answers",
    "keeps": "does not change answers",
}
_DIGEST = re.compile(r"\b(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}\b")


def change_lines(changes: Iterable["Change"], indent: str = "") -> Iterator[str]:
    """Yield one line for a short change, and a block of lines for a longer one."""
    for change in changes:
        yield from (f"{indent}{line}" for line in _lines(change))


def grouped_lines(changes: Iterable["Change"]) -> Iterator[str]:
    """Yield the lines of changes below a title for each effect; the strongest effect is first."""
    for effect, group in groupby(changes, key=lambda change: change.effect):
        yield TITLES[effect.value]
        yield from change_lines(group, "  ")


def _lines(change: "Change") -> Iterator[str]:
    match change.before, change.after:
        case (None, Mapping()):
            yield f"{change.path}: added {_shown(change.after)}"
            return
        case (Mapping(), None):
            yield f"{change.path}: removed {_shown(change.before)}"
            return
        case _:
            pass
    before, after = _shown(change.before), _shown(change.after)
    if "\n" not in before + after:
        yield f"{change.path}: {before} -> {after}"
        return
    yield f"{change.path}:"
    yield from _block(before, "-", change.before)
    yield from _block(after, "+", change.after)


def _block(text: str, sign: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    lines = text.split("\n")
    yield from (f"  {sign} {line}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"  {sign} ... and {len(lines) - _MOST_LINES} more lines"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return _DIGEST.sub(r"sha256:\1", value)
        case Mapping() if "version" in value:
            return str(value["version"])
        case Mapping() if "sha256" in value:
            return _shown(value["sha256"])
        case _:
            text = ", ".join(_leaves(value, ""))
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... (--json shows all)"


def _leaves(value: Any, path: str) -> Iterator[str]:
    """Yield each value inside another one as ``path value``; empty ones are left out."""
    match value:
        case _ if value in _EMPTY:
            return
        case Mapping():
            for name, item in value.items():
                yield from _leaves(item, f"{path}.{name}" if path else str(name))
        case list() | tuple():
            for item in value:
                yield from _leaves(item, path)
        case _:
            text = _shown(value) if isinstance(value, str) else _plain(value)
            yield f"{path} {text}" if path else text


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
