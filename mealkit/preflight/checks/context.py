"""Checks that the kit's pinned context fits into the GPUs' memory, for all requests together.

On processors it checks the cache that the engine reserves in main memory.
"""

from dataclasses import replace

from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.fit import largest_concurrency, largest_context
from mealkit.preflight.fitting import Fitting, fitting_of, show_interval
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the lower bound does not fit the largest GPUs when empty; name what would fit.

    An engine that starts with space for one request makes the others wait: then this only warns.
    The context is never shortened.
    """
    if requirements.reserves_cache:
        return _in_reserved_cache(requirements, context)
    fitting = fitting_of(requirements, context.engine.memory, devices_of(facts))
    if fitting is None or fitting.never or not fitting.model.generates:
        return None
    severity = _severity(fitting)
    setting = fitting.setting
    measured = "unknown"
    if fitting.room_bytes is not None:
        measured = f"{show_size(fitting.room_bytes)} for the engine"
        if severity is not Severity.PASSES:
            measured += f", space for {_reach(fitting)}"
    times = "" if setting.concurrency == 1 else f"{setting.concurrency} x "
    return Finding(
        code="FIT_CONTEXT",
        severity=severity,
        measured=measured,
        required=f"{times}{setting.context_tokens} tokens: {show_interval(fitting.whole)}",
        message="space for the pinned context on each GPU",
    )


def _severity(fitting: Fitting) -> Severity:
    room = fitting.room_bytes
    if room is None:
        return Severity.WARNS
    if fitting.one.low_bytes > room:
        return Severity.BLOCKS
    if fitting.whole.low_bytes > room:
        return Severity.WARNS if fitting.setting.engine.queues_requests else Severity.BLOCKS
    return Severity.PASSES if fitting.whole.high_bytes <= room else Severity.WARNS


def _reach(fitting: Fitting) -> str:
    """Return the largest context and, if one request fits, the number of requests that fit."""
    context, requests = fitting.largest_context(), fitting.largest_concurrency()
    shown = f"{context.sure} tokens for sure, {context.likely} likely"
    if fitting.setting.concurrency > 1:
        shown += f" (for {fitting.setting.concurrency} concurrent requests), or {requests.sure}"
        shown += f" to {requests.likely} requests with the pinned context"
    return shown


def _in_reserved_cache(requirements: Requirements, context: Context) -> Finding | None:
    """Block if one request does not fit into the cache; warn if not all of them fit together."""
    demand, model, engine = requirements.demand, requirements.model, context.engine.memory
    if not (demand and model and engine and engine.needed_cache and model.generates):
        return None
    setting, space = demand.setting(engine), demand.cache_space_bytes or 0
    alone = replace(setting, concurrency=1)
    one, whole = engine.needed_cache(model, alone), engine.needed_cache(model, setting)
    severity, needed, requests = Severity.PASSES, whole.high_bytes, setting.concurrency
    measured = f"{show_size(space)} for the cache"
    if one.high_bytes > space:
        severity = Severity.BLOCKS if one.low_bytes > space else Severity.WARNS
        needed, requests = one.low_bytes, 1
        measured += f", space for {largest_context(model, alone, space).sure} tokens for sure"
    elif whole.high_bytes > space:
        severity = Severity.WARNS
        most = largest_concurrency(model, setting, space)
        measured += f", space for {most.sure} requests with the pinned context"
    times = "" if requests == 1 else f"{requests} x "
    return Finding(
        code="FIT_CONTEXT",
        severity=severity,
        measured=measured,
        required=f"{times}{setting.context_tokens} tokens: {show_size(needed)}",
        message="space for the pinned context in the engine's cache",
        fix="reserve more memory for the cache in the kit, or pin a shorter context",
    )


CHECK = Check(
    code="FIT_CONTEXT",
    rule="the cache of the pinned context, with everything else, fits into the GPU's whole memory;"
    " on processors, into the memory that the engine reserves for it",
    source="engines report this only after loading the weights: vllm/v1/core/kv_cache_utils.py",
    look=look,
    of_caches=True,
)
