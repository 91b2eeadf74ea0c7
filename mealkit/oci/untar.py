"""Reads untrusted tar streams entry by entry, with limits.

Formats: POSIX.1-2017 ustar and pax, GNU's long names and large numbers. Rejects what readers
interpret differently, so that every other tool sees what was checked: sparse files, pax headers
with a path or size for all entries, two headers for one entry, names with a zero byte. Only one
entry's names are in memory. A *plain* tar is what dpkg reads: without pax headers and special
files, and with only zeros after its end. A *whole* tar has nothing that readers skip:
zeros between its entries, and both blocks of zeros at its end.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from mealkit.oci.tar_source import Bytes, Source
from mealkit.oci.ustar import BLOCK_BYTES
from mealkit.untrusted import UntrustedError, shown

MAX_PATH_BYTES = 4095
MAX_NAME_BYTES = 255  # of one part of a path: Linux, NAME_MAX
# For one entry, all extended headers together; the limit of Go's archive/tar, which Docker uses.
_MAX_EXTENDED_BYTES = 1024 * 1024
_MAX_SIZE = 2**62
_MAX_ID = 2**32 - 2
_MAX_SECONDS = 253_402_300_799  # the end of the year 9999
_MAX_DIGITS = 24

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_LINK_TYPES = b"12"
# The types of pax's headers, for one entry and for all, and GNU's for long names and targets.
_EXTENDED_TYPES = frozenset({b"x", b"g", b"L", b"K"})
_HEADER_ONLY = frozenset(b"123456")
_PLAIN_TYPES = frozenset({b"\0", b"0", b"1", b"2", b"5", b"L", b"K"})
_PLAIN_MAGIC = frozenset({b"ustar\x0000", b"ustar  \0"})
_STEP_BYTES = 1024 * 1024
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
_GLOBAL_REFUSED = ("path", "linkpath", "size")
_DECIMAL = re.compile(rb"-?[0-9]{1,24}(?:\.[0-9]*)?")


class EntryError(UntrustedError):
    """An entry cannot be used; the message continues a sentence that begins with its name."""


class Kind(Enum):
    """The kind of an entry."""

    FILE = "a file"
    DIRECTORY = "a directory"
    SYMLINK = "a symbolic link"
    HARDLINK = "a hard link"
    SPECIAL = "a device or another special file"


@dataclass(frozen=True, slots=True)
class TarMember:
    """An entry as its headers state it: names are bytes, and may point anywhere."""

    path: bytes
    kind: Kind
    size_bytes: int
    mode: int
    uid: int
    gid: int
    mtime_seconds: int
    target: bytes = b""

    @property
    def shown(self) -> str:
        """The path for a message."""
        return shown(self.path.decode(errors="backslashreplace"))


class TarStream:
    """Reads a tar once, from its first entry to its last."""

    def __init__(
        self, source: Source, *, max_entries: int, is_plain: bool = False, is_whole: bool = False
    ) -> None:
        """Read from ``source``; more than ``max_entries`` headers of any kind are an error.

        ``is_plain`` rejects everything that a plain tar does not have, ``is_whole`` what a whole
        one does not have.
        """
        self._source = source
        self._is_plain = is_plain
        self._is_whole = is_whole
        self._left_entries = max_entries
        self._max_entries = max_entries
        self._left_bytes = 0
        self._padding_bytes = 0

    def members(self) -> Iterator[TarMember]:
        """Yield the entries in their order; unread data of an entry is skipped.

        Raises:
            UntrustedError: the bytes are not a tar, end early, or exceed a limit.
        """
        is_first = True
        while True:
            member = self._next(is_first=is_first)
            if member is None:
                return
            is_first = False
            yield member
            self._pass_over()

    def data(self) -> Iterator[Bytes]:
        """Yield the data of the last yielded entry.

        Raises:
            EntryError: the data ends early.
        """
        for piece in self._source.pieces(self._left_bytes):
            self._left_bytes -= len(piece)
            yield piece
        if self._left_bytes:
            raise EntryError("is truncated")

    def _next(self, *, is_first: bool) -> TarMember | None:
        """Read headers up to an entry's own; return None at the end."""
        extended = _Extended()
        while (block := self._block(is_first=is_first)) is not None:
            is_first = False
            kind = block[156:157]
            if kind not in _EXTENDED_TYPES:
                member = _member(block, extended)
                self._left_bytes = member.size_bytes
                self._padding_bytes = -member.size_bytes % BLOCK_BYTES
                return member
            size = _number(block[124:136], "size")
            extended.take(size)
            extended.add(kind, self._whole(size))
        if extended.is_stated:
            raise UntrustedError("it ends after an extended header")
        return None

    def _block(self, *, is_first: bool) -> bytes | None:
        """Read a header's block and check its sum; return None at the end of the tar."""
        block = self._source.take(BLOCK_BYTES)
        needs_end = self._is_plain or self._is_whole
        if not block and not is_first and not needs_end:
            return None
        if is_first:
            _refuse_compressed(block)
        if len(block) < BLOCK_BYTES:
            what = "is empty" if is_first else "ends early"
            raise UntrustedError("it ends within a header" if block else f"it {what}")
        if block == _ZERO_BLOCK:
            self._check_end()
            return None
        self._left_entries -= 1
        if self._left_entries < 0:
            raise UntrustedError(f"it has more than {self._max_entries} entries")
        _check_sum(block)
        if self._is_plain:
            _check_plain(block)
        return block

    def _check_end(self) -> None:
        """Check what follows the first block of zeros: in a plain or whole tar, only zeros."""
        reads_on = self._is_plain or self._is_whole
        following = self._source.take(BLOCK_BYTES)
        if self._is_whole and len(following) < BLOCK_BYTES:
            raise UntrustedError("it ends early")
        while following:
            if following.strip(b"\0"):
                raise UntrustedError("it continues after a block of zeros")
            following = self._source.take(_STEP_BYTES) if reads_on else b""

    def _whole(self, size: int) -> bytes:
        """Read an extended header's data with its padding."""
        data = self._source.take(size + -size % BLOCK_BYTES)
        if len(data) < size:
            raise UntrustedError("it ends within an extended header")
        return data[:size]

    def _pass_over(self) -> None:
        self._source.skip(self._left_bytes)
        if not self._is_whole:
            self._source.skip(self._padding_bytes)
        elif self._source.take(self._padding_bytes).strip(b"\0"):
            raise UntrustedError("it has other bytes than zeros between its entries")
        self._left_bytes = self._padding_bytes = 0


