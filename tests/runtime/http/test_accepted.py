"""Connections: bounded in number, in silence and in what they hold; memory stays bounded with them."""

import asyncio
import json
import resource
import select
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from mealkit.runtime.http.accepted import AcceptedConnections

MEBIBYTE = 2**20


class Caller:
    """A connection that notes how it was ended."""

    def __init__(self, connections):
        self.connections = connections
        self.unsent = 0
        self.ended = ""
        connections.opened(self)

    def unsent_bytes(self):
        return self.unsent

    def end(self):
        self.ended = self.ended or "end"
        self.connections.closed(self)

    def drop(self):
        self.ended = self.ended or "drop"
        self.connections.closed(self)


def at(clock, connections, seconds):
    clock[0] = seconds
    connections.look()


def keeper(**limits):
    clock = [0.0]
    connections = AcceptedConnections(
        limits.pop("limit", 100), idle_seconds=75, head_seconds=30, stall_seconds=30, **limits
    )
    connections._clock = lambda: clock[0]
    return connections, clock


def looped(test):
    def run():
        async def body():
            test()

        asyncio.run(body())

    run.__doc__ = test.__doc__
    return run


def _oldest_idle_goes_first():
    """Over the limit the longest idle one goes, and the new one if all are busy."""
    connections, _ = keeper(limit=2)
    first, second = Caller(connections), Caller(connections)
    connections.began_request(first)
    third = Caller(connections)
    assert (first.ended, second.ended, third.ended) == ("", "drop", "")
    connections.began_request(third)
    fourth = Caller(connections)
    assert (first.ended, third.ended, fourth.ended) == ("", "", "drop")
    assert len(connections) == 2


def _silence():
    """A head has thirty seconds, however slowly it comes; an idle connection has seventy-five."""
    connections, clock = keeper()
    idle, slow, busy = (Caller(connections) for _ in range(3))
    connections.began_head(slow)
    connections.began_request(busy)
    at(clock, connections, 20)
    connections.began_head(slow)
    at(clock, connections, 31)
    assert (idle.ended, slow.ended, busy.ended) == ("", "end", "")
    at(clock, connections, 76)
    assert (idle.ended, busy.ended) == ("end", "")
    connections.answered(busy)
    at(clock, connections, 152)
    assert busy.ended == "end"
    assert len(connections) == 0


def _bodies():
    """A body has twenty seconds, and one for every five hundred bytes that came."""
    connections, clock = keeper()
    silent, slow, quick, whole = (Caller(connections) for _ in range(4))
    for caller in (silent, slow, quick, whole):
        connections.began_body(caller)
    connections.began_request(whole)
    for second in range(1, 100):
        connections.more_body(slow, 100)
        connections.more_body(quick, 1000)
        at(clock, connections, second)
        assert (silent.ended != "") == (second > 20)
        assert (slow.ended != "") == (second > 25)
    assert (quick.ended, whole.ended) == ("", "")
    assert len(connections) == 2


def _slow_ones_make_room():
    """Over the limit one goes whose request is still coming; one that just came has a moment."""
    connections, clock = keeper(limit=4)
    busy, first, second, third = (Caller(connections) for _ in range(4))
    connections.began_request(busy)
    for caller in (first, second, third):
        connections.began_body(caller)
    at(clock, connections, 5)
    for asking in (Caller(connections), Caller(connections), Caller(connections)):
        assert asking.ended == ""
        connections.began_body(asking)
    assert [caller.ended for caller in (busy, first, second, third)] == ["", "drop", "drop", "drop"]
    at(clock, connections, 7)
    head, idle = Caller(connections), Caller(connections)
    connections.began_head(head)
    at(clock, connections, 9)
    Caller(connections)
    assert (head.ended, idle.ended) == ("drop", "")
    Caller(connections)
    assert idle.ended == "drop"


def _stalls():
    """Who fetches nothing for thirty seconds is dropped; who fetches slowly is not."""
    connections, clock = keeper()
    stalled, slow = Caller(connections), Caller(connections)
    for caller in (stalled, slow):
        connections.began_request(caller)
        caller.unsent = 1000
        connections.wrote(caller)
        connections.answered(caller)
    for second in range(0, 100, 10):
        slow.unsent = 1000 - second
        at(clock, connections, second)
    assert (stalled.ended, slow.ended) == ("drop", "")
    slow.unsent = 0
    at(clock, connections, 200)
    at(clock, connections, 276)
    assert slow.ended == "end"


