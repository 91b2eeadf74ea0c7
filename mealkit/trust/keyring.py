"""The public keys that a verifier trusts, each with the time in which it counts.

Raises TrustError for signatures outside that time. A signer can state any time. So a period only
keeps honest signers to their plan. Against a stolen key there is only revocation, which ignores the
time that a signature states.
"""

from dataclasses import dataclass

from mealkit.errors import failure
from mealkit.trust.signing_keys import PublicKey
from mealkit.trust.statement import rfc3339

# Clocks of two machines differ.
_SKEW_SECONDS = 300


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and when it counts, in seconds since 1970; None: without this limit."""

    key: PublicKey
    source: str = ""
    """Where it comes from, for messages: a file, or a line of a policy."""
    valid_from: int | None = None
    """Signatures that state an earlier time do not count."""
    valid_until: int | None = None
    """Signatures that state this time or a later one do not count."""
    revoked_since: int | None = None
    """From this time on, no signature of the key counts, whatever time it states."""

    @property
    def limits(self) -> tuple[int | None, ...]:
        """The times from and until which it counts, and the time of its revocation."""
        return self.valid_from, self.valid_until, self.revoked_since

    @property
    def label(self) -> str:
        """The key's name for people: its source and the beginning of its fingerprint."""
        short = self.key.fingerprint[:12]
        return f"{self.source} ({short})" if self.source else short

    def require_valid(self, signed_seconds: int | None, now_seconds: float) -> None:
        """Check the time of a signature by this key; without a stated time, the clock counts.

        Raises:
            TrustError: ``SIGNATURE_REVOKED``; ``SIGNATURE_EXPIRED``: it states a time outside the
                key's period, or in the future.
        """
        if self.revoked_since is not None and now_seconds >= self.revoked_since:
            since = rfc3339(self.revoked_since)
            message = f"the key {self.label} of a signature is revoked since {since}"
            raise failure("SIGNATURE_REVOKED", message)
        signed = now_seconds if signed_seconds is None else signed_seconds
        if signed > now_seconds + _SKEW_SECONDS:
            message = "a signature states a time in the future"
            raise failure("SIGNATURE_EXPIRED", message, measured=rfc3339(signed))
        early = self.valid_from is not None and signed < self.valid_from
        late = self.valid_until is not None and signed >= self.valid_until
        if early or late:
            raise failure(
                "SIGNATURE_EXPIRED",
                f"the key {self.label} was not valid when it signed",
                measured=rfc3339(signed) + (" (now)" if signed_seconds is None else ""),
                required=_period(self.valid_from, self.valid_until),
            )


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that a verifier trusts."""

    keys: tuple[TrustedKey, ...] = ()

    @property
    def names(self) -> str:
        """The names of all keys, for messages."""
        return ", ".join(item.label for item in self.keys) or "no key"

    def signer_of(self, signature: bytes, data: bytes) -> TrustedKey | None:
        """Return the key that signed the data, or None; its time is not checked."""
        return next((item for item in self.keys if item.key.verifies(signature, data)), None)


def _period(start: int | None, end: int | None) -> str:
    words = [f"from {rfc3339(start)}" if start is not None else ""]
    words += [f"until {rfc3339(end)}" if end is not None else ""]
    return " ".join(filter(None, words))
