"""Provenance of a kit's image from its lock (SLSA v1.1, https://slsa.dev/provenance/v1).

It has no times and no hosts, so it is the same for the same build, wherever it was made. The page
docs/reference/statements.md describes each field for its readers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.digest import Digest
from mealkit.oci.image import Image
from mealkit.recipe.lock import Lock, lock_bytes
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.variant import architectures_of, plain_locks
from mealkit.trust.purls import base_purl, deb_purl, origin_purl, wheel_purl

BUILD_TYPE = "https://mealkit.dev/build/v1"
"""The name of this kind of build: an image from a lock, assembled without running the kit."""
BUILDER = "https://mealkit.dev/builder"
"""The builder, if the signer states no other: mealkit, run on any machine."""


@dataclass(frozen=True, slots=True)
class Build:
    """A build: its lock with all architectures, and the result."""

    lock: Lock
    images: Sequence[Image]
    """The image of each architecture, in the lock's order."""
    created_seconds: int
    """The time of everything in the images: SOURCE_DATE_EPOCH, or 0."""
    kit_file: Digest | None = None
    """The digest of kit.yaml, if the signer has the kit."""
    builder: str = BUILDER


def provenance_of(build: Build) -> dict[str, Any]:
    """Return the predicate of a build."""
    lock = build.lock
    about = lock.about
    external: dict[str, Any] = {
        "kit": about.name,
        "version": about.version,
        "recipe": str(lock.recipe),
        "lock": str(Digest.of(lock_bytes(lock))),
    }
    if build.kit_file is not None:
        external["kitFile"] = str(build.kit_file)
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": {
                "architectures": list(architectures_of(lock)),
                "bytecode": lock.runtime.bytecode,
                "sourceDateEpoch": build.created_seconds,
            },
            "resolvedDependencies": _unique(_dependencies(lock)),
        },
        "runDetails": {
            "builder": {"id": build.builder, "version": {"mealkit": lock.mealkit_version}},
            "byproducts": _unique(_layers(build.images)),
        },
    }


def _dependencies(lock: Lock) -> Iterator[dict[str, Any]]:
    """Yield every input of a build, as in-toto's ResourceDescriptor."""
    yield from _files(lock)
    yield from _packages(lock)


def _files(lock: Lock) -> Iterator[dict[str, Any]]:
    for file in lock.model.files:
        yield _input(f"models/{file.path}", file.sha256, _purl(file))
    for dataset in lock.datasets_in_image.values():
        for file in dataset.files:
            yield _input(f"datasets/{file.path}", file.sha256, _purl(file))
    for file in lock.case_files:
        yield _input(f"cases/{file.path}", file.sha256)
    for name, prompt in sorted(lock.prompts.items()):
        yield _input(f"prompts/{name}", prompt.sha256)
    for path, code in sorted(lock.code.items()):
        yield _input(f"code/{path}", code.sha256)


def _packages(lock: Lock) -> Iterator[dict[str, Any]]:
    for plain in plain_locks(lock):
        base = plain.runtime.base
        if isinstance(base, LockedDebianBase):
            for deb in base.packages:
                name = deb.filename.rpartition("/")[2]
                yield _input(name, deb.sha256, deb_purl(deb, base.suite))
        else:
            yield _input(base.name or "base image", base.digest, base_purl(base))
        for wheel in plain.wheels:
            yield _input(wheel.filename, wheel.sha256, wheel_purl(wheel))


def _purl(file: LockedFile) -> str | None:
    """Return the package that the kit names first for a file of the model."""
    return next((purl for item in file.origins if (purl := origin_purl(item))), None)


def _input(name: str, digest: Digest, purl: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "digest": {"sha256": digest.hex}}
    return {"uri": purl, **found} if purl else found


def _layers(images: Sequence[Image]) -> Iterator[dict[str, Any]]:
    """Yield the layers of the images, lowest first, so that each can be compared by itself."""
    for image in images:
        architecture = image.platform.architecture
        for layer in image.layers:
            yield {
                "name": layer.created_by or "layer",
                "digest": {"sha256": layer.blob.digest.hex},
                "mediaType": layer.media_type,
                "annotations": {"dev.mealkit.architecture": architecture},
            }


def _unique(found: Iterator[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each descriptor once: variants share most inputs."""
    kept: dict[str, dict[str, Any]] = {}
    for item in found:
        kept.setdefault(repr(item), dict(item))
    return list(kept.values())
