"""An engine that is a server and answers a chat at once, whole or streamed: no model, little cost.

It listens on the gateway's Unix socket and on a port of loopback, for callers who ask it directly
and for gateways that know no Unix sockets. How much it streams, the last message says:
``count:N:RATE`` is N tokens, all streams getting RATE a second in step, as they do from an engine
that computes them together; without RATE, as fast as they are read. Standard library only, so that
it starts under any Python.
"""

import asyncio
import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

PIECE = "lorem "
_ASKED = re.compile(rb"count:(\d+)(?::(\d+))?")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_ANSWER_PIECES = 16
_HEAD_END = b"\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class _Config(Protocol):
    @property
    def model_name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...


class ChatStandIn:
    """The worker: the host's process becomes the server below."""

    def command(self, config: _Config, socket: Path) -> list[str]:
        """Return the command that serves on the socket, and on the port of the settings."""
        port = str(config.settings["port"])
        return [sys.executable, __file__, str(socket), port, config.model_name]

    def environment(self, config: _Config) -> dict[str, str]:  # noqa: ARG002  the form has it
        """Return nothing."""
        return {}


class _Shapes:
    """Every answer, written down once."""

    def __init__(self, model: str) -> None:
        said = {"role": "assistant", "content": PIECE * _ANSWER_PIECES}
        choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 8, "completion_tokens": _ANSWER_PIECES}
        usage["total_tokens"] = sum(usage.values())
        same = {"id": "answer-1", "created": 1, "model": model}
        whole = {**same, "object": "chat.completion", "choices": [choice], "usage": usage}
        self.whole = _whole(json.dumps(whole).encode())
        self.health = _whole(b'{"status":"ok"}')
        self._same = {**same, "object": "chat.completion.chunk"}
        self.first = _STREAM_HEAD + self._event({"role": "assistant", "content": ""})
        # Two in turn: a proxy may take the same piece again and again for a model that is stuck.
        self.tokens = tuple(self._event({"content": piece}) for piece in (PIECE, PIECE.upper()))
        told = {**self._same, "choices": [], "usage": usage}
        done = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self.last = self._event({}, "stop") + _chunk(_data(told)) + done

    def _event(self, delta: Mapping[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _chunk(_data({**self._same, "choices": [choice]}))


class _Connection(asyncio.Protocol):
    def __init__(self, shapes: _Shapes, steps: "_Steps") -> None:
        self._shapes, self._steps = shapes, steps
        self._received = b""
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if self._stream:
            self._stream.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(_HEAD_END)
        if not separator or len(body) < (length := _length(head)):
            return
        self._received = body[length:]
        if head.startswith(b"GET"):
            self._transport.write(self._shapes.health)
        elif _STREAM.search(body):
            asked = _ASKED.search(body)
            count, rate = (int(part or 0) for part in asked.groups()) if asked else (8, 0)
            self._transport.write(self._shapes.first)
            self._stream = asyncio.get_running_loop().create_task(self._send(count, rate))
        else:
            self._transport.write(self._shapes.whole)

    async def _send(self, count: int, rate: int) -> None:
        for number in range(count):
            await (self._steps.wait(rate) if rate else asyncio.sleep(0))
            self._transport.write(self._shapes.tokens[number % 2])
            await self._may_write.wait()
        self._transport.write(self._shapes.last)


class _Steps:
    """The steps of the engine, which all streams of a rate share."""

    def __init__(self) -> None:
        self._next: dict[int, asyncio.Future[None]] = {}

    async def wait(self, rate: int) -> None:
        """Return with the next step."""
        loop = asyncio.get_running_loop()
        if rate not in self._next:
            future = self._next[rate] = loop.create_future()
            # The next multiple of a step's length: a step that is late does not delay those after.
            loop.call_at((int(loop.time() * rate) + 1) / rate, self._step, rate, future)
        await self._next[rate]

    def _step(self, rate: int, future: "asyncio.Future[None]") -> None:
        del self._next[rate]
        future.set_result(None)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
    return head + _HEAD_END + body


def _data(form: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(form, separators=(',', ':'))}\n\n".encode()


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


async def main(socket: str, port: str, model: str) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    shapes, steps = _Shapes(model), _Steps()
    await loop.create_unix_server(lambda: _Connection(shapes, steps), socket)
    await loop.create_server(lambda: _Connection(shapes, steps), "127.0.0.1", int(port))
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
