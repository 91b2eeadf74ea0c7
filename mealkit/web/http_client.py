"""The HTTP client of all sources; turns its errors and status codes into problems.

Raises SourceError for plain http to other machines unless a digest is expected, and for redirects
that leave TLS or that point closer to this machine. Never sends a token over plain http to other
machines.
"""

import netrc
import os
import re
import ssl
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from mealkit import __version__
from mealkit.addresses import is_loopback
from mealkit.errors import MealkitError, failure
from mealkit.web.redirects import DowngradeError, HopError, StrangeError, check_hop
from mealkit.web.retry import TRANSIENT_STATUS
from mealkit.web.trust import shared_context, untrusted_words

# The environment's proxies are not used for these.
_LOOPBACK = ("all://localhost", "all://127.0.0.0/8", "all://[::1]")
_LOOPBACK_HOSTS = ("localhost", "127.0.0.0/8", "::1")
_TIMEOUT = httpx2.Timeout(30.0, connect=15.0)
# The minimum number of bytes that a server must send, and the time over which it is averaged.
_LEAST_BYTES_PER_SECOND = 1024
_PACE_SECONDS = 30.0
_SIZE = re.compile(r"[0-9]{1,20}")
_MAX_REDIRECTS = 10
_REDIRECT_BYTES = 64 * 1024
USER_AGENT = f"mealkit/{__version__}"


def new_client(verify: ssl.SSLContext | None = None, **options: Any) -> httpx2.Client:
    """Return a client that trusts the system's authorities and uses the environment's proxies.

    Servers on this machine are asked without a proxy. ``verify`` is a context with more
    certificates.

    Raises:
        SourceError: ``SOURCE_UNREACHABLE``: a proxy's address cannot be used.
    """
    try:
        return _Client(
            verify=verify or shared_context(), mounts=dict.fromkeys(_LOOPBACK), **options
        )
    except (ValueError, httpx2.InvalidURL) as error:
        raise failure(
            "SOURCE_UNREACHABLE",
            f"a proxy cannot be used: {error}",
            hint="set HTTPS_PROXY, HTTP_PROXY and ALL_PROXY to an address of http, https or socks5",
        ) from error


class _Client(httpx2.Client):
    """A client for which a host that cannot be looked up is one that cannot be reached."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            return super().send(request, **options)
        except UnicodeError as error:  # of getaddrinfo: a part of the name is empty or too long
            message = "a part of the host's name is empty or too long"
            raise httpx2.ConnectError(message, request=request) from error


def no_proxy_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which another program asks servers on this machine directly."""
    stated = environment.get("no_proxy") or environment.get("NO_PROXY")
    value = ",".join((*((stated,) if stated else ()), *_LOOPBACK_HOSTS))
    return {"NO_PROXY": value, "no_proxy": value}


def open_client() -> httpx2.Client:
    """Open a client that uses the system's certificates, proxy variables and netrc.

    It follows a limited number of redirects. A token is dropped when a redirect leaves its host.
    """
    return new_client(
        auth=_Credentials(),
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        event_hooks={"response": [check_redirect]},
        timeout=_TIMEOUT,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )


def check_redirect(response: httpx2.Response) -> None:
    """Check the target of a redirect before it is requested; a hook of the client.

    Raises:
        SourceError: ``SOURCE_INSECURE``, ``SOURCE_REDIRECTS`` or ``SOURCE_ANSWER``.
    """
    if not response.has_redirect_location:
        return
    # The client reads the whole body of a redirect.
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
    """A body that raises an error when it is too long, or arrives too slowly."""

    def __init__(self, response: httpx2.Response, limit_bytes: int) -> None:
        if not isinstance(response.stream, httpx2.SyncByteStream):
            raise TypeError("the response is from another client")
        self._stream = response.stream
        self._url = str(response.request.url)
        self._limit_bytes = limit_bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises:
            httpx2.DecodingError: the body has more bytes than allowed.
            SourceError: see ``Pace.count``.
        """
        left, pace = self._limit_bytes, Pace(self._url)
        for chunk in self._stream:
            pace.count(len(chunk))
            left -= len(chunk)
            if left < 0:
                raise httpx2.DecodingError(f"the answer has more than {self._limit_bytes} bytes")
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def bare_url(url: str) -> str:
    """Return an address for messages, without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_private_path(url: str) -> bool:
    """Return whether only the server can read or change what is sent: https, or loopback."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def safe_headers(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may be sent to an address: no token over plain http."""
    if is_private_path(url):
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def require_safe(url: str, *, digest_expected: bool) -> None:
    """Check that others on the network could not change the bytes unnoticed.

    Raises:
        SourceError: ``SOURCE_INSECURE``.
    """
    if not digest_expected and not is_private_path(url):
        raise failure(
            "SOURCE_INSECURE",
            "plain http without an expected digest is not safe",
            hint="use https, or state the file's digest under `sha256:`",
            where=bare_url(url),
        )


