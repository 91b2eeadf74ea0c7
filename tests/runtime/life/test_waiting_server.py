"""Before the gateway runs: alive, not ready, and no connection is lost when it starts."""

import json
import socket
import threading

import pytest

from mealkit.errors import problem
from mealkit.runtime.life.waiting_server import WaitingServer
from mealkit.runtime.state import Lifecycle, Status


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def ask(listener, request):
    """Send a request; return the status, the headers and the body of the answer."""
    with socket.create_connection(listener.getsockname(), 30) as peer:
        peer.sendall(request)
        with peer.makefile("rb") as reader:
            head, _, body = reader.read().partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return int(line.split()[1]), dict(item.split(": ") for item in headers), body


def get(listener, path):
    status, headers, body = ask(listener, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Connection"] == "close"
    return status, headers, json.loads(body)


def test_alive_and_not_ready(listener):
    """Live is 200, ready is 503 with the state as it is, and everything else is NOT_READY."""
    lifecycle = Lifecycle(lambda: 0.0)
    with WaitingServer(listener, lifecycle):
        for path in ("/v1/health/live", "/healthz"):
            status, _, content = get(listener, path)
            assert (status, content) == (200, {"status": "starting", "elapsed_seconds": 0.0})
        lifecycle.move(Status.PREFLIGHT, "looking", problem("HOST_DISK", "full"))
        for path in ("/v1/health/ready", "/readyz", "/health", "/ping?x=1"):
            status, headers, content = get(listener, path)
            assert (status, content["status"], content["owner"]) == (503, "preflight", "platform")
            assert headers["Retry-After"] == "1"
        status, headers, content = get(listener, "/v1/models")
        error = content["error"]
        assert (status, error["code"]) == (503, "NOT_READY")
        assert error["request_id"] == headers["X-Request-Id"]


def test_body_that_nobody_reads(listener):
    """A caller that sends a large body still sees the answer."""
    body = b"x" * 3_000_000
    head = b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    with WaitingServer(listener, Lifecycle(lambda: 0.0)):
        status, _, content = ask(listener, head + body)
    assert status == 503
    assert json.loads(content)["error"]["code"] == "NOT_READY"


def test_silent_and_many_peers(listener):
    """Silent peers block no one else, and their number is limited."""
    with WaitingServer(listener, Lifecycle(lambda: 0.0)):
        silent = [socket.create_connection(listener.getsockname(), 30) for _ in range(300)]
        assert get(listener, "/healthz")[0] == 200
        assert silent[0].recv(1) == b""  # the oldest was sent away
        for peer in silent:
            peer.close()


def test_next_server_takes_over(listener):
    """After it has left, new connections are served by the next process that accepts."""
    with WaitingServer(listener, Lifecycle(lambda: 0.0)) as waiting_server:
        late = socket.create_connection(listener.getsockname(), 30)
        assert get(listener, "/healthz")[0] == 200
        waiting_server.leave()
        waiting_server.leave()
        late.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")  # it was let in before
        with late, late.makefile("rb") as reader:
            assert reader.read().startswith(b"HTTP/1.1 200 ")
        answers = []
        caller = threading.Thread(target=lambda: answers.append(get(listener, "/healthz")))
        caller.start()
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
            )
        caller.join()
    assert answers[0][0] == 200
