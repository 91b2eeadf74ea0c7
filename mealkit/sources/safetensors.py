"""Reads the header of a safetensors file: its tensors, their types and offsets.

Raises SourceError for a header that contradicts itself or the file's size, or that has far more
tensors than models have. Source: the format's description in safetensors' README ("Format").
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import UntrustedError, parse_json_object, shown

# The format's own limit.
MAX_HEADER_BYTES = 100_000_000
_MAX_TENSORS = 200_000
_MAX_NAME_CHARACTERS = 16_000_000
# The maximum of numpy and torch.
_MAX_DIMENSIONS = 64
# A header is read in pieces of this size; a member, such as a complete training log in
# __metadata__, must fit into a few.
_PIECE_BYTES = 1024 * 1024
_MAX_MEMBER_BYTES = 8 * 1024 * 1024
_MAX_PIECE_VALUES = 400_000
# Any number of complete members: a name and an object without nested objects. Possessive, so that
# no byte is examined twice.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_MEMBERS = re.compile(
    rb"(?:\s*+" + _STRING + rb"\s*+:\s*+"
    rb"(?:null|\{[^{}\"]*+(?:" + _STRING + rb'[^{}"]*+)*+\})\s*+,)*+',
    re.DOTALL,
)
_OPENS = re.compile(rb"\s*+\{")
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True, slots=True)
class Tensors:
    """The content of a header."""

    parameters: int
    by_name: Mapping[str, tuple[str, int]]
    """The dtype and the bytes of every tensor."""


def read_safetensors(name: str, ranges: RangeReader) -> Tensors:
    """Return a safetensors file's tensors; reads only its header.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED``.
    """
    prefix = ranges.read(0, 8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(MAX_HEADER_BYTES, ranges.size_bytes - 8):
        raise _damaged(
            name, f"a header of {length} bytes does not fit into {ranges.size_bytes} bytes"
        )
    spans: dict[str, tuple[int, int, str]] = {}
    parameters, name_characters = 0, 0
    try:
        for members in _pieces(ranges, 8 + length):
            _require_new(spans, members)
            name_characters += sum(map(len, members))
            if name_characters > _MAX_NAME_CHARACTERS:
                raise UntrustedError(f"names take more than {_MAX_NAME_CHARACTERS} characters")
            spans |= {key: _span(key, tensor) for key, tensor in members.items()}
            parameters += sum(math.prod(tensor["shape"]) for tensor in members.values())
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(name, f"the header is not valid: {error}") from error
    end = 0
    for start, stop, _ in sorted(spans.values()):
        if start != end:
            raise _damaged(name, f"tensor data has a hole or an overlap at offset {end}")
        end = stop
    if end != ranges.size_bytes - 8 - length:
        raise _damaged(
            name,
            f"tensors take {end} bytes, the file has {ranges.size_bytes - 8 - length}",
        )
    by_name = {key: (dtype, stop - start) for key, (start, stop, dtype) in spans.items()}
    return Tensors(parameters, by_name)


def _pieces(ranges: RangeReader, end: int) -> Iterator[dict[str, Any]]:
    """Yield a header's tensors, in batches of those that are complete in a piece.

    Raises:
        UntrustedError: the header is not JSON, or exceeds a limit.
    """
    offset, rest, seen = 8, b"", False
    while offset < end:
        # The size grows, so that a member that spans pieces is not examined again for each piece.
        piece = ranges.read(offset, min(max(_PIECE_BYTES, len(rest)), end - offset))
        opens = _OPENS.match(piece) if offset == 8 else None
        if not piece or (offset == 8 and opens is None):
            raise UntrustedError("it is not a JSON object")
        offset += len(piece)
        rest += piece[opens.end() :] if opens else piece
        whole = _MEMBERS.match(rest)
        if whole is not None and whole.end():
            seen = True
            yield _tensors(b"{" + rest[: whole.end() - 1] + b"}")
            rest = rest[whole.end() :]
        if len(rest) > _MAX_MEMBER_BYTES:
            raise UntrustedError(f"a member is larger than {_MAX_MEMBER_BYTES} bytes")
    last = _tensors(b"{" + rest)
    if seen and not last and b":" not in rest:
        raise UntrustedError("it ends with a comma")
    yield last


def _tensors(text: bytes) -> dict[str, Any]:
    members = parse_json_object(text, max_values=_MAX_PIECE_VALUES)
    members.pop("__metadata__", None)
    return members


def _require_new(spans: Mapping[str, object], members: Mapping[str, object]) -> None:
    if len(spans) + len(members) > _MAX_TENSORS:
        raise UntrustedError(f"it has more than {_MAX_TENSORS} tensors")
    twice = spans.keys() & members.keys()
    if twice:
        raise UntrustedError(f"it has the member {shown(min(twice))} twice")


def _span(name: str, tensor: dict[str, Any]) -> tuple[int, int, str]:
    start, stop = tensor["data_offsets"]
    shape, dtype = tensor["shape"], tensor["dtype"]
    if len(shape) > _MAX_DIMENSIONS:
        raise UntrustedError(f"{shown(name)} has {len(shape)} dimensions")
    numbers = [start, stop, *shape]
    if not all(type(number) is int and 0 <= number < 2**64 for number in numbers):
        raise UntrustedError(f"offsets and shape of {shown(name)} are not whole numbers")
    if dtype not in _BITS:
        raise UntrustedError(f"the dtype of {shown(name)} is {shown(str(dtype))}")
    if (stop - start) * 8 != math.prod(shape) * _BITS[dtype]:
        raise UntrustedError(f"{shown(name)} is {dtype}{shape} and has {stop - start} bytes")
    return start, stop, dtype


def _damaged(name: str, message: str) -> MealkitError:
    return failure("WEIGHTS_DAMAGED", f"{name}: {message}", where=name)
