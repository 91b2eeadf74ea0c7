"""One connection to the worker: what arrives on it, in whatever pieces, becomes an answer or a loss."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mealkit.runtime.worker_client.connection import (
    PENDING_BYTES,
    WorkerConnection,
    WorkerLostError,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nok"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Talk = Callable[[WorkerConnection, "Pipe"], Coroutine[Any, Any, Any]]


class Pipe(asyncio.Transport):
    """Keeps what is written, and tells whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.is_closed, self.reads = b"", False, True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def talk(conversation: Talk) -> Any:
    """Run a conversation with a connection whose other end is the test."""

    async def run() -> Any:
        connection, pipe = WorkerConnection(lambda: None), Pipe()
        connection.connection_made(pipe)
        return await conversation(connection, pipe)

    return asyncio.run(run())


async def begun(connection: WorkerConnection, *, streams: bool = False) -> "asyncio.Task[None]":
    task = asyncio.ensure_future(connection.begin("POST", "/a", b"{}", b"", streams=streams))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("size", [1, 3, len(WHOLE)])
def test_an_answer_in_pieces_of_any_size(size):
    """It is there when its last byte is, and the connection can be used again."""

    async def conversation(connection, pipe):
        for _ in range(2):
            task = await begun(connection)
            for place in range(0, len(WHOLE), size):
                assert not connection.has_ended
                connection.data_received(WHOLE[place : place + size])
            await task
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"ok")
        assert connection.is_open
        assert pipe.sent.count(b"POST /a HTTP/1.1\r\nHost: worker\r\n") == 2
        assert pipe.sent.endswith(b"Content-Length: 2\r\n\r\n{}")

    talk(conversation)


@pytest.mark.parametrize(
    ("arrives", "said"),
    [
        (b"garbage\r\n\r\n", "is not valid HTTP"),
        (WHOLE[:-1], "ended the connection"),
        (b"", "ended the connection"),
        (CHUNKED + b"zz\r\n", "is not valid HTTP"),
    ],
    ids=range(4),
)
def test_an_answer_that_is_not_whole_is_a_loss(arrives, said):
    """What is no HTTP, or ends too early, is never taken for an answer."""

    async def conversation(connection, pipe):
        task = await begun(connection)
        if arrives:
            connection.data_received(arrives)
        if not pipe.is_closed:
            connection.eof_received()
        with pytest.raises(WorkerLostError, match=said):
            await task
        assert pipe.is_closed
        assert not connection.is_open

    talk(conversation)


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
def test_a_connection_that_breaks(error):
    """The request fails with what is known of it."""

    async def conversation(connection, pipe):
        task = await begun(connection)
        connection.connection_lost(error)
        with pytest.raises(WorkerLostError, match="reset" if error else "the worker ended"):
            await task

    talk(conversation)


def test_an_answer_without_a_length_ends_with_its_connection():
    """It is whole, and the connection is not used again."""

    async def conversation(connection, pipe):
        task = await begun(connection)
        connection.data_received(HEAD + b"Connection: close\r\n\r\nall of it")
        connection.eof_received()
        await task
        assert connection.answer().body == b"all of it"
        assert pipe.is_closed

    talk(conversation)


def test_what_was_not_asked_for_closes_the_connection():
    """An answer that comes too early could be taken for the next request's."""

    async def conversation(connection, pipe):
        task = await begun(connection)
        connection.data_received(WHOLE)
        await task
        connection.data_received(WHOLE)
        assert pipe.is_closed
        assert connection.answer().body == b"ok"

    talk(conversation)


def test_a_stream_is_given_as_it_comes():
    """It begins with its head, and its end is an empty piece."""

    async def conversation(connection, _pipe):
        task = await begun(connection, streams=True)
        assert not task.done()
        connection.data_received(CHUNKED)
        await task
        connection.data_received(b"3\r\none\r\n3\r\ntwo\r\n")
        assert await connection.piece() == b"onetwo"
        connection.data_received(b"0\r\n\r\n")
        return await connection.piece()

    assert talk(conversation) == b""


def test_a_stream_that_breaks_gives_what_came():
    """Then it is a loss, not an end."""

    async def conversation(connection, _pipe):
        task = await begun(connection, streams=True)
        connection.data_received(CHUNKED + b"3\r\none\r\n")
        connection.connection_lost(None)
        await task
        assert await connection.piece() == b"one"
        with pytest.raises(WorkerLostError):
            await connection.piece()

    talk(conversation)


def test_a_slow_reader_of_a_stream_holds_up_the_worker():
    """Beyond a bound nothing is read, until the reader has taken what waits."""

    async def conversation(connection, pipe):
        task = await begun(connection, streams=True)
        connection.data_received(CHUNKED)
        await task
        data = b"x" * (PENDING_BYTES // 2)
        states = []
        for _ in range(3):
            connection.data_received(b"%x\r\n%b\r\n" % (len(data), data))
            states.append(pipe.reads)
        assert states == [True, True, False]
        assert await connection.piece() == data * 3
        assert pipe.reads

    talk(conversation)


def test_a_paused_connection_reads_again_for_the_next_request():
    """A stream that nobody read to its end does not stop the next answer."""

    async def conversation(connection, pipe):
        task = await begun(connection, streams=True)
        data = b"x" * (PENDING_BYTES + 1)
        connection.data_received(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        await task
        assert not pipe.reads
        task = await begun(connection)
        assert pipe.reads
        connection.data_received(WHOLE)
        await task
        assert connection.answer().body == b"ok"

    talk(conversation)
