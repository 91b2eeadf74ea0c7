"""Images in the archives of ``docker save`` and ``podman save`` (``docker-archive:``).

Such an archive has a config and uncompressed layers, but no manifest and no annotations. The
manifest is made here from the config's diff ids, which are the digests of the layers. Format:
moby's image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".
"""

from collections.abc import Mapping
from typing import Any

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.oci.choosing import Source
from mealkit.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from mealkit.oci.image import Blob, BytesBlob
from mealkit.oci.manifest import Manifest, json_object
from mealkit.stores.blobs import MAX_JSON_BYTES, FileBlob, FileRange, small_bytes
from mealkit.untrusted import UntrustedError, parse_json

LIST_NAME = "manifest.json"
"""The file that lists the images."""


def open_docker_archive(
    where: str, members: Mapping[str, FileRange], name: str | None = None
) -> tuple[tuple[Descriptor, ...], Source]:
    """Return the images of an archive, all or the one with a name, and the reader of its bytes.

    ``members`` are the archive's files. Layers are compared with their digests when they are
    stored or unpacked.

    Raises:
        StoreError: ``IMAGE_INVALID``: the list or a config cannot be read; ``IMAGE_NOT_FOUND``: no
            image has the name.
    """
    found: list[tuple[Descriptor, tuple[str, ...]]] = []
    blobs: dict[Digest, Blob] = {}
    try:
        for form in _listed(members):
            raw, parts = _image(form, members)
            blobs |= parts
            digest = Digest.of(raw)
            blobs[digest] = BytesBlob(raw)
            names = form.get("RepoTags") or ()
            found.append((Descriptor(MANIFEST, digest, len(raw)), tuple(map(str, names))))
    except (UntrustedError, KeyError, TypeError, ValueError) as error:
        raise _invalid(where, f"it is not what docker save writes: {error}") from error
    entries = tuple(item for item, names in found if name in {None, *names})
    if not entries:
        there = ", ".join(name for _, names in found for name in names) or "none"
        message = f"no image in {where} has the name {name!r}; names: {there}"
        raise failure("IMAGE_NOT_FOUND", message, where=where)

    def blob_of(item: Descriptor) -> Blob:
        return blobs[item.digest]

    return entries, Source(where, lambda item: small_bytes(blob_of(item)), blob_of)


def _listed(members: Mapping[str, FileRange]) -> list[dict[str, Any]]:
    forms = parse_json(_bytes(members[LIST_NAME]))
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise TypeError(f"{LIST_NAME} is not a list of images")
    return forms


def _image(
    form: Mapping[str, Any], members: Mapping[str, FileRange]
) -> tuple[bytes, dict[Digest, Blob]]:
    """Return an image's manifest, and the blobs that it names."""
    raw_config = _bytes(members[form["Config"]])
    diff_ids = [Digest(text) for text in json_object(raw_config, "config")["rootfs"]["diff_ids"]]
    layers = [members[path] for path in form["Layers"]]
    if len(layers) != len(diff_ids):
        raise ValueError(f"it lists {len(layers)} layers, and its config {len(diff_ids)}")
    config = BytesBlob(raw_config)
    blobs: dict[Digest, Blob] = {
        digest: FileBlob(part.path, digest, part.length, part.offset)
        for digest, part in zip(diff_ids, layers, strict=True)
    }
    manifest = Manifest(
        Descriptor(CONFIG, config.digest, config.size_bytes),
        tuple(Descriptor(LAYER, digest, blobs[digest].size_bytes) for digest in diff_ids),
    )
    return manifest.as_bytes(), {**blobs, config.digest: config}


def _bytes(part: FileRange) -> bytes:
    if part.length > MAX_JSON_BYTES:
        raise UntrustedError(f"a list or a config has {part.length} bytes")
    return b"".join(bytes(chunk) for chunk in file_chunks(part.path, part.offset, part.length))


def _invalid(where: str, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"{where} cannot be read: {what}", where=where)
