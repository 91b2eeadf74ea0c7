"""The part of a kit that can change an answer."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from mealkit.recipe.answers import CHANGES_ANSWERS, KEEPS_ANSWERS, answer_part, classification


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
