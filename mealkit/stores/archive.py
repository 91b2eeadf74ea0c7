"""OCI archives: a layout in one tar file, as skopeo and podman read it (``oci-archive:``).

Also reads what ``docker save`` writes, and archives in several volumes.

Raises StoreError for compressed archives: their blobs cannot be read in place, and compression does
not make weights smaller.
"""

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.errors import MealkitError, failure
from mealkit.files.whole import partial_file, remove_leftovers, require_space, sync_folder
from mealkit.oci.choosing import Source, find_image
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.extent import check_size
from mealkit.oci.image import Content, Image
from mealkit.oci.index import LAYOUT_FILE, MAX_INDEX_BYTES, SUBJECT, Index
from mealkit.oci.tar_source import FileSource
from mealkit.oci.untar import EntryError, Kind, TarMember, TarStream, parts_of
from mealkit.progress import Advance, silent
from mealkit.stores.blob_folder import HEX_NAME
from mealkit.stores.blobs import FileBlob, RangesBlob, range_blob, ranges_bytes, small_bytes
from mealkit.stores.docker_archive import LIST_NAME, NamedEntry, Ranges, docker_entries
from mealkit.stores.packed_archive import BLOBS, INDEX_NAME, NamedContent, packed
from mealkit.stores.volume_reading import JoinedFiles, join_files
from mealkit.untrusted import UntrustedError, parse_json_object

# Lists, configs, and layers, whose folders have no common name.
_DOCKER_NAMES = (".json", ".tar")
# One blob for each layer of each image.
_MAX_ENTRIES = 100_000
_MAX_LAYOUT_BYTES = 4096


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
    archive = packed([NamedContent(content, () if name is None else (name,))], ())
    remove_leftovers(file.absolute().parent, file.name)
    require_space(file.absolute().parent, archive.size_bytes)
    with partial_file(file.absolute()) as out:
        for chunk in archive.chunks(advance=advance):
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
    archive = open_joined(join_files([file]))
    own = [item for item in archive.entries if SUBJECT not in item.descriptor.annotations]
    found = [item for item in own if name in {None, *item.names}]
    if name is not None and not found:
        there = ", ".join(sorted({name for item in own for name in item.names}))
        message = f"no image in {file} has the name {name!r}; names: {there or 'none'}"
        raise failure("IMAGE_NOT_FOUND", message, where=str(file))
    about = tuple(item.descriptor for item in archive.entries if item not in own)
    return tuple(item.descriptor for item in found), replace(archive.source, attached=about)


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """The entries of an archive's index, and the reader of its bytes; ``members`` are its files."""

    entries: tuple[NamedEntry, ...]
    source: Source
    members: Mapping[str, Ranges]

    @property
    def has_two_lists(self) -> bool:
        """Whether there is a list of Docker's beside the index of the layout."""
        return INDEX_NAME in self.members and LIST_NAME in self.members


def open_joined(joined: JoinedFiles, *, strict: bool = False) -> OpenedArchive:
    """Open an archive in one or several files; raises as ``open_archive`` does.

    ``strict`` refuses what readers interpret differently or skip: a path that occurs twice or
    points outside, special files, links to blobs, bytes between entries, and a missing end.
    """
    members = _members(joined, strict=strict)
    where = joined.where

    def blob_of(descriptor: Descriptor) -> FileBlob | RangesBlob:
        found = members.get(f"{BLOBS}{descriptor.digest.hex}")
        if found is None:
            message = f"{where} has no blob {descriptor.digest}"
            raise failure("BLOB_MISSING", message, where=where)
        blob = range_blob(descriptor.digest, found)
        check_size(descriptor, blob.size_bytes)
        return blob

    found = members.get(INDEX_NAME)
    if found is None and LIST_NAME in members:
        return OpenedArchive(*docker_entries(where, members), members)
    if found is None or sum(item.length for item in found) > MAX_INDEX_BYTES:
        raise _invalid(where, "has no index.json of an OCI layout")
    if strict and LAYOUT_FILE in members:
        _require_layout(where, members[LAYOUT_FILE])
    index = Index.parse(ranges_bytes(found), f"{where}: {INDEX_NAME}")
    source = Source(where, lambda item: small_bytes(blob_of(item)), blob_of)
    about = [item for item in index.descriptors if SUBJECT in item.annotations]
    entries = [
        NamedEntry(item, index.names(item.digest))
        for item in index.images().values()
        if SUBJECT not in item.annotations
    ]
    return OpenedArchive((*entries, *(NamedEntry(item, ()) for item in about)), source, members)


