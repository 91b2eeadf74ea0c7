"""A measured value is judged by the claim's tolerance, on the claim's hardware."""

import pytest
from fakes.answering_kit import claim_of, lock_of

from mealkit.acceptance.judging import claim_fault, hardware_fault, judged, shown_bounds
from mealkit.acceptance.report import MachineFacts, Verdict
from mealkit.recipe.kit import Gpu

ABSOLUTE, RELATIVE = {"absolute": 0.05}, {"relative": 0.1}


@pytest.mark.parametrize(
    ("metric", "tolerance", "measured", "holds"),
    [
        ("accuracy", ABSOLUTE, 0.85, True),
        ("accuracy", ABSOLUTE, 0.851, False),
        ("accuracy", ABSOLUTE, 0.749, False),
        ("accuracy", RELATIVE, 0.72, True),
        ("accuracy", RELATIVE, 0.719, False),
        ("accuracy", {"minimum": 0.7}, 0.99, True),
        ("accuracy", {"minimum": 0.7, "maximum": 0.9}, 0.91, False),
        ("accuracy", {"absolute": 0}, 0.8, True),
        ("latency_p95_seconds", RELATIVE, 0.1, True),
        ("latency_p95_seconds", RELATIVE, 0.89, False),
        ("tokens_per_second", RELATIVE, 80.0, True),
        ("tokens_per_second", RELATIVE, 0.71, False),
        ("peak_memory_bytes", {"maximum": 1000}, 1001, False),
    ],
)
def test_a_tolerance_decides(metric, tolerance, measured, holds):
    """Both sides for a quality; only the worse side for a speed or memory."""
    claim = claim_of(metric=metric, value=0.8, tolerance=tolerance)
    verdict, reason = judged(claim, measured)
    assert verdict is (Verdict.HOLDS if holds else Verdict.FAILS)
    assert "allowed" in reason


def test_a_bound_is_as_exact_as_the_claim():
    """The last bit of a decimal number does not decide; small errors are judged as large ones."""
    tenths = claim_of(metric="accuracy", value=0.3, tolerance={"absolute": 0.1})
    assert judged(tenths, 0.1 + 0.1)[0] is Verdict.HOLDS
    small = claim_of(metric="mae", value=1e-10, tolerance=RELATIVE)
    assert judged(small, 1.1e-10)[0] is Verdict.HOLDS
    assert judged(small, 1.2e-10)[0] is Verdict.FAILS


@pytest.mark.parametrize(
    ("metric", "value", "tolerance", "field", "said"),
    [
        ("accuracy", 85, ABSOLUTE, "value", "accuracy is from 0 to 1"),
        ("spearman", -1.5, ABSOLUTE, "value", "spearman is from -1 to 1"),
        ("bleu", 128, ABSOLUTE, "value", "bleu is from 0 to 100"),
        ("r2", 1.2, ABSOLUTE, "value", "r2 is from any value to 1"),
        ("accuracy", 0.8, {"minimum": 0.9}, "tolerance", "0.8 is not allowed by it: 0.9 or more"),
        ("latency_p95_seconds", 2, {"maximum": 1}, "tolerance", "2 is not allowed by it"),
        ("accuracy", 0.8, {"absolute": 5}, "tolerance", "every value of accuracy"),
        ("accuracy", 0.8, {"relative": 5}, "tolerance", "every value of accuracy"),
        ("mae", 0.8, {"minimum": 0}, "tolerance", "every value of mae"),
        ("tokens_per_second", 80, {"maximum": 90}, "tolerance", "every value"),
        ("tokens_per_second", 80, {"relative": 1}, "tolerance", "every value"),
        ("latency_p95_seconds", 2, {"minimum": 1}, "tolerance", "every value"),
    ],
)
def test_a_claim_that_cannot_hold_or_cannot_fail_is_named(metric, value, tolerance, field, said):
    """A percentage for a share, a value outside of its tolerance, a tolerance of everything."""
    fault = claim_fault(claim_of(metric=metric, value=value, tolerance=tolerance))
    assert (fault.field, said in fault.message) == (field, True)


@pytest.mark.parametrize(
    ("metric", "value", "tolerance"),
    [
        ("accuracy", 1, {"absolute": 0}),
        ("bleu", 28.4, {"absolute": 0.5}),
        ("wer", 1.2, {"relative": 0.1}),
        ("mae", 0, {"maximum": 1}),
        ("r2", -3, ABSOLUTE),
        ("latency_p95_seconds", 2, {"relative": 2}),
        ("peak_memory_bytes", 2e9, {"maximum": 3e9}),
    ],
)
def test_a_claim_that_can_hold_and_fail_has_no_fault(metric, value, tolerance):
    """Errors and times may be larger than 1, and a time may be several times as long."""
    assert claim_fault(claim_of(metric=metric, value=value, tolerance=tolerance)) is None


def test_a_percentage_is_shown_as_a_share():
    """The hint has the value to write."""
    assert claim_fault(claim_of(metric="accuracy", value=82.5)).hint == "write 0.825 for 82.5 %"


def test_one_value_is_not_shown_as_an_interval():
    """Without a tolerance the allowed value stands alone."""
    assert shown_bounds(claim_of(metric="accuracy", value=1, tolerance={"absolute": 0})) == "1"


@pytest.mark.parametrize(
    ("metric", "tolerance", "measured", "reason"),
    [
        ("accuracy", ABSOLUTE, 0.7, "measured 0.7, 0.05 below the allowed 0.75"),
        ("accuracy", ABSOLUTE, 0.9, "measured 0.9, 0.05 above the allowed 0.85"),
        (
            "latency_p95_seconds",
            RELATIVE,
            2.0,
            "measured 2.00 s, 1.12 s above the allowed 880.0 ms",
        ),
        ("rmse", ABSOLUTE, 1e300, "measured 1e+300, 1e+300 above the allowed 0.85"),
        ("accuracy", ABSOLUTE, 0.8, "measured 0.8, allowed 0.75 to 0.85"),
    ],
)
def test_the_reason_says_by_how_much_a_claim_fails(metric, tolerance, measured, reason):
    """The distance from the bound that is not met, in the metric's unit."""
    assert judged(claim_of(metric=metric, value=0.8, tolerance=tolerance), measured)[1] == reason


@pytest.mark.parametrize(
    ("hardware", "gpu", "machine", "judges"),
    [
        (None, Gpu.REQUIRED, MachineFacts(), True),
        ("cpu", Gpu.NONE, MachineFacts(gpus=("NVIDIA H200",)), True),
        ("cpu", Gpu.OPTIONAL, MachineFacts(gpus=("NVIDIA H200",), processor="x"), False),
        ("cpu", Gpu.OPTIONAL, MachineFacts(), False),
        ("cpu", Gpu.OPTIONAL, MachineFacts(processor="x"), True),
        ("gpu", Gpu.REQUIRED, MachineFacts(), False),
        ("gpu", Gpu.REQUIRED, MachineFacts(gpus=("NVIDIA L4",)), True),
        ("h200", Gpu.REQUIRED, MachineFacts(gpus=("NVIDIA H200",)), True),
        ("H100", Gpu.REQUIRED, MachineFacts(gpus=("NVIDIA H200",)), False),
    ],
)
def test_a_claim_is_judged_on_its_hardware_only(hardware, gpu, machine, judges):
    """Elsewhere it is measured, and the reason says which hardware is missing."""
    lock = lock_of()
    needs = lock.requirements.model_copy(update={"gpu": gpu})
    fault = hardware_fault(
        claim_of(hardware=hardware), lock.model_copy(update={"requirements": needs}), machine
    )
    assert (fault is None) is judges
