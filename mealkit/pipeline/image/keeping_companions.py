"""Keeps in the local store what a registry has about an image: signatures and attestations."""

from collections.abc import Iterable

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, RegistryError, problem
from mealkit.oci.artifact import Artifact
from mealkit.oci.image import BytesBlob, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.oci.reference import Reference
from mealkit.progress import Progress
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import DAMAGED
from mealkit.stores.registry.companions import (
    ATTESTATIONS,
    SIGNATURES,
    Companion,
    remote_companions,
    unkept,
)
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.remote_content import remote_content
from mealkit.units import show_size

MAX_COMPANION_BYTES = 64 * 1024 * 1024
"""Larger artifacts are not signatures or attestations, and stay in the registry."""

MAX_KEPT_BYTES = 256 * 1024 * 1024
"""All artifacts about an image that are kept; anyone who can write to a registry can add some."""


def keep_companions(
    subjects: Iterable[Digest],
    reference: Reference,
    registries: Registries,
    store: LocalStore,
    progress: Progress,
) -> int:
    """Store the artifacts about manifests, and return their number. Call it within ``use``.

    A registry that does not answer is a warning: the image itself is complete, and a policy that
    needs the signatures refuses it.
    """
    attached, kept = Attached(store), 0
    try:
        found = remote_companions(
            registries,
            reference,
            subjects,
            progress.notice,
            suffixes=(SIGNATURES, ATTESTATIONS),
            left_out=frozenset({MODELPACK}),
        )
        left_bytes = MAX_KEPT_BYTES
        # Signatures are small; what is large must not take the space of what is needed.
        for item in sorted(found, key=_size_bytes):
            size_bytes = _size_bytes(item)
            limit_bytes = min(left_bytes, MAX_COMPANION_BYTES)
            if size_bytes > limit_bytes:
                progress.notice(_not_kept(item, size_bytes, limit_bytes))
            elif _is_kept(item, attached, progress):
                left_bytes -= size_bytes
                kept += 1
            else:
                progress.notice(unkept(item, "is not kept"))
    except RegistryError as error:
        progress.notice(error.problems[0])
    return kept


def _is_kept(item: Companion, attached: Attached, progress: Progress) -> bool:
    """Store an artifact; one that is damaged in the registry is a warning, as others are not."""
    if not isinstance(item.content, Artifact):
        return False
    try:
        attached.add(item.content, item.about)
    except MealkitError as error:
        if error.problems[0].code not in DAMAGED:
            raise
        progress.notice(error.problems[0])
        return False
    return True


def _size_bytes(item: Companion) -> int:
    return sum(blob.size_bytes for blob in item.content.blobs)


def _not_kept(item: Companion, size_bytes: int, limit_bytes: int) -> Problem:
    message = f"the artifact {item.digest}, of type {item.kind}, is not kept"
    limit = f"at most {show_size(limit_bytes)}"
    return problem("IMAGE_INVALID", message, measured=show_size(size_bytes), required=limit)


def keep_other_parts(
    index: ImageIndex, reference: Reference, registries: Registries, store: LocalStore
) -> None:
    """Store what an index lists beside images, such as BuildKit's attestations, within ``use``."""
    whole = remote_content(registries.sources(reference), reference, index.digest)
    images = {image.digest for image in index.images}
    for part in (item for item in with_parts(whole) if item is not whole):
        if part.descriptor.digest not in images:
            for blob in part.blobs:
                store.keep(blob)
            store.keep(BytesBlob(part.raw_manifest))
