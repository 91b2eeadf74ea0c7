"""Limits how many patterns of a JSON Schema a single text may have to match.

llguidance limits all other costs of a schema. But checking whether any text matches several
patterns takes twice as long with each pattern (4.7 seconds for 19, measured with 1.9). Standard
library only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.errors import failure

MOST_PATTERNS = 10

_PATTERNS = ("format", "pattern")
# Next to a reference, these add no constraint.
_NOTES = frozenset(
    {"$comment", "$defs", "default", "definitions", "description", "examples", "title"}
)


def check_patterns(schema: Mapping[str, Any], where: str) -> None:
    """Raise for a schema that may combine more than ``MOST_PATTERNS`` patterns.

    Patterns are combined below an ``allOf`` and next to a ``$ref``; all patterns there count.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``.
    """
    counter = _Counter(schema)
    try:
        most = max(map(counter.count, _joints(schema)), default=0)
    except RecursionError as error:
        message = "the schema cannot be enforced: it is nested too deeply"
        raise failure("REQUEST_UNSUPPORTED", message, where=where) from error
    if most > MOST_PATTERNS:
        message = f"the schema combines {most} patterns or formats, the limit is {MOST_PATTERNS}"
        raise failure("REQUEST_UNSUPPORTED", message, where=where)


class _Counter:
    def __init__(self, document: Any) -> None:
        self._document = document
        self._counts: dict[int, int] = {}

    def count(self, node: Any) -> int:
        """Return the number of patterns in a node and in the nodes that it refers to."""
        if not isinstance(node, dict | list):
            return 0
        if isinstance(node, list):
            # Many references may point to one list.
            if id(node) not in self._counts:
                self._counts[id(node)] = 0
                self._counts[id(node)] = sum(map(self.count, node))
            return self._counts[id(node)]
        if id(node) not in self._counts:
            # A reference back to a node adds no patterns.
            self._counts[id(node)] = 0
            own = sum(name in node for name in _PATTERNS)
            below = sum(
                self.count(item) for name, item in node.items() if not self._is_aside(node, name)
            )
            self._counts[id(node)] = own + below + self.count(self._target(node.get("$ref")))
        return self._counts[id(node)]

    def _is_aside(self, node: Any, name: str) -> bool:
        """Return whether a part of the document is only a target of references."""
        return node is self._document and name in ("$defs", "definitions")

    def _target(self, reference: Any) -> Any:
        """Return the target of a reference in the document (RFC 6901); None if it is missing."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._document
        for part in reference.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found


def _joints(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from _joints(item)
    elif isinstance(node, dict):
        if "allOf" in node or ("$ref" in node and not node.keys() <= {"$ref", *_NOTES}):
            yield node
        yield from _joints(list(node.values()))
