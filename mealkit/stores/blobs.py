"""Blobs in files: complete, as ranges, or virtual (head + an unchanged file + tail).

Raises SourceError if a source file has changed since it was hashed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.identity import FileKey
from mealkit.oci.image import Blob, BytesBlob

# Manifests and configs have a few KB; distribution-spec requires registries to accept 4 MiB.
MAX_JSON_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes of a file that can be sent without being read (``socket.sendfile``)."""

    path: Path
    offset: int
    length: int


Part = bytes | FileRange


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A blob in a file: ``size_bytes`` from ``offset``."""

    path: Path
    digest: Digest
    size_bytes: int
    offset: int = 0

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Yield the requested range; a yielded view is valid until the next one.

        Raises:
            StoreError: ``BLOB_MISSING``: the file was deleted; ``BLOB_DAMAGED``: it is shorter.
        """
        for part in self.parts(offset, length):
            if isinstance(part, FileRange):
                yield from _range_chunks(part, self.digest)

    def parts(self, offset: int = 0, length: int | None = None) -> tuple[Part, ...]:
        """Return the requested range as a range of the file."""
        whole = FileRange(self.path, self.offset, self.size_bytes)
        return _cut((whole,), offset, length)

    def check(self) -> None:
        """Check that the file exists and is long enough.

        Raises:
            StoreError: ``BLOB_MISSING`` or ``BLOB_DAMAGED``.
        """
        try:
            found_bytes = self.path.stat().st_size
        except OSError as error:
            raise _unreadable(self.path, self.digest, error) from error
        if found_bytes < self.offset + self.size_bytes:
            raise _short(self.path, self.digest, found_bytes)


@dataclass(frozen=True, slots=True)
class VirtualBlob:
    """A layer that is never written: head bytes, a complete file in its place, tail bytes.

    It is valid as long as the file is the one that was hashed, as its key shows.
    """

    digest: Digest
    head: bytes
    source: Path
    key: FileKey
    tail: bytes
    file_digest: Digest

    @property
    def size_bytes(self) -> int:
        """The number of bytes, with head and tail."""
        return len(self.head) + self.key.size_bytes + len(self.tail)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the requested range; a yielded view is valid until the next one.

        The source is checked before the first byte and after the last one.

        Raises:
            StoreError: ``BLOB_MISSING``: the source was deleted.
            SourceError: ``SOURCE_CHANGED``: it is not the file that was hashed.
        """
        self.check()
        for part in self.parts(offset, length):
            if isinstance(part, FileRange):
                yield from _range_chunks(part, self.digest)
            else:
                yield part
        self.check()

    def parts(self, offset: int = 0, length: int | None = None) -> tuple[Part, ...]:
        """Return the requested range as bytes and ranges of files, for ``socket.sendfile``.

        The sender calls ``check`` before and after.
        """
        middle = FileRange(self.source, 0, self.key.size_bytes)
        return _cut((self.head, middle, self.tail), offset, length)

    def check(self) -> None:
        """Check that the source is still the file that was hashed.

        Raises:
            StoreError: ``BLOB_MISSING``: the source was deleted.
            SourceError: ``SOURCE_CHANGED``: it was replaced, or written to.
        """
        try:
            found = FileKey.of(self.source)
        except OSError as error:
            raise _unreadable(self.source, self.digest, error) from error
        if found != self.key:
            raise failure(
                "SOURCE_CHANGED",
                f"{self.source} changed after it was verified: {self.key.difference(found)}",
                hint="mealkit build verifies it again",
                where=str(self.source),
            )


@dataclass(frozen=True, slots=True)
class RangesBlob:
    """A blob in ranges of several files, in their order: the volumes of an archive."""

    digest: Digest
    ranges: tuple[FileRange, ...]

    @property
    def size_bytes(self) -> int:
        """The number of bytes in all ranges."""
        return sum(item.length for item in self.ranges)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Yield the requested range; a yielded view is valid until the next one.

        Raises:
            StoreError: ``BLOB_MISSING``: a file was deleted; ``BLOB_DAMAGED``: it is shorter.
        """
        for part in self.parts(offset, length):
            yield from _range_chunks(part, self.digest)

    def parts(self, offset: int = 0, length: int | None = None) -> tuple[FileRange, ...]:
        """Return the requested range as ranges of the files."""
        return cut_ranges(self.ranges, offset, length)


