"""Verifies who signed an image, in a registry, the local store, a layout or an archive.

Raises TrustError if no trusted signer has signed it, with a problem for each signature that does
not count.
"""

from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import Problem, failure, failures
from mealkit.oci.descriptor import Descriptor
from mealkit.pipeline.home import Home
from mealkit.pipeline.signatures.gathering import Gathered, gather
from mealkit.pipeline.signatures.signed_images import signed_image
from mealkit.pipeline.targets import RegistryReference
from mealkit.trust.keyless import Identity
from mealkit.trust.keyring import KeyRing
from mealkit.trust.verified import SIGNED, Verified


@dataclass(frozen=True, slots=True)
class Trusted:
    """Who is trusted, and whether a signature in the older layout is enough."""

    keys: KeyRing
    identities: tuple[Identity, ...] = ()
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """What trusted signers have signed about an image, and where that was found."""

    subject: Descriptor
    place: str
    verified: tuple[Verified, ...]
    refused: tuple[Problem, ...]
    is_registry: bool

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The places that all signatures in the older layout name; empty if one names this place.

        podman and skopeo refuse an image in a registry without a signature that names its place.
        """
        named = {one.reference for one in self.verified if one.reference is not None}
        is_elsewhere = self.is_registry and self.place not in named
        return tuple(sorted(named)) if is_elsewhere else ()


def verify(target: str, trusted: Trusted, home: Home) -> Verification:
    """Verify that a trusted signer has signed an image; all else that is signed is returned too.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        TrustError: ``SIGNATURE_*``.
        RegistryError, StoreError: the image does not exist, or cannot be read.
    """
    with signed_image(target, home) as found:
        gathered = gather(
            found.subject,
            found.referrers,
            trusted.keys,
            trusted.identities,
            legacy=trusted.legacy,
        )
    require_signed(gathered, found.subject.digest, found.place)
    is_registry = isinstance(found.target, RegistryReference)
    return Verification(
        found.subject, found.place, gathered.verified, gathered.refused, is_registry
    )


def require_signed(gathered: Gathered, subject: Digest, place: str) -> None:
    """Check that a trusted signer has signed an image itself; a statement about it is not enough.

    Raises:
        TrustError: ``SIGNATURE_*``, one problem for each signature that does not count.
    """
    if any(one.predicate_type == SIGNED for one in gathered.verified):
        return
    if gathered.refused:
        # The two layouts of one signature are refused for the same reason, which is said once.
        raise failures(list(dict.fromkeys(gathered.refused)))
    message = f"{subject} in {place} has no signature"
    if gathered.verified:
        kinds = ", ".join(sorted({one.predicate_type for one in gathered.verified}))
        message += f", only signed statements: {kinds}"
    raise failure("SIGNATURE_MISSING", message, where=place)
