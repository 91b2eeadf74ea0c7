"""Keeps in the local store what a registry has about an image: signatures and attestations."""

from collections.abc import Iterable

from mealkit.digest import Digest
from mealkit.errors import RegistryError, problem
from mealkit.oci.artifact import Artifact
from mealkit.oci.image import BytesBlob, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.oci.reference import Reference
from mealkit.progress import Progress
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import (
    ATTESTATIONS,
    MODEL_PACK,
    SIGNATURES,
    remote_companions,
    unkept,
)
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.remote_content import remote_content
from mealkit.units import show_size

MAX_COMPANION_BYTES = 64 * 1024 * 1024
"""Larger artifacts are not signatures or attestations, and stay in the registry."""


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
            left_out=frozenset({MODEL_PACK}),
        )
        for item in found:
            size_bytes = sum(blob.size_bytes for blob in item.content.blobs)
            if size_bytes > MAX_COMPANION_BYTES:
                message = f"the artifact {item.digest}, of type {item.kind}, is not kept"
                limit = f"at most {show_size(MAX_COMPANION_BYTES)}"
                measured = show_size(size_bytes)
                progress.notice(
                    problem("IMAGE_INVALID", message, measured=measured, required=limit)
                )
            elif isinstance(item.content, Artifact):
                attached.add(item.content, item.about)
                kept += 1
            else:
                progress.notice(unkept(item, "is not kept"))
    except RegistryError as error:
        progress.notice(error.problems[0])
    return kept


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
