"""Requests to a registry and its answers, as values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from mealkit.untrusted import UntrustedError, parse_json

# Registries must take manifests of 4 MiB (distribution-spec "Pushing Manifests"); configs of large
# images also stay below it. Anything longer is not a valid answer.
SMALL_BYTES = 4 * 1024 * 1024

_QUOTED_CHARACTERS = 300

Body = Callable[[], Iterable[bytes | memoryview]]
"""Creates a request's body again, so that the request can be repeated."""


@dataclass(frozen=True, slots=True)
class RegistryCall:
    """One request. ``path`` is a path at the registry, or a complete address from it."""

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    is_retried: bool = True


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """A complete small response."""

    status: int
    headers: httpx2.Headers
    body: bytes


def json_of(body: bytes) -> Any:
    """Parse JSON; return None if it is not JSON."""
    try:
        return parse_json(body)
    except UntrustedError:
        return None


def words_of(body: bytes) -> str:
    """Return a registry's own message (distribution-spec "Error Codes"), in printable form."""
    form = json_of(body)
    errors = form.get("errors") if isinstance(form, dict) else None
    if isinstance(errors, list) and all(isinstance(item, dict) for item in errors):
        pairs = [(str(item.get("code", "")), str(item.get("message", ""))) for item in errors]
        text = "; ".join(": ".join(filter(None, pair)) for pair in pairs)[: 16 * _QUOTED_CHARACTERS]
    else:
        text = body[: 16 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())[:_QUOTED_CHARACTERS]
