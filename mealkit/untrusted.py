"""Reads untrusted JSON and files, with limits that apply before memory or time is spent.

Rejects JSON that nests too deep, has too many values, names a member twice, or contains what the
format does not allow (NaN, infinite numbers, half a surrogate pair). Rejects files that are not
regular files, or that are larger than the caller allows. Imports only the standard library, because
it also runs in the image.

Everything here raises `UntrustedError`, a ``ValueError`` whose message is a sentence for people;
the caller adds a code of the catalogue and a place.
"""

import errno
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

MAX_DEPTH = 64
"""The default limit for the nesting depth of JSON."""
MAX_VALUES = 200_000
"""The default limit for the number of members and items of JSON."""

# A JSON string, complete or truncated; possessive, so that no byte is matched twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[^\[\]{}]+")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_REGULAR = "it is not a regular file"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STEP_BYTES = 1024 * 1024
# The rest of a slice after the end of a compressed stream is copied for the next stream. So slices
# are small: with large ones, a megabyte of 20-byte streams would copy gigabytes.
_SLICE_BYTES = 16 * 1024
_XZ_MEMORY_BYTES = 80 * 1024 * 1024


class UntrustedError(ValueError):
    """The input exceeds a limit or has the wrong format; the message says how."""

    def __init__(self, message: str, member: str | None = None) -> None:
        """``member``: the name that an object has twice."""
        super().__init__(message)
        self.member = member


def parse_json(
    data: bytes,
    *,
    max_depth: int = MAX_DEPTH,
    max_values: int = MAX_VALUES,
    as_python: bool = False,
    half_pairs: bool = False,
) -> Any:
    """Parse JSON (RFC 8259, UTF-8) in time and memory that are linear in its size.

    ``max_values`` counts commas and brackets outside of strings: at least half of the values. The
    caller limits the size of ``data``. A byte order mark is skipped, as the RFC allows.
    ``as_python`` is for files that Python's own json writes and reads, such as a model's
    config.json: NaN and infinite numbers are accepted, and the last of several equal members
    counts. ``half_pairs``: strings may contain half of a surrogate pair, because the caller checks
    for them itself.

    Raises:
        UntrustedError: the bytes are not JSON, exceed a limit, or have a member twice.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    _check_extent(data, max_depth, max_values)
    try:
        value = (_PLAIN if as_python else _STRICT).decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UntrustedError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UntrustedError(f"it is not JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise UntrustedError(f"it nests deeper than {max_depth}") from None
    except UntrustedError:
        raise
    except ValueError:
        # int() accepts at most 4300 digits.
        raise UntrustedError("it has a number with too many digits") from None
    if not half_pairs and _SURROGATE.search(data):
        _refuse_half_pairs(value)
    return value


def parse_json_object(
    data: bytes,
    *,
    max_depth: int = MAX_DEPTH,
    max_values: int = MAX_VALUES,
    as_python: bool = False,
) -> dict[str, Any]:
    """Parse JSON that must be an object; see `parse_json`.

    Raises:
        UntrustedError: as `parse_json`, or the value is not an object.
    """
    value = parse_json(data, max_depth=max_depth, max_values=max_values, as_python=as_python)
    if not isinstance(value, dict):
        raise UntrustedError("it is JSON, but not an object")
    return value


def read_file(path: Path, max_bytes: int, *, follow: bool = True) -> bytes:
    """Read a whole regular file of at most ``max_bytes``.

    Never waits for a FIFO or a device, and never reads more than ``max_bytes``, whatever the file's
    stated size. With ``follow=False`` the last part of the path must not be a link.

    Raises:
        UntrustedError: the path is not a regular file, or the file is too large.
        OSError: the file cannot be opened or read.
    """
    try:
        descriptor = open_regular(path, follow=follow)
    except OSError as error:
        if error.strerror == _NOT_REGULAR:
            raise UntrustedError(_NOT_REGULAR) from None
        raise
    try:
        data = bytearray()
        while chunk := os.read(descriptor, min(1 << 20, max_bytes + 1 - len(data))):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise UntrustedError(f"it is larger than {max_bytes} bytes")
    return bytes(data)


def open_regular(path: Path, *, follow: bool = True) -> int:
    """Open a regular file to read and return its descriptor; never waits for a FIFO or a device.

    With ``follow=False`` the last part of the path must not be a link.

    Raises:
        OSError: the file cannot be opened, or is not a regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags | (0 if follow else os.O_NOFOLLOW))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, _NOT_REGULAR, str(path))


