"""How the worker is started for a lock: its command, its settings file and its environment.

Nothing of the gateway's own environment reaches the worker but what is listed here. This runs
before anything else does, so it imports what is quick to import and nothing more.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

from mealkit.runtime.places import DEFAULTS, LOCK_NAME

# mypy reads it; at run time it would cost a tenth of what starting the worker takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


class WorkerPlan:
    """Everything it takes to start the worker."""

    __slots__ = ("_config", "command", "environment", "socket")

    def __init__(self, lock: "Mapping[str, Any]", environment: Mapping[str, str]) -> None:
        """Plan for a lock as JSON has it.

        Raises:
            ValueError: the state folder's path is not absolute, or too long for a socket below it.
            KeyError, TypeError: that is no lock.
        """
        places = DEFAULTS | {name: environment[name] for name in DEFAULTS if name in environment}
        state = places["MEALKIT_STATE"]
        self.socket = f"{state}/worker.sock"
        if not state.startswith("/") or len(os.fsencode(self.socket)) > _SOCKET_PATH_BYTES:
            raise ValueError(f"MEALKIT_STATE is too long for a socket below it: {state}")
        engine, config = lock["engine"], f"{state}/worker.json"
        content = {
            "model_name": lock["model"]["name"],
            "model_root": places["MEALKIT_MODELS"],
            "task": lock["model"]["task"],
            "hyperparameters": lock["hyperparameters"],
            "settings": engine["settings"],
            "code_root": f"{places['MEALKIT_ETC']}/code",
        }
        self._config = (config, json.dumps(content))
        self.command = (
            *(sys.executable, "-s", "-P", "-m", "mealkit.runtime.leash", str(os.getpid())),
            *("--socket", self.socket, "--worker", engine["worker"], "--config", config),
        )
        self.environment = {
            **{name: environment[name] for name in sorted(_PASSED_ON & environment.keys())},
            "HOME": state,
            "TMPDIR": state,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **engine["environment"],
            "PYTHONPATH": places["MEALKIT_ENGINE_PATH"],
        }

    def place(self) -> None:
        """Write the worker's settings file, and remove a socket that is left over.

        Raises:
            OSError: the state folder cannot be written to.
        """
        path, text = self._config
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(f"{path}.part", "w") as partial:  # noqa: PTH123
            partial.write(text)
        os.replace(f"{path}.part", path)  # noqa: PTH105
        self.remove_socket()

    def remove_socket(self) -> None:
        """Remove the socket of a worker that has ended."""
        try:
            os.unlink(self.socket)  # noqa: PTH108
        except FileNotFoundError:
            return


class Spawned:
    """A process that was started: its number, and the pipes from and to it.

    A worker waits, after what it can do before anything is known of the machine, for a byte on
    ``stdin``; when that is closed instead, it ends.
    """

    __slots__ = ("pid", "stderr", "stdin", "stdout")

    def __init__(self, command: "tuple[str, ...]", environment: Mapping[str, str]) -> None:
        """Start a command with exactly this environment, in a process group of its own.

        Raises:
            OSError: it cannot be run.
        """
        own, other = zip(os.pipe(), os.pipe(), os.pipe()[::-1], strict=True)
        try:
            self.pid = os.posix_spawn(
                command[0],
                list(command),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, descriptor, number)
                    for number, descriptor in zip((1, 2, 0), other, strict=True)
                ],
                setpgroup=0,
                setsigdef=[signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT],
            )
        except OSError:
            for descriptor in own:
                os.close(descriptor)
            raise
        finally:
            for descriptor in other:
                os.close(descriptor)
        self.stdout, self.stderr, stdin = own
        self.stdin: int | None = stdin

    def release(self) -> None:
        """Let the worker load, if that was not said before."""
        if self.stdin is None:
            return
        with suppress(OSError):  # it has ended; whoever waits for it will say so
            os.write(self.stdin, b"\n")
        os.close(self.stdin)
        self.stdin = None


def begin(environment: Mapping[str, str]) -> "tuple[WorkerPlan, Spawned] | None":
    """Start the container's worker before anything else; it waits until it is released.

    None if that fails: the regular start finds the same fault, and can explain it.
    """
    etc = environment.get("MEALKIT_ETC", DEFAULTS["MEALKIT_ETC"])
    try:
        with open(f"{etc}/{LOCK_NAME}", "rb") as file:  # noqa: PTH123
            lock = json.load(file)
        plan = WorkerPlan(lock, environment)
        plan.place()
        return plan, Spawned(plan.command, plan.environment)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
