"""Types for paths that mean a file: text in JSON, a file on disk for the author's code.

Imports pydantic, so only the worker's ``load`` may import this module.
"""

import types
from pathlib import Path, PosixPath, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetPydanticSchema,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic_core import core_schema

from mealkit.engines.python.request_files import RequestFiles, answer_file

_PATHS = (Path, PurePath, PosixPath)
_IN = "a file: base64, a data: URL, or a URL that the kit allows"
_OUT = "a file, as a data: URL"


def incoming(where: str) -> Any:
    """Return the type of an input file in a field; its validation needs ``RequestFiles``."""

    def taken(text: str, info: ValidationInfo) -> Path:
        files = info.context
        assert isinstance(files, RequestFiles)  # noqa: S101  the context of every request
        return files.take(text, where)

    schema = core_schema.with_info_after_validator_function(taken, core_schema.str_schema())
    form = {"type": "string", "format": "data-url", "description": _IN}
    return Annotated[Path, GetPydanticSchema(lambda *_: schema), WithJsonSchema(form)]


def outgoing(max_bytes: int) -> Any:
    """Return the type of an output file; the ``RequestFiles`` of its request delete it."""

    def written(path: Any, info: ValidationInfo) -> str:
        if isinstance(path, PurePath):
            text = answer_file(Path(path), max_bytes)
            if isinstance(info.context, RequestFiles):
                info.context.give(Path(path))
            return text
        raise ValueError("expected a path")

    schema = core_schema.with_info_plain_validator_function(written)
    form = {"type": "string", "format": "uri", "description": _OUT}
    return Annotated[Path, GetPydanticSchema(lambda *_: schema), WithJsonSchema(form)]


def with_files(annotation: Any, file: Any) -> Any:
    """Return a type in which every path is replaced with a file, also in the fields of models."""
    if annotation in _PATHS:
        return file
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model_with_files(annotation, file)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(with_files(arguments[0], file), *arguments[1:])]
    if origin is None or origin is Literal or not arguments:
        return annotation
    inner = tuple(with_files(item, file) for item in arguments)
    if origin in (Union, types.UnionType):
        return Union[inner]  # noqa: UP007  the members are known only now
    return annotation if inner == arguments else origin[inner]


def _model_with_files(model: type[BaseModel], file: Any) -> type[BaseModel]:
    """Return a model, or a subclass of it that has files instead of paths."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if model in _members(field.annotation):
            return model  # it contains itself: its paths are rejected when the schema is built
        changed = with_files(field.annotation, file)
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