def _require_layout(where: str, ranges: Ranges) -> None:
    """Check the file that says in which version of the format the rest is."""
    stated: object = None
    if sum(item.length for item in ranges) <= _MAX_LAYOUT_BYTES:
        with suppress(UntrustedError):
            stated = parse_json_object(ranges_bytes(ranges)).get("imageLayoutVersion")
    if not (isinstance(stated, str) and stated.startswith("1.")):
        raise _invalid(where, f"has an {LAYOUT_FILE} that does not state version 1")


def _members(joined: JoinedFiles, *, strict: bool) -> dict[str, Ranges]:
    """Read the headers of a tar; later entries of one path win, or are refused."""
    try:
        with joined.stream() as stream:
            return dict(_ranges(joined, FileSource(stream), strict=strict))
    except UntrustedError as error:
        hint = "if it is compressed, unpack it first, for instance with gunzip, unzstd or unxz"
        raise _invalid(joined.where, f"cannot be read as a tar file: {error}", hint) from error
    except OSError as error:
        where = joined.where
        raise failure("DISK_DENIED", f"{where}: {error.strerror}", where=where) from error


def _ranges(
    joined: JoinedFiles, source: FileSource, *, strict: bool
) -> Iterator[tuple[str, Ranges]]:
    """Yield the parts of a layout or of docker's format in a tar, and their positions in the file.

    Docker's older archives have a link for a layer that occurs twice.
    """
    links: dict[str, str] = {}
    found: dict[str, Ranges] = {}
    for member in TarStream(source, max_entries=_MAX_ENTRIES, is_whole=strict).members():
        name = member.path.decode(errors="replace").removeprefix("./")
        if strict:
            _require_plain(member, name)
        is_blob = name.startswith(BLOBS) and HEX_NAME(name.removeprefix(BLOBS))
        if not (is_blob or name == LAYOUT_FILE or name.endswith(_DOCKER_NAMES)):
            continue
        if member.kind is Kind.SYMLINK:
            target = member.target.decode(errors="replace")
            links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if member.kind is not Kind.FILE:
            continue
        if source.position + member.size_bytes > joined.size_bytes:
            raise UntrustedError(f"it ends within {name}")
        if strict and name in found:
            raise UntrustedError(f"it has {name} twice")
        found[name] = joined.cut(source.position, member.size_bytes)
        yield name, found[name]
    yield from ((name, found[target]) for name, target in links.items() if target in found)


def _require_plain(member: TarMember, name: str) -> None:
    """Refuse a path that points outside, and anything but files, folders and Docker's links."""
    try:
        is_outside = name.startswith("/") or not parts_of(member.path)
    except EntryError:
        is_outside = True
    if is_outside and name not in {"", "."}:
        raise UntrustedError(f"its entry {member.shown} points outside")
    is_link = member.kind is Kind.SYMLINK and name.endswith(".tar")
    if not is_link and member.kind not in {Kind.FILE, Kind.DIRECTORY}:
        raise UntrustedError(f"its entry {member.shown} is {member.kind.value}")


def _invalid(where: str, what: str, hint: str | None = None) -> MealkitError:
    return failure("IMAGE_INVALID", f"{where} {what}", hint=hint, where=where)
