"""The files that a container has now, and those that are mounted into it, read to the last byte."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.containers.container import Mount
from mealkit.digest import file_chunks
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import Kind, TarStream, parts_of

IMAGE_VARIABLE = "MEALKIT_IMAGE_DIGEST"
"""The variable in which a container states the image that it was started from."""

# What engines and the kernel put into every container.
_OWN_FILES = frozenset(
    {b".dockerenv", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"etc/mtab"}
)
_OWN_FOLDERS = (b"dev/", b"proc/", b"sys/", b"run/", b"tmp/")
_MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A file, a link or a folder: its path without a leading slash, and the bytes of a file."""

    path: bytes
    kind: Kind
    target: bytes
    chunks: Iterator[Bytes]
    """Readable until the next file is asked for."""


@dataclass(frozen=True, slots=True)
class ContainerContents:
    """What a container consists of."""

    image_id: str | None
    """The client's name of the image; None: the client has none."""
    stated: str | None
    """The digest of the image that the container states."""
    entrypoint: tuple[str, ...] | None
    """The command that is started; None: the client does not say."""
    mounts: tuple[Mount, ...]
    files: Iterator[ContainerFile]
    """Its own files, without those of mounts, of the engine and of the kernel."""


def exported(attributes: Mapping[str, Any], chunks: Iterator[bytes]) -> ContainerContents:
    """Return the contents of a container in Docker or podman, from its export.

    Raises:
        UntrustedError: while the files are read, the export is not a tar.
    """
    config = attributes.get("Config") or {}
    mounts = tuple(
        Mount(Path(item["Source"]), item["Destination"])
        for item in attributes.get("Mounts") or ()
        if item.get("Type") == "bind"
    )
    command = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    stream = TarStream(StreamSource(iter(chunks)), max_entries=_MAX_ENTRIES)
    image_id = str(attributes.get("Image") or "").removeprefix("sha256:")
    return ContainerContents(
        image_id or None,
        _stated(config.get("Env") or ()),
        tuple(command),
        mounts,
        _without_own(_members(stream), mounts),
    )


def unpacked_files(plan: Mapping[str, Any]) -> ContainerContents:
    """Return the contents of a sandbox from its plan: its root is a folder."""
    root = Path(plan["root"])
    mounts = tuple(Mount(Path(source), target) for source, target in plan["mounts"])
    environment = dict(plan["environment"])
    return ContainerContents(
        None,
        environment.get(IMAGE_VARIABLE),
        None,
        mounts,
        _without_own(_walked(root, b""), mounts),
    )


def _stated(environment: Iterable[str]) -> str | None:
    for item in environment:
        name, _, value = item.partition("=")
        if name == IMAGE_VARIABLE:
            return value
    return None


def _members(stream: TarStream) -> Iterator[ContainerFile]:
    for member in stream.members():
        path = b"/".join(parts_of(member.path))
        yield ContainerFile(path, member.kind, member.target, stream.data())


def _walked(folder: Path, above: bytes) -> Iterator[ContainerFile]:
    """Yield everything below a folder; links are not followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda item: item.name)
    for entry in entries:
        path, inside = above + os.fsencode(entry.name), Path(entry.path)
        if entry.is_symlink():
            yield ContainerFile(path, Kind.SYMLINK, os.fsencode(inside.readlink()), iter(()))
        elif entry.is_dir(follow_symlinks=False):
            yield ContainerFile(path, Kind.DIRECTORY, b"", iter(()))
            yield from _walked(inside, path + b"/")
        elif entry.is_file(follow_symlinks=False):
            yield ContainerFile(path, Kind.FILE, b"", file_chunks(inside))
        else:
            yield ContainerFile(path, Kind.SPECIAL, b"", iter(()))


def _without_own(
    files: Iterator[ContainerFile], mounts: tuple[Mount, ...]
) -> Iterator[ContainerFile]:
    mounted = {os.fsencode(item.target).strip(b"/") for item in mounts}
    for file in files:
        is_own = file.path in _OWN_FILES or (file.path + b"/").startswith(_OWN_FOLDERS)
        below = any(file.path == path or file.path.startswith(path + b"/") for path in mounted)
        if file.path and not is_own and not below:
            yield file
