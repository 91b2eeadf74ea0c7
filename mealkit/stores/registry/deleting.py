"""Deletes tags and manifests from a registry; the registry frees their blobs later.

Protocol: distribution-spec v1.1, "Deleting Manifests" and "Deleting tags".
"""

from mealkit.errors import MealkitError, failure
from mealkit.oci.reference import Reference
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryCall

_DONE = frozenset({200, 202, 204})
# Not there, or no longer.
_ABSENT = frozenset({404, 410})
# The answers of registries that do not delete, or not by tag.
_UNSUPPORTED = frozenset({400, 405, 501})


def delete_manifest(client: RegistryClient, reference: Reference, name: str) -> bool:
    """Delete a tag, or a manifest by its digest with all its tags; return whether it was there.

    Raises:
        RegistryError: ``REGISTRY_REFUSED``: the registry does not allow it; ``REGISTRY_*``.
    """
    repository = client.endpoint.repository(reference.repository)
    scopes = (f"repository:{repository}:delete,pull,push",)
    answer = client.send(RegistryCall("DELETE", f"/v2/{repository}/manifests/{name}", scopes))
    if answer.status in _DONE and not answer.is_page:
        return True
    if answer.status in _ABSENT:
        return False
    if answer.status in _UNSUPPORTED:
        raise _unsupported(client, reference, name, client.words(answer))
    raise client.refusal(f"DELETE {name} of {repository}", answer)


def _unsupported(
    client: RegistryClient, reference: Reference, name: str, words: str
) -> MealkitError:
    what = "manifests" if name.startswith("sha256:") else "single tags"
    hint = (
        "ask its operator to allow deleting (docker-registry: storage.delete.enabled)"
        if name.startswith("sha256:")
        else f"to delete the image with all its tags, name its digest: {reference.name}@sha256:..."
    )
    return failure(
        "REGISTRY_REFUSED",
        f"{client.endpoint.registry} does not delete {what}{': ' if words else ''}{words}",
        where=str(reference),
        hint=hint,
    )
