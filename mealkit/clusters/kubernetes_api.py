"""Asks a Kubernetes API server through the official client: bounded answers, problems with owners.

The client gives the connection, its TLS and its credentials. The answers are read here, because the
client reads any number of bytes into its models.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mealkit.clusters.kubernetes_kinds import Address
from mealkit.clusters.kubernetes_refusals import Asked, ConflictError, GoneError, refusal
from mealkit.errors import MealkitError, failure
from mealkit.names import one_line
from mealkit.untrusted import UntrustedError, parse_json_object

MANAGER = "mealkit"
"""The name under which mealkit manages fields (server-side apply)."""

_CONNECT_SECONDS, _READ_SECONDS, _ANSWER_SECONDS = 10, 30, 120
_ANSWER_BYTES = 64 * 1024 * 1024
_ANSWER_VALUES = 4_000_000
_ERROR_BYTES = 256 * 1024
_LINE_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_LOG_BYTES, _LOG_LINES = 64 * 1024, 40
_PAGE, _PAGES = 500, 200
_WATCH_SPARE_SECONDS = 10
# The type is the first member of an event.
_TYPE_BYTES = 64
_PASSING = frozenset({"CLUSTER_BUSY", "CLUSTER_UNREACHABLE", "CLUSTER_ANSWER", "CLUSTER_DENIED"})
"""Problems of a watch that the next list either has, too, or has not."""
_TRIES, _PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 4, 0.5, 10.0

_APPLY = "application/apply-patch+yaml"
_MERGE_PATCH = "application/merge-patch+json"

# The client passes on OpenSSL's words, and those of the other side's alerts, as text.
_CERTIFICATE = re.compile(r"certificate|unknown ca|hostname mismatch", re.IGNORECASE)

_KeptT = TypeVar("_KeptT")

Query = Mapping[str, str]
Method = Literal["GET", "PATCH", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of objects, and the version of the cluster at which it was read."""

    items: Sequence[Mapping[str, Any]]
    version: str


