"""Lists the tags of a repository, page by page, in the order of versions.

Protocol: distribution-spec v1.1, "Listing Tags".
"""

import re
from typing import Any

from mealkit.errors import failure
from mealkit.oci.reference import Reference
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import json_of
from mealkit.stores.registry.pages import pages

MAX_TAGS = 100_000
"""A repository with more tags is not listed."""

_PAGE = 1000
# The fallback tag of a list of referrers, and cosign's older tags.
_ABOUT_OTHERS = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z]+)?")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_PARTS = re.compile(r"[0-9]+|[A-Za-z]+")


def tags_of(client: RegistryClient, reference: Reference, *, every: bool = False) -> list[str]:
    """Return the tags of a repository, versions first, oldest version first.

    ``every`` also returns the tags that keep signatures and lists of referrers.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: there is no such repository; ``IMAGE_INVALID``.
        RegistryError: ``REGISTRY_*``.
    """
    repository = client.endpoint.repository(reference.repository)
    found: set[str] = set()
    for answer in pages(client, f"/v2/{repository}/tags/list?n={_PAGE}", repository):
        if answer.status == 404:
            words = client.words(answer)
            raise failure(
                "IMAGE_NOT_FOUND",
                f"{client.endpoint.registry} has no repository {repository}"
                f"{': ' if words else ''}{words}",
                where=reference.name,
                hint="correct the repository's name, or push an image to it: mealkit push KIT REF",
            )
        if answer.status != 200 or answer.is_page:
            raise client.refusal(f"GET the tags of {repository}", answer)
        found |= _tags_in(json_of(answer.body), reference)
        if len(found) > MAX_TAGS:
            raise failure(
                "IMAGE_INVALID",
                f"{reference.name} has more than {MAX_TAGS} tags",
                where=str(reference),
            )
    kept = found if every else {tag for tag in found if not is_about_others(tag)}
    return sorted(kept, key=version_key)


def is_about_others(tag: str) -> bool:
    """Return whether a tag only keeps what is about an image, such as its signatures."""
    return _ABOUT_OTHERS.fullmatch(tag) is not None


def version_key(tag: str) -> tuple[Any, ...]:
    """Return a key that sorts 1.9.0 before 1.10.0, 2.0.0-rc1 before 2.0.0, and words last."""
    number, _, rest = tag.removeprefix("v").partition("-")
    if not number[:1].isdigit():
        return (1, (), (), tag)
    # A version without a suffix comes after its release candidates.
    return (0, _parts(number), (0, _parts(rest)) if rest else (1,), tag)


def _parts(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part) for part in _PARTS.findall(text)
    )


def _tags_in(form: Any, reference: Reference) -> set[str]:
    tags = form.get("tags") if isinstance(form, dict) else ()
    if tags is None:  # some registries, for a repository without tags
        return set()
    if not isinstance(tags, list) or not all(isinstance(item, str) for item in tags):
        raise failure("IMAGE_INVALID", "its list of tags is not valid", where=reference.name)
    return {item for item in tags if _TAG.fullmatch(item)}