def range_blob(digest: Digest, ranges: tuple[FileRange, ...]) -> FileBlob | RangesBlob:
    """Return the blob in ranges of files; of one file, the kernel can send it."""
    if len(ranges) == 1:
        return FileBlob(ranges[0].path, digest, ranges[0].length, ranges[0].offset)
    return RangesBlob(digest, ranges)


def ranges_bytes(ranges: tuple[FileRange, ...]) -> bytes:
    """Return all bytes of ranges of files; the caller checks how many they are."""
    return b"".join(
        bytes(chunk)
        for item in ranges
        for chunk in file_chunks(item.path, item.offset, item.length)
    )


def cut_ranges(
    ranges: tuple[FileRange, ...], offset: int, length: int | None
) -> tuple[FileRange, ...]:
    """Return the range of ``length`` bytes from ``offset`` in consecutive ranges of files."""
    return tuple(part for part in _cut(ranges, offset, length) if isinstance(part, FileRange))


def parts_of(blob: Blob) -> tuple[Part, ...] | None:
    """Return a blob as bytes and ranges of files, or None if it can only be streamed."""
    match blob:
        case BytesBlob(data):
            return (data,)
        case FileBlob() | VirtualBlob() | RangesBlob():
            return blob.parts()
        case _:
            return None


def small_bytes(blob: Blob) -> bytes:
    """Return all bytes of a manifest or config, checked against their digest.

    Raises:
        StoreError: ``BLOB_DAMAGED``; ``IMAGE_INVALID``: it is too large.
    """
    if blob.size_bytes > MAX_JSON_BYTES:
        raise failure(
            "IMAGE_INVALID", f"{blob.size_bytes} bytes are too many for a manifest or config"
        )
    data = b"".join(bytes(chunk) for chunk in blob.chunks())  # a yielded view is reused
    found = Digest.of(data)
    if found != blob.digest:
        raise failure("BLOB_DAMAGED", f"the bytes of blob {blob.digest} have the digest {found}")
    return data


def _cut(parts: tuple[Part, ...], offset: int, length: int | None) -> tuple[Part, ...]:
    """Return the range of ``length`` bytes from ``offset`` in consecutive parts."""
    cut: list[Part] = []
    left = length
    for part in parts:
        size_bytes = part.length if isinstance(part, FileRange) else len(part)
        start = min(offset, size_bytes)
        offset -= start
        taken = size_bytes - start if left is None else min(left, size_bytes - start)
        if left is not None:
            left -= taken
        if not taken:
            continue
        if isinstance(part, FileRange):
            cut.append(FileRange(part.path, part.offset + start, taken))
        else:
            cut.append(part[start : start + taken])
    return tuple(cut)


def _range_chunks(part: FileRange, digest: Digest) -> Iterator[memoryview]:
    left = part.length
    try:
        for chunk in file_chunks(part.path, part.offset, part.length):
            left -= len(chunk)
            yield chunk
    except OSError as error:
        raise _unreadable(part.path, digest, error) from error
    if left:
        raise _short(part.path, digest, part.offset + part.length - left)


def _unreadable(path: Path, digest: Digest, error: OSError) -> MealkitError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return failure(
            "BLOB_MISSING",
            f"{path}, which contains blob {digest.short}, was deleted",
            where=str(path),
        )
    return failure(
        "DISK_DENIED",
        f"{path}, which contains blob {digest.short}, cannot be read: {error.strerror}",
        where=str(path),
    )


def _short(path: Path, digest: Digest, found_bytes: int) -> MealkitError:
    return failure(
        "BLOB_DAMAGED",
        f"{path}, which contains blob {digest.short}, ends after {found_bytes} bytes",
        where=str(path),
    )
