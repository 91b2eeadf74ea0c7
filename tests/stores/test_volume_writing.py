"""An archive in volumes: checked by sha256sum, joined by tar, continued after any interruption."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mealkit.digest import digest_of_file
from mealkit.errors import MealkitError, failure
from mealkit.oci.image import BytesBlob
from mealkit.progress import silent
from mealkit.stores.archive import read_archive
from mealkit.stores.packed_archive import NamedContent, PackedArchive, packed
from mealkit.stores.volume_writing import WrittenFile, write_volumes

MIB = 1024 * 1024


@pytest.fixture
def archive(image) -> PackedArchive:
    return packed([NamedContent(image, ("test:1",))], ())


def written(archive, file, volume_bytes=MIB) -> tuple[WrittenFile, ...]:
    return write_volumes(archive, file, volume_bytes, silent, lambda _: None)


def refusal(archive, file, volume_bytes=MIB):
    with pytest.raises(MealkitError) as caught:
        written(archive, file, volume_bytes)
    return caught.value.problems[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("kit.tar*")}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("kit.tar.0*")}


def test_tools_that_everyone_has_check_and_join_the_volumes(archive, tmp_path, image):
    """With sha256sum and tar alone, on any machine."""
    for name, volume_bytes in (("one.tar", None), ("kit.tar", MIB)):
        files = written(archive, tmp_path / name, volume_bytes)
        listed = f"{tmp_path / name}.sha256"
        subprocess.run(["sha256sum", "-c", "--quiet", listed], cwd=tmp_path, check=True)
        assert len(files) == (1 if volume_bytes is None else 4)
    assert max(path.stat().st_size for path in tmp_path.glob("kit.tar.0*")) < MIB
    join = 'for v in kit.tar.0??; do tar -xOf "$v" part; done > joined.tar'
    subprocess.run(["sh", "-c", join], cwd=tmp_path, check=True)
    assert (tmp_path / "joined.tar").read_bytes() == (tmp_path / "one.tar").read_bytes()
    assert read_archive(tmp_path / "joined.tar", "test:1").digest == image.digest


def test_the_same_images_give_the_same_bytes(make_image, tmp_path):
    """In whatever order the blobs come."""
    one, two = make_image("one"), make_image("two")
    for name, order in (("a", (one, two)), ("b", (two, one))):
        (tmp_path / name).mkdir()
        written(packed([NamedContent(item, ()) for item in order], ()), tmp_path / name / "kit.tar")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("lost", ["kit.tar.002", "kit.tar.sha256"])
def test_a_second_save_writes_only_what_is_not_right(archive, tmp_path, lost):
    """A changed volume is written again, others keep their files; without the list, all are new."""
    written(archive, tmp_path / "kit.tar")
    whole, before = contents(tmp_path), times(tmp_path)
    if lost.endswith("2"):
        data = bytearray(whole[lost])
        data[77_777] ^= 1
        (tmp_path / lost).write_bytes(data)
    else:
        (tmp_path / lost).unlink()
    files = written(archive, tmp_path / "kit.tar")
    assert contents(tmp_path) == whole
    kept = [item.path.name for item in files if item.is_kept]
    if lost.endswith("2"):
        assert kept == ["kit.tar.001", "kit.tar.003", "kit.tar.004"]
        assert all(times(tmp_path)[name] == before[name] for name in kept)
    else:
        assert kept == []


def test_volumes_may_be_taken_away_before_the_rest_is_written(archive, tmp_path):
    """The list of checksums says what was written; the last volumes are the same as otherwise."""
    whole, here, away = (tmp_path / name for name in ("whole", "here", "away"))
    for folder in (whole, here, away):
        folder.mkdir()
    written(archive, whole / "kit.tar")
    written(archive, here / "kit.tar")
    for name in ("kit.tar.001", "kit.tar.002"):
        (here / name).rename(away / name)
    (here / "kit.tar.004").unlink()
    text = (here / "kit.tar.sha256").read_text()
    lines = [line for line in text.splitlines() if not line.endswith("004")]
    (here / "kit.tar.sha256").write_text("\n".join(lines) + "\n")
    files = written(archive, here / "kit.tar")
    assert [item.is_elsewhere for item in files] == [True, True, False, False]
    assert {**contents(here), **contents(away)} == contents(whole)


def test_a_full_medium_is_said_and_the_rest_goes_to_another(archive, tmp_path, small_disk):
    """DISK_FULL with what to move; the same command continues, and the volumes are whole."""
    problem = refusal(archive, small_disk / "kit.tar")
    assert problem.code == "DISK_FULL"
    assert "kit.tar.001, kit.tar.002" in problem.hint
    assert sorted(path.name for path in small_disk.iterdir()) == [
        "kit.tar.001",
        "kit.tar.002",
        "kit.tar.sha256",
    ]
    other = tmp_path / "other"
    other.mkdir()
    for path in small_disk.glob("kit.tar.0*"):
        shutil.move(path, other)
    written(archive, small_disk / "kit.tar")
    found = {**contents(small_disk), **contents(other)}
    written(archive, tmp_path / "whole" / "kit.tar")
    assert found == contents(tmp_path / "whole")


def test_another_archive_is_never_mixed_in(archive, make_image, tmp_path):
    """OUTPUT_EXISTS, whether its volumes, its file or only its list are there."""
    other = packed([NamedContent(make_image("other"), ())], ())
    written(other, tmp_path / "kit.tar")
    assert refusal(archive, tmp_path / "kit.tar").code == "OUTPUT_EXISTS"
    assert refusal(archive, tmp_path / "kit.tar", 2 * MIB).code == "OUTPUT_EXISTS"
    (tmp_path / "kit.tar.sha256").unlink()
    assert refusal(archive, tmp_path / "kit.tar").code == "OUTPUT_EXISTS"
    (tmp_path / "mine.txt").write_text("not an archive\n")
    assert refusal(archive, tmp_path / "mine.txt", None).code == "OUTPUT_EXISTS"
    assert (tmp_path / "mine.txt").read_text() == "not an archive\n"


@pytest.mark.parametrize(
    ("name", "volume_bytes"), [("kit.tar", 1000), ("kit.tar", 65_535), ("kit\n.tar", MIB)]
)
def test_volumes_that_cannot_be_used_are_refused(archive, tmp_path, name, volume_bytes):
    """Too small, or too many, or with a name that sha256sum would write in another way."""
    assert refusal(archive, tmp_path / name, volume_bytes).code == "USAGE"
    assert list(tmp_path.glob("kit*")) == []


class _Changing:
    """A blob in a registry whose last byte is another one the first time."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_wrong = True
        self.digest, self.size_bytes = BytesBlob(data).digest, len(data)

    def chunks(self, offset=0, length=None):
        assert (offset, length) == (0, None), "only whole reads are compared with the digest"
        for start in range(0, self.size_bytes, 100_000):
            yield self._data[start : start + 100_000]
        if self._is_wrong:
            self._is_wrong = False
            raise failure("REGISTRY_DIGEST", "other bytes")


def test_volumes_with_bytes_that_proved_wrong_are_written_again(tmp_path):
    """A registry's blob is compared with its digest at its end, after volumes were finished."""
    data = os.urandom(3 * MIB)
    archive = PackedArchive(b'{"manifests":[]}', (BytesBlob(b"small"), _Changing(data)))
    assert refusal(archive, tmp_path / "kit.tar").code == "REGISTRY_DIGEST"
    assert len(list(tmp_path.glob("kit.tar.0*"))) == 3
    files = written(archive, tmp_path / "kit.tar")
    assert [item.is_kept for item in files] == [False] * 4
    assert all(digest_of_file(item.path).hex == item.checksum for item in files)
