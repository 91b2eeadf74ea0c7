"""Layers come from registries and mirrors: several at a time, in pieces, and only with right bytes."""

import random
import threading
from collections.abc import Iterator

import pytest
from fakes.little import Heard
from fakes.quirky_registry import QuirkyRegistry

from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import Layer
from mealkit.oci.reference import Reference
from mealkit.pipeline.image.fetching_layers import Fetching
from mealkit.sources.file_cache import FileCache
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.read_ahead import PIECE_BYTES

LARGE = random.Random(2).randbytes(9 * 1024 * 1024)


@pytest.fixture
def origin() -> Iterator[QuirkyRegistry]:
    server = QuirkyRegistry()
    yield server
    server.close()


@pytest.fixture
def mirror(origin, monkeypatch) -> Iterator[QuirkyRegistry]:
    server = QuirkyRegistry()
    monkeypatch.setenv("MEALKIT_REGISTRY_MIRRORS", f"{origin.host}=http://{server.host}")
    yield server
    server.close()


def fetch(origin: QuirkyRegistry, home, *contents: bytes) -> tuple[LocalStore, Heard]:
    """Fetch layers with these contents, which the origin gets first."""
    store, cache, heard = LocalStore(home.store), FileCache(home.files), Heard()
    for data in contents:
        origin.blobs[Digest.of(data)] = data
    with Registries.from_environment() as registries, store.use():
        clients = registries.sources(Reference(origin.host, "kit", "1"))
        layers = [
            Layer(LAYER, RegistryBlob(digest, len(data), "kit", clients), digest, "")
            for data in contents
            for digest in [Digest.of(data)]
        ]
        with Fetching(store, cache, heard) as fetching:
            fetching.fetch_layers(layers, "fetching")
    return store, heard


def test_several_layers_are_fetched_at_a_time(origin, home):
    """Three requests for layers are in flight together."""
    together = threading.Barrier(3)

    def wait(handler):
        if "/blobs/" in handler.path:
            together.wait(30)
        return False

    origin.quirks.append(wait)
    contents = [bytes([number]) * 1000 for number in range(6)]
    store, _ = fetch(origin, home, *contents)
    assert all(store.has(Digest.of(data)) for data in contents)


@pytest.mark.parametrize("place", [10, 5_000_000, len(LARGE) - 10])
def test_a_mirror_that_lies_in_one_piece_is_noticed_and_left(origin, mirror, home, place):
    """Wherever the other byte is, the right bytes are fetched from the registry, once."""
    lie = bytearray(LARGE)
    lie[place] ^= 1
    mirror.blobs[Digest.of(LARGE)] = bytes(lie)
    store, heard = fetch(origin, home, LARGE)
    found = store.blob(Digest.of(LARGE))
    assert b"".join(bytes(chunk) for chunk in found.chunks()) == LARGE
    (notice,) = heard.notices
    assert notice.code == "REGISTRY_DIGEST"
    assert mirror.host in notice.message
    assert notice.message.endswith(f"now from {origin.host}")
    asked = [head.get("Range", "") for _, path, head in origin.seen if "/blobs/" in path]
    assert len(asked) == len(set(asked))


def test_what_ends_a_fetch_stays_for_the_next(origin, home):
    """After a cut that does not mend, the bytes in order are on the disk, and are not asked for."""
    digest = Digest.of(LARGE)
    piece = PIECE_BYTES

    def refuse(handler):
        first = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        return int(first) >= piece and handler.answer(403)

    origin.quirks.append(refuse)
    with pytest.raises(Exception, match="REGISTRY_DENIED"):
        fetch(origin, home, LARGE)
    (part,) = (home.files / "parts").glob("*.part")
    kept = part.stat().st_size
    assert kept == piece
    origin.quirks.clear()
    origin.seen.clear()
    store, _ = fetch(origin, home, LARGE)
    assert store.has(digest)
    asked = [head.get("Range", "") for _, path, head in origin.seen if "/blobs/" in path]
    starts = [int(text.removeprefix("bytes=").partition("-")[0]) for text in asked]
    assert min(starts) == kept
