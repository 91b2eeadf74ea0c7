"""Measures the size of a value with everything in it: the cost to write, compare or hash it.

A list that contains another list twice is written twice, so it also counts twice: a few lines of a
template can create a value whose text would fill the memory. The measuring itself is charged.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from jinja2.utils import Namespace

from mealkit.templating.meter import spend

MAX_DEPTH = 64
"""The maximum depth of values: Python's own code that hashes and prints them is recursive."""
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
    """The number of bytes, values and levels; a single value has one level."""

    size_bytes: int
    items: int
    depth: int


def text_bytes(text: str) -> int:
    """Return the memory of a text."""
    return sys.getsizeof(text)


def weigh(*values: Any) -> Weight:
    """Measure values together, with everything in them.

    Raises:
        ValueError: the values nest too deep.
        TooCostlyError: the budget is not sufficient for the measuring.
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
