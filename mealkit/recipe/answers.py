"""Marks which fields can change an answer, and returns the part that the recipe digest hashes.

Every field of the kit and of the lock has one of the two markers; a test finds fields without one.
Raises TypeError for an unmarked field: there is no default. Their models have one base class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Classification:
    """Whether a different value of a field can change an answer."""

    changes_answers: bool


CHANGES_ANSWERS = Classification(changes_answers=True)
KEEPS_ANSWERS = Classification(changes_answers=False)


class StrictModel(BaseModel):
    """The base of all models of a kit and its lock: frozen, strict, without unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


def classification(model: type[BaseModel], name: str) -> Classification:
    """Return a field's marker.

    Raises:
        TypeError: the field has no marker, or more than one.
    """
    found = [item for item in model.model_fields[name].metadata if isinstance(item, Classification)]
    if len(found) != 1:
        raise TypeError(f"{model.__name__}.{name} has {len(found)} classifications, expected one")
    return found[0]


def answer_part(value: Any) -> Any:
    """Return the part of a value that can change an answer, as JSON: its CHANGES_ANSWERS fields."""
    match value:
        case BaseModel():
            return {
                name: answer_part(getattr(value, name))
                for name in type(value).model_fields
                if classification(type(value), name).changes_answers
            }
        case Mapping():
            return {str(key): answer_part(item) for key, item in value.items()}
        case tuple() | list():
            return [answer_part(item) for item in value]
        case _:
            return value
