"""The model of roll-outs counts bytes exactly, and its times have the limits that they must have."""

import pytest

from benchmarks.fleet import GB, Site, Way, roll_out

SITE = Site(taken_in=0.5 * GB)


@pytest.mark.parametrize(
    ("way", "servers", "origin_bytes"),
    [
        (Way.DIRECT, 1000, 14_000 * GB),
        (Way.CACHE, 1000, 2 * 10 * 14 * GB),
        (Way.CACHE, 101, 2 * 2 * 14 * GB),
        (Way.PEERS, 1000, 14 * GB),
    ],
)
def test_what_leaves_the_origin(way, servers, origin_bytes):
    """Each server's copy; two for each cache of docker-registry; one for all peers."""
    assert roll_out(servers, 14 * GB, way, SITE).origin_bytes == origin_bytes


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("servers", [1, 100, 1000])
def test_a_server_is_not_faster_because_there_are_more(way, servers):
    """The least time is that of one server; more servers never take less."""
    alone = roll_out(1, 14 * GB, way, SITE).seconds
    found = roll_out(servers, 14 * GB, way, SITE).seconds
    assert found >= alone >= 14 / 0.5


def test_peers_need_little_more_than_one_server_does():
    """A thousand pieces go on from peer to peer: ten doublings more than for one."""
    alone = roll_out(1, 140 * GB, Way.PEERS, SITE).seconds
    assert roll_out(1000, 140 * GB, Way.PEERS, SITE).seconds < 1.03 * alone
