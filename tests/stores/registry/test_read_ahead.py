"""Reading large blobs on several connections: order, servers without ranges, cuts, memory."""

import itertools
import os
import random
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from fakes.peak import PEAK_KIB
from fakes.quirky_registry import QuirkyRegistry

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.read_ahead import ReadAhead
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint

PIECE = 64 * 1024
DATA = random.Random(1).randbytes(20 * PIECE + 77)
DIGEST = Digest.of(DATA)


@pytest.fixture
def ahead():
    found = ReadAhead(PIECE, fast_bytes_per_second=float("inf"))
    yield found
    found.close()


@pytest.fixture
def blob(quirky, registries) -> RegistryBlob:
    """A large blob of the quirky registry."""
    quirky.blobs[DIGEST] = DATA
    clients = registries.sources(Reference(quirky.host, "kit", "1"))
    return RegistryBlob(DIGEST, len(DATA), "kit", clients)


def ranges(quirky) -> list[str | None]:
    return [head.get("Range") for _, path, head in quirky.seen if "/blobs/" in path]


def read(ahead: ReadAhead, blob: RegistryBlob, start: int = 0) -> bytes:
    return b"".join(ahead.chunks(blob, start, len(DATA), set()))


@pytest.mark.parametrize("start", [0, 1000, 19 * PIECE])
def test_pieces_come_in_their_order(quirky, blob, ahead, start):
    """However the connections take turns, the bytes are those of the range, each asked for once."""
    assert read(ahead, blob, start) == DATA[start:]
    spans = sorted(
        tuple(map(int, text.removeprefix("bytes=").split("-"))) for text in ranges(quirky) if text
    )
    assert sum(end + 1 - first for first, end in spans) == len(DATA) - start
    assert all(here[1] + 1 == there[0] for here, there in itertools.pairwise(spans))


def test_a_fast_connection_is_enough(quirky, blob):
    """Where the first piece arrives fast, the rest comes with one more request."""
    with closing(ReadAhead(PIECE, fast_bytes_per_second=0)) as ahead:
        assert read(ahead, blob) == DATA
    assert ranges(quirky) == [f"bytes=0-{PIECE - 1}", f"bytes={PIECE}-{len(DATA) - 1}"]


def test_several_pieces_are_asked_for_at_once(quirky, blob, ahead):
    """After the first piece, three requests are in flight together."""
    together = threading.Barrier(3)
    first = f"bytes=0-{PIECE - 1}"

    def wait(handler):
        if "/blobs/" in handler.path and handler.headers.get("Range") != first:
            with_others.append(together.wait(30))
        return False

    with_others: list[int] = []
    quirky.blobs[DIGEST] = DATA
    quirky.quirks.append(wait)
    small = b"".join(ahead.chunks(blob, 0, 7 * PIECE, set()))
    assert small == DATA[: 7 * PIECE]
    assert len(with_others) == 6


def test_two_blobs_share_the_connections_and_neither_waits_for_the_other(blob, ahead):
    """One that is not read on does not stop the other."""
    slow = ahead.chunks(blob, 0, len(DATA), set())
    begun = next(slow)
    for _ in range(8):
        begun += next(slow)
    assert read(ahead, blob) == DATA
    assert begun + b"".join(slow) == DATA
    assert [ahead.room.acquire(blocking=False) for _ in range(5)] == [True] * 4 + [False]


def whole(handler) -> bool:
    """Answer with the whole blob, as servers do that do not know ranges."""
    del handler.headers["Range"]
    return False


def elsewhere(handler) -> bool:
    """Answer with another range than the one that was asked for."""
    if "Range" not in handler.headers:
        return False
    return handler.answer(206, DATA[5:50], Content_Range=f"bytes 5-49/{len(DATA)}")


