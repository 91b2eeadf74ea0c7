"""Unpacks Debian packages into the tar entries of a root file system, without dpkg or root.

Raises BuildError for devices, paths outside the root, packages that disagree about a path, and
damaged packages. No maintainer script is run; this module does the few steps of them that a
serving root needs.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from mealkit.assembly.deb_archive import PACKAGE_NAME, Deb, open_deb
from mealkit.assembly.deb_tar import DebMember
from mealkit.digest import file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import disk_failure
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarSymlink
from mealkit.oci.untar import Kind
from mealkit.paths import STATE, USER_ID
from mealkit.untrusted import UntrustedError, shown

# Directories that became links into /usr (UsrMerge): older packages still ship files in them.
_MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"})
_LEFT_OUT = ("usr/share/man/", "usr/share/locale/", "usr/share/info/")
_DOCS = "usr/share/doc"
_AUTHORITIES = "usr/share/ca-certificates/mozilla/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PYTHON = re.compile(r"3\.[0-9]+")
_MOST_ENTRIES = 200_000
_MOST_PARTS = 64
_MOST_BUNDLE_BYTES = 16 * 1024 * 1024

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


def debian_root(
    debs: Sequence[tuple[str, Path]], python: str | None, scratch: Path
) -> tuple[Entry, ...]:
    """Return the entries of a root made of packages, given as (name, path of the .deb).

    ``python`` is the version that ``python3`` is a link to; None: the root needs no Python.

    The entries are sorted by path, include all parents, and are the same for any order of the
    packages. Root owns all of them except the folder that the kit's user may write; they have no
    set-uid and set-gid bits. Documentation is left out, except copyright files. File contents stay
    in ``scratch``, an existing folder that must outlive the entries (some 60 MB for a Python).

    Raises:
        BuildError: ``BASE_INVALID``, a package is not valid, or packages contradict each other.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the scratch folder cannot be written.
    """
    names = [name for name, _ in debs]
    if len(set(names)) != len(names):
        raise _invalid("a package is given twice", None)
    root = _Root()
    # base-files first: it owns the top-level folders, so their modes are taken from it.
    for name, path in sorted(debs, key=lambda deb: (deb[0] != "base-files", deb[0])):
        for entry in unpacked(name, path, scratch):
            root.add(entry, name)
    for entry in _additions(root, python):
        root.add(entry, "mealkit")
    return root.entries()


class _Root:
    """The entries so far, and the package of each."""

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
            self._put(entry)
            self._owners[entry.path] = owner
        elif not _same(known, entry):
            raise _invalid(
                f"{self._owners[entry.path]} and {owner} disagree about /{entry.path}", entry.path
            )

    def entries(self) -> tuple[Entry, ...]:
        for path in list(self._entries):
            parent = path.rpartition("/")[0]
            # The parents of an existing parent are added in its own iteration.
            while parent and parent not in self._entries:
                self._put(TarDirectory(parent))
                parent = parent.rpartition("/")[0]
            if parent and not isinstance(self._entries[parent], TarDirectory):
                raise _invalid(
                    f"{self._owners[path]} has a path below /{parent}, which is not a folder", path
                )
        return tuple(self._entries[path] for path in sorted(self._entries))

    def _put(self, entry: Entry) -> None:
        if len(self._entries) == _MOST_ENTRIES:
            raise _invalid(
                f"the packages contain more than {_MOST_ENTRIES} files and folders", None
            )
        self._entries[entry.path] = entry


def _same(one: Entry, other: Entry) -> bool:
    match one, other:
        case TarDirectory(), TarDirectory():
            return True
        case TarFile(), TarFile():
            return (one.mode, one.size_bytes) == (other.mode, other.size_bytes) and (
                _digest(one) == _digest(other)
            )
        case _:
            return one == other


def _digest(file: TarFile) -> bytes:
    state = hashlib.sha256()
    for chunk in file.content():
        state.update(chunk)
    return state.digest()


def _additions(root: _Root, python: str | None) -> Iterator[Entry]:
    """Yield the files that maintainer scripts and the installer would create, and the user."""
    if python and not (_PYTHON.fullmatch(python) and root.get(f"usr/bin/python{python}")):
        raise _invalid(f"the packages contain no Python {python}", f"usr/bin/python{python}")
    if not root.get("etc/os-release"):
        raise _invalid("base-files is missing, which names the release", None)
    if python:
        yield TarSymlink("usr/bin/python3", f"python{python}")
    for name in sorted(_MERGED):
        if root.get(f"usr/{name}"):
            yield TarSymlink(name, f"usr/{name}")
    yield TarFile.of("etc/passwd", _PASSWD.encode())
    yield TarFile.of("etc/group", _GROUP.encode())
    yield TarFile.of("etc/nsswitch.conf", _NSSWITCH.encode())
    yield TarDirectory("tmp", 0o1777)
    yield TarDirectory(STATE, 0o755, USER_ID, USER_ID)
    authorities = root.below(_AUTHORITIES)
    if sum(entry.size_bytes for entry in authorities) > _MOST_BUNDLE_BYTES:
        raise _invalid("the certificates of all authorities are too large", _AUTHORITIES)
    bundle = b"".join(map(_certificate, authorities))
    yield TarFile.of(_BUNDLE, bundle)
    # The default place of Debian's OpenSSL (its OPENSSLDIR is /usr/lib/ssl).
    yield TarSymlink("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")


def _certificate(entry: TarFile) -> bytes:
    return b"".join(map(bytes, entry.content())).rstrip(b"\n") + b"\n"


def unpacked(name: str, path: Path, scratch: Path) -> Iterator[Entry]:
    """Yield the entries of one package; their bytes are in ``scratch``. Format: deb(5).

    Raises:
        BuildError: ``BASE_INVALID``, the package is damaged, or a different one.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the scratch folder cannot be written.
    """
    if not PACKAGE_NAME.fullmatch(name):
        raise _invalid(f"{shown(name)} is not the name of a package", None)
    try:
        deb = open_deb(path)
        yield from _status(deb, name, scratch)
        archive = scratch / f"{name}.tar"
        members = {member.name: member for member in deb.unpack_data(archive)}
        for member in members.values():
            place = _place(member)
            if place and not _is_documentation(place):
                yield _entry(place, member, members, archive)
    except UntrustedError as error:
        raise _invalid(f"the package {name} is damaged: {error}", str(path)) from error
    except OSError as error:
        raise disk_failure(error, f"cannot unpack {name}", str(scratch)) from error


def _status(deb: Deb, name: str, scratch: Path) -> Iterator[Entry]:
    """Yield the metadata that scanners read, in the folder for images without dpkg."""
    if deb.fields().get("package") != name:
        raise _invalid(f"the package given as {name} is a different one", name)
    folder = "var/lib/dpkg/status.d"
    for suffix, data in (("", deb.control), (".md5sums", deb.md5sums)):
        if data is not None:
            kept = scratch / f"{name}{suffix or '.control'}"
            kept.write_bytes(data)
            yield TarFile(f"{folder}/{name}{suffix}", len(data), partial(file_chunks, kept))


def _place(member: DebMember) -> str:
    """Return a member's path in the root, "" for the root itself."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or len(path.parts) > _MOST_PARTS:
        raise UntrustedError(f"{shown(member.name)} is outside the root")
    if not path.parts:
        return ""
    is_merging_link = member.kind is Kind.SYMLINK and len(path.parts) == 1
    merged = path.parts[0] in _MERGED and not is_merging_link
    return str("usr" / path if merged else path)


