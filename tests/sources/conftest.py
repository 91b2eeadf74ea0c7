"""Fixtures for sources: a Hub on loopback, a cache, a downloader, and small weight files."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.hub_server import HubServer, hub_in_use

from mealkit.recipe.kit import Model
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.sources.source import Supplies
from mealkit.web.http_client import open_client
from mealkit.web.retry import Retry


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running Hub that HF_ENDPOINT points to."""
    with hub_in_use(monkeypatch) as server:
        yield server


@pytest.fixture
def mirror() -> Iterator[HubServer]:
    """A second server, for mirrors."""
    with HubServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    """An empty cache."""
    return FileCache(tmp_path / "cache")


@pytest.fixture
def downloader(cache: FileCache) -> Iterator[Downloader]:
    """A downloader that does not wait between attempts."""
    with open_client() as client:
        yield Downloader(cache, client, retry=Retry(3, 0))


@pytest.fixture
def supplies(downloader: Downloader) -> Supplies:
    """What adapters are handed."""
    return Supplies(downloader)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole package index, by the user's own settings of uv."""
    folder = tmp_path / "index"
    folder.mkdir()
    settings = tmp_path / "config" / "uv" / "uv.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"no-index = true\nfind-links = ['{folder}']\n", encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


@pytest.fixture
def model() -> Callable[..., Model]:
    """Make the model part of a kit from its weight entries, as kit.yaml would give them."""

    def make(*weights: dict[str, object], **fields: object) -> Model:
        form = {"name": "m", "license": "Apache-2.0", "weights": weights, **fields}
        return Model.model_validate_json(json.dumps(form))

    return make


@pytest.fixture
def safetensors() -> Callable[..., bytes]:
    """Make a safetensors file: header, and data unless only the header is wanted."""

    def make(tensors: dict[str, tuple[str, list[int], int]], *, header_only: bool = False) -> bytes:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, (dtype, shape, size_bytes) in tensors.items():
            header[name] = {
                "dtype": dtype,
                "shape": shape,
                "data_offsets": [end, end + size_bytes],
            }
            end += size_bytes
        text = json.dumps(header).encode()
        data = b"" if header_only else bytes(index * 7 % 251 for index in range(end))
        return struct.pack("<Q", len(text)) + text + data

    return make
