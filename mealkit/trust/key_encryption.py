"""Encrypts private keys as PKCS #8 (RFC 5958) with PBES2, scrypt and AES-256-CBC (RFC 7914, 8018).

The library's own encryption derives the key with 2,048 rounds of PBKDF2, which guesses a million
passphrases a second; scrypt needs 16 MiB and some 40 ms for each. The parameters are OpenSSL's own
for ``-scrypt``: with a higher cost OpenSSL refuses to read the key.
"""

import base64
import os
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_SALT_BYTES = 16
_LABEL = "ENCRYPTED PRIVATE KEY"

_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
# Object identifiers in DER.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


def encrypted_pem(der: bytes, passphrase: bytes) -> bytes:
    """Return an unencrypted PKCS #8 key (DER) as encrypted PEM."""
    salt, start = os.urandom(_SALT_BYTES), os.urandom(16)
    secret = Scrypt(salt, length=32, n=_COST, r=_BLOCK, p=_PARALLEL).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(secret), modes.CBC(start)).encryptor()
    data = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    costs = (_integer(value) for value in (_COST, _BLOCK, _PARALLEL))
    derivation = _der(_SEQUENCE, _SCRYPT, _der(_SEQUENCE, _der(_OCTETS, salt), *costs))
    cipher = _der(_SEQUENCE, _AES_256_CBC, _der(_OCTETS, start))
    algorithm = _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, derivation, cipher))
    text = base64.b64encode(_der(_SEQUENCE, algorithm, _der(_OCTETS, data))).decode()
    lines = [f"-----BEGIN {_LABEL}-----", *textwrap.wrap(text, 64), f"-----END {_LABEL}-----", ""]
    return "\n".join(lines).encode()


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    """Return a positive integer; a leading zero keeps it positive."""
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
