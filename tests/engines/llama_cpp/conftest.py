"""Fixtures for the llama-cpp engine: its packages in this process, and models."""

import sys
from pathlib import Path

import pytest

from mealkit.engines.llama_cpp.config import LlamaCppConfig


@pytest.fixture(scope="session")
def llama_cpp_here(llama_cpp_packages) -> None:
    """Let this process import the engine."""
    sys.path.append(str(llama_cpp_packages))


@pytest.fixture(scope="session")
def tiny_gguf(tiny_llama) -> Path:
    """Return the tiny Llama as a GGUF."""
    return tiny_llama / "tiny-f16.gguf"


@pytest.fixture
def configured(tiny_gguf):
    """Return configurations of the tiny Llama: ``configured(threads=2)``."""

    def make(**fields) -> LlamaCppConfig:
        values = {
            "model": tiny_gguf,
            "context_tokens": 512,
            "pooling": "none",
            "normalize": False,
            "n_batch": 512,
            "n_ubatch": 512,
            "threads": 1,
            "flash_attn": False,
            "cache_type_k": "f16",
            "cache_type_v": "f16",
            "use_mmap": True,
            "use_mlock": False,
            "repack": False,
            "n_gpu_layers": 0,
        }
        return LlamaCppConfig(**values | fields)

    return make


@pytest.fixture
def loaded(llama_cpp_here, configured):
    """Return token models of the tiny Llama: ``loaded(threads=2)``."""

    def load(**fields):
        from mealkit.engines.llama_cpp.model import LlamaCppModel  # noqa: PLC0415

        return LlamaCppModel(configured(**fields))

    return load
