"""Signs statements about an image, and attaches them to it in a registry and in the local store.

A statement that the key has signed already is kept, so attesting again changes nothing. Raises
RegistryError and StoreError as the places do.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, assert_never

from mealkit.acceptance.report import MAX_REPORT_BYTES, Report
from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.kit.files import KIT_NAME
from mealkit.oci.artifact import Artifact
from mealkit.oci.descriptor import Descriptor
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import KitImage, open_kit_image
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.machine.preflighting import PreflightRequest, preflight_target
from mealkit.pipeline.signatures.gathering import Referrers, RepositoryReferrers, gather
from mealkit.pipeline.signatures.signed_images import LOCAL
from mealkit.pipeline.signatures.signing import to_sign
from mealkit.pipeline.statements.describing import sbom_of_image
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.referrers import RegistryReferrers, attach
from mealkit.trust.bundle import bundle_artifact, signed_bundle
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.preflight_result import result_of
from mealkit.trust.provenance import BUILDER, Build, provenance_of
from mealkit.trust.signing_keys import SigningKey
from mealkit.trust.statement import Statement
from mealkit.trust.svr import verification_of
from mealkit.trust.test_result import (
    acceptance_result,
    contradictions,
    read_result,
    stale_reasons,
)
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT, VERIFICATION_RESULT
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

# A bundle has at most 16 MiB, and its payload is written in base64.
_MAX_PREDICATE_BYTES = 8 * 1024 * 1024
_MOST_SHOWN = 3


class Claim(StrEnum):
    """The statements that mealkit itself can make about a kit."""

    SBOM = "sbom"
    PROVENANCE = "provenance"
    TEST_RESULT = "test-result"


CLAIM_TYPES = {
    Claim.SBOM: SBOM,
    Claim.PROVENANCE: PROVENANCE,
    Claim.TEST_RESULT: TEST_RESULT,
}
"""The predicate type of each."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A statement before it is signed."""

    kind: str
    """The predicate type, a URI."""
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimOptions:
    """What a caller knows about a build that its image does not state."""

    kit: Path | None = None
    """The kit's folder, for the digest of kit.yaml."""
    builder: str = BUILDER
    licences: bool = False
    """Whether the SBOM has the licences of packages, which are read from the layers."""
    allowed: Sequence[Path] = ()
    """Folders outside the kit's own that it may read."""


@dataclass(frozen=True, slots=True)
class Attested:
    """A signed statement: its type, where it is, and whether it was added now."""

    kind: str
    place: str
    is_new: bool


def predicate_file(kind: str, path: Path) -> Predicate:
    """Read a statement that another program made, such as a vulnerability report.

    Raises:
        TrustError: ``PREDICATE_INVALID``: the file is not a JSON object, or is too large.
    """
    try:
        content = parse_json_object(read_file(path, _MAX_PREDICATE_BYTES))
    except (UntrustedError, OSError) as error:
        message = f"{path} is not a JSON object: {error}"
        raise failure("PREDICATE_INVALID", message, where=str(path)) from error
    return Predicate(kind, content)


def report_file(path: Path) -> Report:
    """Read the report that `mealkit test` wrote.

    Raises:
        AcceptanceError: ``TEST_REPORT_INVALID``: the file is missing, too large or no report.
    """
    try:
        return Report.read(read_file(path, MAX_REPORT_BYTES), str(path))
    except (UntrustedError, OSError) as error:
        message = f"{path} cannot be read: {error}"
        raise failure("TEST_REPORT_INVALID", message, where=str(path)) from error


def report_predicates(lock: Lock, report: Report) -> tuple[Predicate, ...]:
    """Make the statements about a report: what was measured, and the properties that it shows.

    Raises:
        TrustError: ``TEST_REPORT_STALE``: the report is not of the kit in the lock.
            ``PREDICATE_INVALID``: its notes are too long for a statement.
        AcceptanceError: ``TEST_REPORT_INVALID``: its verdicts are not those of its own values.
    """
    result = acceptance_result(lock, report)
    if reasons := list(stale_reasons(read_result(result), lock)):
        raise failure("TEST_REPORT_STALE", "; ".join(reasons), where=report.kit.name)
    if wrong := list(islice(contradictions(lock, report), _MOST_SHOWN)):
        message = f"the report contradicts itself: {'; '.join(wrong)}"
        hint = "sign the file that mealkit test wrote, unchanged"
        raise failure("TEST_REPORT_INVALID", message, where=report.kit.name, hint=hint)
    if len(canonical_json(result)) > _MAX_PREDICATE_BYTES:
        message = f"the statement would have more than {_MAX_PREDICATE_BYTES} bytes"
        raise failure("PREDICATE_INVALID", message, where=report.kit.name)
    return (
        Predicate(TEST_RESULT, result),
        Predicate(VERIFICATION_RESULT, verification_of(lock, report)),
    )


