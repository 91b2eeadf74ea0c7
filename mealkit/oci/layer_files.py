"""Finds the files in a layer that is not compressed, and gives each as a blob of its own.

The layer is read by ranges: its headers now, a file's bytes when they are needed. Raises
UntrustedError for bytes that are not a tar.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from mealkit.digest import Digest
from mealkit.oci.image import Blob
from mealkit.oci.tar_source import FileSource
from mealkit.oci.untar import Kind, TarStream

_MAX_ENTRIES = 100_000
# Headers of small files are close together.
_READ_AHEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileInLayer:
    """A file in a layer; implements ``mealkit.oci.image.Blob`` with the file's own digest."""

    digest: Digest
    size_bytes: int
    layer: Blob = field(repr=False)
    offset: int

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the requested range; a yielded view is valid until the next one."""
        left = max(0, self.size_bytes - offset)
        wanted = left if length is None else min(length, left)
        return self.layer.chunks(self.offset + offset, wanted) if wanted else iter(())


def places_in(layer: Blob) -> Iterator[tuple[bytes, int, int]]:
    """Yield the path, offset and size of every regular file in a layer's tar.

    Raises:
        UntrustedError: the layer is not a tar.
        MealkitError: the layer cannot be read.
    """
    file = io.BufferedReader(_BlobFile(layer), _READ_AHEAD_BYTES)
    source = FileSource(file)
    for member in TarStream(source, max_entries=_MAX_ENTRIES).members():
        if member.kind is Kind.FILE:
            yield member.path, source.position, member.size_bytes


class _BlobFile(io.RawIOBase):
    """A blob as a file that can be read at any position."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self._blob.size_bytes)[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(0, self._blob.size_bytes - self._position))
        done = 0
        for chunk in self._blob.chunks(self._position, wanted) if wanted else ():
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)
        self._position += done
        return done
