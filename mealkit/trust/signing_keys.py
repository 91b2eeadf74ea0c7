"""Keys that sign and verify, as values; reads and writes PEM.

Signs with ECDSA P-256 or Ed25519. Verifies also ECDSA P-384 and P-521, and RSA from 2048 bits with
PKCS #1 v1.5 and SHA-256, as cosign does. Raises TrustError for other keys, and for passphrases that
are missing or wrong. No message contains a private key or a passphrase.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from mealkit.errors import MealkitError, failure
from mealkit.trust.key_encryption import encrypted_pem

MAX_KEY_BYTES = 16 * 1024
"""The maximum size of a key file; an RSA key of 8192 bits has 7 KiB."""

_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_LEAST_RSA_BITS = 2048
_MOST_RSA_BITS = 8192
_RSA_SCHEME = "rsa-pkcs1v15-sha256"
# securesystemslib compares a signature's key id with the key's; ours have only one key each.
_KEY_ID = "key"


class Algorithm(StrEnum):
    """The algorithms of the keys that mealkit creates and signs with."""

    ECDSA_P256 = "ecdsa-p256"
    """Every reader has it."""
    ED25519 = "ed25519"
    """Not for OpenSSF Model Signing, which allows elliptic curves of NIST only."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: ``der`` is its SubjectPublicKeyInfo, ``name`` its algorithm, for people."""

    der: bytes
    name: str
    _key: SSlibKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of ``der``, in hex: the key's name in policies and messages."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def hint(self) -> str:
        """The same digest as cosign writes it into a bundle (internal/key/svkeypair.go)."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def pem(self) -> bytes:
        """The key as PEM, in the one spelling that OpenSSL writes."""
        return serialization.load_der_public_key(self.der).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def is_elliptic(self) -> bool:
        """Whether it is ECDSA, the only kind that OpenSSF Model Signing allows."""
        return self._key.keytype == "ecdsa"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether the owner of this key has signed the data."""
        try:
            self._key.verify_signature(Signature(_KEY_ID, signature.hex()), data)
        except UnverifiedSignatureError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; it is in memory only, and no ``repr`` shows it."""

    public: PublicKey
    _signer: CryptoSigner = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data."""
        return bytes.fromhex(self._signer.sign(data).signature)


def is_private(pem: bytes) -> bool:
    """Return whether PEM has a private key, in any format."""
    return b"PRIVATE KEY" in pem


def read_public_key(pem: bytes, where: str) -> PublicKey:
    """Read a public key in PEM.

    Raises:
        TrustError: ``KEY_INVALID``: it is not one, or its algorithm is not supported.
    """
    _require_size(pem, where)
    if is_private(pem):
        message = f"{where} is a private key; a verifier needs only the public one"
        raise failure("KEY_INVALID", message, where=where, hint=f"name {where}.pub")
    try:
        return _public_key(serialization.load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _invalid(where, "a public key in PEM", error) from error


def read_signing_key(pem: bytes, where: str, passphrase: Callable[[], bytes]) -> SigningKey:
    """Read a private key in PEM (PKCS #8); ``passphrase`` is called only if it is encrypted.

    Raises:
        TrustError: ``KEY_INVALID``; ``KEY_PASSPHRASE``: it is wrong.
    """
    _require_size(pem, where)
    if b"PUBLIC KEY-----" in pem:
        message = f"{where} is a public key; to sign, mealkit needs the private one"
        hint = f"name {where.removesuffix('.pub')}" if where.endswith(".pub") else None
        raise failure("KEY_INVALID", message, where=where, hint=hint)
    if b"ENCRYPTED SIGSTORE" in pem or b"ENCRYPTED COSIGN" in pem:
        message = f"{where} is encrypted in cosign's own format; mealkit reads PKCS #8"
        hint = "mealkit keygen FILE creates a key in PKCS #8"
        raise failure("KEY_INVALID", message, where=where, hint=hint)
    if not is_private(pem):
        message = f"{where} is not a private key, which signing needs"
        raise failure("KEY_INVALID", message, where=where)
    # Not within try: an error about a passphrase could show it.
    secret = passphrase() if b"ENCRYPTED" in pem else None
    try:
        private = serialization.load_pem_private_key(pem, secret)
        public = _public_key(private.public_key())
        if isinstance(private, rsa.RSAPrivateKey) or public.name not in _SIGNING:
            raise ValueError(f"mealkit does not sign with {public.name}")  # noqa: TRY301
        return SigningKey(public, CryptoSigner(private, public._key))  # noqa: SLF001
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in pem and "decrypt" in str(error):
            message = f"the passphrase is not that of {where}"
            # Without the cause, which could show what was tried.
            raise failure("KEY_PASSPHRASE", message, where=where) from None
        raise _invalid(where, "a private key in PKCS #8", error) from None


def new_key(algorithm: Algorithm, passphrase: bytes | None) -> tuple[bytes, bytes]:
    """Return a new private key (PKCS #8, encrypted with the passphrase), and its public key."""
    match algorithm:
        case Algorithm.ECDSA_P256:
            private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
            private = ec.generate_private_key(ec.SECP256R1())
        case Algorithm.ED25519:
            private = ed25519.Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    pkcs8 = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    if passphrase is None:
        pem = private.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    else:
        der = private.private_bytes(serialization.Encoding.DER, pkcs8, plain)
        pem = encrypted_pem(der, passphrase)
    return pem, _public_key(private.public_key()).pem


_SIGNING = frozenset({"ECDSA P-256", "Ed25519"})
_NAMES = {"secp256r1": "ECDSA P-256", "secp384r1": "ECDSA P-384", "secp521r1": "ECDSA P-521"}


def _public_key(key: object) -> PublicKey:
    """Return a key of a supported algorithm.

    Raises:
        ValueError: with the reason.
    """
    scheme = None
    match key:
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise ValueError(f"the curve {key.curve.name} is not one of P-256, P-384 and P-521")
            name = _NAMES[key.curve.name]
        case ed25519.Ed25519PublicKey():
            name = "Ed25519"
        case rsa.RSAPublicKey():
            name, scheme = f"RSA of {key.key_size} bits", _RSA_SCHEME
            if not _LEAST_RSA_BITS <= key.key_size <= _MOST_RSA_BITS:
                allowed = f"{_LEAST_RSA_BITS} to {_MOST_RSA_BITS}"
                raise ValueError(f"it is {name}, and {allowed} are allowed")
        case _:
            raise ValueError("it is neither ECDSA, Ed25519 nor RSA")
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicKey(der, name, SSlibKey.from_crypto(key, keyid=_KEY_ID, scheme=scheme))


def _require_size(pem: bytes, where: str) -> None:
    if len(pem) > MAX_KEY_BYTES:
        message = f"{where} has {len(pem)} bytes, too many for a key"
        raise failure("KEY_INVALID", message, where=where)


def _invalid(where: str, wanted: str, error: Exception) -> MealkitError:
    reason = str(error).partition("(")[0].strip(" .")
    return failure("KEY_INVALID", f"{where} is not {wanted}: {reason}", where=where)
