"""Runs one untrusted program in a sandbox: talks to it over its streams, and always ends it.

The program has only a read-only root folder and its three streams: no network, no other process, no
file of this machine, no rights, and limits for all resources. If the kernel does not allow
namespaces, nothing is run.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mealkit.containers.sandbox_plan import may_become
from mealkit.digest import CHUNK_BYTES
from mealkit.untrusted import parse_json_object

# The user "nobody" of every distribution, who owns no files.
NOBODY = 65534

# Adds the path of mealkit's modules after Python's own, without other installed packages.
_STARTS = (
    "import sys; sys.path.append({!r}); from mealkit.containers.confined_init import main; main()"
)
_PACKAGES = Path(__file__).parents[2]
_MEMORY_BYTES = 2 * 1024**3
_STACK_BYTES = 8 * 1024**2
_OPEN_FILES = 32
# The program, its forks, and the processes that supervise it.
_PROCESSES = 16
_SAID_BYTES = 64 * 1024
# Since this version the kernel counts the processes of a user namespace separately.
_COUNTS_APART = (5, 14)
_END_SECONDS = 30


class EndedError(Exception):
    """The program ended, or was ended, before its answer was complete."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a confined program ended."""

    step: str | None = None
    """The step of the setup or the start that failed; the program did not run then."""
    errno: int | None = None
    """The error number of that step."""
    code: int | None = None
    """Its exit code; minus the number of the signal that ended it."""
    said: str = ""
    """The end of its error stream, which is untrusted text."""
    late: bool = False
    """Whether it was ended because it exceeded its time."""


class Confined:
    """A running program; use it as a context manager, which ends all its processes."""

    def __init__(
        self, root: Path, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> None:
        """Start ``command`` with ``root`` as its only file system; end it after ``seconds``.

        Raises:
            OSError: no process can be started.
        """
        self._late = False
        own_users = not may_become(NOBODY)
        limits = _limits(seconds, own_users=own_users)
        alive, self._alive = os.pipe()
        self._report, report = os.pipe()
        orders = {
            "root": str(root),
            "command": list(command),
            "environment": dict(environment),
            "user_id": NOBODY,
            "own_users": own_users,
            "limits": limits,
            "alive": alive,
            "report": report,
        }
        start = _STARTS.format(str(_PACKAGES))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", start, json.dumps(orders)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={},
                pass_fds=(alive, report),
                start_new_session=True,  # Ctrl-C goes only to mealkit
            )
        except BaseException:
            os.close(self._alive)
            os.close(self._report)
            raise
        finally:
            os.close(alive)
            os.close(report)
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._time_is_up)
        self._timer.daemon = True
        self._timer.start()
        self._ending: Ending | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def write(self, data: bytes | memoryview) -> None:
        """Write to its input stream.

        Raises:
            EndedError: the program has ended or closed the stream.
        """
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._process.stdin.fileno(), left) :]
        except BrokenPipeError as error:
            raise EndedError from error

    def read(self, size_bytes: int) -> bytes:
        """Read exactly this many bytes of its output stream, which must fit into memory.

        Raises:
            EndedError: the stream ends earlier.
        """
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        parts: list[bytes] = []
        left = size_bytes
        while left:
            part = os.read(self._process.stdout.fileno(), min(left, CHUNK_BYTES))
            if not part:
                raise EndedError
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def stop(self) -> None:
        """Make all its processes end; from any thread, and without waiting.

        Its process 1 watches a pipe. When the pipe closes, it ends, and all the others with it.
        """
        with self._lock:
            if self._alive >= 0:
                os.close(self._alive)
                self._alive = -1

    def end(self) -> Ending:
        """End all its processes, and return how it ended.

        After this call no other thread may use its streams.
        """
        if self._ending is None:
            self._timer.cancel()
            self.stop()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
            told = _told(self._report)
            self._ending = Ending(
                step=told.get("step"),
                errno=told.get("errno"),
                code=told.get("code"),
                said=self._said(),
                late=self._late,
            )
            os.close(self._report)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
        return self._ending

    def wait(self) -> Ending:
        """Wait until it ends by itself or its time is over; then like `end`."""
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.close()
        self._process.wait()
        return self.end()

    def _time_is_up(self) -> None:
        self._late = True
        self.stop()

    def _said(self) -> str:
        """Read the end of its error stream: as much as the pipe contains, without waiting."""
        assert self._process.stderr is not None  # noqa: S101  it is a pipe
        opened = self._process.stderr.fileno()
        os.set_blocking(opened, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(opened, _SAID_BYTES).decode(errors="replace").strip()
        return ""


def _told(report: int) -> dict[str, Any]:
    """Read the report of mealkit's own processes around the program."""
    os.set_blocking(report, False)
    with contextlib.suppress(BlockingIOError, ValueError):
        return parse_json_object(os.read(report, _SAID_BYTES).partition(b"}")[0] + b"}")
    return {}


def _limits(seconds: float, *, own_users: bool) -> dict[str, int]:
    """Return the limits for each of the program's processes, by names of the module resource."""
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": int(seconds) + 1,
        "RLIMIT_AS": _MEMORY_BYTES,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_STACK": _STACK_BYTES,
        "RLIMIT_NPROC": _PROCESSES + (0 if own_users and _counts_apart() else _others(own_users)),
    }


def _counts_apart() -> bool:
    numbers = re.match(r"([0-9]+)\.([0-9]+)", os.uname().release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= _COUNTS_APART


def _others(own_users: bool) -> int:  # noqa: FBT001  named where it is called
    """Count the processes that already run as the user that the program has on this machine."""
    user, threads = (os.getuid() if own_users else NOBODY), 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
            if int(lines["Uid"].split()[0]) == user:
                threads += int(lines["Threads"])
    return threads
