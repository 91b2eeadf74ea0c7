"""Signs images: in a registry in both layouts, in the local store as a bundle.

A signature that the key has made already is kept, so signing again changes nothing. Raises
RegistryError and StoreError as the places do.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.artifact import Artifact, Attachment
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.signatures.gathering import Referrers, RepositoryReferrers, gather
from mealkit.pipeline.signatures.signed_images import LOCAL, attach_to, signed_image
from mealkit.pipeline.targets import (
    ArchiveFile,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    image_named,
)
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.manifests import get_manifest
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers, attach, detach
from mealkit.trust.bundle import bundle_artifact, signed_bundle
from mealkit.trust.keyless import sign_with_identity
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import SigningKey
from mealkit.trust.simple_signing import (
    MAX_SIGNATURES,
    signature_artifact,
    signature_tag,
    simple_payload,
    simple_signature,
)
from mealkit.trust.statement import Statement
from mealkit.trust.verified import SIGNED, Form, Verified

# Another signer may replace the tag between reading and writing: write until ours stays.
_MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class PlacedSignature:
    """A signature of an image: where it is, in which layout, and whether it was added now."""

    place: str
    form: Form
    is_new: bool


@dataclass(frozen=True, slots=True)
class SignReport:
    """What was signed, by which key, and where the signatures are."""

    digest: Digest
    signer: str
    """The fingerprint of the key; for an identity, words."""
    signatures: tuple[PlacedSignature, ...]


def sign(target: str, key: SigningKey, home: Home) -> SignReport:
    """Sign an image or an index in a registry or in the local store.

    An image in a registry is also signed in the local store if it is there.

    Raises:
        KitError: the target cannot be signed (``TARGET_UNFIT``).
        RegistryError, StoreError: the image does not exist, or the place refuses.
    """
    with to_sign(target, home) as (subject, place):
        if place is None:
            return sign_before_push(subject, (), key, home)
        store = LocalStore(home.store)
        return sign_in_registry(subject, place.reference, key, place.registries, store)


@dataclass(frozen=True, slots=True)
class InRegistry:
    """The place of an image in a registry, which is connected."""

    reference: Reference
    registries: Registries


@contextmanager
def to_sign(target: str, home: Home) -> Iterator[tuple[Descriptor, InRegistry | None]]:
    """Yield the image or index to sign, and its registry; None: it is in the local store.

    A registry's mirrors are not asked: what is signed is what the registry itself has.

    Raises:
        KitError: the target cannot be signed (``TARGET_UNFIT``).
        RegistryError, StoreError: the image does not exist, or cannot be read.
    """
    match image_named(target):
        case StoredName() | StoredDigest() as found:
            yield LocalStore(home.store).resolve(found.text), None
        case RegistryReference(reference=reference):
            with Registries.from_environment() as registries:
                name = reference.digest or reference.tag or "latest"
                client = registries.client(reference)
                subject = get_manifest((client,), reference, name).descriptor
                yield subject, InRegistry(reference, registries)
        case LayoutFolder() | ArchiveFile() as found:
            raise _unfit(found)
        case other:
            assert_never(other)


def sign_keyless(target: str, trust_config: Path | None, home: Home) -> SignReport:
    """Sign an image as a bundle with the identity of this CI job.

    Each call makes a new signature, and an entry in the log.

    Raises:
        KitError: the target cannot be signed (``TARGET_UNFIT``).
        TrustError: ``KEYLESS_*``.
        RegistryError, StoreError: the image does not exist, or the place refuses.
    """
    with signed_image(target, home) as found:
        if isinstance(found.target, LayoutFolder | ArchiveFile):
            raise _unfit(found.target)
        statement = Statement(found.subject.digest, SIGNED, {}, int(time.time()))
        raw = sign_with_identity(statement.as_bytes(), trust_config)
        attach_to(found, bundle_artifact(raw, statement, found.subject), home)
        placed = PlacedSignature(found.place, Form.BUNDLE, is_new=True)
        return SignReport(found.subject.digest, "the identity of this job", (placed,))


def sign_before_push(
    subject: Descriptor, references: Sequence[Reference], key: SigningKey, home: Home
) -> SignReport:
    """Sign an image in the local store in both layouts, for the places that it is pushed to next.

    What the store has about an image is pushed before its tag, so no reader of the tag ever sees
    it unsigned. The older layout names the place, so it has a signature for each.

    Raises:
        StoreError: the store cannot be read or written.
    """
    local = Attached(LocalStore(home.store))
    made = _made_by(key, subject, local)
    is_new = _bundle_in(made, subject, local) is None
    if is_new:
        local.add(_new_bundle(subject, key))
    for name in sorted({item.name for item in references} - {one.reference for one in made}):
        local.add(signature_artifact([_simple(subject, name, key)], subject))
    placed = PlacedSignature(LOCAL, Form.BUNDLE, is_new)
    return SignReport(subject.digest, key.public.fingerprint, (placed,))


def sign_in_registry(
    subject: Descriptor,
    reference: Reference,
    key: SigningKey,
    registries: Registries,
    store: LocalStore,
) -> SignReport:
    """Sign an image that is in a registry, in both layouts; also in the store if it is there.

    Raises:
        RegistryError: ``REGISTRY_*``.
        StoreError: a place's list cannot be read.
    """
    inner = RegistryReferrers((registries.client(reference),), reference)
    repository, local = RepositoryReferrers(inner), Attached(store)
    made = _made_by(key, subject, repository)
    there = _bundle_in(made, subject, repository)
    is_stored = subject.digest in store.index().images()
    here = _bundle_in(_made_by(key, subject, local), subject, local) if is_stored else None
    bundle = there or here or _new_bundle(subject, key)
    if there is None:
        attach(bundle, reference, registries)
    is_named = any(one.reference == reference.name for one in made)
    if not is_named:
        _add_simple(subject, reference, key, registries, inner)
    placed = [
        PlacedSignature(reference.name, Form.BUNDLE, there is None),
        PlacedSignature(reference.name, Form.SIMPLE_SIGNING, not is_named),
    ]
    if is_stored:
        if here is None:
            local.add(bundle)
        placed.append(PlacedSignature(LOCAL, Form.BUNDLE, here is None))
    return SignReport(subject.digest, key.public.fingerprint, tuple(placed))


def _unfit(found: LayoutFolder | ArchiveFile) -> MealkitError:
    message = f"{found.text} is not in a registry or in the local store"
    hint = "sign the image where it is built or pushed, then write the layout"
    return failure("TARGET_UNFIT", message, where=found.text, hint=hint)


def _made_by(key: SigningKey, subject: Descriptor, referrers: Referrers) -> tuple[Verified, ...]:
    """Return the plain signatures that this key has made."""
    ring = KeyRing((TrustedKey(key.public),))
    found = gather(subject, referrers, ring, legacy=True).verified
    return tuple(one for one in found if one.predicate_type == SIGNED)


def _bundle_in(
    made: Sequence[Verified], subject: Descriptor, referrers: Referrers
) -> Artifact | None:
    wanted = {one.artifact for one in made if one.form is Form.BUNDLE}
    for item in referrers.listed(subject.digest) if wanted else ():
        if item.digest in wanted:
            return referrers.artifact(item)
    return None


def _new_bundle(subject: Descriptor, key: SigningKey) -> Artifact:
    statement = Statement(subject.digest, SIGNED, {}, int(time.time()))
    return bundle_artifact(signed_bundle(statement.as_bytes(), key), statement, subject)


def _simple(subject: Descriptor, name: str, key: SigningKey) -> Attachment:
    return simple_signature(simple_payload(subject.digest, name, int(time.time())), key)


def _add_simple(
    subject: Descriptor,
    reference: Reference,
    key: SigningKey,
    registries: Registries,
    referrers: RegistryReferrers,
) -> None:
    """Add a signature to those under the tag, and read it back until it stays."""
    tag = signature_tag(subject.digest)
    own = _simple(subject, reference.name, key)
    client = registries.client(reference)
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        before = referrers.tagged(tag)
        others = _layers_of(before)
        if len(others) >= MAX_SIGNATURES:
            message = f"{tag} has {len(others)} signatures; the limit is {MAX_SIGNATURES}"
            raise failure("SIGNATURE_INVALID", message, where=reference.name)
        artifact = signature_artifact((*others, own), subject)
        attach(artifact, reference, registries)
        named = Reference(reference.registry, reference.repository, tag=tag)
        push(artifact, named, registries)
        if before is not None:
            detach(subject.digest, before.digest, reference, registries)
        client.retry.sleep(0.05 * attempt)
        if own.descriptor in (item.descriptor for item in _layers_of(referrers.tagged(tag))):
            return
    message = f"other signers replace {tag} at the same time"
    raise failure("REGISTRY_REFUSED", message, where=reference.name, hint="run the command again")


def _layers_of(artifact: Artifact | None) -> tuple[Attachment, ...]:
    if artifact is None:
        return ()
    pairs = zip(artifact.manifest.layers, artifact.blobs, strict=False)
    return tuple(Attachment(item.media_type, blob, item.annotations) for item, blob in pairs)
