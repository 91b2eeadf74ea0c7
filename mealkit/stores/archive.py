"""OCI archives: a layout in one tar file, as skopeo and podman read it (``oci-archive:``).

Refuses compressed archives: their blobs cannot be read in place, and weights do not compress.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mealkit.digest import CHUNK_BYTES, Digest
from mealkit.errors import failure
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.image import Blob, BytesBlob, Image, read_image, references
from mealkit.oci.tar import TarFile, tar_chunks
from mealkit.oci.untar import Kind, TarStream
from mealkit.stores.atomic import disk_errors, require_space, sync_folder, temporary_name
from mealkit.stores.blobs import FileBlob, small_bytes
from mealkit.stores.folder import HEX_NAME, Advance, silent
from mealkit.stores.index import LAYOUT_BYTES, LAYOUT_FILE, Index, choose
from mealkit.untrusted import UntrustedError

_BLOBS = "blobs/sha256/"
# Two for each layer, and some for the rest.
_MOST_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a file's bytes are in an archive."""

    size_bytes: int
    offset: int


def write_archive(
    image: Image, file: Path, name: str | None = None, advance: Advance = silent
) -> None:
    """Write an image with all its bytes as one file; the same image gives the same bytes.

    A file that is there is replaced, once the new one is whole. ``advance`` is told the bytes.

    Raises:
        BuildError: ``OUTPUT_EXISTS``: the path is a folder.
        StoreError: ``DISK_FULL``; and what reading the blobs raises. Nothing is left behind.
    """
    if file.is_dir():
        raise failure("OUTPUT_EXISTS", f"{file} is a folder", where=str(file))
    index = Index().with_image(image.descriptor, [] if name is None else [name])
    blobs: dict[Digest, Blob] = {layer.blob.digest: layer.blob for layer in image.layers}
    for data in (image.raw_config, image.raw_manifest):
        blobs[Digest.of(data)] = BytesBlob(data)
    entries = [TarFile.of(LAYOUT_FILE, LAYOUT_BYTES), TarFile.of("index.json", index.as_bytes())]
    entries += [
        TarFile(f"{_BLOBS}{digest.hex}", blob.size_bytes, partial(_told, blob, advance))
        for digest, blob in blobs.items()
    ]
    require_space(file.absolute().parent, sum(entry.size_bytes for entry in entries))
    _write(file, tar_chunks(entries))


def read_archive(file: Path, name: str | None = None, platform: Platform | None = None) -> Image:
    """Return an image of an archive; its blobs are read in place.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: no such file or image; ``IMAGE_INVALID``: not an archive,
            or a compressed one; ``BLOB_MISSING``, ``BLOB_DAMAGED``.
    """
    members = _members(file)
    blobs = {
        digest: FileBlob(file, digest, item.size_bytes, item.offset)
        for path, item in members.items()
        if path.startswith(_BLOBS) and HEX_NAME(path.removeprefix(_BLOBS))
        if (digest := Digest.from_hex(path.removeprefix(_BLOBS)))
    }

    def blob_of(digest: Digest) -> FileBlob:
        found = blobs.get(digest)
        if found is None:
            raise failure("BLOB_MISSING", f"{file} has no blob {digest}", where=str(file))
        return found

    def read(descriptor: Descriptor) -> bytes:
        return small_bytes(blob_of(descriptor.digest))

    item = members.get("index.json")
    if item is None or item.size_bytes > CHUNK_BYTES:
        raise failure(
            "IMAGE_INVALID", f"{file} has no index.json of an OCI layout", where=str(file)
        )
    with file.open("rb") as stream:
        stream.seek(item.offset)
        index = Index.parse(stream.read(item.size_bytes), f"{file}: index.json")
    chosen = choose(index, name, platform, read)
    raw_manifest = read(chosen)
    raw_config = read(references(raw_manifest)[0])
    return read_image(raw_manifest, raw_config, lambda item: blob_of(item.digest))


def _told(blob: Blob, advance: Advance) -> Iterator[bytes | memoryview]:
    """Yield a blob's bytes, and tell of each chunk once it was taken."""
    for chunk in blob.chunks():
        yield chunk
        advance(len(chunk))


def _write(file: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file that gets its name when it is whole."""
    temporary = temporary_name(file)
    with disk_errors(file.absolute().parent):
        out = temporary.open("xb", buffering=0)
    try:
        pending = bytearray()
        for chunk in chunks:
            pending += chunk
            if len(pending) >= CHUNK_BYTES:
                _flush(file, out.fileno(), pending)
        _flush(file, out.fileno(), pending)
        with disk_errors(file):
            os.fsync(out.fileno())
            temporary.replace(file)
            sync_folder(file.absolute().parent)
    finally:
        out.close()
        temporary.unlink(missing_ok=True)


def _flush(file: Path, descriptor: int, pending: bytearray) -> None:
    with disk_errors(file):
        while pending:
            del pending[: os.write(descriptor, pending)]


def _members(file: Path) -> dict[str, _Member]:
    """Look at the headers of a tar; later entries of one path win, links are not followed."""
    try:
        with _opened(file) as stream:
            members = TarStream(_Seekable(stream), max_entries=_MOST_ENTRIES).members()
            return {
                os.fsdecode(item.path).removeprefix("./"): _Member(item.size_bytes, stream.tell())
                for item in members
                if item.kind is Kind.FILE
            }
    except FileNotFoundError as error:
        raise failure("IMAGE_NOT_FOUND", f"there is no archive {file}", where=str(file)) from error
    except UntrustedError as error:
        raise failure(
            "IMAGE_INVALID",
            f"{file} is not a tar file: {error}",
            hint="unpack it first, if it is compressed: gunzip FILE",
            where=str(file),
        ) from error
    except OSError as error:
        raise failure("DISK_DENIED", f"{file}: {error.strerror}", where=str(file)) from error


def _opened(file: Path) -> BinaryIO:
    """Open a regular file; never wait for a FIFO."""
    stream = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UntrustedError("it is not a regular file")
    return stream


class _Seekable:
    """A file as what a tar is read from; data is passed over without being read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        return self._stream.read(size)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        self._stream.seek(size, os.SEEK_CUR)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next bytes in pieces."""
        left = size
        while left and (piece := self._stream.read(min(left, CHUNK_BYTES))):
            left -= len(piece)
            yield piece
