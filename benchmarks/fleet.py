"""A model of roll-outs to many servers: what leaves the origin, and how long it takes.

A discrete model, not a measurement: this machine is one server. What a server itself needs
(how fast it takes bytes in, how many bytes a release of prompts has) is measured and put in, and
what leaves the origin is compared with real pulls by a few homes on this machine.
"""

from dataclasses import dataclass
from enum import StrEnum

GB = 10**9
_PIECES = 1000
_GIGABIT = 10**9 / 8


class Way(StrEnum):
    """How servers get a kit."""

    DIRECT = "from the registry"
    CACHE = "through caches"
    PEERS = "from each other"


@dataclass(frozen=True, slots=True)
class Site:
    """Speeds in bytes a second. Those of the network are assumptions, stated with the results."""

    taken_in: float
    """What one server receives, hashes and writes."""
    origin: float = 10 * _GIGABIT
    network: float = 10 * _GIGABIT
    """Of each server, in each direction."""
    cache: float = 25 * _GIGABIT
    servers_of_a_cache: int = 100
    fetched_by_a_cache: int = 2
    """docker-registry's proxy fetches a blob for the client, and again for itself."""
    shared: float = 0.75
    """How much of their network peers use; Dragonfly's users say 70 to 80 %."""
    round_trip_seconds: float = 0.5
    """For what has hardly any bytes: a manifest, a config, a small layer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a roll-out."""

    origin_bytes: float
    seconds: float


def roll_out(servers: int, size_bytes: float, way: Way, site: Site) -> Outcome:
    """Bring as many bytes to each server; all begin at once, a cache is filled before."""
    match way:
        case Way.DIRECT:
            rate = min(site.taken_in, site.network, site.origin / servers)
            return Outcome(servers * size_bytes, site.round_trip_seconds + size_bytes / rate)
        case Way.CACHE:
            return _through_caches(servers, size_bytes, site)
        case Way.PEERS:
            rate = min(site.taken_in, site.network * site.shared)
            rounds = _rounds(servers, min(site.origin / rate, 1.0))
            seconds = rounds * size_bytes / _PIECES / rate
            return Outcome(size_bytes, site.round_trip_seconds + seconds)


def _through_caches(servers: int, size_bytes: float, site: Site) -> Outcome:
    caches = -(-servers // site.servers_of_a_cache)
    fetched_bytes = caches * site.fetched_by_a_cache * size_bytes
    fetching = site.origin / caches / site.fetched_by_a_cache
    filling = size_bytes / min(site.taken_in, site.network, fetching)
    each = min(servers, site.servers_of_a_cache)
    serving = size_bytes / min(site.taken_in, site.network, site.cache / each)
    # The first server of each cache is served while the cache is filled.
    seconds = filling + (serving if each > 1 else 0)
    return Outcome(fetched_bytes, 2 * site.round_trip_seconds + seconds)


def _rounds(servers: int, from_origin: float) -> int:
    """Return after how many rounds every server has every piece.

    In a round, each server sends at most one piece that it has, and gets at most one. The origin
    sends each piece once, ``from_origin`` pieces in a round. The piece that the fewest have goes on
    first: how many have it at most doubles.
    """
    having = [0] * _PIECES
    arrived, rounds = 0.0, 0
    while min(having) < servers:
        rounds += 1
        before = int(arrived)
        arrived = min(arrived + from_origin, _PIECES)
        able = servers if any(having) else 0
        left = servers  # each gets one
        for number in range(before, int(arrived)):
            having[number] = 1
            left -= 1
        for number in sorted(range(before), key=having.__getitem__):
            if having[number] == servers:
                break
            sent = min(having[number], servers - having[number], able, left)
            having[number] += sent
            able, left = able - sent, left - sent
            if not able or not left:
                break
    return rounds
