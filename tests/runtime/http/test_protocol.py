"""HTTP as bytes: what is refused, what is served all the same, and what is left of it afterwards."""

import asyncio
import functools
import json
import socket
import tomllib
from http.client import HTTPResponse
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
import uvicorn
from packaging.specifiers import SpecifierSet
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

import mealkit
from mealkit.runtime.gateway_packages import GATEWAY_BOUNDS, GATEWAY_REQUIREMENTS
from mealkit.runtime.http.accepted import AcceptedConnections
from mealkit.runtime.http.protocol import OneWriteProtocol

LIVE = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def kept(start_shared):
    """A kit for tests that leave nothing of themselves."""
    return start_shared().wait_ready()


def looped(test):
    """Run a test in a loop of its own."""
    return functools.wraps(test)(lambda: asyncio.run(test()))


def test_head_without_end(start):
    """A head that is too large is refused, and its connection closed."""
    kit = start().wait_ready()
    for head in (
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET /" + b"x" * 100_000,
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    ):
        error = refused(kit, head, 413)
        assert error["code"] == "REQUEST_TOO_LARGE"
        assert "more than 65536 bytes" in error["message"]


POST = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello\r\n\r\n", "illegal request line"),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", "version 9.9"),
        (b"GET / HTTP/1.1\r\n\r\n", "Host"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "illegal request line"),
        (POST + b"Content-Length: many\r\n\r\n", "Content-Length"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", "Content-Length"),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", "both"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding"),
        (
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding in HTTP/1.0",
        ),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n", "chunk"),
    ],
)
def test_what_is_not_http(start, data, said):
    """It is refused in the shape of all errors, with the reason, and the connection closed."""
    kit = start().wait_ready()
    error = refused(kit, data, 400)
    assert (error["code"], error["owner"]) == ("REQUEST_INVALID", "caller")
    assert said in error["message"]
    assert ("http://" in error["hint"]) == data.startswith(b"\x16")
    counted = 'mealkit_failures_total{code="REQUEST_INVALID",owner="caller"} 1.0'
    assert counted in kit.client.get("/metrics").text
    nothing_is_left(kit)


