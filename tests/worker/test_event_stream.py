"""Events on a real socket whose reader is slow, gone, or takes them as they come."""

import socket
import threading
from collections.abc import Iterator

import pytest

from mealkit.worker.event_stream import DONE, PENDING_BYTES, EventStream, event


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, the first with a timeout as the server's has."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.2)
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


def test_an_event_is_one_line():
    """Characters beyond ASCII are UTF-8."""
    assert event('{"a":"é"}') == b'data: {"a":"\xc3\xa9"}\n\n'
    assert event("[DONE]") == DONE


def test_each_event_is_a_chunk_behind_the_head(pair):
    """The head goes with the first event, and the end is an empty chunk."""
    ours, theirs = pair
    stream = EventStream(ours)
    stream.send(event("1"))
    first = theirs.recv(9999)
    assert first.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    assert first.endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n")
    stream.end()
    assert theirs.recv(9999) == b"0\r\n\r\n"


def test_a_stream_without_events_is_whole_too(pair):
    """It is the head and the end."""
    ours, theirs = pair
    EventStream(ours).end()
    assert theirs.recv(9999).endswith(b"chunked\r\n\r\n0\r\n\r\n")


def test_a_slow_reader_does_not_hold_up_the_maker(pair):
    """What does not fit waits, up to a bound, and arrives in order."""
    ours, theirs = pair
    stream = EventStream(ours)
    sent = [event(str(number) * 1000) for number in range(PENDING_BYTES // 1000 // 4)]
    for item in sent:
        stream.send(item)
    theirs.setblocking(False)
    received = b""
    while part := _read(theirs):
        received += part
    theirs.settimeout(30)
    assert len(received) < sum(map(len, sent))
    ours.settimeout(30)
    thread = threading.Thread(target=stream.end)
    thread.start()
    while not received.endswith(b"\r\n0\r\n\r\n"):
        received += theirs.recv(1 << 16)
    thread.join()
    assert (
        received.partition(b"\r\n\r\n")[2]
        == b"".join(b"%x\r\n%b\r\n" % (len(item), item) for item in sent) + b"0\r\n\r\n"
    )


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except BlockingIOError:
        return b""


def test_a_reader_that_never_comes_is_given_up(pair):
    """Beyond the bound the connection's timeout counts."""
    ours, _ = pair
    stream = EventStream(ours)
    with pytest.raises(TimeoutError):
        stream.send(event("x" * PENDING_BYTES * 20))


def test_a_reader_that_has_gone_is_noticed(pair):
    """The next event fails."""
    ours, theirs = pair
    theirs.close()
    with pytest.raises(OSError, match="Broken pipe"):
        EventStream(ours).send(event("1"))
