"""The part of a kit that can change an answer."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from mealkit.recipe.answers import (
    CHANGES_ANSWERS,
    DECIDES_ANSWERS,
    KEEPS_ANSWERS,
    Effect,
    answer_part,
    classification,
    deciding_part,
    part_of,
)


class Inner(BaseModel):
    """A part of a form."""

    seed: Annotated[int, CHANGES_ANSWERS]
    note: Annotated[str, KEEPS_ANSWERS] = "n"


class Outer(BaseModel):
    """A form."""

    inner: Annotated[Inner, CHANGES_ANSWERS]
    many: Annotated[tuple[Inner, ...], CHANGES_ANSWERS] = ()
    named: Annotated[dict[str, Inner], CHANGES_ANSWERS] = {}
    free: Annotated[Any, CHANGES_ANSWERS] = None
    hidden: Annotated[Inner | None, KEEPS_ANSWERS] = None


class Unmarked(BaseModel):
    """A form whose author has not decided."""

    value: int = 1
    twice: Annotated[int, CHANGES_ANSWERS, KEEPS_ANSWERS] = 1


def test_only_what_changes_answers_is_kept():
    """On every level, in lists and mappings too."""
    inner = Inner(seed=1)
    form = Outer(inner=inner, many=(inner,), named={"a": inner}, free=[None, 1.5], hidden=inner)
    assert answer_part(form) == {
        "inner": {"seed": 1},
        "many": [{"seed": 1}],
        "named": {"a": {"seed": 1}},
        "free": [None, 1.5],
    }


@pytest.mark.parametrize(("name", "count"), [("value", 0), ("twice", 2)])
def test_a_field_has_exactly_one_marker(name, count):
    """There is no default to guess."""
    with pytest.raises(TypeError, match=rf"Unmarked\.{name} has {count} classifications"):
        classification(Unmarked, name)
    with pytest.raises(TypeError):
        answer_part(Unmarked())


class Item(BaseModel):
    """An item of a list."""

    name: Annotated[str, CHANGES_ANSWERS]
    value: Annotated[int, DECIDES_ANSWERS]
    size: Annotated[int, KEEPS_ANSWERS] = 0


class Marked(BaseModel):
    """A form with every mark."""

    items: Annotated[tuple[Item, ...], DECIDES_ANSWERS] = ()
    below: Annotated[Item | None, CHANGES_ANSWERS] = None
    free: Annotated[dict[str, Any], DECIDES_ANSWERS] = {}
    note: Annotated[str | None, DECIDES_ANSWERS] = None


def test_only_what_decides_answers_is_kept():
    """A mark that is weaker above counts; empty fields are left out, so new ones change nothing."""
    item = Item(name="a", value=1, size=2)
    assert deciding_part(Marked(items=(item,), below=item)) == {"items": [{"value": 1}]}
    assert deciding_part(Marked(free={"x": None})) == {"free": {"x": None}}


def test_a_value_is_split_by_effect():
    """Each leaf is in one part, by the weakest mark above it; items keep their names."""
    item = Item(name="a", value=1, size=2)
    form = Marked(items=(item,), below=item, free={"x": [1]})
    assert part_of(form, Effect.CHANGES) == {
        "items": [{"name": "a", "value": 1}],
        "free": {"x": [1]},
    }
    assert part_of(form, Effect.MAY_CHANGE) == {
        "items": [{"name": "a"}],
        "below": {"name": "a", "value": 1},
    }
    assert part_of(form, Effect.KEEPS) == {
        "items": [{"name": "a", "size": 2}],
        "below": {"size": 2},
    }
