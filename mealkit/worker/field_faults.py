"""Reads pydantic's errors: which fields are wrong, and in which words. Imports no pydantic.

For gateway and workers: pydantic reports a fault for each alternative of a union, in places that
have the alternatives' names in them, and in sentences with prefixes of its own.
https://docs.pydantic.dev/latest/errors/validation_errors/
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any, get_args

# Reading further ones would take longer than it helps.
_MOST_FAULTS = 100
_NAME_CHARACTERS = 64
_QUOTED = re.compile(r"'([^']*)'")
_PREFIXES = ("Value error, ", "Assertion failed, ")
_OPENINGS = ("Input ", "String ", "List ", "Dictionary ")
_NAMELESS = frozenset({"missing", "extra_forbidden"})


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A field that is wrong."""

    path: str
    """Its place in the caller's values, such as ``messages[0].role``; empty for all of them."""
    kind: str
    """Pydantic's name of the fault."""
    reasons: tuple[str, ...]
    """What is wrong, for each alternative: ``should be a valid integer``."""
    place: tuple[int | str, ...] = ()
    """Its place, as pydantic writes it."""
    expected: tuple[str, ...] = ()
    """The texts that it may be, if it may be only those."""
    value: Any = None
    """The value that is wrong, of a choice."""
    cause: BaseException | None = None
    """What a validator raised."""

    @property
    def name(self) -> str:
        """The last part of its place."""
        return str(self.place[-1]) if self.place else ""

    @property
    def reason(self) -> str:
        """What is wrong, in one sentence."""
        return " or ".join(self.reasons)

    @property
    def is_own_words(self) -> bool:
        """Whether a validator wrote the sentence."""
        return self.cause is not None


@dataclass(slots=True)
class _Found:
    fault: FieldFault
    choices: dict[str, str] = field(default_factory=dict)
    """The names of alternatives on the way, by the path where they were chosen."""


def field_faults(errors: Iterable[Mapping[str, Any]], values: Any) -> list[FieldFault]:
    """Return the fields that pydantic's errors are about, each once, in the order of the errors.

    ``errors`` have their context and no input. In a union the alternative whose errors are deepest
    is most likely the intended one; if all are equally deep at one place, the reasons are joined.
    """
    found = [_read(error, values) for error in islice(errors, _MOST_FAULTS)]
    by_path: dict[str, list[FieldFault]] = {}
    for item in _of_likely_alternatives(found):
        by_path.setdefault(item.fault.path, []).append(item.fault)
    return [_joined(faults) for faults in by_path.values()]


def likely(name: Any, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None."""
    if not isinstance(name, str):
        return None
    plain = {item.lower(): item for item in known}
    near = get_close_matches(name[:_NAME_CHARACTERS].lower(), list(plain), n=1)
    return plain[near[0]] if near else None


def meant_value(fault: FieldFault) -> str | None:
    """Return a hint with the choice that was probably meant, or None."""
    near = likely(fault.value, fault.expected)
    return f"did you mean {near!r}?" if near else None


def known_names(model: Any, place: Sequence[int | str]) -> list[str]:
    """Return the names of the fields in the object at a place; ``model`` is a class with fields."""
    here = [model]
    for part in place:
        inner = [
            kind
            for item in here
            for name, annotation in _fields(item)
            if name == part
            for kind in _classes(annotation)
        ]
        # Other parts are numbers of items, and names of a union's alternatives.
        named = [item for item in here if getattr(item, "__name__", None) == part]
        here = inner or named or here
    return list(dict.fromkeys(name for item in here for name, _ in _fields(item)))


def _read(error: Mapping[str, Any], values: Any) -> _Found:
    place, kind = tuple(error["loc"]), error["type"]
    context = error.get("ctx", {})
    path, here, choices = "", values, {}
    for index, part in enumerate(place):
        is_last = index == len(place) - 1
        if is_last and kind in _NAMELESS:
            path = f"{path}.{part}" if path else str(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path, here = f"{path}[{part}]", here[part]
        elif isinstance(here, Mapping) and part in here:
            path, here = f"{path}.{part}" if path else str(part), here[part]
        else:
            choices[path] = str(part)
    cause = context.get("error")
    expected = context.get("expected", context.get("expected_tags", ""))
    fault = FieldFault(
        path=path,
        kind=kind,
        reasons=(_words(str(error["msg"]), cause),),
        place=place,
        expected=tuple(_QUOTED.findall(expected)) if isinstance(expected, str) else (),
        value=context.get("tag", here),
        cause=cause if isinstance(cause, BaseException) else None,
    )
    return _Found(fault, choices)


def _words(message: str, cause: Any) -> str:
    """Return a sentence without pydantic's prefixes; a validator's words as they are."""
    if isinstance(cause, BaseException):
        for prefix in _PREFIXES:
            message = message.removeprefix(prefix)
        return message.rstrip(".") or "is not valid"
    for opening in _OPENINGS:
        message = message.removeprefix(opening)
    return (message[:1].lower() + message[1:]).rstrip(".")


def _of_likely_alternatives(found: Sequence[_Found]) -> Iterator[_Found]:
    """Yield what is left if of each union only the alternative with the deepest errors counts."""
    best: dict[str, tuple[int, str]] = {}
    for item in found:
        for path, label in item.choices.items():
            depth = _depth(item.fault.path)
            if path not in best or depth > best[path][0]:
                best[path] = (depth, label)
    for item in found:
        if all(
            best[path][1] == label or best[path][0] == _depth(path)
            for path, label in item.choices.items()
        ):
            yield item


def _depth(path: str) -> int:
    return path.count(".") + path.count("[") + bool(path)


def _joined(faults: Sequence[FieldFault]) -> FieldFault:
    first = faults[0]
    reasons = dict.fromkeys(reason for fault in faults for reason in fault.reasons)
    expected = tuple(text for fault in faults for text in fault.expected)
    return FieldFault(
        first.path, first.kind, tuple(reasons), first.place, expected, first.value, first.cause
    )


def _fields(kind: Any) -> list[tuple[str, Any]]:
    fields = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {})
    return [
        (
            getattr(item, "alias", None) or name,
            item.annotation if hasattr(item, "annotation") else item.type,
        )
        for name, item in fields.items()
    ]


def _classes(annotation: Any) -> list[Any]:
    """Return the classes with fields that a type is made of."""
    inner = [kind for item in get_args(annotation) for kind in _classes(item)]
    return [annotation, *inner] if isinstance(annotation, type) and _fields(annotation) else inner
