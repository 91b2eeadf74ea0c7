"""``POST /v1/completions``: continue a text, with every omitted value filled in from the kit.

Raises RequestError for lists of prompts, for token ids and for parameters that the engine does not
support. Format:
https://platform.openai.com/docs/api-reference/completions/create
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mealkit.errors import failure
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.sampling_parameters import COMPLETION_LOGPROBS
from mealkit.runtime.api.answer_models import CompletionAnswer, CompletionChunk
from mealkit.runtime.api.contract_inputs import prompt_inputs
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, fill
from mealkit.runtime.api.other_servers import OF_OTHER_SERVERS
from mealkit.runtime.api.prompt_length import length_check_of
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, body_of, read_request, unsupported
from mealkit.runtime.api.sampling import (
    GenerationRequest,
    most_answer_tokens,
    sampling_values,
    token_limit,
    wants_usage,
)
from mealkit.runtime.api.served_model import ServedModel

PATH = "/v1/completions"


class CompletionRequest(GenerationRequest):
    """A text to continue."""

    prompt: (
        str | Annotated[list[str], Field(min_length=1, max_length=1, fail_fast=True)] | NamedPrompt
    )
    """The text, or a list with one text; or a prompt of the kit, with its variables. The name of a
    special token in it is that token."""
    add_special_tokens: bool | None = None
    """Whether the tokens are added that the model expects around a text, as by default: false for
    a text that has them, such as a rendered chat template."""
    logprobs: Annotated[int | None, Field(**COMPLETION_LOGPROBS.field), WHOLE] = None


_REFUSED: Mapping[str, RefusedParameter] = {
    **OF_OTHER_SERVERS,
    "best_of": RefusedParameter("every generated answer is returned", (1,), "use n"),
    "echo": RefusedParameter("the answer is only the text after the prompt", (False,)),
    "suffix": RefusedParameter("the text is continued only at its end", ("",)),
}


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    _refuse_lists(values.get("prompt"))
    asked = read_request(CompletionRequest, values, _REFUSED)
    body = sampling_values(asked, served, token_limit(asked.max_tokens))
    body["prompt"] = _text(asked, served)
    body["echo"] = False
    if asked.add_special_tokens is False:
        body["add_special_tokens"] = False
    body["logprobs"] = asked.logprobs
    if asked.logprobs is not None:
        served.require(Feature.LOGPROBS, "logprobs")
    length_check = length_check_of(served, body, "prompt")
    return Asked(
        PATH,
        body_of(body),
        streams=bool(asked.stream),
        wants_usage=wants_usage(asked),
        answer_tokens=most_answer_tokens(body, served),
        seed=body.get("seed"),
        length_check=length_check,
        inputs=prompt_inputs(
            asked.prompt if isinstance(asked.prompt, NamedPrompt) else values["prompt"]
        ),
        prompt=asked.prompt.name if isinstance(asked.prompt, NamedPrompt) else "",
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
        message = "prompt is a list of token ids, expected text"
        raise unsupported(
            message, "prompt", "send the text itself: another tokenizer may have made the ids"
        )
    if len(prompt) > 1:
        message = f"prompt has {len(prompt)} texts, expected one"
        raise failure(
            "REQUEST_UNSUPPORTED", message, where="prompt", hint="send one request per text"
        )


COMPLETIONS = Endpoint(
    path=PATH,
    operation="text_completion",
    summary="Continue a text",
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
