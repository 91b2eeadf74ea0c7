"""Writes an archive as one file or as volumes; a later command continues what was interrupted.

The list of checksums has a volume as soon as all its bytes are on the disk. A listed volume is not
written again if it is there with these bytes, or if it was taken away to another medium. Raises
StoreError when the disk is full; the finished volumes stay.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.digest import Digest, canonical_json, digest_of_file
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import (
    disk_errors,
    partial_file,
    remove_leftovers,
    require_space,
    sync_folder,
    write_whole,
)
from mealkit.oci.tar import Bytes
from mealkit.oci.tar_source import StreamSource
from mealkit.progress import Advance
from mealkit.stores.packed_archive import PackedArchive
from mealkit.stores.volume_files import (
    Checksums,
    VolumeHead,
    checksum_path,
    volume_heads,
    volume_path,
)
from mealkit.untrusted import shown

# The bytes of a blob that a registry sent were other ones, or the store's file is damaged.
_WRONG_BYTES = frozenset({"REGISTRY_DIGEST", "BLOB_DAMAGED", "SOURCE_CHANGED"})


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of an archive: ``is_kept`` if an earlier command wrote it, here or elsewhere."""

    path: Path
    checksum: str
    size_bytes: int
    is_kept: bool
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file to write: a range of the archive, with bytes before and after it."""

    path: Path
    start: int
    length: int
    head: bytes = b""
    tail: bytes = b""

    @property
    def file_bytes(self) -> int:
        return len(self.head) + self.length + len(self.tail)


def write_volumes(
    archive: PackedArchive,
    file: Path,
    volume_bytes: int | None,
    advance: Advance,
    told: Callable[[WrittenFile], None],
) -> tuple[WrittenFile, ...]:
    """Write an archive to ``file``, or to volumes FILE.001, ...; and FILE.sha256.

    ``advance`` is called with the bytes of the archive's blobs, ``told`` with each file that is
    complete.

    Raises:
        KitError: ``USAGE``: the name or the size of the volumes is not possible.
        BuildError: ``OUTPUT_EXISTS``: another archive is there.
        StoreError: ``DISK_FULL``; and the errors of reading the blobs.
    """
    file = file.absolute()
    if not file.name.isprintable() or "\\" in file.name:
        raise failure("USAGE", f"{shown(file.name)} is not a name for an archive")
    identity, pieces = _pieces(archive, file, volume_bytes)
    return _Writing(archive, checksum_path(pieces[0].path), identity, advance, told).write(pieces)


def _pieces(
    archive: PackedArchive, file: Path, volume_bytes: int | None
) -> tuple[Digest, tuple[_Piece, ...]]:
    """Return what identifies the archive in this division, and its files."""
    form = {"index": str(Digest.of(archive.raw_index)), "volume": volume_bytes}
    identity = Digest.of(canonical_json(form | {"size": archive.size_bytes}))
    if volume_bytes is None:
        return identity, (_Piece(file, 0, archive.size_bytes),)
    heads: tuple[VolumeHead, ...] = volume_heads(identity, archive.size_bytes, volume_bytes)
    return identity, tuple(
        _Piece(volume_path(file, head.volume), head.offset, head.length, head.as_bytes(), head.tail)
        for head in heads
    )


class _Writing:
    """Writes the files of one archive."""

    def __init__(
        self,
        archive: PackedArchive,
        listed: Path,
        identity: Digest,
        advance: Advance,
        told: Callable[[WrittenFile], None],
    ) -> None:
        self._archive = archive
        self._listed = listed
        self._identity = str(identity)
        self._advance = advance
        self._told = told
        self._checksums: dict[str, str] = {}
        self._source = StreamSource(iter(()))
        self._position = -1

    def write(self, pieces: tuple[_Piece, ...]) -> tuple[WrittenFile, ...]:
        """Write the files that are not there yet."""
        remove_leftovers(self._listed.parent, self._listed.name)
        self._read_list(pieces)
        written: list[WrittenFile] = []
        for number, piece in enumerate(pieces):
            found = self._kept(piece)
            if found is None:
                found = self._written(piece, pieces[:number])
            else:
                self._advance(piece.length)
            written.append(found)
            self._told(found)
        return tuple(written)

    def _read_list(self, pieces: tuple[_Piece, ...]) -> None:
        """Read what an earlier command wrote; refuse to mix it with another archive."""
        known = Checksums.read(self._listed)
        if known is not None and known.archive == self._identity:
            self._checksums = dict(known.by_name)
            return
        foreign = [self._listed] if self._listed.exists() else []
        foreign += [item.path for item in pieces if item.path.exists() and not self._is_begun(item)]
        if foreign:
            raise failure(
                "OUTPUT_EXISTS",
                f"{foreign[0]} belongs to another archive",
                hint=f"choose another name, or delete {self._listed.stem}* there",
                where=str(foreign[0]),
            )

    def _kept(self, piece: _Piece) -> WrittenFile | None:
        """Return a file that an earlier command wrote, if it is right or was taken away."""
        checksum = self._checksums.get(piece.path.name)
        if checksum is None:
            return None
        kept = WrittenFile(piece.path, checksum, piece.file_bytes, is_kept=True)
        if not piece.path.exists():
            return replace(kept, is_elsewhere=True) if piece.head else None
        with disk_errors(piece.path, f"reading {piece.path}"):
            is_right = (
                piece.path.stat().st_size == piece.file_bytes
                and digest_of_file(piece.path).hex == checksum
            )
        return kept if is_right else None

    def _written(self, piece: _Piece, before: tuple[_Piece, ...]) -> WrittenFile:
        """Write a file, and list its checksum."""
        folder = piece.path.parent
        remove_leftovers(folder, piece.path.name)
        state = hashlib.sha256()
        try:
            require_space(folder, piece.file_bytes)
            with partial_file(piece.path) as out:
                for chunk in self._bytes(piece):
                    state.update(chunk)
                    out.write(chunk)
                out.finish(piece.path)
        except MealkitError as error:
            raise self._explained(error, piece, before) from error
        sync_folder(folder)
        self._checksums[piece.path.name] = state.hexdigest()
        self._write_list()
        return WrittenFile(piece.path, state.hexdigest(), piece.file_bytes, is_kept=False)

    def _bytes(self, piece: _Piece) -> Iterator[Bytes]:
        if self._position != piece.start:
            self._source = StreamSource(self._archive.chunks(piece.start, self._advance))
            self._position = piece.start
        yield piece.head
        for chunk in self._source.pieces(piece.length):
            self._position += len(chunk)
            yield chunk
        yield piece.tail

    def _write_list(self) -> None:
        write_whole(self._listed, Checksums(self._identity, self._checksums).as_bytes())

    def _explained(
        self, error: MealkitError, piece: _Piece, before: tuple[_Piece, ...]
    ) -> MealkitError:
        """Say how to continue; forget the files that have a part of a blob with wrong bytes."""
        found = error.problems[0]
        if found.code in _WRONG_BYTES:
            start = self._archive.start_of(max(0, self._position - 1))
            for item in before:
                if start < item.start + item.length:
                    self._checksums.pop(item.path.name, None)
            self._write_list()
        if found.code != "DISK_FULL" or not piece.head:
            return error
        done = ", ".join(item.path.name for item in before if item.path.exists())
        hint = f"free space in {piece.path.parent}, then run the command again: it continues"
        if done:
            hint = (
                f"move {done} to another medium, leave {self._listed.name} where it is, and run the"
                f" command again: it continues with {piece.path.name}"
            )
        return type(error)(replace(found, hint=hint))

    def _is_begun(self, piece: _Piece) -> bool:
        """Return whether a command that wrote this file was killed before it could list it."""
        if not piece.path.is_file():
            return False
        head = piece.head or self._archive.beginning
        with disk_errors(piece.path, f"reading {piece.path}"), piece.path.open("rb") as stream:
            is_whole = piece.path.stat().st_size == piece.file_bytes
            return is_whole and stream.read(len(head)) == head
