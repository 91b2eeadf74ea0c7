"""HTTP answers of the worker, however they are cut, and whatever is wrong with them."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.runtime.worker_client.response import ResponseError, ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_END = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nhello"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BETWEEN = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
ALL = [LENGTH, CHUNKED, UNTIL_END, OLD, BETWEEN, EMPTY]


def read(*pieces):
    """Read an answer; return it, and whether its connection may be used again."""
    reader = ResponseReader()
    body = b"".join(part for piece in pieces for part in reader.take(piece))
    reader.end()
    return reader.status, body, reader.keeps_open


def read_with_h11(data):
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        match event:
            case h11.Response():
                status = event.status_code
            case h11.Data():
                body += bytes(event.data)
    return status, body


@pytest.mark.parametrize("data", ALL)
def test_however_it_is_cut(data):
    """An answer is the same in one piece, byte by byte, and cut once anywhere; h11 agrees."""
    whole = read(data)
    assert whole[:2] == read_with_h11(data)
    assert read(*(data[at : at + 1] for at in range(len(data)))) == whole
    for at in range(len(data)):
        assert read(data[:at], data[at:]) == whole


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=30),
)
def test_chunks(chunks, cuts):
    """Any body in any chunks, cut anywhere, arrives as it is."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    pieces = []
    while data:
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(data[:size])
        data = data[size:]
    assert read(*pieces) == (200, b"".join(chunks), True)


def test_what_keeps_a_connection():
    """A connection is used again only after an answer whose end is stated."""
    assert [read(data)[2] for data in ALL] == [True, True, False, False, True, True]


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"not HTTP at all\r\n\r\n",
        b"x" * 10,
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 No\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 0x5\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"A header\r\n\r\n",
        HEAD + b"A: 1\r\n folded\r\n\r\n",
        HEAD + b"A: " + b"x" * 70_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5000,
        LENGTH + b"more",
        CHUNKED + b"more",
    ],
)
def test_what_is_not_http(data):
    """An invalid answer is refused as soon as possible, in one piece and byte by byte."""
    with pytest.raises(ResponseError):
        ResponseReader().take(data)
    with pytest.raises(ResponseError):
        read(*(data[at : at + 1] for at in range(len(data))))


@pytest.mark.parametrize("data", [LENGTH, CHUNKED])
def test_end_within_an_answer(data):
    """An answer that ends too early is none."""
    for at in range(len(data)):
        reader = ResponseReader()
        reader.take(data[:at])
        with pytest.raises(ResponseError):
            reader.end()
