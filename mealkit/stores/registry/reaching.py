"""The registries that a command uses: one client each, with shared settings.

The settings are read from the environment once. Files and registries are used only when needed.
"""

import os
import threading
from collections.abc import Mapping
from typing import Self

import httpx2

from mealkit.errors import failure
from mealkit.oci.reference import Reference
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.realms import Realms, realms_of
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint, endpoint_of, mirrors_of
from mealkit.web.http_client import USER_AGENT, new_client
from mealkit.web.retry import Retry

# A registry may hash or move a whole layer before it answers the request that ends an upload.
_TIMEOUT = httpx2.Timeout(60.0, connect=10.0, read=300.0, pool=None)


class Registries:
    """Clients for registries and their mirrors; close it, or use it as a context manager."""

    def __init__(
        self,
        credentials: Credentials,
        mirrors: Mapping[str, tuple[RegistryEndpoint, ...]] | None = None,
        *,
        retry: Retry | None = None,
        realms: Realms | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Use these settings; ``transport`` replaces the network.

        ``realms`` are the additional token servers that may get a registry's credentials.
        """
        self._realms = realms
        self.retry = retry or Retry()
        self._credentials = credentials
        self._mirrors = mirrors or {}
        self._transport = transport
        self._http: httpx2.Client | None = None
        self._clients: dict[RegistryEndpoint, RegistryClient] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Use the credentials of docker and podman, and mealkit's own variables.

        They are ``MEALKIT_REGISTRY_MIRRORS`` and ``MEALKIT_TOKEN_REALMS``.

        Raises:
            RegistryError: ``REGISTRY_INSECURE``: a mirror would be read without TLS.
            StoreError: ``REFERENCE_INVALID``: one of them is not valid.
        """
        mirrors = mirrors_of(environment.get("MEALKIT_REGISTRY_MIRRORS", ""))
        realms = realms_of(environment.get("MEALKIT_TOKEN_REALMS", ""))
        return cls(Credentials.from_environment(environment), mirrors, realms=realms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; blobs in these registries can no longer be read."""
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = None
            self._clients.clear()

    def client(self, reference: Reference) -> RegistryClient:
        """Return the client for a reference's registry, where images are pushed to.

        Raises:
            StoreError: ``REFERENCE_INVALID``: the reference names no registry.
        """
        return self._client(endpoint_of(_registry(reference)), self.retry)

    def sources(self, reference: Reference) -> tuple[RegistryClient, ...]:
        """Return the clients to read from: the registry's mirrors, then the registry itself."""
        mirrors = self._mirrors.get(_registry(reference), ())
        # A mirror is tried once: another mirror or the registry is the better second attempt.
        hasty = Retry(1, sleep=self.retry.sleep)
        return (*(self._client(mirror, hasty) for mirror in mirrors), self.client(reference))

    def _client(self, endpoint: RegistryEndpoint, retry: Retry) -> RegistryClient:
        with self._lock:
            if self._http is None:
                self._http = self._open()
            if endpoint not in self._clients:
                self._clients[endpoint] = RegistryClient(
                    endpoint, self._http, self._credentials, retry, self._realms
                )
            return self._clients[endpoint]

    def _open(self) -> httpx2.Client:
        return new_client(
            transport=self._transport,
            timeout=_TIMEOUT,
            headers={"User-Agent": USER_AGENT},
        )


def _registry(reference: Reference) -> str:
    if reference.registry is None:
        raise failure(
            "REFERENCE_INVALID",
            f"{str(reference)!r} names no registry",
            hint="write it as REGISTRY/NAME:TAG",
        )
    return reference.registry
