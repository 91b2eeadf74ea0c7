"""Writes reproducible tar streams: the same entries give the same bytes on every machine.

Format: POSIX.1-2017 ustar; with a pax header only if ustar is not enough. User names are empty, all
times are the same, paths are sorted, and parents always exist. Raises BuildError for paths that
point outside, for two entries with one path, and for entries below something that is not a folder.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, assert_never

from mealkit.errors import MealkitError, failure
from mealkit.oci.ustar import BLOCK_BYTES, Fields, block, comment, padding, pax_header, pax_records

# A weight file's data is aligned to blocks of this size, which file systems can share (reflinks).
DATA_ALIGNMENT_BYTES = 4096
END = bytes(2 * BLOCK_BYTES)

_MODE_MASK = 0o7777
# "NN comment=x\n" is the shortest useful comment; a shorter gap cannot be filled.
_MIN_COMMENT_BYTES = len("13 comment=x\n")

Bytes = bytes | memoryview
Content = Callable[[], Iterable[Bytes]]


class Output(Protocol):
    """The output of a tar: a file, a socket's file, a hash."""

    def write(self, data: Bytes, /) -> object:
        """Write all of the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class TarFile:
    """A regular file; ``content`` is called whenever its bytes are needed."""

    path: str
    size_bytes: int
    content: Content
    mode: int = 0o644
    uid: int = 0
    gid: int = 0

    @classmethod
    def of(cls, path: str, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Self:
        """Return a file with these bytes."""
        return cls(path, len(data), lambda: (data,), mode, uid, gid)


@dataclass(frozen=True, slots=True)
class TarDirectory:
    """A directory."""

    path: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class TarSymlink:
    """A symbolic link; the target is not changed, wherever it points."""

    path: str
    target: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class TarHardlink:
    """A second name for a file of the same tar; it is written after all files."""

    path: str
    target: str


Entry = TarFile | TarDirectory | TarSymlink | TarHardlink


def write_tar(entries: Iterable[Entry], out: Output, epoch_seconds: int = 0) -> int:
    """Write a whole tar; return its size in bytes. See ``tar_chunks``."""
    size_bytes = 0
    for chunk in tar_chunks(entries, epoch_seconds):
        out.write(chunk)
        size_bytes += len(chunk)
    return size_bytes


def tar_chunks(
    entries: Iterable[Entry], epoch_seconds: int = 0, offsets: dict[str, int] | None = None
) -> Iterator[Bytes]:
    """Yield a whole tar; its bytes depend only on the entries' values, not on their order.

    Missing parents are added (0755, root). Only one file is open at a time. ``offsets`` gets, for
    the path of each entry, the offset of the byte after its header: of a file's first byte.

    Raises:
        BuildError: ``LAYER_INVALID``, before the first byte, with the path that cannot be written.
        SourceError: ``SOURCE_CHANGED``: a content does not have the stated size.
    """
    position = 0
    for entry in arranged(entries):
        head = header(entry, epoch_seconds)
        position += len(head)
        if offsets is not None:
            offsets[entry.path] = position
        yield head
        if isinstance(entry, TarFile):
            yield from _sized(entry)
            tail = padding(entry.size_bytes)
            position += entry.size_bytes + len(tail)
            yield tail
    yield END


def arranged(entries: Iterable[Entry]) -> list[Entry]:
    """Check entries, add missing parents, and sort: by path bytes, hard links last.

    Equal directories count once. Raises ``LAYER_INVALID`` (BuildError) as ``tar_chunks`` does.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        _check_path(entry.path)
        known = by_path.setdefault(entry.path, entry)
        if known is not entry and not (isinstance(entry, TarDirectory) and entry == known):
            raise _invalid(entry.path, "it occurs twice")
    for path in list(by_path):
        for parent in _parents(path):
            if not isinstance(by_path.setdefault(parent, TarDirectory(parent)), TarDirectory):
                raise _invalid(path, f"{parent} is not a directory")
    for entry in by_path.values():
        if isinstance(entry, TarHardlink) and not isinstance(by_path.get(entry.target), TarFile):
            raise _invalid(entry.path, f"its target {entry.target} is not a file of this layer")
    return sorted(
        by_path.values(), key=lambda item: (isinstance(item, TarHardlink), item.path.encode())
    )


