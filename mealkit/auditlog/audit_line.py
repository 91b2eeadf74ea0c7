"""One line of the audit log: JSON whose last member is a code over the line and the one before.

A line is ``{"kind":...,"n":...,...,"code":"..."}`` in ASCII. Its code is HMAC-SHA-256 of the code
before and of the line's bytes up to ``,"code":``. So the bytes are checked as they are, and no two
spellings of a line are valid.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from json import JSONEncoder
from typing import Any

from mealkit.untrusted import UntrustedError, parse_json_object

CODE_BYTES = 32
NO_CODE = bytes(CODE_BYTES)
"""What is before the first line of a chain."""

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is read; the longest that is written is shorter."""

ZERO_CODE = NO_CODE.hex()
_BEFORE_CODE = b',"code":"'
_AFTER_CODE = b'"}'
TAIL_BYTES = len(_BEFORE_CODE) + 2 * CODE_BYTES + len(_AFTER_CODE)
_WHOLE = re.compile(rb'\{"kind":"[a-z_]{1,20}".*,"code":"[0-9a-f]{64}"\}', re.DOTALL)

# ASCII only: no text of a caller can look like a second line, or reach a terminal as it is.
_encode = JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Return fields as they are written in a line, without its braces."""
    return _encode(fields)[1:-1].encode("ascii")


def unsigned(kind: str, number: int, fields: bytes) -> bytes:
    """Return a line without its code."""
    return b'{"kind":"%b","n":%d,%b' % (kind.encode(), number, fields)


def tail_of(code: bytes) -> bytes:
    """Return the end of a line with this code, without its line feed."""
    return b'%b%b"}' % (_BEFORE_CODE, code.hex().encode())


def is_whole(line: bytes) -> bool:
    """Return whether a line has the form of a whole one: a half line has no code."""
    return _WHOLE.fullmatch(line) is not None


def begins_whole(data: bytes) -> bool:
    """Return whether data begin with a line of this form."""
    return _WHOLE.match(data) is not None


@dataclass(frozen=True, slots=True)
class Torn:
    """Bytes that a killed process has left behind: a half line."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "Torn":
        """Describe these bytes."""
        return cls(len(data), sha256(data).hexdigest())


def parsed(line: bytes) -> dict[str, Any] | None:
    """Parse a line of any origin; None if it is not an object with ``kind`` and ``n``."""
    try:
        form = parse_json_object(line, max_depth=8, max_values=1000)
    except UntrustedError:
        return None
    number, kind = form.get("n"), form.get("kind")
    if type(number) is not int or not isinstance(kind, str) or not 0 < number < 1 << 63:
        return None
    return form


def text_field(form: Mapping[str, Any], name: str) -> str:
    """Return a member that should be text; empty if it is not."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def number_field(form: Mapping[str, Any], name: str) -> int:
    """Return a member that should be a whole number; 0 if it is not."""
    value = form.get(name)
    return value if type(value) is int else 0