def test_requests_that_do_not_wait(start):
    """They are answered one after the other, in order, however many there are."""
    kit = start().wait_ready()
    with kit.connected() as peer:
        peer.sendall(LIVE * 2000 + LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert peer.makefile("rb").read().count(b"HTTP/1.1 200 OK") == 2001
    nothing_is_left(kit)


def test_nonsense_behind_a_request(start):
    """The request gets its answer, the data after it the refusal, and the kit keeps running."""
    kit = start().wait_ready()
    with kit.connected() as peer:
        peer.sendall(LIVE + b"garbage\r\n\r\n")
        said = peer.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1 200")
    assert said.count(b"HTTP/1.1 400") == 1
    nothing_is_left(kit)


def test_nonsense_while_an_answer_is_streamed(start, make_api_lock):
    """What follows is refused behind the last piece, and not among the pieces."""
    kit = start(make_api_lock()).wait_ready()
    with kit.connected() as peer:
        peer.sendall(streamed("slow:30") + b"garbage\r\n\r\n")
        said = peer.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1 200")
    assert said.index(b"0\r\n\r\n") < said.index(b"HTTP/1.1 400")
    nothing_is_left(kit)


def unread_bytes(peer):
    """Return how much of what was sent the server has not read yet: proc_net_tcp(5), rx_queue."""
    here, there = (f":{place[1]:04X}" for place in (peer.getsockname(), peer.getpeername()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(there) and remote.endswith(here):
            return int(queues.partition(":")[2], 16)
    return None


@pytest.mark.parametrize("late", [False, True])
def test_a_caller_that_leaves_two_requests(start, tmp_path, late):
    """The one that is answered ends, the one that waits is never begun, and no slot is kept."""
    kit = start().wait_ready()
    never = tmp_path / "never"
    body = json.dumps({"model": "stand-in", "input": f"wait:{never}"}).encode()
    for _ in range(3):
        with kit.connected() as peer:
            peer.sendall(request(body, "/v1/embeddings") + (b"" if late else LIVE))
            kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
            if late:
                peer.sendall(LIVE)
                kit.wait_for(lambda: unread_bytes(peer) == 0)
        kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 0)
    never.touch()
    nothing_is_left(kit)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://127.0.0.1:9/v1/models", b"localhost", 200),
        (b"HTTP://127.0.0.1/v1/models?a=b", b"elsewhere.example", 200),
        (b"https://localhost/v1/models/", b"localhost", 200),
        (b"http://localhost?a", b"localhost", 200),
        (b"http://elsewhere.example/v1/models", b"localhost", 403),
        (b"http://user@localhost/v1/models", b"localhost", 404),
        (b"ftp://localhost/v1/models", b"localhost", 404),
        (b"*", b"localhost", 404),
    ],
)
def test_a_whole_address_in_the_request_line(kept, target, host, status):
    """It stands for its path, and its host counts instead of the header's: RFC 9112, 3.2.2."""
    with kept.connected() as peer:
        peer.sendall(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
        answer = HTTPResponse(peer)
        answer.begin()
        assert answer.status == status
        answer.read()


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_caller_that_ends_its_sending_side(kept, tmp_path, version):
    """It gets every answer that it has asked for, the late ones too; then the connection ends."""
    kit, gate = kept, tmp_path / "gate"
    body = json.dumps({"model": "stand-in", "input": f"wait:{gate}"}).encode()
    slow = request(body, "/v1/embeddings").replace(b"HTTP/1.1", b"HTTP/" + version)
    with kit.connected() as peer:
        peer.sendall(LIVE + slow)
        peer.shutdown(socket.SHUT_WR)
        kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
        quick, late = HTTPResponse(peer), HTTPResponse(peer)
        quick.begin()
        assert (quick.status, quick.read() != b"") == (200, True)
        if version == b"1.1":
            # The caller is asked whether it is still there, before the engine has answered.
            assert peer.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 100"
        gate.touch()
        late.begin()
        assert late.status == 200
        assert json.loads(late.read())["data"]
        assert peer.recv(1) == b""
    nothing_is_left(kit)


def test_an_offer_of_another_protocol(start):
    """It is passed over, as RFC 9110 allows: the request has its body, and its answer in HTTP/1.1."""
    kit = start().wait_ready()
    body = json.dumps({"model": "stand-in", "input": "hello"}).encode()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n" + offer
    with kit.connected() as peer:
        for _ in range(2):
            peer.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
            peer.sendall(body)
            answer = HTTPResponse(peer)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read())["data"]
    assert not [line for line in kit.raw if "uvicorn" in line]


