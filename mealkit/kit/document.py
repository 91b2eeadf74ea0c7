"""Reads a YAML text as JSON values, with the line of every value.

Returns a problem for what other readers of YAML accept: a key that appears twice, aliases that
expand without limit, keys that are not text, tags, numbers that JSON cannot represent.
Finds all of these in one pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.errors import Problem, problem
from mealkit.kit.nodes import MAX_DEPTH, MappingNode, Node, Scalar, SequenceNode, Syntax, compose
from mealkit.kit.scalars import NotJson, scalar_value

Path = tuple[str | int, ...]
"""The path of a value: the keys and indexes from the top."""

# A kit of ten models has a few hundred nodes; this limit is for the expansion of aliases.
MAX_NODES = 20_000
MAX_CHARACTERS = 4 * 1024 * 1024

_MERGE = "<<"

_Entries = dict[str, tuple[int, Node]]


@dataclass(frozen=True, slots=True)
class Spot:
    """The position of a value, and its spelling if it is a scalar."""

    line: int
    raw: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: its values as JSON, and the position of each of them."""

    name: str
    """The file's path, as the caller wrote it."""
    data: Any = None
    spots: Mapping[Path, Spot] = field(default_factory=dict)
    whole: str = "the kit"
    """What the file describes, for messages about all of it."""

    def where(self, path: Path) -> str:
        """Return ``kit.yaml:LINE`` for a value, or for the nearest part around it that exists."""
        return f"{self.name}:{self.spot(path).line}"

    def spot(self, path: Path) -> Spot:
        """Return the position of a value, or of the nearest part around it that exists."""
        for length in range(len(path), -1, -1):
            found = self.spots.get(path[:length])
            if found:
                return found if length == len(path) else Spot(found.line, None)
        return Spot(1, None)


def read_document(text: str, name: str, whole: str = "the kit") -> tuple[Document, list[Problem]]:
    """Read a YAML text; returns all problems that were found, an empty list for a valid text."""
    try:
        root = compose(text)
    except Syntax as error:
        code = "KIT_ANCHOR_BOMB" if error.too_large else "KIT_SYNTAX"
        place = f"{name}:{error.line}:{error.column}"
        return Document(name, whole=whole), [
            problem(code, error.message, where=place, hint=error.hint)
        ]
    reader = _Reader(name)
    try:
        data = reader.value(root, ())
    except _TooLargeError as error:
        message = f"the aliases expand to more than {error.limit}"
        found = problem("KIT_ANCHOR_BOMB", message, where=f"{name}:{error.line}")
        return Document(name, whole=whole), [found]
    return Document(name, data, reader.spots, whole), reader.problems


class _TooLargeError(Exception):
    def __init__(self, line: int, limit: str) -> None:
        super().__init__(line, limit)
        self.line = line
        self.limit = limit


class _Reader:
    """Converts nodes to values, with aliases expanded, and records the lines."""

    def __init__(self, name: str) -> None:
        self.spots: dict[Path, Spot] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._nodes = 0
        self._characters = 0
        # A problem in an anchored part is reported once, however often the part is used.
        self._reported: set[tuple[int, str]] = set()

    def value(self, node: Node, path: Path, line: int | None = None) -> Any:
        """Return a node's value; ``line`` is the alias's line, if an alias led to the node."""
        line = line or node.line
        top = self.spots[path[:1]].line if len(path) > 1 else line
        self._count(top, len(node.text) if isinstance(node, Scalar) else 0)
        if len(path) > MAX_DEPTH:
            raise _TooLargeError(top, f"{MAX_DEPTH} levels")
        match node:
            case Scalar():
                return self._scalar(node, path, line)
            case SequenceNode():
                self.spots[path] = Spot(line, None)
                return [
                    self.value(item, (*path, index), item_line)
                    for index, (item_line, item) in enumerate(node.items)
                ]
            case MappingNode():
                self.spots[path] = Spot(line, None)
                return self._mapping(node, path)

    def _scalar(self, node: Scalar, path: Path, line: int) -> Any:
        self.spots[path] = Spot(line, node.text)
        try:
            return scalar_value(node)
        except NotJson as error:
            self._report("KIT_INVALID", error.message, node.line, error.hint)
            return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        entries: _Entries = {}
        for key, line, value in self._keys(node):
            if key in entries:
                first = entries[key][0]
                message = f"{key!r} appears twice, on lines {first} and {line}"
                hint = f"delete line {first} or line {line}"
                self._report("KIT_DUPLICATE_KEY", message, line, hint)
            entries.setdefault(key, (line, value))
        merge = entries.pop(_MERGE, None) if node.has_merge else None
        if merge:
            entries = {**self._merged(*merge), **entries}
        return {key: self.value(value, (*path, key), at) for key, (at, value) in entries.items()}

    def _merged(self, line: int, value: Node, depth: int = 0) -> _Entries:
        """Return the entries that ``<<`` merges in: for a key in two mappings, the first wins."""
        if depth > MAX_DEPTH:
            raise _TooLargeError(line, f"{MAX_DEPTH} levels")
        sources = [item for _, item in value.items] if isinstance(value, SequenceNode) else [value]
        found: _Entries = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                hint = "write `<<: *name`, where &name marks a mapping"
                self._report(
                    "KIT_SYNTAX", "'<<' merges something that is not a mapping", line, hint
                )
                continue
            own: _Entries = {}
            inherited: _Entries = {}
            for key, _, item in self._keys(source):
                self._count(line)
                if key == _MERGE and source.has_merge:
                    inherited = self._merged(line, item, depth + 1)
                else:
                    own.setdefault(key, (line, item))
            found = {**inherited, **own, **found}
        return found

    def _count(self, line: int, characters: int = 0) -> None:
        self._nodes += 1
        self._characters += characters
        if self._nodes > MAX_NODES:
            raise _TooLargeError(line, f"{MAX_NODES} values")
        if self._characters > MAX_CHARACTERS:
            raise _TooLargeError(line, f"{MAX_CHARACTERS} characters")

    def _keys(self, node: MappingNode) -> Iterator[tuple[str, int, Node]]:
        for key, line, value in node.entries:
            if not isinstance(key, Scalar):
                self._report(
                    "KIT_SYNTAX", "a key is not text", key.line, "write a name before the :"
                )
                continue
            try:
                name = scalar_value(key)
            except NotJson as error:
                self._report("KIT_INVALID", error.message, key.line, error.hint)
                continue
            if not isinstance(name, str):
                hint = f'write it in quotes: "{key.text}"'
                self._report("KIT_INVALID", f"the key {key.text} is not text", key.line, hint)
                name = key.text
            yield name, line, value

    def _report(self, code: str, message: str, line: int, hint: str | None) -> None:
        if (line, message) not in self._reported:
            self._reported.add((line, message))
            place = f"{self._name}:{line}"
            self.problems.append(problem(code, message, where=place, hint=hint))
