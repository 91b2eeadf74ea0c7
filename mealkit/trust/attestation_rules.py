"""Decides whether an image has the attestations that a policy requires: by whom and how old.

What reads test results is imported late: every start of a kit comes by here, and few policies ask.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from mealkit.recipe.lock import Lock
from mealkit.trust.policy import (
    RequiredAttestation,
    RequiredProvenance,
    RequiredTestResult,
)
from mealkit.trust.policy_file import LoadedPolicy
from mealkit.trust.rule_results import ImageFacts, RuleResult
from mealkit.trust.signer_rules import doubt_about, reasons, required_signers, signed_day
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT, Form, Verified
from mealkit.trust.wildcards import matches, one_of

# What refuses a predicate, and the field of the policy that says so.
_Fault = Callable[[RequiredAttestation, Mapping[str, Any], Lock], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of attestation: its field in the policy, its predicate, and where it has a date."""

    field: str
    title: str
    predicate_type: str
    dates: tuple[tuple[str, ...], ...]
    fault: _Fault

    @property
    def one(self) -> str:
        """One attestation of this kind, for people."""
        return f"an {self.title}" if self.title == "SBOM" else f"a {self.title}"


def attestation_results(
    facts: ImageFacts, loaded: LoadedPolicy, today: dt.date
) -> Iterator[RuleResult]:
    """Yield the result for every attestation that the policy requires."""
    for kind in _KINDS:
        required = getattr(loaded.policy.attestations, kind.field)
        if required is not None:
            yield _result(kind, required, facts, loaded, today)


def _result(
    kind: _Kind,
    required: RequiredAttestation,
    facts: ImageFacts,
    loaded: LoadedPolicy,
    today: dt.date,
) -> RuleResult:
    names = required.signed_by or required_signers(facts, loaded)[0]
    place = ("attestations", kind.field)
    trusted, faults = _trusted(kind, names, facts, loaded, today)
    # The newest one counts: a test that failed after one that passed is the image's result.
    # Of two of the same time, the one with a fault counts.
    trusted.sort(key=partial(_age_order, kind, required, facts.lock))
    newest = trusted[-1] if trusted else None
    if isinstance(required, RequiredTestResult):
        from mealkit.trust.test_result_rules import chosen_test  # noqa: PLC0415  late, see above

        newest, others = chosen_test(required, trusted, facts.lock)
        faults += [(text, loaded.where(*place, field)) for text, field in others]
    text, fault = f"no {kind.title}", None
    if newest is not None:
        text, fault = _checked(newest, kind, required, facts.lock, today)
        if fault:
            faults.insert(0, (text, loaded.where(*place, fault)))
    passed = newest is not None and fault is None
    if newest is None and faults:
        text = f"{text} that counts ({reasons([item for item, _ in faults])})"
    where = loaded.where(*place) if passed or not faults else faults[0][1]
    asked = _required(kind, required, names)
    return RuleResult(
        f"attestations.{kind.field}", where, passed, text, asked, "POLICY_ATTESTATION"
    )


def _trusted(
    kind: _Kind,
    names: Sequence[str] | None,
    facts: ImageFacts,
    loaded: LoadedPolicy,
    today: dt.date,
) -> tuple[list[Verified], list[tuple[str, str]]]:
    """Return the statements of a kind that count by their signer, and why others do not."""
    where = loaded.where("attestations", kind.field)
    trusted, faults = list[Verified](), list[tuple[str, str]]()
    for item in facts.verified:
        if not _is_of(item, kind, facts):
            continue
        doubt = doubt_about(item, names, loaded, today, where)
        other = _other_image(item, facts)
        if doubt:
            faults.append((doubt.text, doubt.where))
        elif other:
            faults.append((f"an SBOM of another image, {other}", where))
        else:
            trusted.append(item)
    return trusted, faults


def _age_order(
    kind: _Kind, required: RequiredAttestation, lock: Lock, item: Verified
) -> tuple[dt.date, float, bool]:
    started = _started(item, kind)
    signed = item.signed_seconds or 0.0
    seconds = min(signed, started.timestamp()) if started else signed
    return (
        _day(item, kind) or dt.date.min,
        seconds,
        kind.fault(required, item.predicate, lock) is not None,
    )


