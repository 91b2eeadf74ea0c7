"""Decides which signatures of an image count for a policy: by whom, when and in which form."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from mealkit.oci.reference import spellings_of
from mealkit.trust.policy import RegistryRule
from mealkit.trust.policy_file import LoadedKey, LoadedPolicy
from mealkit.trust.rule_results import ImageFacts, RuleResult
from mealkit.trust.verified import SIGNED, IdentitySigner, KeySigner, Signer, Verified

# Clocks differ, and the day of another time zone may be tomorrow.
_MOST_DAYS_AHEAD = 1
_MOST_REASONS = 3
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a signature does not count, and the line of the policy that says so."""

    text: str
    where: str


def signed_day(verified: Verified) -> dt.date | None:
    """Return the day on which a statement was signed, as it states it."""
    if verified.signed_seconds is None:
        return None
    try:
        return dt.datetime.fromtimestamp(verified.signed_seconds, dt.UTC).date()
    except (OverflowError, ValueError, OSError):
        return dt.date.max


def doubt_about(
    verified: Verified,
    names: Sequence[str] | None,
    loaded: LoadedPolicy,
    today: dt.date,
    where: str,
) -> Doubt | None:
    """Return why the signer of a statement does not count, or None if it does.

    ``names`` are the keys and identities that count; None: all of the policy.
    """
    found = _signer_names(verified.signer, loaded)
    if not found:
        return Doubt(f"{_shown(verified.signer)} is not in the policy", where)
    for name in found:  # a key that is revoked under one name is revoked under its other ones
        revoked = loaded.keys[name].entry.revoked_since if name in loaded.keys else None
        if revoked and today >= revoked:
            line = loaded.where("keys", name, "revoked_since")
            return Doubt(f"{name} is revoked since {revoked}", line)
    counting = [name for name in found if names is None or name in names]
    if not counting:
        return Doubt(f"{found[0]} may not sign this", where)
    doubts = [_doubt_about_day(verified, loaded.keys.get(it), loaded, today) for it in counting]
    return None if None in doubts else doubts[0]


def _signer_names(signer: Signer, loaded: LoadedPolicy) -> list[str]:
    """Return the policy's names of a signer; none if the policy does not have it."""
    match signer:
        case KeySigner(fingerprint):
            keys = loaded.keys.values()
            return [key.name for key in keys if key.key.fingerprint == fingerprint]
        case IdentitySigner():
            wanted = (signer.identity, signer.issuer)
            known = loaded.policy.identities.items()
            return [name for name, it in known if (it.identity, it.issuer) == wanted]
        case _:
            assert_never(signer)


def _doubt_about_day(
    verified: Verified, key: LoadedKey | None, loaded: LoadedPolicy, today: dt.date
) -> Doubt | None:
    """Return why a key does not count on the day of a signature.

    A signer can state any day. So after a revocation, when others may have the key, no stated day
    counts; before, the key's owner is trusted to state the right one.
    """
    if key is None:
        return None
    entry, name = key.entry, key.name

    def doubt(field: str, text: str) -> Doubt:
        return Doubt(f"{name} {text}", loaded.where("keys", name, field))

    day = signed_day(verified) or today
    if (day - today).days > _MOST_DAYS_AHEAD:
        return doubt("file", f"signed on {day}, which is in the future")
    if entry.valid_from and day < entry.valid_from:
        return doubt("valid_from", f"signed on {day}, before it was valid")
    if entry.valid_until and day > entry.valid_until:
        return doubt("valid_until", f"signed on {day}, after its last day {entry.valid_until}")
    return None


