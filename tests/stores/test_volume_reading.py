"""Volumes in any order are one archive; what is missing, changed or foreign is named."""

import hashlib
import random
import subprocess

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.validate import validate
from mealkit.progress import silent
from mealkit.stores.archive_content import read_content
from mealkit.stores.packed_archive import NamedContent, packed
from mealkit.stores.volume_files import HEAD_BYTES
from mealkit.stores.volume_reading import explained_by_files, join_files
from mealkit.stores.volume_writing import write_volumes

MIB = 1024 * 1024


@pytest.fixture
def files(image, tmp_path):
    """Four volumes of an archive; the last one is short."""
    archive = packed([NamedContent(image, ("test:1",))], ())
    found = write_volumes(archive, tmp_path / "kit.tar", MIB, silent, lambda _: None)
    return [item.path for item in found]


def everything_in(files):
    """Read every byte, as a load does; return the digest of the image."""
    joined = join_files(files)
    try:
        (found,) = read_content(joined).images
    except MealkitError as error:
        raise explained_by_files(error, joined) from error
    if problems := validate(found.content):
        raise explained_by_files(MealkitError(*problems), joined)
    return found.content.digest


def problems_of(files):
    with pytest.raises(MealkitError) as caught:
        everything_in(files)
    return caught.value.problems


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def test_volumes_are_read_in_any_order(files, image):
    """Also with the list of checksums among them, and with one volume twice."""
    shuffled = random.Random(1).sample(files, len(files))
    assert everything_in(shuffled) == image.digest
    assert everything_in([*files, files[0], files[0].with_name("kit.tar.sha256")]) == image.digest


def test_missing_volumes_are_all_named_with_their_checksums(files):
    """As far as the list of checksums is there."""
    found = problems_of([files[2], files[0]])
    assert [item.code for item in found] == ["VOLUME_MISSING"] * 2
    assert "kit.tar.002" in found[0].message
    assert found[0].measured == "volumes 1, 3"
    assert found[0].required == f"volume 2, sha256 {checksum(files[1])}"
    files[0].with_name("kit.tar.sha256").unlink()
    assert problems_of([files[2], files[0]])[0].required == "volume 2"


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("place", ["name", "json", "part's header", "first", "middle", "last"])
def test_a_changed_byte_is_found_wherever_it_is(files, number, place):
    """The volume is named, with the checksum that it has and the one that it should have."""
    path = files[number]
    required = checksum(path)
    offset = {
        "name": 3,
        "json": 530,
        "part's header": HEAD_BYTES - 512 + 40,
        "first": HEAD_BYTES + 1600,
        "middle": path.stat().st_size // 2,
        "last": -2_000 if number == 3 else -1_500,
    }[place]
    flip(path, offset)
    (found,) = problems_of(files)
    assert (found.code, found.where) == ("VOLUME_DAMAGED", str(path))
    assert (found.measured, found.required) == (f"sha256 {checksum(path)}", f"sha256 {required}")


def test_without_the_list_a_changed_byte_is_found_too(files):
    """By the digest of the blob that has it, or by the volume's own head."""
    files[0].with_name("kit.tar.sha256").unlink()
    flip(files[1], MIB // 2)
    assert problems_of(files)[0].code == "BLOB_DAMAGED"
    flip(files[2], 600)
    assert problems_of(files)[0].code == "VOLUME_DAMAGED"


@pytest.mark.parametrize("left", [0, 100, HEAD_BYTES, MIB // 2, -1])
def test_a_volume_that_was_cut_off_is_named(files, left):
    """Before anything of the archive is read."""
    with files[1].open("r+b") as stream:
        stream.truncate(left if left >= 0 else files[1].stat().st_size - 1)
    (found,) = problems_of(files)
    assert (found.code, found.where) == ("VOLUME_DAMAGED", str(files[1]))


def test_volumes_of_two_archives_are_not_mixed(files, make_image, tmp_path):
    """VOLUME_FOREIGN names each that does not belong to the others."""
    other = packed([NamedContent(make_image("other"), ())], ())
    (tmp_path / "b").mkdir()
    theirs = write_volumes(other, tmp_path / "b" / "kit.tar", MIB, silent, lambda _: None)
    (found,) = problems_of([files[0], theirs[1].path, *files[2:]])
    assert (found.code, found.where) == ("VOLUME_FOREIGN", str(theirs[1].path))
    text = tmp_path / "note.txt"
    text.write_text("hello\n")
    (found,) = problems_of([*files, text])
    assert (found.code, found.where) == ("VOLUME_FOREIGN", str(text))


def test_the_same_images_in_volumes_of_another_size_are_another_archive(files, image, tmp_path):
    """Their volumes begin at other bytes."""
    archive = packed([NamedContent(image, ("test:1",))], ())
    (tmp_path / "b").mkdir()
    theirs = write_volumes(archive, tmp_path / "b" / "kit.tar", 2 * MIB, silent, lambda _: None)
    assert problems_of([*files[:3], theirs[1].path])[0].code == "VOLUME_FOREIGN"


def test_a_volume_may_be_a_pipe_or_a_folder_and_is_refused(files, tmp_path):
    """Without waiting for a writer."""
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    assert problems_of([*files, tmp_path / "pipe"])[0].code == "IMAGE_INVALID"
    folder = problems_of([*files, tmp_path])[0]
    assert (folder.code, "oci:" in (folder.hint or "")) == ("DISK_DENIED", True)
    assert problems_of([*files, tmp_path / "none"])[0].code == "IMAGE_NOT_FOUND"
