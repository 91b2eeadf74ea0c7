"""Asks for streamed chats: ``python -m benchmarks.streams PORT MODEL STREAMS TOKENS RATE BEGUN``.

Prints JSON: tokens a second, and seconds to the first token. With BEGUN 0, STREAMS connections each
carry one stream at once; otherwise BEGUN streams begin each second, each when it is due. RATE is
what the stand-in is asked for (tokens a second for each stream; 0: as fast as it can).
"""

import asyncio
import json
import os
import selectors
import sys
import time

from benchmarks.caller import quantile
from benchmarks.chat_standin import PIECE

_WORDS, _DONE = (PIECE.strip().encode(), PIECE.strip().upper().encode()), b"[DONE]"
_LAST_SECONDS = 60.0
_SETTLE_SECONDS = 0.3


class _Stream(asyncio.Protocol):
    """One connection; counts the tokens of its stream, wherever reads cut them."""

    def __init__(self) -> None:
        self._rest = b""
        self.sent = 0.0
        self.first = float("inf")
        self.tokens = 0
        self.is_whole = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def ask(self, request: bytes) -> None:
        """Send the request."""
        self.sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        self.tokens += sum(data.count(word) for word in _WORDS)
        if self.tokens and self.first == float("inf"):
            self.first = time.perf_counter() - self.sent
        self.is_whole = self.is_whole or _DONE in data
        # Shorter than what is counted: nothing is counted twice.
        self._rest = data[-(len(_WORDS[0]) - 1) :]
        if self.is_whole:
            self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""
        self._transport.close()
        if not self.ended.done():
            self.ended.set_result(None)


async def _ask(port: int, request: bytes, streams: int, begun: int) -> tuple[list[_Stream], float]:
    loop = asyncio.get_running_loop()
    # Connected before: a caller's library keeps its connections, too.
    made = [(await loop.create_connection(_Stream, "127.0.0.1", port))[1] for _ in range(streams)]
    await asyncio.sleep(_SETTLE_SECONDS)
    began = time.perf_counter()
    for number, stream in enumerate(made):
        if begun:
            await asyncio.sleep(max(0.0, began + number / begun - time.perf_counter()))
        stream.ask(request)
    await asyncio.wait([stream.ended for stream in made], timeout=_LAST_SECONDS)
    return made, time.perf_counter() - began


def main(port: str, model: str, streams: str, tokens: str, rate: str, begun: str) -> None:
    """Ask, and print what came of it."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))  # the gateway has the first
    text = f"count:{tokens}:{rate}" if int(rate) else f"count:{tokens}"
    form = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    body = json.dumps(form).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Authorization: Bearer sk-none\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    made, seconds = loop.run_until_complete(_ask(int(port), request, int(streams), int(begun)))
    firsts = [stream.first for stream in made if stream.is_whole]
    figures = {
        "tokens_per_second": sum(stream.tokens for stream in made) / seconds,
        "first_p50": quantile(firsts, 0.50),
        "first_p99": quantile(firsts, 0.99),
        "refused": sum(not stream.is_whole or stream.tokens != int(tokens) for stream in made),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
