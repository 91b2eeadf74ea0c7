"""Judges a measured value by its claim's tolerance and hardware. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.report import MachineFacts, Verdict
from mealkit.recipe.claims import Claimed, Metric
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock

# Numbers that are equal in decimals may differ in their last bit.
_ROUNDING = 1e-9
# Larger numbers are written with an exponent.
_LARGEST_WRITTEN_OUT = 1e15


def bounds(claim: Claimed) -> tuple[float | None, float | None]:
    """Return the smallest and the largest value with which a claim holds; None: any.

    A claim of speed or memory has no bound on the better side.
    """
    tolerance = claim.tolerance
    if tolerance.absolute is not None or tolerance.relative is not None:
        far = tolerance.absolute
        if far is None:
            far = abs(claim.value) * (tolerance.relative or 0.0)
        low: float | None = claim.value - far
        high: float | None = claim.value + far
    else:
        low, high = tolerance.minimum, tolerance.maximum
    traits = METRICS[claim.metric]
    if not traits.is_speed:
        return low, high
    return (low, None) if traits.larger_is_better else (None, high)


@dataclass(frozen=True, slots=True)
class ClaimFault:
    """Why a claim cannot be one, whatever is measured."""

    field: str
    """The claim's field that has to be changed."""
    message: str
    hint: str


def value_fault(metric: Metric, value: float, field: str = "value") -> ClaimFault | None:
    """Return what is wrong with a value that a metric cannot have; None if it can."""
    least, greatest = METRICS[metric].range
    if _is_from(least, greatest, value):
        return None
    hint = f"write a value from {_bound(least)} to {_bound(greatest)}"
    if _is_from(least, greatest, value / 100):
        hint = f"write {value / 100:.6g} for {value:g} %"
    message = f"it is {value:g}, and {metric} is from {_bound(least)} to {_bound(greatest)}"
    return ClaimFault(field, message, hint)


def claim_fault(claim: Claimed) -> ClaimFault | None:
    """Return what is wrong with a claim's value and tolerance; None if it can hold and fail."""
    metric, value = claim.metric.value, claim.value
    fault = value_fault(claim.metric, value)
    if fault is not None:
        return fault
    least, greatest = METRICS[claim.metric].range
    low, high = bounds(claim)
    if judged(claim, value)[0] is Verdict.FAILS:
        message = f"the claimed value {value:g} is not allowed by it: {shown_bounds(claim)}"
        return ClaimFault("tolerance", message, "write bounds around the claimed value")
    if _covers(low, high, least, greatest):
        message = f"it allows every value of {metric}, so the claim cannot fail"
        worse = "minimum" if METRICS[claim.metric].larger_is_better else "maximum"
        hint = f"write a smaller difference, in the metric's own unit, or a {worse}"
        return ClaimFault("tolerance", message, hint)
    return None


def _is_from(least: float | None, greatest: float | None, value: float) -> bool:
    return (least is None or value >= least) and (greatest is None or value <= greatest)


def _covers(
    low: float | None, high: float | None, least: float | None, greatest: float | None
) -> bool:
    """Return whether every value between two bounds is between two others."""
    below = low is None or (least is not None and low <= least)
    return below and (high is None or (greatest is not None and high >= greatest))


def _bound(value: float | None) -> str:
    return "any value" if value is None else f"{value:g}"


def judged(claim: Claimed, measured: float) -> tuple[Verdict, str]:
    """Return whether a claim holds with a measured value, and the reason with the numbers."""
    value = shown_value(claim.metric, measured)
    outside = shown_miss(claim, measured)
    if outside is not None:
        return Verdict.FAILS, f"measured {value}, {outside}"
    return Verdict.HOLDS, f"measured {value}, allowed {shown_bounds(claim)}"


def shown_miss(claim: Claimed, measured: float) -> str | None:
    """Return by how much a value is outside of the bounds, in words; None if it is inside."""
    low, high = bounds(claim)
    slack = _ROUNDING * max(abs(claim.value), abs(measured))
    if low is not None and measured < low - slack:
        off, word, bound = low - measured, "below", low
    elif high is not None and measured > high + slack:
        off, word, bound = measured - high, "above", high
    else:
        return None
    metric = claim.metric
    return f"{shown_value(metric, off)} {word} the allowed {shown_value(metric, bound)}"


def shown_bounds(claim: Claimed) -> str:
    """Return the values with which a claim holds, in words."""
    match bounds(claim):
        case (None, None):
            return "any value"
        case (low, None) if low is not None:
            return f"{shown_value(claim.metric, low)} or more"
        case (None, high) if high is not None:
            return f"{shown_value(claim.metric, high)} or less"
        case (low, high):
            first, last = (shown_value(claim.metric, item or 0.0) for item in (low, high))
            return first if low == high else f"{first} to {last}"


def shown_value(metric: Metric, value: float) -> str:
    """Return a value with its unit, in as many digits as are read."""
    if abs(value) >= _LARGEST_WRITTEN_OUT and not metric.value.endswith("_bytes"):
        return f"{value:.3g}"
    if metric.value.endswith("_bytes"):
        return f"{value / 1024**2:,.0f} MiB"
    if metric.value.endswith("_seconds"):
        return f"{value * 1000:,.1f} ms" if abs(value) < 1 else f"{value:,.2f} s"
    if metric.value.endswith("_per_second"):
        return f"{value:,.1f} {metric.value.partition('_')[0]}/s"
    return f"{value:,.5g}" if abs(value) < 1000 else f"{value:,.1f}"


def hardware_fault(claim: Claimed, lock: Lock, machine: MachineFacts) -> str | None:
    """Return why a claim cannot be judged on a machine; None if it can."""
    wanted = claim.hardware
    if wanted is None or is_of_class(wanted, lock, machine):
        return None
    if wanted.lower() == "cpu":
        return "it is a claim for processors, and the kit may compute on a GPU here"
    return f"it is a claim for {wanted}, and this machine has {_gpus(machine.gpus)}"


def is_of_class(hardware: str, lock: Lock, machine: MachineFacts) -> bool:
    """Return whether a kit computes on a class of hardware: cpu, gpu, or a part of a GPU's name."""
    match hardware.lower():
        case "cpu":
            is_alone = machine.processor is not None and not machine.gpus
            return is_alone or lock.requirements.gpu is Gpu.NONE
        case "gpu":
            return bool(machine.gpus)
        case part:
            return any(part in name.lower() for name in machine.gpus)


def _gpus(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "no GPU that is known"
