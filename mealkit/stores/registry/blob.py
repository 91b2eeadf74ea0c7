"""A blob that stays in its registry until it is read; interrupted reads are resumed.

Raises RegistryError for bytes that do not match the digest: a complete read is hashed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import httpx2

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.stores.registry.client import RegistryClient, worth_asking
from mealkit.stores.registry.exchange import RegistryCall, answer_of, beginning_of
from mealkit.web.http_client import Pace

DAMAGED = frozenset({"REGISTRY_DIGEST", "BLOB_MISSING"})
"""The codes of problems that only one blob or manifest of a registry has."""


class UnrangedError(Exception):
    """A server answers a request for a piece with the whole blob."""


@dataclass(frozen=True, slots=True)
class RegistryBlob:
    """Implements ``mealkit.oci.image.Blob``; ``clients`` are mirrors, then the registry."""

    digest: Digest
    size_bytes: int
    repository: str
    clients: tuple[RegistryClient, ...] = field(repr=False, compare=False)

    @property
    def registry(self) -> str:
        """The name of the registry that has the blob (not of a mirror)."""
        return self.clients[-1].endpoint.registry

    def at_registry(self) -> "RegistryBlob":
        """Return the same blob without its mirrors."""
        return replace(self, clients=self.clients[-1:])

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the requested range; after a lost connection the read continues where it ended.

        Raises:
            RegistryError: ``REGISTRY_DIGEST``, a complete read gave other bytes (all chunks were
                yielded by then: do not use any before the end), ``REGISTRY_UNREACHABLE``,
                ``REGISTRY_DENIED``, ``REGISTRY_REFUSED``.
            StoreError: ``BLOB_MISSING``.
        """
        end = self.size_bytes if length is None else min(offset + length, self.size_bytes)
        used: set[RegistryClient] = set()
        if (offset, end) != (0, self.size_bytes):
            yield from self.unhashed(offset, end, used)
            return
        state = hashlib.sha256()
        for chunk in self.unhashed(0, end, used):
            state.update(chunk)
            yield chunk
        found = f"sha256:{state.hexdigest()}"
        if found != self.digest:
            raise self.other_bytes(f"has digest {found}", *used)

    def unhashed(
        self,
        start: int,
        end: int,
        used: set[RegistryClient],
        *,
        is_piece: bool = False,
        else_to: int | None = None,
    ) -> Iterator[bytes]:
        """Yield a range, from the first client that has it; record the clients that sent bytes.

        The caller compares the digest of all bytes, and calls ``other_bytes`` if it differs.
        ``is_piece``: the range is one of many, so an answer with the whole blob is not read.
        ``else_to``: where the range ends if a client answers with the whole blob; a cache that is
        just fetching it would stop to, if the answer were not read to its end.

        Raises:
            UnrangedError: for a piece, a client answers with the whole blob.
            RegistryError, StoreError: as ``chunks`` does.
        """
        clients = self._in_order()
        for index, client in enumerate(clients):
            used.add(client)
            try:
                for chunk in self._persistently(client, start, end, else_to, is_piece=is_piece):
                    start += len(chunk)
                    yield chunk
            except MealkitError:
                if index + 1 == len(clients):
                    raise
            else:
                return

    @property
    def first(self) -> RegistryClient:
        """The client that is asked first."""
        return self._in_order()[0]

    def _in_order(self) -> list[RegistryClient]:
        # Clients that once sent other bytes come last, to save a useless attempt.
        return sorted(
            worth_asking(self.clients), key=lambda client: self.digest in client.distrusted
        )

    def _persistently(
        self, client: RegistryClient, start: int, end: int, else_to: int | None, *, is_piece: bool
    ) -> Iterator[bytes]:
        failures = 0
        while start < end:
            before = start
            cut: httpx2.TransportError | None = None
            try:
                for chunk in self._once(client, start, end, else_to, is_piece=is_piece):
                    start += len(chunk)
                    yield chunk
            except httpx2.TransportError as error:
                cut = error
            failures = 1 if start > before else failures + 1
            if client.is_unranged and else_to is not None:
                end = else_to
            if start < end and not client.retry.wait(failures):
                name = client.endpoint.registry
                raise failure(
                    "REGISTRY_UNREACHABLE",
                    f"{name} ends {self.digest} at byte {start} of {self.size_bytes}",
                    where=name,
                ) from cut

    def _once(
        self, client: RegistryClient, start: int, end: int, else_to: int | None, *, is_piece: bool
    ) -> Iterator[bytes]:
        """Yield the part of a range that one request returns, at most the requested bytes."""
        if is_piece and client.is_unranged:
            raise UnrangedError
        is_part = (start, end) != (0, self.size_bytes) and not client.is_unranged
        headers = {"Range": f"bytes={start}-{end - 1}"} if is_part else {}
        name = client.endpoint.repository(self.repository)
        path = f"/v2/{name}/blobs/{self.digest}"
        call = RegistryCall("GET", path, (f"repository:{name}:pull",), headers)
        with client.open(call) as response:
            skip = self._checked_start(client, response, start)
            if is_part and response.status_code == 200:
                client.is_unranged = True
                if is_piece:
                    raise UnrangedError
                end = else_to or end
            left = end - start
            pace = Pace(str(response.request.url))
            for chunk in response.iter_raw():
                pace.count(len(chunk))
                kept = chunk[skip : skip + left]
                skip = max(skip - len(chunk), 0)
                left -= len(kept)
                if kept:
                    yield kept
                if not left:
                    return

    def _checked_start(self, client: RegistryClient, response: httpx2.Response, start: int) -> int:
        """Return the number of bytes of a response before ``start``; check that it is this blob."""
        if response.status_code == 404:
            name = client.endpoint.registry
            raise failure(
                "BLOB_MISSING",
                f"{name} lacks {self.digest}, which a manifest of {self.repository} names",
                where=name,
                hint="push the image again",
            )
        if response.status_code == 206:
            unit, _, rest = response.headers.get("content-range", "").partition(" ")
            span, _, total = rest.partition("/")
            if unit != "bytes" or span.partition("-")[0] != str(start):
                client.is_unranged = True
                raise self.other_bytes(f"answers with the range {rest!r}", client)
            if total not in {"*", str(self.size_bytes)}:
                raise self.other_bytes(f"has {total} bytes", client)
            return 0
        if response.status_code == 416:
            raise self.other_bytes(f"has no byte {start}", client)
        is_page = answer_of(response, b"").is_page
        if response.status_code != 200 or is_page:
            answer = answer_of(response, beginning_of(response))
            raise client.refusal(f"GET {self.digest}", answer)
        size = response.headers.get("content-length")
        if size is not None and size != str(self.size_bytes):
            raise self.other_bytes(f"has {size} bytes", client)
        return start

    def other_bytes(self, what: str, *clients: RegistryClient) -> MealkitError:
        """Return the error for clients that sent other bytes; they are asked last from now on."""
        for client in clients:
            client.distrusted.add(self.digest)
        names = ", ".join(sorted(client.endpoint.registry for client in clients))
        return failure(
            "REGISTRY_DIGEST",
            f"the answer of {names} for {self.digest} ({self.size_bytes} bytes) {what}",
            where=names,
        )
