"""Decides whether a policy accepts an image: every rule, with what it measured and required.

Values in, values out: the caller reads the image, its signatures and the files of vulnerabilities.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.trust.attestation_rules import attestation_results
from mealkit.trust.licence_rules import is_allowed
from mealkit.trust.policy import Bases, OwnerRule
from mealkit.trust.policy_file import LoadedPolicy
from mealkit.trust.rule_results import ImageFacts, RuleResult
from mealkit.trust.signer_rules import scope_of, signature_result
from mealkit.trust.vulnerabilities import Known, vulnerability_result
from mealkit.trust.wildcards import matches, one_of


def decide(
    facts: ImageFacts, loaded: LoadedPolicy, today: dt.date, known: Known | None = None
) -> tuple[RuleResult, ...]:
    """Return the result of every rule; the image is accepted if all of them passed.

    ``known`` are the vulnerabilities of the policy's files; required if the policy names some.
    """
    return tuple(_results(facts, loaded, today, known))


def _results(
    facts: ImageFacts, loaded: LoadedPolicy, today: dt.date, known: Known | None
) -> Iterator[RuleResult]:
    if facts.built_here:
        yield _local_result(loaded)
    else:
        yield signature_result(facts, loaded, today)
        yield from _place_results(facts, loaded)
    yield from _content_results(facts, loaded)
    if not facts.built_here:
        yield from attestation_results(facts, loaded, today)
    if loaded.policy.vulnerabilities is not None:
        if known is None:
            raise ValueError("the policy names files of vulnerabilities, which were not read")
        yield vulnerability_result(facts, loaded, today, known)


def _local_result(loaded: LoadedPolicy) -> RuleResult:
    said = loaded.policy.local_builds
    return RuleResult(
        "local_builds",
        loaded.where("local_builds"),
        said == "allow",
        "a kit that this command builds",
        f"local_builds: {said}",
        "POLICY_LOCAL",
    )


def _place_results(facts: ImageFacts, loaded: LoadedPolicy) -> Iterator[RuleResult]:
    if facts.reference is None or facts.reference.registry is None:
        return
    rules = loaded.policy.registries
    if rules is not None:
        scope = scope_of(facts, loaded)
        yield RuleResult(
            "registries",
            loaded.where("registries", *([scope[0], "allow"] if scope else [])),
            scope is not None and scope[1].allow,
            facts.reference.name,
            f"one of {', '.join(name for name, rule in rules.items() if rule.allow) or 'none'}",
            "POLICY_REGISTRY",
        )
    if loaded.policy.names == "match":
        yield _name_result(facts, loaded)


def _name_result(facts: ImageFacts, loaded: LoadedPolicy) -> RuleResult:
    """Check that a reference names the kit that is in it, not another signed one.

    A tag that begins with a digit, as in 1.2.0, v1.2.0 or 1.2, names a version; others may move.
    1.2.0-lean is the image of version 1.2.0 without its weights.
    """
    about, reference = facts.lock.about, facts.reference
    asked = reference.repository.rpartition("/")[2] if reference else about.name
    tag = (reference.tag if reference else None) or ""
    stated = tag.removeprefix("v") if tag.removeprefix("v")[:1].isdigit() else None
    version = about.version.removeprefix("v")
    fits = stated in {None, version, f"{version}-lean"} or version.startswith(f"{stated}.")
    return RuleResult(
        "names",
        loaded.where("names"),
        asked == about.name and fits,
        f"the kit {about.name} {about.version}",
        f"the kit {asked}" + (f" {tag}" if stated else ""),
        "POLICY_NAME",
    )


def _content_results(facts: ImageFacts, loaded: LoadedPolicy) -> Iterator[RuleResult]:
    policy, lock = loaded.policy, facts.lock
    if policy.bases is not None:
        yield _base_result(facts, policy.bases, loaded)
    if policy.licenses is not None:
        yield _license_result(facts, loaded)
    if policy.owners is not None:
        yield _owner_result(facts, policy.owners, loaded)
    if policy.engines is not None:
        yield RuleResult(
            "engines",
            loaded.where("engines"),
            lock.engine.name in policy.engines,
            lock.engine.name,
            one_of(policy.engines),
            "POLICY_ENGINE",
        )


def _base_result(facts: ImageFacts, bases: Bases, loaded: LoadedPolicy) -> RuleResult:
    base = facts.lock.runtime.base
    if isinstance(base, LockedDebianBase):
        field, allowed, measured = "debian", bases.debian or (), f"Debian {base.suite}"
        passed = base.suite in allowed
    else:
        field, allowed, measured = "images", bases.images or (), f"{base.name}@{base.digest}"
        passed = any(matches(item, base.name) or item == base.digest for item in allowed)
    required = one_of(allowed) if allowed else "another kind of base"
    where = loaded.where("bases", field)
    return RuleResult("bases", where, passed, measured, required, "POLICY_BASE")


def _license_result(facts: ImageFacts, loaded: LoadedPolicy) -> RuleResult:
    rule = loaded.policy.licenses
    allow, deny = (rule.allow, rule.deny) if rule else (None, None)
    stated = {"the weights": facts.lock.model.license, "the kit": facts.lock.about.license}
    wrong = [f"{what}: {it}" for what, it in stated.items() if not is_allowed(it, allow, deny)]
    field = "allow" if allow is not None else "deny"
    required = [one_of(allow)] if allow is not None else []
    required += [f"none of {', '.join(deny)}"] if deny else []
    return RuleResult(
        "licenses",
        loaded.where("licenses", field),
        not wrong,
        "; ".join(wrong or (f"{what}: {it}" for what, it in stated.items())),
        "; ".join(required) or "any",
        "POLICY_LICENSE",
    )


def _owner_result(
    facts: ImageFacts, rules: Sequence[OwnerRule], loaded: LoadedPolicy
) -> RuleResult:
    owner = facts.lock.about.owner
    passed = any(
        matches(rule.team, owner.team)
        and (rule.contact is None or matches(rule.contact, owner.contact))
        for rule in rules
    )
    said = [f"{it.team} ({it.contact})" if it.contact else it.team for it in rules]
    measured = f"{owner.team} ({owner.contact})"
    where = loaded.where("owners")
    return RuleResult("owners", where, passed, measured, one_of(said), "POLICY_OWNER")
