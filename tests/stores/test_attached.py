"""The artifacts that the local store keeps with its images, and deletes with them."""

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.upkeep import prune

KIND = "application/vnd.example.signature"


def note(text, subject):
    return artifact_of(KIND, [Attachment("a/b", BytesBlob(text.encode()), {})], subject=subject)


@pytest.fixture
def kept(tmp_path, image):
    """A store with an image, its signature, and what refers to the signature."""
    store = LocalStore(tmp_path / "store")
    store.put(image, ["team/test:1.0"])
    attached = Attached(store)
    signature = note("signature", image.descriptor)
    countersigned = note("of the signature", signature.descriptor)
    attached.add(countersigned)
    attached.add(signature)
    return store, attached, signature, countersigned


def test_artifacts_are_listed_by_their_subject_and_read_back(kept, image):
    """The same artifact twice is kept once, in any order with its subject."""
    _, attached, signature, countersigned = kept
    attached.add(signature)
    (found,) = attached.listed(image.digest)
    assert (found.digest, found.artifact_type) == (signature.digest, KIND)
    assert [item.digest for item in attached.listed(signature.digest)] == [countersigned.digest]
    assert attached.listed(image.digest, "application/vnd.example.other") == ()
    assert attached.artifact(found).raw_manifest == signature.raw_manifest


def test_an_artifact_without_a_subject_is_kept_for_a_named_one(kept, image):
    """Signatures of older tools name no subject, so the caller does."""
    store, attached, *_ = kept
    older = note("older", None)
    attached.add(older, image.digest)
    assert older.digest in {item.digest for item in attached.listed(image.digest)}
    with pytest.raises(ValueError, match="no subject"):
        attached.add(older)
    prune(store, nameless=True)
    assert older.digest in {item.digest for item in attached.listed(image.digest)}


def test_artifacts_are_pruned_with_their_subject(kept, image):
    """While the image is kept, everything about it is; then nothing of it stays on disk."""
    store, attached, signature, countersigned = kept
    before = set(store.blobs.digests())
    prune(store)
    assert set(store.blobs.digests()) == before
    assert {signature.digest, countersigned.digest} <= before
    store.remove("team/test:1.0")
    prune(store)
    assert not set(store.blobs.digests())
    assert attached.listed(image.digest) == ()
    assert attached.listed(signature.digest) == ()


def test_an_artifact_of_an_image_that_never_comes_is_pruned(tmp_path, image):
    """A referrer whose subject is not stored does not stay."""
    store = LocalStore(tmp_path / "store")
    Attached(store).add(note("orphan", image.descriptor))
    assert list(store.blobs.digests())
    prune(store)
    assert not list(store.blobs.digests())


def test_a_damaged_artifact_is_a_problem_with_its_digest(kept, image):
    """An artifact whose bytes are gone is not silently left out."""
    store, attached, signature, _ = kept
    (found,) = attached.listed(image.digest)
    store.blobs.remove(signature.digest)
    with pytest.raises(MealkitError) as caught:
        attached.artifact(found)
    assert caught.value.problems[0].code == "BLOB_MISSING"
    assert signature.digest in caught.value.problems[0].message


def test_a_damaged_artifact_does_not_keep_prune_from_its_work(kept, image):
    """Prune goes on with ``damaged`` when a signature's manifest is missing."""
    store, attached, signature, _ = kept
    store.blobs.remove(signature.digest)
    with pytest.raises(MealkitError):
        prune(store)
    prune(store, damaged=True)
    assert attached.listed(image.digest) == ()
    assert Digest.of(image.raw_manifest) in set(store.blobs.digests())
