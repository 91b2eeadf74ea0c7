"""The methods that templates may call on texts, mappings and lists, and their costs.

Each cost is an upper bound that is known before the method runs. Methods that are not listed cannot
be called.
"""

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from mealkit.templating.meter import counted, spend
from mealkit.templating.weight import text_bytes, weigh

Charge = Callable[[Any, tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]
"""Charges for a call on a value, and returns the arguments for the call."""

_CALL = 150
# A character becomes up to four characters when it is escaped for HTML or as code.
_ESCAPED = 6
# Memory of a list's item: the pointer, and a small text.
_ITEM_BYTES = 72
# CPython searches in linear time if the searched part is longer than this.
_LINEAR_SEARCH = 100
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_CONVERSION = re.compile(
    r"%(?=(?P<key>\([^)]*\))?[#0\- +]*(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d+))?)"
)
_DIGITS = re.compile(r"\d+")
_MANY_DIGITS = 9


def charge_copy(text: str, times: int = 1) -> None:
    """Charge for copies of a text."""
    size = text_bytes(text) * times
    spend(size // 32, size)


def charge_scan(text: str, hundredths: int) -> None:
    """Charge for reading each character, in hundredths of a unit."""
    spend(len(text) * hundredths // 100)


def charge_search(text: str, part: object) -> None:
    """Charge for a search from the front."""
    length = len(part) if isinstance(part, str) else 1
    spend(_CALL + len(text) * (min(length, _LINEAR_SEARCH) + 1) // 16)


def charge_search_back(text: str, part: object) -> None:
    """Charge for a search from the back, whose cost is the product of both lengths."""
    length = len(part) if isinstance(part, str) else 1
    spend(_CALL + len(text) * (length + 1) // 16)


def charge_width(width: object) -> None:
    """Charge for padding to a width."""
    if isinstance(width, int) and width > 0:
        spend(width // 8, width * 4)


def charge_pieces(text: str, separator: object, most: object) -> None:
    """Charge for the list that splitting a text returns."""
    if isinstance(separator, str) and separator:
        charge_search(text, separator)
        pieces = text.count(separator) + 1
    else:
        charge_scan(text, 100)
        pieces = len(text) // 2 + 1
    if isinstance(most, int) and most >= 0:
        pieces = min(pieces, most + 1)
    charge_copy(text)
    spend(pieces * 6, pieces * _ITEM_BYTES)


def charge_replace(text: str, old: object, new: object, most: object = None) -> None:
    """Charge for replacing a part of a text with another."""
    if not (isinstance(old, str) and isinstance(new, str)):
        charge_copy(text)
        return
    charge_search(text, old)
    found = text.count(old)
    if isinstance(most, int) and most >= 0:
        found = min(found, most)
    charge_copy(text)
    spend(found * 3 + found * len(new) // 16, found * max(len(new) - len(old), 0) * 4)


def charge_lines(text: str) -> None:
    """Charge for splitting a text into lines."""
    charge_scan(text, 100)
    lines = sum(text.count(end) for end in _LINE_ENDS) + 1
    charge_copy(text)
    spend(lines * 6, lines * _ITEM_BYTES)


def charge_percent(text: str, values: object) -> None:
    """Charge for ``text % values``.

    Raises:
        ValueError: a width comes from the values, or the format is too complex for a bound.
    """
    spend(_CALL + len(text) * (1 + text.count("%(")) // 8)
    width = count = 0
    for match in _CONVERSION.finditer(text):
        count += 1
        spend(200)
        if "(" in (match["key"] or "")[1:]:
            raise ValueError("a key of a format has a parenthesis")
        width += sum(_number(match[name]) for name in ("width", "precision"))
    size = weigh(values).size_bytes * count * 4
    spend((width + size) // 8, width * 4 + size)
    charge_copy(text)


def charge_format(text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Charge for ``text.format(...)``.

    Raises:
        ValueError: the format is not valid, or a width comes from the values.
    """
    charge_scan(text, 400)
    width = count = 0
    for _literal, field, spec, _conversion in string.Formatter().parse(text):
        if field is None:
            continue
        count += 1
        spend(300 + len(field) * 20)
        if "{" in (spec or ""):
            raise ValueError("a width of a format comes from a value")
        width += sum(_number(digits) for digits in _DIGITS.findall(spec or ""))
    size = weigh(args, kwargs).size_bytes * count * 4
    spend((width + size) // 8, width * 4 + size)
    charge_copy(text)


def _number(digits: str | None) -> int:
    if not digits:
        return 0
    if digits == "*":
        raise ValueError("a width of a format comes from a value")
    if len(digits) > _MANY_DIGITS:
        raise ValueError("a width of a format is too large")
    return int(digits)


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], at: int, name: str) -> Any:
    return args[at] if len(args) > at else kwargs.get(name)


def _mapped(plain: int, other: int) -> Charge:
    """Each character becomes up to three others; ASCII characters may cost less."""

    def charge(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
        charge_scan(text, plain if text.isascii() else other)
        charge_copy(text, 1 if text.isascii() else 3)
        return args

    return charge


def _scanned(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_scan(text, 100)
    return args


def _copied(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_copy(text)
    return args


def _stripped(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    signs = len(args[0]) if args and isinstance(args[0], str) else 1
    charge_scan(text, 80 * (1 + signs // 4))
    charge_copy(text)
    return args


def _widened(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_width(_argument(args, kwargs, 0, "width"))
    charge_copy(text)
    return args


def _tabs(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    size = _argument(args, kwargs, 0, "tabsize")
    charge_scan(text, 200)
    charge_copy(text)
    charge_width(text.count("\t") * (size if isinstance(size, int) else 8))
    return args


def _sought(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_search(text, args[0] if args else "")
    return args


def _sought_back(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_search_back(text, args[0] if args else "")
    return args


def _parted(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_copy(text)
    return _sought(text, args, {})


def _parted_back(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_copy(text)
    return _sought_back(text, args, {})


def _split(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    most = _argument(args, kwargs, 1, "maxsplit")
    charge_pieces(text, _argument(args, kwargs, 0, "sep"), most)
    return args


def _split_back(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_search_back(text, _argument(args, kwargs, 0, "sep"))
    return _split(text, args, kwargs)


def _lines(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_lines(text)
    return args


def _replaced(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    old, new = _argument(args, kwargs, 0, "old"), _argument(args, kwargs, 1, "new")
    charge_replace(text, old, new, _argument(args, kwargs, 2, "count"))
    return args


def _joined(text: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    if not args:
        return args
    items = list(counted(args[0]))
    growth = _ESCAPED if isinstance(text, Markup) else 1
    size = (weigh(items).size_bytes + text_bytes(text) * len(items)) * growth
    spend(len(items) + size // 16, size)
    return (items, *args[1:])


def _formatted(text: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    charge_format(text, args, kwargs)
    return args


def _free(_value: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return args


def _each(value: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    spend(len(value) * 2, len(value) * 16)
    return args


def _compared(value: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, ...]:
    # A value that is not found appears in the error message.
    size = weigh(*args).size_bytes * 4
    spend((weigh(value).size_bytes + size) // 8, size)
    return args


TEXT_METHODS: Mapping[str, Charge] = {
    **dict.fromkeys(("lower", "upper", "casefold"), _mapped(20, 300)),
    **dict.fromkeys(("capitalize", "title", "swapcase"), _mapped(1000, 1000)),
    **dict.fromkeys(("strip", "lstrip", "rstrip"), _stripped),
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _widened),
    **dict.fromkeys(("find", "index", "count"), _sought),
    **dict.fromkeys(("rfind", "rindex"), _sought_back),
    **dict.fromkeys(("startswith", "endswith"), _free),
    **dict.fromkeys(("removeprefix", "removesuffix"), _copied),
    **dict.fromkeys(
        (
            *("isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower"),
            *("isnumeric", "isprintable", "isspace", "istitle", "isupper"),
        ),
        _scanned,
    ),
    "expandtabs": _tabs,
    "partition": _parted,
    "rpartition": _parted_back,
    "split": _split,
    "rsplit": _split_back,
    "splitlines": _lines,
    "replace": _replaced,
    "join": _joined,
    "format": _formatted,
    "format_map": _formatted,
}
MAPPING_METHODS: Mapping[str, Charge] = {
    **dict.fromkeys(("items", "keys", "values", "get"), _free),
    "copy": _each,
}
LIST_METHODS: Mapping[str, Charge] = {
    **dict.fromkeys(("index", "count"), _compared),
    "copy": _each,
}
TUPLE_METHODS: Mapping[str, Charge] = dict.fromkeys(("index", "count"), _compared)

METHODS: Mapping[type, Mapping[str, Charge]] = {
    str: TEXT_METHODS,
    Markup: TEXT_METHODS,
    dict: MAPPING_METHODS,
    list: LIST_METHODS,
    tuple: TUPLE_METHODS,
}
"""The methods that can be called, by the type of the value."""


class Method:
    """A method of a value that is charged before it runs."""

    __slots__ = ("_charge", "_function", "_value")

    def __init__(self, value: Any, function: Callable[..., Any], charge: Charge) -> None:
        self._value = value
        self._function = function
        self._charge = charge

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Charge for the call, and call the method."""
        size = weigh(*args, *kwargs.values()).size_bytes if args or kwargs else 0
        spend(_CALL + size // 32)
        args = self._charge(self._value, args, kwargs)
        if isinstance(self._value, Markup):
            # The inserted values are escaped.
            size = (text_bytes(self._value) + size) * _ESCAPED
            spend(size // 8, size)
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return "<method of a value>"
