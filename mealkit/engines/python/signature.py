"""Describes the signature of ``predict`` as JSON Schema, and checks inputs and results with it.

Raises EngineError for parameters without a type, and for paths in types that cannot have files.
Imports pydantic, so only ``PythonWorker.load`` may import this module.
"""

import collections.abc
import inspect
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError

from mealkit.engines.python.config import HandlerConfig
from mealkit.engines.python.faults import start_failure
from mealkit.engines.python.file_types import incoming, outgoing, outgoing_untyped, with_files
from mealkit.engines.python.input_problems import input_problems
from mealkit.engines.python.request_files import RequestFiles
from mealkit.errors import MealkitError, failure, failures
from mealkit.worker.interface import PredictionSchema

# Of the docstring, which the API's description shows.
_ABOUT_CHARACTERS = 4000
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
)


class Signature:
    """The inputs and the result of ``predict``."""

    def __init__(self, predict: Callable[..., Any], config: HandlerConfig) -> None:
        """Read the signature of a method that is bound to its handler.

        Raises:
            EngineError: ``ENGINE_START``, a parameter or the result cannot be described.
        """
        self._config = config
        parameters = inspect.signature(predict).parameters
        try:
            hints = get_type_hints(predict, include_extras=True)
        except Exception as error:
            doing = "reading the types of predict"
            raise start_failure(error, config.code_root, doing) from error
        self._names = [self._checked(item, hints) for item in parameters.values()]
        gives = hints.get("return", Any)
        self.streams = _is_stream(predict, gives)
        if self.streams and get_origin(gives) in _STREAMS:
            gives = get_args(gives)[0]
        most = config.limits.max_file_bytes
        try:
            handler = type(getattr(predict, "__self__", None))
            about = inspect.getdoc(predict) or inspect.getdoc(handler) or ""
            self._input = self._input_model(parameters, hints, about[:_ABOUT_CHARACTERS])
            self._output: TypeAdapter[Any] = TypeAdapter(
                with_files(gives, outgoing(most), outgoing_untyped(most))
            )
            self.schema = self._schema()
        except MealkitError:
            raise
        except Exception as error:
            doing = "describing the inputs and the result of predict"
            raise start_failure(error, config.code_root, doing) from error

    def read(self, values: Mapping[str, Any], files: RequestFiles) -> dict[str, Any]:
        """Check an input and return the arguments of ``predict``.

        Raises:
            RequestError: ``REQUEST_INVALID`` and others, with a problem for each field.
        """
        try:
            found = self._input.model_validate_json(json.dumps(dict(values)), context=files)
        except ValidationError as error:
            raise failures(input_problems(error, values, self._input)) from error
        return {name: getattr(found, f"p{index}") for index, name in enumerate(self._names)}

    def write(self, result: Any, files: RequestFiles) -> Any:
        """Check a result, or a piece of one, and return it as a JSON value.

        Raises:
            EngineError: ``ENGINE_ANSWER``, it does not match the signature, or is not JSON.
        """
        try:
            checked = self._output.validate_python(result, context=files)
            _require_finite(self._output.dump_python(checked))
            return self._output.dump_python(checked, mode="json", by_alias=True, warnings="error")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            at = _dotted(("output", *first["loc"]))
            message = f"the kit's code returned a value of another type: {at}: {first['type']}"
        except (PydanticSerializationError, ArithmeticError, UnicodeDecodeError, RecursionError):
            message = (
                f"the kit's code returned {type(result).__name__}, which cannot be written as JSON"
            )
        hint = "let predict return a value that matches its annotation"
        raise failure("ENGINE_ANSWER", message, where=self._config.file, hint=hint)

    def _checked(self, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str:
        kinds = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.kind not in kinds or parameter.name not in hints:
            reason = "has no type" if parameter.kind in kinds else "cannot be given by name"
            message = f"the parameter {parameter} of predict {reason}"
            hint = "write it as NAME: TYPE, or NAME: TYPE = DEFAULT"
            raise failure("ENGINE_START", message, where=self._config.file, hint=hint)
        return parameter.name

    def _input_model(
        self, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], about: str
    ) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for index, name in enumerate(self._names):
            default = parameters[name].default
            given = ... if default is inspect.Parameter.empty else default
            # Not by the parameters' names: models have methods such as ``copy`` and ``json``.
            file = incoming(f"input.{name}")
            taken: Any = with_files(hints[name], file)
            fields[f"p{index}"] = (Annotated[taken, Field(alias=name)], given)
        config = ConfigDict(extra="forbid", strict=True)
        model: type[BaseModel] = create_model(
            "Input", __config__=config, __doc__=about or None, **fields
        )
        return model

    def _schema(self) -> PredictionSchema:
        taken = _without_infinite(self._input.model_json_schema())
        given = _without_infinite(self._output.json_schema(mode="serialization"))
        for name, form in (("takes", taken), ("gives", given)):
            if '"format": "path"' in json.dumps(form):
                message = f"predict {name} a path inside a class, which cannot have files"
                hint = "make the class a pydantic model, or make the path a parameter"
                raise failure("ENGINE_START", message, where=self._config.file, hint=hint)
        return PredictionSchema(taken, given, self.streams)


def _without_infinite(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the defaults and bounds that JSON cannot write, such as ``inf``.

    The code has them nevertheless: what is left out of a request is the code's own default.
    """
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        inner = _without_infinite(value) if isinstance(value, dict) else value
        if isinstance(value, list):
            inner = [_without_infinite(item) if isinstance(item, dict) else item for item in value]
        with suppress(ArithmeticError):
            _require_finite(inner)
            kept[name] = inner
    return kept


def _require_finite(value: Any) -> None:
    """Check that there are only numbers that JSON has; pydantic would write null for others.

    Raises:
        ArithmeticError: there is a number that JSON does not have.
    """
    match value:
        case float() if not math.isfinite(value):
            raise ArithmeticError
        case dict():
            for item in value.values():
                _require_finite(item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                _require_finite(item)
        case _:
            pass


def _is_stream(predict: Callable[..., Any], gives: Any) -> bool:
    function = inspect.unwrap(predict)
    return (
        inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
        or get_origin(gives) in _STREAMS
    )


def _dotted(path: tuple[int | str, ...]) -> str:
    first, *rest = path
    return f"{first}" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest
    )