def test_a_stream_in_http_1_0(start, make_api_lock):
    """It ends with the connection, and is not chunked: RFC 9112, section 6.1."""
    kit = start(make_api_lock()).wait_ready()
    with kit.connected() as peer:
        peer.sendall(streamed("hi").replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, said = peer.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert said.startswith(b"data: ")
    assert said.endswith(b"data: [DONE]\n\n")


def test_trailers(start):
    """They are not headers of the request, and have the limits of a head."""
    kit = start().wait_ready()
    body = json.dumps({"model": "stand-in", "input": "hello"}).encode()
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    with kit.connected() as peer:
        peer.sendall(head + b"X-Request-Id: from-a-trailer\r\n\r\n")
        answer = HTTPResponse(peer)
        answer.begin()
        assert (answer.status, answer.read() != b"") == (200, True)
        assert answer.getheader("X-Request-Id") != "from-a-trailer"
    for trailers in (b"X: " + b"x" * 100_000, b"X: " + b"x" * 100_000 + b"\r\n\r\n"):
        assert refused(kit, head + trailers, 413)["code"] == "REQUEST_TOO_LARGE"
    nothing_is_left(kit)


@pytest.mark.parametrize("data", [b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"hello\r\n\r\n"])
def test_a_stop_while_a_refused_caller_lingers(start, data):
    """A caller that does not disconnect does not make the kit end with an error."""
    kit = start().wait_ready()
    with kit.connected() as peer:
        peer.sendall(data)
        assert peer.recv(12) == b"HTTP/1.1 400"
        kit.process.terminate()
        assert kit.wait_end() == 0


def test_a_body_that_comes_after_its_answer(start):
    """It is skipped, and the connection stays open."""
    kit = start().wait_ready()
    with kit.connected() as peer:
        peer.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        answer = HTTPResponse(peer)
        answer.begin()
        assert (answer.status, answer.read() != b"") == (404, True)
        peer.sendall(b"hello")
        peer.sendall(LIVE)
        again = HTTPResponse(peer)
        again.begin()
        assert (again.status, again.read() != b"") == (200, True)


@looped
async def test_a_late_body_is_no_head():
    """After it the connection is as idle as any other, and may stay so as long."""
    protocol, connections = served()
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
    await answered(protocol)
    protocol.data_received(b"hello")
    assert (list(connections._idle), list(connections._heads)) == ([protocol], [])
    protocol.data_received(b"GET / HT")
    assert (list(connections._idle), list(connections._heads)) == ([], [protocol])


@looped
async def test_nothing_is_left_of_a_connection_that_was_reset():
    """No timer keeps it, however the caller went."""
    for error in (None, ConnectionResetError()):
        protocol, connections = served()
        protocol.data_received(LIVE)
        await answered(protocol)
        timer = protocol.timeout_keep_alive_task
        protocol.connection_lost(error)
        assert timer.cancelled()
        assert len(connections) == 0


def served():
    """Return a protocol over an application that answers at once, and what counts connections."""

    async def application(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    config = uvicorn.Config(application, http="h11", ws="none", lifespan="off", log_config=None)
    config.load()
    connections = AcceptedConnections(10)
    protocol = OneWriteProtocol(
        config=config,
        server_state=ServerState(),
        app_state={},
        connections=connections,
        refusal=lambda _: b"refused",
    )
    transport = Mock(asyncio.Transport)
    transport.is_closing.return_value = False
    transport.get_write_buffer_size.return_value = 0
    transport.get_extra_info.return_value = None
    protocol.connection_made(transport)
    return protocol, connections


async def answered(protocol):
    await asyncio.gather(*protocol.tasks)
    assert protocol.cycle.response_complete


def streamed(text):
    """Write a request for a stream."""
    messages = [{"role": "user", "content": text}]
    return request(json.dumps({"model": "stand-in", "messages": messages, "stream": True}).encode())


def request(body, path="/v1/chat/completions"):
    """Write a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def refused(kit, data, status):
    """Send something, and return the error that comes back before the connection ends."""
    with kit.connected() as peer:
        peer.sendall(data)
        answer = HTTPResponse(peer)
        answer.begin()
        assert answer.status == status
        assert {"X-Request-Id", "X-Mealkit-Recipe"} <= {name for name, _ in answer.getheaders()}
        content = json.loads(answer.read())
        assert peer.recv(1) == b""
        return content["error"]


def nothing_is_left(kit):
    """See that no connection and no request is counted but the one that asks."""
    kit.wait_for(lambda: kit.gauge("mealkit_connections") == 1)
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 0)
    assert kit.client.get("/v1/health/live").status_code == 200


def chunked(*chunks):
    head = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_a_head_of_many_lines(start):
    """It is refused, wherever it stands: as head, as trailers, behind a request or a body."""
    kit = start().wait_ready()
    lines = b"a:\r\n" * 5_000
    body = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    for data, count in (
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n", 0),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines, 0),
        (LIVE + b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n", 1),
        (body + b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n", 1),
        (chunked(b"{}") + b"0\r\n" + lines + b"\r\n", 0),
    ):
        with kit.connected() as peer:
            peer.sendall(data)
            said = peer.makefile("rb").read()
        assert said.count(b"HTTP/1.1 413") == 1
        assert said.count(b"HTTP/1.1 ") == count + 1
    nothing_is_left(kit)


def test_a_head_of_a_hundred_lines(start):
    """Proxies add some; a hundred are not an attack."""
    kit = start().wait_ready()
    lines = b"".join(b"X-Number-%d: %b\r\n" % (number, b"y" * 90) for number in range(200))
    with kit.connected() as peer:
        peer.sendall(
            LIVE.replace(b"\r\n\r\n", b"\r\n" + lines + b"AcceptedConnection: close\r\n\r\n")
        )
        assert peer.makefile("rb").read().startswith(b"HTTP/1.1 200")


def test_a_body_in_many_small_chunks(start):
    """A few thousand are read; beyond them the body is refused, for each takes the parser long."""
    kit = start().wait_ready()
    body = json.dumps({"model": "stand-in", "input": "x" * 1_500}).encode()
    with kit.connected() as peer:
        peer.sendall(chunked(*(bytes([byte]) for byte in body)) + b"0\r\n\r\n")
        answer = HTTPResponse(peer)
        answer.begin()
        assert (answer.status, answer.read() != b"") == (200, True)
    large = json.dumps({"model": "stand-in", "input": "x" * 3_000_000}).encode()
    with kit.connected() as peer:
        pieces = (large[place : place + 512] for place in range(0, len(large), 512))
        peer.sendall(chunked(*pieces) + b"0\r\n\r\n")
        answer = HTTPResponse(peer)
        answer.begin()
        assert (answer.status, answer.read() != b"") == (200, True)
    error = refused(kit, chunked(*[b" "] * 40_000), 400)
    assert "too small" in error["message"]
    nothing_is_left(kit)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_requests_in_pieces_of_any_size(start, size):
    """However the bytes come, they are the same requests."""
    kit = start().wait_ready()
    body = json.dumps({"model": "stand-in", "input": "hello " * 300}).encode()
    data = request(body, "/v1/embeddings") + chunked(body) + b"0\r\n\r\n"
    data += LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with kit.connected() as peer:
        for place in range(0, len(data), size):
            peer.sendall(data[place : place + size])
        said = peer.makefile("rb").read()
    assert said.count(b"HTTP/1.1 200 OK") == 3


@looped
async def test_others_have_their_turn_while_much_is_parsed():
    """No more than a slice is parsed at once, however much has come."""
    protocol, _ = served()
    seen = []
    protocol.data_received(chunked(*[b" "] * 1_500))
    while protocol._unread:
        seen.append(len(protocol._unread))
        assert not protocol._gathered._reads
        await asyncio.sleep(0)
    assert len(seen) >= 3
    assert all(before - after <= 2048 for before, after in pairwise(seen))
    assert protocol._gathered._reads


UNTESTED = (
    "uvicorn {version} is installed, and {bounds} is what OneWriteProtocol was tested with: read "
    "what changed in uvicorn/protocols/http/h11_impl.py, run this file, then move the bound in "
    "runtime/gateway_packages.py and pyproject.toml"
)
CHANGED = "uvicorn's {kind} has no {name} any more, which OneWriteProtocol relies on"
# What OneWriteProtocol overrides, calls or reads of uvicorn's private classes.
OF_PROTOCOL = {
    "_unset_keepalive_if_required", "conn", "connection_lost", "connection_made", "cycle",
    "data_received", "eof_received", "flow", "loop", "on_response_complete", "send_400_response", "shutdown",
    "transport",
}  # fmt: skip
OF_CYCLE = {
    "disconnected",
    "message_event",
    "more_body",
    "response_complete",
    "response_started",
    "scope",
}
OF_FLOW = {"read_paused", "resume_reading"}


def test_uvicorn_is_one_that_this_was_tested_with():
    """Another minor version fails here, and says what to look at."""
    bounds = ",".join(
        requirement.removeprefix("uvicorn")
        for requirement in (*GATEWAY_REQUIREMENTS, *GATEWAY_BOUNDS)
        if requirement.startswith("uvicorn")
    )
    said = UNTESTED.format(version=uvicorn.__version__, bounds=bounds)
    assert SpecifierSet(bounds).contains(uvicorn.__version__), said
    project = tomllib.loads((Path(mealkit.__file__).parents[1] / "pyproject.toml").read_text())
    assert f"uvicorn{bounds}" in project["dependency-groups"]["serve"]


@looped
async def test_what_is_private_to_uvicorn_is_still_there():
    """Every member that is overridden or used exists; a missing one is named."""
    protocol, _ = served()
    protocol.data_received(LIVE)
    for holder, names in (
        (protocol, OF_PROTOCOL), (protocol.cycle, OF_CYCLE), (protocol.flow, OF_FLOW)
    ):  # fmt: skip
        kind = type(holder).__mro__[1 if holder is protocol else 0]
        for name in names:
            there = hasattr(kind, name) or hasattr(holder, name)
            assert there, CHANGED.format(kind=kind.__name__, name=name)
    await answered(protocol)
    for name in vars(OneWriteProtocol).keys() & vars(H11Protocol).keys() - {
        "__doc__",
        "__module__",
        "__init__",
    }:
        assert name in OF_PROTOCOL