def predicate_of(
    claim: Claim, target: str, options: ClaimOptions, home: Home, progress: Progress = SILENT
) -> Predicate:
    """Make a statement about an image from its lock, or by comparing it with this machine.

    Raises:
        MealkitError: the image or the kit's folder cannot be read, or do not belong together.
    """
    with open_kit_image(target, home, progress) as kit:
        match claim:
            case Claim.SBOM:
                found = sbom_of_image(kit, progress, licences=options.licences)
                return Predicate(SBOM, found)
            case Claim.PROVENANCE:
                return Predicate(PROVENANCE, _provenance(kit, options, home, progress))
            case Claim.TEST_RESULT:
                answer = preflight_target(PreflightRequest(target), home, progress)
                (machine,) = answer.machines
                found = result_of(kit.lock, machine.report.findings, machine.name)
                return Predicate(TEST_RESULT, found)
            case _:
                assert_never(claim)


def attest(
    target: str, predicates: tuple[Predicate, ...], key: SigningKey, home: Home
) -> tuple[Digest, list[Attested]]:
    """Sign statements about an image or an index, and attach them where it is.

    An image in a registry also gets them in the local store if it is there.

    Raises:
        KitError: statements cannot be attached to the target (``TARGET_UNFIT``).
        RegistryError, StoreError: the image does not exist, or the place refuses.
    """
    store = LocalStore(home.store)
    with to_sign(target, home) as (subject, place):
        if place is None:
            return subject.digest, _attach_locally(subject, predicates, key, store)
        client = place.registries.client(place.reference)
        there = RepositoryReferrers(RegistryReferrers((client,), place.reference))
        done, signed = [], []
        for predicate in predicates:
            made, is_new = _made(predicate, subject, key, there)
            if is_new:
                attach(made, place.reference, place.registries)
            signed.append(made)
            done.append(Attested(predicate.kind, place.reference.name, is_new))
        if subject.digest in store.index().images():
            done += _attach_locally(subject, predicates, key, store, signed)
        return subject.digest, done


def _attach_locally(
    subject: Descriptor,
    predicates: tuple[Predicate, ...],
    key: SigningKey,
    store: LocalStore,
    signed: Sequence[Artifact] = (),
) -> list[Attested]:
    """Attach statements in the local store: those that are signed already, or new ones.

    Two of them may have one type, such as the results of two tests.
    """
    local = Attached(store)
    done = []
    for predicate, artifact in zip_longest(predicates, signed):
        made, is_new = _made(predicate, subject, key, local, artifact)
        if is_new:
            local.add(made)
        done.append(Attested(predicate.kind, LOCAL, is_new))
    return done


def _made(
    predicate: Predicate,
    subject: Descriptor,
    key: SigningKey,
    place: Referrers,
    signed: Artifact | None = None,
) -> tuple[Artifact, bool]:
    """Return the artifact with a signed statement, and whether the place lacks it."""
    ring = KeyRing((TrustedKey(key.public),))
    wanted = canonical_json(predicate.content)
    for one in gather(subject, place, ring).verified:
        if one.predicate_type == predicate.kind and canonical_json(one.predicate) == wanted:
            listed = {item.digest: item for item in place.listed(subject.digest)}
            return place.artifact(listed[one.artifact]), False
    if signed is not None:
        return signed, True
    statement = Statement(subject.digest, predicate.kind, predicate.content, int(time.time()))
    return bundle_artifact(signed_bundle(statement.as_bytes(), key), statement, subject), True


def _provenance(
    kit: KitImage, options: ClaimOptions, home: Home, progress: Progress
) -> dict[str, Any]:
    kit_file = None
    if options.kit is not None:
        opened = open_kit(str(options.kit), home, options.allowed, progress)
        if opened.lock is None or opened.lock.recipe != kit.lock.recipe or opened.drift:
            raise failure(
                "LOCK_STALE",
                f"the image was built from another lock than the one in {options.kit}",
                where=str(opened.lock_path),
                measured=str(opened.lock.recipe) if opened.lock else "no lock",
                required=str(kit.lock.recipe),
            )
        kit_file = Digest.of((opened.folder / KIT_NAME).read_bytes())
    return provenance_of(
        Build(kit.lock, kit.images, kit.created_seconds, kit_file, options.builder)
    )
