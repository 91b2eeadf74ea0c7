"""A request's body, up to the kit's limit."""

import asyncio
import gzip
import json
import socket
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from mealkit.errors import RequestError
from mealkit.runtime.body_limits import BodyLimit
from mealkit.runtime.gateway.request_body import read_body


@pytest.fixture
def kit(start):
    return start().wait_ready()


def test_body_over_the_limit(start, make_lock):
    """A body over the limit is refused with both numbers; a far larger one is not even read."""
    kit = start(make_lock(serving={"max_body": "1KiB"})).wait_ready()
    answer = kit.embed("x" * 1500)
    assert answer.status_code == 413
    assert "the limit is 1024 bytes" in answer.json()["error"]["message"]
    address = (kit.client.base_url.host, kit.client.base_url.port)
    for head in (
        "Content-Length: 99999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5000\r\n",
    ):
        with socket.create_connection(address, 30) as peer:
            peer.sendall(f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n{head}".encode())
            if "chunked" in head:
                peer.sendall(b"x" * 0x5000)
            reply = peer.makefile("rb").read()
        assert reply.startswith(b"HTTP/1.1 413 ")
        assert b"REQUEST_TOO_LARGE" in reply


class Sender:
    """A caller that sends parts, and counts how many were taken."""

    def __init__(
        self, parts: list[bytes], length: str | None = None, encoding: str | None = None
    ) -> None:
        self.parts, self.taken, self.held = parts, 0, 0
        stated = ((b"content-length", length), (b"content-encoding", encoding))
        headers = [(name, value.encode("latin-1")) for name, value in stated if value is not None]
        self.request = Request({"type": "http", "headers": headers}, self.receive)

    async def receive(self) -> dict[str, Any]:
        if self.taken == len(self.parts):
            return {"type": "http.disconnect"}
        self.taken += 1
        more = self.taken < len(self.parts)
        return {"type": "http.request", "body": self.parts[self.taken - 1], "more_body": more}

    def hold(self, size_bytes: int) -> None:
        self.held += size_bytes

    def read(self, limit_bytes: int = 10) -> bytes:
        return asyncio.run(read_body(self.request, BodyLimit(limit_bytes), self.hold))


@pytest.mark.parametrize("parts", [[b""], [b"x" * 10], [b"x" * 4, b"", b"x" * 6]])
def test_a_body_up_to_the_limit_is_read_whole(parts):
    """The limit is a size that is still taken, and every byte that is kept was announced."""
    sender = Sender(parts)
    assert sender.read() == b"".join(parts)
    assert sender.held == len(b"".join(parts))


@pytest.mark.parametrize(
    ("parts", "length", "taken"),
    [
        ([b"x" * 11], None, 1),
        ([b"x" * 10, b"x", b"x" * 8], None, 3),
        ([b"x" * 9] * 9, None, 3),
        ([b"x"], "21", 0),
        ([b"x" * 20], "20", 1),
    ],
)
def test_a_larger_body_is_not_read_far(parts, length, taken):
    """A little more is read, so that the caller sees the answer, and nothing of it is kept."""
    sender = Sender(parts, length)
    with pytest.raises(RequestError, match="REQUEST_TOO_LARGE"):
        sender.read()
    assert sender.taken == taken
    assert sender.held <= 10


TEXT = b'\xef\xbb\xbf{"input": "hello"}' + b" " * 200_000
PACKED = gzip.compress(TEXT)


@pytest.mark.parametrize("encoding", ["gzip", " GZIP ", "x-gzip"])
@pytest.mark.parametrize(
    "packed",
    [PACKED, gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])],
    ids=["one file", "two files"],
)
def test_a_packed_body(packed, encoding):
    """It is unpacked up to the limit, which counts for what comes out, and without its BOM."""
    sender = Sender([packed[:5], packed[5:]], encoding=encoding)
    assert sender.read(len(TEXT)) == TEXT[3:]
    assert sender.held == len(packed) + len(TEXT)
    with pytest.raises(RequestError, match="REQUEST_TOO_LARGE") as error:
        Sender([packed], encoding=encoding).read(len(TEXT) - 1)
    assert "when unpacked" in str(error.value)


def test_a_bomb_is_unpacked_only_up_to_the_limit():
    """A hundred megabytes of zeros in a hundred kilobytes fill no memory."""
    sender = Sender([gzip.compress(bytes(100_000_000), 1)], encoding="gzip")
    with pytest.raises(RequestError, match="REQUEST_TOO_LARGE"):
        sender.read(1_000_000)
    assert sender.held <= 2_000_000


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (PACKED[:-9], "gzip", "REQUEST_INVALID.*its end is missing"),
        (PACKED[:-8] + bytes(8), "gzip", "REQUEST_INVALID.*not valid gzip"),
        (b"{}", "gzip", "REQUEST_INVALID.*not valid gzip"),
        (PACKED + b"more", "gzip", "REQUEST_INVALID.*not valid gzip"),
        (gzip.compress(b"") * 100, "gzip", "REQUEST_INVALID.*more than 64 gzip files"),
        (b"{}", "br", "REQUEST_MEDIA_TYPE.*'br', expected gzip or none"),
        (b"{}", "zstd", "REQUEST_MEDIA_TYPE"),
        (b"{}", "deflate", "REQUEST_MEDIA_TYPE"),
        (PACKED, "gzip, gzip", "REQUEST_MEDIA_TYPE"),
    ],
    ids=["cut", "changed", "plain", "followed", "many", "br", "zstd", "deflate", "twice"],
)
def test_a_body_that_cannot_be_unpacked(body, encoding, said):
    """Broken data and other encodings are refused, and the reason is named."""
    with pytest.raises(RequestError, match=said):
        Sender([body], encoding=encoding).read(1_000_000)


def test_packed_bodies_through_the_gateway(kit):
    """A packed request gets its answer; another encoding is told which one is accepted."""
    body = json.dumps({"model": "stand-in", "input": "hello"}).encode()
    sent = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = kit.client.post("/v1/embeddings", content=gzip.compress(body), headers=sent)
    assert answer.json()["data"]
    answer = kit.client.post("/v1/embeddings", content=b"\xef\xbb\xbf" + body)
    assert answer.json()["data"]
    refused = kit.client.post(
        "/v1/embeddings", content=body, headers=sent | {"Content-Encoding": "br"}
    )
    assert refused.status_code == 415
    assert refused.headers["Accept-Encoding"] == "gzip, identity"


def test_a_caller_that_goes_while_sending():
    """Half a body is no request."""
    sender = Sender([])
    with pytest.raises(ClientDisconnect):
        sender.read()


def test_a_body_for_which_there_is_no_room():
    """What refuses to keep a part ends the reading at once."""

    def refuse(_size_bytes: int) -> None:
        raise RuntimeError("no room")

    sender = Sender([b"x", b"x", b"x"])
    with pytest.raises(RuntimeError, match="no room"):
        asyncio.run(read_body(sender.request, BodyLimit(10), refuse))
    assert sender.taken == 1
