"""``POST /v1/classify``: texts to the probabilities of labels, in vLLM's shape.

Refuses token numbers and other models.
"""

from typing import Any

from mealkit.recipe.kit import Task
from mealkit.runtime.api.answer_models import ClassifyAnswer
from mealkit.runtime.api.embeddings import refuse_tokens
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill_each, named_prompt
from mealkit.runtime.api.reading import Request, body_of, read_request
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.api.texts import Texts, read_texts

PATH = "/v1/classify"


class ClassifyRequest(Request):
    """Texts to classify."""

    model: str
    """The model's name."""
    input: Texts
    """A text, or a list of them; none of them is empty, and none is ever cut."""
    user: str | None = None
    """The caller's own mark of its end user. It is not used: it never changes an answer."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit that each text is put into, as its variable ``text``."""
    variables: Variables | None = None
    """A text for each other variable of the prompt that is named."""


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    refuse_tokens(values.get("input"))
    asked = read_request(ClassifyRequest, values, {})
    served.require_model(asked.model)
    texts = read_texts(asked.input)
    prompt = named_prompt(asked.prompt, asked.variables)
    body = {"model": asked.model, "input": fill_each(served, prompt, texts)}
    return Asked(PATH, body_of(body))


CLASSIFY = Endpoint(
    path=PATH,
    operation="classify",
    summary="Find the labels of texts",
    request=ClassifyRequest,
    answer=ClassifyAnswer,
    is_offered=lambda served: served.task is Task.CLASSIFICATION,
    prepare=_prepare,
    example=lambda _: {"input": "a text to classify"},
)
