"""How a worker is started for a lock: its files, its environment and its pipes."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from mealkit.recipe.lock import lock_bytes
from mealkit.runtime.life.worker_plan import Spawned, WorkerPlan, begin


@pytest.fixture
def lock(make_lock):
    return json.loads(lock_bytes(make_lock(environment={"PYTHONPATH": "/evil", "HOME": "/h"})))


def open_descriptors():
    return [path.name for path in Path("/proc/self/fd").iterdir()]


def plan_for(lock, state, **environment):
    return WorkerPlan(lock, {"MEALKIT_STATE": str(state), **environment})


def test_nothing_else_of_the_environment_reaches_the_worker(lock, tmp_path):
    """What the machine decides passes, secrets do not, and the engine's path is not the lock's."""
    plan = plan_for(
        lock,
        tmp_path,
        PATH="/bin",
        CUDA_VISIBLE_DEVICES="1",
        MEALKIT_KEYS="secret",
        AWS_SECRET="secret",
        LD_PRELOAD="/evil.so",
        MEALKIT_ENGINE_PATH="/engine",
    )
    assert plan.environment == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/h",
        "TMPDIR": str(tmp_path),
        "LOGNAME": "mealkit",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "TELEMETRY": "off",
        "PYTHONPATH": "/engine",
    }
    assert plan.command[:5] == (
        sys.executable,
        "-s",
        "-P",
        "-m",
        "mealkit.runtime.life.worker_main",
    )


@pytest.mark.parametrize("state", ["state", "", "/" + "x" * 96, "/" + "é" * 48])
def test_a_state_folder_that_no_socket_could_lie_in(lock, state):
    """A Unix socket's path has 107 bytes at most."""
    with pytest.raises(ValueError, match="MEALKIT_STATE"):
        plan_for(lock, state)


def test_the_longest_state_folder(lock):
    """One byte less is taken."""
    assert len(plan_for(lock, "/" + "x" * 94).socket) == 107


@pytest.mark.parametrize("broken", [{}, {"engine": {}}, [], None])
def test_what_is_no_lock_has_no_plan(broken):
    """The regular start explains it."""
    with pytest.raises((KeyError, TypeError)):
        plan_for(broken, "/state")


@pytest.mark.parametrize("left", ["worker.json", "worker.json.part", "worker.sock"])
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_was_left_is_replaced(lock, tmp_path, left, kind):
    """A link is not followed, and a folder is moved away with what is in it."""
    target = tmp_path / "target"
    target.write_text("untouched")
    state = tmp_path / "state"
    state.mkdir()
    match kind:
        case "file":
            (state / left).write_text("old")
        case "folder":
            (state / left).mkdir()
            (state / left / "inside").touch()
        case "link":
            (state / left).symlink_to(target)
    plan = plan_for(lock, state)
    plan.place()
    written = state / "worker.json"
    assert stat.S_ISREG(written.lstat().st_mode)
    assert json.loads(written.read_text())["task"] == "embeddings"
    assert target.read_text() == "untouched"
    assert not os.path.lexists(plan.socket)
    assert not os.path.lexists(f"{written}.part")


def test_a_process_waits_until_it_is_released():
    """It reads a byte once, and its end of the pipe afterwards."""
    program = "import os; print(os.read(0, 9), os.read(0, 9))"
    child = Spawned((sys.executable, "-c", program), {"LANG": "C"})
    child.release()
    child.release()
    with os.fdopen(child.stdout) as said, os.fdopen(child.stderr) as complained:
        assert (said.read(), complained.read()) == ("b'\\n' b''\n", "")
    os.waitpid(child.pid, 0)


def test_a_process_that_has_ended_can_be_released():
    """Its watcher tells of its end, not this."""
    child = Spawned((sys.executable, "-c", ""), {})
    os.waitpid(child.pid, 0)
    child.release()
    os.close(child.stdout)
    os.close(child.stderr)


def test_a_command_that_is_not_there_leaves_no_pipes():
    """Every descriptor is closed again."""
    before = len(open_descriptors())
    with pytest.raises(OSError, match="No such file"):
        Spawned(("/nowhere/python",), {})
    assert len(open_descriptors()) == before


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "3", '{"serving": 1}', "[" * 100_000, '"' + "x" * 99]
)
def test_an_early_start_that_fails_leaves_nothing(tmp_path, text):
    """No process, no socket and no error: the regular start finds the same fault."""
    if text is not None:
        (tmp_path / "kit.lock").write_text(text)
    before = len(open_descriptors())
    places = {"MEALKIT_ETC": str(tmp_path), "MEALKIT_STATE": str(tmp_path / "state")}
    assert begin(places) is None
    assert len(open_descriptors()) == before


@pytest.mark.parametrize("port", ["70000", "x", "-1", "9" * 5000])
def test_an_early_start_on_no_port(make_lock, tmp_path, port):
    """The port is refused later, with its name."""
    (tmp_path / "kit.lock").write_bytes(lock_bytes(make_lock()))
    places = {"MEALKIT_ETC": str(tmp_path), "MEALKIT_STATE": str(tmp_path / "state")}
    assert begin({**places, "MEALKIT_HOST": "127.0.0.1", "MEALKIT_PORT": port}) is None
