"""OCI layouts (image-layout.md): images as a folder that every other tool reads.

Raises BuildError for a folder that contains something else. The index is written last, so other
tools see the image only when it is complete.
"""

from pathlib import Path

from mealkit.errors import failure
from mealkit.files.locks import locked
from mealkit.files.whole import (
    disk_errors,
    remove_leftovers,
    require_space,
    sync_folder,
    write_whole,
)
from mealkit.oci.choosing import Source, find_image
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.extent import check_size
from mealkit.oci.image import BytesBlob, Content, Image, with_parts
from mealkit.oci.index import LAYOUT_BYTES, LAYOUT_FILE, Index
from mealkit.progress import Advance, silent
from mealkit.stores.blob_folder import BlobFolder
from mealkit.stores.blobs import FileBlob, VirtualBlob, small_bytes


def write_layout(
    content: Content, folder: Path, name: str | None = None, advance: Advance = silent
) -> None:
    """Write an image or an index with all its bytes as a layout, or add it to an existing one.

    Weights are copied without reading them if the file system can share blocks. They are never
    linked to the original file. ``advance`` is called with every blob's bytes, immediately for
    those that exist.

    Raises:
        BuildError: ``OUTPUT_EXISTS``: the folder is not empty and not a layout.
        StoreError: ``DISK_FULL``, ``BLOB_DAMAGED``; and the errors of reading the blobs.
    """
    _prepare(folder)
    blobs = BlobFolder(folder)
    written = list(with_parts(content))
    layers = [blob for item in written for blob in item.blobs]
    absent = {blob.digest: blob for blob in layers if not blobs.holds(blob)}
    remove_leftovers(folder)
    require_space(
        folder,
        sum(blob.size_bytes for blob in absent.values() if not isinstance(blob, VirtualBlob)),
    )
    for blob in [*layers, *(BytesBlob(item.raw_manifest) for item in written)]:
        if blobs.holds(blob):
            advance(blob.size_bytes)
        elif isinstance(blob, VirtualBlob):
            blobs.copy(blob, advance)
        else:
            blobs.write(blob, advance)
    sync_folder(blobs.folder)
    with locked(folder / LAYOUT_FILE):
        index = Index.read(folder / "index.json")
        names = [] if name is None else [name]
        write_whole(folder / "index.json", index.with_image(content.descriptor, names).as_bytes())


def read_layout(
    folder: Path,
    name: str | None = None,
    platform: Platform | None = None,
    *,
    is_preference: bool = False,
) -> Image:
    """Return an image in a layout; without a name or platform there must be only one.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: no layout, or no such image in it; ``IMAGE_INVALID``,
            ``BLOB_MISSING``, ``BLOB_DAMAGED``.
    """
    entries, source = open_layout(folder, name)
    return find_image(entries, source, platform, is_preference=is_preference)


def open_layout(folder: Path, name: str | None = None) -> tuple[tuple[Descriptor, ...], Source]:
    """Return the content of a layout, all or with one name, and the reader of its bytes.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: no layout, or no such name in it; ``IMAGE_INVALID``.
    """
    if not (folder / LAYOUT_FILE).is_file() or not (folder / "index.json").is_file():
        raise failure("IMAGE_NOT_FOUND", f"{folder} is not an OCI layout", where=str(folder))
    blobs = BlobFolder(folder)

    def blob_of(descriptor: Descriptor) -> FileBlob:
        found = blobs.find(descriptor.digest)
        if found is None:
            message = f"{folder} has no blob {descriptor.digest}"
            raise failure("BLOB_MISSING", message, where=str(folder))
        check_size(descriptor, found.size_bytes)
        return found

    source = Source(str(folder), lambda item: small_bytes(blob_of(item)), blob_of)
    return Index.read(folder / "index.json").entries(name), source


def _prepare(folder: Path) -> None:
    """Turn the folder into a layout without images, unless it is already a layout."""
    with disk_errors(folder):
        if (folder / LAYOUT_FILE).is_file():
            return
        remove_leftovers(folder, LAYOUT_FILE)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise failure(
                "OUTPUT_EXISTS", f"{folder} exists and is not an OCI layout", where=str(folder)
            )
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / LAYOUT_FILE, LAYOUT_BYTES)
