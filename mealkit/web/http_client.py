"""The HTTP client of all sources, and what its errors and status codes mean as problems.

Refuses plain http beyond this machine unless a digest is expected, to send a token over it, and
redirects that leave TLS or lead nearer to this machine.
"""

import netrc
import os
import re
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit

import httpx2

from mealkit import __version__
from mealkit.addresses import is_loopback
from mealkit.errors import MealkitError, failure
from mealkit.web.redirects import DowngradeError, HopError, StrangeError, check_hop
from mealkit.web.retry import TRANSIENT_STATUS

_TIMEOUT = httpx2.Timeout(30.0, connect=15.0)
# A server must send at least so much, on average over so long.
_LEAST_BYTES_PER_SECOND = 1024
_PACE_SECONDS = 30.0
_SIZE = re.compile(r"[0-9]{1,20}")
_MAX_REDIRECTS = 10
_REDIRECT_BYTES = 64 * 1024
USER_AGENT = f"mealkit/{__version__}"


def open_client() -> httpx2.Client:
    """Open a client: the system's certificates, proxy variables and netrc; redirects are bounded.

    A token stays with the host that it was given for: it is dropped when a redirect leaves it.
    """
    return httpx2.Client(
        verify=ssl.create_default_context(),
        auth=_Credentials(),
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        event_hooks={"response": [check_redirect]},
        timeout=_TIMEOUT,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )


def check_redirect(response: httpx2.Response) -> None:
    """Look at where an answer sends its caller on to, before that is asked; a hook of clients.

    Raises:
        SourceError: ``SOURCE_INSECURE``, ``SOURCE_REDIRECTS`` or ``SOURCE_ANSWER``.
    """
    if not response.has_redirect_location:
        return
    # The client reads what comes with a redirect, whole.
    response.stream = Bounded(response, _REDIRECT_BYTES)
    here = str(response.request.url)
    try:
        target = response.request.url.join(response.headers["Location"])
    except httpx2.InvalidURL as error:
        raise transport_failure(error, here) from error
    try:
        check_hop(here, str(target))
    except DowngradeError as error:
        raise failure("SOURCE_INSECURE", str(error), where=bare_url(here)) from error
    except StrangeError as error:
        raise failure("SOURCE_ANSWER", str(error), where=bare_url(here)) from error
    except HopError as error:
        raise failure("SOURCE_REDIRECTS", str(error), where=bare_url(here)) from error


class Bounded(httpx2.SyncByteStream):
    """A body that breaks off with an error once it is too long, or comes too slowly."""

    def __init__(self, response: httpx2.Response, limit_bytes: int) -> None:
        if not isinstance(response.stream, httpx2.SyncByteStream):
            raise TypeError("an answer of another client")
        self._stream = response.stream
        self._url = str(response.request.url)
        self._limit_bytes = limit_bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises:
            httpx2.DecodingError: there is more than may be.
            SourceError: see ``Pace.count``.
        """
        left, pace = self._limit_bytes, Pace(self._url)
        for chunk in self._stream:
            pace.count(len(chunk))
            left -= len(chunk)
            if left < 0:
                raise httpx2.DecodingError(f"more than {self._limit_bytes} bytes are answered")
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def bare_url(url: str) -> str:
    """Return an address for messages: without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_private_path(url: str) -> bool:
    """Tell whether no one on the way can read or change what is sent: https, or loopback."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def safe_headers(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may be sent to an address: no token over plain http."""
    if is_private_path(url):
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def require_safe(url: str, *, digest_expected: bool) -> None:
    """Refuse bytes that anyone on the way could have changed without it being noticed.

    Raises:
        SourceError: ``SOURCE_INSECURE``.
    """
    if not digest_expected and not is_private_path(url):
        raise failure(
            "SOURCE_INSECURE",
            "plain http is used and no digest is expected",
            hint="use https, or state the file's digest under `sha256:`",
            where=bare_url(url),
        )


