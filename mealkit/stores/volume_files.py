"""Volumes of an archive as files: their heads, and the list of their checksums.

A volume is a tar file with two entries: ``volume.json``, which says which part of which archive it
is, and ``part``, the bytes. So tar alone puts the archive together again:
``for v in FILE.0??; do tar -xOf $v part; done > FILE``. The list has the form of sha256sum.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.tar import END, TarFile, header
from mealkit.oci.ustar import BLOCK_BYTES, padding
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

HEAD_BYTES = 4096
"""The length of a volume's head: the part begins there, aligned to blocks of file systems."""
MAX_VOLUMES = 999
LEAST_VOLUME_BYTES = 64 * 1024

_HEAD_NAME, _PART_NAME = "volume.json", "part"
_MAX_LIST_BYTES = 1024 * 1024
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\\\0]{1,255})")
_COMMENT = re.compile(r"# mealkit archive (sha256:[0-9a-f]{64})")
_VOLUME_NAME = re.compile(r"(.+)\.([0-9]{3})")


@dataclass(frozen=True, slots=True)
class VolumeHead:
    """Which part of which archive a volume is. ``archive`` identifies the archive."""

    archive: str
    volume: int
    volumes: int
    offset: int
    length: int
    size: int
    """The number of bytes of the whole archive."""

    def as_bytes(self) -> bytes:
        """Return the volume's bytes before its part."""
        part = header(TarFile(_PART_NAME, self.length, tuple))
        form = json.dumps({"mealkitVolume": 1, **asdict(self)}, sort_keys=True).encode()
        about = form.ljust(HEAD_BYTES - BLOCK_BYTES - len(part) - 1) + b"\n"
        return header(TarFile.of(_HEAD_NAME, about)) + about + part

    @property
    def tail(self) -> bytes:
        """The volume's bytes after its part."""
        return padding(self.length) + END

    @property
    def file_bytes(self) -> int:
        """The size of the volume's file."""
        return HEAD_BYTES + self.length + len(self.tail)

    @classmethod
    def read(cls, raw: bytes) -> Self | None:
        """Read the beginning of a file; return None if it is not a volume.

        Raises:
            UntrustedError: it is a volume, but its head is damaged.
        """
        if not raw.startswith(_HEAD_NAME.encode() + b"\0"):
            return None
        form = parse_json_object(raw[BLOCK_BYTES:HEAD_BYTES].partition(b"\n")[0])
        if form.pop("mealkitVolume", None) != 1 or not _is_sound(form):
            raise UntrustedError("its volume.json cannot be read")
        found = cls(**form)
        if found.as_bytes() != raw[:HEAD_BYTES]:
            raise UntrustedError("its head is damaged")
        return found


def _is_sound(form: Mapping[str, Any]) -> bool:
    """Return whether the fields have their types, and can be true of an archive."""
    numbers = [form.get(name) for name in ("volume", "volumes", "offset", "length", "size")]
    if not isinstance(form.get("archive"), str) or len(form) != 1 + len(numbers):
        return False
    if not all(type(number) is int for number in numbers):
        return False
    number, count, offset, length, size = cast("list[int]", numbers)
    return 1 <= number <= count <= MAX_VOLUMES and 0 <= offset < offset + length <= size < 2**62


def volume_heads(archive: Digest, size_bytes: int, volume_bytes: int) -> tuple[VolumeHead, ...]:
    """Divide an archive into volumes whose files are smaller than ``volume_bytes``.

    Smaller, and not equal: file systems of the FAT family have files of up to 4 GiB less one byte.

    Raises:
        KitError: ``USAGE``: the volumes are too small, or too many.
    """
    around = HEAD_BYTES + len(END)
    length = (volume_bytes - 1 - around) // BLOCK_BYTES * BLOCK_BYTES
    count = -(-size_bytes // length) if length > 0 else 0
    if volume_bytes < LEAST_VOLUME_BYTES or count > MAX_VOLUMES:
        least = max(LEAST_VOLUME_BYTES, size_bytes // MAX_VOLUMES + around + BLOCK_BYTES + 1)
        raise failure(
            "USAGE",
            f"volumes of {volume_bytes} bytes are too small for an archive of {size_bytes} bytes",
            hint=f"use at least --volume {least}B",
            where="--volume",
        )
    return tuple(
        VolumeHead(
            str(archive),
            number + 1,
            count,
            number * length,
            min(length, size_bytes - number * length),
            size_bytes,
        )
        for number in range(count)
    )


def volume_path(file: Path, number: int) -> Path:
    """Return the path of a volume: FILE.001, FILE.002, ..."""
    return file.with_name(f"{file.name}.{number:03d}")


def checksum_path(path: Path) -> Path:
    """Return the path of the list with the checksum of an archive or of one of its volumes."""
    found = _VOLUME_NAME.fullmatch(path.name)
    return path.with_name(f"{found[1] if found else path.name}.sha256")


@dataclass(frozen=True, slots=True)
class Checksums:
    """The checksums of files by name, as sha256sum writes and checks them.

    ``archive`` identifies what they are the volumes of; sha256sum skips that line.
    """

    archive: str | None = None
    by_name: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a list; return None if there is none, or if it is not one."""
        try:
            text = read_file(path, _MAX_LIST_BYTES).decode()
        except (OSError, UntrustedError, UnicodeDecodeError):
            return None
        lines = text.splitlines()
        comments = (found[1] for line in lines if (found := _COMMENT.match(line)))
        pairs = {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line))}
        return cls(next(comments, None), pairs)

    def as_bytes(self) -> bytes:
        """Return the list's bytes."""
        return "".join(f"{line}\n" for line in self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        if self.archive:
            yield f"# mealkit archive {self.archive}"
        for name, checksum in sorted(self.by_name.items()):
            yield f"{checksum}  {name}"
