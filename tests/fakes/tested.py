"""A kit with claims and cases, and the report of a test of it, for tests of what is signed."""

from typing import Any

from mealkit.acceptance.report import (
    CaseResult,
    ClaimResult,
    KitUnderTest,
    MachineFacts,
    Report,
    Sample,
    Verdict,
)
from mealkit.digest import Digest
from mealkit.recipe.cases import Case, cases_digest
from mealkit.recipe.claims import AskSimilarity, Claimed, LockedDataset, Metric, Tolerance
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile

DATA = "pairs/pairs.jsonl"
DATA_DIGEST = Digest.of(b"pairs")
STARTED = 1_795_900_000  # 2026-11-28
CPU = MachineFacts(processor="AMD EPYC 9654", cores=8)
H200 = MachineFacts(processor="Intel Xeon", gpus=("NVIDIA H200",), driver="580.1")


def claimed(name: str, **changes: Any) -> Claimed:
    """A claim about the similarity of pairs of texts; ``data=None`` makes it a stated one."""
    asked = changes.pop("data", DATA)
    ask = AskSimilarity(kind="similarity", first="first", second="second") if asked else None
    form: dict[str, Any] = {
        "source": "Table 2",
        "metric": Metric.SPEARMAN,
        "value": 0.82,
        "tolerance": Tolerance(absolute=0.01),
    }
    return Claimed(name=name, data=asked, ask=ask, **(form | changes))


def with_claims(lock: Lock) -> Lock:
    """The lock of a kit that claims two things, states a third, and has a case."""
    pairs = LockedFile(path=DATA, sha256=DATA_DIGEST, size_bytes=5, format="data", origins=())
    claims = (claimed("similarity"), claimed("speed-h200"), claimed("stated", data=None))
    return lock.model_copy(
        update={
            "datasets": {"pairs": LockedDataset(files=(pairs,))},
            "claims": claims,
            "cases": (Case(name="first", request={"input": "a"}),),
        }
    )


def report_of(lock: Lock, machine: MachineFacts = CPU, **verdicts: Verdict) -> Report:
    """The report of a test of a kit; every verdict is "holds" unless another is named."""
    other = {name.replace("_", "-"): verdict for name, verdict in verdicts.items()}
    return Report(
        mealkit_version="1.2.3",
        kit=KitUnderTest(
            name=lock.about.name,
            version=lock.about.version,
            recipe=str(lock.recipe),
            cases=cases_digest(lock.cases, lock.case_files),
            address="http://10.0.0.7:8000",
        ),
        machine=machine,
        started_seconds=STARTED,
        seconds=12.5,
        concurrency=4,
        claims=tuple(_result(claim, other.get(claim.name)) for claim in lock.claims),
        cases=tuple(
            CaseResult(name=case.name, verdict=other.get(case.name, Verdict.HOLDS), reason="as is")
            for case in lock.cases
        ),
        datasets={
            file.path: str(file.sha256) for data in lock.datasets.values() for file in data.files
        },
        libraries={"scipy": "1.16.0"},
    )


def _result(claim: Claimed, verdict: Verdict | None) -> ClaimResult:
    if claim.data is None:
        return ClaimResult(claim=claim, verdict=Verdict.NOT_JUDGED, reason="it has no data")
    return ClaimResult(
        claim=claim,
        verdict=verdict or Verdict.HOLDS,
        reason="0.8203 is within 0.82 ± 0.01",
        measured=0.8203,
        interval=(0.81, 0.83),
        rows=200,
        samples=(Sample(row=1, asked="a private row", expected="1", answered="0"),),
    )
