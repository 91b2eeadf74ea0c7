"""Fixtures for the llama-cpp engine: its packages in this process, and models."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mealkit.engines.llama_cpp.config import LlamaCppConfig


@pytest.fixture(scope="session")
def llama_cpp_here(llama_cpp_packages) -> Iterator[None]:
    """Let this process import the engine."""
    sys.path.append(str(llama_cpp_packages))
    yield
    if "llama_cpp" in sys.modules:
        from llama_cpp import _utils  # noqa: PLC0415

        # It opens them when it is imported, and leaves them open.
        _utils.outnull_file.close()
        _utils.errnull_file.close()


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


@pytest.fixture(scope="session")
def quantised(llama_cpp_here, tiny_gguf, tmp_path_factory) -> Path:
    """Return the tiny Llama with weights of eight bits."""
    import llama_cpp  # noqa: PLC0415

    path = tmp_path_factory.mktemp("quantised") / "tiny-q8_0.gguf"
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    options.nthread = 1
    failed = llama_cpp.llama_model_quantize(str(tiny_gguf).encode(), str(path).encode(), options)
    assert not failed
    return path
