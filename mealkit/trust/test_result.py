"""A test of a kit's claims and cases as a test result of in-toto, and how such a result is read.

Format: in-toto/attestation, spec/predicates/test-result.md, v0.1. What was measured is in the
annotations of the lock, the first entry of ``configuration``. The preflight's results have the same
type; the annotation ``test`` says which test a result is of.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mealkit.acceptance.judging import hardware_fault, is_of_class, judged, shown_bounds
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.report import ClaimResult, MachineFacts, Report, Verdict
from mealkit.digest import Digest
from mealkit.recipe.cases import cases_digest
from mealkit.recipe.claims import Claimed
from mealkit.recipe.lock import LOCK_NAME, Lock, lock_bytes
from mealkit.recipe.variant import plain_locks
from mealkit.trust.statement import read_rfc3339, rfc3339

ACCEPTANCE = "mealkit test"
"""The value of the annotation ``test`` for a test of claims and cases."""
_LARGEST = 1e300
_CLAIMS, _CASES, _DATA = "claims/", "cases/", "datasets/"


def acceptance_result(lock: Lock, report: Report) -> dict[str, Any]:
    """Return the predicate of a report about the kit of a lock.

    A claim that nothing can measure was stated and not tested: it is among the annotations only.
    What the lock has and the report does not, because only a part was tested, was not judged.
    """
    verdicts = {_CASES + case.name: case.verdict for case in report.cases}
    for claim in report.claims:
        if _can_be_tested(claim.claim) or claim.verdict is not Verdict.NOT_JUDGED:
            verdicts[claim_test(claim.claim.name)] = claim.verdict
    for name in testable(lock):
        verdicts.setdefault(name, Verdict.NOT_JUDGED)
    named = {
        verdict: sorted(name for name, found in verdicts.items() if found is verdict)
        for verdict in Verdict
    }
    passed, warned, failed = (
        named[item] for item in (Verdict.HOLDS, Verdict.NOT_JUDGED, Verdict.FAILS)
    )
    return {
        "result": "FAILED" if failed else "PASSED" if passed and not warned else "WARNED",
        "configuration": list(_configuration(lock, report)),
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }


def testable(lock: Lock) -> Iterator[str]:
    """Yield the names of the tests of a kit: its claims that can be measured, and its cases."""
    yield from (claim_test(claim.name) for claim in lock.claims if _can_be_tested(claim))
    yield from (_CASES + case.name for case in lock.cases)


def _can_be_tested(claim: Claimed) -> bool:
    """Return whether a claim is more than stated: it has data, or needs none."""
    return claim.data is not None or not METRICS[claim.metric].needs_data


def _configuration(lock: Lock, report: Report) -> Iterator[dict[str, Any]]:
    """Yield what the test depends on, as in-toto's ResourceDescriptors."""
    yield {
        "name": LOCK_NAME,
        "digest": {"sha256": Digest.of(lock_bytes(lock)).hex},
        "annotations": _annotations(report),
    }
    recipe = Digest(report.kit.recipe)
    yield {
        "name": f"the recipe of {report.kit.name} {report.kit.version}",
        "digest": {"sha256": recipe.hex},
    }
    for path, digest in sorted(report.datasets.items()):
        yield {"name": _DATA + path, "digest": {"sha256": digest.removeprefix("sha256:")}}


def _annotations(report: Report) -> dict[str, Any]:
    """Return what was measured, where and with what; neither rows of data nor the address."""
    kit = {"image": report.kit.image, "cases": report.kit.cases}
    return {
        "test": ACCEPTANCE,
        "kit": report.kit.name,
        "version": report.kit.version,
        "recipe": report.kit.recipe,
        **{name: digest for name, digest in kit.items() if digest},
        "mealkit": report.mealkit_version,
        "started": rfc3339(report.started_seconds),
        "seconds": report.seconds,
        "concurrency": report.concurrency,
        "machine": report.machine.model_dump(mode="json", exclude_none=True),
        "libraries": dict(report.libraries),
        "claims": [_measured(item) for item in report.claims],
        "notes": list(report.notes),
    }


def _measured(item: ClaimResult) -> dict[str, Any]:
    form: dict[str, Any] = {"verdict": item.verdict.value, "claim": _stated(item.claim)}
    values = item.model_dump(mode="json", exclude_none=True)
    names = ("measured", "interval", "spread", "rows", "refused", "problems")
    return form | {name: values[name] for name in names if values.get(name) not in (None, [], {})}


def _stated(claim: Claimed) -> dict[str, Any]:
    """Return a claim as a lock writes it."""
    return claim.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test result says; what cannot be read is empty or None, because others write them."""

    result: str | None
    test: str
    """Which test it is of, such as ``mealkit test``; empty: another program's."""
    passed: frozenset[str]
    warned: frozenset[str]
    failed: frozenset[str]
    recipe: str | None
    started: dt.datetime | None
    machine: MachineFacts | None
    """The machine; None: the result does not state its facts."""
    machine_name: str
    """The machine for people: its GPUs, its processor or its name; empty if it is not known."""
    claims: Mapping[str, Mapping[str, Any]]
    """The claims that were tested or stated, by name, each as its lock has it."""
    measured: Mapping[str, float]
    """The values that were measured, by the name of the claim."""
    cases: str | None
    """The digest of the kit's cases."""
    data: Mapping[str, str]
    """The digests of the data in hex, by path."""

    @property
    def is_of_claims(self) -> bool:
        """Whether it is a result of ``mealkit test``."""
        return self.test == ACCEPTANCE

    def verdict_of(self, test: str) -> Verdict | None:
        """Return the verdict on a test, by its name; None: it was not among the tests."""
        if test in self.failed:
            return Verdict.FAILS
        if test in self.warned:
            return Verdict.NOT_JUDGED
        return Verdict.HOLDS if test in self.passed else None

    def ran_on(self, hardware: str, lock: Lock) -> bool:
        """Return whether the kit was tested on a class of hardware."""
        return self.machine is not None and is_of_class(hardware, lock, self.machine)


