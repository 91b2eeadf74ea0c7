"""What a test of a kit found, for tools that only compare properties: a verification result.

Format: in-toto/attestation, spec/predicates/svr.md, v0.2. The policy is the lock: it has the claims
with their tolerances.
"""

from collections.abc import Iterator
from typing import Any

from mealkit.acceptance.report import Report, Verdict
from mealkit.digest import Digest
from mealkit.recipe.lock import LOCK_NAME, Lock, lock_bytes
from mealkit.trust.statement import rfc3339
from mealkit.trust.test_result import acceptance_result

VERIFIER = "https://mealkit.dev/test/v1"
"""The program that tested; the version changes if it judges otherwise."""
ALL_PASSED = "mealkit:test-passed"
"""The property of an image whose claims and cases were all judged, and pass."""
_CLAIM, _CASE = "mealkit:claim-passed:", "mealkit:case-passed:"


def claim_property(claim: str) -> str:
    """Return the property of an image for which a claim is right; names keep their letters."""
    return _CLAIM + claim


def verification_of(lock: Lock, report: Report) -> dict[str, Any]:
    """Return the predicate of a report about the kit of a lock: the properties that were shown."""
    digest = {"sha256": Digest.of(lock_bytes(lock)).hex}
    return {
        "verifier": {"id": VERIFIER, "policies": [{"name": LOCK_NAME, "digest": digest}]},
        "timeCreated": rfc3339(report.started_seconds),
        "properties": list(_properties(lock, report)),
    }


def _properties(lock: Lock, report: Report) -> Iterator[str]:
    if acceptance_result(lock, report)["result"] == "PASSED":
        yield ALL_PASSED
    for claim in report.claims:
        if claim.verdict is Verdict.HOLDS:
            yield claim_property(claim.claim.name)
    for case in report.cases:
        if case.verdict is Verdict.HOLDS:
            yield _CASE + case.name
