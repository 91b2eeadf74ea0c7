"""A prompt of the kit in a request: its name and ``variables``, or both in one object.

Raises RequestError for variables without a prompt, and for unknown or missing variables.
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
        raise ValueError(f"has {len(values)} variables, the limit is {_MAX_VARIABLES}")
    return values


Variables = Annotated[dict[str, str], BeforeValidator(_few)]
"""A text for each variable of a prompt."""


class NamedPrompt(Request):
    """A prompt of the kit, by name, with a text for each of its variables."""

    name: str
    """The prompt's name."""
    variables: Annotated[Variables, Field(default_factory=dict)]
    """A text for each of the prompt's variables."""


def named_prompt(
    prompt: str | NamedPrompt | None, variables: dict[str, str] | None
) -> NamedPrompt | None:
    """Return a request's prompt and variables as one object; None without a prompt.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, variables are given without a prompt, or twice.
    """
    if isinstance(prompt, str):
        return NamedPrompt(name=prompt, variables=variables or {})
    if variables is not None:
        what = "without a prompt" if prompt is None else "twice, also in the object of prompt"
        raise unsupported(f"variables are given {what}", "variables")
    return prompt


# The variable for the input, if a prompt is applied to each input.
TEXT = "text"


def fill(served: ServedModel, asked: NamedPrompt) -> str:
    """Return a prompt with its variables filled in.

    Raises:
        RequestError: see ``Prompts.fill``.
    """
    return served.prompts.fill(asked.name, asked.variables)


def fill_each(served: ServedModel, asked: NamedPrompt | None, texts: list[str]) -> list[str]:
    """Return texts with the prompt, if there is one, applied to each as its variable ``text``.

    Raises:
        RequestError: the prompt has no variable ``text``, or returns an empty text; or see
            ``Prompts.fill``.
    """
    if asked is None:
        return texts
    if TEXT not in served.prompts.variables(asked.name):
        message = f"the prompt {asked.name!r} has no variable {TEXT!r} for the input"
        raise unsupported(message, "prompt")
    if TEXT in asked.variables:
        message = f"the variable {TEXT!r} is set from each input; leave it out"
        raise unsupported(message, f"variables.{TEXT}")
    filled = served.prompts.fill_each(asked.name, asked.variables, TEXT, texts)
    if not all(filled):
        message = f"the prompt {asked.name!r} returns an empty text for input {filled.index('')}"
        raise failure("REQUEST_INVALID", message, where="prompt")
    return filled


def fills_many(served: ServedModel, values: Mapping[str, Any]) -> bool:
    """Return whether a request applies a prompt that is slow to fill in to many texts."""
    texts, prompt = values.get("input"), values.get("prompt")
    if not isinstance(texts, list) or len(texts) < 2 or prompt is None:
        return False
    name = prompt.get("name") if isinstance(prompt, dict) else prompt
    return not (isinstance(name, str) and served.prompts.is_plain(name))