def header(entry: Entry, epoch_seconds: int = 0) -> bytes:
    """Return all blocks before an entry's data: one, or three or more with pax.

    Raises:
        BuildError: ``LAYER_INVALID``: the path or a number cannot be written.
    """
    fields = _fields(entry, epoch_seconds)
    records = pax_records(fields)
    return (pax_header(records) if records else b"") + block(fields)


def weight_header(path: str, size_bytes: int, mode: int = 0o644, epoch_seconds: int = 0) -> bytes:
    """Return the start of a layer with one file: parents, then a header padded by a pax comment.

    Its length is 4096 (for very deep or long paths a multiple of it), so that the file's data
    can share blocks with the original on file systems with reflinks.

    Raises:
        BuildError: ``LAYER_INVALID``: the path cannot be written.
    """
    file = TarFile(path, size_bytes, tuple, mode)
    _check_path(path)
    parents = b"".join(header(TarDirectory(item), epoch_seconds) for item in _parents(path))
    fields = _fields(file, epoch_seconds)
    records = pax_records(fields)
    taken_bytes = len(parents) + 2 * BLOCK_BYTES + len(records)
    gap_bytes = -taken_bytes % DATA_ALIGNMENT_BYTES
    # A gap of 0 is already aligned; but a pax header without records would confuse readers.
    if gap_bytes < _MIN_COMMENT_BYTES and (gap_bytes or not records):
        gap_bytes += DATA_ALIGNMENT_BYTES
    return parents + pax_header(records + comment(gap_bytes)) + block(fields)


def weight_footer(size_bytes: int) -> bytes:
    """Return the end of a layer with one file: padding and the end of the tar."""
    return padding(size_bytes) + END


def _fields(entry: Entry, epoch_seconds: int) -> Fields:
    _check_path(entry.path)
    path = entry.path.encode()
    match entry:
        case TarFile():
            mode, size_bytes = entry.mode & _MODE_MASK, entry.size_bytes
            fields = Fields(path, mode, entry.uid, entry.gid, size_bytes, epoch_seconds, b"0")
        case TarDirectory():
            mode = entry.mode & _MODE_MASK
            fields = Fields(path + b"/", mode, entry.uid, entry.gid, 0, epoch_seconds, b"5")
        case TarSymlink():
            target = _encoded(entry.path, entry.target)
            fields = Fields(path, 0o777, entry.uid, entry.gid, 0, epoch_seconds, b"2", target)
        case TarHardlink():
            _check_path(entry.target)
            fields = Fields(path, 0o644, 0, 0, 0, epoch_seconds, b"1", entry.target.encode())
        case _:
            assert_never(entry)
    if min(fields.uid, fields.gid, fields.size_bytes, fields.mtime_seconds) < 0:
        raise _invalid(entry.path, "a size, an owner or a time is negative")
    return fields


def _sized(file: TarFile) -> Iterator[Bytes]:
    left = file.size_bytes
    for chunk in file.content():
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        what = "shorter" if left > 0 else "longer"
        raise failure(
            "SOURCE_CHANGED",
            f"the content of {file.path} is {what} than the stated {file.size_bytes} bytes",
            where=file.path,
        )


def _parents(path: str) -> list[str]:
    """Return the directories above a path, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _check_path(path: str) -> None:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise _invalid(path, "it is empty, absolute, or has an empty, . or .. part")
    _encoded(path, path)


def _encoded(path: str, text: str) -> bytes:
    if not text or "\0" in text:
        raise _invalid(path, "a name or target is empty or has a zero byte")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(path, "a name or target is not Unicode") from error


def _invalid(path: str, what: str) -> MealkitError:
    return failure("LAYER_INVALID", f"{path!r} cannot be written into a layer: {what}", where=path)
