"""``POST /v1/tokenize``: the tokens of a text, or of a conversation, as the model receives them.

Raises RequestError for a request with both, or with neither. Format (vLLM's):
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#tokenizer-api
"""

from collections.abc import Mapping
from typing import Any

from mealkit.errors import failure
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.answer_models import TokenizeAnswer
from mealkit.runtime.api.endpoint import Asked, Counting, Endpoint
from mealkit.runtime.api.messages import Messages, messages_for_worker, refuse_other_media
from mealkit.runtime.api.named_prompt import NamedPrompt, fill
from mealkit.runtime.api.prompt_length import COUNTING_PATH
from mealkit.runtime.api.reading import RefusedParameter, Request, body_of, read_request
from mealkit.runtime.api.served_model import ServedModel

PATH = "/v1/tokenize"


class TokenizeRequest(Request):
    """A text, or a conversation, to tokenize."""

    model: str
    """The model's name."""
    prompt: str | NamedPrompt | None = None
    """The text; or a prompt of the kit, with its variables."""
    messages: Messages | None = None
    """A conversation, which the model's chat template turns into text."""


_MODELS = "tokens are those that the model receives"
_REFUSED: Mapping[str, RefusedParameter] = {
    "add_generation_prompt": RefusedParameter(_MODELS, (True,)),
    "chat_template": RefusedParameter("the kit pins its chat template"),
    "chat_template_kwargs": RefusedParameter("the kit pins its chat template", ({},)),
    "continue_final_message": RefusedParameter(_MODELS, (False,)),
    "mm_processor_kwargs": RefusedParameter("a kit accepts only text", ({},)),
    "return_token_strs": RefusedParameter("tokens are returned as numbers", (False,)),
    "tools": RefusedParameter("only the messages are counted", ([],)),
}


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    refuse_other_media(values.get("messages"))
    asked = read_request(TokenizeRequest, values, _REFUSED)
    served.require_model(asked.model)
    if (asked.prompt is None) == (asked.messages is None):
        message = "exactly one of prompt and messages is required"
        raise failure("REQUEST_INVALID", message, where="prompt")
    if asked.messages is not None:
        served.require(Feature.CHAT, "messages")
        messages = messages_for_worker(asked.messages, served)
        return Asked(COUNTING_PATH, body_of({"model": asked.model, "messages": messages}))
    prompt = fill(served, asked.prompt) if isinstance(asked.prompt, NamedPrompt) else asked.prompt
    return Asked(COUNTING_PATH, body_of({"model": asked.model, "prompt": prompt}))


TOKENIZE = Endpoint(
    path=PATH,
    operation="tokenize",
    summary="Tokenize a text",
    request=TokenizeRequest,
    answer=TokenizeAnswer,
    is_offered=lambda served: Feature.TOKENS in served.features,
    prepare=_prepare,
    example=lambda _: {"prompt": "a text to count"},
    counting=Counting.NOTHING,
    refusals=_REFUSED,
)
