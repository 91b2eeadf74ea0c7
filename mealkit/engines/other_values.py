"""Markers on the fields of engines that say how ``mealkit test --salt`` changes a pinned value.

Each field of the models of mealkit's own engines has one. A field without a marker, as in an engine
from elsewhere, is not changed. Build side only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

_NO_OTHER = "the engine supports no other value"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pinned value, and the others of its kit."""

    value: JsonValue
    kind: Any
    """The field's type."""
    values: Mapping[str, JsonValue]
    """All hyperparameters and settings, including defaults."""
    files: Sequence[str]
    """The paths of the model's files."""


@dataclass(frozen=True, slots=True)
class Other:
    """Another value for a field, and what has to change together with it."""

    value: JsonValue
    together: Mapping[str, JsonValue] = field(default_factory=dict)
    """Hyperparameters or settings without which the value is not valid, or has no effect."""
    request: Mapping[str, JsonValue] = field(default_factory=dict)
    """Fields of every request without which the value has no effect."""
    spoils: bool = True
    """Whether the kit is worse with this value; with another seed it should be as good."""


class Others(Protocol):
    """Returns other values for a pinned one, or the reason why it is not changed."""

    def __call__(self, pinned: Pinned, /) -> Sequence[Other] | str:
        """Return the other values, or the reason."""
        ...


@dataclass(frozen=True, slots=True)
class Salted:
    """Marks a field with how its value is changed."""

    others: Others


def salted(field_info: FieldInfo, pinned: Pinned) -> Sequence[Other] | str:
    """Return other values for a field, or the reason why it is not changed."""
    for marker in field_info.metadata:
        if isinstance(marker, Salted):
            return marker.others(pinned) or _NO_OTHER
    return "its engine does not say how to change it"


def _every_other(pinned: Pinned) -> Sequence[Other]:
    """Return the other values of an enumeration or a boolean."""
    if isinstance(pinned.value, bool):
        return (Other(not pinned.value),)
    named = get_args(pinned.kind) if get_origin(pinned.kind) is Literal else ()
    return tuple(Other(value) for value in named if value != pinned.value)


def _half(pinned: Pinned) -> Sequence[Other] | str:
    if type(pinned.value) is int and pinned.value > 1:
        return (Other(pinned.value // 2),)
    return _NO_OTHER


def _another_seed(pinned: Pinned) -> Sequence[Other] | str:
    if type(pinned.value) is not int:
        return _NO_OTHER
    return (Other(pinned.value + 1, spoils=False),)


def _none_of_them(pinned: Pinned) -> Sequence[Other] | str:
    return (Other([]),) if pinned.value else "the kit has none"


EVERY_OTHER = Salted(_every_other)
"""Each other value of an enumeration, or the opposite."""
HALF = Salted(_half)
"""Half of a number."""
ANOTHER_SEED = Salted(_another_seed)
"""The next number, with which a kit should be as good."""
NONE_OF_THEM = Salted(_none_of_them)
"""An empty list."""


def instead(*values: JsonValue) -> Salted:
    """Return a marker for the first of these values that is not the pinned one."""

    def others(pinned: Pinned) -> Sequence[Other]:
        return [Other(value) for value in values if value != pinned.value][:1]

    return Salted(others)


def truncating(request: Mapping[str, JsonValue], **values: JsonValue) -> Salted:
    """Return a marker for half of a length, with what lets longer texts be truncated.

    Otherwise they would be refused, which shows less than a wrong vector does.
    """

    def others(pinned: Pinned) -> Sequence[Other] | str:
        found = _half(pinned)
        return (
            found
            if isinstance(found, str)
            else [Other(item.value, values, request) for item in found]
        )

    return Salted(others)


def another_file(ending: str) -> Salted:
    """Return a marker for the other files of the model that have this ending."""

    def others(pinned: Pinned) -> Sequence[Other] | str:
        found = [path for path in pinned.files if path.endswith(ending) and path != pinned.value]
        return [Other(path) for path in found] or f"the model has no other file {ending}"

    return Salted(others)


def if_sampled(marker: Salted) -> Salted:
    """Return a marker for a value that has no effect at temperature 0."""

    def others(pinned: Pinned) -> Sequence[Other] | str:
        if pinned.values.get("temperature") == 0:
            return "it has no effect at temperature 0"
        return marker.others(pinned)

    return Salted(others)


def kept(reason: str) -> Salted:
    """Return a marker for a value that is not changed."""
    return Salted(lambda _pinned: reason)
