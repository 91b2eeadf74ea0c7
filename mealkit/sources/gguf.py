"""Reads the header of a GGUF file: the model's metadata and its tensors.

Raises SourceError for a header that contradicts itself or the file's size, that contains far more
than models have, or that is not version 2 or 3. Source: docs/gguf.md and ggml.h of ggml.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from mealkit.errors import MealkitError, failure
from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import shown

# Limits for the header: its bytes, and the number of its parts. Large vocabularies have some
# 800,000 texts with their merges, large mixtures of experts some 100,000 tensors.
_MAX_HEADER_BYTES = 512 * 1024 * 1024
_MAX_ENTRIES = 20_000
_MAX_TENSORS = 200_000
_MAX_TEXTS = 4_000_000
# The format's own limits.
_MAX_KEY_BYTES = 65_535
_MAX_NAME_BYTES = 64 * 1024
_MAX_DIMENSIONS = 8
# Metadata up to this size is kept; of longer values only the length. The longest texts are chat
# templates, of up to some 20 kB, and licences.
_KEPT_ARRAY = 4096
_KEPT_TEXT_BYTES = 256 * 1024
_MAX_KEPT_BYTES = 4 * 1024 * 1024
_OBJECT_BYTES = 8
_CHUNK_BYTES = 256 * 1024
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_TENSOR_TAIL_BYTES = struct.calcsize("<IQ")
# ggml's tensor types: name, numbers in a block, bytes of a block.
_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}


@dataclass(frozen=True, slots=True)
class ArrayLength:
    """The length of an array or a text in the metadata that is not kept."""

    length: int


Value = int | float | bool | str | tuple[int | float | bool, ...] | ArrayLength


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata, and the totals of the tensors."""

    metadata: Mapping[str, Value]
    parameters: int
    bytes_by_dtype: Mapping[str, int]


def read_gguf(name: str, ranges: RangeReader) -> GgufHeader:
    """Return a GGUF file's metadata and totals; reads only its header.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED``, or ``WEIGHTS_FORMAT`` for another version.
    """
    cursor = _Cursor(name, ranges)
    cursor.take(4)
    version = cursor.number("<I")
    if version not in (2, 3):
        raise failure("WEIGHTS_FORMAT", f"{name} is GGUF version {version}, not 2 or 3", where=name)
    tensors, entries = int(cursor.number("<Q")), int(cursor.number("<Q"))
    if tensors > _MAX_TENSORS or entries > _MAX_ENTRIES:
        raise cursor.damaged(f"states {tensors} tensors and {entries} entries")
    metadata: dict[str, Value] = {}
    for _ in range(entries):
        key = cursor.text(_MAX_KEY_BYTES)
        if key in metadata:
            raise cursor.damaged(f"{shown(key)} occurs twice")
        metadata[key] = cursor.value(int(cursor.number("<I")))
    return _with_tensors(cursor, tensors, metadata, ranges.size_bytes)


