"""Changes an image: returns a new value that refers to the base, which is never unpacked.

Raises BuildError for a base whose layers are not possible in an OCI image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mealkit.errors import failure
from mealkit.oci.descriptor import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
)
from mealkit.oci.image import Image, Layer, packed_image

# Docker's names for the same bytes (image-spec media-types.md, "Compatibility Matrix").
_OCI_TYPES = {
    LAYER: LAYER,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    DOCKER_LAYER: LAYER,
    DOCKER_LAYER_GZIP: LAYER_GZIP,
}
# The fields of an image in config.md; a Docker config also describes the build container.
_IMAGE_FIELDS = ("architecture", "os", "os.version", "os.features", "variant", "author")
_RUN_FIELDS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
)
_MERGED_FIELDS = frozenset({"ExposedPorts", "Volumes", "Labels"})


def append(
    base: Image,
    layers: Sequence[Layer],
    config: Mapping[str, Any],
    annotations: Mapping[str, str],
) -> Image:
    """Add layers to a base and change its config; return an OCI image.

    ``config`` has the form of config.md, as for ``image_of``; fields that it does not name stay as
    in the base. In its ``config``, labels, ports and volumes are added to the base's, ``Env``
    replaces variables of the same name, every other field replaces the base's, and None removes
    it. A new ``Entrypoint`` drops the base's ``Cmd``, which belongs to the old one.
    ``created`` is for the image and the new history; the base's history keeps its own times.
    ``annotations`` are the manifest's; the base's describe the base and are dropped.

    Raises:
        BuildError: ``BASE_INVALID``: a layer of the base has a type that OCI does not have.
    """
    kept = tuple(replace(layer, media_type=_oci_type(layer)) for layer in base.layers)
    whole = (*kept, *layers)
    old = base.config
    created = config.get("created", "1970-01-01T00:00:00Z")
    history = _base_history(old, len(kept))
    history += [{"created": created, "created_by": layer.created_by} for layer in layers]
    inherited = {name: old[name] for name in _IMAGE_FIELDS if old.get(name)}
    return packed_image(
        {
            **inherited,
            **config,
            "created": created,
            "config": _merged_run(old.get("config") or {}, config.get("config") or {}),
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in whole]},
            "history": history,
        },
        whole,
        annotations,
    )


def _oci_type(layer: Layer) -> str:
    found = _OCI_TYPES.get(layer.media_type)
    if found is None:
        raise failure(
            "BASE_INVALID",
            f"layer {layer.descriptor.digest} of the base is of type {layer.media_type}",
            hint="choose a base whose layers are tar, tar+gzip or tar+zstd",
        )
    return found


def _base_history(config: Mapping[str, Any], layer_count: int) -> list[dict[str, Any]]:
    """Return the base's history; if it does not fit the layers, it is replaced."""
    history = [dict(entry) for entry in config.get("history") or []]
    if sum(not entry.get("empty_layer") for entry in history) == layer_count:
        return history
    created = config.get("created", "1970-01-01T00:00:00Z")
    return [{"created": created, "created_by": "base"} for _ in range(layer_count)]


def _merged_run(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: base[name] for name in _RUN_FIELDS if base.get(name)}
    if changes.get("Entrypoint"):
        merged.pop("Cmd", None)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif name == "Env":
            merged[name] = _merged_environment(merged.get(name) or [], value)
        elif name in _MERGED_FIELDS:
            merged[name] = {**merged.get(name, {}), **value}
        else:
            merged[name] = value
    return merged


def _merged_environment(base: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Replace variables at their place, then add the new ones in their order."""
    variables = {item.partition("=")[0]: item for item in base}
    variables |= {item.partition("=")[0]: item for item in changes}
    return list(variables.values())
