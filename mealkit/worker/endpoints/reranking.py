"""``POST /v1/rerank`` of a hosted worker: the request, and the answer.

Refuses: fields that are unknown or given twice, other models, and documents that would be scored
only in part. Standard library only. Shape: that of Jina, Cohere and vLLM, without the documents
(https://docs.vllm.ai/en/latest/models/pooling_models/scoring.html).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.call import Call, Endpoint
from mealkit.worker.endpoints.request import invalid, read_request, read_texts, require_text
from mealkit.worker.interface import Relevance, RerankingWorker

# As many as Cohere's API advises in one request; it bounds the time of an answer.
MAX_DOCUMENTS = 1000

_FIELDS = ("query", "documents", "top_n")


@dataclass(frozen=True, slots=True)
class RerankingRequest:
    """A request that can be handed to a worker: a query and documents, none of them empty."""

    query: str
    documents: Sequence[str]
    top_n: int | None
    """How many of the best are answered; None: all."""


def reranking_endpoints(worker: RerankingWorker, model_name: str) -> Mapping[str, Endpoint]:
    """Return what a worker for the task ``reranking`` answers."""

    def rerank(call: Call) -> bytes:
        request = read_reranking_request(call.body, model_name)
        found = worker.rerank(request.query, request.documents, call.is_cancelled)
        return reranking_answer(request, found, model_name)

    return {"POST /v1/rerank": rerank}


def read_reranking_request(body: bytes, model_name: str) -> RerankingRequest:
    """Read the body of ``POST /v1/rerank``.

    Raises:
        RequestError: the body is not such a request, naming the field.
    """
    values = read_request(body, _FIELDS, model_name)
    for name in ("query", "documents"):
        if name not in values:
            raise invalid(f"{name} is missing", name)
    query, documents = require_text(values["query"], "query", "query"), values["documents"]
    if not query:
        raise invalid("query is empty", "query")
    if not isinstance(documents, list):
        found = type(documents).__name__
        raise invalid(f"documents is {found}, expected a list of texts", "documents")
    texts = read_texts(documents, "documents", MAX_DOCUMENTS)
    return RerankingRequest(query, texts, _read_top_n(values.get("top_n")))


def reranking_answer(request: RerankingRequest, found: Relevance, model_name: str) -> bytes:
    """Write the body of the answer: best first, and of equals the one that was given first.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    expected, scores = len(request.documents), found.scores
    if (len(scores), len(found.token_counts)) != (expected, expected):
        message = f"the engine gave {len(scores)} scores for {expected} documents"
        raise failure("ENGINE_ANSWER", message)
    if not all(math.isfinite(score) for score in scores):
        raise failure("ENGINE_ANSWER", "a score is infinite or no number")
    # Sorting is stable: equals stay in the order of the documents.
    order = sorted(range(expected), key=lambda index: -scores[index])
    tokens = sum(found.token_counts)
    answer = {
        "object": "list",
        "model": model_name,
        "results": [
            {"index": index, "relevance_score": scores[index]} for index in order[: request.top_n]
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def _read_top_n(value: Any) -> int | None:
    if value is None:
        return None
    # Not isinstance: True is an int to Python, and no number of documents.
    if type(value) is not int or value < 1:
        raise invalid(f"top_n is {value!r}, expected a number of documents from 1", "top_n")
    return value