def _all_that_is_unsent():
    """Over the limit of all together, those that fetch nothing go first."""
    connections, clock = keeper(unsent_bytes=1500)
    first, second = Caller(connections), Caller(connections)
    for caller in (first, second):
        connections.began_request(caller)
        caller.unsent = 1000
        connections.wrote(caller)
    at(clock, connections, 1)
    second.unsent = 900
    at(clock, connections, 2)
    assert (first.ended, second.ended) == ("drop", "")


test_oldest_idle_goes_first = looped(_oldest_idle_goes_first)
test_silence = looped(_silence)
test_bodies = looped(_bodies)
test_slow_ones_make_room = looped(_slow_ones_make_room)
test_stalls = looped(_stalls)
test_all_that_is_unsent = looped(_all_that_is_unsent)


def resident_bytes(kit):
    """The memory of the gateway's process, without its worker's."""
    pages = Path(f"/proc/{kit.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def test_ten_thousand_idle_connections(start):
    """They use limited memory, the oldest are closed first, and the kit still answers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 12_000), hard))
    kit = start(environment={"MEALKIT_CONNECTIONS": "500"}).wait_ready()
    before = resident_bytes(kit)
    with ExitStack() as peers:
        for _ in range(10):
            for _ in range(1000):
                peers.enter_context(kit.connected())
            with kit.connected() as asking:
                asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert asking.recv(12) == b"HTTP/1.1 200"
        kit.client.close()
        kit.client = httpx2.Client(base_url=kit.client.base_url)
        kit.wait_for(lambda: kit.gauge("mealkit_connections") <= 500)
        assert resident_bytes(kit) - before < 32 * MEBIBYTE
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_huge_bodies(start, make_lock, background):
    """Bodies that come slowly, many at once, take no more memory than all bodies may."""
    kit = start(make_lock(serving={"max_body": "1MiB", "max_queue": 100})).wait_ready()
    before = resident_bytes(kit)
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with ExitStack() as stack:
        peers = [stack.enter_context(kit.connected()) for _ in range(64)]
        for peer in peers:
            peer.sendall(head + b"x" * 900_000)
        # Nine of them fit into eight mebibytes.
        refused = kit.wait_for(
            lambda: len(found := select.select(peers, [], [], 1)[0]) == 64 - 9 and found
        )
        assert {peer.recv(12) for peer in refused} == {b"HTTP/1.1 429"}
        assert resident_bytes(kit) - before < 48 * MEBIBYTE
    kit.wait_for(lambda: kit.embed("hello").status_code == 200)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: loc",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_slow_requests_on_all_connections(start, sent):
    """Whatever the number of callers that never finish a request, another one is answered."""
    kit = start(environment={"MEALKIT_CONNECTIONS": "64"}).wait_ready()
    kit.client.close()
    with ExitStack() as peers:
        slow = [peers.enter_context(kit.connected()) for _ in range(64)]
        for peer in slow:
            peer.sendall(sent)
        for _ in range(3):
            with httpx2.Client(base_url=kit.client.base_url) as client:
                kit.client = client
                kit.wait_for(lambda: is_answered(kit))
            more = peers.enter_context(kit.connected())
            more.sendall(sent)


def is_answered(kit):
    try:
        return kit.embed("hello").status_code == 200
    except httpx2.TransportError:
        return False


def test_caller_that_does_not_read(start, make_api_lock):
    """A stream of fifty megabytes waits at the engine, not in the gateway."""
    kit = start(make_api_lock()).wait_ready()
    before = resident_bytes(kit)
    body = json.dumps(
        {
            "model": "stand-in",
            "messages": [{"role": "user", "content": "flood:5000"}],
            "stream": True,
        }
    ).encode()
    with kit.connected() as peer:
        peer.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        assert peer.recv(12) == b"HTTP/1.1 200"
        kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
        for _ in range(20):
            assert kit.chat("hello").status_code == 200
        assert resident_bytes(kit) - before < 24 * MEBIBYTE
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 0)
