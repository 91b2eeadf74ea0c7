"""An index: images for several platforms, or the images of a store or layout (image-index.md)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import INDEX, Descriptor
from mealkit.oci.image import Blob, Content, Image
from mealkit.oci.manifest import extras, json_object, read_extras
from mealkit.untrusted import UntrustedError, read_file

# annotations.md: in an index, the name of the image that a descriptor refers to.
REF_NAME = "org.opencontainers.image.ref.name"
# In an index of ours: the digest of the manifest that an entry is about.
SUBJECT = "dev.mealkit.subject"
LAYOUT_FILE = "oci-layout"
LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'

# descriptor.md "Digests", with an algorithm other than sha256.
_OTHER_DIGEST = re.compile(r"(?!sha256:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")

MAX_INDEX_BYTES = 16 * 1024 * 1024
"""The maximum size of an index."""


@dataclass(frozen=True, slots=True)
class Index:
    """Descriptors with their names, as JSON, so that unknown fields are preserved."""

    forms: tuple[dict[str, Any], ...] = ()
    artifact_type: str | None = None
    """The type of the artifact, if the index does not list images."""
    subject: Descriptor | None = None
    """The manifest that this index is about."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an index file; a missing file is an empty index.

        Raises:
            StoreError: ``IMAGE_INVALID``: the file is not an index; ``DISK_DENIED``.
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
            form = json_object(raw, "index")
            forms = form.get("manifests")
            if not isinstance(forms, list):
                raise failure("IMAGE_INVALID", "it has no list of manifests")
            if "layers" in form or "config" in form:
                raise failure("IMAGE_INVALID", "it also has layers, which only a manifest may have")
            for item in filter(_is_supported, forms):
                Descriptor.from_json(item)
            return cls(tuple(forms), *read_extras(form, "index"))
        except MealkitError as error:
            message = f"{where} is not an index: {error.problems[0].message}"
            raise failure("IMAGE_INVALID", message, where=where) from error

    def as_bytes(self) -> bytes:
        """Return the index's bytes: canonical JSON, no times."""
        form = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.forms}
        return canonical_json(form | extras(self.artifact_type, self.subject, self.annotations))

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """All descriptors; an image with several names occurs several times.

        Entries with another digest than SHA-256 are left out: other images are not affected.
        """
        return tuple(Descriptor.from_json(form) for form in filter(_is_supported, self.forms))

    def images(self) -> dict[Digest, Descriptor]:
        """Return each image once."""
        return {item.digest: item for item in self.descriptors}

    def names(self, digest: Digest | None = None) -> tuple[str, ...]:
        """Return the names of one image, or all names, sorted."""
        found = (item for item in self.descriptors if digest in {None, item.digest})
        return tuple(sorted(name for item in found if (name := item.annotations.get(REF_NAME))))

    def named(self, name: str) -> Descriptor | None:
        """Return the image with exactly this name."""
        for item in self.descriptors:
            if item.annotations.get(REF_NAME) == name:
                return item
        return None

    def with_image(self, descriptor: Descriptor, names: Sequence[str]) -> Self:
        """Add an image with these names; an image that had one of the names stays, without it."""
        index = self
        for name in names:
            index = index.without_name(name)
        fresh = [_named(descriptor.as_json(), name) for name in names]
        if not fresh and descriptor.digest not in index.images():
            fresh = [descriptor.as_json()]
        return replace(self, forms=_tidy([*index.forms, *fresh]))

    def without_name(self, name: str) -> Self:
        """Remove a name; the image stays."""
        forms = (_unnamed(form) if _name_of(form) == name else form for form in self.forms)
        return replace(self, forms=_tidy(forms))

    def without_image(self, digest: Digest) -> Self:
        """Remove an image and all its names."""
        return replace(self, forms=tuple(form for form in self.forms if form["digest"] != digest))

    def entries(self, name: str | None = None) -> tuple[Descriptor, ...]:
        """Return the image with a name, or each image once without a name.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, with the existing names.
        """
        if name is None:
            return tuple(self.images().values())
        found = self.named(name)
        if found is None:
            there = ", ".join(self.names()) or "none"
            raise failure("IMAGE_NOT_FOUND", f"no image has the name {name!r}; names: {there}")
        return (found,)


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """An index with the images that it lists: one kit for several platforms."""

    raw_manifest: bytes
    images: tuple[Image, ...]
    media_type: str = INDEX

    @property
    def digest(self) -> Digest:
        """The index's digest, which identifies all its images together."""
        return Digest.of(self.raw_manifest)

    @property
    def descriptor(self) -> Descriptor:
        """Its entry in another index."""
        return Descriptor(self.media_type, self.digest, len(self.raw_manifest))

    @property
    def annotations(self) -> dict[str, str]:
        """The index's own annotations."""
        return dict(Index.parse(self.raw_manifest, self.digest).annotations)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Empty: an index refers only to manifests."""
        return ()

    @property
    def parts(self) -> tuple[Content, ...]:
        """The images."""
        return self.images


def index_of(images: Sequence[Image], annotations: Mapping[str, str]) -> ImageIndex:
    """Return an index of images, in their order."""
    forms = tuple(image.descriptor.as_json() for image in images)
    return ImageIndex(Index(forms, annotations=annotations).as_bytes(), tuple(images))


def _is_supported(form: Any) -> bool:
    """Return whether an entry's digest is SHA-256, or is not a digest at all, which is a fault."""
    digest = form.get("digest") if isinstance(form, dict) else None
    return not (isinstance(digest, str) and _OTHER_DIGEST.fullmatch(digest))


def _name_of(form: dict[str, Any]) -> Any:
    return (form.get("annotations") or {}).get(REF_NAME)


def _named(form: dict[str, Any], name: str) -> dict[str, Any]:
    return {**form, "annotations": {**(form.get("annotations") or {}), REF_NAME: name}}


def _unnamed(form: dict[str, Any]) -> dict[str, Any]:
    kept = {key: text for key, text in form["annotations"].items() if key != REF_NAME}
    bare = {key: value for key, value in form.items() if key != "annotations"}
    return {**bare, "annotations": kept} if kept else bare


def _tidy(forms: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Remove repetitions, and nameless descriptors of images that have a name; sort."""
    unique = {canonical_json(form): form for form in forms}
    named = {form["digest"] for form in unique.values() if _name_of(form)}
    kept = [form for form in unique.values() if _name_of(form) or form["digest"] not in named]
    return tuple(sorted(kept, key=lambda form: (_name_of(form) or "", form["digest"])))
