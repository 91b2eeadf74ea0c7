"""Keys are read within bounds; what is weak, unknown or not PKCS #8 is refused, and no secret is shown."""

import subprocess
import traceback

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

from mealkit.errors import TrustError
from mealkit.trust.signing_keys import Algorithm, new_key, read_public_key, read_signing_key


def pem_of(private) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(private) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_new_key_is_encrypted_and_openssl_reads_it(algorithm, tmp_path):
    """A new private key opens with its passphrase in OpenSSL, which finds the same public key."""
    private, public = new_key(algorithm, b"two words")
    (tmp_path / "key").write_bytes(private)
    assert private.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    command = ["openssl", "pkey", "-in", tmp_path / "key", "-passin", "pass:two words", "-pubout"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    assert found == public


def test_a_wrong_passphrase_is_a_problem_that_shows_nothing():
    """A wrong passphrase is reported without the passphrase, also in the traceback."""
    private, _ = new_key(Algorithm.ECDSA_P256, b"right")
    guess = b"-".join([b"wrong", b"guess"])
    with pytest.raises(TrustError) as caught:
        read_signing_key(private, "team.key", lambda: guess)
    assert caught.value.problems[0].code == "KEY_PASSPHRASE"
    assert guess.decode() not in "".join(traceback.format_exception(caught.value))


def test_a_signing_key_has_no_secret_in_its_repr():
    """The text of a key in a log is its public half."""
    private, _ = new_key(Algorithm.ED25519, None)
    signer = read_signing_key(private, "team.key", lambda: b"")
    secret = serialization.load_pem_private_key(private, None).private_bytes_raw()
    assert secret.hex() not in repr(signer)
    assert "_signer" not in repr(signer)


def test_other_tools_keys_verify():
    """Signatures by P-384, P-521 and RSA keys, which mealkit does not make, are verified."""
    data = b"payload"
    for curve, algorithm in ((ec.SECP384R1(), hashes.SHA384()), (ec.SECP521R1(), hashes.SHA512())):
        private = ec.generate_private_key(curve)
        public = read_public_key(pem_of(private), "k")
        assert public.verifies(private.sign(data, ec.ECDSA(algorithm)), data)
        assert not public.verifies(private.sign(b"other", ec.ECDSA(algorithm)), data)
    private = rsa.generate_private_key(65537, 2048)
    public = read_public_key(pem_of(private), "k")
    assert public.verifies(private.sign(data, padding.PKCS1v15(), hashes.SHA256()), data)
    assert public.name == "RSA of 2048 bits"


WEAK = {
    "RSA of 1024 bits": lambda: pem_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505
    "secp256k1": lambda: pem_of(ec.generate_private_key(ec.SECP256K1())),
    "neither ECDSA": lambda: pem_of(ed448.Ed448PrivateKey.generate()),
    "not a public key": lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "too many for a key": lambda: b"x" * 20_000,
    "is a private key": lambda: new_key(Algorithm.ED25519, None)[0],
}


@pytest.mark.parametrize("reason", list(WEAK))
def test_weak_and_unknown_keys_are_refused(reason):
    """A key that is weak, of an unknown kind, too large or private is refused with the reason."""
    with pytest.raises(TrustError, match=reason) as caught:
        read_public_key(WEAK[reason](), "team.pub")
    assert caught.value.problems[0].code == "KEY_INVALID"


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (
            b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----",
            "cosign's own format",
        ),
        (b"not a key", "not a private key"),
        (private_pem(rsa.generate_private_key(65537, 2048)), "does not sign with RSA"),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), "does not sign with ECDSA P-384"),
    ],
    ids=["cosign", "text", "rsa", "p384"],
)
def test_other_private_keys_are_refused(pem, reason):
    """A private key that mealkit does not sign with is refused with the reason."""
    with pytest.raises(TrustError, match=reason) as caught:
        read_signing_key(pem, "team.key", lambda: b"")
    assert caught.value.problems[0].code == "KEY_INVALID"
