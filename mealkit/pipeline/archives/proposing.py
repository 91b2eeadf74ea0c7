"""A policy and public keys that travel in an archive as a proposal.

They decide nothing on the other side: its operator reads them, compares the keys' fingerprints with
those that the sender has told them by another way, and installs them by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import whole_folder
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.stores.blobs import small_bytes
from mealkit.trust.signing_keys import read_public_key
from mealkit.untrusted import UntrustedError, read_file, shown

PROPOSAL_TYPE = "application/vnd.mealkit.proposal.v1"
POLICY_TYPE = "application/vnd.mealkit.policy.v1+yaml"
KEY_TYPE = "application/x-pem-file"
_TITLE = "org.opencontainers.image.title"
_MAX_FILE_BYTES = 1024 * 1024
_MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class ProposedFile:
    """A file of a proposal; ``fingerprint`` is that of a public key."""

    name: str
    data: bytes
    fingerprint: str | None

    @property
    def digest(self) -> Digest:
        """The digest of the file."""
        return Digest.of(self.data)


def proposal(policy: Path | None, keys: Sequence[Path]) -> Artifact | None:
    """Return the proposal of a policy and public keys, or None if there is neither.

    Raises:
        KitError: ``USAGE``: a file is not what it should be; two have the same name.
        TrustError: ``KEY_INVALID``: a file is not a public key.
        StoreError: ``DISK_DENIED``.
    """
    files = [(policy, POLICY_TYPE)] if policy else []
    files += [(key, KEY_TYPE) for key in keys]
    if not files:
        return None
    attachments: dict[str, Attachment] = {}
    for path, kind in files:
        data = _read(path)
        if kind == KEY_TYPE:
            read_public_key(data, str(path))
        if kind == POLICY_TYPE and b"PRIVATE KEY" in data:
            raise _unfit(path, "has a private key", "a policy names public keys")
        if path.name in attachments:
            raise _unfit(path, "has the name of another file here", "rename one of them")
        attachments[path.name] = Attachment(kind, BytesBlob(data), {_TITLE: path.name})
    return artifact_of(PROPOSAL_TYPE, [attachments[name] for name in sorted(attachments)])


def proposed_files(artifact: Artifact) -> tuple[ProposedFile, ...]:
    """Return the files of a proposal; empty if the artifact is not one.

    Raises:
        StoreError: ``IMAGE_INVALID``: it is too large, or a name is not that of a file.
    """
    manifest = artifact.manifest
    if manifest.kind != PROPOSAL_TYPE:
        return ()
    if len(manifest.layers) > _MAX_FILES:
        raise failure("IMAGE_INVALID", f"a proposal has {len(manifest.layers)} files")
    found: dict[str, ProposedFile] = {}
    for item, blob in zip(manifest.layers, artifact.blobs, strict=False):
        name = item.annotations.get(_TITLE, "")
        if not name.isprintable() or "/" in name or name in {"", ".", "..", *found}:
            message = f"a proposal has a file with the name {shown(name)}"
            raise failure("IMAGE_INVALID", message, where=artifact.digest)
        data = small_bytes(blob)
        key = _fingerprint(data) if item.media_type == KEY_TYPE else None
        found[name] = ProposedFile(name, data, key)
    return tuple(found.values())


def write_proposal(files: Sequence[ProposedFile], folder: Path) -> None:
    """Write the files of a proposal into a new folder.

    Raises:
        BuildError: ``OUTPUT_EXISTS``.
        StoreError: ``DISK_FULL``, ``DISK_DENIED``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise failure("OUTPUT_EXISTS", f"{folder} exists", where=str(folder))
    with whole_folder(folder.absolute(), f"writing {folder}") as partial:
        for item in files:
            (partial / item.name).write_bytes(item.data)


def _fingerprint(pem: bytes) -> str | None:
    """Return a public key's fingerprint, or None if it is not a key that mealkit can use."""
    try:
        return read_public_key(pem, "the proposed key").fingerprint
    except MealkitError:
        return None


def _read(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_FILE_BYTES)
    except UntrustedError as error:
        raise _unfit(path, f"cannot be used: {error}", "name a small text file") from error
    except OSError as error:
        raise failure("DISK_DENIED", f"{path}: {error.strerror}", where=str(path)) from error


def _unfit(path: Path, what: str, hint: str) -> MealkitError:
    return failure("USAGE", f"{path} {what}", where=str(path), hint=hint)
