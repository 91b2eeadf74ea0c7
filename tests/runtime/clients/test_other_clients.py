"""Clients that others wrote: Cohere's, and the adapters of LangChain and LlamaIndex, unmodified."""

import pytest
from fakes.clients import call

from mealkit.recipe.kit import Task

pytestmark = pytest.mark.xdist_group("clients")


def call_at(kit, name):
    """Make a call of ``calls.py`` at a kit; return what the client made of the answer."""
    return call(name, str(kit.client.base_url), "stand-in")


def test_cohere(start, make_api_lock):
    """Both generations of Cohere's client rank documents."""
    kit = start(make_api_lock(Task.RERANKING)).wait_ready()
    best = [[1, 0.1], [0, 0.0]]
    assert call_at(kit, "cohere_rerank") == [best, best]


@pytest.mark.parametrize("name", ["langchain_embeddings", "llama_index_embeddings"])
def test_embeddings(start, make_api_lock, name):
    """The adapters embed one text and several."""
    kit = start(make_api_lock(Task.EMBEDDINGS)).wait_ready()
    assert call_at(kit, name) == [[5.0, 0.5]] * 3


@pytest.mark.parametrize("name", ["langchain_chat", "llama_index_chat"])
def test_chat(start, make_api_lock, name):
    """The adapters chat, whole and streamed."""
    found = call_at(start(make_api_lock()).wait_ready(), name)
    assert found["whole"] == "".join(found["pieces"]) == "HELLO WORLD "


def test_overflow(start, make_api_lock):
    """LangChain recognises a conversation that is too long."""
    found = call_at(start(make_api_lock()).wait_ready(), "langchain_overflow")
    assert "context_length_exceeded" in found


def test_completion(start, make_api_lock):
    """LangChain's adapter of completions, which sends its prompt in a list."""
    kit = start(make_api_lock()).wait_ready()
    assert call_at(kit, "langchain_completion") == "HELLO WORLD "
