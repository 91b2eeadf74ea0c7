"""``POST /v1/classify`` of a hosted worker: reads the request, writes the answer.

Standard library only. Format: vLLM's, with the additional field ``labels``, the names of the
probabilities (https://docs.vllm.ai/en/latest/models/pooling_models/classify.html).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.request import EndpointCall, WorkerEndpoint, read_request, texts_of
from mealkit.worker.interface import Classifications, ClassificationWorker


@dataclass(frozen=True, slots=True)
class ClassificationInput:
    """A valid request: at least one text, none of them empty."""

    texts: Sequence[str]


def classification_endpoints(
    worker: ClassificationWorker, model_name: str
) -> Mapping[str, WorkerEndpoint]:
    """Return the endpoints of a worker for the task ``classification``."""

    def classify(call: EndpointCall) -> bytes:
        request = read_request(call.body, classification_request)
        return classification_answer(
            request, worker.classify(request.texts, call.is_cancelled), model_name
        )

    return {"POST /v1/classify": classify}


def classification_request(values: Mapping[str, Any]) -> ClassificationInput:
    """Build the request from a body's fields."""
    return ClassificationInput(texts_of(values["input"]))


def classification_answer(
    request: ClassificationInput, found: Classifications, model_name: str
) -> bytes:
    """Return the body of the answer; the first of equally likely labels is the answer.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    expected, rows = len(request.texts), found.probabilities
    widths = {len(row) for row in rows}
    if (len(rows), len(found.token_counts), widths) != (expected, expected, {len(found.labels)}):
        message = (
            f"the engine returned {len(rows)} rows of {widths} probabilities for {expected} inputs "
            f"and {len(found.labels)} labels"
        )
        raise failure("ENGINE_ANSWER", message)
    if not all(math.isfinite(number) for row in rows for number in row):
        raise failure("ENGINE_ANSWER", "a probability is infinite or not a number")
    data = [
        {
            "index": index,
            "label": found.labels[row.index(max(row))],
            "probs": list(row),
            "num_classes": len(row),
        }
        for index, row in enumerate(rows)
    ]
    tokens = sum(found.token_counts)
    answer = {
        "object": "list",
        "model": model_name,
        "data": data,
        "labels": list(found.labels),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json.dumps(answer, separators=(",", ":")).encode()
