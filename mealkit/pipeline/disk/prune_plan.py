"""Says what pruning would delete, and deletes what was chosen of it.

Files that no image needs, and their copies in Docker and podman, can be made again. Images without
a name and the logs of ended kits cannot, so they go only if a person agrees.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mealkit.assembly.lean import lean_image
from mealkit.containers.container import Container
from mealkit.deploy.deployment import LABEL_DEPLOYMENT
from mealkit.digest import Digest
from mealkit.errors import MealkitError, StoreError
from mealkit.oci.index import ImageIndex
from mealkit.pipeline.disk.pruning import prune, unneeded_home_bytes, used_images
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.loaded_images import LoadedCopy, remove_copy, unneeded_copies
from mealkit.pipeline.machine.clients import client_of, kits_of_home
from mealkit.pipeline.run.names_of_own import is_left
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore, StoredImage


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What can go."""

    nameless: tuple[StoredImage, ...]
    """Images without a name that no deployment and no running kit uses."""
    ended: tuple[Container, ...]
    """Kits of this home that have ended, or that a killed command has left; their logs go, too."""
    copies: tuple[LoadedCopy, ...]
    """Images in Docker and podman, loaded by this home, whose images are not in the store."""
    file_bytes: int
    """Files in the home that no image needs."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can go."""
        return not (self.nameless or self.ended or self.copies or self.file_bytes)


def plan_pruning(home: Home, *, nameless: bool) -> PrunePlan:
    """Return what can go; with ``nameless`` also images without a name and ended kits.

    Raises:
        DeploymentError: ``DEPLOYMENT_INVALID``: what a deployment needs is not known.
    """
    store, in_use = LocalStore(home.store), used_images(home)
    unnamed = tuple(_unnamed(store, in_use)) if nameless else ()
    gone = {item.digest for item in unnamed}
    file_bytes = 0
    with suppress(StoreError):  # of a damaged image, which pruning refuses or deletes
        file_bytes = unneeded_home_bytes(home, gone)
    return PrunePlan(
        nameless=unnamed,
        ended=tuple(_ended(home)) if nameless else (),
        copies=tuple(unneeded_copies(_kept(store, gone), home)),
        file_bytes=file_bytes,
    )


def carry_out(plan: PrunePlan, *, damaged: bool, home: Home, progress: Progress) -> int:
    """Delete what a plan names; return the bytes freed. ``damaged``: see `prune`.

    Raises:
        StoreError: ``STORE_BUSY``, another process uses the store.
        ContainerError: ``CLIENT_UNAVAILABLE``, an engine has ended meanwhile.
    """
    nameless = bool(plan.nameless)
    freed = prune(damaged=damaged, nameless=nameless, home=home, progress=progress)
    for item in plan.ended:
        with suppress(MealkitError):  # it was removed meanwhile
            client_of(item.name, home).remove(item.name)
    return freed + sum(remove_copy(item) for item in plan.copies)


def _unnamed(store: LocalStore, in_use: set[str]) -> Iterator[StoredImage]:
    for item in store.images():
        if item.names:
            continue
        try:
            needed = store.needs(store.resolve(str(item.digest)))
        except MealkitError:
            yield item
            continue
        if not any(str(digest) in in_use for digest in (item.digest, *needed)):
            yield item


def _ended(home: Home) -> Iterator[Container]:
    for item in kits_of_home(home):
        is_over = item.exit is not None or is_left(item.name, home)
        if is_over and LABEL_DEPLOYMENT not in item.labels:
            yield item


def _kept(store: LocalStore, gone: set[Digest]) -> set[str]:
    """Return the digests of the images that stay, with and without their weights."""
    kept: set[str] = set()
    for stored in store.images():
        if stored.digest in gone:
            continue
        try:
            content = store.content(str(stored.digest))
        except MealkitError:
            continue
        for image in content.images if isinstance(content, ImageIndex) else (content,):
            kept |= {str(image.digest), str(lean_image(image).digest)}
    return kept
