"""Asks for embeddings: ``python -m benchmarks.caller PLACE RATE SECONDS [BYTES [MODEL]]``.

Open loop: a request is sent when it is due, on a connection that waits for nothing, or a new one.
PLACE is HOST:PORT or the path of a Unix socket; BYTES is the size of the text. Prints seconds as
JSON: p50 and p99 from the time at which a request was due to the last byte of its answer. The first
second is not counted.
"""

import asyncio
import json
import os
import selectors
import sys
import time
from collections import deque
from dataclasses import dataclass, field

_TEXT = "A kit that works at 3 a.m."
_LONG_TEXT = "The soup number {} is served with a slice of bread, and a second plate costs less. "
_WARM_SECONDS = 1.0
_LAST_SECONDS = 30.0
# select() knows file descriptors up to 1023. Where this many are unanswered, all is lost anyway.
_MOST_OUTSTANDING = 800


@dataclass(slots=True)
class _Log:
    """What came of every counted request."""

    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    refused: int = 0


class _Connection(asyncio.Protocol):
    """One connection with at most one request on it."""

    def __init__(self, idle: "deque[_Connection]", log: _Log, request: bytes) -> None:
        self._idle, self._log, self._request = idle, log, request
        self._answer = b""
        self._due = 0.0
        self._counts = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, due: float, *, counts: bool) -> None:
        """Send one request."""
        self._due, self._counts, self._answer = due, counts, b""
        self.done = asyncio.get_running_loop().create_future()
        assert isinstance(self._transport, asyncio.WriteTransport)  # noqa: S101
        self._transport.write(self._request)
        if counts:
            self._log.late.append(time.perf_counter() - due)

    def data_received(self, data: bytes) -> None:
        """Read until the answer is whole."""
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        if self.done.done():
            return
        if self._counts:
            self._log.seconds.append(time.perf_counter() - self._due)
            self._log.refused += not head.startswith(b"HTTP/1.1 200")
        self._idle.append(self)
        self.done.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        """Count an answer that never came."""
        if not self.done.done():
            self._log.refused += 1
            self.done.set_result(None)
        if self in self._idle:
            self._idle.remove(self)


async def _ask(place: str, rate: int, seconds: float, request: bytes) -> _Log:
    loop = asyncio.get_running_loop()
    idle: deque[_Connection] = deque()
    log = _Log()
    tasks: set[asyncio.Task[None]] = set()

    async def send(due: float, *, counts: bool) -> None:
        connection = idle.pop() if idle else await _connect(place, idle, log, request)
        connection.ask(due, counts=counts)
        await connection.done

    began = time.perf_counter()
    for number in range(int(rate * (seconds + _WARM_SECONDS))):
        due = began + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        counts = due - began >= _WARM_SECONDS
        if len(tasks) >= _MOST_OUTSTANDING:
            log.refused += 1
            continue
        task = loop.create_task(send(due, counts=counts))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        _, unanswered = await asyncio.wait(tasks, timeout=_LAST_SECONDS)
        log.refused += len(unanswered)
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
    return log


async def _connect(
    place: str, idle: "deque[_Connection]", log: _Log, request: bytes
) -> _Connection:
    loop = asyncio.get_running_loop()
    if place.startswith("/"):
        _, made = await loop.create_unix_connection(lambda: _Connection(idle, log, request), place)
        return made
    host, _, port = place.rpartition(":")
    _, made = await loop.create_connection(lambda: _Connection(idle, log, request), host, int(port))
    return made


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def request_of(size_bytes: int, model: str = "random") -> bytes:
    """Return the request for a text of this size; 0: a short one."""
    sentences = "".join(_LONG_TEXT.format(number) for number in range(size_bytes // 64 + 1))
    text = sentences[:size_bytes] if size_bytes else _TEXT
    body = json.dumps({"model": model, "input": text}).encode()
    return (
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def main(place: str, rate: str, seconds: str, size_bytes: str = "0", model: str = "random") -> None:
    """Ask, and print what came of it."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))  # the gateway has the first
    # select() waits for fractions of a millisecond, which epoll rounds up.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    log = loop.run_until_complete(
        _ask(place, int(rate), float(seconds), request_of(int(size_bytes), model))
    )
    loop.close()
    figures = {
        "p50": quantile(log.seconds, 0.50),
        "p99": quantile(log.seconds, 0.99),
        "late_p99": quantile(log.late, 0.99),
        "refused": log.refused,
        "sent": int(float(rate) * (float(seconds) + _WARM_SECONDS)),
        "achieved": len(log.seconds) / float(seconds),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def quantile(values: list[float], share: float) -> float:
    """Return the value that a share of all does not exceed; infinity of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


if __name__ == "__main__":
    main(*sys.argv[1:])
