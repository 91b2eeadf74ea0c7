"""``POST /v1/classify``: the probabilities of labels for texts, in vLLM's format.

Raises RequestError for token ids and for another model's name.
"""

from typing import Any

from mealkit.recipe.kit import Task
from mealkit.runtime.api.answer_models import ClassifyAnswer
from mealkit.runtime.api.contract_inputs import with_variables
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill_each, named_prompt
from mealkit.runtime.api.reading import Request, body_of, read_request
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.api.texts import Texts, read_texts, refuse_tokens

PATH = "/v1/classify"


class ClassifyRequest(Request):
    """Texts to classify."""

    model: str
    """The model's name."""
    input: Texts
    """A text, or a list of texts, none of them empty. Texts are never truncated."""
    user: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit to apply to each text, which becomes its variable ``text``."""
    variables: Variables | None = None
    """A text for each of the prompt's other variables."""


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    refuse_tokens(values.get("input"))
    asked = read_request(ClassifyRequest, values, {})
    served.require_model(asked.model)
    texts = read_texts(asked.input)
    prompt = named_prompt(asked.prompt, asked.variables)
    body = {"model": asked.model, "input": fill_each(served, prompt, texts)}
    inputs = with_variables({"input": asked.input}, prompt.variables if prompt else {})
    return Asked(PATH, body_of(body), inputs=inputs, prompt=prompt.name if prompt else "")


CLASSIFY = Endpoint(
    path=PATH,
    operation="classify",
    summary="Classify texts",
    request=ClassifyRequest,
    answer=ClassifyAnswer,
    is_offered=lambda served: served.task is Task.CLASSIFICATION,
    prepare=_prepare,
    example=lambda _: {"input": "a text to classify"},
)
