"""Whether a file is an ONNX model, told by walking the top level of its protocol buffer."""

from mealkit.sources.ranges import RangeReader

# The fields of ModelProto and their wire types. Source: onnx/onnx.proto, message ModelProto.
_VARINT, _LENGTH = 0, 2
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
_MAX_FIELDS = 100_000
_MAX_VARINT_BYTES = 10
_WINDOW_BYTES = 16 * 1024


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


class _Walk:
    """A place in a file, read through a window."""

    def __init__(self, ranges: RangeReader) -> None:
        self.offset = 0
        self._ranges = ranges
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

    def _byte(self) -> int | None:
        inside = self.offset - self._window_at
        if not 0 <= inside < len(self._window):
            self._window_at, inside = self.offset, 0
            self._window = self._ranges.read(self.offset, _WINDOW_BYTES)
        if not self._window:
            return None
        self.offset += 1
        return self._window[inside]
