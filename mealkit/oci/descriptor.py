"""Content descriptors and the media types mealkit speaks (OCI image-spec v1.1, descriptor.md).

Refuses: a descriptor whose digest or size cannot be true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mealkit.digest import Digest
from mealkit.errors import failure

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


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and architecture, in Go's names (``linux``, ``amd64``)."""

    os: str
    architecture: str
    variant: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the JSON form of image-index.md."""
        form = {"os": self.os, "architecture": self.architecture}
        return form | ({"variant": self.variant} if self.variant else {})

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Self:
        """Read the JSON form; missing names are empty."""
        return cls(form.get("os", ""), form.get("architecture", ""), form.get("variant"))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is: its media type, its digest, and its size."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form of descriptor.md, without empty fields."""
        form: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size_bytes,
        }
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
            size_bytes = form["size"]
            if not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0:
                raise ValueError(f"size {size_bytes!r}")  # noqa: TRY301
            platform = form.get("platform")
            return cls(
                str(form["mediaType"]),
                Digest(form["digest"]),
                size_bytes,
                dict(form.get("annotations") or {}),
                Platform.from_json(platform) if platform else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise failure("IMAGE_INVALID", f"a descriptor cannot be read: {error}") from error
