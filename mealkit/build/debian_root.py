"""Unpack Debian packages into the entries of a root file system, without dpkg and without root.

Refuses devices, paths that lead outside, packages that disagree about a path, and damaged ones.
No maintainer script is run: the little that a serving root needs of them is done here.
"""

import errno
import gzip
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from debian.arfile import ArError
from debian.debfile import DebFile

from mealkit.digest import CHUNK_BYTES, file_chunks
from mealkit.errors import MealkitError, failure

USER_ID = 65532

# Directories that became links into /usr (UsrMerge): older packages still ship files in them.
_MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"})
_LEFT_OUT = ("usr/share/man/", "usr/share/locale/", "usr/share/info/")
_DOCS = "usr/share/doc"
_AUTHORITIES = "usr/share/ca-certificates/mozilla/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PYTHON = re.compile(r"3\.[0-9]+")

_PASSWD = f"""\
root:x:0:0:root:/root:/usr/sbin/nologin
mealkit:x:{USER_ID}:{USER_ID}:mealkit:/var/lib/mealkit:/usr/sbin/nologin
"""
_GROUP = f"root:x:0:\nmealkit:x:{USER_ID}:\n"
_NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a file's bytes lie: in an unpacked archive, from an offset on."""

    path: Path
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class RootDirectory:
    """A folder of the root. Paths have no leading slash."""

    path: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class RootFile:
    """A file of the root, its bytes in memory or in an unpacked archive."""

    path: str
    mode: int
    size_bytes: int
    content: bytes | Span
    uid: int = 0
    gid: int = 0

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes; a view is reused, so take what you need before asking for the next."""
        if isinstance(self.content, bytes):
            yield self.content
        else:
            yield from file_chunks(self.content.path, self.content.offset_bytes, self.size_bytes)


@dataclass(frozen=True, slots=True)
class RootLink:
    """A symbolic link of the root."""

    path: str
    target: str
    mode: int = 0o777
    uid: int = 0
    gid: int = 0


RootEntry = RootDirectory | RootFile | RootLink


def debian_root(
    debs: Sequence[tuple[str, Path]], python: str, scratch: Path
) -> tuple[RootEntry, ...]:
    """Return the entries of a root made of packages, given as (name, path of the .deb).

    Sorted by path, parents always present, the same for any order of the packages. All belongs to
    root, without set-uid and set-gid bits, but for the folder that the user of a kit may write.
    Documentation is left out, copyright files are kept. File contents stay in ``scratch``, an
    existing folder that must outlive the entries (some 60 MB for a Python).

    Raises:
        BuildError: BASE_INVALID.
        StoreError: DISK_FULL or DISK_DENIED, the scratch folder cannot be written.
    """
    root = _Root()
    # base-files first: it owns the folders of a root, and so decides on their modes.
    for name, path in sorted(debs, key=lambda deb: (deb[0] != "base-files", deb[0])):
        for entry in _unpacked(name, path, scratch):
            root.add(entry, name)
    for entry in _additions(root, python):
        root.add(entry, "mealkit")
    return root.entries()


class _Root:
    """The entries so far, and who brought each of them."""

    def __init__(self) -> None:
        self._entries: dict[str, RootEntry] = {}
        self._owners: dict[str, str] = {}

    def get(self, path: str) -> RootEntry | None:
        return self._entries.get(path)

    def below(self, prefix: str) -> list[RootFile]:
        found = (self._entries[path] for path in sorted(self._entries) if path.startswith(prefix))
        return [entry for entry in found if isinstance(entry, RootFile)]

    def add(self, entry: RootEntry, owner: str) -> None:
        known = self._entries.get(entry.path)
        if known is None:
            self._entries[entry.path] = entry
            self._owners[entry.path] = owner
        elif not _same(known, entry):
            raise _invalid(
                f"{self._owners[entry.path]} and {owner} disagree about /{entry.path}", entry.path
            )

    def entries(self) -> tuple[RootEntry, ...]:
        for path in list(self._entries):
            for parent in [str(item) for item in PurePosixPath(path).parents][:-1]:
                known = self._entries.setdefault(parent, RootDirectory(parent))
                if not isinstance(known, RootDirectory):
                    raise _invalid(
                        f"{self._owners[path]} has a path below /{parent}, which is no folder", path
                    )
        return tuple(self._entries[path] for path in sorted(self._entries))


def _same(one: RootEntry, other: RootEntry) -> bool:
    match one, other:
        case RootDirectory(), RootDirectory():
            return True
        case RootFile(), RootFile():
            return (one.mode, one.size_bytes) == (other.mode, other.size_bytes) and (
                b"".join(map(bytes, one.chunks())) == b"".join(map(bytes, other.chunks()))
            )
        case _:
            return one == other


def _additions(root: _Root, python: str) -> Iterator[RootEntry]:
    """Yield what maintainer scripts and the installer would have made, and the kit's user."""
    if not (_PYTHON.fullmatch(python) and root.get(f"usr/bin/python{python}")):
        raise _invalid(f"the packages hold no Python {python}", f"usr/bin/python{python}")
    if not root.get("etc/os-release"):
        raise _invalid("the packages do not say what they are: base-files is missing", None)
    yield RootLink("usr/bin/python3", f"python{python}")
    for name in sorted(_MERGED):
        if root.get(f"usr/{name}"):
            yield RootLink(name, f"usr/{name}")
    yield _text("etc/passwd", _PASSWD)
    yield _text("etc/group", _GROUP)
    yield _text("etc/nsswitch.conf", _NSSWITCH)
    yield RootDirectory("tmp", 0o1777)
    yield RootDirectory("var/lib/mealkit", 0o755, USER_ID, USER_ID)
    bundle = b"".join(map(_certificate, root.below(_AUTHORITIES)))
    yield RootFile(_BUNDLE, 0o644, len(bundle), bundle)
    # Where Debian's OpenSSL looks if it is told nothing (OPENSSLDIR is /usr/lib/ssl there).
    yield RootLink("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")