class KubernetesApi:
    """One cluster's API, for one namespace."""

    def __init__(
        self, client: Any, namespace: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """``client`` is the official client's ``ApiClient``; ``pause`` waits before a retry."""
        self._client = client
        self.pause = pause
        self.namespace = namespace

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._client.configuration.host)

    def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Return one object.

        Raises:
            DeploymentError: it does not exist (``CLUSTER_NOT_DEPLOYED``), or ``CLUSTER_*``.
        """
        return self._plainly("GET", path, query)

    def find(self, path: str) -> dict[str, Any] | None:
        """Return one object, or None if it does not exist."""
        try:
            return self.get(path)
        except MealkitError as error:
            if error.problems[0].code == "CLUSTER_NOT_DEPLOYED":
                return None
            raise

    def pages(self, path: str, query: Query | None = None) -> Iterator[Listed]:
        """Yield the pages of a list; starts again once if the cluster forgot its place in it.

        Raises:
            DeploymentError: there are more than 100 000 objects (``CLUSTER_ANSWER``).
        """
        asked = {"limit": str(_PAGE), **(query or {})}
        place = ""
        for _ in range(_PAGES):
            page = self._ask("GET", path, {**asked, "continue": place} if place else asked)
            metadata = page.get("metadata")
            metadata = metadata if isinstance(metadata, Mapping) else {}
            items = page.get("items") or []
            if not isinstance(items, list):
                raise self._invalid("its items are not a list", path)
            found = [item for item in items if isinstance(item, Mapping)]
            yield Listed(found, str(metadata.get("resourceVersion") or ""))
            place = str(metadata.get("continue") or "")
            if not place:
                return
        raise self._invalid(f"the list has more than {_PAGES * _PAGE} objects", path)

    def listed(self, path: str, query: Query | None = None) -> Listed:
        """Return a whole list; see `pages`."""
        read = self._twice(lambda: list(self.pages(path, query)), path)
        return Listed([item for page in read for item in page.items], read[0].version)

    def reduced(
        self, path: str, query: Query, keep: Callable[[Mapping[str, Any]], _KeptT]
    ) -> list[_KeptT]:
        """Return what ``keep`` returns for each object of a list; the rest is forgotten by page."""

        def read() -> list[_KeptT]:
            return [keep(item) for page in self.pages(path, query) for item in page.items]

        return self._twice(read, path)

    def _twice(self, read: Callable[[], _KeptT], path: str) -> _KeptT:
        for _ in range(2):
            # The place of a list is forgotten after some minutes: then it is read again, once.
            with contextlib.suppress(GoneError):
                return read()
        raise self._invalid("the list changes faster than it can be read", path)

    def apply(
        self, address: Address, item: Mapping[str, Any], *, force: bool = False, dry: bool = False
    ) -> dict[str, Any]:
        """Apply an object (server-side apply) and return it; ``dry``: the cluster keeps nothing.

        Raises:
            DeploymentError: another manager has a field (``CLUSTER_CONFLICT``), unless ``force``;
                or the object is being deleted (``CLUSTER_CHANGED``).
            ConflictError: the object has another resourceVersion than the stated one.
        """
        query = {"fieldManager": MANAGER, "force": str(force).lower()}
        if dry:
            query["dryRun"] = "All"
        try:
            return self._ask("PATCH", address.path, query, item, _APPLY)
        except ConflictError as error:
            if "resourceVersion" in item["metadata"]:
                raise
            where = self._asked(address.path, "patch").where
            raise failure("CLUSTER_CHANGED", str(error), where=where) from error

    def annotate(self, path: str, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of an object; None removes one."""
        changes = {"metadata": {"annotations": dict(annotations)}}
        self._plainly("PATCH", path, {"fieldManager": MANAGER}, changes, _MERGE_PATCH)

    def delete(self, path: str) -> None:
        """Delete an object, and what it owns after it; nothing happens if it does not exist."""
        try:
            self._plainly("DELETE", path, {"propagationPolicy": "Background"})
        except MealkitError as error:
            if error.problems[0].code != "CLUSTER_NOT_DEPLOYED":
                raise

    def log(
        self, pod: str, container: str, *, previous: bool = False, limit_bytes: int = _LOG_BYTES
    ) -> str:
        """Return the last lines of a container; empty if there are none, or they may not be read.

        With another limit than the default, the whole log is asked for.
        """
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        query = {
            "container": container,
            "limitBytes": str(limit_bytes),
            "previous": str(previous).lower(),
        }
        if limit_bytes == _LOG_BYTES:
            query["tailLines"] = str(_LOG_LINES)
        try:
            with self._answer("GET", path, query, None, None) as response:
                if response.status != 200:
                    return ""
                return self._read(response, path, 2 * limit_bytes).decode(errors="replace")
        except MealkitError:
            return ""

    def wait_for_change(self, path: str, query: Query, seconds: int) -> None:
        """Return after something in a list changed, at the latest after some seconds.

        The watch only wakes the caller, who reads the list again: so a connection that is dropped,
        or a place that the server has forgotten (410), delays and breaks nothing.
        A user who may not watch reads the list again after a pause.
        """
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        deadline = time.monotonic() + seconds
        try:
            if self._saw_change(path, asked, seconds, deadline):
                return
        except MealkitError as error:
            if error.problems[0].code not in _PASSING:
                raise
        except GoneError:
            pass
        # The watch ended without a change: do not ask again in a tight loop.
        self.pause(max(0.0, min(_PAUSE_SECONDS, deadline - time.monotonic())))

    def _saw_change(self, path: str, query: Query, seconds: int, deadline: float) -> bool:
        patience = seconds + _WATCH_SPARE_SECONDS
        with self._answer("GET", path, query, None, None, patience) as response:
            if response.status != 200:
                raise self._refused(response, path, "watch")
            data = bytearray()
            # read1 returns what has arrived; stream() waits for a whole chunk.
            while time.monotonic() < deadline and (chunk := response.read1(_CHUNK_BYTES)):
                data += chunk
                *lines, rest = data.split(b"\n")
                # Bookmarks only say how far the server is.
                if any(b'"BOOKMARK"' not in line[:_TYPE_BYTES] for line in lines if line):
                    return True
                data = bytearray(rest)
                if len(data) > _LINE_BYTES:
                    raise self._invalid(f"an event is larger than {_LINE_BYTES} bytes", path)
        return False

    def _plainly(
        self,
        method: Method,
        path: str,
        query: Query | None = None,
        body: Any = None,
        content_type: str | None = None,
    ) -> dict[str, Any]:
        """Send a request that states neither a version nor a place of a list."""
        try:
            return self._ask(method, path, query, body, content_type)
        except (ConflictError, GoneError) as error:
            where = self._asked(path, method.lower()).where
            raise failure("CLUSTER_CHANGED", str(error) or "gone", where=where) from error

    def _ask(
        self,
        method: Method,
        path: str,
        query: Query | None = None,
        body: Any = None,
        content_type: str | None = None,
    ) -> dict[str, Any]:
        """Send a request, again after what may pass, and return the answer's object.

        What only reads is asked again after a broken connection, too.
        """
        for left in reversed(range(_TRIES)):
            pause = _PAUSE_SECONDS * 2 ** (_TRIES - 1 - left)
            try:
                with self._answer(method, path, query, body, content_type) as response:
                    if 200 <= response.status < 300:
                        return self._parse(self._read(response, path, _ANSWER_BYTES), path)
                    pause = _retry_after(response) or pause
                    raise self._refused(response, path, method.lower())
            except MealkitError as error:
                code = error.problems[0].code
                again = code == "CLUSTER_BUSY" or (
                    code == "CLUSTER_UNREACHABLE" and method == "GET"
                )
                if not again or not left:
                    raise
            self.pause(min(pause, _LONGEST_PAUSE_SECONDS))
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _answer(
        self,
        method: Method,
        path: str,
        query: Query | None,
        body: Any,
        content_type: str | None,
        read_seconds: float = _READ_SECONDS,
    ) -> Iterator[Any]:
        """Send a request through the client, and give its connection back at the end."""
        import urllib3.exceptions  # noqa: PLC0415

        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            made = self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            limits = (_CONNECT_SECONDS, read_seconds)
            answer = self._client.call_api(*made, _request_timeout=limits).response
            try:
                yield answer
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError, self._client_error) as error:
            raise self._unreachable(error, path) from error

    @property
    def _client_error(self) -> type[Exception]:
        from kubernetes.client.exceptions import OpenApiException  # noqa: PLC0415

        return OpenApiException

    def _read(self, response: Any, path: str, limit: int) -> bytes:
        deadline = time.monotonic() + _ANSWER_SECONDS
        data = bytearray()
        for chunk in response.stream(_CHUNK_BYTES, decode_content=True):
            data += chunk
            if len(data) > limit:
                raise self._invalid(f"it is larger than {limit} bytes", path)
            if time.monotonic() > deadline:
                raise failure(
                    "CLUSTER_UNREACHABLE",
                    f"the answer takes longer than {_ANSWER_SECONDS} seconds",
                    where=self._asked(path, "get").where,
                )
        return bytes(data)

    def _parse(self, data: bytes, path: str) -> dict[str, Any]:
        try:
            return parse_json_object(data, max_values=_ANSWER_VALUES)
        except UntrustedError as error:
            raise self._invalid(str(error), path) from error

    def _refused(self, response: Any, path: str, verb: str) -> MealkitError:
        data = self._read(response, path, _ERROR_BYTES)
        try:
            answer = parse_json_object(data)
        except UntrustedError:
            answer = {"message": data[:500].decode(errors="replace")}
        return refusal(response.status, answer, self._asked(path, verb))

    def _asked(self, path: str, verb: str) -> Asked:
        return Asked(self.server, f"{verb} {path}", self.namespace)

    def _invalid(self, reason: str, path: str) -> MealkitError:
        return failure(
            "CLUSTER_ANSWER",
            f"the answer of the API server cannot be used: {reason}",
            where=self._asked(path, "get").where,
        )

    def _unreachable(self, error: Exception, path: str) -> MealkitError:
        said = one_line(str(error))[:500]
        where = self._asked(path, "get").where
        if _CERTIFICATE.search(said):
            return failure(
                "CLUSTER_CERTIFICATE", f"the connection is not trusted: {said}", where=where
            )
        message = f"the API server does not answer: {said}"
        return failure("CLUSTER_UNREACHABLE", message, where=where)


def _retry_after(response: Any) -> float | None:
    stated = str(response.headers.get("Retry-After") or "")
    return float(stated) if stated.isdigit() and len(stated) < 6 else None
