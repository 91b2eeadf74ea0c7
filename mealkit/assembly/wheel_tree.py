"""Unpacks wheels into one package tree, without pip or an interpreter.

Raises BuildError for members outside the tree, bytes that do not match RECORD, and two wheels that
disagree about a file. Console scripts are left out: they contain an interpreter's absolute path.
Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mealkit.assembly.wheel_file import open_wheel, record_of
from mealkit.digest import CHUNK_BYTES
from mealkit.errors import failure
from mealkit.names import clash, loose_path_fault
from mealkit.untrusted import shown

# The exceptions of zipfile: IndexError for a member without a name, OSError for an offset beyond
# the file, RuntimeError for an encrypted member, NotImplementedError for an unknown compression,
# struct.error for a truncated header, ValueError for an invalid name or date.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file of a package tree: its path, and the wheel's member with its bytes."""

    path: str
    wheel: Path
    archive: zipfile.ZipFile = field(repr=False, compare=False)
    member: str
    size_bytes: int
    executable: bool
    record_sha256: str | None
    crc: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the member's bytes, and check them against the wheel's RECORD at the end.

        Raises:
            BuildError: the wheel is damaged (``WHEEL_INVALID``).
        """
        state = hashlib.sha256()
        try:
            with self.archive.open(self.member) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    state.update(chunk)
                    yield chunk
        except (*_DAMAGED, OSError) as error:
            raise _invalid(self.wheel.name, f"{self.member}: {error}") from error
        found = base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
        if self.record_sha256 not in {None, found}:
            raise _invalid(
                self.wheel.name,
                f"{self.member} has digest {found}, its RECORD states {self.record_sha256}",
            )


def wheel_tree(wheels: Sequence[tuple[str, Path]]) -> list[WheelMember]:
    """Return the files of all wheels, given as (file name, path), sorted by path in the tree.

    Each wheel stays open as long as one of its members is referenced, so that its directory is
    read only once.

    Raises:
        BuildError: a wheel is damaged, or two of them disagree (``WHEEL_INVALID``).
    """
    placed: dict[str, WheelMember] = {}
    for filename, path in wheels:
        for member in _members(filename, path):
            other = placed.setdefault(member.path, member)
            if (other.size_bytes, other.crc) != (member.size_bytes, member.crc):
                raise _invalid(
                    filename, f"{member.path} is also in {other.wheel.name}, with other content"
                )
    clashing = clash(placed)
    if clashing is not None:
        wheel = placed[clashing[1]].wheel.name
        raise _invalid(wheel, f"{clashing[1]!r} conflicts with {clashing[0]!r}")
    return [placed[path] for path in sorted(placed)]


def _members(filename: str, path: Path) -> Iterator[WheelMember]:
    try:
        archive = open_wheel(path)  # closed when its last member is released
        names = [info for info in archive.infolist() if not info.is_dir()]
        record = record_of(archive)
        for info in names:
            target = _target(filename, info.filename)
            if target is not None:
                yield WheelMember(
                    path=target,
                    wheel=path,
                    archive=archive,
                    member=info.filename,
                    size_bytes=info.file_size,
                    executable=bool(info.external_attr >> 16 & 0o111),
                    record_sha256=record.get(info.filename),
                    crc=info.CRC,
                )
    except (*_DAMAGED, OSError) as error:
        raise _invalid(filename, str(error)) from error


def _target(filename: str, member: str) -> str | None:
    """Return the path of a member in the tree; None if a package tree does not need it."""
    parts = PurePosixPath(member).parts
    fault = loose_path_fault(member)
    if fault is not None:
        raise _invalid(filename, f"the path of the member {shown(member)} is not allowed: {fault}")
    if parts[0].endswith(".data"):
        if len(parts) < 3 or parts[1] not in {"purelib", "platlib", "data"}:
            return None
        parts = parts[2:]
    if "__pycache__" in parts or parts[-1].endswith(".pyc"):
        return None
    return "/".join(parts)


def _invalid(filename: str, reason: str) -> Exception:
    return failure("WHEEL_INVALID", f"the wheel cannot be unpacked: {reason}", where=filename)
