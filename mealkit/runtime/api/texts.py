"""Checks the input of embeddings and classification: a text, or a list of texts, none empty."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from mealkit.errors import failure
from mealkit.runtime.api.reading import is_unicode

MAX_INPUTS = 2048
"""The maximum number of texts per request, as at OpenAI; it limits the size of an answer."""

_TEXT = {"type": "string", "minLength": 1}

# Not checked by pydantic, which would report both alternatives for each mistake. Tokens are not in
# the schema, because no schema can express which numbers are the tokens of a text.
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


def are_tokens(value: Any) -> bool:
    """Return whether an input is a list of tokens, or a list of such lists."""
    first = value[0] if isinstance(value, list) and value else None
    return type(first) is int or (isinstance(first, list) and bool(first) and type(first[0]) is int)


def refuse_tokens(value: Any) -> None:
    """Raise if an input is a list of tokens, or a list of such lists.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``.
    """
    if are_tokens(value):
        message = "input is a list of token ids, which another tokenizer may have made"
        hint = "send the text itself (LangChain: check_embedding_ctx_length=False)"
        raise failure("REQUEST_UNSUPPORTED", message, where="input", hint=hint)


def read_tokens(value: Any) -> list[list[int]]:
    """Return an input of tokens as a list of lists.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_TOO_LARGE``, naming the list.
    """
    lists = [value] if type(value[0]) is int else value
    if len(lists) > MAX_INPUTS:
        message = f"input has {len(lists)} lists, the limit is {MAX_INPUTS}"
        raise failure("REQUEST_TOO_LARGE", message, where="input")
    for index, item in enumerate(lists):
        is_list = isinstance(item, list) and bool(item)
        if not is_list or not all(type(token) is int and 0 <= token < 2**31 for token in item):
            message = f"input {index} is not a list of token numbers"
            raise failure("REQUEST_INVALID", message, where=f"input[{index}]")
    return lists


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
