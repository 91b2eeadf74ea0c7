"""Detects the protocol buffer of an ONNX model, and finds the files of its tensors.

It reads only tags and lengths, and skips graphs and tensors. Raises UntrustedError for more content
than real graphs have. Source: onnx/onnx.proto.
"""

import re

from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import UntrustedError

# Wire types, and the sizes of those with a fixed size.
_VARINT, _LENGTH = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
# The fields of ModelProto and their wire types.
_FIELDS = {
    1: _VARINT,  # ir_version
    2: _LENGTH,  # producer_name
    3: _LENGTH,  # producer_version
    4: _LENGTH,  # domain
    5: _VARINT,  # model_version
    6: _LENGTH,  # doc_string
    7: _LENGTH,  # graph
    8: _LENGTH,  # opset_import
    14: _LENGTH,  # metadata_props
    20: _LENGTH,  # training_info
    25: _LENGTH,  # functions
    26: _LENGTH,  # configuration
}
_GRAPH, _IR_VERSION = 7, 1
_GRAPH, _IR_VERSION = 7, 1
# The messages on the path to the names of files, each with the fields to follow. GraphProto: node,
# initializer, sparse_initializer; NodeProto: attribute; AttributeProto: t, g, tensors, graphs;
# SparseTensorProto: values, indices; TensorProto: external_data.
_LEADS_TO: dict[str, dict[int, str]] = {
    "model": {_GRAPH: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
# StringStringEntryProto: key, value
_KEY, _VALUE = 1, 2
# The limit for nested messages: some 30 nested graphs. Deeper ones are not read.
_MAX_DEPTH = 100
_MAX_FIELDS = 20_000
# Large graphs have some 50,000 nodes of a dozen fields. A field with a head of two bytes counts as
# one step, any other as three, because it takes three times as long.
_MAX_STEPS = 2_500_000
_SLOW_STEPS = 3
_MAX_WINDOWS = 40_000
_MAX_NAME_BYTES = 4096
_MAX_FILES = 10_000
_MAX_VARINT_BYTES = 10
_VARINT_BYTES = re.compile(rb"[\x80-\xff]{0,9}+[\x00-\x7f]")
# A window grows as long as it is read to its end, because each may cost a request.
_WINDOW_BYTES = 16 * 1024
_LARGE_WINDOW_BYTES = 1024 * 1024


def is_onnx(ranges: RangeReader) -> bool:
    """Return whether a file consists of ModelProto's fields, with a version and a graph."""
    walk = _Walk(ranges)
    seen: set[int] = set()
    for _ in range(_MAX_FIELDS):
        if walk.offset == ranges.size_bytes:
            return {_GRAPH, _IR_VERSION} <= seen
        tag = walk.varint()
        if tag is None or _FIELDS.get(tag >> 3) != tag & 7:
            return False
        seen.add(tag >> 3)
        value = walk.varint()
        if value is None:
            return False
        if tag & 7 == _LENGTH:
            walk.offset += value
        if walk.offset > ranges.size_bytes:
            return False
    return False


def external_files(ranges: RangeReader) -> frozenset[str]:
    """Return the names of the files with a model's tensors, as its graph states them.

    It reads the file once, from start to end. Anything after bytes that are not a protocol buffer
    is ignored.

    Raises:
        UntrustedError: the graph contains far more than real graphs do.
    """
    walk = _Walk(ranges)
    names: set[str] = set()
    within = [("model", ranges.size_bytes)]
    while within:
        message, end = within[-1]
        if walk.offset >= end:
            within.pop()
            continue
        field = walk.field(end)
        if field is None:
            walk.offset = within.pop()[1]
            continue
        number, stop = field
        inner = _LEADS_TO[message].get(number)
        if inner is None or len(within) > _MAX_DEPTH:
            walk.offset = stop
        elif inner == "entry":
            names |= _location(walk, stop)
            if len(names) > _MAX_FILES:
                raise UntrustedError(f"its graph names more than {_MAX_FILES} files")
        else:
            within.append((inner, stop))
    return frozenset(names)


def _location(walk: "_Walk", end: int) -> set[str]:
    """Read an entry of external_data; return its value if it is the data's location."""
    keys: list[str] = []
    values: set[str] = set()
    while walk.offset < end:
        field = walk.field(end)
        if field is None:
            break
        number, stop = field
        if number in (_KEY, _VALUE):
            text = walk.text(stop)
            if number == _KEY:
                keys.append(text)
            else:
                values.add(text)
        walk.offset = stop
    walk.offset = end
    return values if keys == ["location"] else set()


class _Walk:
    """A position in a file, which is read through a window that moves forwards."""

    def __init__(self, ranges: RangeReader) -> None:
        self.offset = 0
        self._ranges = ranges
        self._window_at = 0
        self._window = b""
        self._next_bytes = _WINDOW_BYTES
        self._windows = 0
        self._steps = 0

    def varint(self) -> int | None:
        """Read a varint and move past it; return None if it is not valid."""
        inside = self.offset - self._window_at
        if not 0 <= inside <= len(self._window) - _MAX_VARINT_BYTES:
            self._move()
            inside = 0
        found = _VARINT_BYTES.match(self._window, inside)
        if found is None:
            return None
        taken = found[0]
        self.offset += len(taken)
        if len(taken) == 1:
            return taken[0]
        value = 0
        for byte in reversed(taken):
            value = value << 7 | byte & 0x7F
        return value

    def field(self, end: int) -> tuple[int, int] | None:
        """Read a field's head; return its number and its end, 0 if it is not a message.

        The position is then at the start of its content. Returns None if the head is not valid, or
        the field extends beyond ``end``.
        """
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise UntrustedError(f"its graph takes more than {_MAX_STEPS} steps to read")
        inside = self.offset - self._window_at
        head = self._window[inside : inside + 2]
        # Most fields have a head of two bytes; there may be millions.
        if len(head) == 2 and head[0] < 0x80 and head[0] & 7 == _LENGTH and head[1] < 0x80:
            self.offset += 2
            stop = self.offset + head[1]
            return (head[0] >> 3, stop) if stop <= end else None
        self._steps += _SLOW_STEPS - 1
        tag = self.varint()
        if tag is None:
            return None
        wire = tag & 7
        value = self.varint() if wire in (_VARINT, _LENGTH) else _FIXED_BYTES.get(wire)
        if value is None:
            return None
        stop = self.offset if wire == _VARINT else self.offset + value
        if stop > end:
            return None
        return (tag >> 3 if wire == _LENGTH else 0), stop

    def text(self, end: int) -> str:
        """Read a text up to ``end``; if it is too long for a name, only its start."""
        length = min(end - self.offset, _MAX_NAME_BYTES)
        inside = self.offset - self._window_at
        if not 0 <= inside <= inside + length <= len(self._window):
            self._move()
            inside = 0
        return self._window[inside : inside + length].decode(errors="replace")

    def _move(self) -> None:
        self._windows += 1
        if self._windows > _MAX_WINDOWS:
            raise UntrustedError(f"its graph is spread over more than {_MAX_WINDOWS} pieces")
        read_through = self.offset == self._window_at + len(self._window)
        self._next_bytes = (
            min(2 * self._next_bytes, _LARGE_WINDOW_BYTES) if read_through else _WINDOW_BYTES
        )
        self._window_at = self.offset
        self._window = self._ranges.read(self.offset, self._next_bytes)