def _with_tensors(
    cursor: "_Cursor", tensors: int, metadata: dict[str, Value], size_bytes: int
) -> GgufHeader:
    parameters, total_bytes, end = 0, 0, 0
    sizes: dict[str, int] = {}
    for _ in range(tensors):
        kind, count, offset = _tensor(cursor)
        dtype, block, block_bytes = _TYPES[kind]
        if count % block:
            raise cursor.damaged(
                f"a tensor of {count} numbers does not consist of whole {dtype} blocks"
            )
        tensor_bytes = count // block * block_bytes
        parameters += count
        sizes[dtype] = sizes.get(dtype, 0) + tensor_bytes
        total_bytes += tensor_bytes
        # Tensors cannot share bytes, so together they are at most as long as the data.
        end = max(end, offset + tensor_bytes, total_bytes)
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment <= 0:
        raise cursor.damaged(f"alignment {alignment} is not valid")
    start = -(-cursor.offset // alignment) * alignment
    if tensors and start + end > size_bytes:
        raise cursor.damaged(f"tensors end at {start + end}, the file at {size_bytes} bytes")
    return GgufHeader(metadata, parameters, sizes)


def _tensor(cursor: "_Cursor") -> tuple[int, int, int]:
    """Read a tensor's entry in the header: its type, the count of its numbers, its offset."""
    cursor.skip(cursor.length(_MAX_NAME_BYTES))
    dimensions = int(cursor.number("<I"))
    if dimensions > _MAX_DIMENSIONS:
        raise cursor.damaged(f"a tensor has {dimensions} dimensions")
    *extents, kind, offset = struct.unpack(
        f"<{dimensions}QIQ", cursor.take(8 * dimensions + _TENSOR_TAIL_BYTES)
    )
    if kind not in _TYPES:
        raise cursor.damaged(f"tensor type {kind} is unknown")
    return kind, math.prod(extents), offset


class _Cursor:
    """A position in a header, which is read piece by piece; raises at the end of the file."""

    def __init__(self, name: str, ranges: RangeReader) -> None:
        self._name = name
        self._ranges = ranges
        self._end = min(ranges.size_bytes, _MAX_HEADER_BYTES)
        self._window = b""
        self._window_at = 0
        self._texts = 0
        self._kept_bytes = 0
        self.offset = 0

    def damaged(self, message: str) -> MealkitError:
        return failure("WEIGHTS_DAMAGED", f"{self._name}: {message}", where=self._name)

    def take(self, length: int) -> bytes:
        """Read bytes; the caller has checked their number."""
        inside = self.offset - self._window_at
        if inside + length > len(self._window):
            self._require(length)
            self._window = self._ranges.read(self.offset, max(length, _CHUNK_BYTES))
            self._window_at, inside = self.offset, 0
        self.offset += length
        return self._window[inside : inside + length]

    def skip(self, length: int) -> None:
        """Skip bytes without reading them."""
        self._require(length)
        self.offset += length
        if self.offset - self._window_at > len(self._window):
            self._window, self._window_at = b"", self.offset

    def number(self, form: str) -> int | float | bool:
        found: int | float | bool = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return found

    def length(self, most: int) -> int:
        """Read the length of a text, and check it against a limit."""
        length = int(self.number("<Q"))
        if length > most:
            raise self.damaged(f"a name of {length} bytes is longer than {most}")
        return length

    def text(self, most: int) -> str:
        length = self.length(most)
        self._keep(length)
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Value:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self._text_value()
        if kind == _ARRAY:
            return self._array()
        raise self.damaged(f"metadata type {kind} is unknown")

    def _text_value(self) -> Value:
        length = int(self.number("<Q"))
        if length > min(_KEPT_TEXT_BYTES, _MAX_KEPT_BYTES - self._kept_bytes):
            self.skip(length)
            return ArrayLength(length)
        self._keep(length)
        return self.take(length).decode("utf-8", "replace")

    def _array(self) -> Value:
        kind, length = int(self.number("<I")), int(self.number("<Q"))
        if kind in _SCALARS:
            return self._numbers(_SCALARS[kind], length)
        if kind != _STRING:
            raise self.damaged(f"an array of type {kind} is not known")
        self._texts += length
        if self._texts > _MAX_TEXTS:
            raise self.damaged(f"it has {self._texts} texts, more than {_MAX_TEXTS}")
        self._skip_texts(length)
        return ArrayLength(length)

    def _numbers(self, form: str, length: int) -> Value:
        size_bytes = length * struct.calcsize(form)
        if length > _KEPT_ARRAY:
            self.skip(size_bytes)
            return ArrayLength(length)
        # As Python objects they take more memory than in the file.
        self._keep(_OBJECT_BYTES * length)
        return struct.unpack(f"<{length}{form[1]}", self.take(size_bytes))

    def _skip_texts(self, count: int) -> None:
        """Skip texts. There may be millions, so the texts in the window are handled in one loop."""
        unpack = struct.Struct("<Q").unpack_from
        while count:
            inside, last = self.offset - self._window_at, len(self._window) - 8
            while count and inside <= last:
                inside += 8 + unpack(self._window, inside)[0]
                count -= 1
            self.skip(self._window_at + inside - self.offset)
            if count:
                # Read the following bytes again, which are at least the length of the next text.
                self._require(8)
                self._window = self._ranges.read(self.offset, _CHUNK_BYTES)
                self._window_at = self.offset

    def _keep(self, size_bytes: int) -> None:
        self._kept_bytes += size_bytes
        if self._kept_bytes > _MAX_KEPT_BYTES:
            raise self.damaged(f"its metadata takes more than {_MAX_KEPT_BYTES} bytes")

    def _require(self, length: int) -> None:
        if self.offset + length > self._end:
            raise self.damaged(
                f"the header extends to {self.offset + length} bytes, but must end at {self._end}"
            )
