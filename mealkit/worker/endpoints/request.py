"""How every endpoint reads its request: one JSON object of known fields, each given once.

Refuses what would have to be ignored, guessed or converted, and what is too deep or has too many
values. Standard library only.
"""

import json
from collections.abc import Collection
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, parse_json, shown

# More than the gateway lets through, which adds a little of its own.
MAX_DEPTH = 160
MAX_VALUES = 250_000

_NAME_CHARACTERS = 200


def read_request(body: bytes, fields: Collection[str], model_name: str) -> dict[str, Any]:
    """Read a body that has no other fields than these and ``model``, which is this model.

    Raises:
        RequestError: ``REQUEST_INVALID``, ``REQUEST_UNSUPPORTED`` or ``REQUEST_MODEL``, naming the
            field.
    """
    values = read_object(body)
    for name in values:
        if name not in fields and name != "model":
            message = f"{shown(name)} is not a parameter of this endpoint"
            raise failure("REQUEST_UNSUPPORTED", message, where=name[:_NAME_CHARACTERS])
    if "model" not in values:
        raise invalid("model is missing", "model")
    if values["model"] != model_name:
        asked = shown(str(values["model"]))
        message = f"the model {asked} is not served here, {model_name!r} is"
        raise failure("REQUEST_MODEL", message, where="model")
    return values


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name stands twice.

    Raises:
        RequestError: ``REQUEST_INVALID``, it is none.
    """
    try:
        values = parse_json(body, max_depth=MAX_DEPTH, max_values=MAX_VALUES, half_pairs=True)
    except UntrustedError as error:
        where = error.member and error.member[:_NAME_CHARACTERS]
        raise invalid(f"the body cannot be read: {error}", where) from error
    if not isinstance(values, dict):
        raise invalid("the body is not a JSON object", None)
    return values


def require_text(value: Any, what: str, where: str) -> str:
    """Return a value that is text, and could be written in UTF-8.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    if not isinstance(value, str):
        raise invalid(f"{what} is {type(value).__name__}, expected text", where)
    if not is_unicode(value):
        raise invalid(f"{what} has half of a surrogate pair", where)
    return value


def read_texts(value: Any, where: str, most: int) -> list[str]:
    """Return a text, or a list of at most so many, as a list; none of them is empty.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_TOO_LARGE``, naming the field.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        found = type(value).__name__
        raise invalid(f"{where} is {found}, expected text or a list of texts", where)
    if not texts:
        raise invalid(f"{where} is an empty list", where)
    if len(texts) > most:
        message = f"{where} has {len(texts)} texts, the limit is {most}"
        raise failure("REQUEST_TOO_LARGE", message, where=where)
    for index, text in enumerate(texts):
        if not require_text(text, f"{where} {index}", f"{where}[{index}]"):
            raise invalid(f"{where} {index} is empty", f"{where}[{index}]")
    return texts


def require_unicode(value: Any, where: str) -> None:
    """Refuse a JSON value with a text in it that could not be written in UTF-8.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    if not is_unicode(json.dumps(value, ensure_ascii=False)):
        raise invalid(f"{where} has half of a surrogate pair", where)


def is_unicode(text: str) -> bool:
    """Tell whether a text could be written in UTF-8: JSON can name half of a surrogate pair."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def invalid(message: str, where: str | None) -> MealkitError:
    """Return the error of a field that is not what the endpoint takes."""
    return failure("REQUEST_INVALID", message, where=where)
