"""What is said to a registry and what it answers, as values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from mealkit.untrusted import UntrustedError, parse_json

# Registries must take manifests of 4 MiB (distribution-spec "Pushing Manifests"); configs of large
# images stay below it too. Whatever is longer is not what was asked for.
SMALL_BYTES = 4 * 1024 * 1024

_QUOTED_CHARACTERS = 300

Body = Callable[[], Iterable[bytes | memoryview]]
"""Makes a request's body anew, so that a request can be sent again."""


@dataclass(frozen=True, slots=True)
class RegistryCall:
    """One request. ``path`` is a path at the registry, or a whole address that it gave."""

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    is_retried: bool = True


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """A whole small response."""

    status: int
    headers: httpx2.Headers
    body: bytes


def json_of(body: bytes) -> Any:
    """Read JSON; None if it is something else."""
    try:
        return parse_json(body)
    except UntrustedError:
        return None


def words_of(body: bytes) -> str:
    """Return a registry's own words (distribution-spec "Error Codes"), made fit to print."""
    form = json_of(body)
    errors = form.get("errors") if isinstance(form, dict) else None
    if isinstance(errors, list) and all(isinstance(item, dict) for item in errors):
        pairs = [(str(item.get("code", "")), str(item.get("message", ""))) for item in errors]
        text = "; ".join(": ".join(filter(None, pair)) for pair in pairs)[: 16 * _QUOTED_CHARACTERS]
    else:
        text = body[: 16 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())[:_QUOTED_CHARACTERS]
