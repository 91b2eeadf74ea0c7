"""Reads the requirements that a kit, a lock or an image states, before it runs.

Nothing is pulled: for an image in a registry the manifest's annotations are enough.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mealkit.engines.registry import traits_of
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.opening_images import current_image, open_image, resolved
from mealkit.pipeline.targets import (
    ImageTarget,
    KitFolder,
    LockFile,
    RegistryReference,
    StoredDigest,
    recipe_named,
)
from mealkit.progress import SILENT, Progress
from mealkit.recipe.kit import Contact
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import ANNOTATION, Requirements, read_requirements
from mealkit.recipe.traits import EngineTraits
from mealkit.recipe.variant import plain_lock
from mealkit.stores.local import LocalStore
from mealkit.untrusted import UntrustedError, parse_json_object

# NAME:VERSION of a kit.
_KIT = re.compile(r"[a-z0-9._-]{1,128}:[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class Stated:
    """A kit's own statements before it is pulled: its name, requirements and owner."""

    name: str
    requirements: Requirements
    owner: Contact | None
    is_here: bool
    """Whether its image or its inputs are on this machine."""

    @property
    def engine(self) -> EngineTraits:
        """What mealkit knows about its engine."""
        demand = self.requirements.demand
        return traits_of(demand.engine if demand else None)


def open_recipe(
    target: str, home: Home, allowed: Sequence[Path], progress: Progress
) -> Lock | ImageTarget:
    """Return the lock for a kit's current contents, or a lock file; for an image, its target.

    ``progress`` gets a warning if a kit's lock is stale.

    Raises:
        KitError: the target states no recipe (``TARGET_UNFIT``), or the kit is not valid.
        LockError: the kit's lock is missing (``LOCK_MISSING``), has inputs that must be resolved
            again (``LOCK_STALE``), or cannot be read.
    """
    from mealkit.pipeline.kit.opened_kit import lock_at, open_kit

    match recipe_named(target):
        case KitFolder() as named:
            kit = open_kit(named, home, allowed, progress)
            lock = kit.lock_as_written()
            if kit.drift:
                progress.notice(kit.stale())
            return lock
        case LockFile() as file:
            return lock_at(file)
        case image:
            return resolved(image, home, progress)


def stated_by(
    recipe: Lock | ImageTarget, architecture: str, home: Home, progress: Progress = SILENT
) -> Stated:
    """Return the statements in a lock, an image's annotations, or a registry's manifest.

    From several variants, the one for the architecture is used.

    Raises:
        StoreError, RegistryError: the image does not exist, or states no requirements.
    """
    platform = Platform("linux", architecture)
    match recipe:
        case Lock():
            lock = plain_lock(recipe, architecture)
            name = f"{lock.about.name}:{lock.about.version}"
            return Stated(name, lock.requirements, lock.about.owner, is_here=True)
        case RegistryReference() as remote:
            current = current_image(remote, home, platform, progress)
            if isinstance(current, StoredDigest):
                stored = LocalStore(home.store).image(current.text, platform)
                return _stated(_texts_of(stored), remote.text, is_here=True)
            return _stated(_texts_at(current, platform), remote.text, is_here=False)
        case named:
            with open_image(named, home, platform) as image:
                return _stated(_texts_of(image), named.text, is_here=True)


def _texts_of(image: Image) -> Mapping[str, str]:
    """Return the manifest's annotations, or the labels: other tools drop annotations in copies."""
    return image.annotations if ANNOTATION in image.annotations else image.labels


def _texts_at(target: RegistryReference, platform: Platform) -> Mapping[str, str]:
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    with Registries.from_environment() as registries:
        remote = RemoteImages(registries)
        found = remote.annotations(target.reference, platform)
        return found if ANNOTATION in found else remote.image(target.reference, platform).labels


def bytes_to_write(stated: Stated, *, embedded: bool = False) -> int:
    """Return the bytes still to be written until a kit runs: pulled, and unpacked by the client.

    Pulled weights are mounted in place, unless they are ``embedded``.
    """
    requirements = stated.requirements
    weights = requirements.weights_bytes
    unpacked = max(0, requirements.disk_bytes - weights)
    pulled = 0 if stated.is_here else weights + unpacked
    return pulled + unpacked + (weights if embedded else 0)


def _stated(annotations: Mapping[str, str], where: str, *, is_here: bool) -> Stated:
    requirements = read_requirements(annotations, where)
    name = annotations.get("dev.mealkit.kit", where)
    return Stated(
        name if _KIT.fullmatch(name) else where, requirements, _owner(annotations), is_here
    )


def _owner(annotations: Mapping[str, str]) -> Contact | None:
    try:
        stated = annotations["dev.mealkit.owner"].encode(errors="surrogatepass")
        return Contact.model_validate(parse_json_object(stated))
    except (KeyError, UntrustedError, ValidationError):
        return None
