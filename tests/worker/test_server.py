"""Streams over a real socket: whole events, a correct end, and no blocked requests."""

import json
import socket
import threading
import tracemalloc
from queue import SimpleQueue

import pytest
from engines.conftest import UnixConnection

from mealkit.errors import failure
from mealkit.worker.event_stream import DONE, PENDING_BYTES, EventStream
from mealkit.worker.interface import Cancelled
from mealkit.worker.server import listen


@pytest.fixture
def served(tmp_path):
    """Serve endpoints from this process: ``served({"POST /x": endpoint})`` gives connections."""
    servers = []
    connections = []

    def serve(endpoints):
        path = tmp_path / f"{len(servers)}.sock"
        servers.append(listen(path))
        servers[-1].endpoints = endpoints

        def connect():
            connections.append(UnixConnection(path))
            connections[-1].connect()
            return connections[-1]

        connect.server = servers[-1]
        return connect

    yield serve
    for connection in connections:
        connection.close()
    for server in servers:
        server.drain()


def ask(connection, path="/x", body=b"{}"):
    connection.request("POST", path, body)
    return connection.getresponse()


def chunks_of(answer):
    """Return the chunks of an answer as they were cut."""
    found = []
    while True:
        length = int(answer.fp.readline(), 16)
        chunk = answer.fp.read(length)
        assert answer.fp.readline() == b"\r\n"
        if not length:
            return found
        found.append(chunk)


def test_each_event_is_one_chunk(served):
    """Each event of an endpoint arrives in its own chunk, and the connection stays open."""
    events = [b"data: 1\n\n", b"data: " + b"x" * 100_000 + b"\n\n", DONE]
    connection = served({"POST /x": lambda call: iter(events)})()
    for _ in range(2):
        answer = ask(connection)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.read() == b"".join(events)
    answer = ask(connection)
    assert chunks_of(answer) == events
    answer.close()


def test_a_failure_before_the_first_event_is_a_status(served):
    """As long as nothing has been said, an error is an answer like any other."""

    def fail(_call):
        raise failure("REQUEST_TOO_LONG", "600 tokens")
        yield b""

    answer = ask(served({"POST /x": fail})())
    assert answer.status == 400
    assert json.loads(answer.read())["error"]["code"] == "REQUEST_TOO_LONG"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (failure("ENGINE_ANSWER", "no numbers"), "ENGINE_ANSWER"),
        (ZeroDivisionError("secret"), "INTERNAL"),
        (FileNotFoundError("secret"), "INTERNAL"),
    ],
)
def test_a_failure_within_a_stream_is_its_last_event(served, capfd, error, code):
    """The stream ends without [DONE], and the connection is good for the next request."""

    def fail(_call):
        yield b"data: 1\n\n"
        raise error

    connection = served({"POST /x": fail})()
    for _ in range(2):
        answer = ask(connection)
        assert answer.status == 200
        first, last, rest = answer.read().split(b"\n\n")
        assert (first, rest) == (b"data: 1", b"")
        found = json.loads(last.removeprefix(b"data: "))["error"]
        assert found["code"] == code
        assert "secret" not in found["message"]
    capfd.readouterr()


def test_a_peer_that_goes_ends_the_endpoint(served):
    """The endpoint is closed where it stands, so that it can free what it holds."""
    ended = SimpleQueue()

    def endless(_call):
        try:
            while True:
                yield b"data: 1\n\n"
        finally:
            ended.put("closed")

    connection = served({"POST /x": endless})()
    assert ask(connection).read(20)
    connection.close()
    assert ended.get(timeout=60) == "closed"


def test_a_peer_that_does_not_read_holds_up_nobody(served):
    """An endpoint finishes before its peer has read anything; no event is lost."""
    ended = SimpleQueue()
    events = [b"data: %d %b\n\n" % (number, b"x" * 1000) for number in range(900)]

    def speak(_call):
        yield from events
        ended.put("done")

    connection = served({"POST /x": speak})()
    connection.request("POST", "/x", b"{}")
    assert ended.get(timeout=60) == "done"
    answer = connection.getresponse()
    assert chunks_of(answer) == events
    answer.close()


