"""Unpack Debian packages into the tar entries of a root file system, without dpkg or root.

Refuses devices, paths that lead outside, packages that disagree about a path, and damaged ones.
No maintainer script is run: the little that a serving root needs of them is done here.
"""

import gzip
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from debian.arfile import ArError
from debian.debfile import DebFile

from mealkit.digest import CHUNK_BYTES, file_chunks
from mealkit.errors import MealkitError, disk_failure, failure
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarSymlink
from mealkit.plan.layout import STATE
from mealkit.plan.model import USER_ID

# Directories that became links into /usr (UsrMerge): older packages still ship files in them.
_MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"})
_LEFT_OUT = ("usr/share/man/", "usr/share/locale/", "usr/share/info/")
_DOCS = "usr/share/doc"
_AUTHORITIES = "usr/share/ca-certificates/mozilla/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PYTHON = re.compile(r"3\.[0-9]+")

_PASSWD = f"""\
root:x:0:0:root:/root:/usr/sbin/nologin
mealkit:x:{USER_ID}:{USER_ID}:mealkit:/{STATE}:/usr/sbin/nologin
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


def debian_root(debs: Sequence[tuple[str, Path]], python: str, scratch: Path) -> tuple[Entry, ...]:
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
        for entry in unpacked(name, path, scratch):
            root.add(entry, name)
    for entry in _additions(root, python):
        root.add(entry, "mealkit")
    return root.entries()


class _Root:
    """The entries so far, and who brought each of them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}

    def get(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def below(self, prefix: str) -> list[TarFile]:
        found = (self._entries[path] for path in sorted(self._entries) if path.startswith(prefix))
        return [entry for entry in found if isinstance(entry, TarFile)]

    def add(self, entry: Entry, owner: str) -> None:
        known = self._entries.get(entry.path)
        if known is None:
            self._entries[entry.path] = entry
            self._owners[entry.path] = owner
        elif not _same(known, entry):
            raise _invalid(
                f"{self._owners[entry.path]} and {owner} disagree about /{entry.path}", entry.path
            )

    def entries(self) -> tuple[Entry, ...]:
        for path in list(self._entries):
            for parent in [str(item) for item in PurePosixPath(path).parents][:-1]:
                known = self._entries.setdefault(parent, TarDirectory(parent))
                if not isinstance(known, TarDirectory):
                    raise _invalid(
                        f"{self._owners[path]} has a path below /{parent}, which is no folder", path
                    )
        return tuple(self._entries[path] for path in sorted(self._entries))


def _same(one: Entry, other: Entry) -> bool:
    match one, other:
        case TarDirectory(), TarDirectory():
            return True
        case TarFile(), TarFile():
            return (one.mode, one.size_bytes) == (other.mode, other.size_bytes) and (
                _bytes(one) == _bytes(other)
            )
        case _:
            return one == other


def _bytes(file: TarFile) -> bytes:
    return b"".join(map(bytes, file.content()))


def _additions(root: _Root, python: str) -> Iterator[Entry]:
    """Yield what maintainer scripts and the installer would have made, and the kit's user."""
    if not (_PYTHON.fullmatch(python) and root.get(f"usr/bin/python{python}")):
        raise _invalid(f"the packages hold no Python {python}", f"usr/bin/python{python}")
    if not root.get("etc/os-release"):
        raise _invalid("the packages do not say what they are: base-files is missing", None)
    yield TarSymlink("usr/bin/python3", f"python{python}")
    for name in sorted(_MERGED):
        if root.get(f"usr/{name}"):
            yield TarSymlink(name, f"usr/{name}")
    yield TarFile.of("etc/passwd", _PASSWD.encode())
    yield TarFile.of("etc/group", _GROUP.encode())
    yield TarFile.of("etc/nsswitch.conf", _NSSWITCH.encode())
    yield TarDirectory("tmp", 0o1777)
    yield TarDirectory(STATE, 0o755, USER_ID, USER_ID)
    bundle = b"".join(map(_certificate, root.below(_AUTHORITIES)))
    yield TarFile.of(_BUNDLE, bundle)
    # Where Debian's OpenSSL looks if it is told nothing (OPENSSLDIR is /usr/lib/ssl there).
    yield TarSymlink("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")


def _certificate(entry: TarFile) -> bytes:
    return _bytes(entry).rstrip(b"\n") + b"\n"


def unpacked(name: str, path: Path, scratch: Path) -> Iterator[Entry]:
    """Yield the entries of one package, their bytes kept in ``scratch``. Format: deb(5).

    Raises:
        BuildError: ``BASE_INVALID``, the package is damaged, or another one.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the scratch folder cannot be written.
    """
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
        raise disk_failure(error, f"cannot unpack {name}", str(scratch)) from error


def _status(deb: DebFile, name: str) -> Iterator[Entry]:
    """Yield what scanners read of a package, in the folder that images without dpkg use."""
    control = deb.control.get_content("control") or b""
    if f"Package: {name}" not in control.decode().splitlines():
        raise _invalid(f"the package handed in as {name} is another one", name)
    folder = "var/lib/dpkg/status.d"
    yield TarFile.of(f"{folder}/{name}", control)
    if deb.control.has_file("md5sums"):
        sums = deb.control.get_content("md5sums") or b""
        yield TarFile.of(f"{folder}/{name}.md5sums", sums)


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
) -> Entry:
    # Nothing may gain rights in an image whose user has none: no set-uid, no set-gid.
    mode = member.mode & 0o1777
    if member.isdir():
        return TarDirectory(place, mode)
    if member.issym():
        return TarSymlink(place, member.linkname)
    # A hard link becomes a file: in a sorted layer it could come before what it links to.
    content = members.get(member.linkname) if member.islnk() else member
    if content is None or not content.isreg() or content.issparse():
        raise ValueError(f"{member.name!r} is neither a folder, a file nor a link")
    chunks = partial(file_chunks, archive, content.offset_data, content.size)
    return TarFile(place, content.size, chunks, mode)


def _invalid(message: str, where: str | None) -> MealkitError:
    return failure("BASE_INVALID", message, hint="mealkit lock --upgrade base", where=where)
