"""Opens what is to be deployed: the lock that a target states, deploy.yaml, and the image's digest.

The registry is asked only for what a tag names now; with a digest, nothing is asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from mealkit.deploy.deployment_file import (
    FILE_NAME,
    MAX_FILE_BYTES,
    DeploymentFile,
    read_deployment_file,
)
from mealkit.deploy.workload import Workload
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.choosing import image_at, manifests_below, only_entry
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.pipeline.kit.opened_kit import lock_at, open_kit
from mealkit.pipeline.opening_images import resolved
from mealkit.pipeline.targets import (
    ImageTarget,
    KitFolder,
    LockFile,
    RegistryReference,
    recipe_named,
)
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock, first_fault
from mealkit.recipe.variant import joined
from mealkit.untrusted import UntrustedError, read_file

_NAME_IT = "push the image, and name it in deploy.yaml or with --image REGISTRY/NAME:TAG"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """The arguments and options of the verbs that deploy."""

    target: str
    """A kit, a lock or an image."""
    file: Path | None = None
    """deploy.yaml; None: the one in the kit's folder, if there is one."""
    image: str | None = None
    """The image, instead of the file's."""
    name: str | None = None
    """The deployment's name, instead of the file's."""
    namespace: str | None = None
    """The namespace, instead of the file's."""
    allowed: Sequence[Path] = ()
    """Folders that may contain the kit's files, besides its own folder."""


@dataclass(frozen=True, slots=True)
class _Named:
    """An image by its digest, and its lock if the registry was asked."""

    reference: Reference
    lock: Lock | None


def workload_of(request: DeployRequest, home: Home, progress: Progress) -> Workload:
    """Return what is to be deployed.

    Raises:
        DeploymentError: ``DEPLOY_FILE_INVALID``; ``DEPLOY_IMAGE``, the image is not known by its
            digest, or has another recipe.
        MealkitError: the target cannot be read, or the registry cannot be asked.
    """
    target = resolved(recipe_named(request.target), home, progress)
    file = _file(request, target)
    named = file.image or (target.text if isinstance(target, RegistryReference) else None)
    if named is None:
        raise failure("DEPLOY_IMAGE", "no image is named", where=request.target, hint=_NAME_IT)
    image = _pinned(named, progress, ask=isinstance(target, RegistryReference))
    own = image.lock if isinstance(target, RegistryReference) and image.lock else None
    lock = own or _lock(target, request, home, progress)
    weights = None
    if file.weights.image is not None:
        weights = _pinned(file.weights.image, progress)
    for item in filter(None, (image, weights)):
        _require_recipe(item, lock)
    return Workload.of(lock, image.reference, file, weights.reference if weights else None)


def _file(request: DeployRequest, target: KitFolder | LockFile | ImageTarget) -> DeploymentFile:
    path = request.file
    if path is None and isinstance(target, KitFolder | LockFile):
        folder = target.path if target.path.is_dir() else target.path.parent
        path = folder / FILE_NAME if (folder / FILE_NAME).is_file() else None
    found = DeploymentFile() if path is None else read_deployment_file(_bytes(path), str(path))
    options = {"image": request.image, "name": request.name, "namespace": request.namespace}
    stated = {name: value for name, value in options.items() if value is not None}
    form = {**found.model_dump(mode="json", by_alias=True, exclude_unset=True), **stated}
    try:
        return DeploymentFile.model_validate_json(json.dumps(form))
    except ValidationError as error:
        raise failure("DEPLOY_FILE_INVALID", first_fault(error), where="options") from error


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path, MAX_FILE_BYTES)
    except (OSError, UntrustedError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"{path} cannot be read: {reason}"
        raise failure("DEPLOY_FILE_INVALID", message, where=str(path)) from error


def _lock(
    target: KitFolder | LockFile | ImageTarget,
    request: DeployRequest,
    home: Home,
    progress: Progress,
) -> Lock:
    match target:
        case KitFolder():
            return open_kit(target, home, request.allowed, progress).lock_as_written()
        case LockFile():
            return lock_at(target)
        case _:
            with open_kit_image(target, home, progress) as opened:
                return opened.lock


def _pinned(text: str, progress: Progress, *, ask: bool = False) -> _Named:
    """Return a reference with its digest; the registry is asked if it has none, or if ``ask``.

    Raises:
        DeploymentError: ``DEPLOY_IMAGE``, it names no registry, or its digest cannot be found.
    """
    reference = Reference.parse(text)
    if reference.registry is None:
        message = f"the image {text} names no registry"
        raise failure("DEPLOY_IMAGE", message, where=text, hint=_NAME_IT)
    if reference.digest is not None and not ask:
        return _Named(reference, None)
    progress.phase(f"looking up {text}")
    try:
        digest, lock = _asked(reference)
    except MealkitError as error:
        found = error.problems[0]
        if not found.code.startswith("REGISTRY_") and found.code != "IMAGE_NOT_FOUND":
            raise
        message = f"the digest of {text} cannot be found: {found.message}"
        hint = f"{found.hint}; or name the image by its digest"
        raise failure("DEPLOY_IMAGE", message, where=text, hint=hint) from error
    return _Named(replace(reference, tag=None, digest=digest), lock)


def _asked(reference: Reference) -> tuple[Digest, Lock]:
    """Return the digest of an image or index in a registry, and its lock."""
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    with Registries.from_environment() as registries:
        entries, source = RemoteImages(registries).opened(reference)
        subject = only_entry(entries, source.where)
        images = [image_at(item, source) for item in manifests_below([subject], source)]
        return subject.digest, joined([lock_of(image) for image in images])


def _require_recipe(image: _Named, lock: Lock) -> None:
    if image.lock is not None and image.lock.recipe != lock.recipe:
        raise failure(
            "DEPLOY_IMAGE",
            f"{image.reference} has the recipe {image.lock.recipe}, not {lock.recipe}",
            where=str(image.reference),
            hint="push the kit's image again, or name the image instead of the kit",
        )