def decompressed(
    chunks: Iterable[bytes | memoryview], how: Literal["xz", "gz"], max_bytes: int
) -> Iterator[bytes]:
    """Decompress chunks, and yield chunks of bounded size.

    Several compressed streams in a row count as one, as for ``xz`` and ``gzip``. Streams that need
    more than 80 MiB of memory to decompress are rejected: ``xz -9`` needs 65 MiB.

    Raises:
        UntrustedError: the data does not have this compression, is damaged or truncated, is
            followed by something else, or decompresses to more than ``max_bytes``.
    """
    left = max_bytes
    for plain in _unpacked(slices(chunks), _Xz if how == "xz" else _Gz):
        left -= len(plain)
        if left < 0:
            raise UntrustedError(f"it decompresses to more than {max_bytes} bytes")
        if plain:
            yield plain


def slices(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Split chunks into slices small enough for a decompressor to copy the rest of each."""
    for chunk in chunks:
        for start in range(0, len(chunk), _SLICE_BYTES):
            yield chunk[start : start + _SLICE_BYTES]


def shown(text: str, limit: int = 120) -> str:
    """Quote an untrusted string for a message: on one line, printable, and truncated.

    Control characters, line breaks and terminal sequences are escaped as in Python's ``repr``.
    """
    if len(text) <= limit:
        return repr(text)
    return f"{text[:limit]!r}... ({len(text)} characters)"


def _check_extent(data: bytes, max_depth: int, max_values: int) -> None:
    """Check depth and number of values against their limits, before any value is created."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") <= max_depth:
        return
    frame = _STRING.sub(b"", data)
    opened = frame.count(b"[") + frame.count(b"{")
    if frame.count(b",") + opened > max_values:
        raise UntrustedError(f"it has more than {max_values} values")
    if opened <= max_depth:
        return
    depth = 0
    for bracket in _BRACKETS.sub(b"", frame):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise UntrustedError(f"it nests deeper than {max_depth}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    form = dict(pairs)
    if len(form) == len(pairs):
        return form
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise UntrustedError(f"it has the member {shown(name)} twice", name)
        seen.add(name)
    raise AssertionError


def _refuse_constant(word: str) -> NoReturn:
    raise UntrustedError(f"{word} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise UntrustedError(f"the number {text[:40]} is too large")
    return value


# json.loads would create a decoder for each document.
_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)
_PLAIN = json.JSONDecoder()


def _refuse_half_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UntrustedError("it has a string with half a surrogate pair") from None


class _Xz:
    """One stream of xz; ``rest`` is the unused input, ``waits`` is true if more output is ready."""

    def __init__(self) -> None:
        import lzma  # noqa: PLC0415  late: code in the image does not need it

        self._error = lzma.LZMAError
        self._reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        self.rest, self.waits, self.ended = b"", False, False

    def step(self, data: bytes) -> bytes:
        try:
            plain = self._reader.decompress(data, _STEP_BYTES)
        except self._error as error:
            raise UntrustedError(f"it is not complete xz data: {error}") from None
        self.ended = self._reader.eof
        self.waits = not (self.ended or self._reader.needs_input)
        self.rest = self._reader.unused_data if self.ended else b""
        return plain


class _Gz:
    """One stream of gzip, with the same interface as `_Xz`."""

    def __init__(self) -> None:
        import zlib  # noqa: PLC0415  as above

        self._error = zlib.error
        self._reader = zlib.decompressobj(wbits=31)
        self.rest, self.waits, self.ended = b"", False, False

    def step(self, data: bytes) -> bytes:
        try:
            plain = self._reader.decompress(data, _STEP_BYTES)
        except self._error as error:
            raise UntrustedError(f"it is not complete gz data: {error}") from None
        self.ended = self._reader.eof
        self.waits = not self.ended and len(plain) == _STEP_BYTES
        self.rest = self._reader.unused_data if self.ended else self._reader.unconsumed_tail
        return plain


def _unpacked(chunks: Iterable[bytes | memoryview], kind: type[_Xz] | type[_Gz]) -> Iterator[bytes]:
    stream: _Xz | _Gz | None = kind()
    for chunk in chunks:
        data = bytes(chunk)
        while data or (stream is not None and stream.waits):
            if stream is None:
                # Padding with zeros is allowed between and after streams.
                data = data.lstrip(b"\0")
                stream = kind() if data else None
                continue
            yield stream.step(data)
            data = stream.rest
            stream = None if stream.ended else stream
    if stream is not None:
        raise UntrustedError("its compressed data ends early")
