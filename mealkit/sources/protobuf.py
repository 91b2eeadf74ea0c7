"""What the protocol buffer of an ONNX model tells: that it is one, and the files of its tensors.

Only tags and lengths are read; graphs and tensors are stepped over. Source: onnx/onnx.proto.
"""

from collections.abc import Iterator

from mealkit.sources.ranges import RangeReader

# Wire types, and the bytes of those that have a fixed size.
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
# GraphProto.node, initializer, sparse_initializer; SparseTensorProto.values, indices
_NODE, _INITIALIZER, _SPARSE_INITIALIZER, _SPARSE_TENSORS = 1, 5, 15, (1, 2)
# NodeProto.attribute; AttributeProto.t, tensors, g, graphs
_ATTRIBUTE, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, (5, 10), (6, 11)
# TensorProto.external_data; StringStringEntryProto.key, value
_EXTERNAL_DATA, _KEY, _VALUE = 13, 1, 2
# Graphs within graphs; deeper ones are not looked into.
_MAX_DEPTH = 32
_MAX_FIELDS = 100_000
_MAX_VARINT_BYTES = 10
_WINDOW_BYTES = 16 * 1024
# A graph is read whole: each window may cost a request.
_LARGE_WINDOW_BYTES = 1024 * 1024


def is_onnx(ranges: RangeReader) -> bool:
    """Tell whether a file consists of ModelProto's fields, among them a version and a graph."""
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
    """Return the files that keep a model's tensors, by the names that its graph has for them.

    Nothing is returned for what lies behind a place that is no protocol buffer.
    """
    walk = _Walk(ranges, _LARGE_WINDOW_BYTES)
    return frozenset(
        walk.text(*value)
        for graph in _within(walk, 0, ranges.size_bytes, _GRAPH)
        for tensor in _tensors(walk, graph, _MAX_DEPTH)
        for entry in _within(walk, *tensor, _EXTERNAL_DATA)
        if [walk.text(*key) for key in _within(walk, *entry, _KEY)] == ["location"]
        for value in _within(walk, *entry, _VALUE)
    )


def _tensors(walk: "_Walk", graph: tuple[int, int], depth: int) -> Iterator[tuple[int, int]]:
    """Yield a graph's tensors, and those of the graphs inside it."""
    yield from _within(walk, *graph, _INITIALIZER)
    for sparse in _within(walk, *graph, _SPARSE_INITIALIZER):
        for number in _SPARSE_TENSORS:
            yield from _within(walk, *sparse, number)
    for node in _within(walk, *graph, _NODE):
        for attribute in _within(walk, *node, _ATTRIBUTE):
            for number in _ATTRIBUTE_TENSORS:
                yield from _within(walk, *attribute, number)
            for number in _ATTRIBUTE_GRAPHS if depth else ():
                for inner in _within(walk, *attribute, number):
                    yield from _tensors(walk, inner, depth - 1)


def _within(walk: "_Walk", start: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """Yield where each field of a number begins and ends, in the message from start to end."""
    while start < end:
        walk.offset = start
        tag = walk.varint()
        if tag is None:
            return
        wire = tag & 7
        value = walk.varint() if wire in (_VARINT, _LENGTH) else _FIXED_BYTES.get(wire)
        if value is None:
            return
        begin = walk.offset
        start = begin if wire == _VARINT else begin + value
        if tag == number << 3 | _LENGTH and start <= end:
            yield begin, start


class _Walk:
    """A place in a file, read through a window."""

    def __init__(self, ranges: RangeReader, window_bytes: int = _WINDOW_BYTES) -> None:
        self.offset = 0
        self._ranges = ranges
        self._window_bytes = window_bytes
        self._window_at = 0
        self._window = b""

    def varint(self) -> int | None:
        """Read a varint and move behind it; None if there is none."""
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._byte()
            if byte is None:
                return None
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        return None

    def text(self, start: int, end: int) -> str:
        """Read a text; of a long one, as much as the window has."""
        inside = start - self._window_at
        if not 0 <= inside <= inside + end - start <= len(self._window):
            self._move(start)
            inside = 0
        return self._window[inside : inside + end - start].decode(errors="replace")

    def _byte(self) -> int | None:
        if not 0 <= self.offset - self._window_at < len(self._window):
            self._move(self.offset)
        if not self._window:
            return None
        self.offset += 1
        return self._window[self.offset - 1 - self._window_at]

    def _move(self, offset: int) -> None:
        self._window_at = offset
        self._window = self._ranges.read(offset, self._window_bytes)
