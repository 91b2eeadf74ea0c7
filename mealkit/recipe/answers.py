"""Marks whether a field can change an answer, and splits a value by these marks.

The recipe digest hashes what decides answers and what may change them, the salt digest only what
decides them. Every field of the kit and of the lock has exactly one mark; a test finds fields
without one. Raises TypeError for an unmarked field: there is no default. Their models have one base
class.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Effect(StrEnum):
    """What another value of a field does to the answers, the strongest first."""

    CHANGES = "changes"
    """It is what answers are made from: weights, prompts, hyperparameters, the paper's code."""
    MAY_CHANGE = "may-change"
    """It should not change them, but it can, as a library below the engine."""
    KEEPS = "keeps"
    """No answer depends on it."""


@dataclass(frozen=True, slots=True)
class Classification:
    """The mark of a field."""

    effect: Effect

    @property
    def changes_answers(self) -> bool:
        """Whether the recipe digest covers the field."""
        return self.effect is not Effect.KEEPS


DECIDES_ANSWERS = Classification(Effect.CHANGES)
CHANGES_ANSWERS = Classification(Effect.MAY_CHANGE)
KEEPS_ANSWERS = Classification(Effect.KEEPS)

# By these fields the items of a list are told apart; they are in each part that has the item.
ITEM_NAMES = ("path", "name")
_EMPTY: tuple[Any, ...] = (None, (), [], {})


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
    """Return the part of a value that can change an answer, as JSON: what the recipe covers."""
    return _part(value, frozenset({Effect.CHANGES, Effect.MAY_CHANGE}))


def deciding_part(value: Any) -> Any:
    """Return the part of a value that decides answers, as JSON.

    Empty fields are left out, so that a field that is new in this format changes no digest.
    """
    return _part(value, frozenset({Effect.CHANGES}), keeps_empty=False)


def _part(value: Any, effects: frozenset[Effect], *, keeps_empty: bool = True) -> Any:
    match value:
        case BaseModel():
            return {
                name: _part(item, effects, keeps_empty=keeps_empty)
                for name in type(value).model_fields
                if classification(type(value), name).effect in effects
                and ((item := getattr(value, name)) not in _EMPTY or keeps_empty)
            }
        case Mapping():
            return {
                str(key): _part(item, effects, keeps_empty=keeps_empty)
                for key, item in value.items()
            }
        case tuple() | list():
            return [_part(item, effects, keeps_empty=keeps_empty) for item in value]
        case _:
            return value


def part_of(value: BaseModel, effect: Effect) -> dict[str, Any]:
    """Return the leaves of a value that have an effect, as JSON with the names of its file.

    A leaf has the weakest effect of the marks above it. The parts of all effects together have all
    leaves; an item of a list keeps its name in each part, so that two parts can be compared.
    """
    form = value.model_dump(mode="json", by_alias=True)
    return dict(_leaves(value, form, Effect.CHANGES, effect))


def _leaves(
    value: BaseModel, form: Mapping[str, Any], above: Effect, wanted: Effect
) -> Iterator[tuple[str, Any]]:
    model = type(value)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in form:  # left out because it is empty
            continue
        mark = max(above, classification(model, name).effect, key=list(Effect).index)
        found = _leaf(getattr(value, name), form[key], mark, wanted)
        if found is not None:
            yield key, found


def _leaf(value: Any, form: Any, mark: Effect, wanted: Effect) -> Any:
    match value:
        case _ if mark is Effect.KEEPS:  # no mark below it is stronger
            return form if wanted is Effect.KEEPS else None
        case BaseModel():
            return dict(_leaves(value, form, mark, wanted)) or None
        case Mapping() if _has_models(list(value.values())):
            parts = {
                str(key): _leaf(item, form[str(key)], mark, wanted) for key, item in value.items()
            }
            return {key: part for key, part in parts.items() if part is not None} or None
        case tuple() | list() if _has_models(value):
            return [
                {**_names_in(one), **(_leaf(item, one, mark, wanted) or {})}
                for item, one in zip(value, form, strict=True)
            ]
        case _:
            return form if mark is wanted else None


def _has_models(items: Sequence[Any]) -> bool:
    return bool(items) and all(isinstance(item, BaseModel) for item in items)


def _names_in(form: Mapping[str, Any]) -> dict[str, Any]:
    return {name: form[name] for name in ITEM_NAMES if name in form}
