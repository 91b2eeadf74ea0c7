"""Reads an archive that is one file or several volumes, in any order.

Raises StoreError for volumes that are missing, damaged, or of another archive. Bytes are compared
with their digests by those who read them; ``blamed`` then finds the volume with the wrong ones.
"""

import errno
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mealkit.digest import digest_of_file
from mealkit.errors import MealkitError, Problem, failure, failures, problem
from mealkit.files.whole import disk_errors
from mealkit.stores.blobs import FileRange, cut_ranges
from mealkit.stores.volume_files import (
    HEAD_BYTES,
    MAX_VOLUMES,
    Checksums,
    VolumeHead,
    checksum_path,
)
from mealkit.untrusted import UntrustedError, open_regular

_LIST_SUFFIX = ".sha256"
_NAME_ALL = "name the file that mealkit save wrote, or all its volumes: mealkit load FILE.*"
_COPY_AGAIN = "copy the file again from where it was written"


@dataclass(frozen=True, slots=True)
class JoinedFiles:
    """The bytes of an archive, in ranges of its files."""

    where: str
    """The archive's name for messages."""
    ranges: tuple[FileRange, ...]
    archive: str | None = None
    """What the volumes say they are part of; None: it is one file."""

    @property
    def size_bytes(self) -> int:
        """The number of bytes of the archive."""
        return sum(item.length for item in self.ranges)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the order of the archive."""
        return tuple(item.path for item in self.ranges)

    def cut(self, offset: int, length: int) -> tuple[FileRange, ...]:
        """Return a range of the archive as ranges of its files."""
        return cut_ranges(self.ranges, offset, length)

    def stream(self) -> BinaryIO:
        """Open the archive as one file that can be read and positioned."""
        return cast("BinaryIO", io.BufferedReader(_JoinedStream(self.ranges)))

    def blamed(self) -> tuple[Problem, ...]:
        """Return a problem for each file whose bytes do not match its checksum in the list.

        Every file is read. Empty if there is no list of checksums beside the files.
        """
        return tuple(found for path in self.files if (found := _changed(path)) is not None)


def join_files(files: Sequence[Path]) -> JoinedFiles:
    """Return the archive in these files: one file, or all volumes in any order.

    A list of checksums (FILE.sha256) may be among them; it is looked for beside each file.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: a file does not exist; ``VOLUME_MISSING``,
            ``VOLUME_FOREIGN``, ``VOLUME_DAMAGED``; ``IMAGE_INVALID``, ``DISK_DENIED``.
    """
    named = {path.absolute(): None for path in files}
    paths = [path for path in named if path.suffix != _LIST_SUFFIX]
    if not paths:
        message = "a list of checksums is not an archive"
        raise failure("IMAGE_NOT_FOUND", message, where=str(files[0]), hint=_NAME_ALL)
    if len(paths) > MAX_VOLUMES:
        message = f"an archive has at most {MAX_VOLUMES} volumes, and {len(paths)} are named"
        raise failure("IMAGE_NOT_FOUND", message, hint=_NAME_ALL)
    heads = {path: _head(path) for path in paths}
    volumes = {path: head for path, head in heads.items() if head is not None}
    if not volumes and len(paths) == 1:
        return JoinedFiles(str(paths[0]), (FileRange(paths[0], 0, paths[0].stat().st_size),))
    _require_one_archive(paths, volumes)
    in_order = _in_order(volumes)
    _require_whole(in_order)
    ranges = tuple(FileRange(path, HEAD_BYTES, head.length) for path, head in in_order)
    first, head = in_order[0]
    return JoinedFiles(str(first.with_suffix("")), ranges, head.archive)


class _JoinedStream(io.RawIOBase):
    """Ranges of files as one file; one of them is open at a time."""

    def __init__(self, ranges: tuple[FileRange, ...]) -> None:
        self._ranges = ranges
        self._size = sum(item.length for item in ranges)
        self._position = 0
        self._open: tuple[Path, BinaryIO] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = cut_ranges(self._ranges, self._position, len(buffer))
        if not found:
            return 0
        stream = self._stream(found[0].path)
        stream.seek(found[0].offset)
        got = stream.readinto(memoryview(buffer)[: found[0].length])  # type: ignore[attr-defined]
        self._position += got
        return int(got)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def _stream(self, path: Path) -> BinaryIO:
        if self._open is None or self._open[0] != path:
            if self._open is not None:
                self._open[1].close()
            self._open = (path, cast("BinaryIO", open(open_regular(path), "rb", buffering=0)))  # noqa: PTH123, SIM115
        return self._open[1]


def _head(path: Path) -> VolumeHead | None:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError as error:
        message = f"there is no file {path}"
        raise failure("IMAGE_NOT_FOUND", message, where=str(path), hint=_NAME_ALL) from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise _not_a_file(path) from error
        raise failure("DISK_DENIED", f"{path}: {error.strerror}", where=str(path)) from error
    with disk_errors(path, f"reading {path}"):
        try:
            raw = os.pread(descriptor, HEAD_BYTES, 0)
        finally:
            os.close(descriptor)
    try:
        return VolumeHead.read(raw)
    except UntrustedError as error:
        found = _changed(path)
        raise failures([found or _damaged(path, f"{path}: {error}")]) from error


def _not_a_file(path: Path) -> MealkitError:
    message, where = f"{path} is not a regular file", str(path)
    if path.is_dir():
        hint = f"read an OCI layout with oci:{path}, as in mealkit run"
        return failure("DISK_DENIED", message, hint=hint, where=where)
    hint = "write what comes from a pipe to a file first: parts of it are read in any order"
    return failure("IMAGE_INVALID", message, hint=hint, where=where)


def _require_one_archive(paths: Sequence[Path], volumes: dict[Path, VolumeHead]) -> None:
    """Check that every file is a volume, and that all are of one archive in one division."""
    for path in paths:
        if path not in volumes:
            changed = _changed(path)
            if changed is not None:
                raise failures([changed])
            message = f"{path} is not a volume of an archive"
            raise failure("VOLUME_FOREIGN", message, where=str(path))
    kinds = {head.archive for head in volumes.values()}
    if len(kinds) == 1:
        return
    counts = {kind: sum(head.archive == kind for head in volumes.values()) for kind in kinds}
    most = max(sorted(kinds), key=lambda kind: counts[kind])
    raise failures(
        [
            _changed(path) or _foreign(path, head, most)
            for path, head in volumes.items()
            if head.archive != most
        ]
    )


def _foreign(path: Path, head: VolumeHead, others: str) -> Problem:
    return problem(
        "VOLUME_FOREIGN",
        f"{path} is volume {head.volume} of another archive than the other files",
        measured=head.archive,
        required=others,
        where=str(path),
    )


def _in_order(volumes: dict[Path, VolumeHead]) -> list[tuple[Path, VolumeHead]]:
    """Return the volumes in their order, each once.

    Raises:
        StoreError: ``VOLUME_MISSING`` for each that is not there; ``VOLUME_DAMAGED``: their heads
            contradict each other.
    """
    by_number: dict[int, tuple[Path, VolumeHead]] = {}
    for path, head in volumes.items():
        by_number.setdefault(head.volume, (path, head))
    first, any_head = next(iter(volumes.items()))
    missing = [n for n in range(1, any_head.volumes + 1) if n not in by_number]
    if missing:
        there = ", ".join(map(str, sorted(by_number)))
        raise failures([_missing(first, any_head, number, there) for number in missing])
    in_order = [by_number[number] for number in sorted(by_number)]
    end = 0
    for path, head in in_order:
        if (head.offset, head.volumes, head.size) != (end, len(in_order), any_head.size):
            raise failures([_damaged(path, f"{path} contradicts the other volumes")])
        end = head.offset + head.length
    if end != any_head.size:
        raise failures([_damaged(in_order[-1][0], "the volumes are not the whole archive")])
    return in_order


def _missing(known: Path, head: VolumeHead, number: int, there: str) -> Problem:
    name = f"{known.stem}.{number:03d}"
    listed = Checksums.read(checksum_path(known))
    checksum = listed.by_name.get(name) if listed else None
    return problem(
        "VOLUME_MISSING",
        f"volume {number} of {head.volumes} is missing: {name}",
        measured=f"volumes {there}",
        required=f"volume {number}" + (f", sha256 {checksum}" if checksum else ""),
        where=str(known.parent),
    )


def _require_whole(in_order: Sequence[tuple[Path, VolumeHead]]) -> None:
    """Check the sizes of the volumes' files."""
    cut = [
        problem(
            "VOLUME_DAMAGED",
            f"{path} is not complete" if size < head.file_bytes else f"{path} has bytes at its end",
            measured=f"{size} bytes",
            required=f"{head.file_bytes} bytes",
            where=str(path),
            hint=_COPY_AGAIN,
        )
        for path, head in in_order
        if (size := path.stat().st_size) != head.file_bytes
    ]
    if cut:
        raise failures(cut)


def _changed(path: Path) -> Problem | None:
    """Compare a file with its checksum in the list; return None if it matches or has none."""
    listed = Checksums.read(checksum_path(path))
    required = listed.by_name.get(path.name) if listed else None
    if required is None:
        return None
    try:
        measured = digest_of_file(path).hex
    except OSError:
        return None
    if measured == required:
        return None
    return problem(
        "VOLUME_DAMAGED",
        f"{path} is not the file that was written: its bytes changed",
        measured=f"sha256 {measured}",
        required=f"sha256 {required}",
        where=str(path),
        hint=_COPY_AGAIN,
    )


def _damaged(path: Path, message: str) -> Problem:
    return problem("VOLUME_DAMAGED", message, where=str(path), hint=_COPY_AGAIN)


def explained_by_files(error: MealkitError, joined: JoinedFiles) -> MealkitError:
    """Return the volumes whose bytes changed as the reason of an error, if that is the reason."""
    codes = {"IMAGE_INVALID", "BLOB_DAMAGED", "BLOB_MISSING"}
    if not codes & {item.code for item in error.problems}:
        return error
    blamed = joined.blamed()
    return failures(list(blamed)) if blamed else error