def _is_documentation(path: str) -> bool:
    """Return whether to leave a path out: manuals, translations, documentation except copyright.

    A package's folder in the documentation may be a link to that of another package, which has the
    copyright file.
    """
    if f"{path}/".startswith(_LEFT_OUT):
        return True
    parts = PurePosixPath(path).relative_to(_DOCS).parts if path.startswith(f"{_DOCS}/") else ()
    return len(parts) > 2 or (len(parts) == 2 and parts[1] != "copyright")


def _entry(place: str, member: DebMember, members: Mapping[str, DebMember], archive: Path) -> Entry:
    # No set-uid or set-gid: no program in the image may have more rights than the user.
    mode = member.mode & 0o1777
    if member.kind is Kind.DIRECTORY:
        return TarDirectory(place, mode)
    if member.kind is Kind.SYMLINK:
        return TarSymlink(place, member.target)
    # A hard link becomes a file: in a sorted layer it could come before what it links to.
    is_link = member.kind is Kind.HARDLINK
    content = members.get(member.target) if is_link else member
    if content is None or content.kind is not Kind.FILE:
        raise UntrustedError(f"{shown(member.name)} is a hard link to a missing file")
    chunks = partial(file_chunks, archive, content.offset, content.size_bytes)
    return TarFile(place, content.size_bytes, chunks, mode)


def _invalid(message: str, where: str | None) -> MealkitError:
    return failure("BASE_INVALID", message, hint="mealkit lock --upgrade base", where=where)
