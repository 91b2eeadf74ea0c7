"""A preflight's report as a test result of in-toto: which rules a kit passed on a machine.

Format: in-toto/attestation, spec/predicates/test-result.md, v0.1.
"""

from collections.abc import Iterable
from typing import Any

from mealkit.digest import Digest
from mealkit.preflight.finding import Finding, Severity
from mealkit.recipe.lock import LOCK_NAME, Lock, lock_bytes


def result_of(lock: Lock, findings: Iterable[Finding], machine: str) -> dict[str, Any]:
    """Return the predicate: the codes of the rules that passed, warned or failed.

    ``machine`` is the name of the machine. The configuration is the lock, which has the
    requirements that were compared.
    """
    names: dict[Severity, set[str]] = {severity: set() for severity in Severity}
    for item in findings:
        names[item.severity].add(item.code)
    failed = names[Severity.BLOCKS]
    warned = (names[Severity.WARNS] | names[Severity.OVERRIDDEN]) - failed
    lock_digest = {"sha256": Digest.of(lock_bytes(lock)).hex}
    return {
        "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
        "configuration": [
            {
                "name": LOCK_NAME,
                "digest": lock_digest,
                "annotations": {"test": "mealkit preflight", "machine": machine},
            }
        ],
        "passedTests": sorted(names[Severity.PASSES] - warned - failed),
        "warnedTests": sorted(warned),
        "failedTests": sorted(failed),
    }
