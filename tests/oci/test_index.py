"""An index as a value: what it keeps, and what it refuses to be."""

import json

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import MANIFEST, Descriptor
from mealkit.oci.index import Index


def entry(text):
    return Descriptor(MANIFEST, Digest.of(text.encode()), 1)


def test_what_others_wrote_into_an_index_is_kept():
    """Subject, artifact type and annotations of an index survive a change of its names."""
    form = {
        "schemaVersion": 2,
        "manifests": [],
        "artifactType": "application/vnd.example",
        "subject": entry("a").as_json(),
        "annotations": {"a": "b"},
    }
    found = Index.parse(json.dumps(form).encode(), "here").with_image(entry("b"), ["b:1"])
    written = json.loads(found.as_bytes())
    assert {name: written[name] for name in ("artifactType", "subject", "annotations")} == {
        name: form[name] for name in ("artifactType", "subject", "annotations")
    }


def test_what_could_be_an_index_and_a_manifest_is_refused():
    """One tool would run the layers, and another one what the index lists."""
    both = {"manifests": [], "layers": [], "config": entry("a").as_json()}
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        Index.parse(json.dumps(both).encode(), "here")
