"""A request's body, up to the kit's limit."""

import socket

import pytest


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
