"""Signatures of a model's files (OpenSSF Model Signing 1.0): writes, reads and verifies them.

Raises TrustError. The signature is a Sigstore bundle in a file next to the model, ``model.sig``.
Keys are ECDSA only. Format: ossf/model-signing-spec, spec/v1.0.md.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.names import path_fault
from mealkit.trust.bundle import read_bundle, signed_bundle
from mealkit.trust.signing_keys import PublicKey, SigningKey
from mealkit.trust.statement import STATEMENT_TYPE, invalid, only_subject, statement_form
from mealkit.untrusted import shown

MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
"""The predicate type."""
SIGNATURE_FILE = "model.sig"
"""The usual name of the file next to the model."""

MAX_RESOURCES = 100_000

# Left out of every signature, in the top folder only (section 5).
_LEFT_OUT = (".git", ".gitattributes", ".github", ".gitignore")
_DIGITS = {"sha256": 64, "blake2b": 128, "blake3": 64}
_SHARD = re.compile(r"(.+):(\d{1,15}):(\d{1,15})")
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class SignedModel:
    """The files of a model as its signer lists them."""

    name: str
    """The model's name, as the signer states it."""
    algorithm: str
    """The algorithm of all digests: sha256, blake2b or blake3."""
    shard_bytes: int | None
    """The size of the parts that were hashed, named ``path:start:end``; None: whole files."""
    digests: Mapping[str, str]
    """The digest of each file or part, in hex, by its name."""
    ignored: tuple[str, ...]
    """Files and folders that the signer left out."""

    @property
    def files(self) -> frozenset[str]:
        """The paths of all files that are signed."""
        if self.shard_bytes is None:
            return frozenset(self.digests)
        return frozenset(name.rsplit(":", 2)[0] for name in self.digests)


def sign_model(name: str, files: Mapping[str, Digest], key: SigningKey) -> bytes:
    """Return the signature of a model's files, by their paths below the model's folder.

    Raises:
        TrustError: ``KEY_INVALID``: the key is not ECDSA.
    """
    _require_elliptic(key.public)
    signed = {path: digest for path, digest in files.items() if not _is_left_out(path)}
    resources = [
        {"name": path, "digest": digest.hex, "algorithm": "sha256"}
        for path, digest in sorted(signed.items())
    ]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
        "predicateType": MODEL_SIGNATURE,
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [*_LEFT_OUT, SIGNATURE_FILE],
            },
        },
    }
    return signed_bundle(canonical_json(statement), key, _hint(key.public))


def verify_model_signature(
    raw: bytes, files: Mapping[str, Mapping[str, str]], key: PublicKey, *, is_complete: bool = False
) -> SignedModel:
    """Check that the owner of a key has signed these files of a model.

    ``files`` has the digests of each file in hex, by their algorithm; the files are named by their
    paths below the model's folder, or for a signature of parts by ``path:start:end``.
    ``read_model_signature`` states which are needed. A kit may use fewer files than were signed,
    unless ``is_complete``.

    Raises:
        TrustError: ``SIGNATURE_ALTERED``: a file differs, is not signed, or is missing;
            ``SIGNATURE_KEY``: another key made it; ``SIGNATURE_INVALID``; ``KEY_INVALID``.
    """
    _require_elliptic(key)
    bundle = read_bundle(raw)
    if not key.verifies(bundle.signature, bundle.signed_bytes):
        message = "the signature of the model was not made by the key, or was altered"
        raise failure("SIGNATURE_KEY", message, required=f"the key {key.fingerprint}")
    signed = _signed_model(bundle.payload)
    for name, digests in sorted(files.items()):
        _compare(name, digests.get(signed.algorithm), signed)
    missing = sorted(set(signed.digests) - set(files)) if is_complete else []
    if missing:
        message = f"{len(missing)} signed files of the model are missing: {shown(missing[0])}"
        raise failure("SIGNATURE_ALTERED", message)
    return signed


