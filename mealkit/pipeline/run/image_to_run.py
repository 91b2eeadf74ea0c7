"""Gets the image that ``mealkit run`` starts into the local store, if the policies accept it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_opened, image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import clients
from mealkit.pipeline.opening_images import open_source
from mealkit.pipeline.policy.admitting import acceptance, accepted, require_local_builds
from mealkit.pipeline.policy.candidates import (
    built_candidate,
    keep_artifacts,
    opened_candidate,
    stored_candidate,
)
from mealkit.pipeline.targets import (
    ArchiveFile,
    ImageTarget,
    KitFolder,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
)
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore

if TYPE_CHECKING:
    from mealkit.pipeline.image.pulling import Early


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run: as the caller wrote it, and where it was found."""

    text: str
    opened: OpenedKit | ImageTarget
    platform: Platform
    client: str | None


def image_to_run(
    wanted: Wanted,
    named: KitFolder | ImageTarget,
    home: Home,
    progress: Progress,
    early: "Early | None" = None,
) -> Image:
    """Return the image of a kit, from the local store or a registry; it is in the store then.

    ``named`` is what the caller named, before it was looked up here. ``early`` begins with an
    image while its weights are pulled.

    Raises:
        TrustError: a policy of this machine refuses it.
    """
    store, platform = LocalStore(home.store), wanted.platform
    match wanted.opened:
        case OpenedKit() as kit:
            require_local_builds(wanted.text)
            report = build_opened(
                kit,
                frozen=False,
                places=Outputs().places(),
                home=home,
                progress=progress,
                taken=Taken.KEPT,
            )
            image = store.image(str(report.digest), platform)
            return accepted(built_candidate(wanted.text, image), progress)
        case StoredName() | StoredDigest() as stored:
            image = store.image(stored.text, platform)
            origin = named.reference if isinstance(named, RegistryReference) else None
            accepted(stored_candidate(wanted.text, image, store, origin), progress)
            return _verified(image, store, progress)
        case RegistryReference() as remote:
            from mealkit.containers.select import choose
            from mealkit.pipeline.image.pulling import pull

            return pull(
                remote.reference,
                platform.architecture,
                home,
                progress,
                accept=acceptance(remote.reference, progress),
                early=early,
                is_unpacked=choose(clients(home), wanted.client).name == "sandbox",
            )
        case LayoutFolder() | ArchiveFile() as file:
            with open_source(file, home, platform) as opened:
                candidate = opened_candidate(file.text, opened, platform=platform)
                image = _stored(accepted(candidate, progress), file.text, store, progress)
                keep_artifacts(candidate, store)
                return image
        case _:
            assert_never(wanted.opened)


def _stored(image: Image, target: str, store: LocalStore, progress: Progress) -> Image:
    """Store an image from elsewhere, under its own name if no other image has that name."""
    name = image_name(lock_of(image))
    task = progress.task(f"storing {target}", sum(item.blob.size_bytes for item in image.layers))
    with store.use():
        store.put(image, [], task.advance)
        holder = store.claim(image.digest, name)
    task.done()
    if holder is not None:
        progress.phase(
            f"note: its name {name} already names another image here ({holder});"
            f" it is stored without a name, as {image.digest}"
        )
    return store.image(str(image.digest))


def _verified(image: Image, store: LocalStore, progress: Progress) -> Image:
    """Verify weights again that were changed or moved since the last check."""
    stale = [layer.blob for layer in image.layers if not store.has(layer.blob.digest)]
    if not stale:
        return image
    from mealkit.stores.upkeep import refresh_sources

    task = progress.task("verifying changed files", sum(blob.size_bytes for blob in stale))
    refresh_sources(image, store, task.advance)
    task.done()
    return store.image(str(image.digest))
