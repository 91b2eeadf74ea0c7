"""Starts child processes of the gateway, reads their output, and reaps them and orphans.

Each child has its own process group, so that its own children can be killed with it.
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
# The cause of a death may be far above the last line, because engines print several tracebacks.
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
        """Convert a wait status."""
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
    """Reaps every child that ends: watched ones, and orphans that process 1 has inherited."""

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[ProcessExit], None]] = {}

    def start(self) -> None:
        """Wait for ended children, in the thread of the running loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.collect)

    def watch(self, pid: int, ended: Callable[[ProcessExit], None]) -> None:
        """Call ``ended``, in the loop's thread, as soon as the child ends.

        Must be called before control returns to the loop, or the child may be missed.
        """
        self._watched[pid] = ended

    def collect(self) -> None:
        """Report every child that has ended."""
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
        """Use a started process, and let it load. Call ``listen`` next."""
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
        """Read the process's output, and wait for its end."""
        spawned = self._spawned
        for name, read_end in (("stdout", spawned.stdout), ("stderr", spawned.stderr)):
            await self._listen(name, read_end, write_line)
        # It may have ended before this call.
        self._reaper.collect()

    @property
    def tail(self) -> str:
        """The last lines of the output."""
        return "\n".join(list(self._log)[-TAIL_LINES:])

    @property
    def log(self) -> str:
        """All stored lines of the output."""
        return "\n".join(self._log)

    async def wait_silent(self, seconds: float) -> None:
        """Wait until all output has been read; a grandchild may keep the pipes open longer."""
        await asyncio.wait(self._silent, timeout=seconds)

    def terminate(self) -> None:
        """Ask the process to end, with SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its process group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # After it was reaped, its id may belong to another process.
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _end(self, how: ProcessExit) -> None:
        self.kill()  # processes that it has started and left behind
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
    """Splits received data into lines of limited length."""

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
    """Kill all other processes of the container, if this is its process 1.

    A process that the worker has started may have left the worker's group. It could bind the kit's
    port after the gateway has closed it.
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
