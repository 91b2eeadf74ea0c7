"""The limits of known registries, checked before an upload starts, and the form of their uploads.

The figures are the operators' own, as of November 2026; each has its source beside it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mealkit.errors import Problem, failures, problem
from mealkit.oci.image import Blob, Content, with_parts
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint
from mealkit.stores.registry.session import PIECE_BYTES
from mealkit.units import show_size

GB, MIB, GIB = 10**9, 2**20, 2**30
MANIFEST_BYTES = 4 * MIB
"""Registries need not accept larger manifests (distribution-spec "Pushing Manifests")."""

_SPLIT = (
    "split the weights into smaller files (safetensors: save_pretrained with max_shard_size; GGUF:"
    " gguf-split), or use another registry, or push the image without weights: --lean"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a registry; by default none is known."""

    name: str = ""
    layer_bytes: int | None = None
    """The largest layer that it accepts."""
    whole_bytes: int | None = None
    """The largest body of one request; a larger blob is sent in pieces."""
    piece_bytes: int = PIECE_BYTES
    takes_pieces: bool = True
    """Whether a blob can be sent in several requests."""
    upload_seconds: int | None = None
    """The longest time for one upload."""


_KNOWN: tuple[tuple[str, Limits], ...] = (
    # docs.github.com, "Working with the Container registry": 10 GB, 10 minutes.
    (r"ghcr\.io", Limits("GitHub", 10 * GB, piece_bytes=4 * MIB, upload_seconds=600)),
    # AWS service quotas of ECR Public: 10,000 MiB.
    (r"public\.ecr\.aws", Limits("ECR Public", 10_000 * MIB, piece_bytes=10 * MIB)),
    # AWS service quotas of ECR: 52,000 MiB; 4,200 parts of 5 to 10 MiB.
    (
        r"[0-9]{12}\.dkr[.-]ecr[a-z0-9.-]*\.(amazonaws\.com(\.cn)?|on\.aws)",
        Limits("ECR", 52_000 * MIB, piece_bytes=10 * MIB),
    ),
    # learn.microsoft.com, container-registry-skus: 200 GiB.
    (r"[a-z0-9-]+\.azurecr\.(io|cn|us)", Limits("Azure", 200 * GIB)),
    # Artifact Registry takes a blob only in one request (kitops#777, #780).
    (r"([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)", Limits("Google", takes_pieces=False)),
    # quay.io refuses bodies above 20 GB (oras-py#137).
    (r"quay\.io", Limits("Quay", whole_bytes=20 * GB)),
)


def limits_of(endpoint: RegistryEndpoint) -> Limits:
    """Return the known limits of a registry."""
    host = endpoint.authority.lower()
    return next((item for form, item in _KNOWN if re.fullmatch(form, host)), Limits())


def require_fits(content: Content, endpoint: RegistryEndpoint) -> None:
    """Check the sizes of all layers and manifests before anything is sent.

    Raises:
        RegistryError: ``LAYER_TOO_LARGE``, one problem for each.
    """
    found = list(_problems(content, endpoint))
    if found:
        raise failures(found)


def slow_upload(content: Content, endpoint: RegistryEndpoint) -> str | None:
    """Return a note if the largest layer needs a fast network: an upload may take only so long."""
    limits = limits_of(endpoint)
    largest = max((blob.size_bytes for blob in _blobs(content)), default=0)
    if limits.upload_seconds is None or largest < GB:
        return None
    rate = show_size(-(-largest // limits.upload_seconds))
    return (
        f"note: {endpoint.registry} ends an upload after {limits.upload_seconds // 60} minutes; the"
        f" largest layer ({show_size(largest)}) needs at least {rate} per second"
    )


def _problems(content: Content, endpoint: RegistryEndpoint) -> Iterator[Problem]:
    limits, where = limits_of(endpoint), endpoint.registry
    for item in with_parts(content):
        if len(item.raw_manifest) > MANIFEST_BYTES:
            yield problem(
                "LAYER_TOO_LARGE",
                f"the manifest {item.descriptor.digest} is larger than registries accept",
                where=where,
                measured=show_size(len(item.raw_manifest)),
                required=f"at most {show_size(MANIFEST_BYTES)}",
                hint="put the small files of the kit into fewer layers or annotations",
            )
    most = limits.layer_bytes
    large = {blob.digest: blob for blob in _blobs(content) if most and blob.size_bytes > most}
    for blob in large.values():
        yield problem(
            "LAYER_TOO_LARGE",
            f"the layer {blob.digest} is larger than {where} accepts",
            where=where,
            measured=show_size(blob.size_bytes),
            required=f"at most {show_size(most or 0)} ({limits.name})",
            hint=_SPLIT,
        )


def _blobs(content: Content) -> Iterator[Blob]:
    return (blob for item in with_parts(content) for blob in item.blobs)