def _certificate(entry: RootFile) -> bytes:
    return b"".join(map(bytes, entry.chunks())).rstrip(b"\n") + b"\n"


def _unpacked(name: str, path: Path, scratch: Path) -> Iterator[RootEntry]:
    """Yield the entries of one package. Format: deb(5)."""
    try:
        with path.open("rb") as stream, closing(DebFile(fileobj=stream)) as deb:
            yield from _status(deb, name)
            archive = _decompressed(deb, scratch / f"{name}.tar")
        with tarfile.open(archive, "r:") as files:
            members = {member.name: member for member in files.getmembers()}
        for member in members.values():
            place = _place(member)
            if place and not _is_documentation(place):
                yield _entry(place, member, members, archive)
    except (ArError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise _invalid(f"the package {name} is damaged: {error}", str(path)) from error
    except OSError as error:
        if error.errno is None:  # how arfile says that a header is wrong
            raise _invalid(f"the package {name} is damaged: {error}", str(path)) from error
        code = "DISK_FULL" if error.errno == errno.ENOSPC else "DISK_DENIED"
        where = str(error.filename or scratch)
        raise failure(code, f"cannot unpack {name}: {error.strerror}", where=where) from error


def _status(deb: DebFile, name: str) -> Iterator[RootEntry]:
    """Yield what scanners read of a package, in the folder that images without dpkg use."""
    control = deb.control.get_content("control") or b""
    if f"Package: {name}" not in control.decode().splitlines():
        raise _invalid(f"the package handed in as {name} is another one", name)
    folder = "var/lib/dpkg/status.d"
    yield RootFile(f"{folder}/{name}", 0o644, len(control), control)
    if deb.control.has_file("md5sums"):
        sums = deb.control.get_content("md5sums") or b""
        yield RootFile(f"{folder}/{name}.md5sums", 0o644, len(sums), sums)


def _decompressed(deb: DebFile, target: Path) -> Path:
    """Write the package's files as a plain archive, so that each can be read where it lies."""
    name = next((item for item in deb.getnames() if item.startswith("data.tar")), "data.tar")
    with _reader(deb.getmember(name), name) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream, CHUNK_BYTES)
    return target


def _reader(member: Any, name: str) -> Any:
    match name.removeprefix("data.tar"):
        case ".xz":
            return lzma.open(member)
        case ".gz":
            return gzip.open(member)
        case "":
            return closing(member)
        case suffix:
            raise ValueError(f"{suffix} is not a compression that Debian's archive uses")


def _place(member: tarfile.TarInfo) -> str:
    """Return a member's path in the root, "" for the root itself."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{member.name!r} leads outside the root")
    if not path.parts:
        return ""
    is_merging_link = member.issym() and len(path.parts) == 1
    merged = path.parts[0] in _MERGED and not is_merging_link
    return str("usr" / path if merged else path)


def _is_documentation(path: str) -> bool:
    """Tell what is left out: manuals and translations, and all documentation but for copyright.

    The folder of a package may itself be a link to that of another package, which holds the text.
    """
    if f"{path}/".startswith(_LEFT_OUT):
        return True
    parts = PurePosixPath(path).relative_to(_DOCS).parts if path.startswith(f"{_DOCS}/") else ()
    return len(parts) > 2 or (len(parts) == 2 and parts[1] != "copyright")


def _entry(
    place: str, member: tarfile.TarInfo, members: Mapping[str, tarfile.TarInfo], archive: Path
) -> RootEntry:
    # Nothing may gain rights in an image whose user has none: no set-uid, no set-gid.
    mode = member.mode & 0o1777
    if member.isdir():
        return RootDirectory(place, mode)
    if member.issym():
        return RootLink(place, member.linkname)
    # A hard link becomes a file: in a sorted layer it could come before what it links to.
    content = members.get(member.linkname) if member.islnk() else member
    if content is None or not content.isreg() or content.issparse():
        raise ValueError(f"{member.name!r} is neither a folder, a file nor a link")
    return RootFile(place, mode, content.size, Span(archive, content.offset_data))


def _text(path: str, text: str) -> RootFile:
    return RootFile(path, 0o644, len(text.encode()), text.encode())


def _invalid(message: str, where: str | None) -> MealkitError:
    return failure("BASE_INVALID", message, hint="mealkit lock --upgrade base", where=where)
