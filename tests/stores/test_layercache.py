"""A layer is remembered by the key of its plan, as long as its blob can be used."""

import json

import pytest

from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Layer
from mealkit.stores.layercache import LayerCache

BLOB = BytesBlob(b"layer")
KEPT = Layer(LAYER, BLOB, Digest.of(b"tar"), "add it", {"a": "b"})


class Blobs(dict):
    """The blobs of a store, which may go."""

    def usable(self, digest, size_bytes):
        blob = self.get(digest)
        return blob if blob is not None and blob.size_bytes == size_bytes else None


@pytest.fixture
def blobs():
    """A store with the layer's blob."""
    return Blobs({BLOB.digest: BLOB})


@pytest.fixture
def cache(tmp_path, blobs):
    """A cache that keeps one layer."""
    made = LayerCache(tmp_path / "layers", blobs.usable)
    made.put("plan", KEPT)
    return made


def entry(tmp_path):
    (path,) = (tmp_path / "layers").iterdir()
    return path


def test_a_layer_comes_back_as_it_was(cache):
    """Its blob, diff id, history and annotations."""
    assert cache.get("plan") == KEPT
    assert cache.get("another") is None


def test_a_layer_whose_blob_is_gone_is_forgotten(cache, blobs):
    """Pruning frees its entry."""
    assert cache.prune() == 0
    blobs.clear()
    assert cache.get("plan") is None
    assert cache.prune() > 0
    blobs[BLOB.digest] = BLOB
    assert cache.get("plan") is None


@pytest.mark.parametrize(
    "change",
    [
        {"key": "another"},
        {"diffId": "sha256:0"},
        {"diffId": None},
        {"descriptor": {}},
        {"descriptor": None},
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_read_is_no_layer(cache, tmp_path, change):
    """The work is done again."""
    path = entry(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    assert cache.get("plan") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b" " * 2_000_000])
def test_a_damaged_entry_is_dropped(cache, tmp_path, data):
    """And then written anew."""
    path = entry(tmp_path)
    path.write_bytes(data)
    assert cache.get("plan") is None
    assert cache.prune() == len(data)
    assert not path.exists()
    cache.put("plan", KEPT)
    assert cache.get("plan") == KEPT


def test_a_cache_that_is_not_there_is_empty(tmp_path, blobs):
    """It may be deleted at any time."""
    cache = LayerCache(tmp_path / "none", blobs.usable)
    assert cache.get("plan") is None
    assert cache.prune() == 0