def _is_of(item: Verified, kind: _Kind, facts: ImageFacts) -> bool:
    """Return whether a statement is of a kind; CycloneDX may add its version to the type."""
    named = item.predicate_type
    same = named == kind.predicate_type or named.startswith(f"{kind.predicate_type}/v")
    return same and item.subject in facts.subjects and item.form is Form.BUNDLE


def _other_image(item: Verified, facts: ImageFacts) -> str | None:
    """Return the digest that an SBOM's own content names, if it is that of another image."""
    purl: Any = item.predicate
    for step in ("metadata", "component", "purl"):  # CycloneDX; others have no such field
        purl = purl.get(step) if isinstance(purl, Mapping) else None
    if not isinstance(purl, str) or not purl.startswith("pkg:oci/"):
        return None
    version = unquote(purl.partition("?")[0]).partition("@")[2]
    return version if version.startswith("sha256:") and version not in facts.subjects else None


def _checked(
    item: Verified, kind: _Kind, required: RequiredAttestation, lock: Lock, today: dt.date
) -> tuple[str, str | None]:
    """Return what was measured, and the field of the policy that refuses it, or None."""
    day = _day(item, kind)
    if required.max_age_days is not None:
        if day is None:
            return f"{kind.one} that states no date", "max_age_days"
        age = (today - day).days
        if age > required.max_age_days:
            return f"{age} days old", "max_age_days"
        if age < -1:
            return f"dated {day}, which is in the future", "max_age_days"
    fault = kind.fault(required, item.predicate, lock)
    if fault:
        return fault
    return kind.one + (f" of {day}" if day else ""), None


def _day(item: Verified, kind: _Kind) -> dt.date | None:
    """Return the day that a statement states: when it was signed, else when it was made.

    A test is as old as its measurements, also if they were signed later.
    """
    signed, started = signed_day(item), _started(item, kind)
    if started is not None:
        return min(signed or dt.date.max, started.astimezone(dt.UTC).date())
    if signed is not None:
        return signed
    for path in kind.dates:
        value: Any = item.predicate
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            try:
                return dt.date.fromisoformat(value[:10])
            except ValueError:
                continue
    return None


def _started(item: Verified, kind: _Kind) -> dt.datetime | None:
    """Return when a test began, as its result states it."""
    if kind.predicate_type != TEST_RESULT:
        return None
    from mealkit.trust.test_result import read_result  # noqa: PLC0415  late, see above

    return read_result(item.predicate).started


def _required(kind: _Kind, required: RequiredAttestation, names: Sequence[str] | None) -> str:
    parts = [kind.one]
    parts += [f"signed by {one_of(names)}"] if names else []
    if required.max_age_days is not None:
        parts.append(f"at most {required.max_age_days} days old")
    if isinstance(required, RequiredProvenance) and required.builders:
        parts.append(f"by the builder {one_of(required.builders)}")
    if isinstance(required, RequiredTestResult):
        from mealkit.trust.test_result_rules import asked_of_tests  # noqa: PLC0415  late, see above

        parts += asked_of_tests(required)
    return ", ".join(parts)


def _no_fault(_required: RequiredAttestation, _predicate: Mapping[str, Any], _lock: Lock) -> None:
    return None


def _builder_fault(
    required: RequiredAttestation, predicate: Mapping[str, Any], _lock: Lock
) -> tuple[str, str] | None:
    builders = required.builders if isinstance(required, RequiredProvenance) else None
    if builders is None:
        return None
    details = predicate.get("runDetails")
    builder = details.get("builder") if isinstance(details, Mapping) else None
    named = builder.get("id") if isinstance(builder, Mapping) else None
    if isinstance(named, str) and any(matches(item, named) for item in builders):
        return None
    return f"the builder {named}" if isinstance(named, str) else "no builder", "builders"


def _test_fault(
    required: RequiredAttestation, predicate: Mapping[str, Any], lock: Lock
) -> tuple[str, str] | None:
    if not isinstance(required, RequiredTestResult):
        return None
    from mealkit.trust.test_result_rules import result_fault  # noqa: PLC0415  late, see above

    return result_fault(required, predicate, lock)


_KINDS = (
    _Kind("sbom", "SBOM", SBOM, (("metadata", "timestamp"),), _no_fault),
    _Kind(
        "provenance",
        "provenance",
        PROVENANCE,
        (("runDetails", "metadata", "finishedOn"), ("runDetails", "metadata", "startedOn")),
        _builder_fault,
    ),
    _Kind("test_result", "test result", TEST_RESULT, (), _test_fault),
)
