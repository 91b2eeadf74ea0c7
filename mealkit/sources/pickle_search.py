"""Searches a file for pickles: also compressed, in archives, in archives in those, and in arrays.

Every archive is opened to a limited depth, and all of them together share one budget. Raises
UnseenError for what cannot be looked into, such as an encrypted member, and UntrustedError for an
archive that Python cannot read either.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, cast

from mealkit.names import one_line
from mealkit.sources.forward_data import (
    Budget,
    PiecesForward,
    RangesForward,
    UnseenError,
    unpacked,
    unpacker_for,
)
from mealkit.sources.numpy_arrays import holds_objects, is_array
from mealkit.sources.pickles import is_pickle
from mealkit.sources.ranges import HEAD_BYTES, FileRanges, RangeFile, RangeReader
from mealkit.sources.zip_archive import open_archive, reading_archive
from mealkit.untrusted import UntrustedError

_MOST_DEPTH = 4
_PICKLE_SUFFIXES = (".pkl", ".pickle")
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_END = b"PK\x05\x06"
# The longest end of an archive: its last record with a comment.
_ZIP_END_BYTES = 22 + 65_535
_TAR_BLOCK = 512
_SHOWN_CHARACTERS = 200
_MOST_TAR_HEADER_BYTES = 1024 * 1024
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What Python's standard library cannot unpack: Zstandard, LZ4, 7z, RAR, lzip, Snappy.
_CLOSED = {
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard",
    b"\x04\x22\x4d\x18": "compressed by LZ4",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"LZIP\x01": "compressed by lzip",
    b"\xff\x06\x00\x00sNaPpY": "compressed by Snappy",
}
_UNREADABLE = (
    tarfile.TarError,
    ValueError,
    OverflowError,
    EOFError,
    RecursionError,
    KeyError,
    IndexError,
    TypeError,
)

_Opened = Callable[[], RangesForward | PiecesForward]


@dataclass(frozen=True, slots=True)
class _Content:
    """Bytes to look into: a file's own, or some that are inside another's."""

    place: str
    """Where they are in the file; empty for the file itself."""
    depth: int
    begin: _Opened
    """Reads them from their beginning, again each time."""
    ranges: RangeReader | None = None
    """The same in pieces, if they are not inside something compressed."""

    def inner(self, name: str, begin: _Opened, ranges: RangeReader | None = None) -> "_Content":
        place = f"{self.place}/{name}".strip("/")
        if PurePosixPath(name).suffix.lower() in _PICKLE_SUFFIXES:
            # Whatever a member of this name begins with, code that looks for it unpickles it.
            return _Content(place, self.depth + 1, _smallest_pickle)
        return _Content(place, self.depth + 1, begin, ranges)


def _shown(name: str) -> str:
    return one_line(name)[:_SHOWN_CHARACTERS]


def _smallest_pickle() -> PiecesForward:
    return PiecesForward(iter([b"\x80\x04N."]))


def find_pickle(ranges: RangeReader, budget: Budget | None = None) -> str | None:
    """Return where a file holds a pickle: a path inside it, empty for the file itself; else None.

    Raises:
        UnseenError: a part cannot be looked into.
        UntrustedError: it is an archive that cannot be read.
    """
    return _found(_Content("", 0, lambda: RangesForward(ranges), ranges), budget or Budget())


def _found(content: _Content, budget: Budget) -> str | None:
    head = content.begin().read(HEAD_BYTES)
    # First: a pickle may begin with the signature, or the name, that another format begins with.
    if is_pickle(content.begin()) or (is_array(head) and holds_objects(head)):
        return content.place
    inside = _inside(content, head, budget)
    if inside is None:
        return None
    if content.depth >= _MOST_DEPTH:
        raise UnseenError(f"has archives in archives, deeper than {_MOST_DEPTH}")
    for part in inside:
        if (place := _found(part, budget)) is not None:
            return place
    return None


def _inside(content: _Content, head: bytes, budget: Budget) -> Iterator[_Content] | None:
    """Return what is inside an archive or compressed data; None for anything else."""
    closed = next((what for magic, what in _CLOSED.items() if head.startswith(magic)), None)
    if closed is not None:
        raise UnseenError(f"is {closed}" if not content.place else f"has {closed} inside")
    if head.startswith(_ZIPS) or _ends_as_zip(content):
        return _zipped(content, budget)
    if _is_tar(head):
        return _tarred(content, budget)
    if unpacker_for(head) is not None:
        return _compressed(content, head, budget)
    return None


def _compressed(content: _Content, head: bytes, budget: Budget) -> Iterator[_Content]:
    yield content.inner("", lambda: unpacked(content.begin(), head, budget))


def _zipped(content: _Content, budget: Budget) -> Iterator[_Content]:
    with open_archive(_held(content, budget)) as archive:
        for member in archive.infolist():
            budget.open()
            name = _shown(member.filename)
            if member.flag_bits & 1:
                raise UnseenError(f"has an encrypted file inside, {name}")
            if member.is_dir():
                continue
            if member.compress_type not in _STORED:
                raise UnseenError(f"has a file in a rare compression inside, {name}")
            yield content.inner(name, _member_of(archive, member, budget))


def _ends_as_zip(content: _Content) -> bool:
    """Return whether zipfile opens it: an archive may begin with anything, such as a picture.

    Only for a file that is here: its end is another request elsewhere, and it is fetched later.
    """
    ranges = content.ranges
    if not isinstance(ranges, FileRanges | _Held | _Part):
        return False
    start = max(0, ranges.size_bytes - _ZIP_END_BYTES)
    if _ZIP_END not in ranges.read(start, _ZIP_END_BYTES):
        return False
    try:
        with open_archive(ranges):
            return True
    except UntrustedError as error:
        # Not an archive, unless only its directory is too large for a check.
        return error.__cause__ is None


def _member_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget) -> _Opened:
    def pieces() -> Iterator[bytes]:
        with reading_archive(), archive.open(member) as stream:
            while piece := stream.read(HEAD_BYTES):
                budget.unpack(len(piece))
                yield piece

    return lambda: PiecesForward(pieces())


def _held(content: _Content, budget: Budget) -> RangeReader:
    """Return content in pieces; what is inside something else is held in memory."""
    if content.ranges is not None:
        return content.ranges
    data = content.begin().read(budget.held_bytes + 1)
    if len(data) > budget.held_bytes:
        raise UnseenError(f"has a large archive inside, {content.place}")
    return _Held(data)


@dataclass(frozen=True, slots=True)
class _Held:
    """Bytes in memory, as pieces of a file."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file, as a file of its own."""

    whole: RangeReader
    offset: int
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        left = max(0, min(length, self.size_bytes - offset))
        return self.whole.read(self.offset + offset, left)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:_TAR_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _tarred(content: _Content, budget: Budget) -> Iterator[_Content]:
    ranges = content.ranges
    if ranges is not None:
        file: RangeFile | _ForwardFile = RangeFile(ranges, _MOST_TAR_HEADER_BYTES)
    else:
        file = _ForwardFile(content.begin())
    with _reading_tar(), tarfile.open(fileobj=cast("IO[bytes]", file), mode="r:") as archive:
        for member in archive:
            budget.open()
            if not member.isreg() or not member.size:
                continue
            name = _shown(member.name)
            if member.issparse():
                raise UnseenError(f"has a sparse file inside, {name}")
            if ranges is not None:
                part = _Part(ranges, member.offset_data, member.size)
                yield content.inner(name, lambda part=part: RangesForward(part), part)  # type: ignore[misc]
            else:
                yield content.inner(name, *_streamed(name, file, member, budget))


