"""Finds the texts, numbers and objects in a request's value, each with the name of its field.

Field names are written as in ``documents[2].text``. A value's depth is limited by the parser that
read it.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

Text = tuple[str, str]
"""A field's name and its text."""

# A message has content, a document usually text; what else these objects have is about the text.
_TEXT_MEMBERS = ("content", "text")
# Messages whose text is not data: the kit's own answers, and the instructions of an application.
_OTHER_ROLES = frozenset({"assistant", "system", "developer"})


def value_at(values: Mapping[str, JsonValue], name: str) -> JsonValue:
    """Return the value of an input; ``options.limit`` is a member of an object.

    None if there is none: JSON's null counts as a value that was left out.
    """
    if name in values or "." not in name:
        return values.get(name)
    value: JsonValue = dict(values)
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def texts_of(field: str, value: JsonValue) -> list[Text]:
    """Return the texts of a value.

    The texts of a list are those of its items. The text of an object is its ``content`` or
    ``text``, as in messages and documents; an object without them has the texts of all its members.
    Messages of the assistant and of the system have none: a caller would be refused for the kit's
    own answer.
    """
    if isinstance(value, str):
        return [(field, value)]
    if isinstance(value, list):
        return [
            text
            for index, item in enumerate(value)
            if isinstance(item, str | list | dict)
            for text in texts_of(f"{field}[{index}]", item)
        ]
    if not isinstance(value, dict) or _is_no_data(value):
        return []
    for name in _TEXT_MEMBERS:
        if isinstance(value.get(name), str | list):
            return texts_of(f"{field}.{name}", value[name])
    return [
        text
        for name, item in value.items()
        if isinstance(item, str | list | dict)
        for text in texts_of(f"{field}.{name}", item)
    ]


def _is_no_data(message: dict[str, JsonValue]) -> bool:
    role = message.get("role")
    return isinstance(role, str) and role in _OTHER_ROLES and "content" in message


def numbers_of(field: str, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield each number of a value, of its lists and of its objects.

    What should be a number but is not comes, too: for example a text in a list. The other members
    of an object do not.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers_of(f"{field}[{index}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if is_number(item) or isinstance(item, list | dict):
                yield from numbers_of(f"{field}.{name}", item)
    else:
        yield field, value


def objects_of(field: str, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield a value, or each item of a list, which should be objects."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield f"{field}[{index}]", item
    else:
        yield field, value


def is_number(value: JsonValue) -> bool:
    """Return whether a value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