def require_answer(response: httpx2.Response, url: str, *, digest_expected: bool) -> None:
    """Check that an answer has content, and that no redirect was unsafe.

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
                "the answer has an encoding that was not requested: "
                f"{response.headers['Content-Encoding']}",
                where=bare_url(url),
            )
        return
    raise status_failure(status, url)


def stated_bytes(response: httpx2.Response) -> int | None:
    """Return the number of bytes that an answer states; None if it does not state it."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if _SIZE.fullmatch(stated) else None


class Pace:
    """Stops a download that is so slow that it would take days."""

    def __init__(self, url: str, seconds: float = _PACE_SECONDS) -> None:
        self._url = url
        self._seconds = seconds
        self._since = time.monotonic()
        self._sent_bytes = 0

    def count(self, sent_bytes: int) -> None:
        """Count received bytes.

        Raises:
            SourceError: ``SOURCE_UNREACHABLE``: too few bytes arrived for some time.
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


def proxy_words(url: str) -> str:
    """Return words that name the proxy through which an address is asked; empty without one."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  only for problems

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return ""
    return f", through the proxy {proxy.rpartition('://')[2].rpartition('@')[2].rstrip('/')}"


def transport_failure(error: httpx2.HTTPError | httpx2.InvalidURL, url: str) -> MealkitError:
    """Return the failure for an error of the connection."""
    if isinstance(error, httpx2.TooManyRedirects):
        return failure(
            "SOURCE_REDIRECTS",
            f"redirected more than {_MAX_REDIRECTS} times",
            where=bare_url(url),
        )
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return failure("SOURCE_ANSWER", "redirects to an invalid address", where=bare_url(url))
    if isinstance(error, httpx2.DecodingError):  # also from `Bounded`
        return failure("SOURCE_ANSWER", f"cannot be read: {error}", where=bare_url(url))
    reason = str(error) or type(error).__name__
    untrusted = untrusted_words(reason)
    if untrusted:
        message, hint = untrusted
        return failure("SOURCE_UNREACHABLE", message, where=bare_url(url), hint=hint)
    reason += proxy_words(url)
    return failure("SOURCE_UNREACHABLE", f"cannot be reached: {reason}", where=bare_url(url))


def status_failure(status: int, url: str) -> MealkitError:
    """Return the failure for a status code."""
    where = bare_url(url)
    if status in (404, 410):
        return failure("SOURCE_NOT_FOUND", f"the file does not exist: status {status}", where=where)
    if status in (401, 403, 407):
        return failure("SOURCE_DENIED", f"the server denies access: status {status}", where=where)
    if status in TRANSIENT_STATUS or status >= 500:
        return failure("SOURCE_UNREACHABLE", f"the server failed: status {status}", where=where)
    return failure("SOURCE_ANSWER", f"unexpected answer: status {status}", where=where)


class _Credentials(httpx2.Auth):
    """Basic credentials from the address or from netrc, unless the request has a token."""

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
        """Return netrc's entry for this host; its ``default`` would go to every other host."""
        kept = self._netrc.hosts.get(host) if self._netrc and host != "default" else None
        return httpx2.BasicAuth(kept[0], kept[2] or "") if kept else httpx2.Auth()


def _read_netrc() -> netrc.netrc | None:
    try:
        return netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
