"""What every place that keeps images promises: what goes in comes out, whole or not at all."""

import os
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.image import Image
from mealkit.oci.validate import validate
from mealkit.stores.archive import read_archive, write_archive
from mealkit.stores.layout import read_layout, write_layout
from mealkit.stores.local import LocalStore

NAME = "team/test:1.0"


class Store:
    """The local store, seen as a place."""

    def __init__(self, root: Path) -> None:
        self.root = root / "place"
        self._store = LocalStore(self.root)

    def put(self, image: Image, name: str, advance=lambda _: None) -> None:
        self._store.put(image, [name], advance)

    def get(self, name: str) -> Image:
        return self._store.image(name)


class Layout:
    """A folder in OCI layout."""

    def __init__(self, root: Path) -> None:
        self.root = root / "place"

    def put(self, image: Image, name: str, advance=lambda _: None) -> None:
        write_layout(image, self.root, name, advance)

    def get(self, name: str) -> Image:
        return read_layout(self.root, name)


class Archive:
    """A layout in one file."""

    def __init__(self, root: Path) -> None:
        self.root = root / "place" / "image.tar"
        self.root.parent.mkdir()

    def put(self, image: Image, name: str, advance=lambda _: None) -> None:
        write_archive(image, self.root, name, advance)

    def get(self, name: str) -> Image:
        return read_archive(self.root, name)


@pytest.fixture(params=[Store, Layout, Archive])
def place(request, tmp_path):
    return request.param(tmp_path)


def contents(image: Image) -> list[bytes]:
    return [b"".join(bytes(chunk) for chunk in layer.blob.chunks()) for layer in image.layers]


def test_what_is_put_is_read_back_identically(place, image):
    """Manifest, config, layers and their bytes come back, and the image validates."""
    place.put(image, NAME)
    found = place.get(NAME)
    assert (found.raw_manifest, found.raw_config) == (image.raw_manifest, image.raw_config)
    assert found.digest == image.digest
    assert [layer.descriptor for layer in found.layers] == [
        layer.descriptor for layer in image.layers
    ]
    assert [layer.created_by for layer in found.layers] == [
        layer.created_by for layer in image.layers
    ]
    assert contents(found) == contents(image)
    assert validate(found) == []


def test_progress_adds_up_to_the_image(place, image):
    """Every blob is told once, whether it had to be written or not."""
    expected = sum(layer.blob.size_bytes for layer in image.layers)
    expected += len(image.raw_config) + len(image.raw_manifest)
    for _ in range(2):
        told = []
        place.put(image, NAME, told.append)
        assert sum(told) == expected


def test_an_image_can_be_moved_from_anywhere_to_anywhere(place, image, tmp_path):
    """What one place gives, every other takes."""
    place.put(image, NAME)
    for number, kind in enumerate((Store, Layout, Archive)):
        (tmp_path / str(number)).mkdir()
        other = kind(tmp_path / str(number))
        other.put(place.get(NAME), NAME)
        assert validate(other.get(NAME)) == []
        assert contents(other.get(NAME)) == contents(image)


def test_putting_twice_changes_nothing(place, image):
    """The same image under the same name is the same place, byte for byte."""

    def snapshot() -> dict[Path, bytes]:
        top = place.root if place.root.is_dir() else place.root.parent
        return {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}

    place.put(image, NAME)
    before = snapshot()
    place.put(image, NAME)
    assert snapshot() == before
    assert not [path for path in before if path.name.endswith(".part")]


def test_a_part_of_a_blob_can_be_read(place, image):
    """Any range of any blob is what slicing all of it would give."""
    place.put(image, NAME)
    for layer, whole in zip(place.get(NAME).layers, contents(image), strict=True):
        size = len(whole)
        for start, length in [
            (0, 1),
            (0, None),
            (4095, 2),
            (4096, size),
            (size - 1, 9),
            (size, 1),
            (7, 0),
        ]:
            found = b"".join(bytes(chunk) for chunk in layer.blob.chunks(start, length))
            assert found == whole[start : None if length is None else start + length]


def test_a_source_that_changed_is_never_put(place, image, weights):
    """Weights that are not those that were hashed are refused, by name, and nothing is left."""
    with weights.open("r+b") as stream:
        stream.write(b"X")
    with pytest.raises(MealkitError) as caught:
        place.put(image, NAME)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"
    assert str(weights) in caught.value.problems[0].message
    with pytest.raises(MealkitError):
        place.get(NAME)
    top = place.root if place.root.is_dir() else place.root.parent
    assert not list(top.rglob("*.part"))


def test_a_source_that_is_gone_is_named(place, image, weights):
    """A missing weight file is a missing blob."""
    weights.unlink()
    with pytest.raises(MealkitError) as caught:
        place.put(image, NAME)
    assert caught.value.problems[0].code == "BLOB_MISSING"
    assert str(weights) in caught.value.problems[0].message


def test_a_flipped_byte_is_found(place, image):
    """One wrong byte in any stored blob is a problem that names the blob."""
    place.put(image, NAME)
    files = (
        [place.root] if place.root.is_file() else sorted((place.root / "blobs/sha256").iterdir())
    )
    for file in files:
        data = bytearray(file.read_bytes())
        position = data.rfind(b"prompt.txt") if file == place.root else len(data) // 2
        data[position] ^= 1
        keep = file.read_bytes()
        file.write_bytes(data)
        try:
            codes = {problem.code for problem in validate(place.get(NAME))}
        except MealkitError as error:
            codes = {problem.code for problem in error.problems}
        assert codes & {"BLOB_DAMAGED", "IMAGE_INVALID"}, file
        file.write_bytes(keep)
        assert validate(place.get(NAME)) == []


def test_a_blob_cut_short_is_found(place, image):
    """A file that ends early is damage, not a shorter blob."""
    place.put(image, NAME)
    blob = image.layers[-1].blob
    file = place.root if place.root.is_file() else place.root / "blobs/sha256" / blob.digest.hex
    whole = place.get(NAME)
    os.truncate(file, file.stat().st_size // 2)
    assert {problem.code for problem in validate(whole)} == {"BLOB_DAMAGED"}


def test_an_unknown_name_is_answered_with_those_that_are_there(place, image):
    """Whoever mistypes a name is helped."""
    place.put(image, NAME)
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
        place.get("team/tset:1.0")
