"""Finds the files of audit logs, and the keys and checkpoints to verify them with.

Raises AuditError for targets without an audit log, and for unreadable keys and checkpoints.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.auditlog.audit_key import AuditKey, read_audit_keys
from mealkit.auditlog.audit_line import MAX_LINE_BYTES, parsed, text_field
from mealkit.auditlog.chain_folder import AUDIT_FOLDER, KEY_NAME, chain_files, chain_folders
from mealkit.auditlog.checkpoint import Checkpoint, checkpoints_in
from mealkit.auditlog.signed_checkpoint import SignedCheckpoint, signed_checkpoint
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.run.kept_records import records_of
from mealkit.trust.bundle import BUNDLE_TYPE, MAX_BUNDLE_BYTES, read_bundle
from mealkit.trust.keyring import KeyRing
from mealkit.untrusted import UntrustedError, open_regular, read_file

_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FoundChain:
    """The files of one chain, in order."""

    name: str
    """The folder, or the chain's id if the files were named one by one."""
    files: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(path.stat().st_size for path in self.files)


def audit_places(targets: Sequence[str], home: Home) -> list[Path]:
    """Return the folders and files that targets name: paths, or names of kits that ran here.

    Raises:
        AuditError: ``AUDIT_MISSING``, a name is neither.
    """
    places = []
    for target in targets:
        path = Path(target)
        if not path.exists():
            kept = records_of(target, home) / AUDIT_FOLDER
            # A path that does not exist is not a kit's name.
            if "/" in target or not kept.exists():
                raise _missing(
                    path, f"{target} is neither a path nor a kit that has an audit log here"
                )
            path = kept
        places.append(path)
    return places


def found_chains(targets: Sequence[Path]) -> list[FoundChain]:
    """Return the chains in folders, and those of files.

    Raises:
        AuditError: ``AUDIT_MISSING``, a target has no audit log.
    """
    chains: list[FoundChain] = []
    files: list[Path] = []
    for target in targets:
        try:
            if target.is_dir():
                chains += _in_folder(target)
            else:
                files.append(target)
        except OSError as error:
            raise _unreadable(target, error) from error
    return [*chains, *_of_files(files)]


def keys_for(targets: Sequence[Path], named: Sequence[Path]) -> tuple[AuditKey, ...]:
    """Return the keys of the named files, else those that kits have created beside their logs.

    Raises:
        AuditError: ``AUDIT_KEY``, a file of keys cannot be read.
    """
    places = list(named)
    if not named:
        folders = [target if target.is_dir() else target.parent.parent for target in targets]
        beside = [
            path
            for folder in folders
            for path in (
                folder / KEY_NAME,
                folder / AUDIT_FOLDER / KEY_NAME,
                folder.parent / KEY_NAME,
            )
        ]
        places = [path for path in dict.fromkeys(beside) if path.is_file()]
    return tuple(dict.fromkeys(key for path in places for key in read_audit_keys(path)))


@dataclass(frozen=True, slots=True)
class GivenCheckpoints:
    """The checkpoints that a verifier has kept elsewhere."""

    plain: tuple[Checkpoint, ...] = ()
    signed: tuple[SignedCheckpoint, ...] = ()

    def of(self, chain: str) -> "GivenCheckpoints":
        """Return those of one chain."""
        return GivenCheckpoints(
            tuple(item for item in self.plain if item.chain == chain),
            tuple(item for item in self.signed if item.checkpoint.chain == chain),
        )

    @property
    def all(self) -> tuple[Checkpoint, ...]:
        """The checkpoints, signed or not."""
        return (*self.plain, *(item.checkpoint for item in self.signed))


def given_checkpoints(files: Sequence[Path], ring: KeyRing) -> GivenCheckpoints:
    """Read files of checkpoints: bundles that ``mealkit audit checkpoint`` wrote, and kits' logs.

    Raises:
        AuditError: ``AUDIT_MISSING``, a file has no checkpoint.
        TrustError: ``SIGNATURE_*``, a bundle is not valid, or none of the keys has signed it.
    """
    plain: list[Checkpoint] = []
    signed: list[SignedCheckpoint] = []
    for path in files:
        if bundle := _bundle_at(path):
            made = read_bundle(bundle)
            if not ring.keys:
                hint = "add --public-key FILE, the public half of the key that signed it"
                message = f"{path} is signed, and there is no key to check the signature"
                raise failure("AUDIT_KEY", message, where=str(path), hint=hint)
            made.key_in(ring)
            signed.append(signed_checkpoint(made.payload, str(path)))
            continue
        found = list(_plain_in(path))
        if not found:
            message = "the file has no checkpoint of an audit log"
            hint = "name a kit's log (mealkit logs NAME), or what mealkit audit checkpoint wrote"
            raise failure("AUDIT_MISSING", message, where=str(path), hint=hint)
        plain += found
    return GivenCheckpoints(tuple(plain), tuple(signed))


def _in_folder(folder: Path) -> Iterator[FoundChain]:
    for place in (folder, folder / AUDIT_FOLDER):
        if not place.is_dir():
            continue
        if files := chain_files(place):
            yield FoundChain(str(place), tuple(files))
            return
        chains = [(chain, chain_files(chain)) for chain in chain_folders(place)]
        if any(files for _, files in chains):
            for chain, files in chains:
                if files:
                    yield FoundChain(str(chain), tuple(files))
            return
    raise _missing(folder, "the folder has no audit log")


def _of_files(files: Sequence[Path]) -> Iterator[FoundChain]:
    """Group files by their chain, and sort them by their first line."""
    chains: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path in files:
        try:
            descriptor = open_regular(path)
            with open(descriptor, "rb") as stream:  # noqa: PTH123  a descriptor
                head = parsed(stream.readline(_HEAD_BYTES).rstrip(b"\n"))
        except OSError as error:
            raise _unreadable(path, error) from error
        if head is None or head["kind"] != "head":
            raise _missing(path, "the file does not begin with the head of an audit log")
        chains[text_field(head, "chain")].append((head["n"], path))
    for chain, found in chains.items():
        yield FoundChain(chain, tuple(path for _, path in sorted(found)))


def _bundle_at(path: Path) -> bytes | None:
    """Return a file's bytes if it is a bundle."""
    try:
        raw = read_file(path, MAX_BUNDLE_BYTES)
    except UntrustedError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    return raw if raw.startswith(b"{") and BUNDLE_TYPE.encode() in raw else None


def _plain_in(path: Path) -> Iterator[Checkpoint]:
    descriptor = open_regular(path)
    with open(descriptor, "rb") as stream:  # noqa: PTH123  a descriptor
        yield from checkpoints_in(iter(lambda: stream.readline(MAX_LINE_BYTES), b""))


def _missing(path: Path, message: str) -> MealkitError:
    return failure("AUDIT_MISSING", message, where=str(path))


def _unreadable(path: Path, error: OSError) -> MealkitError:
    hint = None
    if isinstance(error, PermissionError):
        hint = "the log belongs to the kit's user: run the command as root, or copy the log"
    message = f"{error.filename or path} cannot be read: {error.strerror}"
    return failure("AUDIT_MISSING", message, where=str(path), hint=hint)
