"""Compares the estimate with a machine's GPUs: without a context, with one request, with all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate
from mealkit.preflight.devices import Device, first, largest
from mealkit.preflight.fit import Reach, largest_concurrency, largest_context
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


@dataclass(frozen=True, slots=True)
class Fitting:
    """The model's requirements for each GPU, and the memory that an engine can use on one."""

    model: Shape
    setting: Setting
    bare: Estimate
    """The estimate for weights and engine, with a context of one token."""
    one: Estimate
    """The estimate for one request with the pinned context."""
    whole: Estimate
    """The estimate for all concurrent requests, each with the pinned context."""
    memory_bytes: int | None
    """The whole memory of the smallest of the GPUs that are used; None: unknown."""

    @property
    def room_bytes(self) -> int | None:
        """The part of that memory that the engine uses at most."""
        return None if self.memory_bytes is None else self.usable_bytes(self.memory_bytes)

    @property
    def never(self) -> bool:
        """Whether the weights and the engine can never fit."""
        return self.room_bytes is not None and self.bare.low_bytes > self.room_bytes

    @property
    def share(self) -> float | None:
        """The share of a GPU that the engine always reserves; None: it uses what it needs."""
        return self.setting.utilisation if self.setting.engine.takes_share else None

    def usable_bytes(self, memory_bytes: int) -> int:
        """Return the memory that the engine uses at most on a GPU of this size."""
        return self.setting.engine.usable_bytes(memory_bytes, self.setting)

    def taken_bytes(self, memory_bytes: int) -> int:
        """Return the memory that must be free on a GPU of this size when the engine starts."""
        if self.share is None:
            return self.whole.high_bytes
        return self.usable_bytes(memory_bytes)

    def largest_context(self) -> Reach:
        """Return the longest context that would fit."""
        return largest_context(self.model, self.setting, self.memory_bytes or 0)

    def largest_concurrency(self) -> Reach:
        """Return the maximum number of requests that would fit with the pinned context."""
        return largest_concurrency(self.model, self.setting, self.memory_bytes or 0)


def fitting_of(
    requirements: Requirements, engine: EngineMemory | None, devices: Sequence[Device]
) -> Fitting | None:
    """Return a kit's fitting on these GPUs; None without GPUs, or if too little is known."""
    demand, model = requirements.demand, requirements.model
    if demand is None or model is None or engine is None or not devices:
        return None
    known = [item.capability for item in first(devices, demand.gpus) if item.capability]
    setting = demand.setting(engine, min(known, default=None))
    bare = replace(setting, context_tokens=1, concurrency=1, prompt_tokens=None)
    return Fitting(
        model=model,
        setting=setting,
        bare=engine.estimate(model, bare),
        one=engine.estimate(model, replace(setting, concurrency=1)),
        whole=engine.estimate(model, setting),
        memory_bytes=largest(devices, demand.gpus),
    )


def show_interval(found: Estimate) -> str:
    """Return the lower and the upper bound as text."""
    return f"{show_size(found.low_bytes)} to {show_size(found.high_bytes)}"


def show_terms(found: Estimate) -> str:
    """Return the terms with their likely sizes as text, largest first."""
    terms = sorted(found.terms, key=lambda term: -term.likely_bytes)
    return ", ".join(f"{term.name} {show_size(term.likely_bytes)}" for term in terms)
