"""A prompt of the kit in a request: by name beside ``variables``, or both in one object.

Refuses variables without a prompt, and what the prompt itself refuses.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mealkit.errors import failure
from mealkit.runtime.api.reading import Request, unsupported
from mealkit.runtime.api.served_model import ServedModel

_MAX_VARIABLES = 256


def _few(values: Any) -> Any:
    if isinstance(values, dict) and len(values) > _MAX_VARIABLES:
        raise ValueError(f"has {len(values)} variables, {_MAX_VARIABLES} are the most")
    return values


Variables = Annotated[dict[str, str], BeforeValidator(_few)]
"""A text for each variable of a prompt."""


class NamedPrompt(Request):
    """A prompt of the kit, by name, with a text for each of its variables."""

    name: str
    """The prompt's name."""
    variables: Annotated[Variables, Field(default_factory=dict)]
    """A text for each of its variables."""


def named_prompt(
    prompt: str | NamedPrompt | None, variables: dict[str, str] | None
) -> NamedPrompt | None:
    """Return what a request says of a prompt, in one piece.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, there are variables without a prompt, or twice.
    """
    if isinstance(prompt, str):
        return NamedPrompt(name=prompt, variables=variables or {})
    if variables is not None:
        what = "without a prompt" if prompt is None else "beside those of the prompt's object"
        raise unsupported(f"variables are given {what}", "variables")
    return prompt


# The variable that stands for each input, where a prompt is applied to inputs.
TEXT = "text"


def fill(served: ServedModel, asked: NamedPrompt) -> str:
    """Return a prompt with its variables filled in.

    Raises:
        RequestError: see ``Prompts.fill``.
    """
    return served.prompts.fill(asked.name, asked.variables)


def fill_each(served: ServedModel, asked: NamedPrompt | None, texts: list[str]) -> list[str]:
    """Return texts, each put into the prompt, if there is one, as its variable ``text``.

    Raises:
        RequestError: the prompt does not take ``text`` or makes nothing of one; or see
            ``Prompts.fill``.
    """
    if asked is None:
        return texts
    if TEXT not in served.prompts.variables(asked.name):
        message = f"the prompt {asked.name!r} has no variable {TEXT!r} that an input could be"
        raise unsupported(message, "prompt")
    if TEXT in asked.variables:
        message = f"the variable {TEXT!r} is each input itself"
        raise unsupported(message, f"variables.{TEXT}")
    filled = served.prompts.fill_each(asked.name, asked.variables, TEXT, texts)
    if not all(filled):
        message = f"the prompt {asked.name!r} makes nothing of input {filled.index('')}"
        raise failure("REQUEST_INVALID", message, where="prompt")
    return filled


def fills_many(served: ServedModel, values: Mapping[str, Any]) -> bool:
    """Whether a request puts many texts into a prompt, which takes long if there is more to it."""
    texts, prompt = values.get("input"), values.get("prompt")
    if not isinstance(texts, list) or len(texts) < 2 or prompt is None:
        return False
    name = prompt.get("name") if isinstance(prompt, dict) else prompt
    return not (isinstance(name, str) and served.prompts.is_plain(name))
