"""A folder of blobs, named by their digests (OCI image-layout.md, ``blobs/sha256/<hex>``).

Raises StoreError for bytes that do not match their digest. A blob gets its name only when it is
complete.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from mealkit.digest import CHUNK_BYTES, Digest
from mealkit.errors import failure
from mealkit.files.whole import PartialFile, disk_errors, disk_failure, partial_file
from mealkit.oci.image import Blob
from mealkit.progress import Advance, silent
from mealkit.stores.blobs import FileBlob, FileRange, VirtualBlob

# Enough for the kernel to share or copy at full speed, little enough to show progress.
_COPY_BYTES = 64 * CHUNK_BYTES
_NOT_HERE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})

# Distinguishes a blob's file from other files in its folder.
HEX_NAME = re.compile(r"[0-9a-f]{64}").fullmatch


class BlobFolder:
    """Blobs below ``root``; several processes may write into it at once.

    Temporary files are in ``root`` itself; their names start with a dot and end with ``.part``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "blobs" / "sha256"

    def find(self, digest: Digest) -> FileBlob | None:
        """Return a blob if it exists, without reading its bytes.

        Only a regular file counts: a FIFO would block, and a device has no end.
        """
        path = self.folder / digest.hex
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise disk_failure(error, f"{path} cannot be read", str(path)) from error
        return FileBlob(path, digest, found.st_size) if stat.S_ISREG(found.st_mode) else None

    def holds(self, blob: Blob) -> bool:
        """Return whether a blob exists with all its bytes; a truncated one does not count."""
        found = self.find(blob.digest)
        return found is not None and found.size_bytes == blob.size_bytes

    def write(self, blob: Blob, advance: Advance) -> FileBlob:
        """Write a blob; ``advance`` is called with the number of bytes.

        Raises:
            StoreError: ``BLOB_DAMAGED``: its bytes do not match its digest; ``DISK_FULL``; and the
                errors of reading the blob. Nothing is left behind.
        """
        return self._write(blob.chunks(), advance, blob)

    def add(self, chunks: Iterable[bytes | memoryview], advance: Advance) -> FileBlob:
        """Write bytes whose digest is not yet known; they get their name at the end."""
        return self._write(chunks, advance, None)

    def adopt(self, file: Path, digest: Digest) -> None:
        """Move a file here that was just verified; it is copied from another file system.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        with disk_errors(self.root):
            self.folder.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            try:
                file.replace(self.folder / digest.hex)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.write(FileBlob(file, digest, file.stat().st_size), silent)
                file.unlink()

    def copy(self, blob: VirtualBlob, advance: Advance) -> FileBlob:
        """Write a virtual blob; it is not read if the file system can share its blocks.

        It is not hashed again: the source is checked to be the hashed file, before and after.

        Raises:
            StoreError: ``BLOB_MISSING``, ``DISK_FULL``. Nothing is left behind.
            SourceError: ``SOURCE_CHANGED``.
        """
        blob.check()
        with self._partial(blob.digest.hex) as partial:
            for part in blob.parts():
                if isinstance(part, FileRange):
                    _copy_range(part, partial.stream, advance)
                else:
                    partial.write(part)
                    partial.flush()
                    advance(len(part))
            blob.check()
            return self._finish(partial, blob.digest)

    def digests(self) -> list[Digest]:
        """Return the digests of all blobs, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(
            Digest.from_hex(path.name) for path in self.folder.iterdir() if HEX_NAME(path.name)
        )

    def remove(self, digest: Digest) -> int:
        """Delete a blob; return the freed bytes."""
        path = self.folder / digest.hex
        freed_bytes = path.stat().st_size
        with disk_errors(path):
            path.unlink()
        return freed_bytes

    def partials(self) -> list[Path]:
        """Return the temporary files of active and of killed writers."""
        return sorted(self.root.glob(".*.part"))

    def _write(
        self, chunks: Iterable[bytes | memoryview], advance: Advance, expected: Blob | None
    ) -> FileBlob:
        state = hashlib.sha256()
        with self._partial(expected.digest.hex if expected else "new") as partial:
            for chunk in chunks:
                state.update(chunk)
                partial.write(chunk)
                advance(len(chunk))
            digest = Digest.from_hex(state.hexdigest())
            if expected is not None and digest != expected.digest:
                raise failure(
                    "BLOB_DAMAGED", f"the bytes of blob {expected.digest} have the digest {digest}"
                )
            return self._finish(partial, digest)

    def _partial(self, name: str) -> AbstractContextManager[PartialFile]:
        with disk_errors(self.root):
            self.folder.mkdir(parents=True, exist_ok=True)
        return partial_file(self.root / name)

    def _finish(self, partial: PartialFile, digest: Digest) -> FileBlob:
        path = self.folder / digest.hex
        return FileBlob(path, digest, partial.finish(path))


def _copy_range(part: FileRange, out: BinaryIO, advance: Advance) -> None:
    """Let the kernel copy a range to the end of a file, sharing blocks if possible."""
    position, end = part.offset, part.offset + part.length
    target = out.tell()
    with disk_errors(Path(out.name)), part.path.open("rb", buffering=0) as source:
        copy = _share
        while position < end:
            count = min(_COPY_BYTES, end - position)
            try:
                copied = copy(source.fileno(), out.fileno(), count, position, target)
            except OSError as error:
                if copy is _send or error.errno not in _NOT_HERE:
                    raise
                copy = _send
                continue
            if not copied and copy is _send:
                raise failure("SOURCE_CHANGED", f"{part.path} became shorter while it was copied")
            if not copied:  # some file systems return 0 for files that they cannot copy
                copy = _send
                continue
            position, target = position + copied, target + copied
            advance(copied)
        out.seek(target)


def _share(source: int, target: int, count: int, source_at: int, target_at: int) -> int:
    return os.copy_file_range(source, target, count, source_at, target_at)


def _send(source: int, target: int, count: int, source_at: int, target_at: int) -> int:
    os.lseek(target, target_at, os.SEEK_SET)
    return os.sendfile(target, source, source_at, count)
