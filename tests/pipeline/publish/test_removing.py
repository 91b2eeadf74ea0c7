"""Removes images from the local store and from registries, with everything that refers to them."""

from contextlib import suppress

import pytest
from fakes.little import Heard, bases_of_both, little_base

from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob, with_parts
from mealkit.oci.index import index_of
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.publish.removing import (
    planned_removal,
    remove_from_registry,
    remove_stored,
)
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import Companion, publish
from mealkit.stores.registry.push import push
from mealkit.stores.registry.referrers import RegistryReferrers, fallback_tag
from mealkit.stores.registry.remote_content import remote_content
from mealkit.stores.registry.tags import tags_of

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"


def bundle(text, subject, kind=BUNDLE):
    return artifact_of(kind, [Attachment(kind, BytesBlob(text.encode()), {})], subject=subject)


@pytest.fixture(params=["api", "fallback"])
def host(request, quirky, fallback):
    return quirky.host if request.param == "api" else fallback.host


def put(content, text, registries, *companions):
    push(content, Reference.parse(text), registries)
    for companion in companions:
        publish(companion, Reference.parse(text), registries)


def signed(content):
    """A signature of content, a signature of that, and one in podman's layout."""
    first = bundle("signature", content.descriptor)
    second = bundle("of the signature", first.descriptor)
    podman = bundle("for podman", content.descriptor, SIMPLE)
    digest = content.descriptor.digest
    return (
        Companion(first, digest),
        Companion(second, first.digest),
        Companion(podman, digest, ".sig"),
    )


def is_there(registries, text, digest):
    reference = Reference.parse(text)
    with suppress(MealkitError):
        remote_content((registries.client(reference),), reference, digest)
        return True
    return False


def removed(text):
    heard = Heard()
    return remove_from_registry(planned_removal(text, heard), heard)


def test_an_image_is_deleted_with_everything_about_it(host, registries):
    """No referrer, no tag and no list of the image stays; a second time there is nothing to delete."""
    index = index_of(bases_of_both(), {"org.example": host})
    text = f"{host}/gone/index:1.0"
    own = signed(index)
    about_one = Companion(bundle("about one", index.images[0].descriptor), index.images[0].digest)
    put(index, text, registries, *own, about_one)
    plan = planned_removal(text, Heard())
    assert len(plan.companions) == 4
    assert plan.manifests[0] == index.digest
    line = removed(text)
    assert str(index.digest) in line
    assert "with 4 artifacts" in line
    for item in (*own, about_one, *with_parts(index)):
        digest = item.digest if isinstance(item, Companion) else item.descriptor.digest
        assert not is_there(registries, text, str(digest))
    for tag in ("1.0", fallback_tag(index.digest), f"{fallback_tag(index.digest)}.sig"):
        assert not is_there(registries, text, tag)
    reference = Reference.parse(text)
    left = RegistryReferrers((registries.client(reference),), reference)
    assert left.listed(index.digest) == ()
    with pytest.raises(MealkitError) as caught:
        planned_removal(text, Heard())
    assert caught.value.problems[0].code == "IMAGE_NOT_FOUND"


def test_a_tag_of_an_image_with_other_tags_is_deleted_alone(quirky, registries):
    """The image and its signatures stay under the other tag; by its digest it goes with all tags."""
    image = little_base("two tags")
    text = f"{quirky.host}/both"
    put(image, f"{text}:1", registries, *signed(image))
    put(image, f"{text}:latest", registries)
    assert planned_removal(f"{text}:latest", Heard()).is_tag_only
    assert "still 1" in removed(f"{text}:latest")
    reference = Reference.parse(text)
    assert tags_of(registries.client(reference), reference) == ["1"]
    assert is_there(registries, text, str(signed(image)[0].digest))
    put(image, f"{text}:latest", registries)
    assert "1, latest" in removed(f"{text}@{image.digest}")
    assert not quirky.manifests


def test_a_registry_that_deletes_no_tags_says_how_to_delete_the_image(fallback, registries):
    """docker-registry deletes only by digest; nothing is changed."""
    image = little_base("no tags")
    text = f"{fallback.host}/no-tags"
    put(image, f"{text}:1", registries)
    put(image, f"{text}:2", registries)
    with pytest.raises(MealkitError, match="does not delete single tags") as caught:
        removed(f"{text}:2")
    assert f"{text}@sha256:" in caught.value.problems[0].hint
    assert is_there(registries, text, "2")


def test_images_that_another_tag_needs_stay(quirky, registries):
    """An index is deleted without the image that another index, or a tag, also has."""
    first, second = bases_of_both()
    text = f"{quirky.host}/shared"
    put(index_of([first, second], {}), f"{text}:1", registries, *signed(first))
    put(index_of([first], {}), f"{text}:2", registries)
    removed(f"{text}:1")
    assert is_there(registries, text, "2")
    assert is_there(registries, text, str(first.digest))
    assert is_there(registries, text, str(signed(first)[0].digest))
    assert not is_there(registries, text, str(second.digest))


def test_what_refers_is_deleted_before_what_it_refers_to(quirky, registries):
    """An interrupted deletion leaves no referrer without its subject; the next one completes it."""
    image = little_base("order")
    text = f"{quirky.host}/order:1"
    own = signed(image)
    put(image, text, registries, *own)
    quirky.quirks.append(
        lambda call: call.command == "DELETE" and image.digest in call.path and call.answer(403)
    )
    with pytest.raises(MealkitError):
        removed(text)
    assert is_there(registries, text, "1")
    assert not any(is_there(registries, text, str(item.digest)) for item in own)
    quirky.quirks.clear()
    removed(text)
    assert not quirky.manifests


def test_a_registry_that_does_not_delete_is_a_problem(quirky, registries):
    """Many registries have deleting switched off."""
    image = little_base("kept")
    text = f"{quirky.host}/kept:1"
    put(image, text, registries)
    quirky.quirks.append(lambda call: call.command == "DELETE" and call.answer(405))
    with pytest.raises(MealkitError, match="does not delete manifests") as caught:
        removed(text)
    assert "storage.delete.enabled" in caught.value.problems[0].hint


def test_names_and_digests_are_removed_from_the_local_store(tmp_path):
    """A name goes, and the image with its last name; a missing one removes nothing."""
    home = home_at(tmp_path / "home")
    store, image = LocalStore(home.store), little_base("stored")
    store.put(image, ["little:1", "little:latest"])
    with pytest.raises(MealkitError):
        remove_stored(["little:1", "missing:1"], home)
    assert store.resolve("little:1").digest == image.digest
    (line,) = remove_stored(["little:1"], home)
    assert "still little:latest" in line
    store.tag("little:latest", "little:2")
    (line,) = remove_stored([image.digest.hex[:12]], home)
    assert str(image.digest) in line
    assert not store.images()
