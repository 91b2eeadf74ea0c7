"""Checks how large an image may be by its own statements: layers, repetitions, index entries.

Raises StoreError for images that no engine could run, and for layers that would be read or
unpacked many times.
"""

from collections import Counter
from collections.abc import Sequence

from mealkit.errors import failure
from mealkit.oci.descriptor import Descriptor

# Docker's limit is 127; a large model has a layer for each of its files, which are then mounted.
MAX_LAYERS = 1000
_MAX_REPETITIONS = 8
# Old images have an empty layer for every line that did not change a file.
_SMALL_BYTES = 64 * 1024


def check_layers(layers: Sequence[Descriptor]) -> None:
    """Check the number of layers, and that no layer is repeated many times.

    Raises:
        StoreError: ``IMAGE_INVALID``.
    """
    if len(layers) > MAX_LAYERS:
        raise failure(
            "IMAGE_INVALID", f"the image has {len(layers)} layers, at most {MAX_LAYERS} are allowed"
        )
    for (digest, size_bytes), count in Counter(
        (item.digest, item.size_bytes) for item in layers
    ).items():
        if count > _MAX_REPETITIONS and size_bytes > _SMALL_BYTES:
            raise failure("IMAGE_INVALID", f"the image has the layer {digest} {count} times")


def check_size(stated: Descriptor, found_bytes: int) -> None:
    """Check that a blob has the size in its descriptor.

    Raises:
        StoreError: ``IMAGE_INVALID``.
    """
    if found_bytes != stated.size_bytes:
        raise failure(
            "IMAGE_INVALID",
            f"{stated.digest} should have {stated.size_bytes} bytes, but has {found_bytes}",
            where=stated.digest,
        )
