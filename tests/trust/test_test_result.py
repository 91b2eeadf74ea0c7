"""A test's report as in-toto's test result and verification result, and such results read again."""

from dataclasses import replace

import pytest
from fakes.tested import CPU, DATA, DATA_DIGEST, H200, claimed, report_of, with_claims

from mealkit.acceptance.report import CaseFault, MachineFacts, Verdict
from mealkit.digest import Digest
from mealkit.preflight.finding import Finding, Severity
from mealkit.recipe.claims import Metric
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import lock_bytes
from mealkit.recipe.variant import joined
from mealkit.trust.preflight_result import result_of
from mealkit.trust.svr import ALL_PASSED, claim_property, verification_of
from mealkit.trust.test_result import (
    acceptance_result,
    contradictions,
    read_result,
    stale_reasons,
)


@pytest.fixture(scope="module")
def kit(lock):
    return with_claims(lock)


def test_a_report_becomes_a_test_result_with_what_was_measured_and_where(kit):
    """The tests are named by claim and case; the lock, the recipe and the data have digests."""
    found = acceptance_result(kit, report_of(kit, H200))
    assert found["result"] == "PASSED"
    assert found["passedTests"] == ["cases/first", "claims/similarity", "claims/speed-h200"]
    assert (found["warnedTests"], found["failedTests"]) == ([], [])
    locked, recipe, data = found["configuration"]
    assert locked["name"] == "kit.lock"
    assert locked["digest"] == {"sha256": Digest.of(lock_bytes(kit)).hex}
    assert recipe["digest"] == {"sha256": kit.recipe.hex}
    assert data == {"name": f"datasets/{DATA}", "digest": {"sha256": DATA_DIGEST.hex}}
    about = locked["annotations"]
    assert about["test"] == "mealkit test"
    assert about["machine"] == {
        "processor": "Intel Xeon",
        "gpus": ["NVIDIA H200"],
        "driver": "580.1",
    }
    assert about["libraries"] == {"scipy": "1.16.0"}
    assert about["started"] == "2026-11-28T21:06:40Z"
    first = about["claims"][0]
    assert (first["measured"], first["interval"], first["rows"]) == (0.8203, [0.81, 0.83], 200)
    assert first["claim"]["value"] == 0.82
    assert first["claim"]["tolerance"] == {"absolute": 0.01}
    # Rows of data may be private, and so may the address.
    assert "a private row" not in str(found)
    assert "10.0.0.7" not in str(found)


@pytest.mark.parametrize(
    ("verdicts", "result", "warned"),
    [
        ({"similarity": Verdict.FAILS}, "FAILED", []),
        ({"first": Verdict.FAILS, "similarity": Verdict.NOT_JUDGED}, "FAILED", ["similarity"]),
        ({"speed_h200": Verdict.NOT_JUDGED}, "WARNED", ["speed-h200"]),
    ],
)
def test_one_failure_fails_the_test_and_what_was_not_judged_warns(kit, verdicts, result, warned):
    """A claim without data is stated only, and does not change the result."""
    found = acceptance_result(kit, report_of(kit, **verdicts))
    assert found["result"] == result
    assert found["warnedTests"] == [f"claims/{name}" for name in warned]
    assert "claims/stated" not in str([found["passedTests"], found["failedTests"]])


def test_a_test_of_a_part_of_the_claims_did_not_judge_the_others(kit):
    """A claim that fails cannot be hidden by testing only the others."""
    report = report_of(kit)
    part = report.model_copy(update={"claims": report.claims[:1], "cases": ()})
    found = acceptance_result(kit, part)
    assert found["result"] == "WARNED"
    assert found["warnedTests"] == ["cases/first", "claims/speed-h200"]
    assert ALL_PASSED not in verification_of(kit, part)["properties"]


def test_the_verification_result_lists_only_what_was_shown(kit):
    """It names the verifier and, as its policy, the lock with the claims and tolerances."""
    found = verification_of(kit, report_of(kit, similarity=Verdict.FAILS))
    assert found["verifier"]["id"] == "https://mealkit.dev/test/v1"
    (policy,) = found["verifier"]["policies"]
    assert policy == {"name": "kit.lock", "digest": {"sha256": Digest.of(lock_bytes(kit)).hex}}
    assert found["timeCreated"] == "2026-11-28T21:06:40Z"
    assert found["properties"] == ["mealkit:claim-passed:speed-h200", "mealkit:case-passed:first"]
    whole = verification_of(kit, report_of(kit))["properties"]
    assert whole[0] == ALL_PASSED
    assert claim_property("similarity") in whole


def test_a_preflights_result_is_not_one_of_claims(kit):
    """Both have the same type, and a reader can tell which test a result is of."""
    finding = Finding("HW_NO_GPU", Severity.PASSES, "1 GPU", "1 GPU", "a GPU")
    preflight = read_result(result_of(kit, [finding], "node-1"))
    assert (preflight.is_of_claims, preflight.machine_name) == (False, "node-1")
    assert list(stale_reasons(preflight, kit)) == []
    assert read_result(acceptance_result(kit, report_of(kit))).is_of_claims


def test_a_result_is_stale_if_recipe_claims_cases_or_data_changed(kit):
    """A looser tolerance and other data have the same recipe, and another meaning."""
    tested = read_result(acceptance_result(kit, report_of(kit)))
    assert list(stale_reasons(tested, kit)) == []
    recipe = replace(tested, recipe=str(Digest.of(b"old")))
    assert [f"has {kit.recipe}" in item for item in stale_reasons(recipe, kit)] == [True]
    looser = (claimed("similarity", value=0.7), *kit.claims[1:])
    (reason,) = stale_reasons(tested, kit.model_copy(update={"claims": looser}))
    assert reason.endswith("under similarity")
    laxer = (kit.cases[0].model_copy(update={"request": {"input": "b"}}),)
    (reason,) = stale_reasons(tested, kit.model_copy(update={"cases": laxer}))
    assert reason == "the image has other cases"
    (file,) = kit.datasets["pairs"].files
    (reason,) = stale_reasons(tested, kit.model_copy(update={"case_files": (file,)}))
    assert reason == "the image has other cases"
    (reason,) = stale_reasons(tested, kit.model_copy(update={"datasets": {}}))
    assert DATA in reason


