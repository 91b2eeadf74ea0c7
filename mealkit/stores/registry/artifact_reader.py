"""Reads artifacts in registries for the sources of weights: manifests, and blobs of any size.

A large blob is read on several connections. Registries are opened for the first artifact, with the
settings of the environment.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.manifests import get_manifest
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.read_ahead import ReadAhead


class RegistryArtifacts:
    """The registries of one command; safe between threads, the caller closes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registries: Registries | None = None
        self._ahead = ReadAhead()

    def manifest(self, reference: Reference) -> tuple[bytes, str]:
        """Return the bytes of a manifest or index, checked against their digest, and its type.

        Raises:
            StoreError, RegistryError: as ``get_manifest`` does.
        """
        clients = self._opened().sources(reference)
        name = reference.digest or reference.tag or "latest"
        found = get_manifest(clients, reference, name)
        return found.raw, found.media_type

    def blob(self, reference: Reference, item: Descriptor) -> "AheadBlob":
        """Return a blob of the reference's repository; a complete read of it is verified."""
        clients = self._opened().sources(reference)
        blob = RegistryBlob(item.digest, item.size_bytes, reference.repository, clients)
        return AheadBlob(item.digest, item.size_bytes, blob, self._ahead)

    def close(self) -> None:
        """Close the connections."""
        self._ahead.close()
        if self._registries is not None:
            self._registries.close()

    def _opened(self) -> Registries:
        with self._lock:
            if self._registries is None:
                self._registries = Registries.from_environment()
            return self._registries


@dataclass(frozen=True, slots=True)
class AheadBlob:
    """A blob in a registry that is read ahead if it is large; implements ``Blob``."""

    digest: Digest
    size_bytes: int
    blob: RegistryBlob = field(repr=False)
    ahead: ReadAhead = field(repr=False, compare=False)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the requested range; after a complete one, its digest is checked.

        Raises:
            RegistryError, StoreError: as ``RegistryBlob.chunks`` does.
        """
        end = self.size_bytes if length is None else min(offset + length, self.size_bytes)
        if not self.ahead.is_large(end - offset):
            yield from self.blob.chunks(offset, length)
            return
        state = hashlib.sha256()
        used: set[RegistryClient] = set()
        with closing(self.ahead.chunks(self.blob, offset, end, used)) as chunks:
            for chunk in chunks:
                state.update(chunk)
                yield chunk
        found = f"sha256:{state.hexdigest()}"
        if (offset, end) == (0, self.size_bytes) and found != self.digest:
            for client in used:
                client.distrusted.add(self.digest)  # the next read asks it last
            names = ", ".join(sorted(client.endpoint.registry for client in used))
            message = f"the answer of {names} for {self.digest} has digest {found}"
            raise failure("REGISTRY_DIGEST", message, where=names)
