"""Reads lists that a registry sends in pages: tags and referrers.

Protocol: distribution-spec v1.1, "Listing Tags" and "Listing Referrers"; the next page is in
``Link`` (RFC 8288) with ``rel="next"``.
"""

from collections.abc import Iterator

import httpx2

from mealkit.errors import failure
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryAnswer, RegistryCall

_MOST_PAGES = 100


def pages(
    client: RegistryClient, path: str, repository: str, accept: str = "application/json"
) -> Iterator[RegistryAnswer]:
    """Yield the answers to a request and to the pages that they link to, of any status.

    A registry that redirects to another host has no such list; its redirect is yielded.

    Raises:
        StoreError: ``IMAGE_INVALID``: there are too many pages.
        RegistryError: ``REGISTRY_*``.
    """
    scopes = (f"repository:{repository}:pull",)
    for _ in range(_MOST_PAGES):
        call = RegistryCall("GET", path, scopes, {"Accept": accept}, stays=True)
        answer = client.send(call)
        yield answer
        following = _following(answer)
        if following is None:
            return
        path = following
    name = client.endpoint.registry
    message = f"a list of {repository} has more than {_MOST_PAGES} pages"
    raise failure("IMAGE_INVALID", message, where=name)


def _following(answer: RegistryAnswer) -> str | None:
    """Return the address of the next page."""
    target, _, parameters = answer.headers.get("link", "").partition(">")
    if not target.startswith("<") or "rel=next" not in parameters.replace('"', ""):
        return None
    try:
        return str(answer.url.join(target[1:]))
    except httpx2.InvalidURL:
        return target[1:]  # the client refuses it, with a message
