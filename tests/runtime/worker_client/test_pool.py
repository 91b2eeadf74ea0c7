"""The client of the worker's socket, against servers that behave and servers that do not."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from mealkit.runtime.worker_client.pool import Upstream, WorkerLostError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers the n-th request of each connection with the n-th reply; None ends it."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.requests = []

    async def __call__(self, reader, writer):
        replies = self.connections.pop(0)
        for reply in replies:
            if reply is None:
                break
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.requests.append((head.split(b"\r\n")[0], await reader.readexactly(length)))
            writer.write(reply)
            await writer.drain()
        writer.close()


def talk(server, conversation):
    """Run a conversation with an upstream whose worker is the server."""

    async def run():
        with tempfile.TemporaryDirectory(prefix="mk") as folder:
            path = Path(folder) / "s"
            async with await asyncio.start_unix_server(server, path):
                upstream = Upstream(path)
                try:
                    return await conversation(upstream)
                finally:
                    upstream.close()

    return asyncio.run(run())


def test_connection_is_used_again():
    """Requests one after the other share a connection."""
    server = Server([OK, OK])

    async def conversation(upstream):
        first = await upstream.request("POST", "/a", b"body")
        return first, await upstream.request("GET", "/b")

    first, second = talk(server, conversation)
    assert (first.status, first.body, second.body) == (200, b"ok", b"ok")
    assert server.requests == [(b"POST /a HTTP/1.1", b"body"), (b"GET /b HTTP/1.1", b"")]


def test_connection_that_was_closed_meanwhile():
    """A request on a connection that the worker had closed is sent again on a new one."""
    server = Server([OK, None], [OK])

    async def conversation(upstream):
        await upstream.request("GET", "/a")
        return await upstream.request("GET", "/b")

    assert talk(server, conversation).body == b"ok"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 10,
    ],
)
def test_answers_that_are_not_whole(reply):
    """An answer that is truncated, or is not HTTP, counts as a lost worker."""

    async def conversation(upstream):
        with pytest.raises(WorkerLostError):
            await upstream.request("POST", "/a", b"body")

    talk(Server([reply]), conversation)


def test_cut_answer_is_not_asked_for_again():
    """Once a part of the answer has come, the request is not sent a second time."""
    server = Server([OK, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"], [OK])

    async def conversation(upstream):
        await upstream.request("GET", "/a")
        with pytest.raises(WorkerLostError):
            await upstream.request("GET", "/b")

    talk(server, conversation)
    assert len(server.requests) == 2


def test_chunked_answer_and_closed_connection():
    """A chunked answer, and one that ends with the connection, are read whole."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    until_end = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nthe rest"
    server = Server([chunked, until_end])

    async def conversation(upstream):
        return [await upstream.request("GET", "/"), await upstream.request("GET", "/")]

    first, second = talk(server, conversation)
    assert (first.status, first.body) == (200, b"abc")
    assert (second.status, second.body) == (404, b"the rest")


def test_no_worker():
    """Without a socket the worker is lost."""

    async def conversation():
        with pytest.raises(WorkerLostError, match="cannot be reached"):
            await Upstream(Path("/nowhere/worker.sock")).request("GET", "/health")

    asyncio.run(conversation())


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAMED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_stream_is_read_as_it_comes():
    """A stream's pieces come one by one, before its end is there; then its connection is used again."""
    go_on = asyncio.Event()

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAMED + chunk(b"one"))
        await go_on.wait()
        writer.write(chunk(b"two") + b"0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    async def conversation(upstream):
        async with upstream.stream("POST", "/a", b"") as stream:
            first = await stream.piece()
            go_on.set()
            rest = await stream.rest()
        return first, rest.body, (await upstream.request("GET", "/b")).body

    assert talk(server, conversation) == (b"one", b"two", b"ok")


def test_stream_that_is_cut():
    """The data before the end is returned, then the loss is raised."""
    server = Server([STREAMED + chunk(b"one"), None])

    async def conversation(upstream):
        async with upstream.stream("POST", "/a", b"") as stream:
            first = await stream.piece()
            with pytest.raises(WorkerLostError):
                await stream.piece()
            return first

    assert talk(server, conversation) == b"one"


def test_stream_that_is_left():
    """Leaving a stream closes its connection, so that the worker learns of it."""
    closed = asyncio.Event()

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAMED + chunk(b"one"))
        assert await reader.read() == b""
        closed.set()
        writer.close()

    async def conversation(upstream):
        async with upstream.stream("POST", "/a", b"") as stream:
            await stream.piece()
        await closed.wait()

    talk(server, conversation)


def test_stream_that_nobody_reads():
    """A reader that does not come holds up the worker: only a little is kept here."""
    sent = 0

    async def server(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAMED)
        for _ in range(500):
            writer.write(chunk(b"x" * 100_000))
            await writer.drain()
            sent += 100_000
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def conversation(upstream):
        async with upstream.stream("POST", "/a", b"") as stream:
            # Both ends are on this loop: if many turns of it move nothing, the worker cannot go on.
            idle_turns = 0
            while idle_turns < 100:
                before = sent
                await asyncio.sleep(0)
                idle_turns = idle_turns + 1 if sent == before else 0
            held = sent
            rest = await stream.rest()
        return held, len(rest.body)

    held, whole = talk(server, conversation)
    assert held < 5_000_000
    assert whole == 50_000_000
