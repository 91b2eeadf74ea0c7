"""Decides whether a kit has packages with known vulnerabilities that a policy refuses."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.recipe.variant import plain_locks
from mealkit.trust.osv import SEVERITIES, Package, Vulnerability
from mealkit.trust.policy_file import LoadedPolicy
from mealkit.trust.purls import DEBIAN_RELEASES, source_package
from mealkit.trust.rule_results import ImageFacts, RuleResult
from mealkit.trust.vex import Statement, is_excepted

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Known:
    """What a policy's files say about a kit's packages."""

    found: tuple[Vulnerability, ...]
    statements: tuple[Statement, ...]
    records: int
    """The number of records in the files."""
    newest: dt.date | None
    """The day of the newest record, by its own statement."""


def packages_of(lock: Lock) -> Mapping[tuple[str, str], list[Package]]:
    """Return the packages of all variants of a lock, by ecosystem and name."""
    found: dict[tuple[str, str], list[Package]] = {}
    for package in dict.fromkeys(_packages(lock)):
        found.setdefault((package.ecosystem, package.source), []).append(package)
    return found


def _packages(lock: Lock) -> Iterator[Package]:
    for plain in plain_locks(lock):
        for wheel in plain.wheels:
            purl = f"pkg:pypi/{wheel.name}@{wheel.version}".lower()
            yield Package("PyPI", wheel.name, wheel.version, None, purl)
        base = plain.runtime.base
        if isinstance(base, LockedDebianBase):
            release = DEBIAN_RELEASES.get(base.suite)
            for deb in base.packages:
                purl = f"pkg:deb/debian/{deb.name}@{deb.version}".lower()
                yield Package("Debian", source_package(deb), deb.version, release, purl)


def vulnerability_result(
    facts: ImageFacts, loaded: LoadedPolicy, today: dt.date, known: Known
) -> RuleResult:
    """Check the vulnerabilities of a kit's packages, except those that a VEX document excepts."""
    rule = loaded.policy.vulnerabilities
    if rule is None:
        raise ValueError("the policy has no rule about vulnerabilities")
    lock, kit = facts.lock, _purls(facts)
    least = SEVERITIES.index(rule.severity)
    counted = [item for item in known.found if _rank(item) >= least]
    open_ = [item for item in counted if not is_excepted(item, known.statements, kit)]
    field, measured, required = "severity", _counted(lock, known, counted, open_), ""
    passed = not open_
    required = f"no vulnerability of severity {rule.severity} or more"
    if passed and rule.max_age_days is not None:
        age = None if known.newest is None else (today - known.newest).days
        if age is None or age > rule.max_age_days:
            passed, field = False, "max_age_days"
            measured = "records without a date" if age is None else f"records {age} days old"
            required = f"records of the last {rule.max_age_days} days"
    where = loaded.where("vulnerabilities", field)
    return RuleResult("vulnerabilities", where, passed, measured, required, "POLICY_VULNERABLE")


def _purls(facts: ImageFacts) -> frozenset[str]:
    """Return the purls of an image, as a VEX document may name it: by digest, version or name."""
    about = facts.lock.about
    name = f"pkg:oci/{about.name}".lower()
    versions = (about.version.lower(), facts.digest, *facts.subjects)
    return frozenset({name, *(f"{name}@{version}" for version in versions)})


def _rank(found: Vulnerability) -> int:
    """Return the severity as a number; an unknown one may be critical."""
    return len(SEVERITIES) - 1 if found.severity is None else SEVERITIES.index(found.severity)


def _counted(
    lock: Lock, known: Known, counted: list[Vulnerability], open_: list[Vulnerability]
) -> str:
    count = sum(len(items) for items in packages_of(lock).values())
    if open_:
        lines = sorted(item.line for item in open_)
        more = f"; and {len(lines) - _MOST_SHOWN} more" if len(lines) > _MOST_SHOWN else ""
        return "; ".join(lines[:_MOST_SHOWN]) + more
    text = f"none in {count} packages, by {known.records} records"
    excepted = len(counted)
    text += f"; {excepted} excepted by VEX" if excepted else ""
    if not isinstance(lock.runtime.base, LockedDebianBase):
        text += "; the packages of the base image are not known"
    return text
