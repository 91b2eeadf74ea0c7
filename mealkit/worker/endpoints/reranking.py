"""``POST /v1/rerank`` of a hosted worker: reads the request, writes the answer.

Standard library only. Format: that of Jina, Cohere and vLLM, without the documents
(https://docs.vllm.ai/en/latest/models/pooling_models/scoring.html).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.request import (
    EndpointCall,
    WorkerEndpoint,
    read_request,
    texts_of,
    typed,
)
from mealkit.worker.interface import Relevance, RerankingWorker


@dataclass(frozen=True, slots=True)
class RerankingInput:
    """A valid request: a query and documents, none of them empty."""

    query: str
    documents: Sequence[str]


def reranking_endpoints(worker: RerankingWorker, model_name: str) -> Mapping[str, WorkerEndpoint]:
    """Return the endpoints of a worker for the task ``reranking``."""

    def rerank(call: EndpointCall) -> bytes:
        request = read_request(call.body, reranking_request)
        found = worker.rerank(request.query, request.documents, call.is_cancelled)
        return reranking_answer(request, found, model_name)

    return {"POST /v1/rerank": rerank}


def reranking_request(values: Mapping[str, Any]) -> RerankingInput:
    """Build the request from a body's fields."""
    return RerankingInput(typed(values["query"], str), texts_of(values["documents"]))


def reranking_answer(request: RerankingInput, found: Relevance, model_name: str) -> bytes:
    """Return the body of the answer: best first, equal scores in the order of the request.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    expected, scores = len(request.documents), found.scores
    if (len(scores), len(found.token_counts)) != (expected, expected):
        message = f"the engine returned {len(scores)} scores for {expected} documents"
        raise failure("ENGINE_ANSWER", message)
    if not all(math.isfinite(score) for score in scores):
        raise failure("ENGINE_ANSWER", "a score is infinite or not a number")
    # Sorting is stable: equal scores stay in the order of the documents.
    order = sorted(range(expected), key=lambda index: -scores[index])
    tokens = sum(found.token_counts)
    answer = {
        "object": "list",
        "model": model_name,
        "results": [{"index": index, "relevance_score": scores[index]} for index in order],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json.dumps(answer, separators=(",", ":")).encode()
