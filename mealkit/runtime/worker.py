"""How the worker is started for a lock: its command, its settings file and its environment.

Refuses a state folder that cannot be written to. Nothing of the gateway's own environment reaches
the worker but what is listed here.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import failure
from mealkit.lock.model import Lock
from mealkit.runtime.settings import Settings

# A Unix socket's path has this many bytes at most, and a final zero: unix(7).
_SOCKET_PATH_BYTES = 107

# What the machine, and not the kit, decides: which GPUs, and where the driver's libraries are.
_PASSED_ON = frozenset(
    {
        "PATH",
        "LANG",
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
    }
)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Everything it takes to start the worker."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    socket: Path


def plan_worker(lock: Lock, settings: Settings, environment: Mapping[str, str]) -> WorkerPlan:
    """Write the worker's settings file, and say how to start it.

    Raises:
        StoreError: the state folder cannot be written to (``DISK_DENIED``).
        ContainerError: the state folder's path is too long (``CONFIG_INVALID``).
    """
    socket = settings.state / "worker.sock"
    if len(os.fsencode(socket)) > _SOCKET_PATH_BYTES:
        message = f"MEALKIT_STATE is too long for a socket below it: {settings.state}"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_STATE")
    config = settings.state / "worker.json"
    content = {
        "model_name": lock.model.name,
        "model_root": str(settings.models),
        "task": lock.model.task.value,
        "hyperparameters": lock.hyperparameters,
        "settings": lock.engine.settings,
        "code_root": str(settings.etc / "code"),
    }
    partial = config.with_suffix(".part")
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content))
        partial.replace(config)
        socket.unlink(missing_ok=True)
    except OSError as error:
        raise failure(
            "DISK_DENIED",
            f"the state folder cannot be written to: {error.strerror}",
            where=str(settings.state),
            hint=f"make it writable: docker run --tmpfs {settings.state}:uid=65532,mode=0700",
        ) from error
    python = (sys.executable, "-s", "-P", "-m")
    host = (*python, "mealkit.engines.host", "--socket", str(socket))
    return WorkerPlan(
        command=(
            *python,
            "mealkit.runtime.leash",
            str(os.getpid()),
            *host,
            *("--worker", lock.engine.worker, "--config", str(config)),
        ),
        environment=_environment(lock, settings, environment),
        socket=socket,
    )


def _environment(
    lock: Lock, settings: Settings, environment: Mapping[str, str]
) -> Mapping[str, str]:
    passed_on = {name: environment[name] for name in sorted(_PASSED_ON & environment.keys())}
    return {
        **passed_on,
        "HOME": str(settings.state),
        "TMPDIR": str(settings.state),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **lock.engine.environment,
        "PYTHONPATH": settings.engine_path,
    }
