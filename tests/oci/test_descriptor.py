"""A descriptor says what a blob is, and is read strictly: it decides what is fetched."""

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER, Descriptor, Platform, media_type_of, texts_by_name

FORM = {"mediaType": LAYER, "digest": Digest.of(b"a"), "size": 1}
FULL = Descriptor(
    LAYER,
    Digest.of(b"a"),
    1,
    {"a": "b"},
    Platform("linux", "arm64", "v8"),
    "application/vnd.example.kind",
)


def test_what_is_written_is_read_back():
    """All fields survive, and empty ones are not written."""
    assert Descriptor.from_json(FULL.as_json()) == FULL
    assert Descriptor.from_json(FORM).as_json() == FORM


@pytest.mark.parametrize("size", [0, 2**63 - 1])
def test_sizes_up_to_the_largest_are_read(size):
    """An empty blob, and the largest that other programs can count."""
    assert Descriptor.from_json(FORM | {"size": size}).size_bytes == size


@pytest.mark.parametrize(
    "changes",
    [
        *({"size": size} for size in (-1, 2**63, 1.0, True, "1", None)),
        *({"digest": text} for text in ("", "sha256:0", "sha512:" + "0" * 64, None, 1)),
        *({"mediaType": text} for text in ("", "text", "a/b/c", "a/b\n", "/b", 1, None)),
        *({"annotations": value} for value in ([], {"a": 1}, "a")),
        *({"platform": value} for value in ("linux", {"os": 1}, {"os": "a/b"}, {"os": "x" * 65})),
        {"artifactType": "kind"},
    ],
    ids=str,
)
def test_a_field_of_another_form_is_refused(changes):
    """A size that is no whole number, or a name that is none, is not guessed at."""
    with pytest.raises(MealkitError, match=r"IMAGE_INVALID.*a descriptor cannot be read"):
        Descriptor.from_json(FORM | changes)


@pytest.mark.parametrize("form", [None, [], "a", {}, {"mediaType": LAYER}])
def test_what_is_no_descriptor_is_refused(form):
    """So is one that lacks its digest or its size."""
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        Descriptor.from_json(form)


def test_a_platform_is_written_as_people_write_it():
    """The variant is left out where there is none."""
    assert str(Platform("linux", "amd64")) == "linux/amd64"
    assert str(Platform("linux", "arm64", "v8")) == "linux/arm64/v8"
    assert Platform.from_json({"os": "linux", "variant": ""}) == Platform("linux", "")


def test_null_annotations_are_none():
    """Other tools write null where they have none."""
    assert texts_by_name(None) == {}


def test_the_longest_media_type_is_read():
    """RFC 6838 allows 127 characters on each side of the slash."""
    assert media_type_of(f"{'a' * 127}/{'b' * 127}")
    with pytest.raises(ValueError, match="is not a media type"):
        media_type_of(f"a/{'b' * 128}")
