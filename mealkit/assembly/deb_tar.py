"""Read the headers of a tar inside a Debian package, as dpkg does: from a file, bounded, strictly.

Refuses what dpkg refuses (pax headers, sparse files), names with control characters or too long,
one name twice, more members than a package may have, and bytes behind the end.
Format: tar(5), ustar and GNU; long names as GNU tar writes them.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import BinaryIO

from mealkit.untrusted import UntrustedError, shown

_BLOCK_BYTES = 512
_MAGIC = {b"ustar\x0000": "ustar", b"ustar  \0": "gnu"}
_MOST_NAME_BYTES = 4096
_MOST_MEMBERS = 150_000
_MOST_NUMBER = 1 << 48
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
_ZEROS = bytes(_BLOCK_BYTES)
_CHECKSUM = slice(148, 156)
_LONG_NAME, _LONG_TARGET = b"L", b"K"
_READ_BYTES = 1024 * 1024


class MemberKind(Enum):
    """What a member is; there are no others in a package."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    FOLDER = b"5"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the archive; its bytes begin at ``offset``."""

    name: str
    kind: MemberKind
    mode: int
    size_bytes: int
    offset: int
    target: str


def members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of a plain tar, from where the stream is to its end.

    Raises:
        UntrustedError: it is damaged, or has what a package may not have.
    """
    seen: set[str] = set()
    long: dict[bytes, str] = {}
    while (header := _header(stream)) is not None:
        kind, size_bytes = header[156:157], _number(header[124:136])
        if kind in {_LONG_NAME, _LONG_TARGET}:
            if kind in long:
                raise UntrustedError("it has two long names for one member")
            long[kind] = _long_name(stream, size_bytes)
            continue
        member = _member(header, size_bytes, stream.tell(), long)
        long = {}
        path = str(PurePosixPath(member.name))
        if path in seen:
            raise UntrustedError(f"it has {shown(member.name)} twice")
        if len(seen) == _MOST_MEMBERS:
            raise UntrustedError(f"it has more than {_MOST_MEMBERS} members")
        seen.add(path)
        yield member
        _skip(stream, member.size_bytes + -member.size_bytes % _BLOCK_BYTES)
    if long:
        raise UntrustedError("it ends with a long name")


def _header(stream: BinaryIO) -> bytes | None:
    """Read the next header; None at the end, behind which there are zeros alone."""
    header = stream.read(_BLOCK_BYTES)
    if header == _ZEROS:
        for chunk in iter(lambda: stream.read(_READ_BYTES), b""):
            if chunk.count(0) != len(chunk):
                raise UntrustedError("something follows its end")
        return None
    if len(header) != _BLOCK_BYTES:
        raise UntrustedError("its tar ends early")
    stated = _number(header[_CHECKSUM])
    plain = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if sum(plain) != stated:
        raise UntrustedError("it has a damaged header")
    if header[257:265] not in _MAGIC:
        raise UntrustedError("its tar is not of a format that Debian's archive uses")
    return header


def _member(header: bytes, size_bytes: int, offset: int, long: dict[bytes, str]) -> Member:
    name = long.get(_LONG_NAME)
    if name is None:
        prefix = _until_zero(header[345:500]) if _MAGIC[header[257:265]] == "ustar" else b""
        name = _text((prefix + b"/" if prefix else b"") + _until_zero(header[:100]))
    target = long.get(_LONG_TARGET)
    if target is None:
        target = _text(_until_zero(header[157:257]))
    try:
        # A zero byte is a file, too: before POSIX.
        kind = MemberKind(header[156:157].replace(b"\0", b"0"))
    except ValueError:
        kind_text = shown(header[156:157].decode("latin-1"))
        raise UntrustedError(
            f"{shown(name)} is neither a folder, a file nor a link, but {kind_text}"
        ) from None
    if not name:
        raise UntrustedError("it has a member without a name")
    if kind is not MemberKind.FILE and size_bytes:
        raise UntrustedError(f"{shown(name)} has bytes, and is no file")
    return Member(name, kind, _number(header[100:108]), size_bytes, offset, target)


def _long_name(stream: BinaryIO, size_bytes: int) -> str:
    if not 0 < size_bytes <= _MOST_NAME_BYTES:
        raise UntrustedError("it has a name that is too long")
    data = stream.read(size_bytes)
    _skip(stream, -size_bytes % _BLOCK_BYTES)
    if len(data) != size_bytes:
        raise UntrustedError("its tar ends early")
    return _text(_until_zero(data))


def _skip(stream: BinaryIO, size_bytes: int) -> None:
    """Go on behind so many bytes, which must be there."""
    if size_bytes:
        stream.seek(size_bytes - 1, io.SEEK_CUR)
        if not stream.read(1):
            raise UntrustedError("its tar ends early")


def _number(field: bytes) -> int:
    """Read a number in octal; or, as GNU writes large ones, in base 256."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
    else:
        match = _OCTAL.fullmatch(field)
        number = int(match[1] or b"0", 8) if match else -1
    if not 0 <= number < _MOST_NUMBER:
        raise UntrustedError("it has a damaged number")
    return number


def _until_zero(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UntrustedError(f"a name is not UTF-8: {data[:80]!r}") from None
    if _CONTROL_CHARACTERS.search(text):
        raise UntrustedError(f"a name has control characters: {shown(text)}")
    return text
