"""Gives a manifest in a registry its tag; a version that exists is not given to other bytes.

Registries have no "create only": the tag is read before and after it is written.
"""

import time

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES
from mealkit.oci.image import Content
from mealkit.oci.reference import Reference
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryCall
from mealkit.stores.registry.manifests import put_manifest
from mealkit.stores.registry.upload import Outcome

_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))


def tagged(reference: Reference) -> Reference:
    """Return a reference with the tag ``latest`` if it has neither a tag nor a digest."""
    if reference.tag or reference.digest:
        return reference
    return Reference(reference.registry, reference.repository, "latest")


def named_digest(client: RegistryClient, reference: Reference) -> Digest | None:
    """Return what a reference's tag names now; None if it names nothing that can be read.

    Raises:
        RegistryError: ``REGISTRY_*``.
    """
    repository = client.endpoint.repository(reference.repository)
    path = f"/v2/{repository}/manifests/{reference.tag}"
    scopes = (f"repository:{repository}:pull,push",)
    answer = client.send(RegistryCall("HEAD", path, scopes, {"Accept": _ACCEPT}))
    if answer.status != 200 or answer.is_page:
        return None
    if answer.digest is not None:
        return Digest(answer.digest)
    answer = client.send(RegistryCall("GET", path, scopes, {"Accept": _ACCEPT}))
    return Digest.of(answer.body) if answer.status == 200 and not answer.is_page else None


def require_free(
    client: RegistryClient, reference: Reference, digest: Digest, *, replaces: bool
) -> Digest | None:
    """Check that a version is not another image's, and return what the tag names now.

    Raises:
        StoreError: ``VERSION_EXISTS``.
        RegistryError: ``REGISTRY_*``.
    """
    if reference.tag is None:
        return None
    found = named_digest(client, reference)
    if reference.is_version and not replaces and found not in {None, digest}:
        raise _taken(reference, f"is already {found}; the image to push is {digest}")
    return found


def give_name(
    client: RegistryClient, reference: Reference, content: Content, *, replaces: bool
) -> Outcome:
    """Put a manifest under a reference's tag; its blobs and parts are there already.

    If two pushes give a new version to different images at the same time, at least one of them
    fails.

    Raises:
        StoreError: ``VERSION_EXISTS``.
        RegistryError: ``REGISTRY_*``.
    """
    digest, name = content.descriptor.digest, reference.tag or str(content.descriptor.digest)
    started = time.monotonic()
    before = require_free(client, reference, digest, replaces=replaces)
    outcome = put_manifest(client, reference, content, name)
    if before is None and reference.is_version and not replaces:
        # A push that saw the free tag before this one has written its manifest by then.
        client.retry.sleep(0.05 + 3 * (time.monotonic() - started))
        now = named_digest(client, reference)
        if now not in {None, digest}:
            raise _taken(reference, f"was pushed by another command meanwhile, and is {now}")
    return outcome


def _taken(reference: Reference, what: str) -> MealkitError:
    return failure("VERSION_EXISTS", f"{reference} {what}", where=str(reference))
