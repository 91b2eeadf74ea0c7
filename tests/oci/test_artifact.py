"""Manifests of anything: what is written follows the specification, and is read back."""

import json

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import EMPTY, EMPTY_TYPE, Attachment, artifact_of, read_artifact
from mealkit.oci.descriptor import CONFIG, INDEX, MANIFEST, Descriptor, Platform
from mealkit.oci.image import BytesBlob, require_image
from mealkit.oci.manifest import Manifest

KIND = "application/vnd.example.statement"
ABOUT = Descriptor(INDEX, Digest.of(b"kit"), 3, {"a": "b"}, Platform("linux", "amd64"))


def test_an_artifact_says_its_type_and_what_it_is_about():
    """Type, subject and annotations are in the manifest; the config is the empty one."""
    blob = BytesBlob(b"signed")
    made = artifact_of(
        KIND, [Attachment("text/plain", blob, {"n": "1"})], subject=ABOUT, annotations={"x": "y"}
    )
    form = json.loads(made.raw_manifest)
    assert form["artifactType"] == KIND
    assert form["config"] == {"mediaType": EMPTY_TYPE, "digest": EMPTY.digest, "size": 2}
    assert form["subject"] == {"mediaType": INDEX, "digest": ABOUT.digest, "size": 3}
    assert form["layers"][0]["annotations"] == {"n": "1"}
    assert form["annotations"] == {"x": "y"}
    blobs = {item.digest: item for item in made.blobs}
    again = read_artifact(made.raw_manifest, lambda item: blobs[item.digest])
    assert again == made
    assert again.manifest.subject.digest == ABOUT.digest
    assert made.descriptor.artifact_type == KIND


def test_an_artifact_of_annotations_alone_has_the_empty_blob():
    """A manifest has a layer, as many registries ask for."""
    made = artifact_of(KIND, [])
    assert [item.media_type for item in made.manifest.references] == [EMPTY_TYPE, EMPTY_TYPE]
    assert {blob.digest for blob in made.blobs} == {EMPTY.digest}


def test_a_config_of_any_type_is_kept():
    """An artifact may have a config of its own."""
    config = Attachment("application/vnd.example.config+json", BytesBlob(b'{"a":1}'), {})
    made = artifact_of(KIND, [], config=config)
    assert made.manifest.config.media_type == config.media_type
    assert made.blobs[-1] is config.blob


def test_an_artifact_is_not_run():
    """What is no image is named by its type."""
    with pytest.raises(MealkitError, match=f"IMAGE_INVALID: .*{KIND}"):
        require_image(artifact_of(KIND, []).manifest)


def manifest(**changes):
    form = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor(CONFIG, Digest.of(b"c"), 1).as_json(),
        "layers": [],
    }
    return json.dumps(form | changes).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"artifactType": 7},
        {"artifactType": "no type"},
        {"artifactType": ""},
        {"subject": []},
        {"subject": {"mediaType": MANIFEST, "digest": "sha256:0", "size": 1}},
        {"annotations": {"a": 1}},
        {"manifests": []},
        {"mediaType": INDEX},
        {"layers": {}},
        {"config": None},
    ],
)
def test_a_manifest_of_the_wrong_form_is_refused(changes):
    """Each field has its form, and a manifest cannot be read as an index too."""
    Manifest.read(manifest())
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        Manifest.read(manifest(**changes))


def test_an_empty_config_without_a_type_is_refused():
    """The specification asks for a type there: nothing else would say what it is."""
    raw = manifest(config=Descriptor(EMPTY_TYPE, EMPTY.digest, 2).as_json())
    with pytest.raises(MealkitError, match=r"IMAGE_INVALID: .*artifactType"):
        read_artifact(raw, lambda _: EMPTY)


def test_what_is_read_is_written_the_same():
    """A manifest that mealkit wrote is the same bytes when it is read and written."""
    made = artifact_of(KIND, [], subject=ABOUT, annotations={"x": "y"})
    assert Manifest.read(made.raw_manifest).as_bytes() == made.raw_manifest
