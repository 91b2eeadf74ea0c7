"""Verifies the publishers' own signatures of weights, which a kit demands with ``signed_by``.

The digests in the lock are compared with those that the publisher signed, so no file is read again.
Raises SourceError ``WEIGHTS_SIGNATURE``, with the file, its digest, the signed one, and the key.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.recipe.kit import Kit
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.publisher_signature import USUAL_SIGNATURE, LockedSignature, SignedBy
from mealkit.recipe.weight_places import Weights
from mealkit.sources.retrieval import given_by, read_beside
from mealkit.sources.source import Supplies
from mealkit.trust.model_signing import read_model_signature, verify_model_signature
from mealkit.trust.signing_keys import PublicKey, read_public_key

# The digests of 100,000 files have 20 MB.
_MAX_SIGNATURE_BYTES = 32 * 1024 * 1024


def verify_publishers(
    kit: Kit,
    kit_folder: Path,
    signers: Mapping[str, str],
    files: Sequence[LockedFile],
    supplies: Supplies,
) -> tuple[LockedSignature, ...]:
    """Return what a lock records of the signatures of a kit's entries; ``signers`` are key files.

    Raises:
        SourceError: ``WEIGHTS_SIGNATURE``; or the signature cannot be fetched.
        TrustError: ``KEY_INVALID``.
    """
    found: list[LockedSignature] = []
    for index, entry in enumerate(kit.model.weights):
        if entry.signed_by is not None:
            own = given_by(entry, files)
            raw = _signature(entry, entry.signed_by, kit_folder, signers, files, supplies)
            found.append(_verified(entry.signed_by, raw, own, signers, f"model.weights.{index}"))
    return tuple(found)


def _signature(
    entry: Weights,
    demand: SignedBy,
    kit_folder: Path,
    signers: Mapping[str, str],
    files: Sequence[LockedFile],
    supplies: Supplies,
) -> bytes:
    if demand.signature_file is not None:
        return signers[demand.signature_file].encode()
    name = demand.signature or USUAL_SIGNATURE
    return read_beside(entry, name, kit_folder, files, supplies, _MAX_SIGNATURE_BYTES)


def _verified(
    demand: SignedBy,
    raw: bytes,
    own: Mapping[str, LockedFile],
    signers: Mapping[str, str],
    where: str,
) -> LockedSignature:
    key = read_public_key(signers[demand.key].encode(), demand.key)
    try:
        signed = read_model_signature(raw)
        if (signed.algorithm, signed.shard_bytes) != ("sha256", None):
            kind = "parts of files" if signed.shard_bytes else signed.algorithm
            message = f"it has digests of {kind}; mealkit compares the SHA-256 of whole files"
            raise failure("SIGNATURE_INVALID", message)
        digests = {name: {"sha256": file.sha256.hex} for name, file in own.items()}
        verify_model_signature(raw, digests, key)
    except MealkitError as error:
        raise _refused(error, key, where) from error
    paths = tuple(sorted(file.path for file in own.values()))
    return LockedSignature(key=key.fingerprint, sha256=Digest.of(raw), files=paths)


def _refused(error: MealkitError, key: PublicKey, where: str) -> MealkitError:
    """Return the problem as one of the publisher's weights rather than of an image's signature."""
    first = error.problems[0]
    file = f"{first.where}: " if first.where else ""
    return failure(
        "WEIGHTS_SIGNATURE",
        f"{where}.signed_by: {file}{first.message}",
        where=where,
        measured=first.measured,
        required=first.required or f"a signature with the key {key.fingerprint}",
    )
