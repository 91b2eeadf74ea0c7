"""A running kit is asked within limits, and what it sends is never trusted."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from mealkit.acceptance.kit_client import KitClient, UnreachableError, described
from mealkit.acceptance.target import Target
from mealkit.errors import MealkitError
from mealkit.untrusted import UntrustedError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextlib.contextmanager
def serving(
    *answers: bytes, drips: bool = False, closes: bool = False
) -> Iterator[tuple[str, list[bytes]]]:
    """Answer each request on a connection with the next bytes; the last ones are repeated."""
    heard: list[bytes] = []
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        left = list(answers)
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    while data := connection.recv(65536):
                        while data.startswith(b"POST") and not data.endswith(b"{}"):
                            data += connection.recv(65536)
                        heard.append(data)
                        whole = left.pop(0) if len(left) > 1 else left[0]
                        if whole == b"":
                            break
                        connection.sendall(whole)
                        while drips and not ended.wait(0.01):
                            connection.sendall(b" ")
                        if closes:
                            break

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def asked(answers: tuple[bytes, ...], seconds: float = 5.0, *, drips: bool = False) -> object:
    with serving(*answers, drips=drips) as (address, _):
        client = KitClient(Target(address), seconds, lambda _seconds: None)
        try:
            return client.ask("/v1/predict", b"{}").json()
        finally:
            client.close()


def test_one_connection_is_used_for_many_requests():
    """A connection stays open, and the key is sent with each request."""
    with serving(whole(b"1")) as (address, heard):
        client = KitClient(Target(address, key="secret"), 5.0)
        assert [client.ask("/a", b"{}").json() for _ in range(3)] == [1, 1, 1]
        client.close()
    assert len(heard) == 3
    assert all(b"Authorization: Bearer secret" in data for data in heard)


def test_a_connection_that_the_kit_has_closed_is_opened_again():
    """A kit may close an idle connection; the request is sent again on another one."""
    with serving(whole(b"1"), b"", whole(b"2")) as (address, heard):
        client = KitClient(Target(address), 5.0)
        assert client.ask("/a", b"{}").json() == 1
        assert client.ask("/a", b"{}").json() == 2
        client.close()
    assert len(heard) == 3


@pytest.mark.parametrize(
    ("status", "stated", "waits"),
    [
        (b"429 Too Many Requests", b"2", [2.0]),
        (b"503 Service Unavailable", b"5", [5.0]),
        (b"429 Too Many Requests", b"99999", []),
        (b"429 Too Many Requests", b"soon", []),
        (b"400 Bad Request", b"2", []),
    ],
)
def test_a_busy_kit_is_asked_again_when_it_says(status, stated, waits):
    """Retry-After is followed within a bound, and only where the kit is busy."""
    busy = b"HTTP/1.1 %s\r\nRetry-After: %s\r\nContent-Length: 2\r\n\r\n{}" % (status, stated)
    slept: list[float] = []
    with serving(busy, whole(b"3")) as (address, _):
        client = KitClient(Target(address), 5.0, slept.append)
        answer = client.ask("/a", b"{}")
        client.close()
    assert slept == waits
    assert answer.status == (200 if waits else int(status[:3]))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", UnreachableError, id="another protocol"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", UnreachableError, id="length"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 200, UnreachableError, id="too many headers"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70000, UnreachableError, id="a long header"
        ),
        pytest.param(whole(b"<html>a portal</html>"), UntrustedError, id="a page"),
        pytest.param(whole(b"[" * 1000 + b"]" * 1000), UntrustedError, id="nesting"),
        pytest.param(whole(b'{"a": NaN}'), UntrustedError, id="NaN"),
    ],
)
def test_an_answer_that_is_none_is_a_problem(answer, error):
    """What is not HTTP, not JSON, or exceeds a limit ends the request, and nothing else."""
    with pytest.raises(error):
        asked((answer,), 0.5)


EVENT = b'data: {"choices": [{"text": "a"}]}\n\n'


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\n{}", "7 bytes too early", id="a body"),
        pytest.param(
            HEAD.replace(b"application/json", b"text/event-stream") + b"\r\n" + EVENT,
            "the stream ended too early",
            id="a stream",
        ),
    ],
)
def test_a_part_of_an_answer_is_none(answer, said):
    """A kit that dies while it answers has not answered, however much of it has come."""
    with serving(answer, closes=True) as (address, _):
        client = KitClient(Target(address), 5.0)
        with pytest.raises(UnreachableError, match=said):
            client.ask("/v1/predict", b"{}", lambda _event: True)
        client.close()


def test_a_test_that_has_ended_does_not_wait_for_a_busy_kit():
    """The wait says that the test has ended, and the kit is not asked again."""
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}"
    waits: list[float] = []

    def ended(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 2

    with serving(busy) as (address, heard):
        client = KitClient(Target(address), 5.0, ended)
        assert client.ask("/a", b"{}").status == 503
        client.close()
    assert len(heard) == len(waits) == 2
    assert min(waits) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_too_large_is_not_read(stream):
    """The size is limited, whatever the answer states."""
    head = HEAD.replace(b"application/json", b"text/event-stream") if stream else HEAD
    with serving(whole(b" " * 101, head)) as (address, _):
        client = KitClient(Target(address), 5.0, max_bytes=100)
        with pytest.raises(UnreachableError, match="more than 100 bytes"):
            client.ask("/v1/predict", b"{}", (lambda _event: False) if stream else None)
        client.close()


@pytest.mark.parametrize("answer", [HEAD + b"Content-Length: 100000\r\n\r\n", b"HTTP/1.1 200"])
def test_an_answer_that_drips_ends_in_time(answer):
    """The deadline is that of the whole answer, not of each byte."""
    with pytest.raises(UnreachableError, match="no whole answer in time"):
        asked((answer,), 0.3, drips=True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "TEST_NOT_A_KIT",
        ),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", "TEST_KEY"),
        (whole(b"[]"), "TEST_NOT_A_KIT"),
        (whole(b"<html>"), "TEST_NOT_A_KIT"),
        (b"", "TEST_UNREACHABLE"),
    ],
)
def test_what_does_not_answer_as_a_kit_is_not_tested(answer, code):
    """A redirect is not followed, so that a key does not go elsewhere; each case has its code."""
    with serving(answer) as (address, heard), pytest.raises(MealkitError) as raised:
        described(Target(address, key="secret"), 5.0)
    assert raised.value.problems[0].code == code
    assert len(heard) <= 2
