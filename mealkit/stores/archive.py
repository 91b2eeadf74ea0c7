"""OCI archives: a layout in one tar file, as skopeo and podman read it (``oci-archive:``).

Also reads what ``docker save`` writes.

Raises StoreError for compressed archives: their blobs cannot be read in place, and compression does
not make weights smaller.
"""

import errno
import os
import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mealkit.digest import CHUNK_BYTES, Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import partial_file, remove_leftovers, require_space, sync_folder
from mealkit.oci.choosing import Source, find_image
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.extent import check_size
from mealkit.oci.image import Blob, BytesBlob, Content, Image, with_parts
from mealkit.oci.index import LAYOUT_BYTES, LAYOUT_FILE, Index
from mealkit.oci.tar import TarFile, tar_chunks
from mealkit.oci.tar_source import FileSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.progress import Advance, silent
from mealkit.stores.blob_folder import HEX_NAME
from mealkit.stores.blobs import FileBlob, FileRange, small_bytes
from mealkit.stores.docker_archive import LIST_NAME, open_docker_archive
from mealkit.untrusted import UntrustedError, open_regular

_BLOBS = "blobs/sha256/"
_INDEX = "index.json"
# Lists, configs, and layers, whose folders have no common name.
_DOCKER_NAMES = (".json", ".tar")
# One blob for each layer of each image.
_MAX_ENTRIES = 100_000


def write_archive(
    content: Content, file: Path, name: str | None = None, advance: Advance = silent
) -> None:
    """Write an image or an index with all its bytes as one file, reproducibly.

    An existing file is replaced when the new one is complete, and what a killed process left of it
    is deleted. ``advance`` is called with the number of bytes.

    Raises:
        BuildError: ``OUTPUT_EXISTS``: the path is a folder.
        StoreError: ``DISK_FULL``; and the errors of reading the blobs. Nothing is left behind.
    """
    if file.is_dir():
        raise failure("OUTPUT_EXISTS", f"{file} is a folder", where=str(file))
    index = Index().with_image(content.descriptor, [] if name is None else [name])
    blobs: dict[Digest, Blob] = {}
    for item in with_parts(content):
        blobs |= {blob.digest: blob for blob in item.blobs}
        blobs[item.descriptor.digest] = BytesBlob(item.raw_manifest)
    entries = [TarFile.of(LAYOUT_FILE, LAYOUT_BYTES), TarFile.of(_INDEX, index.as_bytes())]
    entries += [
        TarFile(f"{_BLOBS}{digest.hex}", blob.size_bytes, partial(_told, blob, advance))
        for digest, blob in blobs.items()
    ]
    remove_leftovers(file.absolute().parent, file.name)
    require_space(file.absolute().parent, sum(entry.size_bytes for entry in entries))
    with partial_file(file.absolute()) as out:
        for chunk in tar_chunks(entries):
            out.write(chunk)
        out.finish(file.absolute())
    sync_folder(file.absolute().parent)


def read_archive(
    file: Path,
    name: str | None = None,
    platform: Platform | None = None,
    *,
    is_preference: bool = False,
) -> Image:
    """Return an image in an archive; its blobs are read in place.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: the file or image does not exist; ``IMAGE_INVALID``: it is
            not an archive, or a compressed one; ``BLOB_MISSING``, ``BLOB_DAMAGED``.
    """
    entries, source = open_archive(file, name)
    return find_image(entries, source, platform, is_preference=is_preference)


def open_archive(file: Path, name: str | None = None) -> tuple[tuple[Descriptor, ...], Source]:
    """Return the content of an archive, all or with one name, and the reader of its bytes.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``DISK_DENIED``.
    """
    members = _members(file)

    def blob_of(descriptor: Descriptor) -> FileBlob:
        found = members.get(f"{_BLOBS}{descriptor.digest.hex}")
        if found is None:
            message = f"{file} has no blob {descriptor.digest}"
            raise failure("BLOB_MISSING", message, where=str(file))
        check_size(descriptor, found.length)
        return FileBlob(file, descriptor.digest, found.length, found.offset)

    found = members.get(_INDEX)
    if found is None and LIST_NAME in members:
        return open_docker_archive(str(file), members, name)
    if found is None or found.length > CHUNK_BYTES:
        raise _invalid(file, "has no index.json of an OCI layout")
    raw_index = b"".join(bytes(chunk) for chunk in file_chunks(file, found.offset, found.length))
    source = Source(str(file), lambda item: small_bytes(blob_of(item)), blob_of)
    return Index.parse(raw_index, f"{file}: index.json").entries(name), source


def _told(blob: Blob, advance: Advance) -> Iterator[bytes | memoryview]:
    """Yield a blob's bytes, and report each chunk after it was used."""
    for chunk in blob.chunks():
        yield chunk
        advance(len(chunk))


def _members(file: Path) -> dict[str, FileRange]:
    """Read the headers of a tar; later entries of one path win."""
    try:
        opened = open_regular(file)
    except FileNotFoundError as error:
        raise failure("IMAGE_NOT_FOUND", f"there is no archive {file}", where=str(file)) from error
    except OSError as error:
        if error.errno == errno.EINVAL and not file.is_dir():
            raise _invalid(file, "is not a regular file") from error
        raise failure("DISK_DENIED", f"{file}: {error.strerror}", where=str(file)) from error
    try:
        with open(opened, "rb") as stream:  # noqa: PTH123  a descriptor
            return dict(_ranges(file, stream))
    except UntrustedError as error:
        hint = "if it is compressed, unpack it first: gunzip FILE"
        raise _invalid(file, f"cannot be read as a tar file: {error}", hint) from error


def _ranges(file: Path, stream: BinaryIO) -> Iterator[tuple[str, FileRange]]:
    """Yield the parts of a layout or of docker's format in a tar, and their positions in the file.

    Docker's older archives have a link for a layer that occurs twice.
    """
    links: dict[str, str] = {}
    found: dict[str, FileRange] = {}
    size_bytes = os.fstat(stream.fileno()).st_size
    source = FileSource(stream)
    for member in TarStream(source, max_entries=_MAX_ENTRIES).members():
        name = member.path.decode(errors="replace").removeprefix("./")
        is_blob = name.startswith(_BLOBS) and HEX_NAME(name.removeprefix(_BLOBS))
        if not (is_blob or name.endswith(_DOCKER_NAMES)):
            continue
        if member.kind is Kind.SYMLINK:
            target = member.target.decode(errors="replace")
            links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if member.kind is not Kind.FILE:
            continue
        if source.position + member.size_bytes > size_bytes:
            raise UntrustedError(f"it ends within {name}")
        found[name] = FileRange(file, source.position, member.size_bytes)
        yield name, found[name]
    yield from ((name, found[target]) for name, target in links.items() if target in found)


def _invalid(file: Path, what: str, hint: str | None = None) -> MealkitError:
    return failure("IMAGE_INVALID", f"{file} {what}", hint=hint, where=str(file))
