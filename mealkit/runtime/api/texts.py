"""Checks the input of embeddings and classification: a text, or a list of texts, none empty."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from mealkit.errors import failure
from mealkit.runtime.api.reading import is_unicode

MAX_INPUTS = 2048
"""The maximum number of texts per request, as at OpenAI; it limits the size of an answer."""

_TEXT = {"type": "string", "minLength": 1}

# Not checked by pydantic, which would report both alternatives for each mistake.
Texts = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_INPUTS},
            ]
        }
    ),
]


def read_texts(value: Any) -> list[str]:
    """Return ``input``, a text or a list of texts, as a list.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_TOO_LARGE``, naming the text.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        message = f"input is {type(value).__name__}, expected text or a list of texts"
        raise failure("REQUEST_INVALID", message, where="input")
    if not texts:
        raise failure("REQUEST_INVALID", "input is an empty list", where="input")
    if len(texts) > MAX_INPUTS:
        message = f"input has {len(texts)} texts, the limit is {MAX_INPUTS}"
        raise failure("REQUEST_TOO_LARGE", message, where="input")
    for index, text in enumerate(texts):
        if wrong := _wrong(text):
            message = f"input {index} {wrong}"
            raise failure("REQUEST_INVALID", message, where=f"input[{index}]")
    return texts


def _wrong(text: Any) -> str | None:
    if not isinstance(text, str):
        return f"is {type(text).__name__}, expected text"
    if not text:
        return "is empty"
    return None if is_unicode(text) else "has half of a surrogate pair"
