"""Single fields of a request: a number within bounds, a flag, a choice, a list of texts.

Refuses every other type and value, naming the field. Standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.worker.endpoints.request import invalid, require_text


def require(values: Mapping[str, Any], name: str) -> Any:
    """Return a field that must be there.

    Raises:
        RequestError: ``REQUEST_INVALID``, it is missing.
    """
    if name not in values:
        raise invalid(f"{name} is missing", name)
    return values[name]


def read_integer(values: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number from ``least`` to ``most``.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    value = require(values, name)
    if type(value) is not int or not least <= value <= most:
        message = f"{name} is {value!r}, expected a whole number from {least} to {most}"
        raise invalid(message, name)
    return value


def read_number(
    values: Mapping[str, Any], name: str, least: float = -math.inf, most: float = math.inf
) -> float:
    """Return a finite number from ``least`` to ``most``.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    value = require(values, name)
    if type(value) not in (int, float) or not _is_between(value, least, most):
        message = f"{name} is {value!r}, expected a number from {least:g} to {most:g}"
        raise invalid(message, name)
    return float(value)


def read_flag(values: Mapping[str, Any], name: str) -> bool:
    """Return true or false.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    value = require(values, name)
    if type(value) is not bool:
        raise invalid(f"{name} is {value!r}, expected true or false", name)
    return value


def read_list(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a list.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the field.
    """
    value = require(values, name)
    if not isinstance(value, list):
        raise invalid(f"{name} is {type(value).__name__}, expected a list", name)
    return value


def read_stop(values: Mapping[str, Any]) -> Sequence[str]:
    """Return the list of texts that end an answer, none of them empty.

    Raises:
        RequestError: ``REQUEST_INVALID``, naming the text.
    """
    texts = read_list(values, "stop")
    for index, text in enumerate(texts):
        if not require_text(text, f"stop {index}", f"stop[{index}]"):
            raise invalid(f"stop {index} is empty", f"stop[{index}]")
    return texts


def _is_between(value: float, least: float, most: float) -> bool:
    try:
        return math.isfinite(value) and least <= value <= most
    except OverflowError:  # a whole number that no float holds
        return False
