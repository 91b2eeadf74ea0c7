"""Which test result a policy requires: of which claims, where, how old, and of this recipe."""

import datetime as dt

import pytest
from fakes.policies import DAY, NOW
from fakes.tested import H200, claimed, report_of, with_claims

from mealkit.acceptance.report import Verdict
from mealkit.errors import MealkitError
from mealkit.trust.decision import decide
from mealkit.trust.test_result import acceptance_result
from mealkit.trust.verified import TEST_RESULT

TODAY = dt.datetime.fromtimestamp(NOW, dt.UTC).date()
FAILS, NOT_JUDGED = Verdict.FAILS, Verdict.NOT_JUDGED
PREFLIGHT = {
    "result": "PASSED",
    "configuration": [{"name": "kit.lock", "annotations": {"test": "mealkit preflight"}}],
    "passedTests": ["FIT_VRAM"],
}
BOTH = {"results": ["PASSED", "WARNED"]}


@pytest.fixture
def judged(lock, written, facts, statement):
    """Decide about an image with claims and these test results, each signed by the key a."""
    kit = with_claims(lock)

    def judge(required, *predicates, lock=kit, signed_seconds=NOW):
        results = [
            statement(predicate_type=TEST_RESULT, predicate=item, signed_seconds=signed_seconds)
            for item in predicates
        ]
        loaded = written(attestations={"test_result": required})
        found = decide(facts(lock=lock, verified=(statement(), *results)), loaded, TODAY)
        (rule,) = (item for item in found if item.rule == "attestations.test_result")
        return rule

    judge.kit = kit
    return judge


@pytest.mark.parametrize(
    ("required", "verdicts", "reason"),
    [
        ({"claims": "all"}, {}, None),
        ({"claims": ["similarity"]}, {}, None),
        ({"claims": "all"}, {"similarity": FAILS}, "claims/similarity fails"),
        ({"claims": "all"}, {"first": FAILS}, "cases/first fails"),
        ({"claims": "all"}, {"speed_h200": NOT_JUDGED}, "claims/speed-h200 was not judged"),
        ({"claims": "all", **BOTH}, {"speed_h200": NOT_JUDGED}, None),
        ({"claims": "all", **BOTH}, {"speed_h200": FAILS}, "claims/speed-h200 fails"),
        ({"claims": ["similarity"]}, {"speed_h200": NOT_JUDGED}, None),
        ({"claims": ["similarity"]}, {"similarity": NOT_JUDGED}, "was not judged"),
        ({"claims": ["other"]}, {}, "claims/other was not tested"),
        ({"claims": ["stated"]}, {}, "claims/stated was not tested"),
        ({}, {}, None),
        ({}, {"similarity": FAILS}, "the result FAILED"),
    ],
)
def test_the_claims_that_a_policy_names_must_have_passed(judged, required, verdicts, reason):
    """`all` are those that can be tested, and the cases; a name alone asks only about that claim."""
    rule = judged(required, acceptance_result(judged.kit, report_of(judged.kit, **verdicts)))
    assert rule.passed is (reason is None), rule.measured
    assert (reason or "") in rule.measured


def test_tests_of_different_questions_do_not_replace_each_other(judged):
    """A preflight satisfies the policies that it did before, and none that asks about claims."""
    passed = acceptance_result(judged.kit, report_of(judged.kit))
    unsure = acceptance_result(judged.kit, report_of(judged.kit, similarity=NOT_JUDGED))
    failed = acceptance_result(judged.kit, report_of(judged.kit, similarity=FAILS))
    assert judged({}, PREFLIGHT).passed
    assert judged({}, PREFLIGHT, unsure).passed
    assert not judged({}, PREFLIGHT, failed).passed
    assert judged({"claims": "all"}, PREFLIGHT, passed).passed
    alone = judged({"claims": "all"}, PREFLIGHT)
    assert not alone.passed
    assert "of mealkit preflight, not of the claims" in alone.measured


def test_the_hardware_of_the_test(judged):
    """Of several tests, the one on the required hardware decides, also if another is newer."""
    gpu = acceptance_result(judged.kit, report_of(judged.kit, H200))
    cpu = acceptance_result(judged.kit, report_of(judged.kit, similarity=FAILS))
    required = {"claims": "all", "hardware": "H200"}
    assert judged(required, gpu, cpu).passed
    found = judged(required, cpu)
    assert not found.passed
    assert "tested on AMD EPYC 9654" in found.measured
    assert found.required.endswith("of the claims: all claims, tested on H200")
    assert found.where.rpartition(":")[2].isdigit()


def test_a_stale_result_counts_only_where_the_policy_says_so(judged):
    """With another tolerance in the image, the same measurement proves nothing."""
    result = acceptance_result(judged.kit, report_of(judged.kit))
    looser = (claimed("similarity", value=0.5), *judged.kit.claims[1:])
    changed = judged.kit.model_copy(update={"claims": looser})
    for required in ({"claims": "all"}, {"claims": ["similarity"]}, {}):
        found = judged(required, result, lock=changed)
        assert not found.passed
        assert "a stale test result" in found.measured
    assert judged({"claims": "all", "stale": "accept"}, result, lock=changed).passed


def test_a_test_is_as_old_as_its_measurements(judged):
    """To sign an old report today does not make it younger, or newer than a later failure."""
    report = report_of(judged.kit)
    old = report.model_copy(update={"started_seconds": NOW - 40 * DAY})
    found = judged({"claims": "all", "max_age_days": 30}, acceptance_result(judged.kit, old))
    assert (found.passed, found.measured) == (False, "40 days old")
    failed = acceptance_result(judged.kit, report_of(judged.kit, similarity=FAILS))
    assert not judged({"claims": "all"}, failed, acceptance_result(judged.kit, old)).passed


@pytest.mark.parametrize("claims", ["all", ["similarity"]])
def test_a_failure_without_a_test_that_fails_refuses(judged, claims):
    """The result and its lists contradict each other: the image is not accepted."""
    result = {**acceptance_result(judged.kit, report_of(judged.kit)), "result": "FAILED"}
    found = judged({"claims": claims}, result)
    assert (found.passed, found.measured) == (
        False,
        "the result FAILED, which names no test that fails",
    )


def test_all_claims_of_a_kit_without_any(judged, lock):
    """`all` of nothing is not enough."""
    bare = lock.model_copy(update={"claims": (), "cases": (), "datasets": {}})
    found = judged({"claims": "all"}, acceptance_result(bare, report_of(bare)), lock=bare)
    assert not found.passed
    assert "no claim that can be tested, and no case" in found.measured


def test_hardware_without_claims_is_refused(written):
    """Only a test of claims states its machine."""
    with pytest.raises(MealkitError) as caught:
        written(attestations={"test_result": {"hardware": "H200"}})
    assert "write claims: all" in caught.value.problems[0].message
