"""Derives the lean image: the same image without the large weight files, which are then mounted.

It is computed from the full image, so a store or a registry needs only the full image.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mealkit.digest import Digest
from mealkit.names import path_fault
from mealkit.oci.compression import PLAIN_TYPES
from mealkit.oci.image import Image, Layer, packed_image
from mealkit.paths import MODELS

T = TypeVar("T")

# Annotations of a layer in the manifest.
LAYER_KIND = "dev.mealkit.layer"
WEIGHT_PATH = "dev.mealkit.weight.path"
WEIGHT_DIGEST = "dev.mealkit.weight.sha256"
WEIGHT_BYTES = "dev.mealkit.weight.bytes"
_SIZE = re.compile(r"[0-9]{1,18}")
_HISTORY = re.compile(r"mealkit: ([a-z]+): ")


@dataclass(frozen=True, slots=True)
class WeightLayer:
    """A layer with one weight file: the file's path and digest."""

    path: str
    digest: Digest
    size_bytes: int
    layer: Layer


def layer_kind(layer: Layer) -> str | None:
    """Return the purpose that mealkit stated for a layer; None for layers of others.

    Copies by other tools lose the annotations of layers; the history is in the config and stays.
    """
    stated = layer.annotations.get(LAYER_KIND)
    history = _HISTORY.match(layer.created_by)
    return stated or (history[1] if history else None)


def weight_layers(image: Image) -> tuple[WeightLayer, ...]:
    """Return the layers of an image that contain one weight file each."""
    return tuple(found for layer in image.layers if (found := _weight_layer(layer)))


def lean_image(image: Image) -> Image:
    """Return the image without its weight layers."""
    keeps = [_weight_layer(layer) is None for layer in image.layers]
    config = image.config
    return packed_image(
        {
            **config,
            "rootfs": {
                "type": "layers",
                "diff_ids": _kept(config["rootfs"]["diff_ids"], keeps),
            },
            "history": list(_kept_history(config.get("history") or [], keeps)),
        },
        tuple(_kept(list(image.layers), keeps)),
        image.annotations,
    )


def _weight_layer(layer: Layer) -> WeightLayer | None:
    if (
        layer.media_type not in PLAIN_TYPES
    ):  # compressed by another tool: its file cannot be mounted
        return None
    try:
        path, digest = layer.annotations[WEIGHT_PATH], Digest(layer.annotations[WEIGHT_DIGEST])
        size = layer.annotations[WEIGHT_BYTES]
    except (KeyError, ValueError):  # not a weight layer
        return None
    # The path is used for a mount, and the size for the range to fetch.
    if not path.startswith(f"{MODELS}/") or path_fault(path) or not _SIZE.fullmatch(size):
        return None
    return WeightLayer(path, digest, int(size), layer)


def _kept(items: list[T], keeps: list[bool]) -> list[T]:
    return [item for item, keep in zip(items, keeps, strict=True) if keep]


def _kept_history(history: list[dict[str, Any]], keeps: list[bool]) -> Iterator[dict[str, Any]]:
    """Remove the history entries of removed layers; entries of empty layers stay."""
    layers = iter(keeps)
    for entry in history:
        if entry.get("empty_layer") or next(layers, True):
            yield entry
