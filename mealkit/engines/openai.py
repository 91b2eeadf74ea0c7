"""The OpenAI shapes that a hosted worker speaks: embedding requests, their answers, and errors.

Refuses: fields that are unknown or given twice, other models, and inputs that would be embedded
only in part. Standard library only. Shapes: https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.engines.worker import Embeddings
from mealkit.errors import CATALOGUE, MealkitError, failure

# As many as OpenAI takes in one request; it bounds the size of an answer.
MAX_INPUTS = 2048

_FIELDS = ("encoding_format", "input", "model")


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request that can be handed to a worker: at least one text, none of them empty."""

    texts: Sequence[str]
    encoding_format: str


def read_embedding_request(body: bytes, model_name: str) -> EmbeddingRequest:
    """Read the body of ``POST /v1/embeddings``.

    Raises:
        RequestError: the body is not such a request, naming the field.
    """
    values = _read_object(body)
    for name in values:
        if name not in _FIELDS:
            message = f"{name!r} is not a parameter of this endpoint"
            raise failure("REQUEST_UNSUPPORTED", message, where=name)
    if "model" not in values:
        raise _invalid("model is missing", "model")
    if values["model"] != model_name:
        message = f"the model {values['model']!r} is not served here, {model_name!r} is"
        raise failure("REQUEST_MODEL", message, where="model")
    encoding_format = values.get("encoding_format", "float")
    if encoding_format not in ("float", "base64"):
        message = f"encoding_format is {encoding_format!r}, expected 'float' or 'base64'"
        raise _invalid(message, "encoding_format")
    if "input" not in values:
        raise _invalid("input is missing", "input")
    return EmbeddingRequest(_read_texts(values["input"]), encoding_format)


def embedding_answer(request: EmbeddingRequest, found: Embeddings, model_name: str) -> bytes:
    """Write the body of the answer; float and base64 carry the same float32 values.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the worker's answer does not fit the request.
    """
    shape = (len(found.vectors), len(found.token_counts), {len(item) for item in found.vectors})
    expected = len(request.texts)
    if shape != (expected, expected, {found.dimensions * 4}):
        message = f"the engine gave {shape[0]} vectors of {shape[2]} bytes for {expected} inputs"
        raise failure("ENGINE_ANSWER", message)
    write = _base64_of if request.encoding_format == "base64" else _floats_of
    # The vectors are most of the body, and json.dumps would spell each float32 as a float64.
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{write(vector)}}}'
        for index, vector in enumerate(found.vectors)
    )
    tokens = sum(found.token_counts)
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    model = json.dumps(model_name)
    return f'{{"object":"list","data":[{data}],"model":{model},"usage":{usage}}}'.encode()


def error_answer(error: MealkitError) -> tuple[int, bytes]:
    """Write an error's first problem in OpenAI's shape; return the HTTP status and the body."""
    first = error.problems[0]
    status = CATALOGUE[first.code].http_status
    content = {
        "message": first.message,
        "type": "invalid_request_error" if status < 500 else "server_error",
        "code": first.code,
        "param": first.where.partition("[")[0] if first.where and status < 500 else None,
        "owner": first.owner.value,
        "hint": first.hint,
        "where": first.where,
    }
    return status, json.dumps({"error": content}).encode()


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body, object_pairs_hook=_unique)
    # A RecursionError is what deep nesting gives.
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the body is not JSON: {error}", None) from error
    if not isinstance(values, dict):
        raise _invalid("the body is not a JSON object", None)
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _invalid(f"{twice!r} is given twice", twice)
    return values


def _read_texts(value: Any) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise _invalid(
            f"input is {type(value).__name__}, expected text or a list of texts", "input"
        )
    if not texts:
        raise _invalid("input is an empty list", "input")
    if len(texts) > MAX_INPUTS:
        message = f"input has {len(texts)} texts, the limit is {MAX_INPUTS}"
        raise failure("REQUEST_TOO_LARGE", message, where="input")
    for index, text in enumerate(texts):
        where = f"input[{index}]"
        if not isinstance(text, str):
            raise _invalid(f"input {index} is {type(text).__name__}, expected text", where)
        if not text:
            raise _invalid(f"input {index} is empty", where)
        if not _is_unicode(text):
            raise _invalid(f"input {index} has half of a surrogate pair", where)
    return texts


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _floats_of(vector: bytes) -> str:
    # Nine digits name every float32 exactly (IEEE 754-2019, 5.12.2).
    numbers = struct.unpack(f"<{len(vector) // 4}f", vector)
    return f"[{','.join(['%.9g'] * len(numbers)) % numbers}]"


def _base64_of(vector: bytes) -> str:
    return f'"{base64.b64encode(vector).decode()}"'


def _invalid(message: str, where: str | None) -> MealkitError:
    return failure("REQUEST_INVALID", message, where=where)
