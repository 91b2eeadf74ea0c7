"""Chooses and reads one image of an index, by the same rules wherever the index is.

If several images fit, raises StoreError with the list of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Platform
from mealkit.oci.image import Blob, Image, read_image, require_image
from mealkit.oci.index import REF_NAME, SUBJECT, ImageIndex, Index
from mealkit.oci.manifest import Manifest

_MAX_DEPTH = 4
# An image for all existing platforms has an index of about twenty.
_MOST_INDEXES = 64
# The only version of arm64 that images are built for; most images do not state it.
_DEFAULT_VARIANTS = {("arm64", "v8"): None}
# The names of the kernel, which container engines also accept.
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Source:
    """The place of an index: how its documents and blobs are read, and its name in problems."""

    where: str
    read: Callable[[Descriptor], bytes]
    """Returns the bytes of a manifest, index or config, checked against their digest."""
    blob_of: Callable[[Descriptor], Blob]
    attached: tuple[Descriptor, ...] = ()
    """What is there about the images, if it is listed apart: artifacts, and their indexes."""


def find_image(
    entries: Sequence[Descriptor],
    source: Source,
    platform: Platform | None = None,
    *,
    is_preference: bool = False,
) -> Image:
    """Return the one image among entries that fits the platform; see ``choose``.

    ``is_preference``: a single image is returned whatever its platform.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, with the existing ones; ``IMAGE_INVALID``; and errors of
            reading.
    """
    flat = manifests_below(entries, source)
    if is_preference and len(flat) == 1:
        platform = None
    image = image_at(choose(entries, source, platform), source)
    if platform is not None and _rank(image.platform, platform) is None:
        raise _not_one(0, [str(image.platform)], platform, source.where)
    return image


def only_entry(entries: Sequence[Descriptor], where: str) -> Descriptor:
    """Return the one image or index among entries, without the artifacts about it.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: there is none, or there are several.
    """
    distinct = {
        item.digest: item
        for item in entries
        if item.artifact_type is None and SUBJECT not in item.annotations
    }
    if len(distinct) != 1:
        message = f"{where} has {len(distinct)} images, expected one"
        hint = "name one image by its digest"
        raise failure("IMAGE_NOT_FOUND", message, where=where, hint=hint)
    (only,) = distinct.values()
    return only


def content_at(descriptor: Descriptor, source: Source) -> Image | ImageIndex:
    """Return an image, or an index with all its images; raises as ``image_at`` does."""
    if descriptor.media_type not in INDEX_TYPES:
        return image_at(descriptor, source)
    found = manifests_below([descriptor], source)
    images = tuple(image_at(item, source) for item in found)
    return ImageIndex(source.read(descriptor), images, descriptor.media_type)


def image_at(descriptor: Descriptor, source: Source) -> Image:
    """Return the image of a manifest.

    Raises:
        StoreError: ``IMAGE_INVALID``: it is not an image; and errors of reading.
    """
    raw_manifest = source.read(descriptor)
    manifest = Manifest.read(raw_manifest, descriptor.media_type)
    require_image(manifest)
    raw_config = source.read(manifest.config)
    return read_image(raw_manifest, raw_config, source.blob_of, descriptor.media_type)


def choose(entries: Sequence[Descriptor], source: Source, platform: Platform | None) -> Descriptor:
    """Choose the one manifest among entries that fits a platform.

    Also searches indexes among them. Skips entries that are not images: artifacts, and BuildKit's
    attachments with "unknown" platforms. The exact variant is best, then an image for every
    variant; without a variant in the platform, an image for every variant is best. Of images in one
    index that fit equally well, the first is chosen (image-index.md); of equal entries, none.
    Without a platform there must be only one image.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, with the existing ones; ``IMAGE_INVALID``.
    """
    walk = _Walk(source, platform)
    tops = [list(walk.below(entry, 0)) for entry in entries]
    every = [item for top in tops for item in top]
    if platform is None:
        candidates = [(0, item) for item in every]
    else:
        candidates = [pair for top in tops for pair in _best(top, platform)]
    least = min((rank for rank, _ in candidates), default=0)
    fitting = {item.digest: item for rank, item in candidates if rank == least}
    if len(fitting) != 1:
        there = [*map(_label, every), *map(str, walk.passed)]
        raise _not_one(len(fitting), there, platform, source.where)
    return next(iter(fitting.values()))


def manifests_below(entries: Sequence[Descriptor], source: Source) -> tuple[Descriptor, ...]:
    """Return every image's manifest among entries and in their indexes, each once.

    Raises:
        StoreError: ``IMAGE_INVALID``: indexes are nested too deeply, or too many.
    """
    walk = _Walk(source, None)
    found = (item for entry in entries for item in walk.below(entry, 0))
    return tuple({item.digest: item for item in found}.values())


class _Walk:
    """Follows indexes; reads each one once, however often it occurs."""

    def __init__(self, source: Source, platform: Platform | None) -> None:
        self.passed: list[Platform] = []
        """The platforms of indexes that were not read, because another platform is wanted."""
        self._source = source
        self._platform = platform
        self._seen: set[Digest] = set()

    def below(self, item: Descriptor, depth: int) -> Iterator[Descriptor]:
        """Yield the manifests of images below an entry."""
        if (item.platform and item.platform.os == "unknown") or item.artifact_type:
            return
        if item.media_type in MANIFEST_TYPES:
            yield item
        elif item.media_type in INDEX_TYPES and self._is_new(item, depth):
            index = Index.parse(self._source.read(item), item.digest)
            if index.artifact_type:  # a catalogue, for example, is not one image for platforms
                return
            for inner in index.descriptors:
                yield from self.below(inner, depth + 1)

    def _is_new(self, item: Descriptor, depth: int) -> bool:
        if item.digest in self._seen:
            return False
        if item.platform and self._platform and _rank(item.platform, self._platform) is None:
            self.passed.append(item.platform)
            return False
        self._seen.add(item.digest)
        if depth >= _MAX_DEPTH or len(self._seen) > _MOST_INDEXES:
            raise failure(
                "IMAGE_INVALID",
                f"{self._source.where}: indexes are nested deeper than {_MAX_DEPTH},"
                f" or more than {_MOST_INDEXES}",
            )
        return True


def _best(found: Iterable[Descriptor], wanted: Platform) -> list[tuple[int, Descriptor]]:
    """Return the best fits in one index, with their rank; of each variant the first."""
    ranked = [(rank, item) for item in found if (rank := _rank(item.platform, wanted)) is not None]
    least = min((rank for rank, _ in ranked), default=0)
    first: dict[str | None, Descriptor] = {}
    for rank, item in ranked:
        if rank == least:
            first.setdefault(_variant(item.platform) if item.platform else None, item)
    return [(least, item) for item in first.values()]


def _rank(found: Platform | None, wanted: Platform) -> int | None:
    """Return how well a platform fits, 0 for best; None if it does not fit."""
    if found is None or not (found.os or found.architecture):  # some tools write empty names
        return 3
    found = _in_go_names(found)
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return None
    own, asked = _variant(found), _variant(wanted)
    if own == asked:
        return 0
    if own is None:
        return 1
    return 2 if asked is None else None


def _in_go_names(platform: Platform) -> Platform:
    name = platform.architecture.lower()
    return Platform(platform.os.lower(), _ARCHITECTURES.get(name, name), platform.variant)


def _variant(platform: Platform) -> str | None:
    return _DEFAULT_VARIANTS.get((platform.architecture, platform.variant or ""), platform.variant)


def _label(item: Descriptor) -> str:
    platform = str(item.platform) if item.platform else "no platform"
    name = item.annotations.get(REF_NAME)
    return f"{platform} ({name})" if name else platform


def _not_one(count: int, there: Iterable[str], wanted: Platform | None, where: str) -> MealkitError:
    asked = f" for {wanted}" if wanted else ""
    what = f"{count} images" if count else "no image"
    return failure(
        "IMAGE_NOT_FOUND",
        f"{where} has {what}{asked}, expected one; it has:"
        f" {', '.join(sorted(set(there))) or 'nothing'}",
        where=where,
        hint="name an image for one of these platforms, or one image by its digest",
    )