def read_model_signature(raw: bytes) -> SignedModel:
    """Return what a signature lists, unverified, for the caller that has to hash the files.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    return _signed_model(read_bundle(raw).payload)


def _compare(name: str, found: str | None, signed: SignedModel) -> None:
    wanted = signed.digests.get(name)
    if wanted is None:
        if _is_left_out(name) or _is_ignored(name, signed.ignored):
            message = f"{shown(name)} is one of the files that the model's signature leaves out"
        else:
            message = f"{shown(name)} is not in the model's signature"
        raise failure("SIGNATURE_ALTERED", message, where=name)
    if found is None:
        raise invalid(f"it has digests of the kind {signed.algorithm}, which were not computed")
    if found != wanted:
        message = f"{shown(name)} is not the file that was signed"
        raise failure("SIGNATURE_ALTERED", message, where=name, measured=found, required=wanted)


def _signed_model(payload: bytes) -> SignedModel:
    form = statement_form(payload)
    if form["predicateType"] != MODEL_SIGNATURE:
        kind = shown(form["predicateType"])
        raise invalid(f"it signs a statement of the type {kind}, not a model")
    predicate = form["predicate"]
    if set(predicate) != {"resources", "serialization"}:
        raise invalid("its predicate does not have exactly resources and serialization")
    algorithm, shard_bytes, ignored = _serialization(predicate["serialization"])
    resources = predicate["resources"]
    digests = _digests(resources, algorithm, is_sharded=shard_bytes is not None)
    subject = only_subject(form)
    name, digest = subject.get("name"), subject.get("digest")
    if not isinstance(name, str) or not name:
        raise invalid("its subject has no name")
    if not isinstance(digest, dict) or digest.get("sha256") != _root(resources):
        raise invalid("its subject is not the digest of the files that it lists")
    return SignedModel(name, algorithm, shard_bytes, digests, ignored)


def _serialization(form: Any) -> tuple[str, int | None, tuple[str, ...]]:
    """Return the algorithm, the size of parts, and the paths that were left out."""
    if not isinstance(form, dict):
        raise invalid("its serialization is not an object")
    algorithm, method, size = form.get("hash_type"), form.get("method"), form.get("shard_size")
    if algorithm not in _DIGITS:
        raise invalid(f"its digests are of the kind {shown(str(algorithm))}")
    is_sharded = method == "shards" and type(size) is int and size > 0
    if not is_sharded and not (method == "files" and size is None):
        raise invalid(f"its files are hashed by the method {shown(str(method))}")
    ignored = form.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(item, str) for item in ignored):
        raise invalid("its ignore_paths is not a list of texts")
    return algorithm, size if is_sharded else None, tuple(ignored)


def _digests(resources: Any, algorithm: str, *, is_sharded: bool) -> dict[str, str]:
    if not isinstance(resources, list) or not 0 < len(resources) <= MAX_RESOURCES:
        raise invalid("its resources are not a list of at least one file")
    found: dict[str, str] = {}
    for item in resources:
        name, digest = _resource(item, algorithm)
        path = name
        if is_sharded:
            match = _SHARD.fullmatch(name)
            if match is None:
                raise invalid(f"{shown(name)} is not a part of a file")
            path = match[1]
        fault = path_fault(path)
        if fault or name in found:
            raise invalid(f"its file {shown(name)} {fault or 'is listed twice'}")
        found[name] = digest
    if list(found) != sorted(found):
        raise invalid("its files are not sorted by their names")
    return found


def _resource(item: Any, algorithm: str) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise invalid("one of its resources is not an object")
    name, digest = item.get("name"), item.get("digest")
    if not isinstance(name, str) or not isinstance(digest, str):
        raise invalid("one of its resources has no name or no digest")
    if item.get("algorithm") != algorithm:
        raise invalid(f"the digest of {shown(name)} is not of the kind {algorithm}")
    if len(digest) != _DIGITS[algorithm] or not _HEX.fullmatch(digest):
        raise invalid(f"the digest of {shown(name)} is not valid")
    return name, digest


def _root(resources: list[dict[str, Any]]) -> str:
    """Return the SHA-256 over all digests, whatever their own algorithm is."""
    state = hashlib.sha256()
    for item in resources:
        state.update(bytes.fromhex(item["digest"]))
    return state.hexdigest()


def _hint(key: PublicKey) -> str:
    """Return the name of a key in these signatures: the SHA-256 of its PEM, in hex."""
    return hashlib.sha256(key.pem).hexdigest()


def _require_elliptic(key: PublicKey) -> None:
    if not key.is_elliptic:
        message = f"OpenSSF Model Signing has only ECDSA keys, and this one is {key.name}"
        raise failure("KEY_INVALID", message, hint="mealkit keygen FILE")


def _is_left_out(path: str) -> bool:
    return path.partition("/")[0] in _LEFT_OUT or path == SIGNATURE_FILE


def _is_ignored(path: str, ignored: tuple[str, ...]) -> bool:
    return any(path == item or path.startswith(f"{item}/") for item in ignored)
