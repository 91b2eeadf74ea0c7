"""Whole files and folders: there with all their bytes or not at all, and no litter."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.files.whole import (
    disk_errors,
    partial_file,
    remove_leftovers,
    require_space,
    sync_folder,
    whole_folder,
    write_whole,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced_at_once_with_its_mode(tmp_path: Path) -> None:
    """The new bytes stand under the name, with the mode asked for, and nothing lies beside them."""
    target = tmp_path / "folder" / "file"
    write_whole(target, b"old")
    write_whole(target, b"new", durable=False, mode=0o640)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(target.parent) == ["file"]


def test_a_partial_file_that_is_not_finished_is_deleted(tmp_path: Path) -> None:
    """A failure while writing leaves the old bytes, and no temporary file."""
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), partial_file(target) as partial:
        partial.write(memoryview(b"half") + b"more")  # type: ignore[operator]
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_finished_file_has_a_size_and_may_have_another_name(tmp_path: Path) -> None:
    """The name may be known only when all bytes are written."""
    with partial_file(tmp_path / "new") as partial:
        partial.write(b"12")
        partial.write(memoryview(b"345"))
        assert partial.finish(tmp_path / "named") == 5
    assert names(tmp_path) == ["named"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    """An empty folder is replaced by the filled one; a failure leaves nothing."""
    target = tmp_path / "kit"
    target.mkdir()
    with whole_folder(target, "it cannot be written") as partial:
        (partial / "file").write_bytes(b"data")
        assert not list(target.iterdir())
    assert (target / "file").read_bytes() == b"data"
    with (
        pytest.raises(MealkitError, match="DISK_DENIED: it cannot be written: No such file"),
        whole_folder(tmp_path / "other", "it cannot be written") as partial,
    ):
        (partial / "missing" / "file").write_bytes(b"data")
    assert names(tmp_path) == ["kit"]


@pytest.mark.parametrize(
    ("device", "code"), [("/dev/full", "DISK_FULL"), ("/dev", "DISK_DENIED")], ids=["full", "other"]
)
def test_what_the_system_refuses_is_a_problem(device: str, code: str) -> None:
    """A full disk is told from one that cannot be written to."""
    with (
        pytest.raises(MealkitError, match=f"{code}: writing under {device}: "),
        disk_errors(Path(device)),
        Path(device).open("wb", buffering=0) as stream,
    ):
        stream.write(b"data")


def test_a_folder_that_is_gone_cannot_be_made_durable(tmp_path: Path) -> None:
    """Its absence is a problem with its path."""
    with pytest.raises(MealkitError, match="DISK_DENIED") as error:
        sync_folder(tmp_path / "gone")
    assert error.value.problems[0].where == str(tmp_path / "gone")


def test_space_is_asked_for_before_anything_is_written(tmp_path: Path) -> None:
    """No disk has room for an exbibyte."""
    require_space(tmp_path / "new", 1)
    with pytest.raises(MealkitError, match=r"DISK_FULL: .* needs 1048576\.0 TiB more, .* are free"):
        require_space(tmp_path, 2**60)


_WRITER = """
import sys, os, signal
from pathlib import Path
from mealkit.files.whole import partial_file, whole_folder

with partial_file(Path(sys.argv[1])) as part, whole_folder(Path(sys.argv[2]), "no") as folder:
    part.write(b"x" * 100)
    part.flush()
    (folder / "file").write_bytes(b"x")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    """A living writer's files stay; those of a killed one go with the next write of the target."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "k.tar"), str(tmp_path / "kit")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        remove_leftovers(tmp_path)
        remove_leftovers(tmp_path, "k.tar")
        assert len(names(tmp_path)) == 2
        writer.kill()
        writer.wait()
    remove_leftovers(tmp_path, "other.tar")
    assert len(names(tmp_path)) == 2
    remove_leftovers(tmp_path, "k.tar")
    with whole_folder(tmp_path / "kit", "no"):
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == ["kit"]


def test_a_leftover_of_another_machine_is_deleted_when_it_is_old(tmp_path: Path) -> None:
    """The number of its process may belong to another here, so its age decides."""
    left = tmp_path / f".k.tar.{os.getppid()}-0123abcd.part"
    left.write_bytes(b"x")
    remove_leftovers(tmp_path, "k.tar")
    assert names(tmp_path) == [left.name]
    os.utime(left, (1, 1))
    (tmp_path / ".k.tar.mine.part").write_bytes(b"x")
    remove_leftovers(tmp_path, "k.tar")
    assert names(tmp_path) == [".k.tar.mine.part"]


@pytest.mark.parametrize("name", ["/proc/self/fd/9", "pipe"])
def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path: Path, name: str) -> None:
    """Root, too, cannot replace /dev/null or /dev/stdout by a file; large files are refused."""
    target = tmp_path / "stdout"
    if name == "pipe":
        os.mkfifo(target)
        reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    else:
        reader, writer = os.pipe()
        target.symlink_to(f"/proc/self/fd/{writer}")
    before = target.lstat()
    write_whole(target, b"answer")
    assert os.read(reader, 100) == b"answer"
    with pytest.raises(MealkitError) as caught, partial_file(target) as partial:
        partial.finish(target)
    assert caught.value.problems[0].code == "DISK_DENIED"
    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert [item.name for item in tmp_path.iterdir()] == ["stdout"]
