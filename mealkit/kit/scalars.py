"""Converts scalars by YAML 1.2's core schema, so that only true and false are booleans.

Raises NotJson for numbers that JSON cannot represent.
Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

import math
import re

from mealkit.kit.nodes import Scalar

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

NUMBER = re.compile(rf"(?:{_INTEGER.pattern}|{_FLOAT.pattern}|{_NOT_FINITE.pattern})\Z")
"""The form of a number without quotes."""

# Other readers of JSON lose digits of larger integers.
_MAX_INTEGER_CHARACTERS = 20


class NotJson(Exception):  # noqa: N818  the error is in the input, not in this program
    """A scalar has no value in JSON."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def scalar_value(node: Scalar) -> str | int | float | bool | None:
    """Return a scalar's value.

    Raises:
        NotJson: the number is invalid, infinite or too large, or contradicts its tag.
    """
    if node.tag == "str" or (node.tag is None and not node.plain):
        return node.text
    value = _plain_value(node.text)
    match node.tag:
        case "int" if type(value) is not int:
            pass
        case "float" if type(value) not in {int, float}:
            pass
        case "bool" if type(value) is not bool:
            pass
        case "null" if value is not None:
            pass
        case "map" | "seq":
            pass
        case "float" if isinstance(value, int):
            return float(value)
        case _:
            return value
    raise NotJson(f"{node.text!r} does not match its tag !!{node.tag}", "delete the tag")


def _plain_value(text: str) -> str | int | float | bool | None:
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MAX_INTEGER_CHARACTERS:
            raise NotJson(f"the number {text[:20]}... is too large", f"{_QUOTE} if it is text")
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise NotJson(f"the number {text[:20]} is too large", f"{_QUOTE} if it is text")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise NotJson(f"{text} is not a finite number", f"write a number, or {_QUOTE}")
    return text


_QUOTE = "write it in quotes"
