"""Fixtures for the estimator: shapes with hand-countable numbers, model files, a Hub on loopback."""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.engines import memory_of
from fakes.hub_server import HubServer, hub_in_use

from mealkit.memory.setting import Compared, Setting
from mealkit.memory.shape import Shape


@pytest.fixture
def shape() -> Callable[..., Shape]:
    """Make a shape: that of Llama-3.1-8B in 16 bit unless told otherwise."""

    def make(**changes: Any) -> Shape:
        fields: dict[str, Any] = {
            "bytes_by_dtype": {"BF16": 16_060_522_496},
            "layers": 32,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "heads": 32,
            "kv_heads": 8,
            "head_dimension": 128,
            "vocabulary": 128256,
            "max_positions": 131072,
        }
        return Shape(**{**fields, **changes})

    return make


@pytest.fixture
def setting() -> Callable[..., Setting]:
    """Make a setting: what transformers allocates for one request, unless told otherwise."""

    def make(**changes: Any) -> Setting:
        fields: dict[str, Any] = {
            "engine": "transformers",
            "context_tokens": 8192,
            "compared": Compared.ALLOCATED,
        }
        chosen = {**fields, **changes}
        return Setting(**{**chosen, "engine": memory_of(chosen["engine"])})

    return make


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running Hub that HF_ENDPOINT points to."""
    with hub_in_use(monkeypatch) as server:
        yield server


@pytest.fixture
def safetensors_head() -> Callable[..., tuple[bytes, int]]:
    """Make the head of a safetensors file, and the size that the whole file would have."""

    def make(tensors: dict[str, tuple[str, list[int], int]]) -> tuple[bytes, int]:
        header: dict[str, object] = {}
        end = 0
        for name, (dtype, dimensions, size_bytes) in tensors.items():
            offsets = [end, end + size_bytes]
            header[name] = {"dtype": dtype, "shape": dimensions, "data_offsets": offsets}
            end += size_bytes
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text, 8 + len(text) + end

    return make