def claim_test(claim: str) -> str:
    """Return the name of the test of a claim."""
    return _CLAIMS + claim


def read_result(predicate: Mapping[str, Any]) -> Tested:
    """Read the predicate of a test result from an untrusted writer."""
    entries = [item for item in _items(predicate.get("configuration")) if isinstance(item, dict)]
    about = _map(entries[0].get("annotations")) if entries else {}
    machine = _machine(about.get("machine"))
    stated = [_map(item) for item in _items(about.get("claims"))]
    claims = {_text(_map(item.get("claim")).get("name")): item for item in stated}
    data = {
        str(entry.get("name")).removeprefix(_DATA): _text(_map(entry.get("digest")).get("sha256"))
        for entry in entries[1:]
        if str(entry.get("name")).startswith(_DATA)
    }
    return Tested(
        result=predicate["result"] if isinstance(predicate.get("result"), str) else None,
        test=_text(about.get("test")),
        passed=_names(predicate, "passedTests"),
        warned=_names(predicate, "warnedTests"),
        failed=_names(predicate, "failedTests"),
        recipe=_text(about.get("recipe")) or None,
        started=_time(about.get("started")),
        machine=machine,
        machine_name=_named(machine) if machine else _text(about.get("machine")),
        claims={name: _map(item.get("claim")) for name, item in claims.items()},
        measured={
            name: value
            for name, item in claims.items()
            if (value := number(item.get("measured"))) is not None
        },
        cases=_text(about.get("cases")) or None,
        data=data,
    )


def stale_reasons(tested: Tested, lock: Lock) -> Iterator[str]:
    """Yield why a result of ``mealkit test`` is not of the kit in a lock; nothing if it is.

    The recipe is the one that answered. Claims, cases and data are not part of it, so they are
    compared as well: with another tolerance, the same answers are another result.
    """
    if not tested.is_of_claims:
        return
    # An image for several architectures is tested on one of them, with the recipe of that one.
    if tested.recipe not in {lock.recipe, *(item.recipe for item in plain_locks(lock))}:
        yield f"the test is of the recipe {tested.recipe}, the image has {lock.recipe}"
    own = {claim.name: claim for claim in lock.claims}
    judged_names = tested.passed | tested.failed
    claims = {name.removeprefix(_CLAIMS) for name in judged_names if name.startswith(_CLAIMS)}
    changed = [
        name
        for name in tested.claims.keys() | claims
        if name not in own or tested.claims.get(name) != _stated(own[name])
    ]
    if changed:
        yield f"the image states another claim, or none, under {_first(changed)}"
    has_cases = any(name.startswith(_CASES) for name in judged_names)
    if (has_cases or tested.cases) and tested.cases != cases_digest(lock.cases, lock.case_files):
        yield "the image has other cases"
    pinned = {
        file.path: file.sha256.hex for dataset in lock.datasets.values() for file in dataset.files
    }
    others = [path for path in tested.data if tested.data[path] != pinned.get(path)]
    if others:
        yield f"the image pins other data as {_first(others)}"
    # Each file also stands for its data set, which a claim may name.
    named = {part for path in tested.data for part in (path, path.partition("/")[0])}
    without = [name for name in claims & own.keys() if own[name].data not in {None, *named}]
    if without:
        yield f"the result does not state the data of {_first(without)}"


def contradictions(lock: Lock, report: Report) -> Iterator[str]:
    """Yield where a report's verdicts are not those of its own values, as if it was edited."""
    for item in report.claims:
        if item.verdict is not Verdict.HOLDS:
            continue
        name = claim_test(item.claim.name)
        if item.measured is None:
            yield f"{name} holds without a measured value"
        elif judged(item.claim, item.measured)[0] is not Verdict.HOLDS:
            allowed = shown_bounds(item.claim)
            yield f"{name} holds with the value {item.measured:g}, allowed {allowed}"
        elif fault := hardware_fault(item.claim, lock, report.machine):
            yield f"{name} holds, but {fault}"
    for case in report.cases:
        if case.verdict is Verdict.HOLDS and case.faults:
            yield f"{_CASES}{case.name} holds with an answer that was not expected"


def _first(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3])


def number(value: Any) -> float | None:
    """Return a number of a statement; None for anything else, and for one without end."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LARGEST else None


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _names(predicate: Mapping[str, Any], field: str) -> frozenset[str]:
    return frozenset(item for item in _items(predicate.get(field)) if isinstance(item, str))


def _time(value: Any) -> dt.datetime | None:
    try:
        return read_rfc3339(_text(value))
    except ValueError:
        return None


def _machine(value: Any) -> MachineFacts | None:
    """Return the facts of a machine; a preflight states only its name.

    A newer mealkit may state more of them.
    """
    if not isinstance(value, dict):
        return None
    known = {name: value[name] for name in MachineFacts.model_fields if name in value}
    try:
        return MachineFacts.model_validate(known)
    except ValidationError:
        return None


def _named(machine: MachineFacts) -> str:
    return ", ".join(machine.gpus) or machine.processor or ""