class _Extended:
    """The content of the extended headers for the entry that follows them."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.long: dict[str, bytes] = {}
        self._has_records = False
        self._left_bytes = _MAX_EXTENDED_BYTES

    @property
    def is_stated(self) -> bool:
        """Whether there is a header for an entry."""
        return self._has_records or bool(self.long)

    def take(self, size: int) -> None:
        """Count a header before its data is read."""
        self._left_bytes -= size + BLOCK_BYTES
        if size < 0 or self._left_bytes < 0:
            raise UntrustedError(f"its extended headers have more than {_MAX_EXTENDED_BYTES} bytes")

    def add(self, kind: bytes, data: bytes) -> None:
        """Read a header's data."""
        if kind == b"g":
            _check_global(_records(data))
        elif kind == b"x":
            if self._has_records:
                raise UntrustedError("it has two extended headers for one entry")
            self._has_records = True
            self.records = _records(data)
        else:
            keyword = "path" if kind == b"L" else "linkpath"
            if keyword in self.long:
                raise UntrustedError("it has two long names for one entry")
            self.long[keyword] = data.partition(b"\0")[0]


def parts_of(path: bytes) -> list[bytes]:
    """Return the parts of a path below a root; ignores slashes around it and "." parts.

    Raises:
        EntryError: a part is ".." or too long.
    """
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    for part in parts:
        if part == b"..":
            raise EntryError("points outside")
        if len(part) > MAX_NAME_BYTES:
            raise EntryError(f"has a part of {len(part)} bytes")
    return parts


