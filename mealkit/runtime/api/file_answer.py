"""Answers with a file itself instead of JSON, if the kit returns one file and the caller asks so.

The caller asks with ``Accept``: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1. JSON is the
answer to ``*/*``, which many clients send by default.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mealkit.runtime.api.file_schema import OUTPUT_MARK

JSON_TYPE = "application/json"
ANY_BYTES = "application/octet-stream"
"""The type with which a caller asks for a file of whatever type."""

_NAME_RULE = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_RANGE = re.compile(rf"\s*({_NAME_RULE}|\*(?=/\*))/({_NAME_RULE}|\*)\s*(?:;(.*))?", re.DOTALL)
_QUALITY = re.compile(
    r"(?:^|;)\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE
)
_DATA_URL = re.compile(rf"data:({_NAME_RULE}/{_NAME_RULE});base64,")
_MOST_RANGES = 50


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """A file as an answer."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The types that a caller accepts."""

    ranges: tuple[tuple[str, str, float], ...]

    @classmethod
    def of(cls, header: str) -> Self:
        """Read a header; parts that are none are ignored."""
        found = []
        for text in header.split(",")[:_MOST_RANGES]:
            if match := _RANGE.fullmatch(text):
                quality = _QUALITY.search(match[3] or "")
                found.append(
                    (match[1].lower(), match[2].lower(), float(quality[1]) if quality else 1.0)
                )
        return cls(tuple(found))

    def quality(self, media_type: str) -> float:
        """Return how much a type is wanted, from 0 to 1: the most specific range decides."""
        main, _, sub = media_type.partition("/")
        for wanted in ((main, sub), (main, "*"), ("*", "*")):
            for kind, detail, quality in self.ranges:
                if (kind, detail) == wanted:
                    return quality
        return 0.0 if self.ranges else 1.0

    def wants(self, media_type: str) -> bool:
        """Return whether a file of this type is wanted more than JSON."""
        wanted = max(self.quality(media_type), self._exactly(ANY_BYTES))
        return wanted > self.quality(JSON_TYPE)

    @property
    def takes_json(self) -> bool:
        """Return whether an answer in JSON is accepted."""
        return self.quality(JSON_TYPE) > 0

    def _exactly(self, media_type: str) -> float:
        main, _, sub = media_type.partition("/")
        return max(
            (q for kind, detail, q in self.ranges if (kind, detail) == (main, sub)), default=0
        )


def gives_file(prediction: Mapping[str, Any] | None) -> bool:
    """Return whether a kit's output is one file, perhaps among others things that it may be."""
    output = (prediction or {}).get("output")
    if not isinstance(output, Mapping):
        return False
    ways = output.get("anyOf")
    return any(
        isinstance(way, Mapping) and way.get(OUTPUT_MARK) is True
        for way in (output, *(ways if isinstance(ways, list) else ()))
    )


def file_of(body: bytes) -> FileAnswer | None:
    """Return the file in a worker's whole answer; None if its output is something else."""
    output = json.loads(body).get("output")
    match = _DATA_URL.match(output) if isinstance(output, str) else None
    if match is None:
        return None
    try:
        data = base64.b64decode(output[match.end() :], validate=True)
    except (ValueError, binascii.Error):
        return None
    return FileAnswer(match[1].lower(), data)
