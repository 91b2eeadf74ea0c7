"""Pulls an image from a registry into the local store, its weights as verified files.

A weight layer is one file after a tar header that its annotations determine. So the file is stored
with the verified files and the layer stays virtual: pulled weights can be mounted, and are stored
once.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.assembly.lean import WeightLayer, weight_layers
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.choosing import content_at, find_image
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex
from mealkit.oci.reference import Reference
from mealkit.oci.validate import require_unpackable
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_layers import Fetching, Span
from mealkit.pipeline.image.image_lock import kit_layer, lock_of
from mealkit.pipeline.image.keeping_companions import keep_companions, keep_other_parts
from mealkit.pipeline.image.unwrapping import Around, unlike, unwrapped
from mealkit.pipeline.targets import RegistryReference
from mealkit.progress import Advance, Progress
from mealkit.sources.file_cache import FileCache
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.pull import RemoteImages, named_problems
from mealkit.stores.registry.reaching import Registries

Accept = Callable[[Image, Registries], None]
"""Asks the policies of the machine about an image in a registry; raises TrustError."""

Early = Callable[[Image], object]
"""Begins with an image whose layers are here, all but its weights, while these are fetched.

Its problems are not told: the same is done again when the weights are here, and tells them.
"""


def pull(  # noqa: PLR0913  the parts of a run that are done in between
    reference: Reference,
    architecture: str,
    home: Home,
    progress: Progress,
    *,
    accept: Accept,
    early: Early | None = None,
    is_unpacked: bool = False,
) -> Image:
    """Pull an image into the local store, under its reference; present blobs are not fetched.

    ``accept`` is called before a layer is fetched, and raises if the image may not be used;
    ``early`` is called while the weights are fetched, after the other layers.
    ``is_unpacked``: mealkit itself will unpack it, for the sandbox.

    Raises:
        TrustError: a policy of this machine refuses the image; no layer but the kit's was read.
        RegistryError, StoreError: the registry refuses, bytes do not match their digest, or the
            layers cannot be unpacked here (``IMAGE_UNCHECKED``).
    """
    unpacked = "the sandbox" if is_unpacked else None
    done = pull_content(
        reference, architecture, home, progress, accept=accept, early=early, unpacked_for=unpacked
    )
    return LocalStore(home.store).image(str(done.stored))


_PUSH_AGAIN = "push the image again, from a store where mealkit inspect --verify reports no problem"


@dataclass(frozen=True, slots=True)
class Pulled:
    """The result of a pull."""

    name: str
    """The name in the local store."""
    digest: Digest
    """What the reference names: an image, or an index."""
    stored: Digest
    """What the local store has under the name: all of it, or one image of an index."""
    platforms: tuple[Platform, ...]
    companions: int
    """The number of signatures and other artifacts about it that were kept."""


def pull_content(  # noqa: PLR0913  as pull
    reference: Reference,
    architecture: str | None,
    home: Home,
    progress: Progress,
    *,
    accept: Accept,
    early: Early | None = None,
    unpacked_for: str | None = None,
) -> Pulled:
    """Pull one image, or with the architecture None all images; otherwise like ``pull``.

    What refers to it is kept in the local store, except for ModelPacks, which have the same weights
    again. Of an index with several images, its bytes are kept: signatures are about the index.
    """
    store, cache = LocalStore(home.store), FileCache(home.files)
    with Registries.from_environment() as registries, store.use():
        top, content = _opened(reference, architecture, registries)
        for unused in registries.unused_mirrors:
            progress.notice(unused)
        images = content.images if isinstance(content, ImageIndex) else (content,)
        for image in images:
            kit = kit_layer(image)
            require_unpackable([kit] if kit else [], "reading the lock")
            accept(image, registries)
            if unpacked_for:
                require_unpackable(image.layers, unpacked_for, "use --client docker")
        with Fetching(store, cache, progress) as fetching:
            for image in images:
                weights = weight_layers(image)
                apart = {weight.layer.blob.digest for weight in weights}
                others = [layer for layer in image.layers if layer.blob.digest not in apart]
                fetching.fetch_layers(others, f"pulling {reference}")
                with _beside(early, image, store):
                    _pull_weights(image, weights, store, fetching)
        name = f"{reference.name}:{reference.tag or content.digest.short}"
        if isinstance(content, ImageIndex):
            keep_other_parts(content, reference, registries, store)
        store.put(content, [name])
        if isinstance(top, ImageIndex) and top is not content:
            Attached(store).cover(top, [content.digest])
        subjects = dict.fromkeys((top.digest, *(image.digest for image in images)))
        kept = keep_companions(subjects, reference, registries, store, progress)
    platforms = tuple(image.platform for image in images)
    return Pulled(name, top.digest, content.digest, platforms, kept)


def named_as_listed(image: Image, target: RegistryReference, store: LocalStore) -> Image:
    """Give an image from a catalogue its own name here, so that the next run needs no catalogue.

    Raises:
        StoreError: ``CATALOGUE_CONFLICT``: it is not the kit that the catalogue says it is.
    """
    if target.listed is None:
        return image
    about = lock_of(image).about
    name = f"{about.name}:{about.version}"
    if name != target.listed.kit:
        raise failure(
            "CATALOGUE_CONFLICT",
            f"the catalogue lists {target.listed.kit}, but {target.text} is {name}",
            where=target.text,
            hint=f"if you want {name}: mealkit run {target.text}",
        )
    store.claim(image.digest, name)
    return image


def _opened(
    reference: Reference, architecture: str | None, registries: Registries
) -> tuple[Image | ImageIndex, Image | ImageIndex]:
    """Return what a reference names, and the part of it to pull."""
    remote = RemoteImages(registries)
    with named_problems(reference):
        entries, source = remote.opened(reference)
        (item,) = entries
        if architecture is None:
            whole = content_at(item, source)
            return whole, whole
        image = find_image(entries, source, Platform("linux", architecture))
        if item.digest == image.digest:
            return image, image
        return ImageIndex(source.read(item), (image,), item.media_type), image


@contextmanager
def _beside(early: Early | None, image: Image, store: LocalStore) -> Iterator[None]:
    """Begin with an image during the block, if there is something to begin with."""
    if early is None or not weight_layers(image):
        yield
        return

    def begin() -> None:
        layers = [
            replace(layer, blob=store.blob(layer.blob.digest))
            if store.has(layer.blob.digest)
            else layer
            for layer in image.layers
        ]
        with suppress(MealkitError):
            early(replace(image, layers=tuple(layers)))

    # A daemon: a process that ends for another reason does not wait for a container engine.
    thread = threading.Thread(target=begin, daemon=True)
    thread.start()
    yield
    thread.join()


def _pull_weights(
    image: Image, weights: Sequence[WeightLayer], store: LocalStore, fetching: Fetching
) -> None:
    missing = [weight for weight in weights if not store.has(weight.layer.blob.digest)]

    def fetch(weight: WeightLayer, advance: Advance) -> None:
        store.recipes.write(_unwrapped(weight, image.created_seconds, fetching, advance))

    total_bytes = sum(weight.size_bytes for weight in missing)
    fetching.each(fetch, missing, "pulling weights", total_bytes, "files")


def _unwrapped(
    weight: WeightLayer, epoch_seconds: int, fetching: Fetching, advance: Advance
) -> VirtualBlob:
    """Fetch a weight layer, store its file in the cache, and return the virtual layer.

    Raises:
        StoreError: the layer does not match its annotations (``IMAGE_INVALID``).
    """
    blob = weight.layer.blob
    if not isinstance(blob, RegistryBlob):
        raise TypeError("the layer is not in a registry")

    def stored(around: Around) -> tuple[Path, Digest | None]:
        head, tail = around.head, around.tail
        span = Span(blob, len(head), weight.size_bytes, weight.digest, head, tail)
        try:
            return fetching.fetch_file(span, advance)
        except MealkitError as error:
            if error.problems[0].code == "REGISTRY_DIGEST":
                raise unlike(weight, error.problems[0].message, _PUSH_AGAIN) from error
            raise

    return unwrapped(weight, epoch_seconds, stored, _PUSH_AGAIN)
