"""Unpacks an image's layers into a root folder that the sandbox can share.

Refuses entries that lead outside the folder, device nodes, and compressions it cannot read.
Format: OCI image-spec v1.1, layer.md (order, whiteouts, opaque whiteouts).
"""

import contextlib
import ctypes
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from mealkit.containers.model import WRITABLE_PATH
from mealkit.errors import failure
from mealkit.oci import descriptor

Chunks = Iterable[bytes | memoryview]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MAX_LINKS = 40  # as the kernel's own path walk
_COPY_BYTES = 1024 * 1024

# Where the sandbox mounts something; a shared root is read-only, so they must be there before.
_MOUNT_POINTS = ("proc", "sys", "dev", "tmp", "models", WRITABLE_PATH.lstrip("/"))


def unpack_root(
    layers: Iterable[tuple[str, Chunks]],
    target: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> Path:
    """Apply layers, lowest first, each a media type and its bytes; return ``target``.

    An existing ``target`` is taken as finished, so name it by the image's digest: it appears whole
    or not at all. Modes and times are kept, but setuid and setgid bits are dropped and the owner
    may always enter and change folders. Owners are kept only for root. ``advance`` is told the
    bytes read. The bytes are trusted: verify them on the way in.

    Raises:
        StoreError: IMAGE_INVALID for a layer that may not be unpacked, DISK_FULL, DISK_DENIED.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            for number, (media_type, chunks) in enumerate(layers, start=1):
                _apply(partial, number, media_type, _counted(chunks, advance))
            for name in _MOUNT_POINTS:
                _make_folders(partial, PurePosixPath(name))
            partial.chmod(0o755)
            _settle(partial)
            _put(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise _disk_problem(error, target) from error
    return target


class _Reader:
    """The file that tarfile reads a stream of chunks from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def read(self, size: int) -> bytes:
        parts = [self._held]
        have = len(self._held)
        while have < size:
            chunk = next(self._chunks, None)  # an empty one is not the end
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._held = data[size:]
        return data[:size]


def _apply(root: Path, number: int, media_type: str, chunks: Iterator[bytes]) -> None:
    match media_type:
        case descriptor.LAYER | descriptor.DOCKER_LAYER:
            plain = chunks
        case descriptor.LAYER_GZIP | descriptor.DOCKER_LAYER_GZIP:
            plain = _gunzipped(number, chunks)
        case _:
            raise _invalid(number, f"its media type {media_type!r} cannot be unpacked")
    fresh: set[Path] = set()  # what this layer itself brought; whiteouts concern lower ones only
    try:
        with tarfile.open(
            fileobj=_Reader(plain),  # type: ignore[call-overload] # needs read() alone
            mode="r|",
            errorlevel=2,
        ) as archive:
            for member in archive:
                _place(root, number, archive, member, fresh)
        for _ in plain:  # the padding, so that the caller's digest sees every byte
            pass
    except tarfile.TarError as error:
        raise _invalid(number, f"it is not a whole tar: {error}") from error


def _place(
    root: Path, number: int, archive: tarfile.TarFile, member: tarfile.TarInfo, fresh: set[Path]
) -> None:
    relative = PurePosixPath(member.name.lstrip("/"))
    if ".." in relative.parts:
        raise _invalid(number, f"its entry {member.name!r} leads outside")
    if not relative.parts:  # the root folder itself
        return
    parent = _make_folders(root, relative.parent)
    if relative.name.startswith(_WHITEOUT):
        _white_out(parent, relative.name, fresh)
        return
    path = parent / relative.name
    if not (member.isdir() and _is_folder(path)):
        _delete(path)
    _make(root, number, archive, member, path)
    _settle_metadata(member, path)
    fresh.add(path)


def _make(
    root: Path, number: int, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path
) -> None:
    if member.isdir():
        path.mkdir(exist_ok=True)
    elif member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        _link(root, number, member, path)
    elif member.isreg():
        _write(archive, member, path)
    else:
        raise _invalid(number, f"its entry {member.name!r} is a device or another special file")


def _make_folders(root: Path, relative: PurePosixPath) -> Path:
    """Walk to a folder as if ``root`` were /, following links inside it; make what is missing."""
    here: list[str] = []
    left = list(reversed(relative.parts))
    links = 0
    while left:
        name = left.pop()
        if name in {"/", "."}:
            continue
        if name == "..":
            here = here[:-1]  # / is its own parent
            continue
        path = root.joinpath(*here, name)
        if path.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise failure("IMAGE_INVALID", f"links in the image at /{relative} never end")
            aim = PurePosixPath(path.readlink())
            here = [] if aim.is_absolute() else here
            left.extend(reversed(aim.parts))
            continue
        if not path.is_dir():
            _delete(path)
            path.mkdir(mode=0o755)
        here.append(name)
    return root.joinpath(*here)


def _white_out(parent: Path, name: str, fresh: set[Path]) -> None:
    if name == _OPAQUE:
        for child in parent.iterdir():
            _delete_old(child, fresh)
    elif not name.startswith(".wh..wh."):  # other names with this beginning are for AUFS alone
        _delete_old(parent / name.removeprefix(_WHITEOUT), fresh)


def _delete_old(path: Path, fresh: set[Path]) -> None:
    """Delete what lower layers brought, and leave what this one did."""
    if _is_folder(path) and (path in fresh or any(path in item.parents for item in fresh)):
        for child in path.iterdir():
            _delete_old(child, fresh)
    elif path not in fresh:
        _delete(path)


def _delete(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _link(root: Path, number: int, member: tarfile.TarInfo, path: Path) -> None:
    aim = PurePosixPath(member.linkname.lstrip("/"))
    if ".." in aim.parts or not aim.parts:
        raise _invalid(number, f"its link {member.name!r} leads outside")
    source = _make_folders(root, aim.parent) / aim.name
    if not source.is_symlink() and not source.is_file():
        raise _invalid(number, f"its link {member.name!r} leads to {aim}, which is not a file")
    os.link(source, path, follow_symlinks=False)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    data = archive.extractfile(member)
    with path.open("xb") as out:
        if data is not None:
            shutil.copyfileobj(data, out, _COPY_BYTES)


def _settle_metadata(member: tarfile.TarInfo, path: Path) -> None:
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # root of a namespace that lacks this id
            os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if member.issym() or member.islnk():
        return
    # Setuid programs have no use under no_new_privs, and would be a trap on the host.
    mode = member.mode & 0o1777
    path.chmod(mode | 0o700 if member.isdir() else mode)
    if member.isreg():  # compiled Python modules are checked against the time of their source
        os.utime(path, (member.mtime, member.mtime))


def _gunzipped(number: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress gzip of any number of members, with bounded memory."""
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        left = chunk
        while left:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                yield member.decompress(left, _COPY_BYTES)
            except zlib.error as error:
                raise _invalid(number, f"it is not gzip: {error}") from error
            left = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise _invalid(number, "its gzip ends early")


def _counted(chunks: Chunks, advance: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        advance(len(chunk))
        yield bytes(chunk)


def _settle(folder: Path) -> None:
    """Bring the files to the disk before the name that vouches for them."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(opened)
    finally:
        os.close(opened)


def _put(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same bytes
            raise


def _disk_problem(error: OSError, target: Path) -> Exception:
    code = "DISK_FULL" if error.errno in {28, 122} else "DISK_DENIED"
    where = error.filename or target
    return failure(code, f"{where} cannot be written: {error.strerror or error}")


def _invalid(number: int, why: str) -> Exception:
    return failure("IMAGE_INVALID", f"layer {number} cannot be unpacked: {why}")
