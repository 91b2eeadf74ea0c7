"""Checks the GPUs' memory: it must be large enough for the weights, and be free for the rest."""

from mealkit.preflight.devices import Device, devices_of, first, show_optional
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.fitting import Fitting, fitting_of, show_interval, show_terms
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the lower bound without a context does not fit the largest GPUs when empty.

    Warn if the upper bound does not fit into the memory that is free now, and name the processes
    that use the rest: they may end before the kit starts. Warn if anything is unknown.
    """
    devices = devices_of(facts)
    if not devices:
        return None
    fitting = fitting_of(requirements, context.engine.memory, devices)
    if fitting is None:
        return Finding(
            code="FIT_VRAM",
            severity=Severity.WARNS,
            measured=_measured(devices[0]),
            required=_why_unknown(requirements, context),
            message="memory of each GPU",
        )
    used = first(devices, requirements.gpus)
    tightest = min(used, key=lambda item: item.free_bytes or 0)
    measured, required = _measured(tightest), _required(fitting)
    fix = None
    if fitting.never:
        severity = Severity.BLOCKS
        measured = f"{show_optional(fitting.room_bytes)} at most"
        required = f"{show_interval(fitting.bare)} without any context: {show_terms(fitting.bare)}"
        fix = "use GPUs with more memory, more GPUs, or a kit with smaller or quantised weights"
    elif all(_fits(device, fitting) for device in used):
        severity = Severity.PASSES
    else:
        severity = Severity.WARNS
        if tightest.holders:
            fix = f"stop what uses the GPU's memory: {tightest.holders}"
    return Finding(
        code="FIT_VRAM",
        severity=severity,
        measured=measured,
        required=required,
        message="free memory of each GPU",
        fix=fix,
    )


def _fits(device: Device, fitting: Fitting) -> bool:
    free, total = device.free_bytes, device.total_bytes
    if free is None or total is None:
        return False
    # An engine that reserves a share refuses to start if less than that share of the GPU is free.
    room = fitting.usable_bytes(total)
    return fitting.whole.high_bytes <= room and free >= fitting.taken_bytes(total)


def _why_unknown(requirements: Requirements, context: Context) -> str:
    if requirements.demand and context.engine.memory is None:
        return f"unknown: mealkit cannot estimate the memory of {requirements.demand.engine}"
    return "unknown: the lock does not contain enough about the model and its engine"


def _measured(device: Device) -> str:
    free, total = show_optional(device.free_bytes), show_optional(device.total_bytes)
    held = f"; {device.holders}" if device.holders else ""
    return f"{free} free of {total} ({device.title}){held}"


def _required(fitting: Fitting) -> str:
    shown = f"{show_interval(fitting.whole)}: {show_terms(fitting.whole)}"
    if fitting.share is None or fitting.room_bytes is None:
        return shown
    room = show_size(fitting.room_bytes)
    return f"{shown}; the engine takes {fitting.share:.0%} of the GPU, {room}, which must be free"


CHECK = Check(
    code="FIT_VRAM",
    rule="the lower bound fits into the GPU's whole memory, the upper bound into what is free now",
    source="mealkit estimate shows every term with its source",
    look=look,
)
