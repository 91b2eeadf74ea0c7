"""The lean image is the full one without its layers of weights, and nothing else."""

from dataclasses import replace

import pytest

from mealkit.assembly.lean import (
    WEIGHT_BYTES,
    WEIGHT_DIGEST,
    WEIGHT_PATH,
    lean_image,
    weight_layers,
)
from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Layer, image_of, packed_image
from mealkit.oci.validate import validate

GOOD = {WEIGHT_PATH: "models/w", WEIGHT_DIGEST: str(Digest.of(b"w")), WEIGHT_BYTES: "1"}


def layer(text, annotations=None):
    blob = BytesBlob(text.encode().ljust(1024, b"\0"))
    return Layer(LAYER, blob, blob.digest, text, annotations or {})


def image(*layers):
    return image_of({"architecture": "amd64", "os": "linux"}, layers, {"a": "b"})


def test_a_layer_of_weights_is_found_by_its_annotations():
    """With the file's own path, digest and size."""
    (found,) = weight_layers(image(layer("base"), layer("weights", GOOD)))
    assert (found.path, found.digest, found.size_bytes) == ("models/w", Digest.of(b"w"), 1)
    assert found.layer.created_by == "weights"


@pytest.mark.parametrize(
    "changes",
    [
        *({WEIGHT_PATH: path} for path in ("models", "models/", "models/../w", "/models/w", "x/w")),
        *({WEIGHT_BYTES: size} for size in ("", "-1", "1.0", "1e3", "9" * 19, "\u0661")),
        {WEIGHT_DIGEST: "sha256:0"},
    ],
    ids=str,
)
def test_annotations_that_lie_make_no_layer_of_weights(changes):
    """The path becomes a mount's, and the size decides on what is fetched."""
    full = image(layer("weights", GOOD | changes))
    assert weight_layers(full) == ()
    assert lean_image(full).config == full.config


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_all_three_annotations_are_needed(missing):
    """Two of them say too little."""
    kept = {name: text for name, text in GOOD.items() if name != missing}
    assert weight_layers(image(layer("weights", kept))) == ()


def test_only_the_weights_are_left_out():
    """Layers, diff ids and history stay together; annotations and the rest stay as they are."""
    full = image(layer("base"), layer("one", GOOD), layer("kit"), layer("two", GOOD))
    lean = lean_image(full)
    assert [item.created_by for item in lean.layers] == ["base", "kit"]
    assert lean.config["rootfs"]["diff_ids"] == [item.diff_id for item in lean.layers]
    assert [item["created_by"] for item in lean.config["history"]] == ["base", "kit"]
    assert lean.annotations == full.annotations
    assert validate(lean) == []


def test_history_without_a_layer_is_kept():
    """It tells of no weights."""
    full = image(layer("base"), layer("weights", GOOD), layer("kit"))
    empty = {"created_by": "ENV", "empty_layer": True}
    base, weights, kit = full.config["history"]
    config = {**full.config, "history": [base, empty, weights, kit, empty]}
    lean = lean_image(packed_image(config, full.layers, {}))
    assert lean.config["history"] == [base, empty, kit, empty]


def test_an_image_without_history_becomes_lean_too():
    """Some tools write none."""
    full = image(layer("base"), layer("weights", GOOD))
    config = {name: value for name, value in full.config.items() if name != "history"}
    lean = lean_image(packed_image(config, full.layers, {}))
    assert len(lean.layers) == 1
    assert lean.config["history"] == []


def test_a_lean_image_is_its_own_lean_image():
    """There is nothing more to leave out."""
    lean = lean_image(image(layer("base"), layer("weights", GOOD)))
    assert lean_image(lean).digest == lean.digest
    assert lean_image(replace(lean)).layers == lean.layers


def test_history_beyond_the_layers_is_kept():
    """It belongs to none of those that are left out."""
    full = image(layer("base"), layer("weights", GOOD))
    base, weights = full.config["history"]
    more = {"created_by": "more"}
    config = {**full.config, "history": [base, weights, more]}
    assert lean_image(packed_image(config, full.layers, {})).config["history"] == [base, more]
