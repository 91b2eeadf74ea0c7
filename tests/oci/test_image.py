"""An image is derived from its manifest, its config and its layers."""

import json

import pytest

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import CONFIG, Descriptor, Platform
from mealkit.oci.image import (
    BytesBlob,
    image_of,
    packed_image,
    read_image,
    require_image,
    with_parts,
)
from mealkit.oci.index import index_of
from mealkit.oci.manifest import Manifest


def read(image, **changes):
    """Read an image again, with other fields in its config."""
    raw_config = canonical_json(image.config | changes)
    return read_image(image.raw_manifest, raw_config, lambda _: BytesBlob(b""))


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, b"abcdef"), (2, None, b"cdef"), (2, 3, b"cde"), (4, 99, b"ef"), (6, None, b"")],
)
def test_a_blob_in_memory_gives_the_asked_range(offset, length, expected):
    """Offsets and lengths are those of the bytes, also at the end."""
    assert b"".join(BytesBlob(b"abcdef").chunks(offset, length)) == expected


def test_the_parts_of_an_index_come_before_it(oci_base):
    """Written in this order, an index never names a manifest that is not there yet."""
    index = index_of([oci_base], {})
    assert list(with_parts(index)) == [oci_base, index]


def test_an_image_is_described_by_its_parts(oci_base):
    """The descriptor has the manifest's digest and size, and the config's platform."""
    found = oci_base.descriptor
    assert (found.digest, found.size_bytes) == (
        Digest.of(oci_base.raw_manifest),
        len(oci_base.raw_manifest),
    )
    assert found.platform == oci_base.platform == Platform("linux", "arm64", "v8")
    assert oci_base.labels == {"vendor": "base", "version": "base"}


def test_the_config_is_the_last_blob(oci_base):
    """Layers come first, lowest first, so that a config is written when its layers are there."""
    *layers, config = oci_base.blobs
    assert layers == [layer.blob for layer in oci_base.layers]
    assert config == BytesBlob(oci_base.raw_config)


def test_an_image_without_run_settings_has_no_labels(layer_of):
    """Neither a missing config nor a null one breaks the reader."""
    for config in ({}, {"config": None}, {"config": {"Labels": None}}):
        assert image_of({"os": "linux", **config}, (layer_of("a"),), {}).labels == {}


def test_all_times_are_the_images_own(layer_of):
    """The history has the config's time, or the beginning of time, and never the present."""
    layers = (layer_of("a"), layer_of("b"))
    for given, expected in (({}, "1970-01-01T00:00:00Z"), ({"created": "2001"}, "2001")):
        config = image_of(given, layers, {}).config
        assert {config["created"], *(item["created"] for item in config["history"])} == {expected}


def test_a_config_of_other_layers_is_refused(oci_base):
    """The manifest and the config must have as many layers as each other."""
    rootfs = {"type": "layers", "diff_ids": []}
    with pytest.raises(MealkitError, match=r"IMAGE_INVALID.*1 layers, the config 0"):
        read(oci_base, rootfs=rootfs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rootfs": None}, "rootfs.diff_ids is not a list"),
        ({"rootfs": {"diff_ids": ["md5:0"]}}, "a diff id cannot be read"),
        ({"rootfs": {"diff_ids": [7]}}, "a diff id cannot be read"),
        ({"history": {"a": 1}}, "history is not a list"),
        ({"history": ["a"]}, "an entry of the history"),
        ({"os": "linux/../.."}, "not the name of a platform"),
        ({"config": {"Env": "A=1"}}, "Env has the wrong type"),
    ],
)
def test_a_config_of_another_form_is_refused(oci_base, changes, said):
    """What every verb relies on is checked once, where the image is read."""
    with pytest.raises(MealkitError, match=f"IMAGE_INVALID.*{said}"):
        read(oci_base, **changes)


def test_a_history_that_does_not_fit_says_nothing_about_layers(oci_base):
    """Entries are not given to layers by guess."""
    history = [{"created_by": "one"}, {"created_by": "two"}]
    assert [layer.created_by for layer in read(oci_base, history=history).layers] == [""]
    empty = [{"created_by": "ENV", "empty_layer": True}, {"created_by": "ADD"}]
    assert [layer.created_by for layer in read(oci_base, history=empty).layers] == ["ADD"]


@pytest.mark.parametrize(
    ("config_type", "layer_type", "said"),
    [
        ("application/vnd.example+json", None, "not a runnable image"),
        (CONFIG, "application/vnd.example.layer", "does not support layers of type"),
    ],
)
def test_what_cannot_be_run_is_refused(oci_base, config_type, layer_type, said):
    """An artifact is no image, and a layer that no engine unpacks is named."""
    layer = oci_base.manifest.layers[0]
    kept = Descriptor(layer_type or layer.media_type, layer.digest, layer.size_bytes)
    config = Descriptor(config_type, Digest.of(b"{}"), 2)
    with pytest.raises(MealkitError, match=f"IMAGE_INVALID.*{said}"):
        require_image(Manifest(config, (kept,)))


def test_a_complete_config_is_kept_as_it_is(oci_base):
    """Packing writes the fields given, in canonical JSON, and adds none."""
    image = packed_image(oci_base.config, oci_base.layers, oci_base.annotations)
    assert (image.raw_config, image.raw_manifest) == (oci_base.raw_config, oci_base.raw_manifest)
    assert json.loads(image.raw_config) == oci_base.config
