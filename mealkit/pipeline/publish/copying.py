"""Copies an image from one reference to another, with everything about it, past the local store."""

from pathlib import Path

from mealkit.errors import failure
from mealkit.oci.image import with_parts
from mealkit.oci.reference import Reference
from mealkit.pipeline.image.uploading import Uploaded, upload
from mealkit.pipeline.targets import registry_named
from mealkit.progress import Progress
from mealkit.stores.registry.companions import SIGNATURES, remote_companions
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.remote_content import remote_content


def copy(
    source: str,
    target: str,
    progress: Progress,
    *,
    replaces: bool = False,
    uploads: Path | None = None,
) -> Uploaded:
    """Copy an image, an index with all its images, or an artifact; bytes keep their digests.

    A target without a tag gets the source's. Within one registry, layers are mounted. ``uploads``
    is the home's folder of unfinished uploads.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``VERSION_EXISTS``.
        RegistryError: ``LAYER_TOO_LARGE``, ``REGISTRY_*``.
    """
    here, there = registry_named(source).reference, _target(source, target)
    with Registries.from_environment(uploads=uploads) as registries:
        progress.phase(f"reading {here}")
        name = here.digest or here.tag or "latest"
        content = remote_content(registries.sources(here), here, name)
        subjects = [item.descriptor.digest for item in with_parts(content)]
        companions = remote_companions(registries, here, subjects, progress.notice)
        if any(item.suffix == SIGNATURES for item in companions) and here.name != there.name:
            progress.phase(
                f"note: signatures for podman name their place, {here.name}; podman accepts them at"
                f" {there.name} if its policy.json remaps the identity, or after: mealkit sign"
            )
        return upload(
            content, there, registries, progress, companions=companions, replaces=replaces
        )


def _target(source: str, target: str) -> Reference:
    here, there = registry_named(source).reference, registry_named(target).reference
    if there.tag or there.digest or not (here.tag or here.digest):
        return there
    if here.tag is None:
        return Reference(there.registry, there.repository, digest=here.digest)
    if (here.registry, here.repository) == (there.registry, there.repository):
        raise failure("USAGE", f"{target} is where {source} is", hint="name another tag")
    return Reference(there.registry, there.repository, here.tag)
