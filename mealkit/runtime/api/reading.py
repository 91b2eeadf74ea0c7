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
from typing import Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from mealkit.errors import MealkitError, Problem, failure, failures, problem
from mealkit.runtime.api.sliced_json import parse_in_parts
from mealkit.untrusted import UntrustedError, shown
from mealkit.worker.field_faults import field_faults, known_names, likely, meant_value

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
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_UNSUPPORTED``, with a problem for each
            parameter that is wrong.
    """
    refused = [
        found
        for name, value in values.items()
        if name in refusals and (found := _refused(name, value, refusals[name]))
    ]
    known = {name: value for name, value in values.items() if name not in refusals}
    try:
        read = kind.model_validate(known)
    except ValidationError as error:
        raise failures([*refused, *_invalid(kind, error, known)]) from error
    if refused:
        raise failures(refused)
    return read


def _invalid(kind: type[Request], error: ValidationError, values: Any) -> Iterator[Problem]:
    """Yield the problems that pydantic's validation error is about."""
    found = error.errors(include_url=False, include_input=False)
    for fault in field_faults(cast("list[Mapping[str, Any]]", found), values):
        where = fault.path[:_NAME_CHARACTERS]
        hint: str | None = None
        match fault.kind:
            case "extra_forbidden":
                message = f"{shown(fault.path)} is not a parameter of this endpoint"
                near = likely(fault.name, known_names(kind, fault.place[:-1]))
                if near:
                    hint = f"did you mean {near!r}? Otherwise leave the parameter out"
                yield problem("REQUEST_UNSUPPORTED", message, where=where, hint=hint)
                continue
            case "none_required":
                message = f"{where} is not supported, expected null"
                yield problem("REQUEST_UNSUPPORTED", message, where=where)
                continue
            case "missing":
                message = f"{where} is missing"
            case _:
                message = f"{where or 'the body'} {fault.reason}"
                hint = meant_value(fault)
        yield problem("REQUEST_INVALID", message, where=where or None, hint=hint)


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


def _refused(name: str, value: Any, refusal: RefusedParameter) -> Problem | None:
    # Not "in": in Python True equals 1.
    if (
        value is None
        or refusal.only_with
        or any(value == item and type(value) is type(item) for item in refusal.neutral)
    ):
        return None
    message = f"{name} is not supported: {refusal.why}"
    return problem("REQUEST_UNSUPPORTED", message, where=name, hint=refusal.hint)


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


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
