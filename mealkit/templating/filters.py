"""The filters and tests of templates, each charged before it runs.

They are jinja2's own, except ``random``, whose result is not repeatable, and ``urlize`` and
``pprint``, which no prompt needs and whose cost is hard to bound.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import wraps
from typing import Any

from jinja2.filters import FILTERS
from jinja2.runtime import Undefined
from jinja2.tests import TESTS

from mealkit.templating.meter import counted, spend
from mealkit.templating.operators import charge_comparison, small
from mealkit.templating.string_methods import (
    charge_copy,
    charge_lines,
    charge_percent,
    charge_replace,
    charge_scan,
    charge_width,
)
from mealkit.templating.weight import text_bytes, weigh

Charge = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Charges for a filter on a value, and returns the value for the filter."""

_CALL = 300
_ITEM_BYTES = 72
_MOST_DIGITS = 300


def _free(value: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    return value


def _deep(hundredths: int, growth: int, *, per_item: int = 30) -> Charge:
    """Charge for reading all of a value, whose result may be larger."""

    def charge(value: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        weight = weigh(value)
        size = weight.size_bytes
        spend(size * hundredths // 100 + weight.items * per_item, size * growth)
        return value

    return charge


def _text(hundredths: int, growth: int) -> Charge:
    """Charge for reading each character of a value's text; the result may be longer."""

    def charge(value: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        if not isinstance(value, str):
            return _deep(hundredths, growth)(value, (), {})
        charge_scan(value, hundredths)
        charge_copy(value, growth)
        return value

    return charge


def _mapped(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    is_plain = isinstance(value, str) and value.isascii()
    return _text(20 if is_plain else 200, 1 if is_plain else 3)(value, args, kwargs)


def _number(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if isinstance(value, str):
        charge_scan(value, 200)
    for digits in (*args, *kwargs.values()):
        if isinstance(digits, int) and abs(digits) > _MOST_DIGITS:
            raise OverflowError(f"{digits} is more than {_MOST_DIGITS} digits")
    return value


def _items(value: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """Charge for each item when it is read."""
    if isinstance(value, Iterable) and not isinstance(value, Undefined):
        return counted(value)
    return value


def _all_items(value: Any) -> Any:
    """Collect the items of an iterator in a list."""
    return list(counted(value)) if isinstance(value, Iterator) else value


def _listed(value: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    value = _all_items(value)
    count = len(value) if isinstance(value, Sized) else 0
    spend(count * 4, count * (_ITEM_BYTES if isinstance(value, str) else 8))
    return value


def _gathered(hundredths: int, growth: int) -> Charge:
    """Charge for all items in memory, with their content."""

    def charge(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = _listed(value, args, kwargs)
        return _deep(hundredths, growth)(value, args, kwargs)

    return charge


def _sorted(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = _listed(value, args, kwargs)
    weight = weigh(value)
    items = len(value) if isinstance(value, str) else weight.items
    rounds = items.bit_length() + 1
    size = weight.size_bytes * 3 + items * _ITEM_BYTES
    spend((weight.size_bytes // 8 + items * 60) * rounds + items * 500, size)
    return value


def _summed(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Also charge for lists: they can be added up, and each step copies them."""
    value = _listed(value, args, kwargs)
    weight = weigh(value)
    if weight.depth > 2:
        spend(weight.size_bytes * weight.items // 8, weight.size_bytes * weight.items // 2)
    spend(weight.items * 60)
    return value


def _joined(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = _listed(value, args, kwargs)
    between = args[0] if args else kwargs.get("d", "")
    weight = weigh(value)
    items = len(value) if isinstance(value, str) else weight.items
    size = weight.size_bytes * 4 + weigh(between).size_bytes * items
    spend(300 + items * 60 + size // 16, size)
    return value


def _widened(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    charge_width(args[0] if args else kwargs.get("width", 80))
    return _text(20, 1)(value, args, kwargs)


def _indented(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    width = args[0] if args else kwargs.get("width", 4)
    text = value if isinstance(value, str) else ""
    charge_lines(text)
    per_line = text_bytes(width) if isinstance(width, str) else width
    if isinstance(per_line, int):
        charge_width(per_line * (len(text) if len(text) < 64 else text.count("\n") + 64))
    spend(_CALL)
    return _text(100, 2)(value, args, kwargs)


def _wrapped(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Also charge for a long word: it is split repeatedly, and its rest is copied each time."""
    width = args[0] if args else kwargs.get("width", 79)
    between = args[2] if len(args) > 2 else kwargs.get("wrapstring")
    value = _text(10000, 2)(value, args, kwargs)
    text = value if isinstance(value, str) else ""
    lines = len(text) // max(width if isinstance(width, int) else 1, 1) + text.count("\n") + 1
    longest = max(map(len, text.split()), default=0)
    spend(lines * (200 + longest // 16), lines * weigh(between).size_bytes)
    return value


def _untagged(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Charge for copying the text for each tag that is removed."""
    text = value if isinstance(value, str) else ""
    charge_scan(text, 300)
    spend(text.count("<") * (40 + len(text) // 16))
    return _text(300, 2)(value, args, kwargs)


def _formatted(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if isinstance(value, str):
        charge_percent(value, kwargs or args)
    return value


def _replaced(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    old = args[0] if args else kwargs.get("old")
    new = args[1] if len(args) > 1 else kwargs.get("new")
    if isinstance(value, str) and isinstance(old, str) and isinstance(new, str):
        charge_replace(value, old, new)
        return value
    spend(weigh(value, old, new).size_bytes)
    # Values of any type are replaced by their texts.
    value, old, new = str(value), str(old), str(new)
    charge_replace(value, old, new)
    return value


def _trimmed(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    signs = args[0] if args else kwargs.get("chars")
    return _text(80 * (1 + (len(signs) // 4 if isinstance(signs, str) else 0)), 1)(value, (), {})


def _counted_out(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Charge for the requested lists: their number and their length come from the template."""
    number = args[0] if args else next(iter(kwargs.values()), 0)
    if isinstance(number, int) and number > 0:
        spend(number * 10, number * _ITEM_BYTES)
    return _listed(value, args, kwargs)


def json_charge(value: Any, indent: Any) -> None:
    """Charge for writing a value as JSON."""
    spend(_CALL)
    weight = weigh(value)
    size = weight.size_bytes * 6
    if indent is not None:
        width = len(indent) if isinstance(indent, str) else indent
        width = width if isinstance(width, int) and width > 0 else 0
        size += weight.items * (weight.depth + 1) * width
        spend(weight.items * 100)
    spend(weight.size_bytes * 3 // 2 + weight.items * 30 + size // 32, size)


def _as_json(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    json_charge(value, args[0] if args else kwargs.get("indent"))
    return value


_CHARGES: Mapping[str, Charge] = {
    **dict.fromkeys(("default", "d", "length", "count", "first", "last", "attr", "items"), _free),
    **dict.fromkeys(("abs", "int", "float", "round", "filesizeformat"), _number),
    **dict.fromkeys(("map", "select", "reject", "selectattr", "rejectattr"), _items),
    **dict.fromkeys(("list", "reverse"), _listed),
    **dict.fromkeys(("sort", "dictsort", "groupby", "min", "max", "unique"), _sorted),
    **dict.fromkeys(("escape", "e", "forceescape", "xmlattr"), _deep(100, 6)),
    **dict.fromkeys(("safe", "string"), _text(10, 4)),
    **dict.fromkeys(("lower", "upper"), _mapped),
    **dict.fromkeys(("batch", "slice"), _counted_out),
    "capitalize": _text(400, 3),
    "title": _text(3000, 3),
    "wordcount": _text(600, 2),
    "truncate": _text(50, 2),
    "urlencode": _deep(1000, 12),
    "sum": _summed,
    "join": _joined,
    "trim": _trimmed,
    "replace": _replaced,
    "center": _widened,
    "indent": _indented,
    "wordwrap": _wrapped,
    "striptags": _untagged,
    "format": _formatted,
    "tojson": _as_json,
}
_COMPARISONS: Mapping[str, str] = {
    **dict.fromkeys(("==", "eq", "equalto", "!=", "ne"), "eq"),
    **dict.fromkeys((">", "gt", "greaterthan", ">=", "ge"), "gt"),
    **dict.fromkeys(("<", "lt", "lessthan", "<=", "le"), "lt"),
    "in": "in",
}


def charged(function: Callable[..., Any], charge: Charge) -> Callable[..., Any]:
    """Return a filter that charges before it runs, and for its result."""
    # jinja2 passes the context or the environment before the value.
    lead = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def run(*given: Any, **kwargs: Any) -> Any:
        spend(_CALL)
        before, value, args = given[:lead], given[lead], given[lead + 1 :]
        if args or kwargs:
            spend(weigh(*args, *kwargs.values()).size_bytes // 32)
        made = function(*before, charge(value, args, kwargs), *args, **kwargs)
        if isinstance(made, str):
            charge_copy(made)
        return small(made)

    return run


def _tested(function: Callable[..., Any], comparison: str | None) -> Callable[..., Any]:
    lead = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def run(*given: Any, **kwargs: Any) -> Any:
        spend(_CALL // 2)
        args = given[lead + 1 :]
        if comparison and args:
            charge_comparison(comparison, given[lead], args[0])
        elif args or kwargs:
            spend(weigh(*args, *kwargs.values()).size_bytes // 16)
        return function(*given, **kwargs)

    return run


def bounded_filters() -> dict[str, Callable[..., Any]]:
    """Return the filters, by name."""
    return {name: charged(FILTERS[name], charge) for name, charge in _CHARGES.items()}


def bounded_tests() -> dict[str, Callable[..., Any]]:
    """Return the tests, by name."""
    return {
        name: charged(function, _text(100, 1))  # type: ignore[arg-type]
        if name in {"lower", "upper"}
        else _tested(function, _COMPARISONS.get(name))  # type: ignore[arg-type]
        for name, function in TESTS.items()
    }
