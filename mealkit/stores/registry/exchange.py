"""Requests to a registry and its answers, as values."""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from mealkit.digest import Digest
from mealkit.untrusted import UntrustedError, parse_json

# Registries must take manifests of 4 MiB (distribution-spec "Pushing Manifests"); configs of large
# images also stay below it. Anything longer is not a valid answer.
SMALL_BYTES = 4 * 1024 * 1024

_QUOTED_CHARACTERS = 300
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)

Body = Callable[[], Iterable[bytes | memoryview]]
"""Creates a request's body again, so that the request can be repeated."""


@dataclass(frozen=True, slots=True)
class RegistryCall:
    """One request. ``path`` is a path at the registry, or a complete address from it.

    ``stays``: a redirect to another host is the answer, and is not followed.
    """

    method: str
    path: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    is_retried: bool = True
    stays: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """A complete small response, and the address that gave it, which redirects may have changed."""

    status: int
    headers: httpx2.Headers
    body: bytes
    url: httpx2.URL

    @property
    def digest(self) -> str | None:
        """The SHA-256 that the registry states for the content; None if it states none."""
        said = self.headers.get("docker-content-digest", "")
        return said if said.startswith("sha256:") else None

    @property
    def location(self) -> str | None:
        """The address in ``Location``, relative to the address that answered."""
        location = self.headers.get("location")
        try:
            return str(self.url.join(location)) if location else None
        except httpx2.InvalidURL:
            return location  # the client refuses it, with a message

    def confirms(self, digest: Digest) -> bool:
        """Return whether the answer shows that the registry took content with this digest.

        A login page or a captive portal answers any request with 200 and HTML: only 201, or the
        content's digest, comes from a registry.
        """
        return self.digest == digest if self.digest else self.status == 201 and not self.is_page

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, which no registry answers with."""
        return self.headers.get("content-type", "").lower().startswith("text/html")


def answer_of(response: httpx2.Response, body: bytes) -> RegistryAnswer:
    """Return the answer in a response whose body, or the beginning of it, was read."""
    return RegistryAnswer(response.status_code, response.headers, body, response.request.url)


def beginning_of(response: httpx2.Response) -> bytes:
    """Read the beginning of a body, for the words in it; as much of it as arrives."""
    body = bytearray()
    with contextlib.suppress(httpx2.TransportError, httpx2.DecodingError):
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > SMALL_BYTES:
                break
    return bytes(body)


def json_of(body: bytes) -> Any:
    """Parse JSON; return None if it is not JSON."""
    try:
        return parse_json(body)
    except UntrustedError:
        return None


def words_of(body: bytes) -> str:
    """Return a registry's own message (distribution-spec "Error Codes"), in printable form."""
    beginning = body[: 16 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
    words = _words_in(json_of(body))
    if words is None:
        page = _TITLE.search(beginning) if beginning.lstrip().startswith("<") else None
        words = f"a web page, {' '.join(page[1].split())!r}" if page else beginning
    printable = "".join(sign if sign.isprintable() else " " for sign in words)
    return " ".join(printable.split())[:_QUOTED_CHARACTERS]


def _words_in(form: Any) -> str | None:
    """Return the message in a registry's or a token server's JSON; None if there is none."""
    if not isinstance(form, dict):
        return None
    errors = form.get("errors")
    if isinstance(errors, list) and all(isinstance(item, dict) for item in errors):
        pairs = [(str(item.get("code", "")), str(item.get("message", ""))) for item in errors]
        text = "; ".join(": ".join(filter(None, pair)) for pair in pairs)
        return text[: 16 * _QUOTED_CHARACTERS]
    for name in ("error_description", "details", "message", "error"):
        if isinstance(form.get(name), str):
            return str(form[name])
    return None
