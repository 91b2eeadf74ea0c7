"""Which files the layers of a model's artifact are, whatever a stranger wrote into it."""

import json

import pytest
from fakes.any_json import any_json, places, replaced
from hypothesis import given, settings
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.names import path_fault
from mealkit.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD
from mealkit.oci.manifest import Manifest
from mealkit.oci.model_artifacts import file_name, model_layers
from mealkit.untrusted import UntrustedError

KITOPS = "application/vnd.kitops.modelkit"
DIGESTS = [f"sha256:{number:064x}" for number in range(4)]


def descriptor(media_type, digest=DIGESTS[0], **annotations):
    return {"mediaType": media_type, "digest": digest, "size": 3, "annotations": annotations}


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "artifactType": f"{KITOPS}.manifest.v1+json",
    "config": descriptor(f"{KITOPS}.config.v1+json", DIGESTS[3]),
    "layers": [
        descriptor(f"{KITOPS}.model.v1.raw"),
        descriptor("application/vnd.cncf.model.weight.v1.raw", **{"org.cncf.model.filepath": "b"}),
        descriptor("application/vnd.docker.ai.gguf.v3"),
    ],
}
KITFILE = {
    "model": {
        "path": "./a",
        "digest": DIGESTS[0],
        "parts": [{"path": "c", "digest": DIGESTS[1]}],
    },
    "code": [{"path": "d", "digest": DIGESTS[2]}],
}


def read(manifest, kitfile):
    raw = json.dumps(manifest).encode()
    return model_layers(Manifest.read(raw), lambda: json.dumps(kitfile).encode())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_is_used_or_refused(data):
    """Of the manifest or of the Kitfile; a name that is used is a path below the artifact."""
    way = st.sampled_from([0, 1])
    which = data.draw(way)
    forms = [MANIFEST, KITFILE]
    place = data.draw(st.sampled_from(places(forms[which])))
    odd = any_json("../a", "/a", "b", DIGESTS[0], f"{KITOPS}.model.v1.tar+gzip")
    forms[which] = replaced(forms[which], place, data.draw(odd))
    try:
        found = read(*forms)
    except (MealkitError, UntrustedError):
        return
    names = [layer.name for layer in found.layers if layer.name is not None]
    assert len(set(names)) == len(names)
    assert all(path_fault(name) is None for name in names)


@pytest.mark.parametrize(
    ("ending", "packing", "is_the_file"),
    [
        ("raw", LAYER, True),
        ("raw+gzip", LAYER_GZIP, False),
        ("raw+zstd", LAYER_ZSTD, False),
        ("tar", LAYER, False),
        ("tar+zstd", LAYER_ZSTD, False),
    ],
)
@pytest.mark.parametrize(
    "kind", ["cncf.model.weight.config", "cnai.model.doc", "kitops.modelkit.code"]
)
def test_a_layers_type_says_how_it_is_packed(kind, ending, packing, is_the_file):
    """ModelPack's types, those before the CNCF, and KitOps'."""
    name = {"org.cncf.model.filepath": "a"}
    layer = descriptor(f"application/vnd.{kind}.v1.{ending}", **name)
    (found,) = read({**MANIFEST, "layers": [layer]}, {}).layers
    assert (found.packing, found.is_the_file) == (packing, is_the_file)
    assert found.name == (None if ending.startswith("tar") else "a")


@pytest.mark.parametrize(
    ("text", "name"), [("a", "a"), ("./a//b", "a/b"), ("a/./b", "a/b"), ("a/c/../b", "a/b")]
)
def test_a_name_is_normalised(text, name):
    """As programs that unpack it would do."""
    assert file_name(text) == name
