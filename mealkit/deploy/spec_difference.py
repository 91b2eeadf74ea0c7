"""The difference between two specs of a Swarm service, in lines for a reader.

An engine adds defaults to a spec, and leaves out fields that its version does not know. So a
service is compared with the new spec and with the stored one that it was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mealkit.names import one_line
from mealkit.units import show_size

Flat = Mapping[str, str]

_SECOND = 1_000_000_000
# They say nothing about what runs; the name of a secret does.
_RECORDS = (*(f"dev.mealkit.{name}" for name in ("revision", "who", "when", "why")), "SecretID")
_WORDS = {
    "TaskTemplate.ContainerSpec.": "",
    "TaskTemplate.": "",
    "Mode.Replicated.Replicas": "replicas",
    "EndpointSpec.": "published ",
    "Resources.Limits.": "limit ",
    "Resources.Reservations.": "reservation ",
}
_SIZES = frozenset({"MemoryBytes", "SizeBytes"})
_TIMES = frozenset({"Delay", "Monitor", "StopGracePeriod", "StartPeriod"})
# By what the members of a list are told apart.
_NAMES = ("Target", "TargetPort", "Kind", "Architecture")
_SHOWN = 200


def spec_difference(
    live: Mapping[str, Any], new: Mapping[str, Any], stored: Mapping[str, Any]
) -> list[str]:
    """Return a line for each field of a service that would change; none if nothing would.

    ``live`` is the spec that the swarm has, and ``stored`` the one that mealkit gave it last.
    """
    now, wanted, given = flat(live), flat(new), flat(stored)
    lines = []
    for path in sorted({*wanted, *given}):
        old, value = now.get(path), wanted.get(path)
        is_unknown_there = old is None and given.get(path) == value
        if old != value and not is_unknown_there:
            lines.append(f"{_words(path)}: {old or 'none'} -> {value or 'none'}")
    return lines


def flat(spec: Mapping[str, Any]) -> Flat:
    """Return a spec's values as text by their paths, without empty ones and records."""
    return {
        path: one_line(text)[:_SHOWN]
        for path, text in _flat(spec, "")
        if not path.endswith(_RECORDS)
    }


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, item in value.items():
                yield from _flat(item, f"{path}.{key}" if path else str(key))
        case str() | int() | float() if value:  # an engine leaves out 0 and false
            yield path, _text(value, path.rpartition(".")[2])
        case list() | tuple():
            for name, item in _members(value, path):
                yield from _flat(item, f"{path}[{name}]")
        case _:
            return


def _members(values: Sequence[Any], path: str) -> Iterator[tuple[str, Any]]:
    for index, item in enumerate(values):
        if path.endswith("Env"):
            name, _, text = str(item).partition("=")
            yield name, text
        elif isinstance(item, Mapping):
            named = item.get("File") or item
            keys = (key for key in ("Name", *_NAMES) if named.get(key))
            key = next(keys, None)
            yield (str(named[key]) if key else str(index)), item
        else:
            yield str(index), item


def _text(value: Any, field: str) -> str:
    if field in _SIZES:
        return show_size(int(value))
    if field in _TIMES:
        return f"{int(value) / _SECOND:g} s"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(path: str) -> str:
    for start, word in _WORDS.items():
        path = path.replace(start, word, 1)
    return path
