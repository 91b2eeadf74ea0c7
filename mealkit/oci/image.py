"""An image as a value: manifest, config and layers, wherever its bytes live.

Everything is derived from three parts, so that a store implements only where bytes come from.
Formats: OCI image-spec v1.1, manifest.md and config.md.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mealkit.digest import Digest, canonical_json
from mealkit.oci.descriptor import CONFIG, MANIFEST, Descriptor, Platform


class Blob(Protocol):
    """Bytes that are known before they are read; streamed, never held in memory whole."""

    @property
    def digest(self) -> Digest:
        """The digest of all bytes."""
        ...

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        ...

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from ``offset``; a yielded view is valid until the next one.

        Raises:
            StoreError: the bytes are not there any more (``BLOB_MISSING``, ``SOURCE_CHANGED``).
        """
        ...


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """A small blob that is held in memory: configs, manifests, the kit layer."""

    data: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return Digest.of(self.data)

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return len(self.data)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the asked range as one chunk."""
        end = len(self.data) if length is None else offset + length
        yield self.data[offset:end]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its blob as it travels, and the digest of its uncompressed tar (the diff id)."""

    media_type: str
    blob: Blob
    diff_id: Digest
    created_by: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """The layer's entry in a manifest."""
        return Descriptor(self.media_type, self.blob.digest, self.blob.size_bytes, self.annotations)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: the exact bytes of its manifest and config, and its layers, lowest first."""

    raw_manifest: bytes
    raw_config: bytes
    layers: tuple[Layer, ...]
    media_type: str = MANIFEST

    @property
    def digest(self) -> Digest:
        """The manifest's digest: the image's name."""
        return Digest.of(self.raw_manifest)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return dict(json.loads(self.raw_manifest))

    @property
    def config(self) -> dict[str, Any]:
        """The config as JSON."""
        return dict(json.loads(self.raw_config))

    @property
    def config_descriptor(self) -> Descriptor:
        """The config's entry in the manifest."""
        return Descriptor.from_json(self.manifest["config"])

    @property
    def descriptor(self) -> Descriptor:
        """The image's entry in an index."""
        return Descriptor(
            self.media_type, self.digest, len(self.raw_manifest), platform=self.platform
        )

    @property
    def platform(self) -> Platform:
        """The operating system and architecture that the config states."""
        return Platform.from_json(self.config)

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations."""
        return dict(self.manifest.get("annotations") or {})

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the config."""
        return dict((self.config.get("config") or {}).get("Labels") or {})


def image_of(
    config: Mapping[str, Any], layers: tuple[Layer, ...], annotations: Mapping[str, str]
) -> Image:
    """Make an OCI image of a config (whose ``rootfs`` and ``history`` are set here) and layers.

    ``created`` and the history's times are the config's ``created``; bytes are canonical JSON.
    """
    created = config.get("created", "1970-01-01T00:00:00Z")
    raw_config = canonical_json(
        {
            **config,
            "created": created,
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
            "history": [{"created": created, "created_by": layer.created_by} for layer in layers],
        }
    )
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor(CONFIG, Digest.of(raw_config), len(raw_config)).as_json(),
        "layers": [layer.descriptor.as_json() for layer in layers],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    return Image(canonical_json(manifest), raw_config, layers)
