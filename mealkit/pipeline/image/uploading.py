"""Uploads an image, an index or an artifact with everything about it, to one reference.

The tag comes last: a server that may start only signed images never sees the tag without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.oci.image import Content, with_parts
from mealkit.oci.reference import Reference
from mealkit.progress import Progress
from mealkit.stores.registry.companions import Companion, publish, subject_of
from mealkit.stores.registry.layer_limits import require_fits, slow_upload
from mealkit.stores.registry.naming import give_name, require_free, tagged
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The result of an upload."""

    reference: Reference
    digest: Digest
    size_bytes: int
    sent_bytes: int
    """The bytes that the repository did not have."""
    companions: tuple[Companion, ...]
    """The signatures, attestations and other artifacts that are there too."""
    moved_from: Digest | None
    """What the tag named before, if that is another image."""


def upload(  # noqa: PLR0913  as many as the verbs have options
    content: Content,
    target: Reference,
    registries: Registries,
    progress: Progress,
    *,
    companions: Sequence[Companion] = (),
    mount_from: Sequence[str] = (),
    replaces: bool = False,
) -> Uploaded:
    """Push content by its digest, then its companions, then give it the reference's tag.

    Raises:
        StoreError: ``VERSION_EXISTS``: the tag is a version of other bytes, without ``replaces``.
        RegistryError: ``LAYER_TOO_LARGE``, before anything is sent; ``REGISTRY_*``.
        MealkitError: the content cannot be read.
    """
    reference, digest = tagged(target), content.descriptor.digest
    client = registries.client(reference)
    require_fits(content, client.endpoint)
    if note := slow_upload(content, client.endpoint):
        progress.phase(note)
    before = require_free(client, reference, digest, replaces=replaces)
    named = reference.digest or digest
    by_digest = Reference(reference.registry, reference.repository, digest=named)
    size_bytes = size_of(content)
    task = progress.task(f"pushing to {target}", size_bytes)
    report = push(content, by_digest, registries, mount_from=mount_from, advance=task.advance)
    task.done()
    kept = tuple(item for item in companions if item.suffix or subject_of(item.content))
    sent_bytes = report.sent_bytes
    if kept:
        with progress.step(f"pushing {len(kept)} signatures and other artifacts"):
            sent_bytes += sum(publish(item, reference, registries) for item in kept)
    give_name(client, reference, content, replaces=replaces)
    moved_from = before if before != digest else None
    return Uploaded(reference, digest, size_bytes, sent_bytes, kept, moved_from)


def size_of(content: Content) -> int:
    """Return the size of the layers of content and its parts, as a push counts it."""
    return sum(blob.size_bytes for item in with_parts(content) for blob in item.blobs[:-1])
