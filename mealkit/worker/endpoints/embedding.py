"""``POST /v1/embeddings`` of a hosted worker: reads the request, writes the answer.

Standard library only. Format: https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
import json
import struct
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
from mealkit.worker.endpoints.tokens import text_of
from mealkit.worker.interface import DetokenizingWorker, Embeddings, EmbeddingWorker


@dataclass(frozen=True, slots=True)
class EmbeddingInput:
    """A valid request: at least one text, none of them empty; or the tokens of texts."""

    texts: Sequence[str]
    encoding_format: str
    tokens: Sequence[Sequence[int]] = ()
    truncate: bool = False


def embedding_endpoints(worker: EmbeddingWorker, model_name: str) -> Mapping[str, WorkerEndpoint]:
    """Return the endpoints of a worker for the task ``embeddings``."""

    def embed(call: EndpointCall) -> bytes:
        request = _as_texts(read_request(call.body, embedding_request), worker)
        if request.truncate:
            found = worker.embed(request.texts, call.is_cancelled, truncate=True)
        else:
            found = worker.embed(request.texts, call.is_cancelled)
        return embedding_answer(request, found, model_name)

    return {"POST /v1/embeddings": embed}


def embedding_request(values: Mapping[str, Any]) -> EmbeddingInput:
    """Build the request from a body's fields."""
    encoding_format = values.get("encoding_format", "float")
    if encoding_format not in ("float", "base64"):
        raise ValueError(encoding_format)
    if "tokens" not in values:
        truncate = values.get("truncate_prompt_tokens") is not None
        return EmbeddingInput(texts_of(values["input"]), encoding_format, truncate=truncate)
    tokens = [
        [typed(token, int) for token in typed(item, list)] for item in typed(values["tokens"], list)
    ]
    if not tokens:
        raise ValueError("there are no tokens")
    return EmbeddingInput((), encoding_format, tokens)


def _as_texts(request: EmbeddingInput, worker: EmbeddingWorker) -> EmbeddingInput:
    if not request.tokens:
        return request
    if not isinstance(worker, DetokenizingWorker):
        raise failure("REQUEST_UNSUPPORTED", "the engine reads only texts", where="input")
    texts = [
        text_of(worker, tokens, f"input[{index}]") for index, tokens in enumerate(request.tokens)
    ]
    return EmbeddingInput(texts, request.encoding_format)


def embedding_answer(request: EmbeddingInput, found: Embeddings, model_name: str) -> bytes:
    """Return the body of the answer; float and base64 contain the same float32 values.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    shape = (len(found.vectors), len(found.token_counts), {len(item) for item in found.vectors})
    expected = len(request.texts)
    if shape != (expected, expected, {found.dimensions * 4}):
        message = f"the engine gave {shape[0]} vectors of {shape[2]} bytes for {expected} inputs"
        raise failure("ENGINE_ANSWER", message)
    write = _base64_of if request.encoding_format == "base64" else _floats_of
    # The vectors are most of the body, and json.dumps would write each float32 as a float64.
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{write(vector)}}}'
        for index, vector in enumerate(found.vectors)
    )
    tokens = sum(found.token_counts)
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    model = json.dumps(model_name)
    return f'{{"object":"list","data":[{data}],"model":{model},"usage":{usage}}}'.encode()


def _floats_of(vector: bytes) -> str:
    # Nine digits identify every float32 exactly (IEEE 754-2019, 5.12.2).
    numbers = struct.unpack(f"<{len(vector) // 4}f", vector)
    return f"[{','.join(['%.9g'] * len(numbers)) % numbers}]"


def _base64_of(vector: bytes) -> str:
    return f'"{base64.b64encode(vector).decode()}"'
