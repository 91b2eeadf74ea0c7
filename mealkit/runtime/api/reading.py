"""Parses a caller's request: strict JSON, known parameters, the right types.

Raises RequestError, with the parameter's name, for a name that occurs twice, an unknown name, a
wrong type, and parameters of OpenAI's API that this API does not support. No parameter is ignored,
except null, and those documented as ignored, such as ``user``. Only the first few mistakes in a
request are examined, because a message for each of a million would fill the memory.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mealkit.errors import MealkitError, failure
from mealkit.runtime.api.sliced_json import parse_in_parts
from mealkit.untrusted import UntrustedError, shown

MAX_DEPTH = 128
"""The maximum depth of a request: a JSON Schema uses two or three levels for each of its own."""
MAX_VALUES = 200_000
"""The maximum number of members and items in a request: an image of 224 x 224 x 3 numbers fits."""

# More than twice as many as any object of the API has.
_MAX_PARAMETERS = 64
_NAME_CHARACTERS = 200


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Accepts whole numbers as JSON Schema defines them: 1.0 is an integer, true is not."""


class Request(BaseModel):
    """The body of a request, or an object in it: strict, without unknown parameters.

    An unknown parameter that is null is dropped: clients that write all fields of their own classes
    leave it out in this way.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        """Drop unknown nulls; raise one error for many parameters, not one for each of them."""
        if not isinstance(values, dict):
            return values
        if len(values) > _MAX_PARAMETERS:
            raise ValueError(f"has {len(values)} parameters, the limit is {_MAX_PARAMETERS}")
        if None not in values.values():
            return values
        known = cls.model_fields
        return {name: item for name, item in values.items() if item is not None or name in known}


class AnswerPart(BaseModel):
    """A part of an answer, as OpenAPI describes it; engines may add to it."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class RefusedParameter:
    """A parameter of other APIs that this API does not support."""

    why: str
    neutral: tuple[Any, ...] = ()
    """Values that mean the same as omitting the parameter, in addition to null."""
    hint: str | None = None
    only_with: str | None = None
    """The refused parameter without which this one has no effect, so that every value passes."""


_R = TypeVar("_R", bound=Request)


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object without duplicate names, within ``MAX_DEPTH`` and ``MAX_VALUES``.

    Half of a surrogate pair is accepted here; ``body_of`` raises for it, with the field's name.

    Raises:
        RequestError: ``REQUEST_INVALID``.
    """
    try:
        values = parse_in_parts(body, max_depth=MAX_DEPTH, max_values=MAX_VALUES)
    except UntrustedError as error:
        message = f"the body cannot be read: {error}"
        where = error.member and error.member[:_NAME_CHARACTERS]
        raise failure("REQUEST_INVALID", message, where=where) from error
    if not isinstance(values, dict):
        raise failure("REQUEST_INVALID", "the body is not a JSON object")
    return values


def read_request(
    kind: type[_R], values: dict[str, Any], refusals: Mapping[str, RefusedParameter]
) -> _R:
    """Check the values of a request; null means that an optional parameter is omitted.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_UNSUPPORTED``, naming the parameter.
    """
    for name in refusals.keys() & values.keys():
        _refuse(name, values[name], refusals[name])
    known = {name: value for name, value in values.items() if name not in refusals}
    try:
        return kind.model_validate(known)
    except ValidationError as error:
        raise_invalid(error, known)


def raise_invalid(error: ValidationError, values: Any) -> NoReturn:
    """Raise a RequestError for pydantic's validation error.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_UNSUPPORTED``, naming the parameter.
    """
    items = error.errors(include_url=False, include_context=False, include_input=False)
    found = [(_path(item, values), item) for item in items]
    # In a union, the alternative with the deepest error is most likely the intended one.
    path, first = max(found, key=lambda pair: pair[0].count(".") + pair[0].count("["))
    where = path[:_NAME_CHARACTERS]
    if first["type"] == "extra_forbidden":
        message = f"{shown(path)} is not a parameter of this endpoint"
        raise failure("REQUEST_UNSUPPORTED", message, where=where) from error
    if first["type"] == "none_required":
        raise unsupported(f"{where} is not supported, expected null", where) from error
    if first["type"] == "missing":
        raise failure("REQUEST_INVALID", f"{where} is missing", where=where) from error
    reasons = dict.fromkeys(_reason(item) for place, item in found if place == path)
    message = f"{where or 'the body'} {' or '.join(reasons)}"
    raise failure("REQUEST_INVALID", message, where=where or None) from error


def body_of(values: Mapping[str, Any]) -> bytes:
    """Write a body for the worker.

    Raises:
        RequestError: ``REQUEST_INVALID``, a text has half of a surrogate pair.
    """
    try:
        if threading.current_thread() is threading.main_thread():
            return _ENCODER.encode(values).encode()
        # In another thread: encoding a large body in one call would block all other threads.
        return "".join(_ENCODER.iterencode(values)).encode()
    except RecursionError as error:
        raise failure("REQUEST_INVALID", "the body is nested too deeply") from error
    except UnicodeEncodeError as error:
        message = "a text has half of a surrogate pair, which is not a character"
        where = next(_broken(values, ""), None)
        raise failure("REQUEST_INVALID", message, where=where) from error


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded in UTF-8; half of a surrogate pair in JSON cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def unsupported(message: str, where: str, hint: str | None = None) -> MealkitError:
    """Return the error for a parameter that this kit does not support."""
    return failure("REQUEST_UNSUPPORTED", message, where=where, hint=hint)


def _refuse(name: str, value: Any, refusal: RefusedParameter) -> None:
    # Not "in": in Python True equals 1.
    if (
        value is None
        or refusal.only_with
        or any(value == item and type(value) is type(item) for item in refusal.neutral)
    ):
        return
    raise unsupported(f"{name} is not supported: {refusal.why}", name, refusal.hint)


def _broken(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of texts and names that cannot be encoded in UTF-8."""
    match value:
        case str() if not is_unicode(value):
            yield path
        case Mapping():
            for name, item in value.items():
                where = f"{path}.{name}" if path else name
                if is_unicode(name):
                    yield from _broken(item, where)
                else:
                    yield path
        case list():
            for index, item in enumerate(value):
                yield from _broken(item, f"{path}[{index}]")
        case _:
            return


def _path(item: ErrorDetails, values: Any) -> str:
    """Return the path of a value, without pydantic's names for the alternatives of unions."""
    path, here = "", values
    *before, last = item["loc"] or ("",)
    for part in before:
        path, here = _step(path, here, part)
    if item["type"] in {"missing", "extra_forbidden"}:
        return f"{path}.{last}" if path else str(last)
    return _step(path, here, last)[0]


def _step(path: str, here: Any, part: int | str) -> tuple[str, Any]:
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return f"{path}[{part}]", here[part]
    if isinstance(here, dict) and part in here:
        return (f"{path}.{part}" if path else str(part)), here[part]
    return path, here


def _reason(item: ErrorDetails) -> str:
    message = item["msg"].removeprefix("Value error, ")
    for opening in ("Input ", "String ", "List ", "Dictionary "):
        message = message.removeprefix(opening)
    return message[:1].lower() + message[1:]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
