"""``POST /v1/embeddings``: vectors of texts, through a prompt of the kit if one is named.

Raises RequestError for tokens next to a prompt, for another length than the model's, and for
another model's name. Format:
https://platform.openai.com/docs/api-reference/embeddings/create
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mealkit.errors import failure
from mealkit.recipe.kit import Task
from mealkit.runtime.api.answer_models import EmbeddingAnswer
from mealkit.runtime.api.contract_inputs import with_variables
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill_each, named_prompt
from mealkit.runtime.api.reading import (
    WHOLE,
    RefusedParameter,
    Request,
    body_of,
    read_request,
    unsupported,
)
from mealkit.runtime.api.served_model import TRUNCATING, ServedModel
from mealkit.runtime.api.texts import Texts, are_tokens, read_texts, read_tokens, refuse_tokens
from mealkit.untrusted import parse_json

PATH = "/v1/embeddings"


class EmbeddingRequest(Request):
    """Texts to embed."""

    model: str
    """The model's name."""
    input: Texts
    """A text, or a list of texts, none of them empty; or the tokens of a text, or a list of them,
    as ``/v1/tokenize`` of this kit returns them. Texts are never truncated."""
    encoding_format: Literal["float", "base64"] | None = None
    """The format of vectors: numbers (the default), or base64 of little-endian float32."""
    dimensions: Annotated[int | None, WHOLE] = None
    """The length of a vector; only the model's own length is accepted."""
    truncate: bool | Literal["NONE", "END"] | None = None
    """Whether a text that is too long is cut at its end: true, or END. Only if the kit's
    ``overlong`` is ``truncate_if_asked``."""
    user: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit to apply to each text, which becomes its variable ``text``."""
    variables: Variables | None = None
    """A text for each of the prompt's other variables."""


_TRUNCATING = RefusedParameter("texts are only cut at their end", hint="use truncate")
_REFUSED: Mapping[str, RefusedParameter] = {
    "add_special_tokens": RefusedParameter("they are always added", (True,)),
    "input_type": RefusedParameter("a prompt of the kit does this", hint="use prompt"),
    "normalize": RefusedParameter("the kit pins this, and only its own value is accepted"),
    "priority": RefusedParameter("all requests have the same priority", (0,)),
    "truncate_prompt_tokens": _TRUNCATING,
    "truncation_side": _TRUNCATING,
}


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    pinned = served.hyperparameters.get("normalize")
    if pinned is not None and values.get("normalize") is pinned:
        values = {name: value for name, value in values.items() if name != "normalize"}
    asked = read_request(EmbeddingRequest, values, _REFUSED)
    served.require_model(asked.model)
    if asked.dimensions not in {None, served.dimensions}:
        message = f"dimensions is {asked.dimensions}, this model's vectors have {served.dimensions}"
        raise unsupported(message, "dimensions")
    encoding: dict[str, Any] = {"encoding_format": asked.encoding_format or "float"}
    if asked.truncate not in {None, False, "NONE"}:
        encoding |= _truncating(served)
    prompt = named_prompt(asked.prompt, asked.variables)
    if are_tokens(asked.input):
        is_only_text = "input" in served.contract_inputs or not served.checks_tokens
        if prompt is not None or is_only_text or len(encoding) > 1:
            refuse_tokens(asked.input)
        tokens = read_tokens(asked.input)
        return Asked(PATH, body_of({"model": asked.model, "tokens": tokens, **encoding}))
    texts = fill_each(served, prompt, read_texts(asked.input))
    inputs = with_variables({"input": asked.input}, prompt.variables if prompt else {})
    body = body_of({"model": asked.model, "input": texts, **encoding})
    return Asked(PATH, body, inputs=inputs, prompt=prompt.name if prompt else "")


def _truncating(served: ServedModel) -> dict[str, Any]:
    """Return vLLM's parameters of truncation, which mealkit's own engines read as well.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, the kit does not allow it.
    """
    if served.hyperparameters.get("overlong") != TRUNCATING:
        message = "truncate is not supported: this kit never truncates texts"
        hint = f"send less text; the kit's author can allow it with overlong: {TRUNCATING}"
        raise unsupported(message, "truncate", hint)
    return {
        "truncate_prompt_tokens": served.hyperparameters["max_length"],
        "truncation_side": "right",
    }


def dimensions_of(body: bytes) -> int:
    """Return the length of an answer's first vector, whose numbers are written as text.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the answer has no vector, or its numbers are not finite.
    """
    try:
        vector = parse_json(body)["data"][0]["embedding"]
        is_finite = all(math.isfinite(number) for number in vector)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise failure("ENGINE_ANSWER", "the engine's first answer has no vector") from error
    if not vector or not is_finite:
        raise failure("ENGINE_ANSWER", "the engine's first answer is not a vector of numbers")
    return len(vector)


EMBEDDINGS = Endpoint(
    path=PATH,
    operation="embeddings",
    summary="Turn texts into vectors",
    request=EmbeddingRequest,
    answer=EmbeddingAnswer,
    is_offered=lambda served: served.task is Task.EMBEDDINGS,
    prepare=_prepare,
    example=lambda _: {"input": ["a first text", "a second one"]},
    refusals=_REFUSED,
)
