"""Removes images from the local store, or from a registry with everything that is about them.

In a registry, what refers to an image is deleted first: a referrer without its subject sends some
clients into an endless loop, and no one finds it to delete it later.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import MealkitError, StoreError, failure
from mealkit.oci.image import with_parts
from mealkit.oci.reference import Reference
from mealkit.pipeline.deployment_files import images_in_use
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import registry_named
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import Companion, remote_companions
from mealkit.stores.registry.deleting import delete_manifest
from mealkit.stores.registry.naming import named_digest
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import fallback_tag
from mealkit.stores.registry.remote_content import remote_content
from mealkit.stores.registry.tags import is_about_others, tags_of
from mealkit.stores.upkeep import unneeded_bytes


def remove_stored(texts: Sequence[str], home: Home) -> tuple[str, ...]:
    """Remove names, or images by digest, from the local store; return a line for each.

    Files are freed by ``prune``.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, or ``IMAGE_IN_USE``; nothing is removed then.
    """
    store = LocalStore(home.store)
    found = [(text, store.resolve(text).digest) for text in dict.fromkeys(texts)]
    _require_unused(found, store, home)
    lines = []
    for text, digest in found:
        others = [name for name in store.index().names(digest) if name != text]
        is_name = store.index().named(text) is not None
        store.remove(text if is_name else str(digest))
        kept = f"; it is still {', '.join(others)}" if is_name and others else ""
        lines.append(f"removed {text} ({digest}){kept}")
    return tuple(lines)


def unneeded_store_bytes(home: Home) -> int:
    """Return what "mealkit prune" frees in the store now; 0 if it is not known."""
    with suppress(StoreError):
        return unneeded_bytes(LocalStore(home.store), nameless=False)
    return 0


def _require_unused(found: Sequence[tuple[str, Digest]], store: LocalStore, home: Home) -> None:
    """Raise if the removal of a name or an image would delete what a deployment needs."""
    in_use, index = images_in_use(home), store.index()
    removed = {text for text, _ in found}
    for text, digest in found:
        left = set(index.names(digest)) - removed
        if index.named(text) is not None and left:
            continue
        needed = (digest, *store.needs(store.resolve(text))) if in_use else ()
        users = [in_use[str(item)] for item in needed if str(item) in in_use]
        if users:
            raise failure("IMAGE_IN_USE", f"{text} is the image of {users[0]}")


@dataclass(frozen=True, slots=True)
class Removal:
    """What deleting a reference from a registry would delete."""

    reference: Reference
    digest: Digest
    other_tags: tuple[str, ...]
    """Other tags of the same image; with one, only the reference's own tag is deleted."""
    manifests: tuple[Digest, ...]
    """The manifests to delete, an index before its images."""
    companions: tuple[Companion, ...]
    """What is about them, each after what it is about."""

    @property
    def is_tag_only(self) -> bool:
        """Whether the image stays, under other tags."""
        return self.reference.digest is None and bool(self.other_tags)


def planned_removal(text: str, progress: Progress) -> Removal:
    """Find what deleting a reference deletes: the image, its parts, and everything about them.

    The parts of an index that another tag also has stay.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``.
        RegistryError: ``REGISTRY_*``.
    """
    reference = registry_named(text).reference
    if not (reference.tag or reference.digest):
        raise failure(
            "USAGE", f"{text} has neither a tag nor a digest", hint=f"mealkit tags {text}"
        )
    with Registries.from_environment() as registries:
        client = registries.client(reference)
        progress.phase(f"reading {reference}")
        content = remote_content((client,), reference, reference.digest or reference.tag or "")
        own = [item.descriptor.digest for item in with_parts(content)]
        other_tags, used = _used_elsewhere(registries, reference, content.descriptor.digest)
        manifests = tuple(digest for digest in dict.fromkeys(reversed(own)) if digest not in used)
        is_tag_only = reference.digest is None and bool(other_tags)
        subjects = () if is_tag_only else manifests
        companions = remote_companions(registries, reference, subjects, progress.notice)
        return Removal(reference, content.descriptor.digest, other_tags, manifests, companions)


def remove_from_registry(removal: Removal, progress: Progress) -> str:
    """Delete what was planned; return a line that says so. A second call completes a first.

    Raises:
        RegistryError: ``REGISTRY_REFUSED``: the registry does not delete; ``REGISTRY_*``.
    """
    reference = removal.reference
    with Registries.from_environment() as registries:
        client = registries.client(reference)
        if removal.is_tag_only:
            delete_manifest(client, reference, reference.tag or "")
            return f"removed {reference}; {removal.digest} is still {', '.join(removal.other_tags)}"
        progress.phase(f"deleting {removal.digest}, and first what refers to it")
        companions = [item.digest for item in reversed(removal.companions)]
        for digest in (*companions, *removal.manifests):
            # The list of what is about it is empty by now, in a registry without the API.
            _delete_list(registries, reference, digest)
            delete_manifest(client, reference, digest)
    also = f", with {len(removal.companions)} artifacts about it" if removal.companions else ""
    tags = f" and its tags {', '.join(removal.other_tags)}" if removal.other_tags else ""
    return f"removed {reference} ({removal.digest}){tags}{also}"


def _delete_list(registries: Registries, reference: Reference, subject: Digest) -> None:
    """Delete a fallback tag's list; by its digest, because not all registries delete tags."""
    client = registries.client(reference)
    named = Reference(reference.registry, reference.repository, fallback_tag(subject))
    digest = named_digest(client, named)
    if digest is not None:
        delete_manifest(client, reference, digest)


def _used_elsewhere(
    registries: Registries, reference: Reference, digest: Digest
) -> tuple[tuple[str, ...], frozenset[Digest]]:
    """Return the other tags of an image, and the manifests that other tags need.

    Without a list of tags, everything but the image itself counts as needed.
    """
    client = registries.client(reference)
    tags, used = [], set[Digest]()
    for tag in tags_of(client, reference):
        if tag == reference.tag or is_about_others(tag):
            continue
        try:
            content = remote_content((client,), reference, tag)
        except MealkitError as error:
            if error.problems[0].code != "IMAGE_NOT_FOUND":
                raise
            continue
        if content.descriptor.digest == digest:
            tags.append(tag)
        else:
            used |= {item.descriptor.digest for item in with_parts(content)}
    return tuple(tags), frozenset(used)
