"""One rule for which image of an index is meant, wherever the index is."""

import json

import pytest
from fakes.little import base_of, layer_of

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.oci.choosing import Source, choose, find_image, manifests_below
from mealkit.oci.descriptor import DOCKER_INDEX, INDEX, MANIFEST, Descriptor, Platform
from mealkit.oci.index import index_of
from mealkit.oci.tar import TarFile

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def entry(text, platform=None, **more):
    return Descriptor(MANIFEST, Digest.of(text.encode()), 1, platform=platform, **more)


def nested(*entries, media_type=INDEX):
    raw = canonical_json({"manifests": [item.as_json() for item in entries]})
    return Descriptor(media_type, Digest.of(raw), len(raw)), raw


def source_of(*documents):
    held = {Digest.of(raw): raw for raw in documents}
    return Source("here", lambda item: held[item.digest], lambda item: held[item.digest])


def chosen(entries, platform, *documents):
    found = choose(entries, source_of(*documents), platform)
    return next(text for text in "abcdefg" if Digest.of(text.encode()) == found.digest)


def variant(architecture, name=None):
    return Platform("linux", architecture, name)


@pytest.mark.parametrize(
    ("platforms", "wanted", "expected"),
    [
        ([variant("amd64"), variant("amd64", "v3")], variant("amd64"), "a"),
        ([variant("amd64", "v3"), variant("amd64")], variant("amd64"), "b"),
        ([variant("amd64", "v3"), variant("amd64")], variant("amd64", "v3"), "a"),
        ([variant("amd64", "v2"), variant("amd64")], variant("amd64", "v3"), "b"),
        ([variant("amd64", "v3"), variant("arm64")], variant("amd64"), "a"),
        ([variant("arm64", "v8"), variant("amd64")], variant("arm64"), "a"),
        ([variant("arm64"), variant("amd64")], variant("arm64", "v8"), "a"),
        ([variant("arm64", "v9"), variant("arm64", "v8")], variant("arm64"), "b"),
        ([variant("arm64"), variant("arm64", "v8")], variant("arm64"), "a"),
        ([None, variant("amd64")], variant("amd64"), "b"),
        ([None, variant("arm64")], variant("amd64"), "a"),
        ([Platform("", ""), variant("arm64")], variant("amd64"), "a"),
        ([Platform("", ""), variant("amd64")], variant("amd64"), "b"),
        ([variant("aarch64", "v8"), variant("x86_64")], variant("amd64"), "b"),
        ([variant("aarch64", "v8"), variant("x86_64")], variant("arm64"), "a"),
        ([Platform("Linux", "AMD64"), variant("arm64")], variant("amd64"), "a"),
    ],
)
def test_the_best_variant_is_chosen(platforms, wanted, expected):
    """The very variant is best, then one for every machine, by any of the names in use."""
    entries = [entry(text, platform) for text, platform in zip("ab", platforms, strict=False)]
    top, raw = nested(*entries)
    docker, docker_raw = nested(*entries, media_type=DOCKER_INDEX)
    assert chosen([top], wanted, raw) == expected
    assert chosen([docker], wanted, docker_raw) == expected
    if platforms != [ARM64, variant("arm64", "v8")]:  # as entries of a list these are equals
        assert chosen(entries, wanted) == expected


def test_of_equals_in_one_index_the_first_is_meant():
    """image-index.md says so: podman lists a zstd image behind the one that all can read."""
    top, raw = nested(entry("a", AMD64), entry("b", AMD64))
    assert chosen([top], AMD64, raw) == "a"


@pytest.mark.parametrize(
    "platforms",
    [[AMD64, AMD64], [variant("amd64", "v2"), variant("amd64", "v3")], [None, None]],
)
def test_several_that_fit_equally_are_one_clear_problem(platforms):
    """A layout's images of one platform, or two variants of which neither was asked for."""
    entries = [entry(text, platform) for text, platform in zip("ab", platforms, strict=True)]
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND: here has 2 images for linux/amd64"):
        choose(entries, source_of(), AMD64)


def test_what_is_no_image_is_passed_over():
    """Attestations and artifacts in an index are no candidates."""
    top, raw = nested(
        entry("a", Platform("unknown", "unknown")),
        entry("b", artifact_type="application/vnd.example.signature"),
        entry("c", AMD64),
    )
    assert chosen([top], None, raw) == "c"
    assert chosen([top], AMD64, raw) == "c"


def test_indexes_for_other_platforms_are_not_read():
    """An index in an index is only read if it may have the image."""
    inner, raw = nested(entry("a", AMD64))
    other = Descriptor(INDEX, Digest.of(b"not there"), 9, platform=ARM64)
    assert chosen([other, inner], AMD64, raw) == "a"
    with pytest.raises(MealkitError, match=r"no image for linux/s390x.* linux/arm64"):
        choose([other], source_of(), Platform("linux", "s390x"))


def images():
    layer = layer_of("one", TarFile.of("etc/one", b"1"))
    return [base_of(layer, architecture=name) for name in ("amd64", "arm64")]


def reading(content):
    held = {}
    for item in content.images:
        held |= {blob.digest: blob for blob in item.blobs}
    texts = {item.digest: item.raw_manifest for item in (content, *content.images)}
    texts |= {digest: blob.data for digest, blob in held.items()}
    return Source("here", lambda item: texts[item.digest], lambda item: held[item.digest])


def test_an_index_of_images_is_the_same_each_time():
    """An index has one digest, names the platforms, and carries annotations."""
    first, again = (index_of(images(), {"dev.mealkit.kit": "k:1"}) for _ in range(2))
    assert first.digest == again.digest
    form = json.loads(first.raw_manifest)
    assert form["mediaType"] == INDEX
    assert form["annotations"] == {"dev.mealkit.kit": "k:1"}
    assert [item["platform"]["architecture"] for item in form["manifests"]] == ["amd64", "arm64"]
    found = [item.digest for item in manifests_below([first.descriptor], reading(first))]
    assert found == [image.digest for image in first.images]
    assert first.annotations == {"dev.mealkit.kit": "k:1"}


def test_a_preference_takes_the_only_image_there_is():
    """A look at an image for another machine is allowed, where it is the only one."""
    both = index_of(images(), {})
    alone = index_of(images()[1:], {})
    for is_preference in (True, False):
        found = find_image([both.descriptor], reading(both), ARM64, is_preference=is_preference)
        assert found.platform == ARM64
    assert find_image([alone.descriptor], reading(alone), AMD64, is_preference=True)
    with pytest.raises(MealkitError, match=r"IMAGE_NOT_FOUND: here has no image for linux/amd64"):
        find_image([alone.descriptor], reading(alone), AMD64)


def test_a_config_that_contradicts_the_index_is_refused():
    """An image that says it is for arm64 is not for amd64, whatever the index says of it."""
    image = images()[1]
    lie = Descriptor(MANIFEST, image.digest, len(image.raw_manifest), platform=AMD64)
    with pytest.raises(MealkitError, match=r"no image for linux/amd64.* linux/arm64"):
        find_image([lie], reading(index_of([image], {})), AMD64)
