"""The operators of templates, each charged before it runs, with a limit for the size of numbers."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mealkit.templating.meter import spend
from mealkit.templating.string_methods import (
    charge_copy,
    charge_percent,
    charge_search,
)
from mealkit.templating.weight import text_bytes, weigh

MAX_BITS = 4096
"""The maximum size of a whole number; no prompt needs larger ones."""
_ESCAPED = 6
_STEP = 60
_SCALARS = (int, float, type(None))

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda item, items: item in items,
    "notin": lambda item, items: item not in items,
}


def combined(name: str, left: Any, right: Any) -> Any:
    """Return the result of a binary operator.

    Raises:
        OverflowError: a number is too large.
        TooCostlyError: the budget is not sufficient.
    """
    spend(_STEP)
    if not (isinstance(left, _SCALARS) and isinstance(right, _SCALARS)):
        _charge_sequences(name, left, right)
    elif name == "**":
        _charge_power(left, right)
    return small(_BINARY[name](left, right))


def small(value: Any) -> Any:
    """Return the value, unless it is a large number.

    Raises:
        OverflowError: the value is a number with more than `MAX_BITS` bits.
    """
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError(f"a number has more than {MAX_BITS} bits")
    return value


def compared(operands: Sequence[Any], names: Sequence[str]) -> bool:
    """Return whether a chain of comparisons is true."""
    result: Any = True
    for index, name in enumerate(names):
        left, right = operands[index], operands[index + 1]
        charge_comparison(name, left, right)
        result = _COMPARISONS[name](left, right)
        if not result:
            break
    return bool(result)


def charge_comparison(name: str, left: Any, right: Any) -> None:
    """Charge for comparing two values."""
    spend(_STEP)
    if isinstance(left, _SCALARS) and (isinstance(right, _SCALARS) or name not in {"in", "notin"}):
        return
    if name in {"in", "notin"}:
        _charge_search(left, right)
    elif isinstance(left, str):
        spend(text_bytes(left) // 64)
    elif not isinstance(right, str | int | float | None):
        spend((weigh(left).size_bytes + weigh(right).size_bytes) // 16)


def joined(parts: Sequence[Any]) -> str:
    """Return the texts of values, concatenated: the operator ``~``."""
    size = sum(written_bytes(part) for part in parts)
    spend(_STEP + len(parts) * 50 + size // 16, size)
    return "".join(map(str, parts))


def written_bytes(value: Any) -> int:
    """Return the maximum memory of a value's text."""
    if isinstance(value, str):
        return text_bytes(value)
    if isinstance(value, _SCALARS):
        return 64
    return weigh(value).size_bytes * 4


def written(value: Any) -> Any:
    """Return a value's text as a template outputs it."""
    if isinstance(value, str):
        size = text_bytes(value)
        spend(_STEP + size // 32, size)
        return value
    size = written_bytes(value)
    spend(_STEP + size // 8, size)
    return str(value)


def part_of(value: Any, start: Any, stop: Any, step: Any) -> Any:
    """Return ``value[start:stop:step]``."""
    spend(_STEP)
    if isinstance(value, str):
        length, size = len(value), text_bytes(value)
    elif isinstance(value, list | tuple):
        length, size = len(value), len(value) * 8
    else:
        return value[start:stop:step]
    wanted = len(range(*slice(start, stop, step).indices(length)))
    share = size * wanted // max(length, 1)
    spend(share // 8, share + 56)
    return value[start:stop:step]


def mapping(items: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the dict that a template states literally."""
    for key, _ in items:
        charge_key(key)
    return dict(items)


def charge_key(key: Any) -> None:
    """Charge for hashing a key."""
    if not isinstance(key, str | int | float | None):
        # A missing key appears in the error message.
        size = weigh(key).size_bytes * 4
        spend(size // 8, size)


def _charge_sequences(name: str, left: Any, right: Any) -> None:
    if name == "%" and isinstance(left, str):
        charge_percent(left, right)
    if name == "*":
        _charge_repetition(left, right)
        _charge_repetition(right, left)
        return
    for value in (left, right):
        if isinstance(value, str):
            charge_copy(value, _ESCAPED if isinstance(left, Markup) else 1)
        elif isinstance(value, list | tuple):
            spend(len(value), len(value) * 8)
        elif not isinstance(value, _SCALARS):
            spend(weigh(value).size_bytes // 8)


def _charge_repetition(sequence: Any, times: Any) -> None:
    if not isinstance(times, int) or times <= 0:
        return
    if isinstance(sequence, str):
        spend(text_bytes(sequence) * times // 32, text_bytes(sequence) * times)
    elif isinstance(sequence, list | tuple):
        spend(len(sequence) * times, len(sequence) * times * 8)


def _charge_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 0)
        if bits > MAX_BITS * 2 or right.bit_length() > MAX_BITS:
            raise OverflowError(f"a number has more than {MAX_BITS} bits")


def _charge_search(left: Any, right: Any) -> None:
    if isinstance(right, str):
        charge_search(right, left)
    elif isinstance(right, list | tuple) and isinstance(left, str | int | float | None):
        size = text_bytes(left) if isinstance(left, str) else 0
        spend(len(right) * (4 + size // 64))
    elif isinstance(right, Mapping):
        charge_key(left)
    elif not isinstance(right, _SCALARS):
        spend((weigh(right).size_bytes + weigh(left).size_bytes) // 16)
