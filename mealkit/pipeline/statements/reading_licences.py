"""Reads the licences of the packages in an image from its layers, which have their metadata."""

import re
from collections.abc import Iterator

from mealkit.assembly.lean import layer_kind
from mealkit.digest import Digest
from mealkit.oci.compression import max_unpacked_bytes, unpacked
from mealkit.oci.image import Image, Layer
from mealkit.oci.tar_source import StreamSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.paths import ENGINE, GATEWAY, TESTS
from mealkit.pipeline.image.kit_image import KitImage
from mealkit.plan.layers import LayerKind
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.recipe.variant import plain_locks
from mealkit.trust.package_licences import MAX_FILE_BYTES, debian_licences, wheel_licences
from mealkit.untrusted import UntrustedError

_KINDS = frozenset({LayerKind.BASE, LayerKind.ENGINE, LayerKind.GATEWAY, LayerKind.TESTS})
_MAX_ENTRIES = 1_000_000
_METADATA = re.compile(
    rf"({re.escape(ENGINE)}|{re.escape(GATEWAY)}|{re.escape(TESTS)})/([^/-]+)-([^/-]+)\.dist-info/METADATA"
)
_COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")


def read_licences(kit: KitImage, progress: Progress) -> dict[Digest, tuple[str, ...]]:
    """Return the licences that packages state, by the digest of the package.

    Reads the layers with packages to their end, also from a registry.

    Raises:
        StoreError, RegistryError: a layer cannot be read.
    """
    pairs = [
        (layer, plain)
        for image, plain in zip(kit.images, plain_locks(kit.lock), strict=True)
        for layer in _layers(image)
    ]
    task = progress.task("reading licences", sum(item.blob.size_bytes for item, _ in pairs))
    found: dict[Digest, tuple[str, ...]] = {}
    for layer, plain in pairs:
        for path, text in _texts(layer):
            stated = _stated(path, text, plain)
            found |= {digest: names for digest, names in stated.items() if names}
        task.advance(layer.blob.size_bytes)
    task.done()
    return found


def _layers(image: Image) -> Iterator[Layer]:
    yield from (layer for layer in image.layers if layer_kind(layer) in _KINDS)


def _texts(layer: Layer) -> Iterator[tuple[str, str]]:
    """Yield the files with metadata; a layer that is no tar has none."""
    limit = max_unpacked_bytes(layer.media_type, layer.blob.size_bytes)
    chunks = unpacked(layer.media_type, layer.blob.chunks(), limit)
    stream = TarStream(StreamSource(iter(chunks)), max_entries=_MAX_ENTRIES)
    try:
        for member in stream.members():
            path = member.path.decode(errors="replace")
            is_short = member.kind is Kind.FILE and member.size_bytes <= MAX_FILE_BYTES
            if is_short and (_METADATA.fullmatch(path) or _COPYRIGHT.fullmatch(path)):
                yield path, b"".join(map(bytes, stream.data())).decode(errors="replace")
    except UntrustedError:
        return


def _stated(path: str, text: str, lock: Lock) -> dict[Digest, tuple[str, ...]]:
    """Return the licences in a file, for the package in the lock that it belongs to."""
    if metadata := _METADATA.fullmatch(path):
        tree, name, version = metadata.groups()
        packages = {
            ENGINE: lock.engine.packages,
            GATEWAY: lock.gateway.packages,
            TESTS: lock.test_packages,
        }[tree]
        normal = re.sub(r"[-_.]+", "-", name).lower()
        return {
            wheel.sha256: wheel_licences(text)
            for wheel in packages
            if (wheel.name, wheel.version) == (normal, version)
        }
    folder = _COPYRIGHT.fullmatch(path)
    base = lock.runtime.base
    if folder is None or not isinstance(base, LockedDebianBase):
        return {}
    return {deb.sha256: debian_licences(text) for deb in base.packages if deb.name == folder[1]}
