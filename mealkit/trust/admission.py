"""What other tools can check of a policy: for each place, whose signatures, and which attestations.

Rules that they do not have, such as licences, stay with mealkit; `left_out` names them.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mealkit.errors import MealkitError, failure
from mealkit.trust.policy import PolicyIdentity, PolicyKey, RequiredProvenance, RequiredTestResult
from mealkit.trust.policy_file import LoadedPolicy
from mealkit.trust.signing_keys import PublicKey
from mealkit.trust.svr import ALL_PASSED, claim_property
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT, VERIFICATION_RESULT


@dataclass(frozen=True, slots=True)
class NamedSigner:
    """A key or an identity, with the policy's name for it."""

    name: str
    key: PublicKey | None
    identity: PolicyIdentity | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attestation that must be there, and the values that one field of it may have."""

    title: str
    predicate_type: str
    signers: tuple[NamedSigner, ...]
    field: tuple[str, ...]
    """The path of the field in the predicate; empty: the content is not compared."""
    values: tuple[str, ...]
    contains: tuple[str, ...] = ()
    """The values that the field must contain, if it is a list."""
    fault: MealkitError | None = None
    """Why other tools cannot check it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The rule for the images of one place."""

    scope: str
    inner: tuple[str, ...]
    """Places below it that have rules of their own."""
    allow: bool
    signers: tuple[NamedSigner, ...]
    at_least: int
    attestations: tuple[Claimed, ...]


def places_of(loaded: LoadedPolicy, today: dt.date) -> tuple[Place, ...]:
    """Return the rule for each place of a policy, with the signers that count today.

    Raises:
        TrustError: ``POLICY_EXPORT``: the policy names no places, or none of a place's signers
            counts today.
    """
    rules = loaded.policy.registries
    if not rules:
        raise not_exported(
            "the policy has no registries, so it would be about every image of the other tool",
            loaded.where("registries"),
            "add registries: to the policy, such as registry.example.org/models: {}",
        )
    general = loaded.policy.signatures
    found = []
    for scope, rule in rules.items():
        names = rule.signed_by or general.signed_by
        signers = _signers(names, loaded, today)
        at_least = rule.at_least or general.at_least
        if rule.allow and len(signers) < at_least:
            where = loaded.where("registries", scope)
            message = f"{len(signers)} signers of {scope} count on {today}, expected {at_least}"
            raise not_exported(message, where, "add a key that is valid today")
        inner = tuple(other for other in rules if other.startswith(f"{scope}/"))
        claimed = tuple(_claimed(loaded, names, today)) if rule.allow else ()
        found.append(Place(scope, inner, rule.allow, signers, at_least, claimed))
    return tuple(found)


def left_out(loaded: LoadedPolicy) -> tuple[str, ...]:
    """Return the rules of a policy that only mealkit checks."""
    policy = loaded.policy
    names = ("bases", "licenses", "owners", "engines", "vulnerabilities")
    found = [name for name in names if getattr(policy, name) is not None]
    found += ["names"] if policy.names == "match" else []
    if any(key.entry.valid_from or key.entry.valid_until for key in loaded.keys.values()):
        found.append("the periods of keys (these are the keys that count today)")
    claims = policy.attestations
    required = (claims.sbom, claims.provenance, claims.test_result)
    if any(item is not None and item.max_age_days is not None for item in required):
        found.append("the age of attestations")
    return tuple(found)


def not_exported(message: str, where: str, hint: str) -> MealkitError:
    """Return the error for a policy that another tool cannot express."""
    return failure("POLICY_EXPORT", message, where=where, hint=hint)


def _signers(
    names: Sequence[str] | None, loaded: LoadedPolicy, today: dt.date
) -> tuple[NamedSigner, ...]:
    policy = loaded.policy
    found = []
    for name in names or (*policy.keys, *policy.identities):
        key = loaded.keys.get(name)
        if key is None:
            found.append(NamedSigner(name, None, policy.identities[name]))
        elif _counts(key.entry, today):
            found.append(NamedSigner(name, key.key, None))
    return tuple(found)


def _counts(entry: PolicyKey, today: dt.date) -> bool:
    """Return whether a key counts today; after its last day its older signatures still count."""
    start, revoked = entry.valid_from, entry.revoked_since
    return (start is None or start <= today) and (revoked is None or today < revoked)


def _claimed(
    loaded: LoadedPolicy, names: Sequence[str] | None, today: dt.date
) -> Iterator[Claimed]:
    claims = loaded.policy.attestations
    for title, kind, required in (
        ("sbom", SBOM, claims.sbom),
        ("provenance", PROVENANCE, claims.provenance),
        ("test-result", TEST_RESULT, claims.test_result),
    ):
        if required is None:
            continue
        signers = _signers(required.signed_by or names, loaded, today)
        if not signers:
            where = loaded.where("attestations", title.replace("-", "_"))
            message = f"no key that may sign the {title} counts on {today}"
            raise not_exported(message, where, "add a key that is valid today")
        if isinstance(required, RequiredTestResult) and required.claims is not None:
            yield _shown_claims(required, title, signers, loaded)
            continue
        field: tuple[str, ...] = ()
        values: tuple[str, ...] = ()
        if isinstance(required, RequiredProvenance) and required.builders:
            field, values = ("runDetails", "builder", "id"), required.builders
        elif isinstance(required, RequiredTestResult):
            field, values = ("result",), required.results
        yield Claimed(title, kind, signers, field, values)


def _shown_claims(
    required: RequiredTestResult,
    title: str,
    signers: tuple[NamedSigner, ...],
    loaded: LoadedPolicy,
) -> Claimed:
    """Return what shows the claims to other tools: the properties of a verification result.

    A test result is of no use to them. They would require of each of an image's test results, and
    so of a preflight's, what only one of them can have.
    """
    fault = None
    if required.hardware is not None:
        where = loaded.where("attestations", "test_result", "hardware")
        message = f"other tools cannot require a test on {required.hardware}"
        fault = not_exported(message, where, "leave hardware out, and check with mealkit")
    elif "WARNED" in required.results:
        where = loaded.where("attestations", "test_result", "results")
        message = "other tools cannot accept a claim that was not judged"
        fault = not_exported(message, where, "name the claims that must have passed")
    named = () if required.claims == "all" else required.claims or ()
    properties = tuple(claim_property(name) for name in named) or (ALL_PASSED,)
    kind, field = VERIFICATION_RESULT, ("properties",)
    return Claimed(title, kind, signers, field, (), properties, fault)