def test_what_waits_for_a_peer_is_bounded():
    """A peer that never reads costs about a megabyte and the connection's timeout, no more."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.05)
    event = b"data: " + b"x" * 10_000 + b"\n\n"
    stream = EventStream(ours)

    def send(count):
        for _ in range(count):
            stream.send(event)

    tracemalloc.start()
    with pytest.raises(TimeoutError):
        send(4 * PENDING_BYTES // len(event))
    assert tracemalloc.get_traced_memory()[1] < 4 * PENDING_BYTES
    tracemalloc.stop()
    ours.close()
    theirs.close()


class Asked:
    """An endpoint that reports whether its caller is connected, at each call."""

    def __init__(self):
        self.ask = SimpleQueue()
        self.told = SimpleQueue()

    def __call__(self, call):
        while self.ask.get():
            self.told.put(call.is_cancelled())
        return b"{}"

    def is_cancelled(self):
        self.ask.put(True)
        return self.told.get(timeout=60)

    def finish(self):
        self.ask.put(False)


def test_a_waiting_peer_is_not_gone(served):
    """Neither another request, nor the end of its sending, counts as a disconnected peer."""
    asked = Asked()
    connection = served({"POST /x": asked})()
    connection.request("POST", "/x", b"{}")
    assert not asked.is_cancelled()
    connection.sock.sendall(b"GET /health HTTP/1.1\r\n\r\n")
    assert not asked.is_cancelled()
    connection.sock.shutdown(socket.SHUT_WR)
    assert not asked.is_cancelled()
    asked.finish()
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")


@pytest.mark.parametrize("more", [b"", b"GET /health HTTP/1.1\r\n\r\n"])
def test_a_peer_that_closes_is_gone_at_once(served, more):
    """Whatever it had sent before, a peer that has closed waits for nothing."""
    asked = Asked()
    connection = served({"POST /x": asked})()
    connection.request("POST", "/x", b"{}")
    assert not asked.is_cancelled()
    connection.sock.sendall(more)
    connection.close()
    assert asked.is_cancelled()
    asked.finish()


def test_a_drain_does_not_make_peers_go(served):
    """While the server drains, a peer that waits for its answer still waits, and gets it."""
    asked = Asked()
    connect = served({"POST /x": asked})
    connection = connect()
    connection.request("POST", "/x", b"{}")
    assert not asked.is_cancelled()
    idle = connect()
    drain = threading.Thread(target=connect.server.drain)
    drain.start()
    assert idle.sock.recv(1) == b""
    assert not asked.is_cancelled()
    asked.finish()
    assert connection.getresponse().read() == b"{}"
    drain.join(60)
    assert not drain.is_alive()


def test_a_drain_answers_those_not_yet_accepted(served):
    """Who has connected before the drain, and asked, is answered though many are before it."""
    connect = served({"POST /x": lambda _: b"{}"})
    connections = [connect() for _ in range(100)]
    for connection in connections:
        connection.request("POST", "/x", b"{}")
    connect.server.drain()
    assert [connection.getresponse().read() for connection in connections] == [b"{}"] * 100


@pytest.mark.parametrize("events", [(), (b"data: 1\n\n",)])
def test_a_cancelled_call_ends_its_connection(served, events):
    """An endpoint that notices a disconnected caller sends no answer and logs nothing."""

    def notice(_call):
        yield from events
        raise Cancelled

    connection = served({"POST /x": notice})()
    connection.request("POST", "/x", b"{}")
    with connection.sock.makefile("rb") as stream:
        said = stream.read()
    assert said.count(b"data: ") == len(events)
    assert not said.endswith(b"0\r\n\r\n")


def test_methods_belong_to_paths(served):
    """A path may be read, written, or both; what it takes is in Allow."""
    connect = served(
        {"GET /x": lambda _: b"1", "POST /x": lambda _: b"2", "GET /y": lambda _: b"3"}
    )
    connection = connect()
    for method, path, status, body in [
        ("GET", "/x", 200, b"1"),
        ("POST", "/x", 200, b"2"),
        ("GET", "/y", 200, b"3"),
        ("POST", "/y", 405, None),
        ("DELETE", "/x", 405, None),
    ]:
        connection.request(method, path, b"")
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == status
        assert body in (None, said)
        if status == 405:
            assert answer.headers["Allow"] == ("GET" if path == "/y" else "GET, POST")


def test_an_older_protocol_is_refused(served):
    """HTTP/1.0 has no chunks, so that nothing is served by it."""
    connection = served({"POST /x": lambda _: iter([DONE])})()
    connection.sock.sendall(b"POST /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    with connection.sock.makefile("rb") as stream:
        assert b" 400 " in stream.readline()
