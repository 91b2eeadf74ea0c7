"""Builds that are killed, raced or starved leave a store that works, and the same digest after."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.little import little_kit, offline_environment

from mealkit.oci.validate import validate
from mealkit.stores.local import LocalStore

WEIGHTS_BYTES = 200 * 1024 * 1024
MOMENTS = 15


def build_command(kit: Path) -> list[str]:
    return [sys.executable, "-m", "mealkit", "--quiet", "build", str(kit)]


def digest_printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def build(kit: Path, home: Path, **more: str) -> str:
    return digest_printed(
        subprocess.run(
            build_command(kit),
            env=offline_environment(home, **more),
            capture_output=True,
            text=True,
            check=False,
        )
    )


@pytest.fixture
def large_kit(tmp_path: Path) -> Path:
    """A little kit with 200 MiB of weights that no two blocks share."""
    kit = little_kit(tmp_path / "kit", weights_bytes=WEIGHTS_BYTES)
    weights = kit / "weights" / "model.safetensors"
    source = random.Random(20)
    with weights.open("r+b") as stream:
        stream.seek(4096)
        for _ in range(WEIGHTS_BYTES // (1024 * 1024) - 1):
            stream.write(source.randbytes(1024 * 1024))
    return kit


def test_killed_at_any_moment_the_next_build_works(large_kit, tmp_path):
    """SIGKILL at fifteen moments, with and without a lock: the store holds, the digest is the same."""
    started = time.monotonic()
    expected = build(large_kit, tmp_path / "whole")
    whole_seconds = time.monotonic() - started
    home = tmp_path / "home"
    killed = 0
    source = random.Random(7)
    for moment in range(MOMENTS):
        if moment % 3 == 0:
            (large_kit / "kit.lock").unlink(missing_ok=True)
        # What was hashed before is remembered; another time of the file makes it work again.
        os.utime(large_kit / "weights" / "model.safetensors")
        process = subprocess.Popen(
            build_command(large_kit),
            env=offline_environment(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(whole_seconds * source.uniform(0.1, 0.9))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        for stored in LocalStore(home / "store").images():
            assert str(stored.digest) == expected
    assert killed

    assert build(large_kit, home) == expected
    store = LocalStore(home / "store")
    assert validate(store.image(expected)) == []
    freed = subprocess.run(
        [sys.executable, "-m", "mealkit", "--quiet", "prune"],
        env=offline_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert freed.returncode == 0, freed.stderr
    assert validate(store.image(expected)) == []
    assert list((home / "store").rglob("*.part")) == []


def test_two_builds_at_once_are_one_image(large_kit, tmp_path):
    """Both end well, with the same digest, in the same home, and one lock."""
    home = tmp_path / "home"
    processes = [
        subprocess.Popen(
            build_command(large_kit),
            env=offline_environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    done = [
        subprocess.CompletedProcess(process.args, 0, *process.communicate(timeout=300))
        for process in processes
    ]
    assert [process.returncode for process in processes] == [0, 0, 0], [
        item.stderr for item in done
    ]
    digests = {digest_printed(item) for item in done}
    assert len(digests) == 1
    (stored,) = LocalStore(home / "store").images()
    assert str(stored.digest) in digests
    assert validate(LocalStore(home / "store").image(str(stored.digest))) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 KB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "mealkit-test", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_space_is_all_it_takes(small_disk, tmp_path):
    """DISK_FULL with the exit code of its class; with room, the same command ends well."""
    kit = little_kit(tmp_path / "kit")
    expected = build(kit, tmp_path / "whole")
    home = small_disk / "home"
    done = subprocess.run(
        build_command(kit),
        env=offline_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6, (done.stdout, done.stderr)
    assert "DISK_FULL" in done.stderr
    assert "Traceback" not in done.stderr
    assert LocalStore(home / "store").images() == []

    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert build(kit, home) == expected
    assert validate(LocalStore(home / "store").image(expected)) == []


def test_a_lock_on_a_full_disk_leaves_the_old_one(small_disk, tmp_path):
    """The kit's own disk is full: DISK_FULL, and the lock that was there is whole."""
    kit = little_kit(small_disk / "kit", weights_bytes=8000)
    build(kit, tmp_path / "home")
    (kit / "prompts" / "query.jinja").write_text("other: {{ text }}\n")
    before = (kit / "kit.lock").read_bytes()
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    done = subprocess.run(
        [sys.executable, "-m", "mealkit", "--quiet", "lock", str(kit)],
        env=offline_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6, (done.stdout, done.stderr)
    assert "DISK_FULL" in done.stderr
    assert (kit / "kit.lock").read_bytes() == before
    assert [path.name for path in kit.glob(".kit.lock*")] == []
