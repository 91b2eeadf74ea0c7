"""HTTP to one registry: authorization, redirects, retries with back-off, and plain errors.

Raises RegistryError for plain HTTP to other machines, and for redirects to plain HTTP or to a more
private network than the registry's. Never sends a credential to another host.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import httpx2

from mealkit.addresses import is_loopback
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.stores.registry.auth import Authorizer
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.exchange import (
    SMALL_BYTES,
    RegistryAnswer,
    RegistryCall,
    answer_of,
    beginning_of,
    words_of,
)
from mealkit.stores.registry.realms import Realms
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint
from mealkit.web.http_client import Pace, bare_url, proxy_words
from mealkit.web.redirects import DowngradeError, HopError, StrangeError, check_hop
from mealkit.web.retry import TRANSIENT_STATUS, Retry, retry_after_seconds
from mealkit.web.trust import untrusted_words

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
_READS = frozenset({"GET", "HEAD"})
_WRITES = frozenset({"PUT", "PATCH"})
_MOST_REDIRECTS = 5
_SHOWN_CHARACTERS = 200
# For the head of an answer, and between two parts of a body.
TIMEOUT = httpx2.Timeout(60.0, connect=10.0, pool=None)
# A registry may hash or move a whole layer before it answers the request that ends an upload.
_PATIENT_TIMEOUT = httpx2.Timeout(60.0, connect=10.0, read=300.0, pool=None)
MOST_SILENT_ATTEMPTS = 2
"""After this many attempts in which a registry said nothing until the timeout, it is given up."""

_DEFAULT_PORTS = {"https": 443, "http": 80}


class RegistryClient:
    """Sends requests to one registry or mirror; safe between threads."""

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        http: httpx2.Client,
        credentials: Credentials,
        retry: Retry,
        realms: Realms | None = None,
        note: str = "",
    ) -> None:
        """Use ``http``, which is shared and which the caller closes.

        ``note`` is added when the registry cannot be reached.
        """
        self._note = note
        self.endpoint = endpoint
        self.retry = retry
        self.distrusted: set[Digest] = set()
        """Digests for which this client returned other bytes."""
        self.is_silent = False
        """Whether a request ended in a timeout; then a mirror is not asked again."""
        self.is_unranged = False
        """Whether it answered a request for a range with something else; then it gets no more."""
        self._http = http
        self._authorizer = Authorizer(endpoint.registry, credentials, self._fetch_token, realms)
        self._base: httpx2.URL | None = None
        self._lock = threading.Lock()

    def send(self, call: RegistryCall, limit_bytes: int = SMALL_BYTES) -> RegistryAnswer:
        """Send a request and read its complete answer, of any status.

        Raises:
            RegistryError: ``REGISTRY_UNREACHABLE``, ``REGISTRY_DENIED``, ``REGISTRY_INSECURE``,
                ``REGISTRY_REFUSED`` (also for an answer longer than ``limit_bytes``).
            httpx2.TransportError: a call that is not retried failed.
        """
        attempt = 1
        while True:
            try:
                with self.open(call) as response:
                    body = self._read(response, limit_bytes)
                    return answer_of(response, body)
            except httpx2.TransportError as error:
                if not call.is_retried:
                    raise
                if not self.retry.wait(attempt):
                    raise self.unreachable(error, attempt) from error
            attempt += 1

    @contextlib.contextmanager
    def open(self, call: RegistryCall) -> Iterator[httpx2.Response]:
        """Send a request and yield its response, of any status, with the body unread.

        Raises:
            RegistryError: as ``send`` does.
            httpx2.TransportError: the body was truncated; or, for a call that is not retried, any
                error of the connection.
        """
        response = (
            self._patiently(lambda: self._follow(call)) if call.is_retried else self._follow(call)
        )
        try:
            yield response
        finally:
            response.close()

    def url(self, path: str) -> httpx2.URL:
        """Return the address of a path, or of a ``Location`` from the registry."""
        base = self._origin()
        try:
            url = base.join(path)
        except httpx2.InvalidURL as error:
            raise self._odd("redirects to an address that is not valid") from error
        if base.scheme == "https" and url.scheme == "http" and url.host == base.host:
            # Registries behind a proxy that terminates TLS may state the wrong scheme.
            url = url.copy_with(scheme=base.scheme, port=base.port)
        self._require_hop(base, url)
        is_plain = is_loopback(url.host) or self.endpoint.is_named_plain
        if url.scheme == "http" and not is_plain:
            raise self._insecure(f"redirects to {url.scheme}://{url.netloc.decode()}")
        return url

    def refusal(self, what: str, answer: RegistryAnswer) -> MealkitError:
        """Return the error for an answer that refuses ``what``, with the registry's own message."""
        name, words = self.endpoint.registry, self.words(answer)
        who = name
        if self.is_elsewhere(answer):
            # Its refusal says nothing about the registry's credentials, which it did not get.
            who = f"{answer.url.netloc.decode()}, which {name} redirects to,"
        elif answer.status in {401, 403}:
            return self._authorizer.denied(what, words)
        target = answer.headers.get("location", "") if answer.status in _REDIRECTS else ""
        said = words or (f"redirects to {bare_url(target)[:_SHOWN_CHARACTERS]}" if target else "")
        return failure(
            "REGISTRY_REFUSED",
            f"{who} answers {answer.status} to {what}{': ' if said else ''}{said}",
            where=name,
        )

    def is_elsewhere(self, answer: RegistryAnswer) -> bool:
        """Return whether another host than the registry's answered, after a redirect."""
        return not self._is_home(answer.url)

    def words(self, answer: RegistryAnswer) -> str:
        """Return the registry's own message, without the secrets that were sent to it."""
        return self._authorizer.scrub(words_of(answer.body))

    def unreachable(self, error: httpx2.TransportError, attempts: int = 1) -> MealkitError:
        """Return the error for a connection to the registry that failed; remember a timeout."""
        self.is_silent |= isinstance(error, httpx2.TimeoutException)
        name = self.endpoint.registry
        reason = " ".join(str(error).split()) or type(error).__name__
        if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
            return failure(
                "REGISTRY_INSECURE",
                f"{name} does not support TLS",
                where=name,
                hint=f"use a registry with TLS, or allow HTTP: --plain-http {name}",
            )
        if isinstance(error, httpx2.ReadTimeout):
            reason = "it accepts connections and does not answer"
        reason += proxy_words(str(self._url_of(error) or f"https://{self.endpoint.authority}"))
        untrusted = untrusted_words(reason)
        message, hint = untrusted or (f"cannot be reached: {reason}", None)
        if untrusted:
            hint = f"{hint}, or in /etc/docker/certs.d/{self.endpoint.authority}/ca.crt"
        tried = f", tried {attempts} times" if attempts > 1 else ""
        return failure(
            "REGISTRY_UNREACHABLE",
            f"{self._asked(error)}: {self._authorizer.scrub(message)}{tried}{self._note}",
            where=name,
            hint=hint,
        )

    def _asked(self, error: httpx2.TransportError) -> str:
        """Return the name of the host that a request was for: redirects lead to others."""
        name, url = self.endpoint.registry, self._url_of(error)
        if url is None or self._base is None or _origin_of(url) == _origin_of(self._base):
            return name
        return f"{url.netloc.decode()}, which {name} redirects to"

    def _url_of(self, error: httpx2.TransportError) -> httpx2.URL | None:
        try:
            return error.request.url
        except RuntimeError:  # it has no request
            return None

    def _patiently(self, once: Callable[[], httpx2.Response]) -> httpx2.Response:
        attempt, silent = 1, 0
        while True:
            asked = None
            try:
                response = once()
                if response.status_code not in TRANSIENT_STATUS:
                    return response
                asked = retry_after_seconds(response.headers)
                with contextlib.closing(response):
                    answer = answer_of(response, beginning_of(response))
                if not self.retry.wait(attempt, asked):
                    raise self._busy(answer, attempt, asked)
            except httpx2.TransportError as error:
                silent += isinstance(error, httpx2.ReadTimeout)
                is_last = _is_final(error) or silent >= MOST_SILENT_ATTEMPTS
                if is_last or not self.retry.wait(attempt):
                    raise self.unreachable(error, attempt) from error
            attempt += 1

    def _follow(self, call: RegistryCall) -> httpx2.Response:
        """Send a request; follow redirects, without credentials to another host."""
        url = self.url(call.path)
        if self.endpoint.namespace:
            url = url.copy_add_param("ns", self.endpoint.namespace)
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._authorized(call, url)
            location = response.headers.get("location")
            # The others would turn a POST into a GET: they come from login pages.
            followed = _REDIRECTS if call.method in _READS else _SAME_METHOD
            if not (location and response.status_code in followed):
                return response
            if call.stays and self._leaves(url, location):
                return response
            response.close()
            url = self._target(url, location)
        raise self._odd(f"redirects more than {_MOST_REDIRECTS} times")

    def _is_home(self, url: httpx2.URL) -> bool:
        return _origin_of(url) == _origin_of(self._origin())

    def _leaves(self, url: httpx2.URL, location: str) -> bool:
        try:
            return not self._is_home(url.join(location))
        except httpx2.InvalidURL:
            return True

    def _target(self, source: httpx2.URL, location: str) -> httpx2.URL:
        """Return the address that a redirect names, if it may be followed."""
        try:
            target = self.url(str(source.join(location)))
        except httpx2.InvalidURL as error:
            raise self._odd("redirects to an address that is not valid") from error
        if not target.host:
            raise self._odd("redirects to an address without a host")
        self._require_hop(source, target)
        return target

    def _authorized(self, call: RegistryCall, url: httpx2.URL) -> httpx2.Response:
        is_home = self._is_home(url)
        header = self._authorizer.header(call.scopes) if is_home else None
        if is_home:
            call = replace(call, headers={**dict(self.endpoint.headers), **call.headers})
        response = self._once(call, url, header)
        if response.status_code != 401 or not is_home:
            return response
        asked = response.headers.get("www-authenticate", "")
        try:
            header = self._authorizer.renew(asked, call.scopes, header)
        except BaseException:
            response.close()
            raise
        if header is None:
            return response
        response.close()
        return self._once(call, url, header)

    def _once(
        self, call: RegistryCall, url: httpx2.URL, authorization: str | None
    ) -> httpx2.Response:
        # Bytes are counted and hashed as they are stored, so the transfer must not be compressed.
        headers = {"Accept-Encoding": "identity", **call.headers}
        if authorization:
            headers["Authorization"] = authorization
        # httpx2 passes the chunks to the socket unchanged; its types do not include memoryview.
        content = cast("Iterable[bytes]", call.body()) if call.body else None
        request = self._http.build_request(
            call.method,
            url,
            headers=headers,
            content=content,
            timeout=_PATIENT_TIMEOUT if call.method in _WRITES else TIMEOUT,
        )
        return self._http.send(request, stream=True, follow_redirects=False)

    def _read(self, response: httpx2.Response, limit_bytes: int) -> bytes:
        body, pace = bytearray(), Pace(str(response.request.url))
        try:
            for chunk in response.iter_bytes():
                pace.count(len(chunk))
                body += chunk
                if len(body) > limit_bytes:
                    raise self._odd(f"answers with more than {limit_bytes} bytes")
        except httpx2.DecodingError as error:
            raise self._odd("answers with an encoding that cannot be read") from error
        return bytes(body)

    def _origin(self) -> httpx2.URL:
        with self._lock:
            if self._base is None:
                self._base = self._find_origin()
            return self._base

    def _find_origin(self) -> httpx2.URL:
        """Return the registry's address; one that may be plain is asked with HTTP first."""
        authority = self.endpoint.authority
        if not self.endpoint.may_be_plain:
            return httpx2.URL(f"https://{authority}")
        plain = httpx2.URL(f"http://{authority}")
        try:
            with self._http.stream("GET", plain.join("/v2/"), timeout=TIMEOUT) as response:
                status = response.status_code
        except httpx2.ReadTimeout as error:
            raise self.unreachable(error) from error
        except (httpx2.RemoteProtocolError, httpx2.ReadError):
            status = 400
        except httpx2.TransportError:
            return plain
        # The answer of TLS servers to plain HTTP.
        return httpx2.URL(f"https://{authority}") if status == 400 else plain

    def _fetch_token(self, request: httpx2.Request) -> RegistryAnswer:
        """Ask a token server; follow its redirects, without credentials to another host."""
        self._require_hop(self._origin(), request.url)
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._token_answer(request)
            location = answer.headers.get("location")
            # The identity token in the body of a POST is not sent to a second address.
            if request.method != "GET" or not (location and answer.status in _REDIRECTS):
                return answer
            target = self._target(request.url, location)
            is_same = _origin_of(target) == _origin_of(request.url)
            request = httpx2.Request("GET", target, headers=request.headers if is_same else {})
        raise self._odd(f"has a token server that redirects more than {_MOST_REDIRECTS} times")

    def _token_answer(self, request: httpx2.Request) -> RegistryAnswer:
        response = self._patiently(
            lambda: self._http.send(request, stream=True, follow_redirects=False)
        )
        with contextlib.closing(response):
            try:
                return answer_of(response, self._read(response, SMALL_BYTES))
            except httpx2.TransportError as error:
                raise self.unreachable(error) from error

    def _require_hop(self, source: httpx2.URL, target: httpx2.URL) -> None:
        try:
            check_hop(str(source), str(target))
        except (DowngradeError, StrangeError) as error:
            raise self._insecure(str(error)) from error
        except HopError as error:
            raise self._odd(str(error)) from error

    def _insecure(self, what: str) -> MealkitError:
        name = self.endpoint.registry
        return failure("REGISTRY_INSECURE", f"{name} {what}", where=name)

    def _odd(self, what: str) -> MealkitError:
        name = self.endpoint.registry
        return failure("REGISTRY_REFUSED", f"{name} {what}", where=name)

    def _busy(
        self, answer: RegistryAnswer, attempts: int, asked_seconds: float | None
    ) -> MealkitError:
        name, words = self.endpoint.registry, self.words(answer)
        patience = f", and asks to wait {asked_seconds:.0f} seconds" if asked_seconds else ""
        return failure(
            "REGISTRY_REFUSED" if answer.status == 429 else "REGISTRY_UNREACHABLE",
            f"{name} answers {answer.status}, tried {attempts} times{patience}"
            f"{': ' if words else ''}{words}",
            where=name,
            hint="try again later, or ask the registry's operator",
        )


def worth_asking(clients: Sequence[RegistryClient]) -> tuple[RegistryClient, ...]:
    """Return the clients without the mirrors that did not answer; the last one is the registry."""
    return (*(client for client in clients[:-1] if not client.is_silent), clients[-1])


def _origin_of(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def _is_final(error: httpx2.TransportError) -> bool:
    """Return whether another attempt cannot help."""
    text = str(error)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return True
    return "CERTIFICATE_VERIFY_FAILED" in text or "WRONG_VERSION_NUMBER" in text
