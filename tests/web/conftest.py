"""Fixtures for the web: a server with files on loopback, and a cache for what it sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.hub_server import HubServer

from mealkit.sources.file_cache import FileCache


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A running server."""
    with HubServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    """An empty cache."""
    return FileCache(tmp_path / "cache")
