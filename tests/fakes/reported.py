"""Reports of tests, made by hand: what holds, what fails, and what others wrote."""

import json
import random
from typing import Any

from mealkit.acceptance.report import (
    CaseFault,
    CaseResult,
    ClaimResult,
    KitUnderTest,
    Latencies,
    MachineFacts,
    Report,
    Sample,
    SliceResult,
    Verdict,
)
from mealkit.errors import Owner
from mealkit.recipe.claims import Claimed
from mealkit.recipe.kit import Contact

RECIPE = "sha256:" + "ab" * 32
EVIL = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7 * 7 }}</pre>]]>"
TURNED = "good\u202edab\u0000\ud7ff\ufffe"


def claim(name: str = "similarity", **changes: Any) -> Claimed:
    """A claim of a correlation of 0.82, with a tolerance of 0.01."""
    form = {
        "name": name,
        "source": "table 3",
        "data": "sts",
        "ask": {"kind": "similarity", "first": "a", "second": "b"},
        "metric": "spearman",
        "value": 0.82,
        "tolerance": {"absolute": 0.01},
        **changes,
    }
    return Claimed.model_validate_json(json.dumps(form))


def claim_result(
    name: str = "similarity", measured: float | None = 0.8231, **changes: Any
) -> ClaimResult:
    """A result of a claim that holds, unless the changes say otherwise."""
    stated = changes.pop("claim", None) or claim(name)
    form = {
        "claim": stated,
        "verdict": Verdict.HOLDS,
        "reason": f"{measured} is within 0.81 to 0.83",
        "measured": measured,
        "interval": None if measured is None else (measured - 0.012, measured + 0.011),
        "rows": 400,
        **changes,
    }
    return ClaimResult(**form)


def failing(name: str = "truncated", **changes: Any) -> ClaimResult:
    """A result of a claim that fails, with everything that a result can have."""
    scores = random.Random(7)
    form = {
        "measured": 0.7412,
        "claim": claim(
            name,
            description="How well the cosine follows what people said.",
            slices=["genre"],
            seeds=[1, 2, 3],
        ),
        "verdict": Verdict.FAILS,
        "reason": "0.7412 is below 0.81, the smallest value that is allowed",
        "owner": Owner.KIT_AUTHOR,
        "spread": (0.739, 0.7412, 0.7434),
        "refused": 3,
        "problems": {"REQUEST_TOO_LONG": 3},
        "slices": (
            SliceResult(column="genre", value="captions", rows=150, measured=0.8221),
            SliceResult(column="genre", value="forums", rows=130, measured=0.7011),
            SliceResult(column="genre", value="news", rows=120, measured=0.6802),
        ),
        "scores": tuple(min(1.0, max(-0.2, scores.gauss(0.7, 0.18))) for _ in range(400)),
        "latencies": Latencies(
            requests=400,
            p50_seconds=0.0121,
            p95_seconds=0.0383,
            p99_seconds=0.0712,
            histogram=tuple(
                (0.004 * 1.35**step, count)
                for step, count in enumerate((4, 31, 78, 112, 80, 45, 25, 13, 7, 4, 1))
            ),
        ),
        "samples": (
            Sample(
                row=17,
                asked="A man is playing a flute.\nA man plays a guitar.",
                expected="0.2",
                answered="0.91",
                score=0.71,
            ),
            Sample(
                row=212,
                asked="The cat sat. " * 40,
                expected="0.9",
                answered="the input has 700 tokens",
                score=None,
            ),
            Sample(
                row=301,
                asked="\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
                expected="0.5",
                answered="0.1",
                score=0.4,
            ),
        ),
        **changes,
    }
    return claim_result(name, **form)


def report(**changes: Any) -> Report:
    """A report of one claim that holds and one case that holds."""
    form = {
        "mealkit_version": "0.9.0",
        "kit": KitUnderTest(
            name="sbert-minilm",
            version="1.0.0",
            recipe=RECIPE,
            owner=Contact(
                team="text team", contact="mailto:text@example.org", support="on weekdays"
            ),
        ),
        "machine": MachineFacts(
            processor="AMD EPYC 9454", cores=16, memory_bytes=128 * 2**30, system="Linux 6.1"
        ),
        "started_seconds": 1_790_000_000.25,
        "seconds": 12.5,
        "start_seconds": 2.25,
        "concurrency": 8,
        "claims": (claim_result(),),
        "cases": (
            CaseResult(name="first", verdict=Verdict.HOLDS, reason="it is equal", seconds=0.0123),
        ),
        "datasets": {"sts/test.jsonl": "sha256:" + "cd" * 32},
        "libraries": {"scipy": "1.17.0", "scikit-learn": "1.9.0"},
        **changes,
    }
    return Report(**form)


def full_report() -> Report:
    """A report with claims and cases of every verdict."""
    speed = claim(
        "speed",
        metric="texts_per_second",
        value=900,
        tolerance={"relative": 0.1},
        hardware="H200",
        paper_hardware="NVIDIA H200",
    )
    slow = claim("latency", metric="latency_p95_seconds", value=0.03, tolerance={"maximum": 0.035})
    fault = CaseFault(at="/label", expected='"positive"', answered='"negative"')
    return report(
        claims=(
            claim_result(),
            failing(),
            claim_result(
                "speed",
                412.0,
                claim=speed,
                interval=None,
                verdict=Verdict.NOT_JUDGED,
                reason="the claim is about H200, and this machine has no GPU",
            ),
            claim_result(
                "latency",
                0.0383,
                claim=slow,
                interval=None,
                verdict=Verdict.FAILS,
                owner=Owner.HARDWARE,
                reason="38.3 ms is above 35 ms, the largest value that is allowed",
            ),
        ),
        cases=(
            CaseResult(name="first", verdict=Verdict.HOLDS, reason="it is equal", seconds=0.0123),
            CaseResult(
                name="label",
                verdict=Verdict.FAILS,
                reason="1 of 2 expectations is not met",
                owner=Owner.KIT_AUTHOR,
                seconds=0.02,
                faults=(fault,),
            ),
        ),
    )


def hostile_report() -> Report:
    """A report in which every text of others is an attack on the page."""
    text = EVIL + TURNED
    samples = tuple(
        Sample(row=row, asked=text, expected=text, answered=text * 20) for row in (1, 2)
    )
    slices = tuple(SliceResult(column="c", value=EVIL, rows=1, measured=0.1) for _ in range(200))
    hostile = failing(
        claim=claim("evil", source=EVIL, description=EVIL, url="https://example.org/'\"><b>"),
        reason=text,
        samples=samples,
        slices=slices,
        problems={EVIL: 1},
    )
    case = CaseResult(
        name="evil",
        verdict=Verdict.FAILS,
        reason=text,
        faults=(CaseFault(at=EVIL, expected=text, answered=text),),
    )
    kit = report().kit.model_copy(
        update={
            "version": EVIL,
            "owner": Contact(team=EVIL, contact="https://example.org/'\"><b>", support=EVIL),
        }
    )
    return report(
        kit=kit,
        claims=(hostile,),
        cases=(case,),
        datasets={EVIL: text},
        libraries={EVIL: EVIL},
        notes=(text, {"a": text}),
        machine=MachineFacts(processor=EVIL, gpus=(EVIL,), system=EVIL),
    )
