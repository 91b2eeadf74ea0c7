"""Child processes of the gateway: started apart, listened to, and reaped, orphans too.

Each is a group of its own, so that nothing of it survives.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mealkit.errors import Problem, problem_of_json
from mealkit.runtime.life.worker_plan import Spawned
from mealkit.untrusted import parse_json

TAIL_LINES = 20
# What explains a death may stand far above the last line: engines trace back several times over.
LOG_LINES = 400
_LINE_BYTES = 4096
_FIRST_PROCESS = 1


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a process ended."""

    code: int | None
    signal_name: str | None

    @classmethod
    def of(cls, status: int) -> "ProcessExit":
        """Read a wait status."""
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return cls(code, None)
        try:
            return cls(None, signal.Signals(-code).name)
        except ValueError:
            return cls(None, f"signal {-code}")

    def __str__(self) -> str:
        return self.signal_name or f"exit code {self.code}"


class Reaper:
    """Collects every child that ends: those it watches, and orphans that fell to process 1."""

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[ProcessExit], None]] = {}

    def start(self) -> None:
        """Listen for ended children, from the running loop's own thread."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.collect)

    def watch(self, pid: int, ended: Callable[[ProcessExit], None]) -> None:
        """Have ``ended`` called, in the loop's thread, as soon as the child ends.

        Call it before control goes back to the loop, or the child may be missed.
        """
        self._watched[pid] = ended

    def collect(self) -> None:
        """Tell of every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._watched.pop(pid, None)
            if ended:
                ended(ProcessExit.of(status))


class ChildProcess:
    """A running child: its exit, the last lines it wrote, and the problem it reported."""

    def __init__(self, spawned: Spawned, reaper: Reaper) -> None:
        """Take over a process that was started; it may load now. Listen to it next."""
        loop = asyncio.get_running_loop()
        self.pid = spawned.pid
        self._spawned = spawned
        self._reaper = reaper
        self.exited: asyncio.Future[ProcessExit] = loop.create_future()
        self.reported: Problem | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._silent: list[asyncio.Future[None]] = []
        reaper.watch(spawned.pid, self._end)
        spawned.release()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        reaper: Reaper,
        write_line: Callable[[str, str], None],
    ) -> "ChildProcess":
        """Start a command with exactly this environment; ``write_line`` gets (stream, line).

        Raises:
            OSError: the command cannot be run.
        """
        child = cls(Spawned(tuple(command), environment), reaper)
        await child.listen(write_line)
        return child

    async def listen(self, write_line: Callable[[str, str], None]) -> None:
        """Read what it writes, and learn of its end."""
        spawned = self._spawned
        for name, read_end in (("stdout", spawned.stdout), ("stderr", spawned.stderr)):
            await self._listen(name, read_end, write_line)
        # It may have ended before anybody listened.
        self._reaper.collect()

    @property
    def tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(list(self._log)[-TAIL_LINES:])

    @property
    def log(self) -> str:
        """The last lines it wrote, as many as are kept."""
        return "\n".join(self._log)

    async def wait_silent(self, seconds: float) -> None:
        """Wait until all it wrote has been read; a grandchild may hold the pipes open longer."""
        await asyncio.wait(self._silent, timeout=seconds)

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and everything it started."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Once it was reaped, its number may be another's.
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _end(self, how: ProcessExit) -> None:
        self.kill()  # what it started, and left behind
        self.exited.set_result(how)

    async def _listen(
        self, name: str, descriptor: int, write_line: Callable[[str, str], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        silent: asyncio.Future[None] = loop.create_future()
        self._silent.append(silent)

        def take(line: str) -> None:
            self._log.append(line)
            if name == "stderr":
                self.reported = read_problem(line) or self.reported
            write_line(name, line)

        pipe = os.fdopen(descriptor, "rb", buffering=0)
        await loop.connect_read_pipe(lambda: _Lines(take, silent), pipe)


class _Lines(asyncio.Protocol):
    """Cuts what arrives into lines, none of them endless."""

    def __init__(self, take: Callable[[str], None], silent: asyncio.Future[None]) -> None:
        self._take = take
        self._silent = silent
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._give(line)
        while len(self._rest) > _LINE_BYTES:
            self._give(self._rest[:_LINE_BYTES])
            self._rest = self._rest[_LINE_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._give(self._rest)
        if not self._silent.done():
            self._silent.set_result(None)

    def _give(self, line: bytes) -> None:
        text = line[:_LINE_BYTES].decode(errors="replace").rstrip()
        if text:
            self._take(text)


def end_others() -> None:
    """End what else runs in a container that this is the first process of.

    What a worker has started may have left its group, and could take the port that callers know
    once no process listens there.
    """
    if os.getpid() == _FIRST_PROCESS:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)


def read_problem(line: str) -> Problem | None:
    """Read a problem that a worker printed as JSON; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        return problem_of_json(parse_json(line.encode(errors="replace")))
    except ValueError:
        return None
