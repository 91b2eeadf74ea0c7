"""Unpacks an image's layers into a root folder that the sandbox can share.

Raises StoreError for entries outside the folder, device nodes, layers that do not match their media
type or diff id, and more bytes or files than a real image has. Format: OCI image-spec v1.1,
layer.md (order, whiteouts, opaque whiteouts).
"""

import ctypes
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from mealkit.containers.root_folder import MAX_NODES, RootFolder, delete_tree
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.files.whole import disk_failure, require_free
from mealkit.oci.compression import PLAIN_TYPES, max_unpacked_bytes, unpacked
from mealkit.oci.image import Layer
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import EntryError, Kind, TarMember, TarStream, parts_of
from mealkit.oci.validate import require_unpackable
from mealkit.paths import MODELS, STATE
from mealkit.progress import Advance, silent
from mealkit.untrusted import UntrustedError

_WHITEOUT = b".wh."
_AUFS = b".wh..wh."  # names with this prefix are only for AUFS, except one
_OPAQUE = b".wh..wh..opq"

# The folders that the sandbox mounts at; a shared root is read-only, so they must exist before.
_MOUNT_POINTS = ("proc", "sys", "dev", "tmp", MODELS, STATE)


def unpack_root(
    layers: Sequence[Layer],
    target: Path,
    advance: Advance = silent,
) -> Path:
    """Apply layers, lowest first; return ``target``.

    An existing ``target`` counts as complete, so name it by the image's digest; it is created
    atomically. Modes and times are preserved, but setuid and setgid bits are removed and the owner
    may always enter and change folders. Owners are preserved only for root. ``advance`` is called
    with the number of bytes read. Blobs must already be verified against their digests; the
    unpacked data is compared with the diff ids here.

    Raises:
        StoreError: IMAGE_INVALID for a layer that may not be unpacked, DISK_FULL, DISK_DENIED.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            with closing(RootFolder(partial)) as root:
                _apply_all(root, layers, target, advance)
            partial.chmod(0o755)
            _settle(partial)
            _put(partial, target)
        finally:
            _delete_partial(partial)
    except OSError as error:
        plain = OSError(error.errno, error.strerror)  # names are relative, and may not be text
        raise disk_failure(plain, f"{target} cannot be written", str(target)) from error
    return target


def _apply_all(root: RootFolder, layers: Sequence[Layer], target: Path, advance: Advance) -> None:
    require_unpackable(layers, "the sandbox", "use --client docker")
    space = _Space(root.opened, target)
    space.require(sum(layer.blob.size_bytes for layer in layers))
    for number, layer in enumerate(layers, start=1):
        try:
            _apply(root, layer, space, advance)
        except UntrustedError as error:
            raise failure("IMAGE_INVALID", f"layer {number} cannot be unpacked: {error}") from error
    for name in _MOUNT_POINTS:
        try:
            root.enter(os.fsencode(name).split(b"/"), make=True)
        except EntryError as error:
            raise failure(
                "IMAGE_INVALID", f"the image cannot have a folder at /{name}: it {error}"
            ) from error


class _Space:
    """Checks the free space on the disk before writing."""

    def __init__(self, opened: int, target: Path) -> None:
        self._opened = opened
        self._target = target
        self._left_bytes = 0

    def require(self, needed_bytes: int) -> None:
        """Raise if the known size does not fit on the disk.

        Raises:
            StoreError: ``DISK_FULL``, with what is needed and what is free.
        """
        found = os.fstatvfs(self._opened)
        self._left_bytes = found.f_bavail * found.f_frsize
        require_free(self._target, needed_bytes, self._left_bytes)

    def take(self, size_bytes: int) -> None:
        """Count a file that will be written next; raises as `require` does."""
        if size_bytes > self._left_bytes:
            self.require(size_bytes)
        self._left_bytes -= size_bytes


def _apply(root: RootFolder, layer: Layer, space: _Space, advance: Advance) -> None:
    blob, media_type = layer.blob, layer.media_type
    max_bytes = max_unpacked_bytes(media_type, blob.size_bytes)
    state = None if media_type in PLAIN_TYPES else hashlib.sha256()
    plain = unpacked(media_type, _counted(layer, advance), max_bytes)
    source = StreamSource(plain if state is None else _hashed(plain, state.update))
    root.start_layer()
    stream = TarStream(source, max_entries=MAX_NODES)
    for member in stream.members():
        try:
            _place(root, stream, member, space)
        except EntryError as error:
            raise UntrustedError(f"its entry {member.shown} {error}") from None
    source.drain()  # the padding: the digest is that of every byte
    found = blob.digest if state is None else Digest.from_hex(state.hexdigest())
    if found != layer.diff_id:
        raise UntrustedError(f"it unpacks to {found}, expected its diff id {layer.diff_id}")


def _place(root: RootFolder, stream: TarStream, member: TarMember, space: _Space) -> None:
    parts = parts_of(member.path)
    if not parts:  # the root folder itself
        return
    *above, name = parts
    if _WHITEOUT in member.path and any(part.startswith(_WHITEOUT) for part in parts):
        _white_out(root, above, name)
        return
    if member.kind is Kind.HARDLINK:
        root.make_hardlink(parts, _aim(member))
    else:
        root.enter(above, make=True)
        _make(root, stream, member, name, space)
    _settle_metadata(root.enter(above, make=True), name, member)
    root.place(name)


def _make(
    root: RootFolder, stream: TarStream, member: TarMember, name: bytes, space: _Space
) -> None:
    match member.kind:
        case Kind.DIRECTORY:
            root.make_folder(name)
        case Kind.FILE:
            _write(root, stream, member, name, space)
        case Kind.SYMLINK if member.target:
            root.make_symlink(name, member.target)
        case Kind.SYMLINK:
            raise EntryError("is a link to a missing file")
        case _:
            raise EntryError("is a device or another special file")


def _aim(member: TarMember) -> list[bytes]:
    try:
        aim = parts_of(member.target)
    except EntryError as error:
        raise EntryError(f"is a link that {error}") from None
    if not aim:
        raise EntryError("is a link to the root")
    return aim


def _white_out(root: RootFolder, above: Sequence[bytes], name: bytes) -> None:
    """Delete the files of lower layers, and keep those of this layer."""
    if any(part.startswith(_AUFS) and part != _OPAQUE for part in (*above, name)):
        return
    if any(part.startswith(_WHITEOUT) for part in above):
        raise EntryError("is below a whiteout")
    hidden = name.removeprefix(_WHITEOUT)
    if name != _OPAQUE and hidden in {b"", b".", b".."}:
        raise EntryError("is a whiteout of a name that is not valid")
    root.enter(above, make=True)
    if name == _OPAQUE:
        root.hide_all()
    else:
        root.hide(hidden)


def _write(
    root: RootFolder, stream: TarStream, member: TarMember, name: bytes, space: _Space
) -> None:
    space.take(member.size_bytes)
    opened = root.make_file(name)
    try:
        for piece in stream.data():
            left = memoryview(piece)
            while left:
                left = left[os.write(opened, left) :]
        # Setuid programs have no effect under no_new_privs, and would be dangerous on the host.
        _own(opened, member)
        os.fchmod(opened, member.mode & 0o1777)
        # Python compares bytecode with the time of its source.
        os.utime(opened, (member.mtime_seconds, member.mtime_seconds))
    finally:
        os.close(opened)


def _settle_metadata(folder: int, name: bytes, member: TarMember) -> None:
    """Set owner and mode of an entry that is not a file."""
    if member.kind is Kind.DIRECTORY:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(name, flags, dir_fd=folder)
        try:
            _own(opened, member)
            os.fchmod(opened, member.mode & 0o1777 | 0o700)
        finally:
            os.close(opened)
    elif member.kind is not Kind.FILE and os.geteuid() == 0:
        with suppress(OSError):  # as below
            os.chown(name, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)


def _own(opened: int, member: TarMember) -> None:
    if os.geteuid() == 0:
        with suppress(OSError):  # root in a user namespace without this id
            os.fchown(opened, member.uid, member.gid)


def _counted(layer: Layer, advance: Advance) -> Iterator[Bytes]:
    for chunk in layer.blob.chunks():
        advance(len(chunk))
        yield chunk


def _hashed(chunks: Iterator[Bytes], update: Callable[[Bytes], None]) -> Iterator[Bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _settle(folder: Path) -> None:
    """Flush the files to disk before the folder gets its name, which marks it as complete."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(opened)
    finally:
        os.close(opened)


def _put(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process was faster, with the same bytes
            raise


def _delete_partial(partial: Path) -> None:
    """Delete the unfinished folder, if it did not get its name."""
    with suppress(OSError):
        folder = os.open(partial.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            delete_tree(folder, os.fsencode(partial.name))
        finally:
            os.close(folder)
