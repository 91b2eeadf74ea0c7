"""Opens the image that a target names, wherever it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar, assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem
from mealkit.oci.choosing import Source, find_image
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import (
    ArchiveFile,
    ElsewhereTarget,
    ImageTarget,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    image_named,
)
from mealkit.preflight.cpu import architecture
from mealkit.progress import SILENT, Progress
from mealkit.stores.local import LocalStore
from mealkit.web.retry import Retry

_Target = TypeVar("_Target")

Opened = tuple[Sequence[Descriptor], Source]
"""The image or index that a target names, and the reader of its bytes."""


@contextmanager
def open_image(
    target: str | ImageTarget,
    home: Home,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> Iterator[Image]:
    """Open an image; its layers can be read while it is open.

    An image in a registry is taken from the local store if the store has what its tag names now.
    From an index, the image for ``platform`` is opened, by default this machine's.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    with open_source(target, home, platform, progress) as (entries, source):
        yield find_image(entries, source, platform or this_platform(), is_preference=True)


@contextmanager
def open_source(
    target: str | ImageTarget,
    home: Home,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> Iterator[Opened]:
    """Open the image or index without choosing a platform; otherwise like ``open_image``."""
    found = image_named(target) if isinstance(target, str) else target
    found = resolved(found, home, progress)
    if isinstance(found, RegistryReference):
        current = current_image(found, home, platform, progress)
        found = current if isinstance(current, StoredDigest) else found
    match found:
        case StoredName() | StoredDigest():
            yield LocalStore(home.store).opened(found.text)
        case RegistryReference() | LayoutFolder() | ArchiveFile():
            with _opened_elsewhere(found) as opened:
                yield opened
        case _:
            assert_never(found)


def resolved(
    target: _Target, home: Home, progress: Progress = SILENT
) -> _Target | RegistryReference:
    """Return a target; for a name that the local store lacks, what the user's catalogues list.

    Without catalogues, a name is one in the local store. ``progress`` is told where a kit is from.

    Raises:
        StoreError: ``KIT_UNLISTED``; ``CATALOGUE_*``.
        RegistryError: a catalogue cannot be read.
    """
    if not isinstance(target, StoredName):
        return target
    from mealkit.pipeline.catalogs.short_names import from_catalogs

    return from_catalogs(target, home, progress) or target


def this_platform() -> Platform:
    """Return the platform of this machine's images."""
    return Platform("linux", architecture())


def current_image(
    target: RegistryReference,
    home: Home,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> StoredDigest | RegistryReference:
    """Return what a reference names now: an image in the local store, or one in the registry.

    A tag may have moved since it was pulled, so the registry is asked for its digest. If the
    registry cannot be reached, the image that was pulled before is returned, with a warning that
    names its digest. A digest cannot move: the registry is asked only for one that is not stored.

    Raises:
        StoreError, RegistryError: the image does not exist, or the registry refuses.
    """
    if target.is_absent:
        return target
    wanted, store = platform or this_platform(), LocalStore(home.store)
    stored = _stored_digest(target, store, wanted)
    if target.reference.digest is not None:
        return replace(target, is_absent=True) if stored is None else StoredDigest(str(stored))
    progress.phase(f"looking up {target.text}")
    if stored is None:
        return replace(target, is_absent=True)
    try:
        found = _digest_at_registry(target, wanted)
    except MealkitError as error:
        if error.problems[0].code != "REGISTRY_UNREACHABLE":
            raise _with_stored(error, stored) from error
        progress.notice(_not_asked(error.problems[0], target, stored))
        return StoredDigest(str(stored))
    if found == stored:
        return StoredDigest(str(found))
    progress.phase(f"note: {target.text} is now {found}; the image pulled before is {stored}")
    return replace(target, is_absent=True)


def _stored_digest(
    target: RegistryReference, store: LocalStore, platform: Platform
) -> Digest | None:
    try:
        opened = store.opened(target.text)
    except MealkitError as error:
        if error.problems[0].code != "IMAGE_NOT_FOUND":
            raise
        return None
    return find_image(*opened, platform, is_preference=True).digest


def _digest_at_registry(target: RegistryReference, platform: Platform) -> Digest:
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    # There is an image to use, so a machine without a network should not wait long.
    with Registries.from_environment(retry=Retry(attempts=2)) as registries:
        return RemoteImages(registries).resolve(target.reference, platform).digest


def _with_stored(error: MealkitError, stored: Digest) -> MealkitError:
    """Add to a refusal how to use the image that was pulled before, whatever its tag names now."""
    found = error.problems[0]
    hint = f"{found.hint}; or use the image that was pulled before by its digest: {stored}"
    return type(error)(replace(found, hint=hint))


def _not_asked(problem: Problem, target: RegistryReference, stored: Digest) -> Problem:
    """Return the warning that a tag may have moved."""
    return replace(
        problem,
        message=f"{problem.message}; {target.text} is the image that was pulled before, {stored}",
        hint="if the tag may have moved, try again when the registry can be reached",
    )


@contextmanager
def open_elsewhere(target: ElsewhereTarget, platform: Platform | None = None) -> Iterator[Image]:
    """Open an image outside the local store; closing it also closes the registry's connection.

    Raises:
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    with _opened_elsewhere(target) as (entries, source):
        yield find_image(entries, source, platform)


@contextmanager
def _opened_elsewhere(target: ElsewhereTarget) -> Iterator[Opened]:
    match target:
        case LayoutFolder():
            from mealkit.stores.layout import open_layout

            yield open_layout(target.path)
        case ArchiveFile():
            from mealkit.stores.archive import open_archive

            yield open_archive(target.path)
        case RegistryReference():
            from mealkit.stores.registry.pull import RemoteImages
            from mealkit.stores.registry.reaching import Registries

            with Registries.from_environment() as registries:
                yield RemoteImages(registries).opened(target.reference)
        case _:
            assert_never(target)
