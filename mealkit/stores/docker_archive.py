"""Images in the archives of ``docker save`` and ``podman save`` (``docker-archive:``).

Such an archive has a config and uncompressed layers, but no manifest and no annotations. The
manifest is made here from the config's diff ids, which are the digests of the layers. Format:
moby's image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.choosing import Source
from mealkit.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from mealkit.oci.image import Blob, BytesBlob
from mealkit.oci.manifest import Manifest, json_object
from mealkit.stores.blobs import MAX_JSON_BYTES, FileRange, range_blob, ranges_bytes, small_bytes
from mealkit.untrusted import UntrustedError, parse_json

Ranges = tuple[FileRange, ...]

LIST_NAME = "manifest.json"
"""The file that lists the images."""


@dataclass(frozen=True, slots=True)
class NamedEntry:
    """An entry of an archive's index, and the names that the archive gives it."""

    descriptor: Descriptor
    names: tuple[str, ...]


def docker_entries(
    where: str, members: Mapping[str, Ranges]
) -> tuple[tuple[NamedEntry, ...], Source]:
    """Return the images of an archive, and the reader of its bytes.

    ``members`` are the archive's files. Layers are compared with their digests when they are
    stored or unpacked.

    Raises:
        StoreError: ``IMAGE_INVALID``: the list or a config cannot be read.
    """
    found: list[NamedEntry] = []
    blobs: dict[Digest, Blob] = {}
    try:
        for form in _listed(members):
            raw, parts = _image(form, members)
            blobs |= parts
            digest = Digest.of(raw)
            blobs[digest] = BytesBlob(raw)
            names = tuple(map(str, form.get("RepoTags") or ()))
            found.append(NamedEntry(Descriptor(MANIFEST, digest, len(raw)), names))
    except (UntrustedError, KeyError, TypeError, ValueError) as error:
        raise _invalid(where, f"it is not what docker save writes: {error}") from error

    def blob_of(item: Descriptor) -> Blob:
        return blobs[item.digest]

    return tuple(found), Source(where, lambda item: small_bytes(blob_of(item)), blob_of)


def require_listed(where: str, members: Mapping[str, Ranges], configs: Container[Digest]) -> None:
    """Check that the list beside an OCI index names no other images than the index.

    Raises:
        StoreError: ``IMAGE_INVALID``: some readers would see other images than others.
    """
    try:
        for form in _listed(members):
            if Digest.of(_bytes(members[form["Config"]])) not in configs:
                raise _invalid(where, f"{LIST_NAME} and index.json name different images")
    except (UntrustedError, KeyError, TypeError, ValueError) as error:
        raise _invalid(where, f"its {LIST_NAME} is not what docker save writes: {error}") from error


def _listed(members: Mapping[str, Ranges]) -> list[dict[str, Any]]:
    forms = parse_json(_bytes(members[LIST_NAME]))
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise TypeError(f"{LIST_NAME} is not a list of images")
    return forms


def _image(
    form: Mapping[str, Any], members: Mapping[str, Ranges]
) -> tuple[bytes, dict[Digest, Blob]]:
    """Return an image's manifest, and the blobs that it names."""
    raw_config = _bytes(members[form["Config"]])
    diff_ids = [Digest(text) for text in json_object(raw_config, "config")["rootfs"]["diff_ids"]]
    layers = [members[path] for path in form["Layers"]]
    if len(layers) != len(diff_ids):
        raise ValueError(f"it lists {len(layers)} layers, and its config {len(diff_ids)}")
    config = BytesBlob(raw_config)
    blobs: dict[Digest, Blob] = {
        digest: range_blob(digest, part) for digest, part in zip(diff_ids, layers, strict=True)
    }
    manifest = Manifest(
        Descriptor(CONFIG, config.digest, config.size_bytes),
        tuple(Descriptor(LAYER, digest, blobs[digest].size_bytes) for digest in diff_ids),
    )
    return manifest.as_bytes(), {**blobs, config.digest: config}


def _bytes(part: Ranges) -> bytes:
    size_bytes = sum(item.length for item in part)
    if size_bytes > MAX_JSON_BYTES:
        raise UntrustedError(f"a list or a config has {size_bytes} bytes")
    return ranges_bytes(part)


def _invalid(where: str, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"{where} cannot be read: {what}", where=where)
