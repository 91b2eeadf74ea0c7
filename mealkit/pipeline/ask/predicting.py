"""Asks a kit of any task one question, with inputs from the command line, and finds its files.

Raises the kit's problems, and ``USAGE`` for inputs that are not JSON.
"""

import base64
import binascii
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure, failures, problem
from mealkit.pipeline.ask.input_values import InputSchema, typed_input
from mealkit.pipeline.ask.kit_answers import AskedKit
from mealkit.recipe.kit import Task
from mealkit.untrusted import UntrustedError, parse_json_object

_MAX_VALUES = 4_000_000
_BODY_FIELDS = frozenset({"model", "input", "seed", "stream"})
_DATA, _BASE64 = "data:", ";base64,"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a question: a JSON object, and fields as texts, which come on top."""

    values: Mapping[str, Any]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: its content without what surrounds it, and all of it."""

    output: Any
    whole: Any
    recipe: str | None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file in an answer."""

    media_type: str
    data: bytes


def inputs_of(text: str | None, fields: tuple[str, ...]) -> Inputs:
    """Read the inputs that a command line has; ``text`` is a JSON object.

    Raises:
        KitError: ``USAGE``, it is none.
    """
    if text is None:
        return Inputs({}, fields)
    try:
        values = parse_json_object(text.encode(), max_values=_MAX_VALUES)
    except UnicodeEncodeError as error:
        raise failure("USAGE", "the input is not UTF-8", where="INPUT") from error
    except UntrustedError as error:
        hint = """write an object, such as '{"text": "salt"}', or -i NAME=VALUE"""
        message = f"the input is not a JSON object: {error}"
        raise failure("USAGE", message, where="INPUT", hint=hint) from error
    return Inputs(values, fields)


def predict(
    kit: AskedKit, inputs: Inputs, on_piece: Callable[[Any], None] | None = None
) -> Prediction:
    """Ask a kit at the endpoint of its task; ``on_piece`` gets the pieces of an output, if any.

    The inputs of a paper's own code are its fields; those of other tasks are the request's, such as
    ``input`` or ``query`` and ``documents``.

    Raises:
        MealkitError: the kit refuses the inputs, or cannot answer.
    """
    path, schema = kit.endpoint, _schema(kit)
    if kit.task is not Task.PREDICTION:
        body = {"model": kit.model, **inputs.values, **typed_input(inputs.fields, schema)}
        answer = kit.ask(path, body)
        return Prediction(answer.value, answer.value, answer.recipe)
    body = _body(kit, inputs, schema)
    if on_piece is not None and _streams(kit):
        pieces: list[Any] = []

        def passed(event: Any) -> None:
            pieces.append(event.get("output") if isinstance(event, dict) else event)
            on_piece(pieces[-1])

        answer = kit.stream(path, body, passed)
        return Prediction(pieces, {"output": pieces}, answer.recipe)
    answer = kit.ask(path, body)
    whole = answer.value
    output = whole.get("output") if isinstance(whole, dict) else whole
    return Prediction(output, whole, answer.recipe)


def _body(kit: AskedKit, inputs: Inputs, schema: InputSchema) -> dict[str, Any]:
    values, further = dict(inputs.values), {}
    given = values.get("input")
    # What an example of the API has as its body is meant as one.
    if isinstance(given, dict) and set(values) <= _BODY_FIELDS and "input" not in schema.fields:
        further = {name: value for name, value in values.items() if name == "seed"}
        values = given
    given_all = {**values, **typed_input(inputs.fields, schema)}
    _require_all(given_all, schema)
    return {"model": kit.model, "input": given_all, **further}


def _require_all(given: Mapping[str, Any], schema: InputSchema) -> None:
    """Name every input that is missing as it is written on a command line."""
    missing = [name for name in schema.required if name not in given]
    if missing:
        hint = "give it: -i {0}=VALUE, or -i {0}=@FILE for a file's content"
        raise failures(
            [
                problem(
                    "REQUEST_INVALID",
                    f"the input {name} is missing",
                    where=f"-i {name}",
                    hint=hint.format(name),
                )
                for name in missing
            ]
        )


def _schema(kit: AskedKit) -> InputSchema:
    """Return the schema of the inputs: of the paper's code, or of the request's body."""
    request = _request(kit)
    fields = request.fields
    if kit.task is Task.PREDICTION:
        return InputSchema(fields.get("input", {}), kit.description)
    return request


def _request(kit: AskedKit) -> InputSchema:
    form: Any = kit.description
    for step in ("paths", kit.endpoint, "post", "requestBody", "content", "application/json"):
        form = form.get(step) if isinstance(form, Mapping) else None
    found = form.get("schema") if isinstance(form, Mapping) else None
    return InputSchema(found if isinstance(found, Mapping) else {}, kit.description)


def _streams(kit: AskedKit) -> bool:
    stream = _request(kit).fields.get("stream")
    return isinstance(stream, Mapping) and "enum" not in stream


def files_of(output: Any) -> Iterator[OutputFile]:
    """Yield the files in an output: every data: URL in base64."""
    stack = [output]
    while stack:
        match stack.pop():
            case str() as text if (found := _file(text)) is not None:
                yield found
            case list() as items:
                stack.extend(reversed(items))
            case dict() as form:
                stack.extend(reversed(form.values()))
            case _:
                pass


def _file(text: str) -> OutputFile | None:
    kind, found, data = text.partition(_BASE64)
    if not found or not kind.startswith(_DATA):
        return None
    try:
        return OutputFile(kind.removeprefix(_DATA), base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return None


def without_files(output: Any) -> Any:
    """Return an output with a short text in the place of each file, for people."""
    match output:
        case str() as text if (found := _file(text)) is not None:
            return f"a file ({found.media_type}, {len(found.data)} bytes): write it with -o FILE"
        case list() as items:
            return [without_files(item) for item in items]
        case dict() as form:
            return {name: without_files(value) for name, value in form.items()}
        case _:
            return output


def standard_input(max_bytes: int = 1024 * 1024 * 1024) -> str:
    """Return the whole standard input as text.

    Raises:
        KitError: ``USAGE``, it is not UTF-8, or too long.
    """
    data = sys.stdin.buffer.read(max_bytes + 1)
    try:
        if len(data) > max_bytes:
            raise failure("USAGE", f"standard input has more than {max_bytes} bytes", where="-")
        return data.decode()
    except UnicodeDecodeError as error:
        raise failure("USAGE", "standard input is not UTF-8", where="-") from error
