"""Clients that others wrote: Cohere's, and the adapters of LangChain and LlamaIndex, unmodified."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mealkit.kit.model import Task

CALLS = Path(__file__).with_name("calls.py")
# In an environment of their own: they bring half a hundred packages.
PACKAGES = (
    "cohere==7.3.1",
    "langchain-openai==1.7.3",
    "llama-index-embeddings-openai==0.7.0",
    "llama-index-llms-openai-like==0.8.1",
)

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("clients")]


@pytest.fixture(scope="module")
def clients(test_cache: Path) -> Path:
    """The Python that has the clients; they are installed once per machine."""
    name = hashlib.sha256(repr((PACKAGES, sys.version)).encode()).hexdigest()[:16]
    folder = test_cache / f"clients-{name}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        venv.create(partial, with_pip=True)
        install = [partial / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(install, check=True, capture_output=True)
        with suppress(OSError):  # another worker was faster
            partial.rename(folder)
    return folder / "bin" / "python"


@pytest.fixture
def call(clients: Path) -> Callable[..., Any]:
    """Make a call of ``calls.py`` at a kit; return what the client made of the answer."""

    def run(name: str, kit: Any, model: str = "stand-in") -> Any:
        address = str(kit.client.base_url).rstrip("/")
        # None of them may ask anybody but the kit.
        proxy = {"https_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            [clients, CALLS, name, address, model],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **proxy, "TIKTOKEN_CACHE_DIR": os.devnull},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_cohere(start, make_api_lock, call):
    """Both generations of Cohere's client rank documents."""
    kit = start(make_api_lock(Task.RERANKING)).wait_ready()
    best = [[1, 0.1], [0, 0.0]]
    assert call("cohere_rerank", kit) == [best, best]


@pytest.mark.parametrize("name", ["langchain_embeddings", "llama_index_embeddings"])
def test_embeddings(start, make_api_lock, call, name):
    """The adapters embed one text and several."""
    kit = start(make_api_lock(Task.EMBEDDINGS)).wait_ready()
    assert call(name, kit) == [[5.0, 0.5]] * 3


@pytest.mark.parametrize("name", ["langchain_chat", "llama_index_chat"])
def test_chat(start, make_api_lock, call, name):
    """The adapters chat, whole and streamed."""
    found = call(name, start(make_api_lock()).wait_ready())
    assert found["whole"] == "".join(found["pieces"]) == "HELLO WORLD "


def test_completion(start, make_api_lock, call):
    """LangChain's adapter of completions, which sends its prompt in a list."""
    kit = start(make_api_lock()).wait_ready()
    assert call("langchain_completion", kit) == "HELLO WORLD "