def test_a_test_of_one_architecture_counts_for_an_image_of_several(kit):
    """The image's lock has both; a test of the other one is stale for the image of one alone."""
    runtime = kit.runtime.model_copy(update={"architecture": "arm64"})
    arm = kit.model_copy(update={"runtime": runtime})
    assert arm.recipe != kit.recipe
    for lock in (kit, arm):
        tested = read_result(acceptance_result(lock, report_of(lock)))
        assert list(stale_reasons(tested, joined((kit, arm)))) == []
    (reason,) = stale_reasons(tested, kit)
    assert "the test is of the recipe" in reason


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        ("claims", "under similarity, speed-h200"),
        ("cases", "the image has other cases"),
        ("data", "does not state the data of similarity, speed-h200"),
    ],
)
def test_a_result_that_does_not_state_what_it_is_about_is_stale(kit, left_out, reason):
    """Names alone say nothing about the tolerance, the cases and the data of the test."""
    empty = {"claims": {}, "cases": None, "data": {}}[left_out]
    tested = read_result(acceptance_result(kit, report_of(kit)))
    (found,) = stale_reasons(replace(tested, **{left_out: empty}), kit)
    assert found.endswith(reason)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measured": 0.5}, "claims/similarity holds with the value 0.5, allowed 0.81 to 0.83"),
        ({"measured": None}, "claims/similarity holds without a measured value"),
        ({"verdict": Verdict.FAILS, "measured": 0.5}, None),
        ({"verdict": Verdict.NOT_JUDGED, "measured": 0.5}, None),
    ],
)
def test_an_edited_verdict_is_noticed(kit, changes, said):
    """A claim that holds has a value within its tolerance."""
    report = report_of(kit)
    edited = (report.claims[0].model_copy(update=changes), *report.claims[1:])
    found = list(contradictions(kit, report.model_copy(update={"claims": edited})))
    assert found == ([said] if said else [])


def test_a_claim_for_other_hardware_and_a_case_with_faults_do_not_hold(kit):
    """The machine is the report's own."""
    claim = claimed("similarity", hardware="H200")
    report = report_of(kit.model_copy(update={"claims": (claim,)}))
    fault = CaseFault(at="", expected="1", answered="2")
    case = report.cases[0].model_copy(update={"faults": (fault,)})
    found = list(contradictions(kit, report.model_copy(update={"cases": (case,)})))
    assert [item.partition(",")[0] for item in found] == [
        "claims/similarity holds",
        "cases/first holds with an answer that was not expected",
    ]


@pytest.mark.parametrize(
    ("machine", "gpu", "hardware", "fits"),
    [
        (H200, Gpu.REQUIRED, "H200", True),
        (H200, Gpu.REQUIRED, "h200", True),
        (H200, Gpu.REQUIRED, "gpu", True),
        (H200, Gpu.REQUIRED, "cpu", False),
        (H200, Gpu.REQUIRED, "B200", False),
        (H200, Gpu.NONE, "cpu", True),
        (CPU, Gpu.OPTIONAL, "cpu", True),
        (CPU, Gpu.OPTIONAL, "gpu", False),
        (MachineFacts(), Gpu.OPTIONAL, "cpu", False),
        (MachineFacts(), Gpu.OPTIONAL, "gpu", False),
    ],
)
def test_the_class_of_hardware_that_was_tested(kit, machine, gpu, hardware, fits):
    """It is decided as for a claim; a machine about which nothing is known is of no class."""
    needs = kit.requirements.model_copy(update={"gpu": gpu})
    tested = read_result(acceptance_result(kit, report_of(kit, machine)))
    assert tested.ran_on(hardware, kit.model_copy(update={"requirements": needs})) is fits


def test_a_measured_zero_is_a_value(kit):
    """It is in the statement, and read again."""
    report = report_of(kit)
    nothing = report.claims[0].model_copy(update={"measured": 0.0})
    found = acceptance_result(kit, report.model_copy(update={"claims": (nothing,)}))
    assert read_result(found).measured == {"similarity": 0.0}


def test_a_claim_that_needs_no_data_can_be_tested(kit):
    """The time of a start is measured without data; if it was not, that is a warning."""
    starts = claimed("start", data=None, metric=Metric.START_SECONDS, value=9)
    with_start = kit.model_copy(update={"claims": (*kit.claims, starts)})
    found = acceptance_result(with_start, report_of(with_start))
    assert found["warnedTests"] == ["claims/start"]


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"result": 5, "configuration": [5], "passedTests": [{}, 5, "a"]},
        {"configuration": [{"annotations": {"claims": [5, {"claim": []}], "machine": 5}}]},
        {"configuration": [{"annotations": {"started": "9999-12-31T23:59:59-23:59"}}, {}]},
        {"configuration": [{"annotations": {"claims": [{"claim": {}, "measured": 10**400}]}}]},
        {"configuration": [{}, {"name": "datasets/x", "digest": []}], "failedTests": {"a": 1}},
    ],
)
def test_odd_results_are_read_as_far_as_they_go(predicate):
    """A signer may write anything; what cannot be read is missing."""
    tested = read_result(predicate)
    assert tested.result is None
    assert tested.started is None
    assert not tested.measured
    assert not tested.is_of_claims
