"""A measured value is judged by the claim's tolerance, on the claim's hardware."""

import pytest
from fakes.answering_kit import claim_of, lock_of

from mealkit.acceptance.judging import hardware_fault, judged, shown_bounds
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
