"""Builds a tree of nodes with lines from YAML events; an alias is the same node as its anchor.

Raises Syntax for text that is not one YAML document, that nests too deep or has too many nodes,
and for an alias inside the part that it refers to. Iterative, so that no input can exhaust the
interpreter's stack.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

import yaml

# libyaml's cost per level grows with the depth; no kit has more than ten levels.
MAX_DEPTH = 64
MAX_SOURCE_NODES = 20_000

# The C parser, if PyYAML has it: ten times faster, with the same events.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Syntax(Exception):  # noqa: N818  the error is in the input, not in this program
    """The text is not a YAML document that can be a kit."""

    def __init__(self, message: str, line: int, column: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint
        self.too_large = False


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as written."""

    line: int
    text: str
    plain: bool
    """Whether the value has no quotes, so that its form decides its type."""
    tag: str | None


@dataclass(slots=True, eq=False)
class SequenceNode:
    """A list; each item with its line."""

    line: int
    items: list[tuple[int, "Node"]] = field(default_factory=list)
    closed: bool = False


@dataclass(slots=True, eq=False)
class MappingNode:
    """A mapping; each entry with its key, the key's line, and its value."""

    line: int
    entries: list[tuple["Node", int, "Node"]] = field(default_factory=list)
    has_merge: bool = False
    closed: bool = False
    key: "Node | None" = None
    """The key whose value comes next."""
    key_line: int = 0


# Source: https://yaml.org/spec/1.2.2/#51-character-set
_NOT_PRINTABLE = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
)

Node = Scalar | SequenceNode | MappingNode


def compose(text: str) -> Node:
    """Return the tree of the only document in a text.

    Raises:
        Syntax: the text is not YAML, not a single document, or over the limits for a kit.
    """
    _require_printable(text)
    try:
        return _Composer().compose(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if slip := _slip_in(text, mark.line + 1 if mark else 1):
            raise slip from error
        message = " ".join(part for part in (error.problem, error.context) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "flow" in (error.context or "") and error.context_mark:
            line, column = error.context_mark.line + 1, error.context_mark.column + 1
            message = f"what begins here is not closed by ] or }} in time: {message}"
        hint = (
            "indent with spaces, not with tabs"
            if "\t" in _line_of(text, line)[:column]
            else _hint(message)
        )
        raise Syntax(f"not YAML: {message}", line, column, hint) from error
    except yaml.YAMLError as error:
        raise Syntax(f"not YAML: {error}", 1, 1) from error


def _require_printable(text: str) -> None:
    """Raise Syntax for control characters, for which the parsers report no line."""
    found = _NOT_PRINTABLE.search(text)
    if found:
        start = found.start()
        line = text.count("\n", 0, start) + 1
        column = start - text.rfind("\n", 0, start)
        message = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
        raise Syntax(message, line, column, "delete the character")


class _Composer:
    """Builds the tree, event by event."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node] = {}
        self._open: list[SequenceNode | MappingNode] = []
        self._root: Node | None = None
        self._documents = 0
        self._nodes = 0

    def compose(self, events: Iterator[yaml.Event]) -> Node:
        for event in events:
            self._take(event)
        if self._root is None:
            raise Syntax("the file is empty", 1, 1, "mealkit new NAME writes a kit to start from")
        return self._root

    def _take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise Syntax("a second document begins", line, column, "delete the --- line")
            case yaml.ScalarEvent():
                plain = event.style is None or event.style == ""
                self._add(
                    Scalar(line, event.value, plain, _tag(event, line, column)), event, column
                )
            case yaml.SequenceStartEvent():
                _tag(event, line, column)
                self._add(SequenceNode(line), event, column)
            case yaml.MappingStartEvent():
                _tag(event, line, column)
                self._add(MappingNode(line), event, column)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop().closed = True
            case yaml.AliasEvent():
                self._put(self._aliased(event.anchor or "", line, column), line)
            case _:
                pass

    def _aliased(self, anchor: str, line: int, column: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            hint = f"mark the part that you mean with &{anchor}, before this line"
            raise Syntax(f"the anchor &{anchor} does not exist", line, column, hint)
        if not isinstance(node, Scalar) and not node.closed:
            error = Syntax(f"*{anchor} is inside the part that &{anchor} marks", line, column)
            error.too_large = True
            raise error
        return node

    def _add(self, node: Node, event: yaml.NodeEvent, column: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_SOURCE_NODES:
            message = f"the file has more than {MAX_SOURCE_NODES} values"
            raise Syntax(message, node.line, column, "make the kit smaller")
        if event.anchor:
            self._anchors[event.anchor] = node
        self._put(node, node.line)
        if not isinstance(node, Scalar):
            self._open.append(node)
            if len(self._open) > MAX_DEPTH:
                message = f"the values nest deeper than {MAX_DEPTH} levels"
                raise Syntax(message, node.line, column, "use fewer levels")

    def _put(self, node: Node, line: int) -> None:
        """Add a node to the open part: as its item, key or value."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        match parent:
            case SequenceNode():
                parent.items.append((line, node))
            case MappingNode():
                if parent.key is None:
                    parent.key, parent.key_line = node, line
                    return
                if isinstance(parent.key, Scalar) and parent.key.plain and parent.key.text == "<<":
                    parent.has_merge = True
                parent.entries.append((parent.key, parent.key_line, node))
                parent.key = None
            case _:
                assert_never(parent)


_PREFIX = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(
    {
        "!",
        *(_PREFIX + name for name in ("str", "int", "float", "bool", "null", "map", "seq")),
    }
)


def _tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int, column: int) -> str | None:
    tag: str | None = event.tag
    if tag is None:
        return None
    if tag not in _KNOWN_TAGS:
        shown = tag.replace(_PREFIX, "!!")
        raise Syntax(f"the tag {shown} has no meaning in a kit", line, column, "delete the tag")
    return "str" if tag == "!" else tag.removeprefix(_PREFIX)


def _line_of(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if line <= len(lines) else ""


_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: .*)?$", re.MULTILINE)
_NO_SPACE = re.compile(r"^ *(?:- )?([a-z_]+):([A-Za-z0-9_.-]+)(?: +#.*)?$", re.MULTILINE)
_NO_COLON = re.compile(r"^ *(?:- )?([a-z_]+) +([A-Za-z0-9_.-]+)(?: +#.*)?$", re.MULTILINE)


# How far after a slip the parser may give up, in lines.
_SLIP_LINES = 2


def _slip_in(text: str, stopped: int) -> Syntax | None:
    """Return the slip of the pen for which a parser stopped; None if none is plain to see.

    The line where a parser stops is often after the slip.
    """
    for pattern, message, hint in (
        (
            _CONFLICT,
            "a mark of a merge conflict",
            "keep one of the two versions, without the marks",
        ),
        (_NO_SPACE, "a space is missing after the colon", "write {0}: {1}"),
        (_NO_COLON, "a colon is missing", "write {0}: {1}"),
    ):
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            if pattern is _CONFLICT or 0 <= stopped - line <= _SLIP_LINES:
                return Syntax(f"not YAML: {message}", line, 1, hint.format(*found.groups()))
    return None


def _hint(message: str) -> str | None:
    if "mapping values are not allowed" in message:
        return "put the value in quotes, or correct the indentation"
    if "could not find expected ':'" in message or "did not find expected key" in message:
        return "write `key: value`, indented like the lines around it"
    if "cannot start any token" in message or "scanning an alias" in message:
        return "put the value in quotes"
    return None