def _streamed(
    name: str, file: "RangeFile | _ForwardFile", member: tarfile.TarInfo, budget: Budget
) -> tuple[_Opened, RangeReader | None]:
    """Return a member of a tar that is read only once: held, or only its beginning if it is large.

    The beginning is enough unless it is an archive, or follows the rules of a pickle to its end.
    """
    file.seek(member.offset_data)
    data = _read_whole(file, min(member.size, budget.held_bytes))
    whole = _Held(data) if len(data) == member.size else None
    return lambda: PiecesForward(_cut(data, member.size, name)), whole


def _read_whole(file: "RangeFile | _ForwardFile", size_bytes: int) -> bytes:
    parts: list[bytes] = []
    while size_bytes > 0 and (part := file.read(min(size_bytes, _MOST_TAR_HEADER_BYTES))):
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _cut(data: bytes, size_bytes: int, name: str) -> Iterator[bytes]:
    yield data
    if len(data) < size_bytes:
        raise UnseenError(f"has a large file inside that may be a pickle, {name}")


class _ForwardFile:
    """A file for tarfile over data that is read once; it moves only ahead."""

    def __init__(self, data: RangesForward | PiecesForward) -> None:
        self._data = data
        self._at = 0

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _MOST_TAR_HEADER_BYTES:
            raise UnseenError("has a header of a tar that is too long")
        found = self._data.read(length)
        self._at += len(found)
        return found

    def seek(self, offset: int, _whence: int = 0) -> int:
        if offset < self._at:
            raise UnseenError("has a tar inside that cannot be read in its order")
        self._data.skip(offset - self._at)
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True


@contextmanager
def _reading_tar() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        said = str(error)[:100] or type(error).__name__
        raise UnseenError(f"has a tar inside that cannot be read: {said}") from error
