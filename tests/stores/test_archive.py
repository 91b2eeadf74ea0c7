"""An archive is a layout in one file, written whole and read in place."""

import gzip
import io
import tarfile

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.index import index_of
from mealkit.oci.validate import validate
from mealkit.stores.archive import open_archive, read_archive, write_archive


@pytest.fixture
def archive(tmp_path, image):
    """An archive with one image under a name."""
    write_archive(image, tmp_path / "kit.tar", "test:1")
    return tmp_path / "kit.tar"


def rewritten(path, change):
    """Write the archive again, each member as ``change`` of its name and bytes says."""
    out = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=out, mode="w") as new:
        for item in old:
            data = old.extractfile(item).read() if item.isfile() else b""
            for name, content in change(item.name, data):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    path.write_bytes(out.getvalue())


def test_an_archive_gives_its_image_back(archive, image):
    """By its name, and without one, since it is the only image."""
    for name in (None, "test:1"):
        found = read_archive(archive, name)
        assert found.digest == image.digest
        assert validate(found) == []


def test_progress_is_told_of_every_blob_and_nothing_is_left(tmp_path, image):
    """Headers are not counted."""
    told = []
    write_archive(image, tmp_path / "kit.tar", advance=told.append)
    blobs = {blob.digest: blob.size_bytes for blob in image.blobs}
    assert sum(told) == sum(blobs.values()) + len(image.raw_manifest)
    assert [path.name for path in tmp_path.glob("*kit*")] == ["kit.tar"]


def test_a_layer_that_two_images_share_is_written_once(tmp_path, make_image):
    """Archives of several architectures would otherwise carry the weights for each."""
    one, two = make_image("one"), make_image("two")
    write_archive(index_of([one, two], {}), tmp_path / "both.tar", "test:1")
    with tarfile.open(tmp_path / "both.tar") as archive:
        names = [item.name for item in archive if item.isfile()]
    assert len(names) == len(set(names))
    assert f"blobs/sha256/{one.layers[0].blob.digest.hex}" in names


def test_an_archive_of_others_may_have_dots_and_later_copies(archive, image):
    """The last member of a name counts, as tar unpacks it."""
    index = "index.json"

    def change(name, data):
        yield f"./{name}", b"{}" if name == index else data
        if name == index:
            yield f"./{name}", data

    rewritten(archive, change)
    assert read_archive(archive).digest == image.digest


def test_a_blob_that_is_not_there_is_named(archive, image):
    """With the file that lacks it."""
    lost = image.layers[0].blob.digest.hex
    rewritten(archive, lambda name, data: [] if lost in name else [(name, data)])
    with pytest.raises(MealkitError, match=f"BLOB_MISSING.*{lost}"):
        read_archive(archive)


def test_a_blob_of_another_size_is_refused(archive, image):
    """Before any of it is read."""
    lost = image.layers[0].blob.digest.hex
    rewritten(archive, lambda name, data: [(name, data + b"x" if lost in name else data)])
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        read_archive(archive)


def test_a_manifest_of_other_bytes_is_damaged(archive, image):
    """It is the first that is read, and its digest is checked."""
    name = image.digest.hex
    rewritten(
        archive,
        lambda path, data: [(path, data.replace(b"hello", b"olleh") if name in path else data)],
    )
    other = Digest.of(b"x").hex
    rewritten(
        archive,
        lambda path, data: [
            (path, data.replace(image.config_descriptor.digest.hex.encode(), other.encode()))
            if name in path
            else (path, data)
        ],
    )
    with pytest.raises(MealkitError, match="BLOB_DAMAGED"):
        read_archive(archive)


@pytest.mark.parametrize("kind", ["gzip", "no index", "cut", "no tar"])
def test_what_is_no_archive_is_refused(archive, kind):
    """A compressed one could not be read in place."""
    data = archive.read_bytes()
    if kind == "no index":
        rewritten(archive, lambda name, data: [] if name == "index.json" else [(name, data)])
    else:
        made = {"gzip": gzip.compress(data), "cut": data[: len(data) // 2], "no tar": b"x" * 2000}
        archive.write_bytes(made[kind])
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        open_archive(archive)


def test_a_missing_archive_and_an_unknown_name_are_not_found(archive, tmp_path):
    """Both are what the caller named."""
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
        read_archive(tmp_path / "none.tar")
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
        read_archive(archive, "test:2")


def test_a_folder_is_not_written_over(tmp_path, image):
    """Nor read as an archive."""
    with pytest.raises(MealkitError, match="OUTPUT_EXISTS"):
        write_archive(image, tmp_path)
    with pytest.raises(MealkitError):
        read_archive(tmp_path)
