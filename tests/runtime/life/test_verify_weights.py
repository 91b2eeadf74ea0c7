"""Weights are compared with the lock byte by byte; the first difference ends the check."""

import os
import threading

import pytest

from mealkit.digest import Digest
from mealkit.errors import EngineError
from mealkit.files.identity import FileKey
from mealkit.recipe.locked_file import LockedFile
from mealkit.runtime.life.verify_weights import (
    VerificationStoppedError,
    hashed_by_the_host,
    verify_weights,
)

DATA = {"a.safetensors": bytes(3_000_000), "sub/b.json": b"{}", "empty": b""}


@pytest.fixture
def locked(tmp_path):
    """Write the files and lock them."""
    for name, data in DATA.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return [
        LockedFile(
            path=name, sha256=Digest.of(data), size_bytes=len(data), format="text", origins=()
        )
        for name, data in DATA.items()
    ]


def ignore(_size):
    pass


def test_right_weights(locked, tmp_path):
    """The right bytes pass, and every one of them counts as progress."""
    sizes = []
    verify_weights(locked, tmp_path, sizes.append)
    assert sum(sizes) == sum(len(data) for data in DATA.values())


@pytest.mark.parametrize("place", [0, 1_500_000, 2_999_999])
def test_flipped_bit(locked, tmp_path, place):
    """A flipped bit anywhere is found, with expected and found digest."""
    path = tmp_path / "a.safetensors"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        verify_weights(locked, tmp_path, ignore)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("WEIGHTS_MISMATCH", str(path))
    assert str(locked[0].sha256) in problem.message
    assert str(Digest.of(bytes(data))) in problem.message


def test_all_that_is_missing_or_cut_is_named(locked, tmp_path):
    """Missing and cut files are all named at once, before anything is hashed."""
    (tmp_path / "sub" / "b.json").unlink()
    os.truncate(tmp_path / "a.safetensors", 10)
    hashed = []
    with pytest.raises(EngineError) as caught:
        verify_weights(locked, tmp_path, hashed.append)
    assert [item.code for item in caught.value.problems] == ["WEIGHTS_MISMATCH", "WEIGHTS_MISSING"]
    assert "10 bytes, the lock expects 3000000" in caught.value.problems[0].message
    assert hashed == []


def test_pipe_and_folder_in_place_of_a_file(locked, tmp_path):
    """Something that is not a file is missing, and is not waited for."""
    path = tmp_path / "sub" / "b.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(EngineError, match="WEIGHTS_MISSING"):
        verify_weights(locked, tmp_path, ignore)
    path.unlink()
    path.mkdir()
    with pytest.raises(EngineError, match="WEIGHTS_MISSING"):
        verify_weights(locked, tmp_path, ignore)


def test_file_that_vanishes_while_others_are_hashed(locked, tmp_path):
    """A file that goes away after the first look is missing too."""

    def unlink(_size):
        (tmp_path / "sub" / "b.json").unlink(missing_ok=True)

    # One CPU: the largest file is read first, alone.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with pytest.raises(EngineError, match=r"WEIGHTS_MISSING: sub/b\.json cannot be read"):
            verify_weights(locked, tmp_path, unlink)
    finally:
        os.sched_setaffinity(0, before)


def test_stop(locked, tmp_path):
    """A check that is stopped raises an error of its own, without a verdict on the files."""
    stop = threading.Event()

    def halt(_size):
        stop.set()

    with pytest.raises(VerificationStoppedError):
        verify_weights(locked, tmp_path, halt, stop)


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/proc/self/status", "loop"])
def test_what_comes_to_a_files_place_after_the_first_look_is_not_waited_for(locked, tmp_path, kind):
    """A FIFO or a device that replaces a file while others are hashed is refused, not read."""
    path = tmp_path / "sub" / "b.json"

    def replace(_size):
        path.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(path if kind == "loop" else kind)

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with pytest.raises(EngineError, match=r"WEIGHTS_MISSING: sub/b\.json cannot be read"):
            verify_weights(locked, tmp_path, replace)
    finally:
        os.sched_setaffinity(0, before)
    with pytest.raises(EngineError, match="WEIGHTS_MIS"):
        verify_weights(locked, tmp_path, ignore)


def test_only_the_very_files_of_the_host_are_known(locked, tmp_path):
    """A file that the host has hashed is known by its identity; a written one, and a copy, are not."""
    verified = {
        str(file.sha256): tuple(FileKey.of(tmp_path / file.path).as_json()) for file in locked
    }
    assert hashed_by_the_host(locked, tmp_path, verified) == tuple(locked)
    first, second, third = locked
    (tmp_path / first.path).write_bytes(DATA[first.path])
    copy = tmp_path / "copy"
    copy.write_bytes(DATA[second.path])
    copy.replace(tmp_path / second.path)
    assert hashed_by_the_host(locked, tmp_path, verified) == (third,)
    (tmp_path / third.path).unlink()
    assert hashed_by_the_host(locked, tmp_path, verified) == ()
