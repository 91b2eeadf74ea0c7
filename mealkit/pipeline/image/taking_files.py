"""Takes files that a lock pins out of a layer of an image, into the cache of verified files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mealkit.assembly.lean import layer_kind
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.compression import max_unpacked_bytes, unpacked
from mealkit.oci.image import Image, Layer
from mealkit.oci.tar_source import StreamSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.plan.layers import LayerKind
from mealkit.recipe.locked_file import LockedFile
from mealkit.sources.file_cache import FileCache
from mealkit.stores.blobs import VirtualBlob
from mealkit.untrusted import UntrustedError

_MAX_ENTRIES = 100_000

Refusal = Callable[[str, Digest | None, Digest | None], MealkitError]
"""Makes the error from what is wrong, the digest that was found, and the one that is pinned."""


def files_in_layer(
    layer: Layer, wanted: Mapping[str, LockedFile], cache: FileCache, refusal: Refusal
) -> dict[Digest, Path]:
    """Return the wanted files that a layer contains, streamed from wherever the layer is.

    ``wanted`` has the files by their path in the image.

    Raises:
        MealkitError: made by ``refusal``: the layer cannot be read, or has other bytes at a path.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    if isinstance(layer.blob, VirtualBlob) and len(wanted) == 1:
        (file,) = wanted.values()
        layer.blob.check()
        if layer.blob.file_digest == file.sha256:
            return {file.sha256: layer.blob.source}
    found: dict[Digest, Path] = {}
    left = {path.encode(): file for path, file in wanted.items()}
    try:
        limit = max_unpacked_bytes(layer.media_type, layer.blob.size_bytes)
        chunks = unpacked(layer.media_type, layer.blob.chunks(), limit)
        stream = TarStream(StreamSource(iter(chunks)), max_entries=_MAX_ENTRIES)
        for member in stream.members():
            pinned = left.pop(member.path, None)
            if pinned is not None and member.kind is Kind.FILE:
                require = _requirement(member.path.decode(), pinned, refusal)
                found |= [cache.add_chunks(stream.data(), member.size_bytes, require)]
    except UntrustedError as error:
        raise refusal(f"a layer of the image cannot be read: {error}", None, None) from error
    return found


def data_in_image(
    image: Image, wanted: Mapping[str, LockedFile], cache: FileCache
) -> dict[Digest, Path]:
    """Return the wanted files that an image has in its layers of data.

    Raises:
        StoreError: ``BLOB_DAMAGED``: the image has other bytes at a path; the disk is full.
    """
    found: dict[Digest, Path] = {}
    for layer in image.layers:
        left = {path: file for path, file in wanted.items() if file.sha256 not in found}
        if left and layer_kind(layer) == LayerKind.DATASETS:
            found |= files_in_layer(layer, left, cache, _damaged_in(layer))
    return found


def _damaged_in(layer: Layer) -> Refusal:
    def damaged(message: str, measured: Digest | None, required: Digest | None) -> MealkitError:
        where = layer.blob.digest
        return failure("BLOB_DAMAGED", message, where=where, measured=measured, required=required)

    return damaged


def _requirement(path: str, file: LockedFile, refusal: Refusal) -> Callable[[Digest], None]:
    def require(found: Digest) -> None:
        if found != file.sha256:
            raise refusal(f"{path} is not the file that the lock pins", found, file.sha256)

    return require
