"""Any value in any place of a JSON document: what tests of documents written by others replace."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]


def any_json(*odd: Any) -> st.SearchStrategy[Any]:
    """Any JSON value; ``odd`` are values that the reader under test might mishandle."""
    texts = [item for item in odd if isinstance(item, str)]
    keys = st.text(max_size=5) | st.sampled_from(texts) if texts else st.text(max_size=5)
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=10)
        | st.sampled_from([10**400, *odd]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=4,
    )


def places(form: Any, most_items: int | None = None) -> list[Place]:
    """Every place in a document below its root; of a list, the first ``most_items`` alone."""
    return list(_places(form, (), most_items))


def _places(form: Any, above: Place, most_items: int | None) -> Iterator[Place]:
    if above:
        yield above
    items = list(form.items()) if isinstance(form, dict) else []
    if isinstance(form, list):
        items = list(enumerate(form[:most_items]))
    for key, item in items:
        yield from _places(item, (*above, key), most_items)


def value_at(form: Any, place: Place) -> Any:
    """The value in a place."""
    for step in place:
        form = form[step]
    return form


def replaced(form: Any, place: Place, value: Any) -> Any:
    """A copy of the document with another value in one place; no place is the whole document."""
    if not place:
        return value
    form = copy.deepcopy(form)
    value_at(form, place[:-1])[place[-1]] = value
    return form
