"""Formats the differences between recipes as lines."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mealkit.lock.compare import Change

# A value such as a profile of data is longer than what people read.
_LONGEST = 400


def change_lines(changes: Iterable["Change"]) -> Iterator[str]:
    """Yield one line for a short change, and a block of lines for a longer one."""
    for change in changes:
        before, after = _shown(change.before), _shown(change.after)
        if "\n" not in before + after:
            yield f"{change.path}: {before} -> {after}"
            continue
        yield f"{change.path}:"
        yield from (f"  - {line}" for line in before.split("\n") if change.before is not None)
        yield from (f"  + {line}" for line in after.split("\n") if change.after is not None)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value
    text = json.dumps(_stated(value), sort_keys=True, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _stated(value: Any) -> Any:
    """Leave out the empty fields of a whole item, such as a claim that is new."""
    if isinstance(value, dict):
        return {name: _stated(item) for name, item in value.items() if item not in (None, [], {})}
    return [_stated(item) for item in value] if isinstance(value, list) else value
