"""A manifest as a value: of an image, or of another artifact (OCI image-spec v1.1, manifest.md).

Raises StoreError for JSON that is not a manifest, or that could also be read as an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mealkit.digest import canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    MANIFEST,
    MANIFEST_TYPES,
    Descriptor,
    media_type_of,
    texts_by_name,
)
from mealkit.oci.extent import check_layers
from mealkit.untrusted import UntrustedError, parse_json_object, shown


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest: a config of any type, and the blobs that belong to it."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = MANIFEST
    artifact_type: str | None = None
    """The type of the artifact; None: the config's type states it, as in an image."""
    subject: Descriptor | None = None
    """The manifest that this one is about, such as the image of a signature."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> tuple[Descriptor, ...]:
        """The blobs that it refers to: the config, then the layers, lowest first."""
        return (self.config, *self.layers)

    @property
    def kind(self) -> str:
        """The kind of manifest: its artifact type, or else the type of its config."""
        return self.artifact_type or self.config.media_type

    def as_bytes(self) -> bytes:
        """Return canonical JSON, without fields that are empty."""
        form: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.as_json(),
            "layers": [item.as_json() for item in self.layers],
        }
        return canonical_json(form | extras(self.artifact_type, self.subject, self.annotations))

    @classmethod
    def read(cls, raw: bytes, stated_type: str | None = None) -> Self:
        """Read a manifest.

        ``stated_type`` is the media type from a descriptor or a header; it counts if the manifest
        does not state its own, as older ones may not.

        Raises:
            StoreError: ``IMAGE_INVALID``: the bytes are not a manifest, or exceed a limit.
        """
        form = json_object(raw, "manifest")
        if "manifests" in form:
            raise _invalid("the manifest also lists manifests, which only an index may have")
        layers = form.get("layers")
        if not isinstance(layers, list):
            raise _invalid("layers is not a list")
        config, *described = (Descriptor.from_json(item) for item in (form.get("config"), *layers))
        check_layers(described)
        artifact_type, subject, annotations = read_extras(form, "manifest")
        docker = config.media_type == DOCKER_CONFIG
        default = DOCKER_MANIFEST if docker else MANIFEST
        media_type = form.get("mediaType") or stated_type or default
        if not isinstance(media_type, str) or media_type not in MANIFEST_TYPES:
            raise _invalid(f"{shown(str(media_type))} is not the type of a manifest")
        return cls(config, tuple(described), media_type, artifact_type, subject, annotations)


def extras(
    artifact_type: str | None, subject: Descriptor | None, annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Return the JSON of the fields that manifests and indexes share, without empty ones."""
    form: dict[str, Any] = {}
    if artifact_type is not None:
        form["artifactType"] = artifact_type
    if subject is not None:
        form["subject"] = subject.as_json()
    if annotations:
        form["annotations"] = dict(annotations)
    return form


def read_extras(
    form: Mapping[str, Any], what: str
) -> tuple[str | None, Descriptor | None, dict[str, str]]:
    """Read the artifact type, the subject and the annotations of a manifest or an index.

    Raises:
        StoreError: ``IMAGE_INVALID``: one of them has the wrong format.
    """
    try:
        kind = form.get("artifactType")
        subject = form.get("subject")
        return (
            None if kind is None else media_type_of(kind),
            None if subject is None else Descriptor.from_json(subject),
            texts_by_name(form.get("annotations")),
        )
    except ValueError as error:
        raise _invalid(f"the {what}'s {error}") from error


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    """Read a manifest, a config or an index.

    Raises:
        StoreError: ``IMAGE_INVALID``: the bytes are not a JSON object, or exceed a limit.
    """
    try:
        return parse_json_object(raw)
    except UntrustedError as error:
        raise _invalid(f"the {what} cannot be read: {error}") from error


def _invalid(message: str) -> MealkitError:
    return failure("IMAGE_INVALID", message)
