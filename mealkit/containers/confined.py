"""Starts one program of strangers, shut in; talks to it over its streams, and ends it for sure.

The program sees a root folder that it cannot write, its three streams, and nothing else: no
network, no other process, no file of this machine, no rights, and limits on everything it could
use up. Refuses to run it any other way: where the kernel allows no namespaces, nothing is run.
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

# "nobody" of every distribution; it owns nothing.
NOBODY = 65534

# What finds mealkit's modules, behind all of Python's own, and nothing else that is installed.
_STARTS = (
    "import sys; sys.path.append({!r}); from mealkit.containers.confined_init import main; main()"
)
_PACKAGES = Path(__file__).parents[2]
_MEMORY_BYTES = 2 * 1024**3
_STACK_BYTES = 8 * 1024**2
_OPEN_FILES = 32
# The program, what it forks, and the processes that watch over it.
_PROCESSES = 16
_SAID_BYTES = 64 * 1024
# Since then the kernel counts the processes of a user namespace apart from the user's others.
_COUNTS_APART = (5, 14)
_END_SECONDS = 30


class EndedError(Exception):
    """The program ended, or was ended, before it said all that was asked of it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a confined program ended."""

    step: str | None = None
    """The step of shutting it in, or of starting it, that failed; the program did not run then."""
    errno: int | None = None
    """What that step failed with."""
    code: int | None = None
    """Its exit code; minus the number of the signal that ended it."""
    said: str = ""
    """The end of what it wrote to its error stream: words of strangers."""
    late: bool = False
    """Whether it was ended because its time was up."""


class Confined:
    """A running program; use it as a context manager, at whose end nothing of it runs any more."""

    def __init__(
        self, root: Path, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> None:
        """Start ``command`` with ``root`` as its whole file system; end it after ``seconds``.

        Raises:
            OSError: no process can be started at all.
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
                start_new_session=True,  # the terminal's Ctrl-C is for mealkit, which ends it
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
            EndedError: it takes no more.
        """
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._process.stdin.fileno(), left) :]
        except BrokenPipeError as error:
            raise EndedError from error

    def read(self, size_bytes: int) -> bytes:
        """Read exactly that much of its output stream; ask for no more than memory has room for.

        Raises:
            EndedError: there is no more.
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
        """Let nothing of it run on; from any thread, and without waiting.

        Its process 1 watches a pipe: when that closes it ends, and all the others with it.
        """
        with self._lock:
            if self._alive >= 0:
                os.close(self._alive)
                self._alive = -1

    def end(self) -> Ending:
        """End whatever still runs of it, and say how it ended.

        No other thread may use its streams any more.
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
        """Let it come to its own end, or to that of its time; then as `end`."""
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.close()
        self._process.wait()
        return self.end()

    def _time_is_up(self) -> None:
        self._late = True
        self.stop()

    def _said(self) -> str:
        """Read the end of its error stream: as much as a pipe keeps, and without waiting."""
        assert self._process.stderr is not None  # noqa: S101  it is a pipe
        opened = self._process.stderr.fileno()
        os.set_blocking(opened, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(opened, _SAID_BYTES).decode(errors="replace").strip()
        return ""


def _told(report: int) -> dict[str, Any]:
    """Read what the processes around the program said of it, which are mealkit's own."""
    os.set_blocking(report, False)
    with contextlib.suppress(BlockingIOError, ValueError):
        return parse_json_object(os.read(report, _SAID_BYTES).partition(b"}")[0] + b"}")
    return {}


def _limits(seconds: float, *, own_users: bool) -> dict[str, int]:
    """Return the limits of the program's every process, by the names of the module resource."""
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
    """Count what runs already as the user that the program will be towards this machine."""
    user, threads = (os.getuid() if own_users else NOBODY), 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
            if int(lines["Uid"].split()[0]) == user:
                threads += int(lines["Threads"])
    return threads
