"""Lists the differences between two recipes by name, such as a package or a line of a prompt.

No I/O. Works on the JSON of kits, locks and configs.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel

from mealkit.recipe.answers import ITEM_NAMES, Effect, part_of
from mealkit.recipe.lock import Lock

_PACKAGE = re.compile(
    r"(?:engine\.packages|variants\.\w+\.engine_packages)\.([a-z0-9-]+)(?:\.version)?"
)
_REQUEST = re.compile(r"(?:^|\.)requests\.|^engine\.requested$")
_RESTATED_BY = {
    "filename": ("version", "sha256"),
    "sha256": ("version", "text"),
    "size_bytes": ("version", "sha256"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: its path, and the value on each side (None if it is absent)."""

    path: str
    before: Any
    after: Any
    effect: Effect = Effect.MAY_CHANGE
    """What the difference does to the answers."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "effect": self.effect.value,
        }


def compare_locks(before: Lock, after: Lock) -> list[Change]:
    """Return every difference between two locks, the strongest effect first.

    The version of a package changes answers if either side asks for the package by name.
    """
    asked = {*before.engine.requested, *after.engine.requested}
    found = [
        replace(change, effect=Effect.CHANGES) if _is_of(change, asked) else change
        for change in compare_models(before, after)
    ]
    return sorted(found, key=lambda change: (list(Effect).index(change.effect), change.path))


def _is_of(change: Change, packages: Container[str]) -> bool:
    found = _PACKAGE.fullmatch(change.path)
    return found is not None and found[1] in packages


def compare_models(before: BaseModel, after: BaseModel) -> list[Change]:
    """Return every difference between two values of one marked model, the strongest effect first.

    An item of a list that only one side has is one difference.
    """
    found: dict[tuple[str, bool], Change] = {}
    if before == after:  # as every time that an unchanged kit is opened
        return []
    for effect in Effect:
        for change in compare(part_of(before, effect), part_of(after, effect)):
            if not _is_only_a_name(change):
                is_whole = change.before is None or change.after is None
                found.setdefault((change.path, is_whole), replace(change, effect=effect))
    return list(found.values())


def _is_only_a_name(change: Change) -> bool:
    """Return whether this is an item that one side lacks, of which the part has the name only."""
    values = [item for item in (change.before, change.after) if item is not None]
    return len(values) == 1 and isinstance(values[0], Mapping) and set(values[0]) <= {*ITEM_NAMES}


def without_restatements(changes: Sequence[Change]) -> list[Change]:
    """Return changes without those that only restate another one, for people.

    A digest restates the text beside it, a file name and a size the version, and the digest of a
    request the inputs that it led to.
    """
    paths = {change.path.partition(":")[0] for change in changes}
    kept = [change for change in changes if not _restates(change.path, paths)]
    told = [change for change in kept if not _REQUEST.search(change.path)]
    return told or kept


def _restates(path: str, paths: Container[str]) -> bool:
    above, _, name = path.rpartition(".")
    return any(f"{above}.{other}" in paths for other in _RESTATED_BY.get(name, ()))


def compare(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield every difference between two JSON values, in the order of their paths."""
    match before, after:
        case (Mapping(), Mapping()):
            for key in sorted({*before, *after}):
                yield from compare(before.get(key), after.get(key), _join(path, key))
        case (list() | tuple(), list() | tuple()) if _named(before) and _named(after):
            yield from compare(_by_name(before), _by_name(after), path)
        # A list that one side lacks, since it is left out if it is empty: item by item, too.
        case (None, [_, *_]) if _named(after):
            yield from compare({}, _by_name(after), path)
        case ([_, *_], None) if _named(before):
            yield from compare(_by_name(before), {}, path)
        case (str(), str()) if before != after and ("\n" in before or "\n" in after):
            yield from _lines(before, after, path)
        case _ if before != after:
            yield Change(path, before, after)
        case _:
            return


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _named(items: Sequence[Any]) -> bool:
    return all(isinstance(item, Mapping) and _name_of(item) is not None for item in items)


def _name_of(item: Mapping[str, Any]) -> str | None:
    return next((str(item[name]) for name in ITEM_NAMES if name in item), None)


def _by_name(items: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(_name_of(item)): item for item in items}


def _lines(before: str, after: str, path: str) -> Iterator[Change]:
    old, new = before.splitlines(), after.splitlines()
    for action, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        if action != "equal":
            where = f"{path}:{start + 1}"
            yield Change(
                where, "\n".join(old[start:end]) or None, "\n".join(new[new_start:new_end]) or None
            )
    if old == new:  # only the last newline differs
        yield Change(path, before, after)
