"""The index of a store or layout: which images are there, and their names (image-layout.md).

Refuses to guess: when a name is missing and there are several images, it says which there are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import INDEX, INDEX_TYPES, MANIFEST_TYPES, Descriptor, Platform
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

# annotations.md: in an index, the name of the image that a descriptor points to.
REF_NAME = "org.opencontainers.image.ref.name"
LAYOUT_FILE = "oci-layout"
LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'

MAX_INDEX_BYTES = 16 * 1024 * 1024
"""The largest index that is read."""
_MAX_DEPTH = 4
# An image for every platform that there is has an index of some twenty.
_MOST_INDEXES = 64


@dataclass(frozen=True, slots=True)
class Index:
    """Descriptors with their names, as JSON, so that what others wrote into them is kept."""

    forms: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an index file; one that is not there is an empty index.

        Raises:
            StoreError: ``IMAGE_INVALID``: it is not an index; ``DISK_DENIED``.
        """
        try:
            return cls.parse(read_file(path, MAX_INDEX_BYTES), str(path))
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except UntrustedError as error:
            message = f"{path} is not an index: {error}"
            raise failure("IMAGE_INVALID", message, where=str(path)) from error
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise failure("DISK_DENIED", message, where=str(path)) from error

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Read an index from its bytes; raises as ``read`` does."""
        try:
            forms = parse_json_object(raw).get("manifests")
        except UntrustedError as error:
            raise failure("IMAGE_INVALID", f"{where} is not an index: {error}") from error
        if not isinstance(forms, list):
            raise failure("IMAGE_INVALID", f"{where} is not an index: it has no list of manifests")
        for form in forms:
            Descriptor.from_json(form)
        return cls(tuple(forms))

    def as_bytes(self) -> bytes:
        """Return the file's bytes: canonical JSON, no times."""
        return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.forms})

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """All descriptors; an image with several names is there several times."""
        return tuple(Descriptor.from_json(form) for form in self.forms)

    def images(self) -> dict[Digest, Descriptor]:
        """Return each image once."""
        return {item.digest: item for item in self.descriptors}

    def names(self, digest: Digest | None = None) -> tuple[str, ...]:
        """Return the names of one image, or all names, sorted."""
        found = (item for item in self.descriptors if digest in {None, item.digest})
        return tuple(sorted(name for item in found if (name := item.annotations.get(REF_NAME))))

    def named(self, name: str) -> Descriptor | None:
        """Return the image with this very name."""
        for item in self.descriptors:
            if item.annotations.get(REF_NAME) == name:
                return item
        return None

    def with_image(self, descriptor: Descriptor, names: Sequence[str]) -> "Index":
        """Add an image, and give it these names; who had them before stays, without them."""
        index = self
        for name in names:
            index = index.without_name(name)
        fresh = [_named(descriptor.as_json(), name) for name in names]
        if not fresh and descriptor.digest not in index.images():
            fresh = [descriptor.as_json()]
        return Index(_tidy([*index.forms, *fresh]))

    def without_name(self, name: str) -> "Index":
        """Take a name away; the image stays."""
        return Index(
            _tidy(_unnamed(form) if _name_of(form) == name else form for form in self.forms)
        )

    def without_image(self, digest: Digest) -> "Index":
        """Take an image and all its names away."""
        return Index(tuple(form for form in self.forms if form["digest"] != digest))


def choose(
    index: Index,
    name: str | None,
    platform: Platform | None,
    read: Callable[[Descriptor], bytes],
) -> Descriptor:
    """Choose the one manifest of an index that has the name and fits the platform.

    Indexes in the index are followed (``read`` gives their bytes); what BuildKit attaches as
    "unknown" platforms is passed over. Without a platform there must be only one candidate.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, with what there is; ``IMAGE_INVALID``.
    """
    if name is None:
        tops: Iterable[Descriptor] = index.images().values()
    else:
        found = index.named(name)
        if found is None:
            there = ", ".join(index.names()) or "none"
            raise failure("IMAGE_NOT_FOUND", f"there is no image named {name!r}; names: {there}")
        tops = (found,)
    seen: set[Digest] = set()
    flat = {item.digest: item for top in tops for item in _flat(top, read, 0, seen)}
    fitting = [item for item in flat.values() if _fits(item.platform, platform)]
    if len(fitting) != 1:
        raise _not_one(fitting, list(flat.values()), platform, index)
    return fitting[0]


def _flat(
    top: Descriptor, read: Callable[[Descriptor], bytes], depth: int, seen: set[Digest]
) -> Iterable[Descriptor]:
    """Yield the manifests below; an index is read once, however often it is named."""
    if top.media_type in MANIFEST_TYPES:
        yield top
    elif top.media_type in INDEX_TYPES and depth < _MAX_DEPTH and top.digest not in seen:
        seen.add(top.digest)
        if len(seen) > _MOST_INDEXES:
            raise failure("IMAGE_INVALID", f"more than {_MOST_INDEXES} indexes are nested")
        for item in Index.parse(read(top), top.digest).descriptors:
            if item.platform is None or item.platform.os != "unknown":
                yield from _flat(item, read, depth + 1, seen)


def _fits(found: Platform | None, wanted: Platform | None) -> bool:
    if found is None or wanted is None:
        return True
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and wanted.variant in {None, found.variant}


def _not_one(
    fitting: list[Descriptor], found: list[Descriptor], wanted: Platform | None, index: Index
) -> MealkitError:
    platforms = sorted(
        f"{item.platform.os}/{item.platform.architecture}" for item in found if item.platform
    )
    there = ", ".join([*index.names(), *platforms]) or "nothing"
    asked = f" for {wanted.os}/{wanted.architecture}" if wanted else ""
    count = f"{len(fitting)} images" if fitting else "no image"
    return failure("IMAGE_NOT_FOUND", f"there is {count}{asked} where one is meant; found: {there}")


def _name_of(form: dict[str, Any]) -> Any:
    return (form.get("annotations") or {}).get(REF_NAME)


def _named(form: dict[str, Any], name: str) -> dict[str, Any]:
    return {**form, "annotations": {**(form.get("annotations") or {}), REF_NAME: name}}


def _unnamed(form: dict[str, Any]) -> dict[str, Any]:
    kept = {key: text for key, text in form["annotations"].items() if key != REF_NAME}
    bare = {key: value for key, value in form.items() if key != "annotations"}
    return {**bare, "annotations": kept} if kept else bare


def _tidy(forms: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Drop nameless descriptors of images that have a name, and repetitions; sort."""
    unique = {canonical_json(form): form for form in forms}
    named = {form["digest"] for form in unique.values() if _name_of(form)}
    kept = [form for form in unique.values() if _name_of(form) or form["digest"] not in named]
    return tuple(sorted(kept, key=lambda form: (_name_of(form) or "", form["digest"])))
