"""Types for paths that mean a file: text in JSON, a file on disk for the author's code.

Imports pydantic, so only the worker's ``load`` may import this module.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from pathlib import Path, PosixPath, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic_core import core_schema

from mealkit.engines.python.request_files import RequestFiles, answer_file
from mealkit.errors import Problem, RequestError

_PATHS = (Path, PurePath, PosixPath)
# Types that do not say whether there are paths in their values.
_UNTYPED = (Any, dict, list)
_IN = "a file: base64, a data: URL, or a URL that the kit allows"
_OUT = "a file, as a data: URL"


class RefusedFile(ValueError):  # noqa: N818  it is what becomes of the file
    """A file that cannot be taken, told with the other mistakes of an input."""

    def __init__(self, found: Problem) -> None:
        super().__init__(found.message)
        self.problem = found


def incoming(where: str) -> Any:
    """Return the type of an input file in a field; its validation needs ``RequestFiles``."""

    def taken(text: str, info: ValidationInfo) -> Path:
        files = info.context
        assert isinstance(files, RequestFiles)  # noqa: S101  the context of every request
        try:
            return files.take(text, where)
        except RequestError as error:
            raise RefusedFile(error.problems[0]) from error

    schema = core_schema.with_info_after_validator_function(taken, core_schema.str_schema())
    form = {"type": "string", "format": "data-url", "description": _IN}
    return Annotated[Path, GetPydanticSchema(lambda *_: schema), WithJsonSchema(form)]


def outgoing(max_bytes: int) -> Any:
    """Return the type of an output file; the ``RequestFiles`` of its request delete it."""

    def written(path: Any, info: ValidationInfo) -> str:
        if isinstance(path, PurePath):
            return _written(path, max_bytes, info.context)
        raise ValueError("expected a path")

    schema = core_schema.with_info_plain_validator_function(written)
    # The gateway can then answer with the file itself.
    form = {"type": "string", "format": "uri", "description": _OUT, "x-file": True}
    return Annotated[Path, GetPydanticSchema(lambda *_: schema), WithJsonSchema(form)]


def outgoing_untyped(max_bytes: int) -> Any:
    """Return what makes every path in a result an output file, for a type such as ``Any``."""

    def replaced(value: Any, info: ValidationInfo) -> Any:
        return _replaced(value, lambda path: _written(path, max_bytes, info.context))

    def schema(source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(replaced, handler(source))

    return GetPydanticSchema(schema)


def _written(path: PurePath, max_bytes: int, files: Any) -> str:
    text = answer_file(Path(path), max_bytes)
    if isinstance(files, RequestFiles):
        files.give(Path(path))
    return text


def _replaced(value: Any, write: Callable[[PurePath], str]) -> Any:
    """Return a value in which every path is what ``write`` returns for it."""
    match value:
        case PurePath():
            return write(value)
        case dict():
            return {key: _replaced(item, write) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() | types.GeneratorType():
            return [_replaced(item, write) for item in value]
        case BaseModel():
            fields = type(value).model_fields.items()
            named = {
                field.serialization_alias or name: getattr(value, name) for name, field in fields
            }
            return _without_paths(value, named, write)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return _without_paths(value, named, write)
        case _:
            return value


def _without_paths(value: Any, fields: Mapping[str, Any], write: Callable[[PurePath], str]) -> Any:
    """Return an object with fields as it is, or as a dictionary if there are paths in it."""
    found: list[PurePath] = []

    def noted(path: PurePath) -> str:
        found.append(path)
        return write(path)

    replaced = {name: _replaced(item, noted) for name, item in fields.items()}
    return replaced if found else value


def with_files(annotation: Any, file: Any, untyped: Any = None) -> Any:
    """Return a type in which every path is replaced with a file, also in the fields of models.

    A type that does not say whether there are paths in its values gets ``untyped`` as metadata.
    """
    if annotation in _PATHS:
        return file
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model_with_files(annotation, file, untyped)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(with_files(arguments[0], file, untyped), *arguments[1:])]
    if untyped is not None and not arguments and (origin or annotation) in _UNTYPED:
        return Annotated[annotation, untyped]
    if origin is None or origin is Literal or not arguments:
        return annotation
    inner = tuple(with_files(item, file, untyped) for item in arguments)
    # The members of A | B are known only now.
    generic: Any = Union if origin is types.UnionType else origin
    return annotation if inner == arguments else generic[inner]


def _model_with_files(model: type[BaseModel], file: Any, untyped: Any) -> type[BaseModel]:
    """Return a model, or a subclass of it that has files instead of paths."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if model in _members(field.annotation):
            return model  # it contains itself: its paths are rejected when the schema is built
        changed = with_files(field.annotation, file, untyped)
        if changed != field.annotation:
            fields[name] = (changed, field)
    if not fields:
        return model
    # The code returns an instance of the model as its author wrote it.
    about = {"model_config": ConfigDict(from_attributes=True), "__module__": model.__module__}
    base = types.new_class(model.__name__, (model,), exec_body=lambda body: body.update(about))
    derived: type[BaseModel] = create_model(model.__name__, __base__=base, **fields)
    return derived


def _members(annotation: Any) -> set[Any]:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal or not arguments:
        return {annotation}
    return set().union(*(_members(item) for item in arguments))