def signature_result(facts: ImageFacts, loaded: LoadedPolicy, today: dt.date) -> RuleResult:
    """Check the image's signatures against the rule for its place."""
    names, at_least, where = required_signers(facts, loaded)
    own = [item for item in facts.verified if item.subject in facts.subjects]
    counted, doubts = set[Signer](), list[Doubt]()
    for item in own:
        if item.predicate_type != SIGNED:
            continue
        doubt = _form_doubt(item, loaded) or doubt_about(item, names, loaded, today, where)
        if doubt:
            doubts.append(doubt)
        else:
            counted.add(item.signer)
    doubts += [Doubt(item.message, where) for item in facts.refused]
    doubts += _other_subjects(facts, where)
    passed = len(counted) >= at_least
    who = ", ".join(names or (*loaded.policy.keys, *loaded.policy.identities))
    return RuleResult(
        "signatures",
        where if passed or not doubts else doubts[0].where,
        passed,
        _measured(counted, () if passed else doubts),
        f"{at_least} of {who}" if at_least > 1 or "," in who else f"a signature of {who}",
        "POLICY_UNSIGNED",
    )


def required_signers(
    facts: ImageFacts, loaded: LoadedPolicy
) -> tuple[tuple[str, ...] | None, int, str]:
    """Return who must sign an image, how many of them, and the line that says so."""
    general = loaded.policy.signatures
    has_rule = ("signatures",) in loaded.lines.spots
    where = loaded.where("signatures" if has_rule else "keys")
    scope = scope_of(facts, loaded)
    if scope is None:
        return general.signed_by, general.at_least, where
    rule = scope[1]
    if rule.signed_by or rule.at_least:
        where = loaded.where("registries", scope[0])
    return rule.signed_by or general.signed_by, rule.at_least or general.at_least, where


def scope_of(facts: ImageFacts, loaded: LoadedPolicy) -> tuple[str, RegistryRule] | None:
    """Return the rule for the place of an image: that of the longest scope that contains it.

    Scopes are those of containers-policy.json: a host, a path below it, or ``*.`` and a domain.
    """
    reference = facts.reference
    if reference is None or reference.registry is None:
        return None
    rules = loaded.policy.registries or {}
    names = spellings_of(reference.registry, reference.repository)
    exact = [item for item in rules if any(_contains(item, name) for name in names)]
    wild = [item for item in rules if _is_domain_of(item, names[0].partition("/")[0])]
    best = max(exact, key=len, default=None) or max(wild, key=len, default=None)
    return None if best is None else (best, rules[best])


def _contains(scope: str, name: str) -> bool:
    """Return whether a scope is a place, or contains it."""
    registry, _, repository = scope.partition("/")
    own = spellings_of(registry, repository)[0].rstrip("/")
    return name == own or name.startswith(f"{own}/")


def _is_domain_of(scope: str, host: str) -> bool:
    return scope.startswith("*.") and host.endswith(scope[1:].lower())


def _form_doubt(verified: Verified, loaded: LoadedPolicy) -> Doubt | None:
    forms = loaded.policy.signatures.forms
    if verified.form.value in forms:
        return None
    where = loaded.where("signatures", "forms")
    return Doubt(f"a signature in the form {verified.form} does not count", where)


def _other_subjects(facts: ImageFacts, where: str) -> Iterator[Doubt]:
    others = {item.subject for item in facts.verified} - facts.subjects
    for digest in sorted(others):
        yield Doubt(f"a signature is of another image, {digest}", where)


def _measured(counted: Iterable[Signer], doubts: Sequence[Doubt]) -> str:
    count = len(set(counted))
    said = f"{count} valid signature{'' if count == 1 else 's'}" if count else "no valid signature"
    texts = list(dict.fromkeys(item.text for item in doubts))
    return said if not texts else f"{said} ({reasons(texts)})"


def reasons(texts: Sequence[str]) -> str:
    """Return some reasons in one line."""
    more = len(texts) - _MOST_REASONS
    return "; ".join(texts[:_MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _shown(signer: Signer) -> str:
    if isinstance(signer, KeySigner):
        return f"the key {signer.fingerprint[:_SHOWN_DIGITS]}"
    return f"{signer.identity} ({signer.issuer})"
