"""Signs the model files of a kit, and keeps the signature with the image.

The signature is an artifact about the image, so it travels with it, and every verifier of OpenSSF
Model Signing accepts it next to the unpacked files. Raises TrustError as trust.model_signing does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.files.whole import disk_errors, write_whole
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.pipeline.signatures.gathering import Referrers, read_bounded
from mealkit.pipeline.signatures.signed_images import SignedImage, attach_to, signed_image
from mealkit.trust.bundle import BUNDLE_TYPE, MAX_BUNDLE_BYTES
from mealkit.trust.model_signing import SIGNATURE_FILE, sign_model, verify_model_signature
from mealkit.trust.signing_keys import PublicKey, SigningKey

MODEL_SIGNATURE_TYPE = "application/vnd.dev.mealkit.model-signature.v1+json"
"""The type of the artifact; no standard has one yet."""

_TITLE = "org.opencontainers.image.title"
_MOST_READ = 64


def sign_model_files(target: str, key: SigningKey, home: Home, file: Path) -> None:
    """Sign the model files of a kit's image, attach the signature to it, and write it to a file.

    A signature that the key has made already is used again.

    Raises:
        TrustError: ``KEY_INVALID``: the key is not ECDSA.
        RegistryError, StoreError: the image does not exist, or the place refuses.
    """
    with signed_image(target, home) as found:
        name, files = _model_of(found, home)
        raw = _signature_by([key.public], found.subject, found.referrers, files, [])
        if raw is None:
            raw = sign_model(name, files, key)
            attach_to(found, _artifact(raw, found.subject), home)
    _write(raw, file)


def write_model_signature(target: str, keys: Sequence[PublicKey], home: Home, file: Path) -> None:
    """Write the signature of an image's model files by one of these keys to a file.

    Raises:
        TrustError: ``SIGNATURE_MISSING``: the model is not signed; ``SIGNATURE_*``.
        RegistryError, StoreError: the image does not exist, or cannot be read.
    """
    refused: list[Problem] = []
    with signed_image(target, home) as found:
        _, files = _model_of(found, home)
        raw = _signature_by(keys, found.subject, found.referrers, files, refused)
        if raw is not None:
            _write(raw, file)
            return
        if refused:
            raise failures(refused)
        message = f"the model files of {found.subject.digest} in {found.place} are not signed"
        hint = f"mealkit sign {target} --key FILE --model-signature {SIGNATURE_FILE}"
        raise failure("SIGNATURE_MISSING", message, where=found.place, hint=hint)


def _model_of(found: SignedImage, home: Home) -> tuple[str, dict[str, Digest]]:
    """Return the name of an image's model, and its files as the lock in the image pins them."""
    with open_kit_image(found.target, home) as kit:
        model = kit.lock.model
        return model.name, {file.path: file.sha256 for file in model.files}


def _signature_by(
    keys: Sequence[PublicKey],
    subject: Descriptor,
    referrers: Referrers,
    files: Mapping[str, Digest],
    refused: list[Problem],
) -> bytes | None:
    """Return the first signature of exactly these files by one of the keys."""
    digests = {path: {"sha256": digest.hex} for path, digest in files.items()}
    for item in referrers.listed(subject.digest, MODEL_SIGNATURE_TYPE)[:_MOST_READ]:
        raw = read_bounded(referrers.artifact(item).blobs[0], MAX_BUNDLE_BYTES)
        for key in keys:
            try:
                verify_model_signature(raw, digests, key, is_complete=True)
            except MealkitError as error:
                refused += error.problems
            else:
                return raw
    return None


def _artifact(raw: bytes, subject: Descriptor) -> Artifact:
    layer = Attachment(BUNDLE_TYPE, BytesBlob(raw), {_TITLE: SIGNATURE_FILE})
    return artifact_of(MODEL_SIGNATURE_TYPE, [layer], subject=subject)


def _write(raw: bytes, file: Path) -> None:
    with disk_errors(file):
        write_whole(file, raw)
