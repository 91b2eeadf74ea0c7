"""How the worker is started for a lock: its command, its settings file and its environment.

The worker gets only those variables of the gateway's environment that are listed here. This module
runs first, so it imports only quick modules.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

from mealkit.paths import DEFAULTS, LOCK_NAME, USER_ID, stated_port
from mealkit.runtime.body_limits import body_limit
from mealkit.runtime.life.isolation import CONFINEMENT, has_two_users
from mealkit.runtime.life.listening import listening

# mypy reads it; at run time it would cost a tenth of what starting the worker takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The maximum length of a Unix socket's path, without the final zero byte: unix(7).
_SOCKET_PATH_BYTES = 107

# Where a user who may not write to the state folder may write: in the order of their size. Docker
# gives a container with a read-only root the second one.
_OTHERS = ("/tmp", "/dev/shm")  # noqa: S108  a new folder of a random name, for this user alone

# Variables of the machine, not of the kit: which GPUs, the path of the driver's libraries, and the
# authorities that a kit which fetches files trusts.
_PASSED_ON = frozenset(
    {
        "PATH",
        "LANG",
        "QEMU_CPU",
        "LD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CUDA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
    }
)


class WorkerPlan:
    """Everything needed to start the worker."""

    __slots__ = ("_config", "command", "environment", "socket", "state")

    def __init__(self, lock: "Mapping[str, Any]", environment: Mapping[str, str]) -> None:
        """Plan the worker for a lock in JSON form.

        Raises:
            ValueError: the state folder's path is not absolute, or too long for a socket below it.
            KeyError, TypeError: the values are not a lock.
        """
        places = DEFAULTS | {name: environment[name] for name in DEFAULTS if name in environment}
        state = self.state = places["MEALKIT_STATE"]
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
        limit = body_limit(lock["serving"], engine["settings"])
        self.command = (
            *(
                sys.executable,
                "-s",
                "-P",
                "-m",
                "mealkit.runtime.life.worker_main",
                str(os.getpid()),
            ),
            *("--socket", self.socket, "--worker", engine["worker"], "--config", config),
            *("--max-body-bytes", str(limit.worker_bytes)),
        )
        self.environment = {
            **{name: environment[name] for name in sorted(_PASSED_ON & environment.keys())},
            "HOME": state,
            "TMPDIR": state,
            # The user may be any number, and libraries ask for its name.
            "LOGNAME": "mealkit",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **engine["environment"],
            **({"MEALKIT_DEV": "on"} if environment.get("MEALKIT_DEV") == "on" else {}),
            "PYTHONPATH": places["MEALKIT_ENGINE_PATH"],
        }

    def place(self) -> None:
        """Write the worker's settings file, and remove a socket that is left over.

        Raises:
            OSError: the state folder cannot be written to.
        """
        path, text = self._config
        state = os.path.dirname(path)  # noqa: PTH120
        os.makedirs(state, exist_ok=True)  # noqa: PTH103
        # The folder may be older than this container, and the kit's code may have written to it.
        for left in (f"{path}.part", path):
            _clear(left)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(f"{path}.part", flags, 0o664), "w") as partial:  # noqa: PTH123
            partial.write(text)
        os.replace(f"{path}.part", path)  # noqa: PTH105
        self.remove_socket()
        if has_two_users():
            os.chown(state, USER_ID, USER_ID)

    def remove_socket(self) -> None:
        """Remove the socket of a worker that has ended."""
        _clear(self.socket)


def placed_plan(lock: "Mapping[str, Any]", environment: Mapping[str, str]) -> WorkerPlan:
    """Plan the worker, with its files in the first state folder that can be written to.

    Raises:
        ValueError, KeyError, TypeError: see ``WorkerPlan``.
        OSError: the folder cannot be written to, and neither can another place.
    """
    if os.getegid() == 0 and os.geteuid() != 0:
        # Such a user is any number, and the next start may have another one, of the same group.
        os.umask(0o002)
    plan = WorkerPlan(lock, environment)
    try:
        plan.place()
    except OSError:
        if "MEALKIT_STATE" in environment:
            raise
        for folder in _OTHERS:
            with suppress(OSError):
                state = f"{folder}/mealkit-{os.urandom(8).hex()}"
                os.mkdir(state, 0o700)  # noqa: PTH102
                plan = WorkerPlan(lock, {**environment, "MEALKIT_STATE": state})
                plan.place()
                return plan
        raise
    return plan


class Spawned:
    """A started process: its id, and the pipes from and to it.

    After its imports, a worker waits for a byte on ``stdin`` before it loads; if ``stdin`` is
    closed instead, it exits.
    """

    __slots__ = ("pid", "stderr", "stdin", "stdout")

    def __init__(self, command: "tuple[str, ...]", environment: Mapping[str, str]) -> None:
        """Start a command with exactly this environment, in its own session, with dropped rights.

        Raises:
            OSError: the command cannot be run.
        """
        own, other = zip(os.pipe(), os.pipe(), os.pipe()[::-1], strict=True)
        try:
            self.pid = CONFINEMENT.start(
                lambda: os.posix_spawn(
                    command[0],
                    list(command),
                    environment,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, descriptor, number)
                        for number, descriptor in zip((1, 2, 0), other, strict=True)
                    ],
                    setsid=True,
                    setsigdef=[signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT],
                )
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
        """Let the worker load, unless it was released before."""
        if self.stdin is None:
            return
        with suppress(OSError):  # the worker has ended; the supervisor reports it
            os.write(self.stdin, b"\n")
        os.close(self.stdin)
        self.stdin = None

    def drop(self) -> None:
        """End a worker that was never released; leave any other one as it is."""
        if self.stdin is not None:
            for descriptor in (self.stdin, self.stdout, self.stderr):
                os.close(descriptor)
            self.stdin = None


def begin(environment: Mapping[str, str]) -> "tuple[WorkerPlan, Spawned, int] | None":
    """Start the container's worker before anything else; it waits until it is released.

    The listening socket for callers is opened before; its descriptor is returned with the worker.
    None if anything fails: the regular start then fails in the same way and reports the problem.
    """
    etc = environment.get("MEALKIT_ETC", DEFAULTS["MEALKIT_ETC"])
    listener = None
    if environment.get("MEALKIT_DEV"):  # the lock may be another one a moment later
        return None
    try:
        with open(f"{etc}/{LOCK_NAME}", "rb") as file:  # noqa: PTH123
            lock = json.load(file)
        plan = placed_plan(lock, environment)
        host = environment.get("MEALKIT_HOST", DEFAULTS["MEALKIT_HOST"])
        _, port = stated_port(environment) or ("", lock["serving"]["port"])
        listener = listening(environment, host, int(port))
        return plan, Spawned(plan.command, plan.environment), listener
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        if listener is not None:
            os.close(listener)
        return None


def _clear(path: str) -> None:
    """Remove the file at a path, of any kind; a folder is moved away."""
    with suppress(FileNotFoundError):
        try:
            os.unlink(path)  # noqa: PTH108
        except IsADirectoryError:
            os.rename(path, f"{path}.{os.urandom(8).hex()}")  # noqa: PTH104
