"""How much there is of a value: what it costs to write, compare or hash it, all the way down.

A list that has another list twice is written twice, and so it is weighed twice: a few lines of a
template can make a value whose text would fill the memory. Weighing is charged as it goes.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from jinja2.utils import Namespace

from mealkit.templating.meter import spend

MAX_DEPTH = 64
"""How deep values may nest: Python's own code for hashes and texts of them is recursive."""
_PLAIN_BYTES = 64
_EACH = 30
_EACH_CONTAINER = 150
_BATCH = 100
_SINGLE = (int, float, type(None))
_MANY: tuple[type, ...] = (
    *(list, tuple, set, frozenset),
    *(type({}.keys()), type({}.values()), type({}.items())),
)


@dataclass(frozen=True, slots=True)
class Weight:
    """The bytes, the values and the levels that there are; a value alone is one level."""

    size_bytes: int
    items: int
    depth: int


def text_bytes(text: str) -> int:
    """Return the memory that a text takes."""
    return sys.getsizeof(text)


def weigh(*values: Any) -> Weight:
    """Weigh values together, with everything in them.

    Raises:
        ValueError: they nest too deep.
        TooCostlyError: weighing them takes more than there is.
    """
    size_bytes = items = charged = deepest = 0
    stack: list[Iterator[Any]] = [iter(values)]
    while stack:
        for value in stack[-1]:
            items += 1
            if isinstance(value, str):
                size_bytes += sys.getsizeof(value)
                continue
            size_bytes += _PLAIN_BYTES
            if not isinstance(value, _SINGLE):
                inside = _inside(value)
                if inside is not None:
                    spend(_EACH_CONTAINER)
                    stack.append(inside)
                    break
        else:
            stack.pop()
        deepest = max(deepest, _depth(stack))
        if items - charged > _BATCH:
            spend((items - charged) * _EACH)
            charged = items
    spend((items - charged) * _EACH)
    return Weight(size_bytes, items, deepest)


def _depth(stack: list[Iterator[Any]]) -> int:
    if len(stack) > MAX_DEPTH:
        raise ValueError(f"a value nests deeper than {MAX_DEPTH}")
    return len(stack)


def _inside(value: Any) -> Iterator[Any] | None:
    if isinstance(value, Mapping):
        return chain.from_iterable(value.items())
    if isinstance(value, _MANY):
        return iter(cast("Iterable[Any]", value))
    if type(value) is Namespace:
        return iter([value._Namespace__attrs])  # noqa: SLF001
    return None
