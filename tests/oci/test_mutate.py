"""Layers are put on a base without touching it, and the config says what both say."""

from dataclasses import replace

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.descriptor import CONFIG, LAYER, LAYER_GZIP, MANIFEST
from mealkit.oci.image import packed_image, read_image
from mealkit.oci.mutate import append
from mealkit.oci.validate import validate

NEW = {"created": "1970-01-01T00:00:00Z"}


def test_the_base_is_below_and_unchanged(oci_base, layer_of):
    """The base's layer comes first, as it was, with its diff id and its history."""
    before = (oci_base.raw_manifest, oci_base.raw_config)
    image = append(oci_base, [layer_of("one"), layer_of("two")], NEW, {"title": "kit"})
    assert [layer.blob.digest for layer in image.layers[:1]] == [oci_base.layers[0].blob.digest]
    assert [layer.created_by for layer in image.layers] == ["add base", "add one", "add two"]
    assert image.config["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]
    assert [entry["created"] for entry in image.config["history"]] == [
        "2024-05-06T07:08:09Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ]
    assert image.annotations == {"title": "kit"}
    assert image.config["variant"] == "v8"
    assert (oci_base.raw_manifest, oci_base.raw_config) == before
    assert validate(image) == []


def test_a_docker_base_becomes_an_oci_image(docker_base, layer_of):
    """Media types get their OCI names, and nothing of the build container is carried along."""
    image = append(docker_base, [layer_of("one")], NEW, {})
    assert image.media_type == image.manifest.media_type == MANIFEST
    assert image.config_descriptor.media_type == CONFIG
    assert [layer.media_type for layer in image.layers] == [LAYER_GZIP, LAYER]
    assert image.layers[0].blob == docker_base.layers[0].blob
    assert set(image.config) == {"architecture", "os", "created", "config", "rootfs", "history"}
    assert image.config["config"] == {"Env": ["PATH=/usr/bin"], "Cmd": ["bash"]}
    assert [entry.get("empty_layer", False) for entry in image.config["history"]] == [
        False,
        True,
        False,
    ]
    assert [layer.created_by for layer in _read_again(image).layers] == ["ADD file", "add one"]
    assert validate(image) == []


def test_how_it_runs_is_merged(oci_base, layer_of):
    """Labels, ports and variables are added to the base's; the rest replaces it."""
    run = {
        "Env": ["LANG=C.UTF-8", "HOME=/nonexistent"],
        "Labels": {"version": "kit", "name": "kit"},
        "ExposedPorts": {"8000/tcp": {}},
        "Entrypoint": ["/usr/bin/python3"],
        "User": "65532",
    }
    found = append(oci_base, [layer_of("one")], {**NEW, "config": run}, {}).config["config"]
    assert found == {
        "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "HOME=/nonexistent"],
        "Labels": {"vendor": "base", "version": "kit", "name": "kit"},
        "ExposedPorts": {"80/tcp": {}, "8000/tcp": {}},
        "Entrypoint": ["/usr/bin/python3"],
        "User": "65532",
    }


def test_none_removes_and_a_new_command_stays(oci_base):
    """A field can be taken away; a Cmd that comes with the Entrypoint is kept."""
    run = {"Entrypoint": ["/a"], "Cmd": ["b"], "ExposedPorts": None}
    found = append(oci_base, [], {"config": run}, {}).config["config"]
    assert (found["Entrypoint"], found["Cmd"]) == (["/a"], ["b"])
    assert "ExposedPorts" not in found


@pytest.mark.parametrize("history", [None, [], [{"created_by": "a"}, {"created_by": "b"}]])
def test_a_history_that_does_not_fit_is_replaced(oci_base, layer_of, history):
    """The result's history always tells of as many layers as there are."""
    config = {**oci_base.config, "history": history}
    base = packed_image(config, oci_base.layers, {})
    image = append(base, [layer_of("one")], NEW, {})
    assert [entry["created_by"] for entry in image.config["history"]] == ["base", "add one"]
    assert validate(image) == []


def test_a_layer_that_oci_cannot_carry_is_refused(oci_base):
    """Layers that may not be distributed are named."""
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    base = replace(oci_base, layers=(replace(oci_base.layers[0], media_type=foreign),))
    with pytest.raises(MealkitError, match=f"BASE_INVALID.*{foreign}"):
        append(base, [], NEW, {})


def test_the_same_parts_give_the_same_bytes(oci_base, layer_of):
    """Nothing but the arguments decides the digest."""
    run = {"Labels": {"b": "1", "a": "2"}}
    same = {"Labels": {"a": "2", "b": "1"}}
    one = append(oci_base, [layer_of("one")], {**NEW, "config": run}, {"y": "1", "x": "2"})
    two = append(oci_base, [layer_of("one")], {"config": same, **NEW}, {"x": "2", "y": "1"})
    assert one.digest == two.digest


def _read_again(image):
    blobs = {layer.blob.digest: layer.blob for layer in image.layers}
    return read_image(image.raw_manifest, image.raw_config, lambda item: blobs[item.digest])
