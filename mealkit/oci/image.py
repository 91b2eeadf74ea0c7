"""An image as a value: manifest, config and layers, wherever its bytes are stored.

Everything is derived from these three, so that a store only has to implement reading the bytes.
Formats: OCI image-spec v1.1, manifest.md and config.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import (
    CONFIG,
    CONFIG_TYPES,
    LAYER_TYPES,
    MANIFEST,
    Descriptor,
    Platform,
)
from mealkit.oci.manifest import Manifest, json_object
from mealkit.oci.typed_json import type_faults


class Blob(Protocol):
    """Bytes with a known digest and size; they are streamed, never completely in memory."""

    @property
    def digest(self) -> Digest:
        """The digest of all bytes."""
        ...

    @property
    def size_bytes(self) -> int:
        """The number of bytes."""
        ...

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from ``offset``; a yielded view is valid until the next one.

        Raises:
            StoreError: the bytes are no longer available (``BLOB_MISSING``, ``SOURCE_CHANGED``).
        """
        ...


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """A small blob in memory: a config, a manifest, the kit layer."""

    data: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return Digest.of(self.data)

    @property
    def size_bytes(self) -> int:
        """The number of bytes."""
        return len(self.data)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the requested range as one chunk."""
        end = len(self.data) if length is None else offset + length
        yield self.data[offset:end]


class Content(Protocol):
    """A thing that is stored, written and pushed as one: an image, an index, an artifact."""

    @property
    def raw_manifest(self) -> bytes:
        """The exact bytes of its manifest, or of its index."""
        ...

    @property
    def descriptor(self) -> Descriptor:
        """Its entry in an index."""
        ...

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """The blobs that its manifest refers to: the layers, lowest first, then the config."""
        ...

    @property
    def parts(self) -> tuple["Content", ...]:
        """The contents that its index lists; empty if it is not an index."""
        ...


def with_parts(content: Content) -> Iterator[Content]:
    """Yield everything that an index lists, then the index itself, in the order of writing."""
    for part in content.parts:
        yield from with_parts(part)
    yield content


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its blob as it is stored, and the digest of its uncompressed tar (the diff id)."""

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
        """The manifest's digest, which identifies the image."""
        return Digest.of(self.raw_manifest)

    @property
    def manifest(self) -> Manifest:
        """The content of the manifest."""
        return Manifest.read(self.raw_manifest, self.media_type)

    @property
    def config(self) -> dict[str, Any]:
        """The config as JSON."""
        return dict(json.loads(self.raw_config))

    @property
    def config_descriptor(self) -> Descriptor:
        """The config's entry in the manifest."""
        return self.manifest.config

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
    def created_seconds(self) -> int:
        """The time that the config states, in seconds since 1970; 0 if none, or an earlier one."""
        try:
            return max(0, int(datetime.fromisoformat(self.config["created"]).timestamp()))
        except (KeyError, TypeError, ValueError, OverflowError):
            return 0

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations."""
        return dict(self.manifest.annotations)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """The layers' blobs, lowest first, and the config."""
        return (*(layer.blob for layer in self.layers), BytesBlob(self.raw_config))

    @property
    def parts(self) -> tuple[Content, ...]:
        """Empty: an image is not an index."""
        return ()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the config."""
        return dict((self.config.get("config") or {}).get("Labels") or {})


def image_of(
    config: Mapping[str, Any], layers: tuple[Layer, ...], annotations: Mapping[str, str]
) -> Image:
    """Return an OCI image from a config (``rootfs`` and ``history`` are set here) and layers.

    ``created`` and the history's times are the config's ``created``; the bytes are canonical JSON.
    """
    created = config.get("created", "1970-01-01T00:00:00Z")
    return packed_image(
        {
            **config,
            "created": created,
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
            "history": [{"created": created, "created_by": layer.created_by} for layer in layers],
        },
        layers,
        annotations,
    )


def packed_image(
    config: Mapping[str, Any], layers: tuple[Layer, ...], annotations: Mapping[str, str]
) -> Image:
    """Return an OCI image from a complete config (with ``rootfs`` and ``history``) and layers."""
    raw_config = canonical_json(config)
    manifest = Manifest(
        config=Descriptor(CONFIG, Digest.of(raw_config), len(raw_config)),
        layers=tuple(layer.descriptor for layer in layers),
        annotations=annotations,
    )
    return Image(manifest.as_bytes(), raw_config, layers)


def read_image(
    raw_manifest: bytes,
    raw_config: bytes,
    blob_of: Callable[[Descriptor], Blob],
    stated_type: str | None = None,
) -> Image:
    """Return an image from a store's bytes; ``blob_of`` finds the bytes of a layer.

    The caller has checked that the bytes match their digests. ``stated_type`` is the manifest's
    media type at the place where it was found.

    Raises:
        StoreError: ``IMAGE_INVALID``: these are not the manifest and the config of a runnable
            image, or the two contradict each other.
    """
    manifest = Manifest.read(raw_manifest, stated_type)
    config = _config(raw_config)
    require_image(manifest)
    diff_ids = _diff_ids(config)
    if len(diff_ids) != len(manifest.layers):
        raise _invalid(
            f"the manifest has {len(manifest.layers)} layers, the config {len(diff_ids)}"
        )
    layers = tuple(
        Layer(item.media_type, blob_of(item), diff_id, created_by, item.annotations)
        for item, diff_id, created_by in zip(
            manifest.layers, diff_ids, _created_by(config, len(diff_ids)), strict=True
        )
    )
    return Image(raw_manifest, raw_config, layers, manifest.media_type)


def require_image(manifest: Manifest) -> None:
    """Check that a manifest is that of a runnable image.

    Raises:
        StoreError: ``IMAGE_INVALID``, with the type of the manifest.
    """
    if manifest.config.media_type not in CONFIG_TYPES:
        what = f"its config is of type {manifest.config.media_type!r}"
        raise _invalid(f"{what}: it is {manifest.kind}, not a runnable image")
    for layer in manifest.layers:
        if layer.media_type not in LAYER_TYPES:
            raise _invalid(f"mealkit does not support layers of type {layer.media_type}")


def _config(raw_config: bytes) -> dict[str, Any]:
    config = json_object(raw_config, "config")
    faults = type_faults(config)
    if faults:
        raise _invalid("; ".join(faults))
    try:
        Platform.from_json(config)
    except ValueError as error:
        raise _invalid(f"the config: {error}") from error
    return config


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _invalid(f"{what} is not a list")
    return value


def _diff_ids(config: Mapping[str, Any]) -> list[Digest]:
    rootfs = config.get("rootfs")
    found = _list(rootfs.get("diff_ids") if isinstance(rootfs, dict) else None, "rootfs.diff_ids")
    try:
        return [Digest(text) for text in found]
    except (ValueError, AttributeError, TypeError) as error:
        raise _invalid(f"a diff id cannot be read: {error}") from error


def _created_by(config: Mapping[str, Any], count: int) -> list[str]:
    """Pair the history with layers; a history that does not fit them is ignored."""
    history = _list(config.get("history") or [], "history")
    if not all(isinstance(item, dict) for item in history):
        raise _invalid("an entry of the history is not a JSON object")
    entries = [item for item in history if not item.get("empty_layer")]
    if len(entries) != count:
        return [""] * count
    return [str(item.get("created_by", "")) for item in entries]


def _invalid(message: str) -> MealkitError:
    return failure("IMAGE_INVALID", message)
