"""Asks every policy of this machine whether an image may be used.

The signatures that count are gathered from where the image is: its registry, or the local store, so
a machine without a network decides as one with it. Decides about a digest, which is the one that is
then used, so a tag that moves meanwhile changes nothing.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from mealkit.errors import MealkitError, Problem, failures, problem
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.opening_images import (
    current_image,
    open_source,
    resolved,
    this_platform,
)
from mealkit.pipeline.policy.candidates import (
    Candidate,
    indexes_with,
    opened_candidate,
    referrers_at,
    stored_candidate,
)
from mealkit.pipeline.policy.policies import policy_paths, require_unchangeable
from mealkit.pipeline.signatures.gathering import gather
from mealkit.pipeline.targets import (
    ArchiveFile,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    image_named,
    read_target,
)
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore
from mealkit.trust.decision import decide
from mealkit.trust.keyless import Identity
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.policy_file import LoadedPolicy, load_policy
from mealkit.trust.rule_results import ImageFacts, RuleResult, with_policy_owner
from mealkit.trust.vulnerability_files import read_known

if TYPE_CHECKING:
    from mealkit.stores.registry.reaching import Registries


@dataclass(frozen=True, slots=True)
class Decision:
    """What one policy says about an image."""

    policy: LoadedPolicy
    facts: ImageFacts
    findings: tuple[RuleResult, ...]

    @property
    def problems(self) -> list[Problem]:
        """The rules that did not pass."""
        asked = self.policy.policy.owner
        return [item.as_problem(self.facts, asked) for item in self.findings if not item.passed]


def policies_here() -> tuple[LoadedPolicy, ...]:
    """Return the policies of this machine; every one must accept an image.

    Raises:
        TrustError: ``POLICY_UNREADABLE``, ``POLICY_INVALID``.
    """
    return tuple(policy_at(path) for path in policy_paths())


def policy_at(path: Path) -> LoadedPolicy:
    """Return the policy in a file that no other user can change, as those that it names.

    Raises:
        TrustError: ``POLICY_UNREADABLE``, ``POLICY_INVALID``.
    """
    require_unchangeable(path)
    loaded = load_policy(path)
    for named in loaded.named_files:
        require_unchangeable(named, must_exist=False)  # one that is needed is missed later
    return loaded


def accepted(
    candidate: Candidate, progress: Progress, policies: Sequence[LoadedPolicy] | None = None
) -> Image:
    """Return the image of a candidate if every policy of this machine accepts it.

    Raises:
        TrustError: ``POLICY_*``, one problem for each rule that refuses it.
        StoreError, RegistryError: the image or its signatures cannot be read.
    """
    asked = policies_here() if policies is None else policies
    if asked:
        decisions = decisions_about(candidate, asked, progress)
        _require_no_problem(decisions)
        files = ", ".join(str(item.policy.path) for item in decisions)
        progress.phase(f"{candidate.image.digest.short} is accepted by {files}")
    return candidate.image


def decisions_about(
    candidate: Candidate, policies: Sequence[LoadedPolicy], progress: Progress
) -> tuple[Decision, ...]:
    """Return what each policy says about an image.

    If one refuses a stored image, the signatures in its registry are fetched, and asked again.

    Raises:
        TrustError: a file that a policy names cannot be read (``POLICY_UNREADABLE``).
        StoreError, RegistryError: the image or its signatures cannot be read.
    """
    decisions = _decisions(candidate, policies)
    if candidate.refresh is None or not any(item.problems for item in decisions):
        return decisions
    candidate.refresh(progress)
    return _decisions(candidate, policies)


def _decisions(candidate: Candidate, policies: Sequence[LoadedPolicy]) -> tuple[Decision, ...]:
    today = dt.datetime.now(dt.UTC).date()
    lock = lock_of(candidate.image)
    facts = ImageFacts(
        name=candidate.name,
        digest=candidate.image.digest,
        lock=lock,
        subjects=frozenset(item.digest for item in candidate.subjects),
        reference=candidate.reference,
        built_here=candidate.referrers is None,
    )
    found = []
    for policy in policies:
        known = _signed(facts, candidate, policy)
        findings = decide(known, policy, today, read_known(lock, policy))
        found.append(Decision(policy, known, findings))
    return tuple(found)


def _signed(facts: ImageFacts, candidate: Candidate, loaded: LoadedPolicy) -> ImageFacts:
    """Return the facts with what the policy's signers have signed about the image."""
    if candidate.referrers is None:
        return facts
    # Without periods: the policy's rules decide about them, and name the line.
    ring = KeyRing(tuple(TrustedKey(key.key, key.name) for key in loaded.keys.values()))
    identities = [
        Identity(item.identity, item.issuer, loaded.file(item.trusted_root))
        for item in loaded.policy.identities.values()
    ]
    legacy = "simple-signing" in loaded.policy.signatures.forms
    gathered = [
        gather(subject, candidate.referrers, ring, identities, legacy=legacy)
        for subject in candidate.subjects
    ]
    return replace(
        facts,
        verified=tuple(item for one in gathered for item in one.verified),
        refused=tuple(item for one in gathered for item in one.refused),
    )


