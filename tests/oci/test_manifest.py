"""A manifest is written with only the fields it has, and read strictly."""

import json

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    LAYER,
    MANIFEST,
    Descriptor,
)
from mealkit.oci.manifest import Manifest, json_object

LOW, HIGH = (Descriptor(LAYER, Digest.of(data), 3) for data in (b"low", b"top"))


def manifest(config_type=CONFIG):
    return Manifest(Descriptor(config_type, Digest.of(b"{}"), 2), (LOW, HIGH))


def test_empty_fields_are_not_written():
    """A manifest without a subject, a type or annotations has none of these fields."""
    assert set(json.loads(manifest().as_bytes())) == {
        *("schemaVersion", "mediaType", "config", "layers")
    }


def test_the_config_is_the_first_reference():
    """References are the config and then the layers, lowest first."""
    found = manifest()
    assert found.references == (found.config, LOW, HIGH)


@pytest.mark.parametrize(
    ("config_type", "stated", "expected"),
    [
        (CONFIG, None, MANIFEST),
        (DOCKER_CONFIG, None, DOCKER_MANIFEST),
        (DOCKER_CONFIG, MANIFEST, MANIFEST),
        (CONFIG, DOCKER_MANIFEST, DOCKER_MANIFEST),
    ],
)
def test_a_manifest_without_a_media_type_has_the_stated_one(config_type, stated, expected):
    """The header's type counts where the manifest is silent, and the config's kind after that."""
    form = json.loads(manifest(config_type).as_bytes())
    del form["mediaType"]
    assert Manifest.read(json.dumps(form).encode(), stated).media_type == expected


def test_its_own_media_type_counts_before_the_stated_one():
    """A manifest that says what it is, is that."""
    assert Manifest.read(manifest().as_bytes(), DOCKER_MANIFEST).media_type == MANIFEST


def test_a_manifest_that_is_also_an_index_is_refused():
    """Two readers must not see two different things in the same bytes."""
    form = json.loads(manifest().as_bytes()) | {"manifests": []}
    with pytest.raises(MealkitError, match=r"IMAGE_INVALID.*only an index"):
        Manifest.read(json.dumps(form).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a": 1, "a": 2}'])
def test_what_is_refused_is_named(raw):
    """The message says whether a manifest, a config or an index could not be read."""
    with pytest.raises(MealkitError, match=r"IMAGE_INVALID.*the config cannot be read"):
        json_object(raw, "config")
