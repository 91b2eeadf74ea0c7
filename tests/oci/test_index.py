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


def test_an_entry_with_another_kind_of_digest_does_not_hide_the_others():
    """sha512 is a digest for other tools; an index with one still lists its other images."""
    other = {"mediaType": MANIFEST, "digest": f"sha512:{'a' * 128}", "size": 9}
    mine = {"mediaType": MANIFEST, "digest": f"sha256:{'b' * 64}", "size": 9}
    raw = json.dumps({"schemaVersion": 2, "manifests": [other, mine]}).encode()
    found = Index.parse(raw, "here")
    assert [item.digest for item in found.descriptors] == [mine["digest"]]
    assert found.forms == (other, mine)
    for wrong in ("sha256:short", "", 7, None):
        raw = json.dumps({"manifests": [{**other, "digest": wrong}, mine]}).encode()
        with pytest.raises(MealkitError, match="IMAGE_INVALID"):
            Index.parse(raw, "here")
