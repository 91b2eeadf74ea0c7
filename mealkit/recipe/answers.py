"""Which fields can change an answer: the markers, and the projection that the recipe digest hashes.

Every field of the kit and of the lock carries one of the two markers; a test finds those that do
not. Refuses to guess: an unmarked field is an error, not a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Classification:
    """Whether another value of a field can change an answer."""

    changes_answers: bool


CHANGES_ANSWERS = Classification(changes_answers=True)
KEEPS_ANSWERS = Classification(changes_answers=False)


def classification(model: type[BaseModel], name: str) -> Classification:
    """Return a field's marker.

    Raises:
        TypeError: the field carries no marker, or more than one.
    """
    found = [item for item in model.model_fields[name].metadata if isinstance(item, Classification)]
    if len(found) != 1:
        raise TypeError(f"{model.__name__}.{name} carries {len(found)} classifications, not one")
    return found[0]


def answer_part(value: Any) -> Any:
    """Return the part of a value that can change an answer, as JSON: unmarked fields left out."""
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