def halves(handler) -> bool:
    """Answer with the first half of each range."""
    first, end = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
    half = first + max((end - first) // 2, 1)
    span = f"bytes {first}-{half - 1}/{len(DATA)}"
    return handler.answer(206, DATA[first:half], Content_Range=span)


def longer(handler) -> bool:
    """Answer with everything from the beginning of each range."""
    first = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
    span = f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"
    return handler.answer(206, DATA[first:], Content_Range=span)


def cut(handler) -> bool:
    """End every second connection in the middle of its piece."""
    handler.registry.sessions.setdefault("cuts", bytearray()).append(1)
    if len(handler.registry.sessions["cuts"]) % 2:
        return False
    first, end = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{end}/{len(DATA)}")
    handler.send_header("Content-Length", str(end + 1 - first))
    handler.end_headers()
    handler.wfile.write(DATA[first : (first + end) // 2])
    handler.wfile.flush()
    return handler.reset()


@pytest.mark.parametrize("quirk", [whole, halves, longer, cut])
def test_other_answers_to_ranges_are_read_all_the_same(quirky, blob, ahead, quirk):
    """Whole blobs, shorter and longer ranges, and cuts in the middle."""
    quirky.quirks.append(lambda handler: "/blobs/" in handler.path and quirk(handler))
    assert read(ahead, blob) == DATA
    if quirk is whole:  # a cache that is filled by this answer must not see it end early
        assert len(ranges(quirky)) == 1


def test_a_server_with_other_ranges_is_asked_for_the_whole_blob_from_then_on(quirky, blob, ahead):
    """The first wrong range is a problem; the next attempt sends none."""
    quirky.quirks.append(lambda handler: "/blobs/" in handler.path and elsewhere(handler))
    with pytest.raises(MealkitError, match="REGISTRY_DIGEST"):
        read(ahead, blob)
    assert read(ahead, blob) == DATA


def test_pieces_are_read_from_where_the_registry_redirects_to(quirky, blob, ahead):
    """Each piece follows its own redirect, and its range goes along."""
    storage = QuirkyRegistry()
    storage.blobs[DIGEST] = DATA
    url = f"http://{storage.host}/v2/storage/blobs/{DIGEST}"
    quirky.quirks.append(
        lambda handler: "/blobs/" in handler.path and handler.answer(307, Location=url)
    )
    assert read(ahead, blob) == DATA
    storage.close()
    assert len(ranges(storage)) == 21
    assert None not in ranges(storage)


def test_pieces_that_a_mirror_lacks_come_from_the_registry(quirky, make_registries, ahead):
    """A mirror may have evicted the blob in the middle."""
    mirror = QuirkyRegistry()
    mirror.blobs[DIGEST] = quirky.blobs[DIGEST] = DATA
    endpoint = RegistryEndpoint(mirror.host, mirror.host)
    registries = make_registries(mirrors={quirky.host: (endpoint,)})
    clients = registries.sources(Reference(quirky.host, "kit", "1"))
    blob = RegistryBlob(DIGEST, len(DATA), "kit", clients)
    mirror.quirks.append(
        lambda handler: len(ranges(mirror)) > 9 and handler.answer(404, b"evicted")
    )
    assert read(ahead, blob) == DATA
    mirror.close()
    assert len(ranges(quirky)) >= 10


_READ = (
    """
import sys
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.read_ahead import ReadAhead
from mealkit.stores.registry.reaching import Registries
host, digest, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
ahead = ReadAhead(fast_bytes_per_second=float("inf"))
with Registries.from_environment() as registries:
    clients = registries.sources(Reference(host, "kit", "1"))
    blob = RegistryBlob(digest, size, "kit", clients)
    assert sum(map(len, ahead.chunks(blob, 0, size, set()))) == size
ahead.close()
"""
    + PEAK_KIB
    + "print(peak_kib())"
)


def test_a_large_blob_takes_the_memory_of_a_few_pieces(quirky):
    """The peak of a process that reads 160 MiB in pieces stays below 100 MiB."""
    data = bytes(160 * 1024 * 1024)
    digest = Digest.of(data)
    quirky.blobs[digest] = data
    done = subprocess.run(
        [sys.executable, "-c", _READ, quirky.host, digest, str(len(data))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MEALKIT_REGISTRY_MIRRORS": ""},
    )
    assert int(done.stdout) < 100 * 1024
