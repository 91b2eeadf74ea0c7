"""Finds the images that a text names, in the index of a local store, and checks new names."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.index import Index
from mealkit.oci.reference import Reference

_DIGEST_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


def checked_name(text: str) -> str:
    """Return a new name; it must have a tag, and no digest.

    Raises:
        StoreError: ``REFERENCE_INVALID``.
    """
    reference = Reference.parse(text)
    if reference.tag is None or reference.digest is not None:
        raise failure("REFERENCE_INVALID", f"{text!r} is not a name with a tag, like name:1.0.0")
    return str(reference)


def require_free_names(index: Index, names: Sequence[str], digest: Digest) -> None:
    """Check that no other image has one of the names.

    Raises:
        StoreError: ``VERSION_EXISTS``.
    """
    for name in names:
        found = index.named(name)
        if found is not None and found.digest != digest:
            message = f"{name} is already the name of {found.digest}; the new image is {digest}"
            raise failure("VERSION_EXISTS", message, where=name)


def near_names(text: str, names: Sequence[str]) -> str | None:
    """Return the hint for a name that no image has, if one has nearly that name."""
    plain = {name.rpartition(":")[0]: name for name in names}
    near = get_close_matches(text, [*names, *plain], n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? mealkit images lists all" if near else None


def by_digest(every: Mapping[Digest, Descriptor], text: str) -> list[Descriptor]:
    """Return the images whose digest is the text, or begins with it."""
    found = _DIGEST_PREFIX.fullmatch(text)
    if not found:
        return []
    return [item for digest, item in every.items() if digest.hex.startswith(found[1])]


def by_reference(index: Index, every: Mapping[Digest, Descriptor], text: str) -> list[Descriptor]:
    """Return the images that a reference without a tag, or with a digest, names."""
    if _DIGEST_PREFIX.fullmatch(text) and ("sha256:" in text or len(text) == 64):
        return []
    wanted = Reference.parse(text)
    if wanted.digest is not None:
        return [every[wanted.digest]] if wanted.digest in every else []
    if wanted.tag is not None:
        return []
    digests = {
        item.digest
        for name in index.names()
        if _is_named(name, wanted.name) and (item := index.named(name))
    }
    return [every[digest] for digest in sorted(digests)]


def _is_named(text: str, name: str) -> bool:
    """Return whether a name in an index is in a repository; other tools may have written it."""
    try:
        return Reference.parse(text).name == name
    except MealkitError:
        return False


def names_of(index: Index, found: list[Descriptor]) -> set[str]:
    """Return the names of images."""
    return {name for item in found for name in index.names(item.digest)}
