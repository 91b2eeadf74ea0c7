"""Lists tags of real and odd registries, in the order of versions."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.push import push
from mealkit.stores.registry.tags import tags_of, version_key

SORTED = [
    "0.9", "1.0.0-rc1", "1.0.0-rc2", "1.0.0-rc10", "1.0.0", "v1.2.0", "1.10.0", "2.0.0-lean", "2.0.0",
    "2024.11", "dev", "latest",
]  # fmt: skip


def listed(registries, host, name="tags", **options):
    reference = Reference(host, name)
    return tags_of(registries.client(reference), reference, **options)


def test_versions_are_sorted_as_people_count():
    """1.9 comes before 1.10, a candidate before its release, and words come last."""
    assert sorted({*SORTED}, key=version_key) == SORTED


@pytest.mark.parametrize("page", [None, 2])
def test_all_pages_are_listed_without_the_tags_of_signatures(quirky, registries, make_image, page):
    """The list is complete and sorted; tags about other manifests are shown only on request."""
    image = make_image({"a": b"1"})
    others = [f"sha256-{'ab' * 32}", f"sha256-{'ab' * 32}.sig"]
    for tag in (*SORTED[:4], "latest", *others):
        push(image, Reference(quirky.host, "tags", tag), registries)
    quirky.page = page
    assert listed(registries, quirky.host) == [*SORTED[:4], "latest"]
    assert set(listed(registries, quirky.host, every=True)) == {*SORTED[:4], "latest", *others}


def test_the_real_registry_lists_its_tags(registry, registries, make_image):
    """docker-registry's answer is read; a repository that does not exist is a problem."""
    for tag in ("1.0", "latest"):
        push(make_image({"a": b"1"}), Reference(registry.host, "tags/real", tag), registries)
    assert listed(registries, registry.host, "tags/real") == ["1.0", "latest"]
    with pytest.raises(MealkitError, match="has no repository tags/missing") as caught:
        listed(registries, registry.host, "tags/missing")
    assert caught.value.problems[0].code == "IMAGE_NOT_FOUND"
    assert "push an image to it" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"tags": None}, []),
        ({"tags": ["ok", "bad tag", "../up", "x" * 200]}, ["ok"]),
        ({"tags": {"a": 1}}, None),
        ({"tags": [1]}, None),
        ([], None),
    ],
)
def test_odd_lists(quirky, registries, form, expected):
    """What is not a tag is left out; what is not a list is refused."""
    body = json.dumps(form).encode()
    quirky.quirks.append(lambda call: "/tags/" in call.path and call.answer(200, body))
    if expected is not None:
        assert listed(registries, quirky.host) == expected
        return
    with pytest.raises(MealkitError) as caught:
        listed(registries, quirky.host)
    assert caught.value.problems[0].code == "IMAGE_INVALID"


def test_a_web_page_is_not_an_empty_list(quirky, registries):
    """A login page is a refusal with its title."""
    page = b"<html><title>Sign in</title>"
    quirky.quirks.append(lambda call: call.answer(200, page, Content_Type="text/html"))
    with pytest.raises(MealkitError, match="Sign in") as caught:
        listed(registries, quirky.host)
    assert caught.value.problems[0].code == "REGISTRY_REFUSED"
