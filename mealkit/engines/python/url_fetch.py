"""Fetches files by URL: only from places that the kit allows, over checked connections.

Rejects all other places, addresses that are not public (unless the kit allows them), redirects
to other places, and downloads that are too large or too slow. Each connection uses exactly the
address that was checked. Imports only the standard library.
"""

import http.client
import importlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from mealkit.addresses import AddressScope, scope_of
from mealkit.engines.python.config import FileLimits
from mealkit.errors import MealkitError, failure

_REDIRECTS = 5
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file: its bytes, the path of its URL, and the stated media type."""

    data: bytes
    path: str
    media_type: str


def fetch(url: str, limits: FileLimits, max_bytes: int, deadline: float, where: str) -> Fetched:
    """Fetch a file; ``deadline`` is on the monotonic clock.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, the kit does not allow that place;
                ``REQUEST_TOO_LARGE``; ``REQUEST_INVALID``, the file cannot be fetched.
    """
    for _ in range(_REDIRECTS + 1):
        target = _allowed(url, limits, where)
        try:
            found = _get(target, limits, max_bytes, deadline, where)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= deadline
            reason = "it took too long" if late else f"{type(error).__name__}: {error}"
            message = f"{where} cannot be fetched: {reason}"
            raise failure("REQUEST_INVALID", message, where=where) from error
        if isinstance(found, Fetched):
            return found
        url = urljoin(url, found)
    message = f"{where} redirects more than {_REDIRECTS} times"
    raise failure("REQUEST_INVALID", message, where=where)


def is_allowed(url: str, allowed: str) -> bool:
    """Return whether a URL is in an allowed folder, by scheme, host, port and path."""
    target, folder = _parsed(url), _parsed(allowed)
    if target is None or folder is None:
        return False
    root = folder.path.rstrip("/") + "/"
    return _origin(target) == _origin(folder) and target.path.startswith(root)


def _allowed(url: str, limits: FileLimits, where: str) -> SplitResult:
    target = _parsed(url)
    if target is None:
        raise failure("REQUEST_INVALID", f"{where} is not a valid URL", where=where)
    if not any(is_allowed(url, allowed) for allowed in limits.fetch_from):
        places = ", ".join(limits.fetch_from)
        hint = f"allowed are {places}" if places else "send the file itself, as base64"
        message = f"{where} is a URL from which this kit does not fetch files"
        raise failure("REQUEST_UNSUPPORTED", message, where=where, hint=hint)
    return target


def _parsed(url: str) -> SplitResult | None:
    """Return a plain URL; None for one that two parsers could read differently."""
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or port == 0:
        return None
    segments = unquote(unquote(parts.path)).replace("\\", "/").split("/")
    return None if ".." in segments or "." in segments else parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, host, parts.port or _PORTS[parts.scheme]


def _get(
    target: SplitResult, limits: FileLimits, max_bytes: int, deadline: float, where: str
) -> Fetched | str:
    """Return the file, or the target of a redirect."""
    _, host, port = _origin(target)
    address = _address_of(host, port, limits, where)
    with _connected(address, deadline) as raw:
        stream: socket.socket = raw
        if target.scheme == "https":
            stream = _tls().wrap_socket(raw, server_hostname=host)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = stream
        query = f"?{target.query}" if target.query else ""
        try:
            connection.request("GET", (target.path or "/") + query, headers=_headers(target))
            with connection.getresponse() as answer:
                found = _read(answer, target, max_bytes, where)
        finally:
            connection.close()
    if time.monotonic() >= deadline:
        # A response that the deadline truncated can look complete, such as one without a length.
        raise TimeoutError
    return found


def _read(
    answer: http.client.HTTPResponse, target: SplitResult, max_bytes: int, where: str
) -> Fetched | str:
    if answer.status in _REDIRECT_STATUSES:
        return answer.headers.get("Location") or ""
    if answer.status != 200:
        message = f"{where} cannot be fetched: the server answered {answer.status}"
        raise failure("REQUEST_INVALID", message, where=where)
    data = bytearray()
    while chunk := answer.read(_CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            message = f"{where} is larger than the {max_bytes} bytes that are left for files"
            raise failure("REQUEST_TOO_LARGE", message, where=where)
    expected = answer.headers.get("Content-Length")
    if expected is not None and expected != str(len(data)):
        raise http.client.IncompleteRead(bytes(data))
    return Fetched(bytes(data), target.path, answer.headers.get_content_type())


def _headers(target: SplitResult) -> dict[str, str]:
    return {
        "Host": target.netloc,
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": "mealkit",
    }


def _address_of(host: str, port: int, limits: FileLimits, where: str) -> Any:
    """Return the socket address of a host, all of whose addresses must be allowed."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not limits.fetch_private:
        for _, _, _, _, address in found:
            if scope_of(str(address[0])) is not AddressScope.INTERNET:
                raise _private(where)
    return found[0][4]


def _private(where: str) -> MealkitError:
    message = f"{where} points to an address that is not public"
    return failure("REQUEST_UNSUPPORTED", message, where=where)


@contextmanager
def _connected(address: Any, deadline: float) -> Iterator[socket.socket]:
    """Connect; at the deadline the connection is closed in any state."""
    left_seconds = deadline - time.monotonic()
    if left_seconds <= 0:
        raise TimeoutError
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as raw:
        raw.settimeout(left_seconds)
        # A socket's timeout starts again with each byte; this one is for the whole transfer. The
        # duplicate remains open when TLS takes the socket over.
        ours = raw.dup()
        timer = threading.Timer(left_seconds, _end, [ours])
        timer.daemon = True
        timer.start()
        try:
            raw.connect(address)
            yield raw
        finally:
            timer.cancel()
            ours.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _tls() -> ssl.SSLContext:
    """Return a context with the image's certificate authorities, and certifi's if present."""
    context = ssl.create_default_context()
    # Authorities of companies often lack fields that RFC 5280 requires.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with suppress(ImportError):
        certifi: Any = importlib.import_module("certifi")
        context.load_verify_locations(certifi.where())
    return context
