"""The engine without a gateway: the same worker, files and settings, started by itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clock import UnixConnection
from benchmarks.measured import CannotMeasureError

_SOCKET, _CONFIG = "worker.sock", "worker.json"
_LOOP = Path(__file__).with_name("engine_loop.py")
_ENGINE_PATH = "/opt/mealkit/lib:/opt/mealkit/engine"


@dataclass(frozen=True, slots=True)
class BareEngine:
    """How one engine is started, and how to find out which process it is."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    socket: Path
    container: str | None

    @contextmanager
    def started(self) -> Iterator[tuple[int, Callable[[], UnixConnection]]]:
        """Run it until the block ends; give its process and a maker of connections to it.

        Raises:
            CannotMeasureError: it does not start.
        """
        if self.container is None:
            process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment}, stderr=subprocess.DEVNULL
            )
            try:
                yield process.pid, self._connect
            finally:
                process.terminate()
                process.wait()
            return
        try:
            _docker(*self.command[1:])
            pid = int(_docker("inspect", "--format", "{{.State.Pid}}", self.container))
            yield pid, self._connect
        finally:
            subprocess.run(
                ["docker", "rm", "--force", self.container], capture_output=True, check=False
            )

    def _connect(self) -> UnixConnection:
        return UnixConnection(self.socket)


def bare_in_docker(running: str, kit: Path, state: Path) -> BareEngine:
    """Plan the engine of a running kit's container, in a container of the same image.

    Raises:
        CannotMeasureError: docker does not know the container.
    """
    lock, config = _configured(kit, Path("/models"), state, Path("/var/lib/mealkit"))
    name = f"{running}-bare"
    command = (
        *("docker", "run", "--detach", "--name", name),
        *_same_image(running, lock, state),
        *_host(lock, Path("/var/lib/mealkit"), config),
    )
    return BareEngine(command, {}, state / _SOCKET, name)


def loop_in_docker(running: str, kit: Path, state: Path, *arguments: str) -> str:
    """Run the engine's loop in a container of a running kit's image; return what it prints.

    Raises:
        CannotMeasureError: docker does not know the container, or the loop fails.
    """
    lock, config = _configured(kit, Path("/models"), state, Path("/var/lib/mealkit"))
    shutil.copyfile(_LOOP, state / _LOOP.name)
    return _docker(
        *("run", "--rm", "--name", f"{running}-loop"),
        *_same_image(running, lock, state),
        *("-s", "-P", f"/var/lib/mealkit/{_LOOP.name}"),
        *(lock["engine"]["worker"], str(config), *arguments),
    )


def _same_image(running: str, lock: Any, state: Path) -> tuple[str, ...]:
    """Return docker's options for the image, weights and settings that a running container has."""
    seen = json.loads(_docker("inspect", running))[0]
    mounts = [
        option
        for mount in seen["Mounts"]
        if mount["Type"] == "bind"
        for option in ("--volume", f"{mount['Source']}:{mount['Destination']}:ro")
    ]
    environment = {**lock["engine"]["environment"], "PYTHONPATH": _ENGINE_PATH}
    variables = [word for item in environment.items() for word in ("--env", "=".join(item))]
    return (
        *("--read-only", "--network", "none", "--user", "65532:65532", *mounts, *variables),
        *("--volume", f"{state}:/var/lib/mealkit"),
        *("--entrypoint", lock["runtime"]["interpreter"], seen["Image"]),
    )


def bare_outside(home: Path, kit: Path, state: Path) -> BareEngine:
    """Plan the engine of a kit as a process of this machine, with this Python and its packages."""
    models = state / "models"
    lock, config = _configured(kit, models, state, state)
    models.mkdir()
    for file in lock["model"]["files"]:
        hexadecimal = file["sha256"].removeprefix("sha256:")
        sources = [
            path
            for folder in (home / "files", kit)
            for path in folder.rglob("*")
            if path.is_file() and (hexadecimal in str(path) or path.name == file["path"])
        ]
        if not sources:
            raise CannotMeasureError(f"the home has no {file['path']}")
        # A copy: engines resolve the data beside a graph by its real place.
        shutil.copyfile(sources[0], models / file["path"])
    command = (sys.executable, *_host(lock, state, config))
    return BareEngine(command, lock["engine"]["environment"], state / _SOCKET, None)


def _configured(kit: Path, models: Path, state: Path, shown: Path) -> tuple[Any, Path]:
    """Write the worker's settings into a new state folder; return the lock, and where they are."""
    lock = json.loads((kit / "kit.lock").read_bytes())
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o777)
    state.chmod(0o777)  # the container's user writes its socket there
    content = {
        "model_name": lock["model"]["name"],
        "model_root": str(models),
        "task": lock["model"]["task"],
        "hyperparameters": lock["hyperparameters"],
        "settings": lock["engine"]["settings"],
        "code_root": str(state / "code"),
    }
    (state / _CONFIG).write_text(json.dumps(content))
    return lock, shown / _CONFIG


def _host(lock: Any, state: Path, config: Path) -> tuple[str, ...]:
    return (
        *("-s", "-P", "-m", "mealkit.worker.host", "--socket", str(state / _SOCKET)),
        *("--worker", lock["engine"]["worker"], "--config", str(config)),
    )


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotMeasureError(f"docker cannot be called: {error.strerror}") from error
    if done.returncode:
        raise CannotMeasureError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
