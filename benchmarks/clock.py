"""Times of processes and events on one clock: seconds since the machine started."""

import http.client
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

_POLL_SECONDS = 0.003


def now() -> float:
    """Return the time on the clock that the kernel states the start of processes with."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def process_start(pid: int) -> float:
    """Return when a process started, to a hundredth of a second (proc(5), field 22 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def wait_for(
    what: Callable[[], bool], give_up: Callable[[], bool], limit_seconds: float
) -> float | None:
    """Return when something first was so; None if ``give_up`` was sooner, or time is over."""
    deadline = now() + limit_seconds
    while now() < deadline:
        if what():
            return now()
        if give_up():
            return None
        time.sleep(_POLL_SECONDS)
    return None


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers(connection: http.client.HTTPConnection, path: str, body: bytes | None = None) -> bool:
    """Say whether a GET (a POST, with a body) is answered with 200."""
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request("POST" if body else "GET", path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status == 200
