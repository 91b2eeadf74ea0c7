"""A Job copies the image's weights into a volume, and containers wait until all of them are there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.recipe.lock import lock_bytes, read_lock
from mealkit.runtime.weights_volume import MARK, weights_exit

FILES = {"model/a.bin": b"a" * 3_000_000, "model/deep/b.json": b"{}"}
LOCK = Path(__file__).parents[2] / "kits" / "tiny-chat-onnx" / "kit.lock"


@pytest.fixture
def image(tmp_path):
    """The environment of an image with two files of weights; the volume is beside it."""
    lock = read_lock(LOCK.read_bytes())
    pattern = lock.model.files[0]
    files = tuple(
        pattern.model_copy(
            update={"path": path, "sha256": Digest.of(data), "size_bytes": len(data)}
        )
        for path, data in FILES.items()
    )
    model = lock.model.model_copy(update={"files": files})
    (tmp_path / "etc").mkdir()
    changed = lock.model_copy(update={"model": model})
    (tmp_path / "etc" / "kit.lock").write_bytes(lock_bytes(changed))
    for path, data in FILES.items():
        file = tmp_path / "models" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return {"MEALKIT_ETC": str(tmp_path / "etc"), "MEALKIT_MODELS": str(tmp_path / "models")}


def run(image, *arguments):
    """The command as the image's entry point runs it."""
    return subprocess.run(
        [sys.executable, "-m", "mealkit.runtime", "weights", *arguments],
        env=image,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_volume_is_filled_once_and_mended(image, tmp_path, capsys):
    """All files with their bytes; what is there is not copied again; a damaged file is replaced."""
    volume = tmp_path / "volume"
    volume.mkdir()
    done = run(image, "copy", str(volume))
    assert (done.returncode, done.stderr) == (0, "")
    assert {path: (volume / path).read_bytes() for path in FILES} == FILES
    (volume / "model" / "deep" / "b.json").write_bytes(b"[]")
    assert weights_exit(["copy", str(volume)], image) == 0
    assert capsys.readouterr().out.splitlines() == [
        "model/a.bin is there",
        "model/deep/b.json copied",
    ]
    assert {path: (volume / path).read_bytes() for path in FILES} == FILES
    assert run(image, "wait", str(volume)).returncode == 0


def test_other_bytes_are_never_copied(image, tmp_path, capsys):
    """A file that is not the locked one is a problem; nothing of it and no mark is left."""
    (tmp_path / "models" / "model" / "a.bin").write_bytes(b"b" * 3_000_000)
    assert weights_exit(["copy", str(tmp_path / "volume")], image) == 11
    assert "error[WEIGHTS_MISMATCH] model/a.bin is sha256:" in capsys.readouterr().err
    assert [path for path in (tmp_path / "volume").rglob("*") if path.is_file()] == []


def test_a_lean_image_has_nothing_to_copy(image, tmp_path, capsys):
    """The problem says so."""
    (tmp_path / "models" / "model" / "a.bin").unlink()
    assert weights_exit(["copy", str(tmp_path / "volume")], image) == 11
    assert "a lean image has no weights" in capsys.readouterr().err


def test_a_container_waits_for_the_mark(image, tmp_path):
    """It goes on when all weights are there, not before, and ends at once if it is told to."""
    command = [sys.executable, "-m", "mealkit.runtime", "weights", "wait", str(tmp_path)]
    with subprocess.Popen(command, env=image, stdout=subprocess.PIPE, text=True) as waiting:
        assert "waiting for the weights" in waiting.stdout.readline()
        (tmp_path / MARK).write_text("sha256:other\n")
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait() == 143
