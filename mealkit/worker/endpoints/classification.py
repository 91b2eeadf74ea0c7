"""``POST /v1/classify`` of a hosted worker: the request, and the answer.

Standard library only. AnswerFormat: vLLM's, with ``labels`` beside it, which name the
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
    """A request that can be handed to a worker: at least one text, none of them empty."""

    texts: Sequence[str]


def classification_endpoints(
    worker: ClassificationWorker, model_name: str
) -> Mapping[str, WorkerEndpoint]:
    """Return what a worker for the task ``classification`` answers."""

    def classify(call: EndpointCall) -> bytes:
        request = read_request(call.body, classification_request)
        return classification_answer(
            request, worker.classify(request.texts, call.is_cancelled), model_name
        )

    return {"POST /v1/classify": classify}


def classification_request(values: Mapping[str, Any]) -> ClassificationInput:
    """Return the request that a body's fields make."""
    return ClassificationInput(texts_of(values["input"]))


def classification_answer(
    request: ClassificationInput, found: Classifications, model_name: str
) -> bytes:
    """Write the body of the answer; of labels that are equally likely the first is the answer.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    expected, rows = len(request.texts), found.probabilities
    widths = {len(row) for row in rows}
    if (len(rows), len(found.token_counts), widths) != (expected, expected, {len(found.labels)}):
        message = (
            f"the engine gave {len(rows)} rows of {widths} probabilities for {expected} inputs "
            f"and {len(found.labels)} labels"
        )
        raise failure("ENGINE_ANSWER", message)
    if not all(math.isfinite(number) for row in rows for number in row):
        raise failure("ENGINE_ANSWER", "a probability is infinite or no number")
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
