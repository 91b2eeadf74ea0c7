"""Pulls an image from a registry into the local store, its weights as verified files.

A weight layer is one file after a tar header that its annotations determine. So the file is stored
with the verified files and the layer stays virtual: pulled weights can be mounted, and are stored
once.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from mealkit.assembly.lean import WeightLayer, weight_layers
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.identity import FileKey
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.oci.tar import weight_footer, weight_header
from mealkit.oci.validate import require_unpackable
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_layers import Span, fetch_file, fetch_layers
from mealkit.pipeline.image.image_lock import kit_layer
from mealkit.progress import Advance, Progress
from mealkit.sources.file_cache import FileCache
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.reaching import Registries

Accept = Callable[[Image, Registries], None]
"""Asks the policies of the machine about an image in a registry; raises TrustError."""


def pull(
    reference: Reference,
    architecture: str,
    home: Home,
    progress: Progress,
    *,
    accept: Accept,
    is_unpacked: bool = False,
) -> Image:
    """Pull an image into the local store, under its reference; present blobs are not fetched.

    ``accept`` is called before a layer is fetched, and raises if the image may not be used.
    ``is_unpacked``: mealkit itself will unpack it, for the sandbox.

    Raises:
        TrustError: a policy of this machine refuses the image; no layer but the kit's was read.
        RegistryError, StoreError: the registry refuses, bytes do not match their digest, or the
            layers cannot be unpacked here (``IMAGE_UNCHECKED``).
    """
    store, cache = LocalStore(home.store), FileCache(home.files)
    with Registries.from_environment() as registries, store.use():
        image = RemoteImages(registries).image(reference, Platform("linux", architecture))
        require_unpackable([layer for layer in (kit_layer(image),) if layer], "reading the lock")
        accept(image, registries)
        if is_unpacked:
            require_unpackable(image.layers, "the sandbox", "use --client docker")
        _pull_weights(image, store, cache, progress)
        fetch_layers(image.layers, f"pulling {reference}", store, cache, progress)
        store.put(image, [_name(reference, image)])
    return store.image(str(image.digest))


def _name(reference: Reference, image: Image) -> str:
    tag = reference.tag or image.digest.short
    return f"{reference.name}:{tag}"


def _pull_weights(image: Image, store: LocalStore, cache: FileCache, progress: Progress) -> None:
    missing = [weight for weight in weight_layers(image) if not store.has(weight.layer.blob.digest)]
    if missing:
        epoch_seconds = _epoch_seconds(image)
        task = progress.task("pulling weights", sum(weight.size_bytes for weight in missing))
        for weight in missing:
            store.recipes.write(_unwrapped(weight, epoch_seconds, cache, task.advance, progress))
        task.done(f"{len(missing)} files")


def _epoch_seconds(image: Image) -> int:
    """Return the modification time of the image's files: SOURCE_DATE_EPOCH of its build, or 0."""
    try:
        return int(datetime.fromisoformat(image.config["created"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return 0


def _unwrapped(
    weight: WeightLayer, epoch_seconds: int, cache: FileCache, advance: Advance, progress: Progress
) -> VirtualBlob:
    """Fetch a weight layer, store its file in the cache, and return the virtual layer.

    Raises:
        StoreError: the layer does not match its annotations (``IMAGE_INVALID``).
    """
    head = weight_header(weight.path, weight.size_bytes, epoch_seconds=epoch_seconds)
    tail = weight_footer(weight.size_bytes)
    blob = weight.layer.blob
    if blob.size_bytes != len(head) + weight.size_bytes + len(tail):
        raise _unlike(weight, "its size differs")
    path = _fetched(weight, len(head), cache, advance, progress)
    state = hashlib.sha256(head)
    with path.open("rb") as stream:
        while chunk := stream.read(1024 * 1024):
            state.update(chunk)
    state.update(tail)
    if Digest.from_hex(state.hexdigest()) != blob.digest:
        raise _unlike(weight, "its header differs")
    return VirtualBlob(blob.digest, head, path, FileKey.of(path), tail, weight.digest)


def _fetched(
    weight: WeightLayer, head_bytes: int, cache: FileCache, advance: Advance, progress: Progress
) -> Path:
    blob = weight.layer.blob
    if not isinstance(blob, RegistryBlob):
        raise TypeError("the layer is not in a registry")
    span = Span(blob, head_bytes, weight.size_bytes, weight.digest)
    try:
        return fetch_file(span, cache, advance, progress)
    except MealkitError as error:
        if error.problems[0].code == "REGISTRY_DIGEST":
            raise _unlike(weight, error.problems[0].message) from error
        raise


def _unlike(weight: WeightLayer, reason: str) -> Exception:
    return failure(
        "IMAGE_INVALID",
        f"layer {weight.layer.blob.digest.short} is not {weight.path} ({weight.digest}): {reason}",
        hint="push the image again, from a store where mealkit inspect --verify reports no problem",
    )
