"""Writes tar header blocks: an entry's fields in ustar, and in pax if ustar is not enough.

Formats: POSIX.1-2017, pax utility, "ustar Interchange Format" and "pax Interchange Format".
The caller checks the fields.
"""

from dataclasses import dataclass, replace

BLOCK_BYTES = 512

_MAX_OCTAL_11 = 8**11 - 1  # size and mtime: 12 bytes, the last one NUL
_MAX_OCTAL_7 = 8**7 - 1  # mode, uid and gid: 8 bytes
_NAME_BYTES, _PREFIX_BYTES = 100, 155
_PAX_NAME = b"././@PaxHeader"


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an entry's header."""

    path: bytes
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime_seconds: int
    kind: bytes
    target: bytes = b""


def padding(size_bytes: int) -> bytes:
    """Return the zeros between the end of a file's data and the next block."""
    return bytes(-size_bytes % BLOCK_BYTES)


def pax_records(fields: Fields) -> bytes:
    """Return the fields that the block cannot represent as pax records, sorted by keyword."""
    found: list[tuple[str, bytes]] = []
    if fields.gid > _MAX_OCTAL_7:
        found.append(("gid", b"%d" % fields.gid))
    if len(fields.target) > _NAME_BYTES or not fields.target.isascii():
        found.append(("linkpath", fields.target))
    if fields.mtime_seconds > _MAX_OCTAL_11:
        found.append(("mtime", b"%d" % fields.mtime_seconds))
    if _split(fields.path) is None:
        found.append(("path", fields.path))
    if fields.size_bytes > _MAX_OCTAL_11:
        found.append(("size", b"%d" % fields.size_bytes))
    if fields.uid > _MAX_OCTAL_7:
        found.append(("uid", b"%d" % fields.uid))
    return b"".join(_record(keyword, value) for keyword, value in found)


def _record(keyword: str, value: bytes) -> bytes:
    """Return a length, the keyword and its value; the length includes its own digits."""
    rest = b" %s=%s\n" % (keyword.encode(), value)
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def comment(length: int) -> bytes:
    """Return a comment record of exactly this length, which readers skip."""
    if not length:
        return b""
    start = b"%d comment=" % length
    return start + b" " * (length - len(start) - 1) + b"\n"


def pax_header(records: bytes) -> bytes:
    """Return an extended header that holds these records for the entry after it."""
    first = block(Fields(_PAX_NAME, 0o644, 0, 0, len(records), 0, b"x"))
    return first + records + padding(len(records))


def block(fields: Fields) -> bytes:
    """Return the 512 bytes of a ustar header (POSIX.1-2017, pax, "ustar Interchange Format")."""
    name, prefix = _split(fields.path) or (_plain(fields.path), b"")
    numbers = replace(
        fields,
        uid=fields.uid if fields.uid <= _MAX_OCTAL_7 else 0,
        gid=fields.gid if fields.gid <= _MAX_OCTAL_7 else 0,
        size_bytes=fields.size_bytes if fields.size_bytes <= _MAX_OCTAL_11 else 0,
        mtime_seconds=fields.mtime_seconds if fields.mtime_seconds <= _MAX_OCTAL_11 else 0,
    )
    parts = (
        name.ljust(_NAME_BYTES, b"\0"),
        b"%07o\0%07o\0%07o\0" % (numbers.mode, numbers.uid, numbers.gid),
        b"%011o\0%011o\0" % (numbers.size_bytes, numbers.mtime_seconds),
        b" " * 8,
        fields.kind,
        _plain(fields.target).ljust(_NAME_BYTES, b"\0"),
        b"ustar\00000",
        bytes(64),  # names of user and group
        b"%07o\0%07o\0" % (0, 0),  # device
        prefix.ljust(_PREFIX_BYTES, b"\0"),
        bytes(12),
    )
    unsigned = b"".join(parts)
    return unsigned[:148] + b"%06o\0 " % sum(unsigned) + unsigned[156:]


def _split(path: bytes) -> tuple[bytes, bytes] | None:
    """Split a path into the name and prefix fields; return None if it needs pax."""
    if not path.isascii():
        return None
    if len(path) <= _NAME_BYTES:
        return path, b""
    # Not at the last slash, which may mark a folder.
    slash = path.find(b"/", len(path) - _NAME_BYTES - 1, len(path) - 1)
    if slash < 1 or slash > _PREFIX_BYTES:
        return None
    return path[slash + 1 :], path[:slash]


def _plain(text: bytes) -> bytes:
    """Return the text for readers without pax support; others ignore it."""
    if len(text) <= _NAME_BYTES and text.isascii():
        return text
    return bytes(byte if byte < 0x80 else 0x5F for byte in text)[:_NAME_BYTES]