def require_answer(response: httpx2.Response, url: str, *, digest_expected: bool) -> None:
    """Refuse an answer that carries no content, or that came over an unsafe hop.

    Raises:
        SourceError: ``SOURCE_NOT_FOUND``, ``SOURCE_DENIED``, ``SOURCE_UNREACHABLE`` (the server
            failed), ``SOURCE_ANSWER`` or ``SOURCE_INSECURE``.
    """
    for hop in (*response.history, response):
        require_safe(str(hop.url), digest_expected=digest_expected)
    status = response.status_code
    if status in (200, 206):
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise failure(
                "SOURCE_ANSWER",
                f"the answer is encoded as {response.headers['Content-Encoding']}, unasked",
                where=bare_url(url),
            )
        return
    raise status_failure(status, url)


def stated_bytes(response: httpx2.Response) -> int | None:
    """Return how many bytes an answer says that it brings; None if it does not say it."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if _SIZE.fullmatch(stated) else None


class Pace:
    """Refuses a server that goes on sending, but so slowly that it would take days."""

    def __init__(self, url: str, seconds: float = _PACE_SECONDS) -> None:
        self._url = url
        self._seconds = seconds
        self._since = time.monotonic()
        self._sent_bytes = 0

    def count(self, sent_bytes: int) -> None:
        """Note what has come.

        Raises:
            SourceError: ``SOURCE_UNREACHABLE``, it was too little for a while.
        """
        self._sent_bytes += sent_bytes
        passed = time.monotonic() - self._since
        if passed < self._seconds:
            return
        if self._sent_bytes < passed * _LEAST_BYTES_PER_SECOND:
            raise failure(
                "SOURCE_UNREACHABLE",
                f"the server sends too slowly: {self._sent_bytes} bytes in {passed:.0f} seconds",
                where=bare_url(self._url),
            )
        self._since, self._sent_bytes = time.monotonic(), 0


def transport_failure(error: httpx2.HTTPError | httpx2.InvalidURL, url: str) -> MealkitError:
    """Return the failure that an error on the way means."""
    if isinstance(error, httpx2.TooManyRedirects):
        return failure(
            "SOURCE_REDIRECTS",
            f"redirected more than {_MAX_REDIRECTS} times",
            where=bare_url(url),
        )
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return failure("SOURCE_ANSWER", "leads to an address that is none", where=bare_url(url))
    if isinstance(error, httpx2.DecodingError):  # of `Bounded`, too
        return failure("SOURCE_ANSWER", f"cannot be read: {error}", where=bare_url(url))
    reason = str(error) or type(error).__name__
    return failure("SOURCE_UNREACHABLE", f"cannot be reached: {reason}", where=bare_url(url))


def status_failure(status: int, url: str) -> MealkitError:
    """Return the failure that a status code means."""
    where = bare_url(url)
    if status in (404, 410):
        return failure("SOURCE_NOT_FOUND", f"there is no such file: status {status}", where=where)
    if status in (401, 403, 407):
        return failure("SOURCE_DENIED", f"access is refused: status {status}", where=where)
    if status in TRANSIENT_STATUS or status >= 500:
        return failure("SOURCE_UNREACHABLE", f"the server fails: status {status}", where=where)
    return failure("SOURCE_ANSWER", f"unexpected answer: status {status}", where=where)


class _Credentials(httpx2.Auth):
    """Basic credentials from the address or from netrc, unless the request brings a token."""

    def __init__(self) -> None:
        self._netrc = _read_netrc()

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        flow: httpx2.Auth = httpx2.Auth()
        if "Authorization" not in request.headers:
            if request.url.username:
                flow = httpx2.BasicAuth(request.url.username, request.url.password)
            elif self._netrc is not None and is_private_path(str(request.url)):
                flow = self._of_netrc(request.url.host)
        yield from flow.auth_flow(request)

    def _of_netrc(self, host: str) -> httpx2.Auth:
        """Return what netrc keeps for this very host: its ``default`` would go to any stranger."""
        kept = self._netrc.hosts.get(host) if self._netrc and host != "default" else None
        return httpx2.BasicAuth(kept[0], kept[2] or "") if kept else httpx2.Auth()


def _read_netrc() -> netrc.netrc | None:
    try:
        return netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
