"""Reads one Debian package strictly: its two archives, its metadata, and its files.

Raises UntrustedError for everything that Debian's archive does not contain. A package is an ar
archive of exactly ``debian-binary``, ``control.tar`` and ``data.tar`` with nothing after them,
compressed with xz, gzip or not at all, and unpacks to a plausible size. Format: deb(5).
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mealkit.assembly.deb_tar import DebMember, members
from mealkit.digest import file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.oci.untar import Kind
from mealkit.recipe.locked_base import LockedDeb
from mealkit.untrusted import UntrustedError, decompressed, shown

# https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_FORMAT = b"2.0\n"
_NUMBER = re.compile(rb"[0-9]{1,10} *")
_FIELD = re.compile(r"(?P<name>[!-9;-~]+):(?P<value>.*)")

_MOST_CONTROL_BYTES = 16 * 1024 * 1024
_MOST_BYTES = {"control": 256 * 1024, "md5sums": 8 * 1024 * 1024}
# None of the 64 000 packages in trixie unpacks to more than 570 times its size.
_MOST_GROWTH = 600
_LEAST_DATA_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Part:
    """A member of the ar archive: where its bytes are, and how they are packed."""

    name: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Deb:
    """An open package: its control files are in memory, its data is still packed."""

    path: Path
    control: bytes
    """The file ``control``: the package's metadata."""
    md5sums: bytes | None
    data: _Part

    def fields(self) -> dict[str, str]:
        """Return the first lines of the control file's fields, by their names in lower case.

        Raises:
            UntrustedError: the file is not a control file, or has a field twice.
        """
        return _fields(self.control)

    def unpack_data(self, target: Path) -> list[DebMember]:
        """Write the package's files as a plain archive, and return its members.

        Raises:
            UntrustedError: the package is damaged, or too large.
            OSError: ``target`` cannot be written.
        """
        most = _LEAST_DATA_BYTES + _MOST_GROWTH * self.data.size_bytes
        with target.open("wb") as stream:
            for chunk in _plain(self.path, self.data, "data.tar", most):
                stream.write(chunk)
        with target.open("rb") as stream:
            return list(members(stream))


def open_deb(path: Path) -> Deb:
    """Open a package, and read its metadata.

    Raises:
        UntrustedError: the file is not a package like those in Debian's archive.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        control, data = _parts(stream)
    packed = io.BytesIO()
    for chunk in _plain(path, control, "control.tar", _MOST_CONTROL_BYTES):
        packed.write(chunk)
    files = dict(_control_files(packed))
    if "control" not in files:
        raise UntrustedError("it has no control file")
    return Deb(path, files["control"], files.get("md5sums"), data)


def require_deb(path: Path, locked: LockedDeb) -> None:
    """Raise if a file is not the package that a lock names, even if its digest matches.

    Raises:
        BuildError: ``BASE_INVALID``, the file is not this package.
        OSError: the file cannot be read.
    """
    try:
        fields = open_deb(path).fields()
    except UntrustedError as error:
        raise _refused(locked, f"is not a Debian package: {error}") from error
    wanted = {
        "package": locked.name,
        "version": locked.version,
        "architecture": locked.architecture,
    }
    for name, value in wanted.items():
        if fields.get(name) != value:
            said = shown(fields.get(name, ""))
            raise _refused(
                locked, f"is a different package: its {name} is {said}, expected {shown(value)}"
            )


def _refused(locked: LockedDeb, what: str) -> MealkitError:
    return failure(
        "BASE_INVALID",
        f"the file that the lock pins as {shown(locked.name)} {what}",
        where=f"sha256:{locked.sha256.hex}",
        hint="do not use this lock; delete kit.lock, then run: mealkit lock",
    )


def _parts(stream: BinaryIO) -> tuple[_Part, _Part]:
    """Return the positions of the control and data archives."""
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise UntrustedError("it does not start like an ar archive")
    found: list[_Part] = []
    while stream.tell() < end:
        if len(found) == 3:
            raise UntrustedError("it has bytes after its data")
        found.append(_part(stream, end))
    names = [part.name.partition(".tar")[0] for part in found]
    if names != ["debian-binary", "control", "data"]:
        raise UntrustedError("it does not consist of debian-binary, control.tar and data.tar")
    stream.seek(found[0].offset)
    if stream.read(found[0].size_bytes) != _FORMAT:
        raise UntrustedError("its format is not 2.0")
    return found[1], found[2]


def _part(stream: BinaryIO, end: int) -> _Part:
    header = stream.read(_HEADER_BYTES)
    name, size = header[:16].rstrip(b" /"), header[48:58]
    if len(header) != _HEADER_BYTES or header[58:] != b"`\n" or not _NUMBER.fullmatch(size):
        raise UntrustedError("it has a damaged header")
    part = _Part(name.decode(errors="replace"), stream.tell(), int(size))
    if part.offset + part.size_bytes > end:
        raise UntrustedError(f"its part {shown(part.name)} is truncated")
    stream.seek(part.size_bytes, io.SEEK_CUR)
    if part.size_bytes % 2 and stream.read(1) not in {b"\n", b""}:
        raise UntrustedError("its parts are not at the expected positions")
    return part


def _plain(path: Path, part: _Part, stem: str, most_bytes: int) -> Iterator[bytes | memoryview]:
    chunks = partial(file_chunks, path, part.offset, part.size_bytes)
    match part.name.removeprefix(stem):
        case ".xz":
            yield from decompressed(chunks(), "xz", most_bytes)
        case ".gz":
            yield from decompressed(chunks(), "gz", most_bytes)
        case "":
            if part.size_bytes > most_bytes:
                raise UntrustedError(f"its {stem} has more than {most_bytes} bytes")
            yield from chunks()
        case suffix:
            raise UntrustedError(f"{shown(suffix)} is not a compression that Debian's archive uses")


def _control_files(archive: io.BytesIO) -> Iterator[tuple[str, bytes]]:
    archive.seek(0)
    for member in list(members(archive)):
        name = str(PurePosixPath(member.name))
        if name in {"control", "md5sums"}:
            if member.kind is not Kind.FILE or member.size_bytes > _MOST_BYTES[name]:
                raise UntrustedError(f"its {name} is not a file, or is too large")
            archive.seek(member.offset)
            yield name, archive.read(member.size_bytes)


def _fields(control: bytes) -> dict[str, str]:
    try:
        lines = control.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise UntrustedError("its control file is not UTF-8") from None
    found: dict[str, str] = {}
    for line in lines:
        if line[:1] in {" ", "\t"} and found:
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise UntrustedError(f"its control file has the line {shown(line)}")
        name = match["name"].lower()
        if name in found:
            raise UntrustedError(f"its control file has {shown(name)} twice")
        found[name] = match["value"].strip()
    return found
