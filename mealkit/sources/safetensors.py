"""The header of a safetensors file: which tensors, of which type, and where.

Refuses a header that contradicts itself or the file's size.
Source: the format's description in safetensors' README ("Format").
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.sources.ranges import RangeReader

# The format's own limit.
MAX_HEADER_BYTES = 100_000_000
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
    """What a header holds."""

    parameters: int
    by_name: Mapping[str, tuple[str, int]]
    """The dtype and the bytes of every tensor."""


def read_safetensors(name: str, ranges: RangeReader) -> Tensors:
    """Return a safetensors file's tensors; nothing but its header is read.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED``.
    """
    prefix = ranges.read(0, 8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(MAX_HEADER_BYTES, ranges.size_bytes - 8):
        raise _damaged(
            name, f"a header of {length} bytes does not fit into {ranges.size_bytes} bytes"
        )
    try:
        header = json.loads(ranges.read(8, length), object_pairs_hook=_unique)
        header.pop("__metadata__", None)
        spans = {name: _span(tensor) for name, tensor in header.items()}
        parameters = sum(math.prod(tensor["shape"]) for tensor in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(name, f"the header is not sound: {error}") from error
    end = 0
    for start, stop, _ in sorted(spans.values()):
        if start != end:
            raise _damaged(name, f"tensor data has a hole or an overlap at offset {end}")
        end = stop
    if end != ranges.size_bytes - 8 - length:
        raise _damaged(
            name,
            f"tensors take {end} bytes, the file holds {ranges.size_bytes - 8 - length}",
        )
    by_name = {key: (dtype, stop - start) for key, (start, stop, dtype) in spans.items()}
    return Tensors(parameters, by_name)


def _span(tensor: dict[str, Any]) -> tuple[int, int, str]:
    start, stop = tensor["data_offsets"]
    shape, dtype = tensor["shape"], tensor["dtype"]
    numbers = [start, stop, *shape]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("offsets and shapes are not whole numbers")
    if (stop - start) * 8 != math.prod(shape) * _BITS[dtype]:
        raise ValueError(f"a tensor of {dtype}{shape} has {stop - start} bytes")
    return start, stop, dtype


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _damaged(name: str, message: str) -> MealkitError:
    return failure("WEIGHTS_DAMAGED", f"{name}: {message}", where=name)