def _member(block: bytes, extended: _Extended) -> TarMember:
    records, long = extended.records, extended.long
    if any(keyword.startswith("GNU.sparse.") for keyword in records) or block[156:157] == b"S":
        raise UntrustedError("it has a sparse file, which readers of layers treat differently")
    both = set(records) & set(long)
    if both:
        raise UntrustedError(f"it states the {both.pop()} of one entry twice")
    path = long.get("path") or records.get("path") or _path(block)
    target = long.get("linkpath") or records.get("linkpath") or _text(block[157:257])
    if b"\0" in path or b"\0" in target:
        raise UntrustedError("it has a name with a zero byte")
    if len(path) > MAX_PATH_BYTES or len(target) > MAX_PATH_BYTES:
        raise UntrustedError(f"it has a name of more than {MAX_PATH_BYTES} bytes")
    kind = _kind(block[156], path)
    size = _stated(records, "size", block[124:136])
    if not 0 <= size <= _MAX_SIZE:
        raise UntrustedError(f"it states a size of {size} bytes")
    uid, gid = _stated(records, "uid", block[108:116]), _stated(records, "gid", block[116:124])
    if not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
        raise UntrustedError(f"it states the owner {uid}:{gid}")
    return TarMember(
        path,
        kind,
        0 if block[156] in _HEADER_ONLY else size,
        _number(block[100:108], "mode") & 0o7777,
        uid,
        gid,
        min(max(0, _stated(records, "mtime", block[136:148])), _MAX_SECONDS),
        target if block[156] in _LINK_TYPES else b"",
    )


def _kind(flag: int, path: bytes) -> Kind:
    match bytes([flag]):
        case b"0" | b"7":
            return Kind.FILE
        case b"\0":  # before ustar, a folder was a file whose name ends with a slash
            return Kind.DIRECTORY if path.endswith(b"/") else Kind.FILE
        case b"1":
            return Kind.HARDLINK
        case b"2":
            return Kind.SYMLINK
        case b"5":
            return Kind.DIRECTORY
        case _:
            return Kind.SPECIAL


def _path(block: bytes) -> bytes:
    name = _text(block[0:100])
    if block[257:265] != b"ustar\x0000":  # GNU's own format has other fields there
        return name
    prefix = _text(block[345:500])
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _stated(records: Mapping[str, bytes], keyword: str, field: bytes) -> int:
    """Return a number from pax, or else from the block; fractions of seconds are dropped."""
    value = records.get(keyword)
    if value is None:
        return _number(field, keyword)
    if not _DECIMAL.fullmatch(value) or (keyword != "mtime" and b"." in value):
        raise UntrustedError(f"it states the {keyword} {shown(value.decode(errors='replace'))}")
    return int(value.partition(b".")[0])


def _number(field: bytes, what: str) -> int:
    """Read an octal number, or GNU's base 256, in which the first byte has the sign."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    digits = field.strip(b" \0").partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise UntrustedError(f"it is not a tar: a header's {what} is not a number")
    return int(digits, 8)


def _check_sum(block: bytes) -> None:
    """Compare a header with its checksum, which old writers computed with signed bytes."""
    stated = _number(block[148:156], "sum")
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    if stated == unsigned:
        return
    if stated != unsigned - 256 * sum(byte > 127 for byte in rest):
        raise UntrustedError("it is not a tar: a header's checksum is wrong")


def _check_plain(block: bytes) -> None:
    flag = block[156:157]
    if block[257:265] not in _PLAIN_MAGIC:
        raise UntrustedError("it does not have the format of plain tars")
    if flag not in _PLAIN_TYPES:
        raise UntrustedError("it has an entry that is not a folder, a file or a link")
    if block[156] in _HEADER_ONLY and _number(block[124:136], "size"):
        raise UntrustedError("it has an entry with data that is not a file")


def _records(data: bytes) -> dict[str, bytes]:
    """Parse pax records; a later one replaces an earlier one, and an empty value removes it."""
    found: dict[str, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _MAX_DIGITS)
        digits = data[start:space] if space > start else b""
        end = start + int(digits) if digits.isdigit() else start
        equals = data.find(b"=", space, end)
        if not space < equals < end <= len(data) or data[end - 1 : end] != b"\n":
            raise UntrustedError("it has an extended header that cannot be read")
        keyword = data[space + 1 : equals].decode(errors="replace")
        value = data[equals + 1 : end - 1]
        if value:
            found[keyword] = value
        else:
            found.pop(keyword, None)
        start = end
    return found


def _check_global(records: Mapping[str, bytes]) -> None:
    """Reject a header for all entries with fields that only some readers apply."""
    for keyword in records:
        if keyword in _GLOBAL_REFUSED or keyword.startswith("GNU.sparse."):
            raise UntrustedError(f"it has a global header that states the {keyword} of every entry")


def _refuse_compressed(block: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if block.startswith(magic):
            raise UntrustedError(f"it is {name}, not the tar that its media type states")
