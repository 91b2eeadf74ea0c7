"""The registries that a command uses: one client each, with shared settings.

The settings are read from the environment once. Files and registries are used only when needed.
"""

import os
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx2

from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.reference import Reference
from mealkit.stores.registry.certificates import CertificateFolders
from mealkit.stores.registry.client import TIMEOUT, RegistryClient
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.engine_mirrors import EngineMirrors
from mealkit.stores.registry.realms import VARIABLE as REALMS_VARIABLE
from mealkit.stores.registry.realms import Realms, realms_of
from mealkit.stores.registry.registry_endpoint import (
    MIRRORS_VARIABLE,
    PLAIN_VARIABLE,
    RegistryEndpoint,
    endpoint_of,
    mirrors_of,
    plain_of,
)
from mealkit.stores.registry.unfinished import UnfinishedUploads
from mealkit.web.http_client import USER_AGENT, new_client
from mealkit.web.retry import Retry
from mealkit.web.trust import shared_context, tls_context


class Registries:
    """Clients for registries and their mirrors; close it, or use it as a context manager."""

    def __init__(
        self,
        credentials: Credentials,
        mirrors: Mapping[str, tuple[RegistryEndpoint, ...]] | None = None,
        *,
        retry: Retry | None = None,
        realms: Realms | None = None,
        certificates: CertificateFolders | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Use these settings; ``transport`` replaces the network.

        ``realms`` are the additional token servers that may get a registry's credentials, and the
        registries that use HTTP without TLS.
        """
        self._realms = realms or Realms()
        self._certificates = certificates or CertificateFolders()
        self.retry = retry or Retry()
        self.unfinished = UnfinishedUploads()
        """The uploads of killed pushes, with which the next push goes on."""
        self.engine_mirrors = EngineMirrors()
        self.unused_mirrors: dict[Problem, None] = {}
        """The engine's mirrors that were left out so far, with the reason."""
        self._credentials = credentials
        self._mirrors = mirrors or {}
        self._transport = transport
        self._https: list[httpx2.Client] = []
        """The shared client first, then one for each registry with its own certificates."""
        self._clients: dict[RegistryEndpoint, RegistryClient] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        retry: Retry | None = None,
        uploads: Path | None = None,
        credentials: Credentials | None = None,
    ) -> Self:
        """Use credentials, certificates and mirrors of the engines, and mealkit's own variables.

        ``uploads`` is the folder for the records of unfinished uploads; without one there are none.
        The variables are ``MEALKIT_REGISTRY_MIRRORS``, ``MEALKIT_TOKEN_REALMS`` and
        ``MEALKIT_PLAIN_HTTP``; ``MEALKIT_ENGINE_MIRRORS`` replaces the engines' files with mirrors.
        ``credentials`` replace the stored ones.

        Raises:
            RegistryError: ``REGISTRY_INSECURE``: a mirror would be read without TLS.
            StoreError: ``REFERENCE_INVALID``: one of them is not valid.
        """
        plain = plain_of(environment.get(PLAIN_VARIABLE, ""))
        found = cls(
            credentials or Credentials.from_environment(environment),
            mirrors_of(environment.get(MIRRORS_VARIABLE, ""), plain),
            retry=retry,
            realms=realms_of(environment.get(REALMS_VARIABLE, ""), plain),
            certificates=CertificateFolders.from_environment(environment),
        )
        found.unfinished = UnfinishedUploads(uploads)
        found.engine_mirrors = EngineMirrors.from_environment(environment)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; blobs in these registries can no longer be read."""
        with self._lock:
            for http in self._https:
                http.close()
            self._https.clear()
            self._clients.clear()

    def client(self, reference: Reference) -> RegistryClient:
        """Return the client for a reference's registry, where images are pushed to.

        Raises:
            StoreError: ``REFERENCE_INVALID``: the reference names no registry.
        """
        return self._client(self._endpoint(reference), self.retry)

    def sources(self, reference: Reference) -> tuple[RegistryClient, ...]:
        """Return the clients to read from: the registry's mirrors, then the registry itself."""
        origin = self._endpoint(reference).registry
        found = self.engine_mirrors.of(origin, self._realms.plain)
        self.unused_mirrors |= dict.fromkeys(found.unused)
        # A mirror is tried once: another mirror or the registry is the better second attempt.
        hasty = Retry(1, sleep=self.retry.sleep)
        clients = [self._client(mirror, hasty) for mirror in self._mirrors.get(origin, ())]
        for mirror in found.endpoints:
            try:
                clients.append(self._client(mirror, hasty))
            except MealkitError as error:  # its certificates cannot be read
                reason = error.problems[0].message
                unused = problem("MIRROR_UNUSED", f"the mirror {mirror.authority}: {reason}")
                self.unused_mirrors[unused] = None
        return (*dict.fromkeys(clients), self.client(reference))

    def _endpoint(self, reference: Reference) -> RegistryEndpoint:
        if reference.registry is None:
            raise failure(
                "REFERENCE_INVALID",
                f"{str(reference)!r} names no registry",
                hint="write it as REGISTRY/NAME:TAG",
            )
        return endpoint_of(reference.registry, self._realms.plain)

    def _client(self, endpoint: RegistryEndpoint, retry: Retry) -> RegistryClient:
        with self._lock:
            if not self._https:
                self._https.append(self._open(shared_context()))
            if endpoint not in self._clients:
                http = self._https[0]
                names = (endpoint.registry, endpoint.authority)
                context, note = self._certificates.context(names, tls_context, endpoint.authorities)
                if context is not None:
                    http = self._open(context)
                    self._https.append(http)
                self._clients[endpoint] = RegistryClient(
                    endpoint, http, self._credentials, retry, self._realms, note
                )
            return self._clients[endpoint]

    def _open(self, context: ssl.SSLContext) -> httpx2.Client:
        return new_client(
            verify=context,
            transport=self._transport,
            timeout=TIMEOUT,
            headers={"User-Agent": USER_AGENT},
        )
