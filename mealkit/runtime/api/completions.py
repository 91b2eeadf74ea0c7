"""``POST /v1/completions``: going on with a text, with every value filled in from the kit.

Refuses lists of prompts and of tokens, and what the engine cannot do. The shape:
https://platform.openai.com/docs/api-reference/completions/create
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mealkit.errors import failure
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.sampling_parameters import COMPLETION_LOGPROBS
from mealkit.runtime.api.answer_models import CompletionAnswer, CompletionChunk
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, fill
from mealkit.runtime.api.prompt_length import length_check_of
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, body_of, read_request, unsupported
from mealkit.runtime.api.sampling import REFUSED, GenerationRequest, sampling_values, wants_usage
from mealkit.runtime.api.served_model import ServedModel

PATH = "/v1/completions"


class CompletionRequest(GenerationRequest):
    """A text to go on with."""

    prompt: (
        str | Annotated[list[str], Field(min_length=1, max_length=1, fail_fast=True)] | NamedPrompt
    )
    """The text, also as a list of one; or a prompt of the kit, by name, with its variables."""
    logprobs: Annotated[int | None, Field(**COMPLETION_LOGPROBS.field), WHOLE] = None


_REFUSED: Mapping[str, RefusedParameter] = {
    **REFUSED,
    "best_of": RefusedParameter("every answer that is made is given", (1,), "use n"),
    "echo": RefusedParameter("the answer is what comes after the prompt", (False,)),
    "suffix": RefusedParameter("the text goes on at its end", ("",)),
}


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    _refuse_lists(values.get("prompt"))
    asked = read_request(CompletionRequest, values, _REFUSED)
    body = sampling_values(asked, served, asked.max_tokens)
    body["prompt"] = _text(asked, served)
    body["echo"] = False
    body["logprobs"] = asked.logprobs
    if asked.logprobs is not None:
        served.require(Feature.LOGPROBS, "logprobs")
    return Asked(
        PATH,
        body_of(body),
        streams=bool(asked.stream),
        wants_usage=wants_usage(asked),
        seed=body.get("seed"),
        length_check=length_check_of(served, body, "prompt"),
    )


def _text(asked: CompletionRequest, served: ServedModel) -> str:
    match asked.prompt:
        case NamedPrompt():
            return fill(served, asked.prompt)
        case [text]:
            return text
        case text:
            return str(text)


def _refuse_lists(prompt: Any) -> None:
    if not isinstance(prompt, list) or not prompt:
        return
    if type(prompt[0]) in {int, list}:
        message = "prompt is a list of token numbers, which another tokenizer may have made"
        raise unsupported(message, "prompt", "send the text itself")
    if len(prompt) > 1:
        message = f"prompt has {len(prompt)} texts, a request has one"
        raise failure("REQUEST_UNSUPPORTED", message, where="prompt", hint="send one after another")


COMPLETIONS = Endpoint(
    path=PATH,
    operation="text_completion",
    summary="Go on with a text",
    request=CompletionRequest,
    answer=CompletionAnswer,
    is_offered=lambda served: (
        served.task is Task.GENERATION and Feature.COMPLETION in served.features
    ),
    prepare=_prepare,
    example=lambda _: {"prompt": "Once upon a time"},
    event=CompletionChunk,
    refusals=_REFUSED,
)
