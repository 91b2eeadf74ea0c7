"""Finds the field of the models that a path in a kit belongs to, to name and explain it.

No I/O: reads the models' own annotations. Returns None for a path that does not exist.
"""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mealkit.kit.document import Path
from mealkit.strings import Size

# The fields that say which variant of a model a mapping is.
_DISCRIMINATORS = ("source", "kind")


def field_at(model: type[BaseModel], data: Any, path: Path) -> FieldInfo | None:
    """Return the field at the end of a path, or the field whose list or map contains that item."""
    for length in range(len(path), 0, -1):
        parent = model_at(model, data, path[: length - 1])
        if parent:
            return _fields(parent).get(str(path[length - 1]))
    return None


def model_at(model: type[BaseModel], data: Any, path: Path) -> type[BaseModel] | None:
    """Return the model that describes the mapping at a path; the data decides between variants."""
    annotation: Any = model
    for step in path:
        annotation = _step(_decided(annotation, data), step)
        data = _descend(data, step)
        if annotation is None:
            return None
    found = _decided(annotation, data)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def names_of(model: type[BaseModel]) -> list[str]:
    """Return the names of a model's fields, as kit.yaml writes them."""
    return list(_fields(model))


def homes_of(model: type[BaseModel], name: str | int) -> list[str]:
    """Return the paths in a model, outside of lists and maps, of fields with this name."""
    return [home for home, field_name in _walk(model, "") if field_name == name]


def is_size(field: FieldInfo | None) -> bool:
    """Return whether a field's value is a size such as 16GiB."""
    if field is None:
        return False
    marker = get_args(Size)[1]
    inner = [item for part in get_args(field.annotation) for item in get_args(part)]
    return marker in field.metadata or marker in inner


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in _fields(model).items():
        yield prefix, name
        inner = _decided(field.annotation, None)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _walk(inner, f"{prefix}.{name}" if prefix else name)


def _descend(data: Any, step: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(step)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _step(annotation: Any, step: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = _fields(annotation).get(str(step))
        return field.annotation if field else None
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is tuple:
            return arguments[0]
        case origin if origin is dict:
            return arguments[1]
        case _:
            return None


def _decided(annotation: Any, data: Any) -> Any:
    """Return the one type of an annotation that fits this data."""
    if get_origin(annotation) is Annotated:
        return _decided(get_args(annotation)[0], data)
    if get_origin(annotation) not in {Union, types.UnionType}:
        return annotation
    members = [_decided(item, data) for item in get_args(annotation) if item is not types.NoneType]
    if len(members) == 1:
        return members[0]
    given = data if isinstance(data, dict) else {}
    return next(
        (
            item
            for item in members
            for name in _DISCRIMINATORS
            if name in given and given[name] in _tags(item, name)
        ),
        None,
    )


def _tags(member: Any, name: str) -> tuple[Any, ...]:
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return ()
    field = member.model_fields.get(name)
    annotation = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()
