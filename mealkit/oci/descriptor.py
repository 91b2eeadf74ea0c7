"""Content descriptors, and the media types that mealkit supports (image-spec v1.1, descriptor.md).

Raises StoreError for a descriptor with an invalid media type, digest or size.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.untrusted import shown

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES = frozenset({INDEX, DOCKER_INDEX})
CONFIG_TYPES = frozenset({CONFIG, DOCKER_CONFIG})
LAYER_TYPES = frozenset({LAYER, LAYER_GZIP, LAYER_ZSTD, DOCKER_LAYER_GZIP, DOCKER_LAYER})

# RFC 6838 section 4.2, as descriptor.md requires.
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII
)
# GOOS, GOARCH and variants; the longest existing one has nine letters.
_PLATFORM_NAME = re.compile(r"[A-Za-z0-9._-]{0,64}")
# The maximum of an int64 in a Go program.
_MOST_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and architecture, in Go's names (``linux``, ``amd64``)."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def as_json(self) -> dict[str, str]:
        """Return the JSON form of image-index.md."""
        form = {"os": self.os, "architecture": self.architecture}
        return form | ({"variant": self.variant} if self.variant else {})

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Self:
        """Read the JSON form; missing names are empty.

        Raises:
            ValueError: a name is not valid.
        """
        names = [form.get(name) or "" for name in ("os", "architecture", "variant")]
        for name in names:
            if not isinstance(name, str) or not _PLATFORM_NAME.fullmatch(name):
                raise ValueError(f"{shown(str(name))} is not the name of a platform")
        return cls(names[0], names[1], names[2] or None)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a blob: its media type, its digest, and its size."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None
    """The type of the artifact, if an index states it for a manifest."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form of descriptor.md, without empty fields."""
        form: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size_bytes,
        }
        if self.artifact_type:
            form["artifactType"] = self.artifact_type
        if self.platform:
            form["platform"] = self.platform.as_json()
        if self.annotations:
            form["annotations"] = dict(self.annotations)
        return form

    @classmethod
    def from_json(cls, form: Any) -> Self:
        """Read the JSON form; fields that mealkit does not use are dropped.

        Raises:
            StoreError: the form has no usable media type, digest or size.
        """
        try:
            platform = form.get("platform")
            kind = form.get("artifactType")
            return cls(
                media_type_of(form["mediaType"]),
                Digest(form["digest"]),
                _size_bytes(form["size"]),
                texts_by_name(form.get("annotations")),
                Platform.from_json(platform) if platform else None,
                media_type_of(kind) if kind else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise failure("IMAGE_INVALID", f"a descriptor cannot be read: {error}") from error


def texts_by_name(value: Any) -> dict[str, str]:
    """Return annotations or labels; null means none.

    Raises:
        ValueError: the value is not a map from names to texts.
    """
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("annotations are not texts by name")
    return dict(value)


def media_type_of(value: Any) -> str:
    """Return a media type.

    Raises:
        ValueError: the value is not a media type.
    """
    if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
        raise ValueError(f"{shown(str(value))} is not a media type")
    return value


def _size_bytes(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_BYTES:
        raise ValueError(f"{shown(str(value))} is not a size")
    return value