def named_decisions(
    target: str, policies: Sequence[LoadedPolicy], home: Home, progress: Progress
) -> tuple[Decision, ...]:
    """Return what each policy says about the image that a target names.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: the image or its signatures cannot be read.
        TrustError: ``POLICY_UNREADABLE``.
    """
    found = resolved(image_named(target), home, progress)
    reference = found.reference if isinstance(found, RegistryReference) else None
    if isinstance(found, RegistryReference):
        found = current_image(found, home, progress=progress)
    store = LocalStore(home.store)
    match found:
        case StoredName() | StoredDigest():
            image = store.image(found.text, this_platform())
            candidate = stored_candidate(target, image, store, reference)
            return decisions_about(candidate, policies, progress)
        case RegistryReference():
            return _remote_decisions(found, policies, progress)
        case LayoutFolder() | ArchiveFile():
            with open_source(found, home) as opened:
                return decisions_about(opened_candidate(target, opened), policies, progress)
        case _:
            assert_never(found)


def _remote_decisions(
    target: RegistryReference, policies: Sequence[LoadedPolicy], progress: Progress
) -> tuple[Decision, ...]:
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    with Registries.from_environment() as registries:
        opened = RemoteImages(registries).opened(target.reference)
        referrers = referrers_at(target.reference, registries)
        candidate = opened_candidate(target.text, opened, referrers, target.reference)
        return decisions_about(candidate, policies, progress)


def require_accepted(target: str, home: Home, progress: Progress) -> tuple[Decision, ...]:
    """Raise if a policy of this machine refuses the image that a target names.

    Returns what each policy says. Returns nothing if the machine has no policy, or if the target is
    not an image, such as a running kit.

    Raises:
        TrustError: ``POLICY_*``.
        StoreError, RegistryError: the image or its signatures cannot be read.
    """
    policies = policies_here()
    if not policies or not _is_image(target, LocalStore(home.store)):
        return ()
    decisions = named_decisions(target, policies, home, progress)
    _require_no_problem(decisions)
    return decisions


def _require_no_problem(decisions: Sequence[Decision]) -> None:
    problems = [item for decision in decisions for item in decision.problems]
    if problems:
        raise failures(problems)


def _is_image(target: str, store: LocalStore) -> bool:
    found = read_target(target)
    if not isinstance(found, StoredName | StoredDigest):
        return isinstance(found, RegistryReference | LayoutFolder | ArchiveFile)
    try:
        store.resolve(found.text)
    except MealkitError as error:
        if error.problems[0].code == "IMAGE_NOT_FOUND":
            return False
        raise
    return True


def acceptance(reference: Reference, progress: Progress) -> "Callable[[Image, Registries], None]":
    """Return a function that asks the policies about the image that a pull is about to fetch.

    The reference is looked up again for the index that may be signed instead of the image. If its
    tag has moved, the index does not list the image, and its signatures do not count.
    """
    from mealkit.stores.registry.pull import RemoteImages

    def accept(image: Image, registries: "Registries") -> None:
        def indexes() -> tuple[Descriptor, ...]:
            entries, source = RemoteImages(registries).opened(reference)
            return indexes_with(entries, source, image)

        referrers = referrers_at(reference, registries)
        accepted(Candidate(str(reference), image, indexes, referrers, reference), progress)

    return accept


def require_local_builds(name: str) -> None:
    """Raise if a policy of this machine refuses to run a kit that is built here.

    Raises:
        TrustError: ``POLICY_LOCAL``, ``POLICY_UNREADABLE``, ``POLICY_INVALID``.
    """
    for loaded in policies_here():
        if loaded.policy.local_builds == "refuse":
            found = problem(
                "POLICY_LOCAL",
                f"{name} is refused by the rule local_builds",
                where=loaded.where("local_builds"),
                measured="a kit that this command builds",
                required="a signed image",
            )
            raise failures([with_policy_owner(found, loaded.policy.owner)])
