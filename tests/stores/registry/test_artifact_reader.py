"""Blobs for the sources of weights: large ones on several connections, verified whoever sent them."""

from contextlib import closing

import pytest
from fakes.quirky_registry import QuirkyRegistry

from mealkit.digest import Digest
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.reference import Reference
from mealkit.sources.artifact_layers import fetch_layer
from mealkit.sources.file_cache import FileCache
from mealkit.stores.registry.artifact_reader import RegistryArtifacts
from mealkit.stores.registry.read_ahead import PIECE_BYTES

DATA = bytes(range(256)) * (3 * PIECE_BYTES // 256)
ITEM = Descriptor("application/vnd.cncf.model.weight.v1.raw", Digest.of(DATA), len(DATA))


@pytest.fixture
def mirror():
    server = QuirkyRegistry()
    yield server
    server.close()


@pytest.fixture
def artifacts(quirky, mirror, monkeypatch):
    """Registries in which the mirror is asked before the quirky one."""
    monkeypatch.setenv("MEALKIT_REGISTRY_MIRRORS", f"{quirky.host}={mirror.host}")
    quirky.blobs[ITEM.digest] = DATA
    with closing(RegistryArtifacts()) as opened:
        yield opened


@pytest.mark.parametrize("is_right", [True, False])
def test_a_large_blob_is_read_in_pieces_and_from_the_registry_if_a_mirror_sends_others(
    artifacts, quirky, mirror, tmp_path, is_right
):
    """The mirror's pieces are used if all together have the digest; else the registry is asked."""
    mirror.blobs[ITEM.digest] = DATA if is_right else DATA[:-1] + b"x"
    blob = artifacts.blob(Reference(quirky.host, "models/m", "1"), ITEM)
    cache, told = FileCache(tmp_path), []
    path = fetch_layer(blob, cache, told.append)
    assert path.read_bytes() == DATA
    assert sum(told) == len(DATA)
    # The rest comes in one piece or in two, as the first one arrives fast or not.
    assert mirror.count("GET", ITEM.digest) in {2, 3}
    assert quirky.count("GET", ITEM.digest) in ({0} if is_right else {2, 3})
