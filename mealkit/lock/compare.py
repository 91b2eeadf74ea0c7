"""Lists the differences between two recipes by name, such as a package or a line of a prompt.

No I/O. Works on the JSON of kits, locks and configs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

# Items of a list that have one of these fields are matched by it, in any order.
_ITEM_NAMES = ("path", "name")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: its path, and the value on each side (None if it is absent)."""

    path: str
    before: Any
    after: Any

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"path": self.path, "before": self.before, "after": self.after}


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
    return next((str(item[name]) for name in _ITEM_NAMES if name in item), None)


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
