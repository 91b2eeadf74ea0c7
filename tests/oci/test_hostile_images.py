"""Manifests, configs and indexes that somebody else wrote: read, or refused by a code."""

import json

import pytest
from fakes.any_json import any_json, places, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.assembly.lean import (
    WEIGHT_BYTES,
    WEIGHT_DIGEST,
    WEIGHT_PATH,
    lean_image,
    weight_layers,
)
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.choosing import Source, choose
from mealkit.oci.descriptor import INDEX, LAYER, MANIFEST, Descriptor, Platform
from mealkit.oci.image import BytesBlob, Layer, image_of, read_image
from mealkit.oci.index import Index
from mealkit.oci.mutate import append
from mealkit.oci.validate import validate

BLOB = BytesBlob(b"\0" * 1024)
IMAGE = image_of(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["A=1"],
            "Cmd": ["sh"],
            "Entrypoint": ["/bin/sh"],
            "Labels": {"a": "b"},
            "User": "1",
            "WorkingDir": "/",
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGTERM",
        },
    },
    (
        Layer(
            LAYER,
            BLOB,
            BLOB.digest,
            "weights",
            {WEIGHT_PATH: "models/x", WEIGHT_DIGEST: str(BLOB.digest), WEIGHT_BYTES: "1024"},
        ),
    ),
    {"dev.mealkit.kit": "little:1"},
)
MANIFEST_FORM, CONFIG_FORM = json.loads(IMAGE.raw_manifest), json.loads(IMAGE.raw_config)
INDEX_FORM = {
    "schemaVersion": 2,
    "manifests": [
        {
            **IMAGE.descriptor.as_json(),
            "platform": {"os": "linux", "architecture": "amd64", "variant": "v2"},
            "annotations": {"org.opencontainers.image.ref.name": "little:1"},
        }
    ],
}
ANY = any_json("\x1b[2J", "a\nb", "../x", "\0", "sha256:" + "0" * 64, MANIFEST, INDEX)
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def source(read):
    return Source("here", read, lambda _: BLOB)


def used(raw_manifest, raw_config):
    """Read an image and use it in every way that a verb does; the code it ends in, or None."""
    try:
        image = read_image(raw_manifest, raw_config, lambda _: BLOB)
    except MealkitError as error:
        return error.problems[0].code
    # Whatever was read has the types that all of these rely on.
    assert all(isinstance(item, str) for item in [*image.annotations.values(), *image.labels])
    assert image.platform.os == image.config.get("os") or not image.platform.os
    weight_layers(image)
    lean_image(image)
    append(image, (), {"config": {"Env": ["B=2"], "Labels": {"c": "d"}}}, {})
    assert {item.code for item in validate(image)} <= {
        "IMAGE_INVALID",
        "BLOB_DAMAGED",
        "BLOB_MISSING",
    }
    return None


def test_an_image_as_mealkit_writes_it_is_used():
    """Nothing of a good image is refused."""
    assert used(IMAGE.raw_manifest, IMAGE.raw_config) is None
    assert [item.path for item in weight_layers(IMAGE)] == ["models/x"]


@SETTINGS
@given(way=st.sampled_from(places(MANIFEST_FORM)), value=ANY)
def test_any_value_in_any_place_of_a_manifest_is_used_or_refused(way, value):
    """A manifest with one value replaced is an image, or IMAGE_INVALID."""
    raw = json.dumps(replaced(MANIFEST_FORM, way, value)).encode()
    assert used(raw, IMAGE.raw_config) in {None, "IMAGE_INVALID"}


@SETTINGS
@given(way=st.sampled_from(places(CONFIG_FORM)), value=ANY)
def test_any_value_in_any_place_of_a_config_is_used_or_refused(way, value):
    """So is a config."""
    raw = json.dumps(replaced(CONFIG_FORM, way, value)).encode()
    assert used(IMAGE.raw_manifest, raw) in {None, "IMAGE_INVALID"}


@SETTINGS
@given(way=st.sampled_from(places(INDEX_FORM)), value=ANY)
def test_any_value_in_any_place_of_an_index_is_used_or_refused(way, value):
    """An index with one value replaced has names and images, or is IMAGE_INVALID."""
    try:
        index = Index.parse(json.dumps(replaced(INDEX_FORM, way, value)).encode(), "here")
        assert all(isinstance(name, str) for name in index.names())
        index.with_image(IMAGE.descriptor, ["other:1"]).without_name("little:1").as_bytes()
        choose(index.entries(), source(lambda _: b"{}"), Platform("linux", "amd64"))
    except MealkitError as error:
        assert error.problems[0].code in {"IMAGE_INVALID", "IMAGE_NOT_FOUND"}  # noqa: PT017


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"null", b"[]", b"{", b"\xff", b"\0", b'{"a":NaN}', b'{"a":1,"a":1}'),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}"),
        json.dumps(MANIFEST_FORM).encode("utf-16"),
    ],
)
def test_what_is_no_json_of_an_image_is_refused(raw):
    """Empty, deep, twice the same name, not UTF-8: IMAGE_INVALID in every place."""
    assert used(raw, IMAGE.raw_config) == "IMAGE_INVALID"
    assert used(IMAGE.raw_manifest, raw) == "IMAGE_INVALID"
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        Index.parse(raw, "here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((WEIGHT_PATH, path) for path in ("../x", "/etc/passwd", "models/../../x", "etc/x", "")),
        *((WEIGHT_PATH, f"models/{text}") for text in ("a\nb", "a//b", "\x1b[2J", "x" * 300)),
        *((WEIGHT_BYTES, text) for text in ("-1", "1e9", "9" * 5000, "²", "", " 1")),
        *((WEIGHT_DIGEST, text) for text in ("sha256:x", "../x", "")),
    ],
)
def test_a_layer_whose_annotations_lie_is_no_layer_of_weights(name, value):
    """What becomes the path of a mount or the size of a file has its form, or means nothing."""
    form = replaced(MANIFEST_FORM, ("layers", 0, "annotations", name), value)
    image = read_image(json.dumps(form).encode(), IMAGE.raw_config, lambda _: BLOB)
    assert weight_layers(image) == ()


def test_indexes_that_name_each_other_are_read_once():
    """Indexes of thousands of entries that nest are not multiplied with each other."""
    read = []
    inner = Descriptor(INDEX, Digest.of(b"inner"), 1)
    many = json.dumps({"manifests": [inner.as_json()] * 5000}).encode()

    def read_index(descriptor):
        read.append(descriptor.digest)
        return many

    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
        choose(Index.parse(many, "here").entries(), source(read_index), None)
    assert len(read) == 1


def test_no_more_indexes_are_read_than_an_image_has():
    """An index of a thousand others ends in IMAGE_INVALID after some of them."""
    others = [Descriptor(INDEX, Digest.of(b"%d" % n), 1).as_json() for n in range(1000)]
    top = Index.parse(json.dumps({"manifests": others}).encode(), "here")
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        choose(top.entries(), source(lambda _: b'{"manifests": []}'), None)
